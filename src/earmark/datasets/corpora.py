"""What readers of published corpora share: which listed files are there, and what is said of those that are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from earmark.datasets.core import Dataset, HeadSpec, Label, Part, Track
from earmark.datasets.groups import group_tracks
from earmark.errors import DatasetError

__all__ = ["Listed", "assemble", "find_folder", "most_frequent"]


@dataclass(frozen=True, slots=True)
class Listed:
    """One track as a corpus lists it; ``name`` is its path below the audio folder."""

    name: str
    artist: str
    part: Part | None
    labels: Mapping[str, Label]
    album: str = ""


def find_folder(root: Path, candidates: Sequence[str], marker: str, layout: str) -> Path:
    """The first of some folders below ``root`` that holds the file ``marker``.

    Raises:
        DatasetError: None does; says the layout that is expected.
    """
    for candidate in candidates:
        if (root / candidate / marker).exists():
            return root / candidate
    raise DatasetError(f"{root}: found no {marker}; expected layout: {layout}")


def assemble(
    audio: Path,
    listed: Iterable[Listed],
    heads: Sequence[HeadSpec],
    notices: Sequence[str] = (),
    has_split: bool = True,
) -> Dataset:
    """A data set of the listed tracks whose files are there and not empty; the others are left out with a notice.

    Args:
        audio: Folder that the tracks' names are relative to.
        listed: Tracks of the corpus, in its order.
        heads: Vocabularies.
        notices: What the reader has to say already.
        has_split: Whether the tracks have parts.

    Raises:
        DatasetError: None of the files is there.
    """
    everything = tuple(listed)
    present = [track for track in everything if _has_content(audio / track.name)]
    missing = len(everything) - len(present)
    if not present:
        example = f", as {everything[0].name}" if everything else ""
        raise DatasetError(f"{audio}: none of the {missing} listed files is here{example}")
    names = [track.name for track in present]
    groups, group_by, grouped = group_tracks(names, [t.artist for t in present], [t.album for t in present])
    tracks = tuple(
        Track(audio / track.name, track.name, group, track.part, track.labels)
        for track, group in zip(present, groups, strict=True)
    )
    absent = (f"{missing} of {len(everything)} listed files are missing or empty: left out",) if missing else ()
    return Dataset(
        name=audio.name,
        root=audio,
        heads=tuple(heads),
        tracks=tracks,
        group_by=group_by,
        has_split=has_split and any(track.part for track in tracks),
        notices=(*notices, *absent, *grouped),
    )


def most_frequent(counts: Mapping[str, int], top: int) -> tuple[str, ...]:
    """The ``top`` labels with the highest counts (all if 0), in sorted order; ties go to the earlier name."""
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    return tuple(sorted(ranked[:top] if top else ranked))


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except OSError:
        return False
