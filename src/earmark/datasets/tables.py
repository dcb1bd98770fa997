"""Tables: CSV and TSV files read whole, each cell with the line that it stands in."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from earmark.errors import DatasetError, nearest

__all__ = ["Table", "no_column", "read_rows", "read_table"]


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
        DatasetError: The file is missing, not UTF-8, or no table.
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
    return rows, lines


def read_table(path: Path) -> Table:
    """A table whose first row names the columns.

    Raises:
        DatasetError: The file is missing, not UTF-8, or empty, a row has too many or too few cells, or two columns
            have one name.
    """
    rows, lines = read_rows(path)
    if not rows:
        raise DatasetError(f"{path}: the table is empty")
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
