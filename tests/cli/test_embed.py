"""``earmark embed``: one row a readable track, arrays that load without pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from commands import Earmark
from earmark.inference.tagger import load_model


def test_arrays(songs: Path, tiny_model: Path, earmark: Earmark, tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    said = earmark("embed", songs, "-m", tiny_model, "-o", out, "-f", "json")
    assert said.code == 3
    assert {key: said.json[key] for key in ("file", "tracks", "dimensions")} == {
        "file": str(out),
        "tracks": 3,
        "dimensions": 96,
    }
    assert [failure["error"]["kind"] for failure in said.json["failures"]] == ["not-audio"]
    with np.load(out, allow_pickle=False) as arrays:
        assert sorted(arrays) == ["embedding", "path"]
        assert arrays["path"].tolist() == [str(songs / p) for p in ("a.wav", "b/c.wav", "d.wav")]
        assert arrays["path"].dtype.kind == "U" and arrays["embedding"].dtype == np.float32
        expected = load_model(tiny_model).predict(songs / "a.wav").embedding
        assert expected is not None and np.array_equal(arrays["embedding"][0], expected)
    assert [file.name for file in tmp_path.glob("x.*")] == ["x.npz"]


def test_another_layer(tone: Path, tiny_model: Path, earmark: Earmark, tmp_path: Path) -> None:
    assert earmark("embed", tone, "-m", tiny_model, "-o", tmp_path / "a.npz").code == 0
    said = earmark("embed", tone, "-m", tiny_model, "-o", tmp_path / "b.npz", "--layer", "bands", "-f", "table")
    assert said.code == 0 and "1 tracks, 96 numbers each" in said.out
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert not np.array_equal(a["embedding"], b["embedding"])
    said = earmark("embed", tone, "-m", tiny_model, "-o", tmp_path / "c.npz", "--layer", "band")
    assert said.code == 1 and "did you mean 'bands'?" in said.err


def test_not_one_track_is_an_error_and_no_file(tiny_model: Path, earmark: Earmark, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").touch()
    said = earmark("embed", tmp_path, "-m", tiny_model, "-o", tmp_path / "x.npz", "-f", "json")
    assert said.code == 1 and said.json["file"] is None and "not one track could be analysed" in said.err
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize("more", [["-m", "A,B"], []])
def test_usage(more: list[str], tone: Path, earmark: Earmark) -> None:
    assert earmark("embed", tone, *more).code == 2, "-o is required"


def test_an_ensemble_has_no_embedding(tone: Path, tiny_model: Path, earmark: Earmark, tmp_path: Path) -> None:
    said = earmark("embed", tone, "-m", f"{tiny_model},{tiny_model}", "-o", tmp_path / "x.npz")
    assert said.code == 1 and "do not mix" in said.err
