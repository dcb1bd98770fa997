"""Tables: CSV and TSV files read whole, or columns of the files' own tags; their cells become the labels of heads.

Each cell knows the line that it stands in. A head's options are those of ``[heads.NAME]`` in dataset.toml.
"""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from earmark.datasets.core import HeadSpec, Label
from earmark.errors import DatasetError, nearest
from earmark.recipe import Task
from earmark.tags.read import read_tags

__all__ = [
    "MAX_LABEL",
    "Cells",
    "FileTags",
    "HeadPlan",
    "Table",
    "check_label",
    "check_names",
    "head_plans",
    "no_column",
    "read_head",
    "read_rows",
    "read_table",
]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with named columns.

    Attributes:
        path: The file.
        columns: Names, in order.
        rows: Cells without surrounding blanks, as many in each row as there are columns.
        lines: Line of the file that each row ends in, from 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str, asked_by: str = "") -> tuple[str, ...]:
        """The cells of one column.

        Raises:
            DatasetError: No such column; names the nearest, and ``asked_by``, the key that named it.
        """
        if name not in self.columns:
            raise no_column(self.path, name, self.columns, asked_by)
        index = self.columns.index(name)
        return tuple(row[index] for row in self.rows)

    def where(self, row: int) -> str:
        """``tracks.tsv:17``, for messages."""
        return f"{self.path.name}:{self.lines[row]}"


def no_column(path: Path, name: str, columns: Sequence[str], asked_by: str = "") -> DatasetError:
    """The error for a column that is not there."""
    near = nearest(name, columns)
    advice = f"did you mean {near!r}?" if near else f"it has: {', '.join(columns)[:200] or 'none'}"
    return DatasetError(f"{asked_by + ': ' if asked_by else ''}{path}:1: there is no column {name!r}; {advice}")


def read_rows(path: Path) -> tuple[list[tuple[str, ...]], list[int]]:
    """All rows of a CSV or TSV (by its ending; a CSV's separator by its first line), and the line each ends in.

    Raises:
        DatasetError: The file is missing, empty, not UTF-8, or no table.
    """
    text = _text(path)
    separator = _separator(path, text.partition("\n")[0])
    # A tab cannot stand in a cell, so quotes in a TSV are part of a title unless they enclose the whole cell.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting)
    rows, lines = [], []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(tuple(_cell(cell) if separator == "\t" else cell.strip() for cell in row))
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DatasetError(f"{path}:{reader.line_num}: not a table: {error}") from error
    if not rows:
        raise DatasetError(f"{path}: the table is empty")
    return rows, lines


def read_table(path: Path) -> Table:
    """A table whose first row names the columns.

    Raises:
        DatasetError: The file is missing, not UTF-8, or empty, a row has too many or too few cells, or two columns
            have one name.
    """
    rows, lines = read_rows(path)
    columns, *body = rows
    twice = [name for name in columns if name and columns.count(name) > 1]
    if twice:
        raise DatasetError(f"{path}:{lines[0]}: two columns are named {twice[0]!r}")
    for row, line in zip(body, lines[1:], strict=True):
        if len(row) != len(columns):
            raise DatasetError(f"{path}:{line}: {len(row)} cells, but {len(columns)} columns")
    if not body:
        raise DatasetError(f"{path}: the table names columns but no tracks")
    return Table(path, columns, tuple(body), tuple(lines[1:]))


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            f"{path}:{line}: not UTF-8 (byte 0x{raw[error.start]:02x}); save the table in the encoding UTF-8"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DatasetError(f"{path}:{line}: not UTF-8 text (a zero byte); save the table in the encoding UTF-8")
    return text


def _separator(path: Path, header: str) -> str:
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    # Spreadsheets in half of Europe write ; into what they call CSV.
    return max(",;\t", key=header.count)


def _cell(cell: str) -> str:
    cell = cell.strip()
    inner = cell[1:-1]
    if len(cell) >= 2 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell


class FileTags:
    """The tags of files, each read once and only when it is asked for.

    Args:
        paths: The files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths, self._read = paths, dict[int, Mapping[str, tuple[str, ...]]]()

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, row: int) -> Mapping[str, tuple[str, ...]]:
        """What :func:`earmark.tags.read.read_tags` finds in one file."""
        if row not in self._read:
            self._read[row] = read_tags(self._paths[row])
        return self._read[row]

    def cells(self, column: str, asked_by: str, separator: str) -> Sequence[str]:
        """Cells of a column named ``tag:NAME``, for :func:`read_head`.

        Raises:
            DatasetError: No file has that tag; names the nearest.
        """
        name, rows = column.removeprefix("tag:").casefold(), range(len(self._paths))
        values = [self[row].get(name, ()) for row in rows]
        if not any(values):
            known = sorted({tag for row in rows for tag in self[row]})
            near = nearest(name, known)
            advice = f"did you mean 'tag:{near}'?" if near else f"their tags: {', '.join(known)[:200] or 'none'}"
            raise DatasetError(f"{asked_by}: no file has the tag {name!r}; {advice}")
        return [separator.join(found) if separator else (*found, "")[0] for found in values]


MAX_LABEL = 100
"""Longest label, in characters: what is longer is a sentence in the wrong column."""

RESERVED = ("spectrogram", "embedding")
_TASKS = ("multiclass", "multilabel", "regression")

Cells = Callable[[str, str, str], Sequence[str]]
"""(column, key that asks for it, separator of several values or "" for one) -> a cell a track; raises without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadPlan:
    """The options of one ``[heads.NAME]``.

    Attributes:
        column: Column of the label, ``tag:NAME`` for a tag of the files themselves; "" is a column of the head's name.
        task: What is learnt.
        separator: Between the labels of a multi-label cell.
        min_tracks: Rarer labels are left out of the vocabulary at training.
        bins: Edges that cut a number into classes; a number equal to an edge belongs above it.
        labels: Names of the classes between the edges, or the fixed vocabulary in its order.
        columns: One numeric column a label.
        threshold: The label is present from this number on.
    """

    name: str
    column: str = ""
    task: Task = "multiclass"
    separator: str = ";"
    min_tracks: int = 0
    bins: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    threshold: float = 0.5


_KINDS: Mapping[str, tuple[type, ...]] = {
    "column": (str,), "task": (str,), "separator": (str,), "min_tracks": (int,), "threshold": (int, float),
    "bins": (list,), "labels": (list,), "columns": (list,),
}  # fmt: skip
_ITEMS: Mapping[str, tuple[type, ...]] = {"bins": (int, float), "labels": (str,), "columns": (str,)}


def check_names(names: Iterable[str], where: str) -> None:
    """Refuse two heads of one name, and names that a model folder uses for something else.

    Raises:
        DatasetError: Names the head.
    """
    seen: dict[str, str] = {}
    for name in names:
        if name.casefold() in seen:
            other = seen[name.casefold()]
            raise DatasetError(f"{where}: two heads of one name: {other!r} and {name!r} (case does not count)")
        seen[name.casefold()] = name
        if name.casefold() in RESERVED or ":" in name or not name.strip() or len(name) > MAX_LABEL:
            raise DatasetError(f"{where}: a head cannot be named {name!r}; choose another name")


def head_plans(table: Mapping[str, Any], where: str) -> tuple[HeadPlan, ...]:
    """The options of all heads, checked.

    Raises:
        DatasetError: An unknown or ill-typed key, two heads of one name, or options that contradict each other.
    """
    check_names(table, where)
    return tuple(_plan(name, options, where) for name, options in table.items())


def _plan(name: str, options: Any, where: str) -> HeadPlan:
    at = f"{where}: [heads.{name}]"
    if not isinstance(options, Mapping):
        raise DatasetError(f"{where}: heads.{name} must be a table: [heads.{name}]")
    for key, value in options.items():
        if key not in _KINDS:
            near = nearest(key, _KINDS)
            raise DatasetError(f"{at}: unknown key {key!r}; {_advice(near, _KINDS)}")
        good = isinstance(value, _KINDS[key]) and not isinstance(value, bool)
        good = good and all(isinstance(v, _ITEMS[key]) and not isinstance(v, bool) for v in _items(key, value))
        if not good:
            raise DatasetError(f"{at}: {key} = {value!r}: wrong type; must be {_wanted(key)}")
    ready: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    plan = HeadPlan(name=name, **ready)
    _contradictions(plan, at)
    return plan


def _items(key: str, value: Any) -> Sequence[Any]:
    return value if key in _ITEMS else ()


def _wanted(key: str) -> str:
    names = {str: "text", int: "a whole number", float: "a number"}
    if key in _ITEMS:
        return f"a list of {'numbers' if float in _ITEMS[key] else 'texts'}"
    return names[_KINDS[key][-1]]


def _advice(near: str | None, known: Iterable[str]) -> str:
    return f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"


def _contradictions(plan: HeadPlan, at: str) -> None:
    if plan.task not in _TASKS:
        raise DatasetError(f"{at}: task = {plan.task!r}; {_advice(nearest(plan.task, _TASKS), _TASKS)}")
    problems = {
        "columns and column cannot stand together": plan.columns and plan.column,
        "columns needs task = 'multilabel'": plan.columns and plan.task != "multilabel",
        "bins needs task = 'multiclass'": plan.bins and plan.task != "multiclass",
        f"bins must rise: write bins = {sorted(set(plan.bins))}": any(
            a >= b for a, b in zip(plan.bins, plan.bins[1:], strict=False)
        ),
        f"{len(plan.bins)} bins cut {len(plan.bins) + 1} classes, but labels names {len(plan.labels)}": plan.bins
        and len(plan.labels) != len(plan.bins) + 1,
        "separator is empty": not plan.separator,
        "a label or column stands twice": len(set(plan.labels)) < len(plan.labels)
        or len(set(plan.columns)) < len(plan.columns),
        "a regression has no labels": plan.task == "regression" and plan.labels,
    }
    for problem, present in problems.items():
        if present:
            raise DatasetError(f"{at}: {problem}")
    for label in (*plan.labels, *plan.columns):
        check_label(label, at)


def check_label(label: str, where: str) -> str:
    """The label, if it can be one; composed (NFC), so that it is the same word from every file system.

    Raises:
        DatasetError: Too long, or with control characters.
    """
    if len(label) > MAX_LABEL:
        raise DatasetError(f"{where}: a label of {len(label)} characters, {label[:30]!r}...; {MAX_LABEL} at most")
    if any(ord(character) < 32 for character in label):
        raise DatasetError(f"{where}: the label {label[:40]!r} holds a line break or control character")
    return unicodedata.normalize("NFC", label)


def read_head(plan: HeadPlan, cells: Cells, where: Callable[[int], str], key: str) -> tuple[HeadSpec, list[Label]]:
    """One head's vocabulary and its label of each track.

    Args:
        plan: The head's options.
        cells: Gives the cells of a column.
        where: Names the place of a track in messages (``tracks.tsv:17``).
        key: Names the head's table in messages.

    Raises:
        DatasetError: A cell that is no number where one is needed, a label that cannot be one, no label at all.
    """
    if plan.columns:
        return _from_columns(plan, cells, where, key)
    column = plan.column or plan.name
    texts = cells(column, key, plan.separator if plan.task == "multilabel" else "")
    if not any(texts):
        raise DatasetError(f"{key}: the column {column!r} is empty in every row")
    if plan.task == "regression" or plan.bins:
        numbers = [_number(text, where(i), column) for i, text in enumerate(texts)]
        if plan.task == "regression":
            return HeadSpec(plan.name, "regression"), list(numbers)
        classes = [None if number is None else plan.labels[bisect_right(plan.bins, number)] for number in numbers]
        return HeadSpec(plan.name, "multiclass", plan.labels), list(classes)
    if plan.task == "multilabel":
        return _several(plan, texts, where)
    _no_numbers(texts, where, column, key)
    named = [(check_label(text, where(i)),) if text else () for i, text in enumerate(texts)]
    return HeadSpec(plan.name, "multiclass", _vocabulary(plan, named, where)), [(*name, None)[0] for name in named]


def _from_columns(plan: HeadPlan, cells: Cells, where: Callable[[int], str], key: str) -> tuple[HeadSpec, list[Label]]:
    read = {name: cells(name, key, "") for name in plan.columns}
    labels: list[Label] = []
    for i in range(len(next(iter(read.values())))):
        numbers = {name: _number(texts[i], where(i), name) for name, texts in read.items()}
        present = tuple(name for name, number in numbers.items() if number is not None and number >= plan.threshold)
        labels.append(None if None in numbers.values() else present)
    if all(label is None for label in labels):
        raise DatasetError(f"{key}: no row has a number in all of its columns")
    return HeadSpec(plan.name, "multilabel", plan.columns), labels


def _several(plan: HeadPlan, texts: Sequence[str], where: Callable[[int], str]) -> tuple[HeadSpec, list[Label]]:
    parts = [
        tuple(dict.fromkeys(check_label(part.strip(), where(i)) for part in text.split(plan.separator) if part.strip()))
        for i, text in enumerate(texts)
    ]
    labels: list[Label] = [part if text else None for part, text in zip(parts, texts, strict=True)]
    return HeadSpec(plan.name, "multilabel", _vocabulary(plan, parts, where)), labels


def _vocabulary(plan: HeadPlan, rows: Sequence[tuple[str, ...]], where: Callable[[int], str]) -> tuple[str, ...]:
    """The labels in sorted order, or the ones that the options name in theirs."""
    if not plan.labels:
        return tuple(sorted({label for row in rows for label in row}))
    for i, row in enumerate(rows):
        for label in row:
            if label not in plan.labels:
                near = nearest(label, plan.labels)
                raise DatasetError(
                    f"{where(i)}: {label!r} is not in the labels of head {plan.name!r}; {_advice(near, plan.labels)}"
                )
    return plan.labels


def _number(text: str, where: str, column: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DatasetError(f"{where}: {text[:40]!r} in column {column!r} is not a number")
    return number


def _no_numbers(texts: Sequence[str], where: Callable[[int], str], column: str, key: str) -> None:
    """Whole numbers may be names (years, stars); a column of fractions is a quantity that was meant otherwise."""
    fraction = -1
    for i, text in enumerate(texts):
        try:
            number = float(text or "0")
        except ValueError:
            return
        if not number.is_integer() and fraction < 0:
            fraction = i
    if fraction >= 0:
        raise DatasetError(
            f"{key}: the column {column!r} holds numbers ({texts[fraction]} in {where(fraction)}), not labels; "
            'cut them into classes with bins and labels, or say task = "regression"'
        )
