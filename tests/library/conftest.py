"""An empty library, and a model to fill it with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from earmark.inference.tagger import load_model
from earmark.library.records import LibraryModel
from earmark.library.store import Library, open_library


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with open_library(tmp_path / "library.db", make=True) as opened:
        yield opened


@pytest.fixture
def model(tiny_model: Path) -> LibraryModel:
    return LibraryModel.of(tiny_model, load_model(tiny_model).card)
