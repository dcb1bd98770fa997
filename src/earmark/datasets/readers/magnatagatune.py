"""MagnaTagATune: 25,863 clips of 29 s with 188 tags by players of a game."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from earmark.datasets.core import Dataset, HeadSpec, Part
from earmark.datasets.reading import Listed, assemble, find_folder, most_frequent
from earmark.datasets.tables import Table, no_column, read_table
from earmark.errors import DatasetError

LICENCE = "music by Magnatune, CC BY-NC-SA 1.0; annotations for research"
CITATION = (
    "Law, West, Mandel, Bay and Downie: Evaluation of algorithms using games: the case of music tagging, ISMIR 2009"
)
LAYOUT = "annotations_final.csv, clip_info_final.csv (both tab separated), and 0/....mp3 to f/....mp3 (or below mp3/)"
MARKS = ("annotations_final.csv", "annotations/annotations_final.csv")

_FIXED = ("clip_id", "mp3_path")


def load(root: Path, *, top: int = 0, untagged: bool = True) -> Dataset:
    """Read MagnaTagATune as one multi-label head ``tags``.

    Clips in the folders 0 to b are for training, c for validation, d to f for test (12:1:3), as published scores have
    it; clips of one song share a folder, artists need not.

    Args:
        root: Folder of the two tables and of the audio.
        top: Only so many of the most frequent tags (50 in most papers); 0 is all 188.
        untagged: Whether clips without any of the tags count. Scores with and without them do not compare.

    Raises:
        DatasetError: Missing files, columns, or cells that are not 0 or 1.
    """
    folder = find_folder(root, (".", "annotations"), "annotations_final.csv", LAYOUT)
    rows = _tab_separated(folder / "annotations_final.csv")
    paths = rows.column("mp3_path")
    tags = tuple(name for name in rows.columns if name not in _FIXED)
    counts = {tag: _present(rows, tag) for tag in tags}
    labels = most_frequent({tag: sum(column) for tag, column in counts.items()}, top)
    artists = _artists(find_folder(folder, (".",), "clip_info_final.csv", LAYOUT) / "clip_info_final.csv")
    listed, bare = [], 0
    for i, path in enumerate(paths):
        named = tuple(label for label in labels if counts[label][i])
        if not named and not untagged:
            bare += 1
            continue
        listed.append(Listed(path, artists.get(path, ""), _part(path, rows.where(i)), {"tags": named}))
    audio = next((root / name for name in ("mp3", "Audio", "audio") if (root / name).is_dir()), root)
    notices = [f"{bare} clips without any of the tags: left out"] if bare else []
    return assemble(audio, listed, (HeadSpec("tags", "multilabel", labels),), notices)


def _tab_separated(file: Path) -> Table:
    table = read_table(file)
    if "mp3_path" not in table.columns:
        raise no_column(file, "mp3_path", table.columns)
    return table


def _present(rows: Table, tag: str) -> Sequence[bool]:
    cells = rows.column(tag)
    for i, cell in enumerate(cells):
        if cell not in ("0", "1"):
            raise DatasetError(f"{rows.where(i)}: {cell[:40]!r} in column {tag!r} is neither 0 nor 1")
    return [cell == "1" for cell in cells]


def _artists(file: Path) -> dict[str, str]:
    table = _tab_separated(file)
    return dict(zip(table.column("mp3_path"), table.column("artist"), strict=True))


def _part(path: str, where: str) -> Part:
    folder = path[:1]
    if folder not in "0123456789abcdef" or path[1:2] != "/":
        raise DatasetError(f"{where}: {path[:60]!r} is not in one of the folders 0 to f")
    return "train" if folder <= "b" else "valid" if folder == "c" else "test"
