"""Tags in the files themselves: artist, album, genre and whatever else a file says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from earmark.errors import DatasetError, nearest

__all__ = ["artist_and_album", "read_tags", "tag_cells"]


def read_tags(path: Path) -> Mapping[str, tuple[str, ...]]:
    """All values of each tag, names in lower case (``artist``, ``album``, ``albumartist``, ``genre``, ``mood``, ...).

    A file without tags, or whose tags cannot be read, has none: a tag is never worth an error.
    """
    from tinytag import TinyTag

    try:
        found = TinyTag.get(path, duration=False).as_dict()
    except Exception:  # a parser of strangers' files; whatever it stumbles on, the file has no tags for us
        return {}
    return {
        name.casefold(): tuple(text for value in values if (text := str(value).strip()))
        for name, values in found.items()
        if isinstance(values, list)
    }


def artist_and_album(tags: Mapping[str, tuple[str, ...]]) -> tuple[str, str]:
    """Artist and album by a file's own tags; "" where it names none."""
    artists = [*tags.get("artist", ()), *tags.get("albumartist", ())]
    return (artists or [""])[0], (*tags.get("album", ()), "")[0]


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
