"""A CSV or TSV with a column ``path``: audio files or PNG spectrograms, and labels of any kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from earmark.datasets.core import Dataset, GroupBy, Part, Track, group_tracks
from earmark.datasets.tables import Cells, Table, head_plans, read_head, read_table, tag_cells
from earmark.errors import DatasetError, nearest

LICENCE = ""
CITATION = ""
LAYOUT = "a CSV or TSV whose column 'path' names audio files or PNG spectrograms, relative to the table"

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
        group: Column that never stands on both sides of a split; without it ``artist``, else ``album``.
        split: Column of train, valid, test; anything else is unused.

    Raises:
        DatasetError: Names the line, column or key.
    """
    where = f"{root / 'dataset.toml'}"
    rows = read_table(root / table)
    names, paths, kind = _paths(rows)
    groups, group_by, notices = _groups(rows, names, group, where)
    parts, unused = _parts(rows, split, where)
    cells = _cells(rows, paths)
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
    rows: Table, names: Sequence[str], group: str | None, where: str
) -> tuple[tuple[str, ...], GroupBy, tuple[str, ...]]:
    nothing = ("",) * len(names)
    albums = rows.column("album") if "album" in rows.columns else nothing
    if group is None:
        return group_tracks(names, rows.column("artist") if "artist" in rows.columns else nothing, albums)
    chosen = rows.column(group, f"{where}: group")
    if group.casefold() == "album":
        return group_tracks(names, nothing, chosen)
    return group_tracks(names, chosen, albums)


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
    return parts, ("; ".join((notice, *hints[:2])),)


def _near(word: str) -> str | None:
    return _MEANT.get(word) or (nearest(word, PARTS) if word else None)


def _cells(rows: Table, paths: Sequence[Path]) -> Cells:
    tags = tag_cells(paths)

    def cells(column: str, asked_by: str, separator: str) -> Sequence[str]:
        if column.startswith("tag:"):
            return tags(column, asked_by, separator)
        return rows.column(column, asked_by)

    return cells
