"""A CSV or TSV with a column ``path``: audio files or PNG spectrograms, and labels of any kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from earmark.datasets.core import Dataset, GroupBy, Part, Track, group_tracks, names_nobody
from earmark.datasets.from_tags import spelling_key
from earmark.datasets.tables import Cells, FileTags, Table, head_plans, read_head, read_table
from earmark.errors import DatasetError, nearest
from earmark.tags.read import artist_and_album
from earmark.text import fold_artist

LICENCE = ""
CITATION = ""
LAYOUT = "a CSV or TSV whose column 'path' names audio files or PNG spectrograms, relative to the table"
MARKS = ()

PARTS = ("train", "valid", "test")
_MEANT = {"training": "train", "validation": "valid", "val": "valid", "dev": "valid", "testing": "test", "eval": "test"}


def load(
    root: Path, *, table: str, heads: Mapping[str, Any], group: str | None = None, split: str | None = None
) -> Dataset:
    """Read the table.

    Args:
        root: Folder that ``table`` is relative to.
        table: The CSV or TSV; paths in it are relative to it.
        heads: ``[heads.NAME]`` tables.
        group: Column that never stands on both sides of a split, or ``tag:NAME`` for a tag of the files; without it
            ``artist``, else ``album``. Where it names none, the files' own tags do.
        split: Column of train, valid, test; anything else is unused.

    Raises:
        DatasetError: Names the line, column or key.
    """
    where = f"{root / 'dataset.toml'}"
    rows = read_table(root / table)
    names, paths, kind = _paths(rows)
    tags = FileTags(paths if kind == "audio" else ())
    groups, group_by, notices = _groups(rows, names, group, tags, where)
    parts, unused = _parts(rows, split, where)
    cells = _cells(rows, tags)
    if not heads:
        raise DatasetError(f"{where}: there is no [heads.NAME]: nothing to learn")
    read = [read_head(plan, cells, rows.where, f"{where}: [heads.{plan.name}]") for plan in head_plans(heads, where)]
    columns = {spec.name: labels for spec, labels in read}
    tracks = tuple(
        Track(path, name, groups[i], parts[i], {head: labels[i] for head, labels in columns.items()})
        for i, (path, name) in enumerate(zip(paths, names, strict=True))
    )
    return Dataset(
        name=root.name,
        root=root,
        heads=tuple(spec for spec, _ in read),
        tracks=tracks,
        group_by=group_by,
        kind=kind,
        has_split=split is not None,
        notices=(*notices, *unused),
    )


def _paths(rows: Table) -> tuple[list[str], list[Path], Literal["audio", "images"]]:
    folder = rows.path.parent
    names: list[str] = []
    first: dict[str, int] = {}
    for i, cell in enumerate(rows.column("path")):
        if not cell:
            raise DatasetError(f"{rows.where(i)}: the path is empty")
        # Tables from Windows; but elsewhere a backslash may be part of a name.
        name = PurePosixPath(cell if (folder / cell).is_file() else cell.replace("\\", "/")).as_posix()
        if name in first:
            raise DatasetError(f"{rows.where(i)}: the path {name!r} stands in line {rows.lines[first[name]]} already")
        first[name] = i
        names.append(name)
    paths = [folder / name for name in names]
    missing = [i for i, path in enumerate(paths) if not path.is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DatasetError(f"{rows.where(missing[0])}: no such file: {paths[missing[0]]}{more}")
    images = [path.suffix.lower() == ".png" for path in paths]
    if any(images) and not all(images):
        odd = images.index(not images[0])
        raise DatasetError(f"{rows.where(odd)}: {names[odd]!r}: images and audio cannot stand in one data set")
    return names, paths, "images" if images[0] else "audio"


def _groups(
    rows: Table, names: Sequence[str], group: str | None, tags: FileTags, where: str
) -> tuple[tuple[str, ...], GroupBy, tuple[str, ...]]:
    """Groups by the table, and where it names none by the files' own tags."""
    nothing, notices = [""] * len(names), list[str]()
    albums = list(rows.column("album")) if "album" in rows.columns else nothing
    column = group or ("artist" if "artist" in rows.columns else "")
    if column.startswith("tag:"):
        chosen = list(tags.cells(column, f"{where}: group", ""))
    else:
        chosen = list(rows.column(column, f"{where}: group")) if column else nothing
    if column.removeprefix("tag:").casefold() == "album":
        albums, chosen = chosen, nothing
    elif len(tags):
        if "artist" in column.casefold() and not column.startswith("tag:"):
            notices += _contradictions(column, names, chosen, tags)
        chosen, albums, filled = _filled(chosen, albums, tags)
        notices += _gaps(rows, column, filled)
    groups, group_by, more = group_tracks(names, chosen, albums)
    return groups, group_by, (*more, *notices)


def _filled(chosen: Sequence[str], albums: Sequence[str], tags: FileTags) -> tuple[list[str], list[str], list[bool]]:
    """Artists and albums, those that are missing by the files' own tags; and which artists these are."""
    artists, discs, filled = [], [], []
    for row, (artist, album) in enumerate(zip(chosen, albums, strict=True)):
        own, disc = artist_and_album(tags[row]) if names_nobody(artist) else ("", "")
        artists.append(own or artist)
        discs.append(album or disc)
        filled.append(bool(own))
    return artists, discs, filled


def _gaps(rows: Table, column: str, filled: Sequence[bool]) -> list[str]:
    if not column:
        named = f"they name {sum(filled)} of {len(filled)}"
        return [f"the table names no artists: the files' own tags do instead ({named})"] if any(filled) else []
    if column.startswith("tag:"):
        return []
    empty = [row for row, cell in enumerate(rows.column(column)) if not cell]
    if not empty:
        return []
    taken = sum(filled[row] for row in empty)
    return [
        f"the column {column!r} is empty in {len(empty)} of {len(filled)} rows, first in {rows.where(empty[0])}: fill "
        f"it in, in the table or as the files' artist tag, which takes its place in {taken} rows"
    ]


_LOOKED_AT = 2000  # files whose tags are held against the table


def _contradictions(column: str, names: Sequence[str], chosen: Sequence[str], tags: FileTags) -> list[str]:
    """Where the files' own tags name other artists, unless the table has numbers or the like, one an artist."""
    pairs = {
        row: (spelling_key(fold_artist(chosen[row])), spelling_key(fold_artist(own)))
        for row in range(min(len(names), _LOOKED_AT))
        if not names_nobody(chosen[row]) and not names_nobody(own := artist_and_album(tags[row])[0])
    }
    under: dict[str, set[str]] = {}
    for theirs, own in pairs.values():
        under.setdefault(own, set()).add(theirs)
    alike = {theirs for theirs, _ in pairs.values()} & set(under)
    wrong = [row for row, (theirs, own) in pairs.items() if (theirs != own if alike else len(under[own]) > 1)]
    if not wrong:
        return []
    first = wrong[0]
    example = f"{names[first]} ({chosen[first]!r}, in the file {artist_and_album(tags[first])[0]!r})"
    return [
        f"the column {column!r} and the files' own tags name different artists for {len(wrong)} of {len(pairs)} "
        f'tracks, as {example}: the table counts; group = "tag:artist" goes by the files'
    ]


def _parts(rows: Table, split: str | None, where: str) -> tuple[Sequence[Part | None], tuple[str, ...]]:
    if split is None:
        return [None] * len(rows.rows), ()
    words = [cell.casefold() for cell in rows.column(split, f"{where}: split")]
    parts: list[Part | None] = [word if word in PARTS else None for word in words]  # type: ignore[misc]
    others = Counter(word for word, part in zip(words, parts, strict=True) if part is None)
    listed = ", ".join(f"{word!r}" for word in sorted(others)[:8])
    hints = [f"did you mean {_near(word)!r} by {word!r}?" for word in sorted(others) if _near(word)]
    if not any(parts):
        raise DatasetError(
            f"{rows.path}:1: the column {split!r} holds {listed}, but never train, valid or test; "
            + (hints[0] if hints else "write these words")
        )
    if not others:
        return parts, ()
    notice = f"split: {sum(others.values())} of {len(parts)} tracks are unused ({listed})"
    return parts, ("; ".join((notice, *(hints[:2] or ["to use them, write train, valid or test"]))),)


def _near(word: str) -> str | None:
    return _MEANT.get(word) or (nearest(word, PARTS) if word else None)


def _cells(rows: Table, tags: FileTags) -> Cells:
    def cells(column: str, asked_by: str, separator: str) -> Sequence[str]:
        if column.startswith("tag:"):
            return tags.cells(column, asked_by, separator)
        return rows.column(column, asked_by)

    return cells
