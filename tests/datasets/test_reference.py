"""The page of ``dataset.toml`` and the code name the same keys, and the page's examples are data sets."""

from __future__ import annotations

import dataclasses
import inspect
import re
import tomllib
from pathlib import Path

import pytest

from earmark.datasets.reading import COMMON, list_readers, reader_module
from earmark.datasets.tables import HeadPlan, head_plans

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "dataset.md").read_text("utf-8")
OF_ANY_CORPUS = {"heads", "split"}  # what earmark.datasets adds to every reader of a corpus


def rows(section: str) -> list[list[str]]:
    """The cells of a section's table, code marks off."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def keys(section: str) -> set[str]:
    found = [row[0].strip("`") for row in rows(section)]
    assert len(found) == len(set(found))
    return set(found)


def options(reader: str) -> dict[str, inspect.Parameter]:
    every = inspect.signature(reader_module(reader).load).parameters
    return {name: one for name, one in every.items() if one.kind is one.KEYWORD_ONLY}


def test_every_key_has_a_row_and_every_row_a_key() -> None:
    assert keys("Every data set") == set(COMMON)
    assert keys("A table") == set(options("table"))
    assert keys("Class folders") == set(options("folder"))
    assert keys("A head") == {field.name for field in dataclasses.fields(HeadPlan)} - {"name"}
    corpora = [name for name in list_readers() if reader_module(name).CITATION]
    assert set(corpora) | {"table", "folder"} == set(list_readers())
    theirs = {(key, name) for name in corpora for key in options(name) if key not in OF_ANY_CORPUS}
    found = {(row[0].strip("`"), row[1].strip("`")) for row in rows("A corpus")}
    assert found == theirs | {(key, "any") for key in OF_ANY_CORPUS}


def test_readers_are_all_named() -> None:
    reader = next(row for row in rows("Every data set") if row[0] == "`reader`")
    assert set(list_readers()) <= set(re.findall(r"`(\w+)`", reader[1]))


@pytest.mark.parametrize("section", ["A head", "A corpus"])
def test_defaults_are_those_of_the_code(section: str) -> None:
    if section == "A head":
        theirs = {field.name: field.default for field in dataclasses.fields(HeadPlan)}
    else:
        theirs = {key: one.default for name in list_readers() for key, one in options(name).items()}
        theirs["split"] = "corpus"
    for row in rows(section):
        if row[-1].startswith("`"):
            assert tomllib.loads(f"x = {row[-1].strip('`')}")["x"] == theirs[row[0].strip("`")], row[0]


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
def test_examples_hold_known_keys_alone(text: str) -> None:
    table = tomllib.loads(text)
    reader = table.get("reader", "table")
    known = {*COMMON, *options(reader), *(OF_ANY_CORPUS if reader_module(reader).CITATION else ())}
    assert set(table) <= known
    assert head_plans(table["heads"], "the page")
