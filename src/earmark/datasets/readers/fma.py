"""FMA: Creative Commons music of the Free Music Archive in the subsets small, medium and large."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from earmark.datasets.core import Dataset, HeadSpec, Label, Part
from earmark.datasets.reading import Listed, assemble, find_folder
from earmark.datasets.tables import no_column, read_rows
from earmark.errors import DatasetError

LICENCE = "each track under the Creative Commons licence that its artist chose (tracks.csv); metadata CC BY 4.0"
CITATION = "Defferrard, Benzi, Vandergheynst and Bresson: FMA: a dataset for music analysis, ISMIR 2017"
LAYOUT = "fma_metadata/{tracks,genres,echonest}.csv and fma_small/000/000002.mp3 (or fma_medium, fma_large)"
MARKS = ("fma_metadata/tracks.csv",)

SUBSETS = ("small", "medium", "large", "full")
FEATURES = (
    "valence", "danceability", "energy", "acousticness", "instrumentalness", "liveness", "speechiness", "tempo",
)  # fmt: skip
NO_AUDIO = frozenset((98565, 98567, 98569, 99134, 108925, 133297))
"""Clips of at most two seconds, or of none, in every subset."""

_PARTS: Mapping[str, Part] = {"training": "train", "validation": "valid", "test": "test"}
_Columns = Mapping[tuple[str, ...], int]


def load(root: Path, *, subset: str = "small") -> Dataset:
    """Read one subset: heads ``genre`` (top genre), ``genres`` (all, multi-label) and eight audio features as numbers.

    The audio features are there for the tracks of ``echonest.csv``, and no head of them is made without that file.

    Args:
        root: Folder that holds ``fma_metadata`` and the audio.
        subset: ``small`` (8 genres x 1,000 clips), ``medium`` (16 genres), ``large`` or ``full``.

    Raises:
        DatasetError: Missing files or columns, an unknown subset.
    """
    if subset not in SUBSETS:
        raise DatasetError(f"{root}: subset = {subset!r}: must be one of {', '.join(SUBSETS)}")
    metadata = find_folder(root, ("fma_metadata", "."), "tracks.csv", LAYOUT)
    columns, rows = _headed(metadata / "tracks.csv")
    titles = _genres(find_folder(metadata, (".",), "genres.csv", LAYOUT) / "genres.csv")
    features = _features(metadata / "echonest.csv")
    wanted = SUBSETS[: SUBSETS.index(subset) + 1]
    at = {key: _at(metadata / "tracks.csv", columns, key) for key in _KEYS}
    listed, left_out = [], 0
    for line, row in rows:
        if row[at["set", "subset"]] not in wanted:
            continue
        number = int(row[0])
        if number in NO_AUDIO:
            left_out += 1
            continue
        labels: dict[str, Label] = {"genre": row[at["track", "genre_top"]] or None}
        labels["genres"] = _titles(row[at["track", "genres_all"]], titles, f"{metadata / 'tracks.csv'}:{line}")
        labels |= features.get(number, dict.fromkeys(FEATURES) if features else {})
        name = f"{number // 1000:03d}/{number:06d}.mp3"
        part = _PARTS.get(row[at["set", "split"]])
        listed.append(Listed(name, row[at["artist", "id"]], part, labels, row[at["album", "id"]]))
    heads = [
        HeadSpec("genre", "multiclass", tuple(sorted({str(t.labels["genre"]) for t in listed if t.labels["genre"]}))),
        HeadSpec("genres", "multilabel", tuple(sorted({g for t in listed for g in t.labels["genres"] or ()}))),  # type: ignore[union-attr]
        *(HeadSpec(name, "regression") for name in FEATURES if features),
    ]
    notices = [f"{left_out} tracks known to have no audio: left out"] if left_out else []
    if not features:
        notices.append(
            f"there is no echonest.csv: no heads of audio features ({', '.join(FEATURES)}); "
            "it is part of fma_metadata.zip"
        )
    return assemble(_audio(root, subset), listed, heads, notices)


_KEYS = (("set", "subset"), ("set", "split"), ("artist", "id"), ("album", "id"), ("track", "genre_top"),
         ("track", "genres_all"))  # fmt: skip


def _audio(root: Path, subset: str) -> Path:
    """A folder of the subset, or of one that holds it."""
    for candidate in SUBSETS[SUBSETS.index(subset) :]:
        if (root / f"fma_{candidate}").is_dir():
            return root / f"fma_{candidate}"
    return root


def _headed(file: Path) -> tuple[_Columns, list[tuple[int, tuple[str, ...]]]]:
    """A table whose columns are named by several rows above the one that says ``track_id``; rows with their lines."""
    rows, lines = read_rows(file)
    first = next((i for i, row in enumerate(rows[:6]) if row[0] == "track_id"), None)
    if not first:
        raise DatasetError(f"{file}:1: not a table of FMA: no row 'track_id' below the names of the columns")
    columns = {tuple(row[i] for row in rows[:first]): i for i in range(len(rows[0]))}
    body = list(zip(lines[first + 1 :], rows[first + 1 :], strict=True))
    for line, row in body:
        if len(row) != len(columns) or not row[0].isdecimal():
            raise DatasetError(f"{file}:{line}: {len(row)} cells, but {len(columns)} columns, or no track id")
    return columns, body


def _at(file: Path, columns: _Columns, key: tuple[str, ...]) -> int:
    if key not in columns:
        raise no_column(file, ".".join(key), [".".join(column) for column in columns])
    return columns[key]


def _genres(file: Path) -> Mapping[int, str]:
    rows, lines = read_rows(file)
    header, *body = rows
    if "genre_id" not in header or "title" not in header:
        raise no_column(file, "genre_id" if "genre_id" not in header else "title", header)
    number, title = header.index("genre_id"), header.index("title")
    for row, line in zip(body, lines[1:], strict=True):
        if len(row) != len(header) or not row[number].isdecimal():
            raise DatasetError(f"{file}:{line}: {len(row)} cells, but {len(header)} columns, or no genre id")
    return {int(row[number]): row[title] for row in body}


def _titles(cell: str, titles: Mapping[int, str], where: str) -> tuple[str, ...] | None:
    try:
        numbers = json.loads(cell or "[]")
        return tuple(sorted({titles[int(number)] for number in numbers})) or None
    except (ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"{where}: genres_all = {cell[:40]!r}: not a list of ids of genres.csv") from error


def _features(file: Path) -> Mapping[int, dict[str, Label]]:
    if not file.exists():
        return {}
    columns, rows = _headed(file)
    at = {name: _at(file, columns, ("echonest", "audio_features", name)) for name in FEATURES}
    found: dict[int, dict[str, Label]] = {}
    for line, row in rows:
        try:
            found[int(row[0])] = {name: float(row[i]) if row[i] else None for name, i in at.items()}
        except ValueError as error:
            raise DatasetError(f"{file}:{line}: an audio feature is not a number: {error}") from error
    return found
