"""``earmark train``: from a folder of classes to a model with an honest score; mistakes are one line."""

from __future__ import annotations

from pathlib import Path

import pytest

import lessons
from commands import Earmark
from earmark.models.card import read_card


@pytest.fixture(scope="module")
def sorted_songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lessons.make_songs(tmp_path_factory.mktemp("sorted") / "songs", classes=("hiss", "tone", "high"))


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return lessons.recipe_file(tmp_path / "tiny.toml")


def test_it_trains_and_tells_the_honest_score(earmark: Earmark, sorted_songs: Path, toml: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    options = ("-r", toml, "-o", out, "--exclude", "genre=high", "--epochs", 4, "--seed", 3)
    done = earmark("train", sorted_songs, *options, "-f", "json")
    assert done.code == 0, done.err
    said = done.json
    assert said["model"] == "mine@1" and said["heads"]["genre"]["part"] == "test"
    assert said["heads"]["genre"]["accuracy_ci95"] and said["heads"]["genre"]["labels"] == ["hiss", "tone"]
    assert "epoch 1 of 4: loss" in done.err and "grouped by track" in done.err
    assert read_card(out).recipe["training"]["epochs"] == 4
    again = earmark("train", sorted_songs, *options, "-f", "table")
    assert again.code == 0 and "finished already" in again.err
    for told in ("95 % interval", "test", "training", "genre: accuracy"):
        assert told in again.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--exclude", "genre"), "--exclude genre: expected HEAD=LABEL"),
        (("--exclude", "genre=hisss"), "did you mean 'hiss'?"),
        (("--exclude", "genre=hiss", "--exclude", "genre=high"), "one class only"),
        (("--heads", "genres"), "unknown head 'genres'; did you mean 'genre'?"),
        (("--set", "training.epoch=3"), "did you mean training.epochs?"),
        (("--set", "backbone.name=time-axes"), "did you mean 'time-axis'?"),
        (("--init", "nowhere/at/all"), "no such model folder"),
        (("--epochs", "0"), "training.epochs = 0: must be above 0"),
    ],
)
def test_mistakes_are_one_line(
    earmark: Earmark, sorted_songs: Path, toml: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    said = earmark("train", sorted_songs, "-r", toml, "-o", tmp_path / "m", *options)
    assert said.code == 1 and message in said.err
    assert len(said.err.splitlines()) == 1 and not (tmp_path / "m").exists()


def test_what_cannot_be_is_said_before_any_file_is_read(
    earmark: Earmark, sorted_songs: Path, toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("earmark.training.run._readable", lambda *_: pytest.fail("files were read"))
    said = earmark("train", sorted_songs, "-r", toml, "-o", tmp_path / "m", "--set", "backbone.options.filters=[1]")
    assert said.code == 1 and "two convolutions" in said.err


def test_a_folder_that_is_no_data_set(earmark: Earmark, toml: Path, tmp_path: Path) -> None:
    said = earmark("train", tmp_path / "none", "-r", toml, "-o", tmp_path / "m")
    assert said.code == 1 and "no such folder" in said.err
