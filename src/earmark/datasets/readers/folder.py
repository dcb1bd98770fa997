"""Folders as labels: ``genre/artist/song.mp3``, or several levels of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earmark.audio.files import left_out, walk
from earmark.datasets.core import Dataset, HeadSpec, Label, Track, group_tracks
from earmark.datasets.tables import FileTags, HeadPlan, check_label, check_names, head_plans, read_head
from earmark.errors import DatasetError
from earmark.tags.read import artist_and_album

LICENCE = ""
CITATION = ""
_PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".pdf")
LAYOUT = "LABEL/ARTIST/song.mp3: folders of the first level(s) are labels, the next one the artist, if there is one"
MARKS = ()


def load(root: Path, *, levels: list[str] | None = None, heads: Mapping[str, Any] | None = None) -> Dataset:
    """Read nested folders; folders of PNG images are a data set of images.

    Args:
        root: Folder of class folders.
        levels: Head of each level of folders; ``["genre"]`` if not given, none for a collection labelled by tags.
        heads: Further heads from the files' own tags (``column = "tag:mood"``).

    Raises:
        DatasetError: No class folders, an empty one, a folder's name that is no label, no tracks.
    """
    where = str(root)
    levels = ["genre"] if levels is None else levels
    plans = head_plans(heads or {}, f"{root / 'dataset.toml'}")
    check_names([*levels, *(plan.name for plan in plans)], where)
    if not levels and not plans:
        raise DatasetError(f"{where}: no levels and no [heads.NAME]: nothing to learn")
    files, kind = _files(root)
    pictures = _no_empty_folders(root, files) if levels else ()
    inside = [file for file in files if not levels or len(file.relative_to(root).parts) > 1]
    notices = pictures + _outside(len(files) - len(inside))
    if not inside:
        raise DatasetError(f"{where}: no music in class folders here; expected LABEL/song.mp3 or LABEL/ARTIST/song.mp3")
    names = [file.relative_to(root).as_posix() for file in inside]
    columns = _levels(names, levels, where)
    specs = [
        HeadSpec(h, "multiclass", tuple(sorted({str(label) for label in labels if label})))
        for h, labels in columns.items()
    ]
    tags = FileTags(inside)
    for plan in plans:
        spec, columns[plan.name] = _tagged(plan, tags, names, where)
        specs.append(spec)
    artists, albums = _artists(names, tags, max(len(levels), 1) if levels else 0)
    groups, group_by, group_notices = group_tracks(names, artists, albums)
    tracks = tuple(
        Track(inside[i], names[i], groups[i], None, {head: column[i] for head, column in columns.items()})
        for i in range(len(inside))
    )
    return Dataset(root.name, root, tuple(specs), tracks, group_by, kind, False, (*notices, *group_notices))


def _files(root: Path) -> tuple[list[Path], Any]:
    entries = list(walk([root]))
    audio = [Path(entry.path) for entry in entries if entry.audio and entry.error is None]
    if audio:
        return audio, "audio"
    images = [Path(entry.path) for entry in entries if entry.path.lower().endswith(".png")]
    if images:
        return images, "images"
    raise DatasetError(f"{root}: no audio files and no PNG images below this folder")


def _no_empty_folders(root: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """Refuse a class that was forgotten; a folder of pictures (artwork) is none, and gets a notice."""
    used, pictures = {file.relative_to(root).parts[0] for file in files}, []
    for folder in sorted(root.iterdir()):
        if not folder.is_dir() or folder.name in used or left_out(folder):
            continue
        if not any(file.suffix.lower() in _PICTURES for file in folder.rglob("*")):
            raise DatasetError(f"{folder}: the class folder is empty; put songs into it or remove it")
        pictures.append(folder.name)
    return (f"{', '.join(pictures)}: pictures, no songs: left out",) if pictures else ()


def _outside(count: int) -> tuple[str, ...]:
    return (f"{count} files stand in no class folder: left out",) if count else ()


def _levels(names: Sequence[str], levels: Sequence[str], where: str) -> dict[str, list[Label]]:
    columns: dict[str, list[Label]] = {head: [] for head in levels}
    for name in names:
        folders = name.split("/")[:-1]
        for depth, head in enumerate(levels):
            label = folders[depth].strip() if depth < len(folders) else None
            if label == "":
                raise DatasetError(f"{where}: {name}: a folder's name is empty, so it cannot be a label")
            columns[head].append(check_label(label, f"{where}: {name}") if label else None)
    return columns


def _tagged(plan: HeadPlan, tags: FileTags, names: Sequence[str], where: str) -> tuple[HeadSpec, list[Label]]:
    key = f"{where}: [heads.{plan.name}]"
    for column in plan.columns or (plan.column or plan.name,):
        if not column.startswith("tag:"):
            raise DatasetError(f"{key}: column = {column!r}: a folder has only its files' tags, as in 'tag:genre'")
    return read_head(plan, tags.cells, lambda i: names[i], key)


def _artists(names: Sequence[str], tags: FileTags, depth: int) -> tuple[list[str], list[str]]:
    """The folder below the labels is the artist; without one the file's own tags say."""
    artists, albums = [], []
    for row, name in enumerate(names):
        folders = name.split("/")[:-1]
        if depth and len(folders) > depth:
            artist, album = folders[depth], ""
        else:
            artist, album = artist_and_album(tags[row])
        artists.append(artist)
        albums.append(album)
    return artists, albums
