"""MTG-Jamendo: 55,000 full tracks with tags of genre, instrument, mood and theme."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from earmark.datasets.core import Dataset, HeadSpec, Part
from earmark.datasets.reading import Listed, assemble, find_folder
from earmark.datasets.tables import no_column, read_rows
from earmark.errors import DatasetError

LICENCE = "each track under the Creative Commons licence that its artist chose; metadata CC BY-NC-SA 4.0"
CITATION = "Bogdanov, Won, Tovstogan, Porter and Serra: The MTG-Jamendo dataset for automatic music tagging, ICML 2019"
LAYOUT = "data/autotagging*.tsv, data/splits/split-0/autotagging*-{train,validation,test}.tsv, and audio 14/214.mp3"
MARKS = ("data/autotagging.tsv", "data/splits/split-0", "splits/split-0")

_HEADER = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
_PARTS: Mapping[str, Part] = {"train": "train", "validation": "valid", "test": "test"}


def load(root: Path, *, tags: str = "autotagging", split: int = 0, by_kind: bool = False) -> Dataset:
    """Read one of its lists of tags with one of its five splits (by artist).

    Args:
        root: The repository's folder with the audio below ``audio``, or a folder of ``data`` and ``audio``.
        tags: Which list: ``autotagging``, ``autotagging_genre``, ``autotagging_instrument``,
            ``autotagging_moodtheme`` or ``autotagging_top50tags``.
        split: Which split, 0 to 4; -1 reads the whole list without one.
        by_kind: One head for each kind (``genre``, ``instrument``, ``mood/theme``) in place of one head ``tags``.

    Raises:
        DatasetError: Missing or damaged lists.
    """
    files: list[tuple[Path, Part | None]]
    if split < 0:
        files = [(find_folder(root, ("data", "."), f"{tags}.tsv", LAYOUT) / f"{tags}.tsv", None)]
    else:
        folders = (f"data/splits/split-{split}", f"splits/split-{split}")
        lists = {f"{tags}-{word}.tsv": part for word, part in _PARTS.items()}
        files = [(find_folder(root, folders, name, LAYOUT) / name, part) for name, part in lists.items()]
    audio = next((root / name for name in ("audio", "raw_30s/audio", "audio-low") if (root / name).is_dir()), root)
    listed = [track for file, part in files for track in _tracks(file, part, audio, by_kind)]
    names = sorted({head for track in listed for head in track.labels})
    heads = [
        HeadSpec(name, "multilabel", tuple(sorted({t for track in listed for t in track.labels.get(name) or ()})))  # type: ignore[union-attr]
        for name in names
    ]
    return assemble(audio, listed, heads)


def _tracks(file: Path, part: Part | None, audio: Path, by_kind: bool) -> list[Listed]:
    rows, lines = read_rows(file)
    if tuple(rows[0][: len(_HEADER)]) != _HEADER:
        wrong = next((name for name in _HEADER if name not in rows[0]), _HEADER[0])
        raise no_column(file, wrong, rows[0])
    found = []
    for row, line in zip(rows[1:], lines[1:], strict=True):
        if len(row) < len(_HEADER):
            raise DatasetError(f"{file}:{line}: {len(row)} cells, but at least {len(_HEADER)} are needed")
        names = [cell for cell in row[5:] if cell]
        kinds: dict[str, tuple[str, ...]] = {}
        for name in names:
            kind, dashes, tag = name.partition("---")
            if not dashes:
                raise DatasetError(f"{file}:{line}: {name[:40]!r} is no tag such as genre---rock")
            kinds[kind] = (*kinds.get(kind, ()), tag)
        labels = kinds if by_kind else {"tags": tuple(names)}
        found.append(Listed(_path(row[3], audio), row[1], part, labels, row[2]))
    return found


def _path(path: str, audio: Path) -> str:
    """The smaller copies of the audio are named 14/214.low.mp3."""
    low = path.removesuffix(".mp3") + ".low.mp3"
    return low if (audio / low).is_file() else path
