"""Labels from the files' own tags: columns named ``tag:NAME``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from earmark.errors import DatasetError, nearest
from earmark.tags.read import read_tags

__all__ = ["tag_cells"]


def tag_cells(paths: Sequence[Path]) -> Callable[[str, str, str], Sequence[str]]:
    """Cells of columns named ``tag:NAME``, for :func:`earmark.datasets.heads.read_head`.

    Every file is read once, and only if such a column is asked for.
    """
    read: list[Mapping[str, tuple[str, ...]]] = []

    def cells(column: str, asked_by: str, separator: str) -> Sequence[str]:
        name = column.removeprefix("tag:").casefold()
        read.extend(map(read_tags, paths[len(read) :]))
        values = [tags.get(name, ()) for tags in read]
        if not any(values):
            known = sorted({tag for tags in read for tag in tags})
            near = nearest(name, known)
            advice = f"did you mean 'tag:{near}'?" if near else f"their tags: {', '.join(known)[:200] or 'none'}"
            raise DatasetError(f"{asked_by}: no file has the tag {name!r}; {advice}")
        return [separator.join(found) if separator else (*found, "")[0] for found in values]

    return cells
