"""The user's corrections as a data set to train on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from earmark.datasets.core import Dataset, HeadSpec, Label, Track, group_tracks
from earmark.errors import DatasetError
from earmark.library.records import Correction, LibraryTrack
from earmark.library.store import Library
from earmark.recipe import Task

__all__ = ["library_dataset"]


def library_dataset(library: Library, heads: Sequence[str] | None = None) -> Dataset:
    """Every track that the user has accepted or corrected, with the labels that they gave.

    Args:
        library: The library.
        heads: Names of heads; all that have labels where None.

    Raises:
        DatasetError: There are no such labels, or no file of them is there.
    """
    corrections = library.labels()
    files = library.tracks_of(corrections)
    pairs = [
        (found[0], words)
        for audio, all_words in sorted(corrections.items())
        if (words := {head: word for head, word in all_words.items() if heads is None or head in heads})
        and (found := [track for track in files[audio] if Path(track.path).exists()])
    ]
    if not pairs:
        asked = f" for {', '.join(heads)}" if heads else ""
        raise DatasetError(f"{library.file}: no labels of yours{asked}; `earmark review` asks for them")
    pairs.sort(key=lambda pair: Path(pair[0].path).parts)
    specs = _specs([words for _, words in pairs])
    return _dataset(library, pairs, specs)


def _specs(words: Sequence[dict[str, Correction]]) -> tuple[HeadSpec, ...]:
    labels: dict[str, set[str]] = {}
    tasks: dict[str, Task] = {}
    for one in words:
        for head, word in one.items():
            tasks[head] = "multiclass" if isinstance(word, str) else "multilabel"
            labels.setdefault(head, set()).update([word] if isinstance(word, str) else word)
    return tuple(HeadSpec(head, tasks[head], tuple(sorted(labels[head]))) for head in sorted(labels))


def _dataset(
    library: Library, pairs: Sequence[tuple[LibraryTrack, dict[str, Correction]]], specs: tuple[HeadSpec, ...]
) -> Dataset:
    tracks = [track for track, _ in pairs]
    root = Path(os.path.commonpath([str(Path(track.path).parent) for track in tracks]))
    names = [Path(track.path).relative_to(root).as_posix() for track in tracks]
    groups, group_by, notices = group_tracks(
        names, [track.artist for track in tracks], [track.album for track in tracks]
    )
    made = tuple(
        Track(Path(track.path), name, group, None, _labels(words, specs))
        for (track, words), name, group in zip(pairs, names, groups, strict=True)
    )
    return Dataset(library.file.stem, root, specs, made, group_by, notices=notices)


def _labels(words: dict[str, Correction], specs: Sequence[HeadSpec]) -> dict[str, Label]:
    return {spec.name: words.get(spec.name) for spec in specs}
