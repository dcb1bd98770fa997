"""What a model remembers of its training: damage is one line that names the file, and costs no memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.errors import ModelError
from earmark.models.card import HeadCard, read_card
from earmark.models.exemplars import Exemplars, load_exemplars
from earmark.training.finish import model_card_text

WHOLE = {
    "embedding": np.ones((5, 4), np.float16),
    "track": np.array([0, 0, 1, 2, 2], np.int32),
    "valid": np.array([False, False, True]),
    "group": np.array([0, 1, 1], np.int32),
    "hash": np.array(["a", "b", "c"]),
    "target:genre": np.array([0, 1, np.nan], np.float32),
}


def written(folder: Path, **changes: object) -> Path:
    np.savez(
        folder / "exemplars.npz", **{name: value for name, value in (WHOLE | changes).items() if value is not None}
    )
    return folder


def test_there_and_back(tmp_path: Path) -> None:
    found = load_exemplars(written(tmp_path))
    assert isinstance(found, Exemplars) and list(found.targets) == ["genre"]
    assert np.array_equal(found.track, WHOLE["track"])


DAMAGE: dict[str, Callable[[], dict[str, object]]] = {
    "missing": lambda: {"group": None},
    "foreign": lambda: {"odd": np.zeros(3)},
    "pickled": lambda: {"hash": np.array(["a", None, "c"], object)},
    "flat": lambda: {"embedding": np.ones(5, np.float16)},
    "whole numbers": lambda: {"embedding": np.ones((5, 4), np.int16)},
    "NaN": lambda: {"embedding": np.full((5, 4), np.nan, np.float16)},
    "too few clips": lambda: {"embedding": np.ones((4, 4), np.float16)},
    "too few tracks": lambda: {"valid": np.array([True])},
    "a gap": lambda: {"track": np.array([0, 0, 2, 2, 2])},
    "backwards": lambda: {"track": np.array([0, 1, 0, 2, 2])},
    "beyond": lambda: {"track": np.array([0, 1, 2, 3, 4])},
    "negative": lambda: {"group": np.array([0, -1, 1])},
    "fractions": lambda: {"track": np.array([0.0, 0, 1, 2, 2])},
    "targets of another length": lambda: {"target:genre": np.zeros(9, np.float32)},
    "targets in a cube": lambda: {"target:genre": np.zeros((3, 2, 2), np.float32)},
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_arrays(tmp_path: Path, kind: str) -> None:
    changes = DAMAGE[kind]()
    if kind == "pickled":
        np.savez(tmp_path / "exemplars.npz", allow_pickle=True, **(WHOLE | changes))
    else:
        written(tmp_path, **changes)
    with pytest.raises(ModelError, match=r"exemplars\.npz: damaged") as caught:
        load_exemplars(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_huge_array_is_refused_by_its_header(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f2", "fortran_order": False, "shape": (10**6, 10**6)})
    with zipfile.ZipFile(tmp_path / "exemplars.npz", "w") as archive:
        archive.writestr("embedding.npy", header.getvalue())
    with pytest.raises(ModelError, match="holds 128 bytes"):
        load_exemplars(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all", b"\x93NUMPY"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "exemplars.npz").write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        load_exemplars(tmp_path)


def test_a_torn_file(tmp_path: Path) -> None:
    file = written(tmp_path) / "exemplars.npz"
    whole = file.read_bytes()
    for end in range(0, len(whole), 97):
        file.write_bytes(whole[:end])
        with pytest.raises(ModelError, match="damaged"):
            load_exemplars(tmp_path)


def test_the_model_card_tells_the_tree_and_what_was_never_checked(tiny_model: Path) -> None:
    genre = HeadCard("genre", "multiclass", ("Rock", "Punk", "Jazz"), parents={"Punk": "Rock"})
    voice = HeadCard("voice", "multilabel", ("rap",), unverified=True)
    text = model_card_text(replace(read_card(tiny_model), heads=(genre, voice)), False)
    assert "- **genre** (multiclass): Rock, Punk, Jazz (Punk below Rock: the answer is the name above" in text
    assert "- **voice** (multilabel): rap. Not verified: other models agree" in text
