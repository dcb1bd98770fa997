"""dataset.toml: which reader, with which options; and what readers of published corpora share.

Those find the listed files that are there, and say which are not.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from earmark.datasets.core import Dataset, HeadSpec, Label, Part, Track, group_tracks
from earmark.errors import DatasetError, nearest

__all__ = [
    "Listed",
    "assemble",
    "find_folder",
    "list_readers",
    "most_frequent",
    "read_manifest",
    "reader_module",
    "run_reader",
]

_COMMON = ("name", "reader", "path", "licence", "citation")


def list_readers() -> tuple[str, ...]:
    """Names of the readers: the modules in ``earmark.datasets.readers``."""
    from earmark.datasets import readers

    return tuple(sorted(module.name for module in pkgutil.iter_modules(readers.__path__)))


def reader_module(name: str, where: str = "dataset.toml") -> types.ModuleType:
    """The module of a reader: ``load``, and ``LICENCE``, ``CITATION``, ``LAYOUT`` as text.

    Raises:
        DatasetError: No such reader; names the nearest.
    """
    if name not in list_readers():
        near = nearest(name, list_readers())
        advice = f"did you mean {near!r}?" if near else f"known: {', '.join(list_readers())}"
        raise DatasetError(f"{where}: reader = {name!r}: there is no such reader; {advice}")
    return importlib.import_module(f"earmark.datasets.readers.{name}")


def read_manifest(path: Path) -> dict[str, Any]:
    """A dataset.toml as it stands.

    Raises:
        DatasetError: It cannot be read, is not UTF-8, or is not valid TOML (which two heads of one name are not).
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8; save it in the encoding UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        twice = "('heads'" in str(error) and "twice" in str(error)
        why = "two heads of one name: " if twice else ""
        raise DatasetError(f"{path}: {why}not valid TOML: {error}") from error


def run_reader(name: str, root: Path, options: Mapping[str, Any], where: str) -> Dataset:
    """Call a reader with the options of a dataset.toml; its signature says which there are.

    Raises:
        DatasetError: An unknown, missing or ill-typed option, or whatever the reader finds wrong.
    """
    load = reader_module(name, where).load
    hints = get_type_hints(load)
    known = {p.name: p for p in inspect.signature(load).parameters.values() if p.kind is p.KEYWORD_ONLY}
    for key, value in options.items():
        if key not in known:
            near = nearest(key, (*known, *_COMMON))
            advice = f"did you mean {near!r}?" if near else f"known: {', '.join((*_COMMON, *known))}"
            raise DatasetError(f"{where}: unknown key {key!r}; {advice}")
        if not _fits(value, hints[key]):
            raise DatasetError(f"{where}: {key} = {value!r}: must be {_say(hints[key])}")
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in options:
            raise DatasetError(f"{where}: the key {key!r} is missing")
    loaded = load(root, **options)
    assert isinstance(loaded, Dataset)
    return loaded


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if hint is Any:
        return True
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if origin is not None:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    return type(value) is hint


def _say(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_say(argument) for argument in get_args(hint))
    if origin is not None:
        return "a table" if issubclass(origin, Mapping) else "a list of texts"
    return {str: "text", int: "a whole number", bool: "true or false"}.get(hint, str(hint))


@dataclass(frozen=True, slots=True)
class Listed:
    """One track as a corpus lists it; ``name`` is its path below the audio folder."""

    name: str
    artist: str
    part: Part | None
    labels: Mapping[str, Label]
    album: str = ""


def find_folder(root: Path, candidates: Sequence[str], marker: str, layout: str) -> Path:
    """The first of some folders below ``root`` that holds the file ``marker``.

    Raises:
        DatasetError: None does; says the layout that is expected.
    """
    for candidate in candidates:
        if (root / candidate / marker).exists():
            return root / candidate
    raise DatasetError(f"{root}: found no {marker}; expected layout: {layout}")


def assemble(
    audio: Path,
    listed: Iterable[Listed],
    heads: Sequence[HeadSpec],
    notices: Sequence[str] = (),
    has_split: bool = True,
) -> Dataset:
    """A data set of the listed tracks whose files are there and not empty; the others are left out with a notice.

    Args:
        audio: Folder that the tracks' names are relative to.
        listed: Tracks of the corpus, in its order.
        heads: Vocabularies.
        notices: What the reader has to say already.
        has_split: Whether the tracks have parts.

    Raises:
        DatasetError: None of the files is there.
    """
    everything = tuple(listed)
    present = [track for track in everything if _has_content(audio / track.name)]
    missing = len(everything) - len(present)
    if not present:
        example = f", as {everything[0].name}" if everything else ""
        raise DatasetError(f"{audio}: none of the {missing} listed files is here{example}")
    names = [track.name for track in present]
    groups, group_by, grouped = group_tracks(names, [t.artist for t in present], [t.album for t in present])
    tracks = tuple(
        Track(audio / track.name, track.name, group, track.part, track.labels)
        for track, group in zip(present, groups, strict=True)
    )
    absent = (f"{missing} of {len(everything)} listed files are missing or empty: left out",) if missing else ()
    return Dataset(
        name=audio.name,
        root=audio,
        heads=tuple(heads),
        tracks=tracks,
        group_by=group_by,
        has_split=has_split and any(track.part for track in tracks),
        notices=(*notices, *absent, *grouped),
    )


def most_frequent(counts: Mapping[str, int], top: int) -> tuple[str, ...]:
    """The ``top`` labels with the highest counts (all if 0), in sorted order; ties go to the earlier name."""
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    return tuple(sorted(ranked[:top] if top else ranked))


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except OSError:
        return False
