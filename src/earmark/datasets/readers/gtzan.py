"""GTZAN: ten genres of 100 excerpts of 30 s, by the fault-filtered split where its lists are at hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from earmark.datasets.core import Dataset, HeadSpec, Part
from earmark.datasets.reading import SPLITS, Listed, assemble, find_folder
from earmark.errors import DatasetError

LICENCE = "none stated by its makers; excerpts of commercial recordings, for research"
CITATION = (
    "Tzanetakis and Cook: Musical genre classification of audio signals, IEEE TSAP 2002. Faults: Sturm: The GTZAN "
    "dataset, 2013. Split: Kereliuk, Sturm and Larsen: Deep learning and music adversaries, IEEE TMM 2015"
)
LAYOUT = (
    "genres/blues/blues.00000.wav (or .au, .mp3, .opus, ...); optional lists of track ids beside 'genres': "
    "train_filtered.txt, valid_filtered.txt, test_filtered.txt as published, repeats.txt, mislabelled.txt"
)
MARKS = ("genres/blues", "genres_original/blues", "Data/genres_original/blues")

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
BROKEN = "jazz.00054"
_ID = re.compile(rf"({'|'.join(GENRES)})\.(\d{{5}})")


def load(root: Path, *, split: str = "corpus") -> Dataset:
    """Read GTZAN.

    Known repeats (each line of ``repeats.txt``: a track and the ones that repeat it) are left out but for the first;
    tracks in ``mislabelled.txt`` are left out. In the published split both are left out anyhow.

    Args:
        root: Folder that holds ``genres`` (or ``genres_original``, or the genre folders).
        split: ``corpus`` (or ``filtered``): the fault-filtered split, if its three lists are there, else none, with a
            notice. ``recipe`` (or ``none``): no split of its own; all tracks that are not faulty by the lists.

    Raises:
        DatasetError: No genre folders, a list of the split that is missing or damaged.
    """
    split = {"filtered": "corpus", "none": "recipe"}.get(split, split)
    if split not in SPLITS:
        raise DatasetError(f"{root}: split = {split!r}: must be 'corpus' ('filtered') or 'recipe' ('none')")
    places = ("genres", "genres_original", "Data/genres_original", "audio", ".")
    first = next((genre for genre in GENRES if any((root / one / genre).exists() for one in places)), GENRES[0])
    genres = find_folder(root, places, first, LAYOUT)
    lists = [folder for folder in (root, genres) if (folder / "train_filtered.txt").exists()]
    parts = _filtered(lists[0]) if lists and split == "corpus" else None
    files = {file.stem: file for file in sorted(genres.glob("*/*")) if _ID.fullmatch(file.stem)}
    faulty, notices = _faulty((root, genres), files)
    if parts is None and split == "corpus":
        notices.append(f"the lists of the fault-filtered split are not in {root}: no split by the data set itself")
    listed = (
        Listed(file.relative_to(genres).as_posix(), "", parts.get(name) if parts else None, {"genre": name[:-6]})
        for name, file in files.items()
        if name not in faulty
    )
    return assemble(genres, listed, (HeadSpec("genre", "multiclass", GENRES),), notices, parts is not None)


def _filtered(folder: Path) -> Mapping[str, Part]:
    parts: dict[str, Part] = {}
    sides: tuple[Literal["train", "valid", "test"], ...] = ("train", "valid", "test")
    for part in sides:
        file = folder / f"{part}_filtered.txt"
        for line, ids in _ids(file):
            for name in ids:
                if parts.setdefault(name, part) != part:
                    raise DatasetError(f"{file}:{line}: {name} is in the list of {parts[name]} already")
    return parts


def _faulty(folders: Iterable[Path], files: Mapping[str, Path]) -> tuple[set[str], list[str]]:
    """Track ids to leave out, and what to say of them."""
    faulty = {BROKEN} & set(files)
    notices = [f"{name} is broken in GTZAN as published: left out" for name in faulty]
    for name, first, what in (("repeats.txt", 1, "known repeats"), ("mislabelled.txt", 0, "known mislabels")):
        for file in dict.fromkeys(folder / name for folder in folders):
            if file.exists():
                found = {name for _, ids in _ids(file) for name in ids[first:]} & set(files)
                faulty |= found
                notices.append(f"{len(found)} {what} left out ({name})")
    return faulty, notices


def _ids(file: Path) -> list[tuple[int, list[str]]]:
    """Track ids by line: as paths (``blues/blues.00012.wav``), or as numbers from 1 in the order of the genres."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f'{file}: the list cannot be read: {error}; put it there, or let split = "recipe" divide the tracks'
        ) from error
    found = []
    for number, line in enumerate(lines, 1):
        ids = [match[0] for match in _ID.finditer(line)]
        if not ids and line.strip().isdecimal() and 1 <= int(line) <= 100 * len(GENRES):
            genre, index = divmod(int(line) - 1, 100)
            ids = [f"{GENRES[genre]}.{index:05d}"]
        if line.strip() and not ids:
            raise DatasetError(f"{file}:{number}: {line.strip()[:40]!r} names no track such as blues.00012")
        found.append((number, ids))
    return found
