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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from earmark.datasets.core import Dataset, HeadSpec, Label, Part, Track, group_tracks
from earmark.datasets.tables import FileTags, check_names, head_plans, read_head
from earmark.errors import DatasetError, nearest

__all__ = [
    "COMMON",
    "Listed",
    "assemble",
    "find_folder",
    "list_readers",
    "most_frequent",
    "own_heads",
    "own_split",
    "read_manifest",
    "reader_module",
    "refuse_corpus",
    "run_reader",
]

COMMON = ("name", "reader", "path", "licence", "citation")
"""Keys of every dataset.toml."""

SPLITS = ("corpus", "recipe")
"""Whose parts a corpus is divided into: its own, or those that a recipe draws."""


def list_readers() -> tuple[str, ...]:
    """Names of the readers: the modules in ``earmark.datasets.readers``."""
    from earmark.datasets import readers

    return tuple(sorted(module.name for module in pkgutil.iter_modules(readers.__path__)))


def reader_module(name: str, where: str = "dataset.toml") -> types.ModuleType:
    """The module of a reader: ``load``; ``LICENCE``, ``CITATION``, ``LAYOUT`` as text; ``MARKS``, paths of a corpus.

    Raises:
        DatasetError: No such reader; names the nearest.
    """
    if name not in list_readers():
        near = nearest(name, list_readers())
        advice = f"did you mean {near!r}?" if near else f"known: {', '.join(list_readers())}"
        raise DatasetError(f"{where}: reader = {name!r}: there is no such reader; {advice}")
    return importlib.import_module(f"earmark.datasets.readers.{name}")


def refuse_corpus(root: Path) -> None:
    """Refuse a published corpus in a folder without dataset.toml: its folders are no labels.

    Raises:
        DatasetError: Names the reader.
    """
    for name in list_readers():
        mark = next((mark for mark in reader_module(name).MARKS if (root / mark).exists()), None)
        if mark is not None:
            raise DatasetError(
                f"{root}: {mark} is of the corpus {name}, whose folders are no labels; write a dataset.toml with the "
                f'line reader = "{name}" there'
            )


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
            near = nearest(key, (*known, *COMMON))
            advice = f"did you mean {near!r}?" if near else f"known: {', '.join((*COMMON, *known))}"
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


def own_heads(dataset: Dataset, table: Mapping[str, Any], where: str) -> Dataset:
    """A corpus with heads of one's own beside its heads; one of the same name takes the place of the corpus's.

    Columns are the corpus's heads, the labels of its multi-label heads (0 or 1), and tags of the files (``tag:NAME``).
    A head without ``task`` and ``bins`` is of the task of what it reads.

    Args:
        dataset: As the corpus's reader gives it.
        table: The ``[heads.NAME]`` tables.
        where: The dataset.toml, for messages.

    Raises:
        DatasetError: As :func:`earmark.datasets.tables.head_plans` and :func:`earmark.datasets.tables.read_head`.
    """
    known = {spec.name: spec for spec in dataset.heads}
    tags = FileTags([track.path for track in dataset.tracks]).cells

    def complete(name: str, options: Any) -> Any:
        read = known.get(str(options.get("column", name))) if isinstance(options, Mapping) else None
        return options if read is None or {"task", "bins"} & options.keys() else {"task": read.task, **options}

    def cells(column: str, asked_by: str, separator: str) -> Sequence[str]:
        if column.startswith("tag:"):
            return tags(column, asked_by, separator)
        if column in known:
            return [_cell(track.labels.get(column), separator, asked_by) for track in dataset.tracks]
        several = next((one.name for one in dataset.heads if one.task == "multilabel" and column in one.labels), None)
        if several is None:
            raise _no_such_column(dataset, column, asked_by)
        return [_zero_or_one(track.labels.get(several), column) for track in dataset.tracks]

    plans = head_plans({name: complete(name, options) for name, options in table.items()}, where)
    mine = {plan.name.casefold() for plan in plans}
    kept = [spec for spec in dataset.heads if spec.name.casefold() not in mine]
    check_names([*(spec.name for spec in kept), *(plan.name for plan in plans)], where)
    names = [track.name for track in dataset.tracks]
    read = [read_head(plan, cells, names.__getitem__, f"{where}: [heads.{plan.name}]") for plan in plans]
    tracks = tuple(
        replace(track, labels={**track.labels, **{spec.name: labels[row] for spec, labels in read}})
        for row, track in enumerate(dataset.tracks)
    )
    return replace(dataset, heads=(*kept, *(spec for spec, _ in read)), tracks=tracks)


def own_split(dataset: Dataset, word: str, where: str) -> Dataset:
    """A corpus with the parts that it assigns itself (``corpus``), or with none: a recipe divides it (``recipe``).

    Raises:
        DatasetError: Another word.
    """
    if word not in SPLITS:
        raise DatasetError(f"{where}: split = {word!r}: must be {' or '.join(map(repr, SPLITS))}")
    if word == "corpus":
        return dataset
    return replace(dataset, has_split=False, tracks=tuple(replace(track, part=None) for track in dataset.tracks))


def _cell(label: Label, separator: str, asked_by: str) -> str:
    """A label as a cell; a track with none of several labels is labelled, which an empty cell would not be."""
    if isinstance(label, tuple):
        if not separator and len(label) > 1:
            raise DatasetError(f'{asked_by}: a track has several labels there; say task = "multilabel"')
        return separator.join(label) or separator
    return "" if label is None else str(label)


def _zero_or_one(labels: Label, column: str) -> str:
    return str(int(column in labels)) if isinstance(labels, tuple) else ""


def _no_such_column(dataset: Dataset, column: str, asked_by: str) -> DatasetError:
    known = [spec.name for spec in dataset.heads]
    near = nearest(column, [*known, *(label for spec in dataset.heads for label in spec.labels)])
    why = [notice for notice in dataset.notices if column in notice]
    advice = "; ".join(why) if why else f"did you mean {near!r}?" if near else f"it has: {', '.join(known)}"
    return DatasetError(f"{asked_by}: the corpus has no column {column!r}; {advice}")


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
        raise DatasetError(
            f"{audio}: none of the {missing} listed files is here{example}; put the corpus's audio there, "
            "or let path in dataset.toml name the folder that holds it"
        )
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
