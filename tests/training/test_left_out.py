"""A class of which no song can be read is no label of the model, also where that shows only while training."""

from __future__ import annotations

from pathlib import Path

import pytest

import lessons
from earmark.datasets import load_dataset
from earmark.datasets.cache import FileIndex, stamp_of
from earmark.errors import DatasetError
from earmark.events import Event, Notice
from earmark.models.card import read_card
from earmark.recipe import Recipe, load_recipe
from earmark.training.job import TrainOptions


@pytest.fixture
def songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes, and a third whose files are known by their hashes and lost their sound since."""
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))
    folder = lessons.make_songs(tmp_path / "songs")
    (folder / "broken").mkdir()
    for number in range(10):
        path = folder / "broken" / f"{number}.wav"
        path.write_bytes(b"RIFF no sound" + bytes([number]))
        stamp = stamp_of(path)
        assert stamp is not None
        FileIndex.open().put(stamp, f"2-{number:032x}")
    return folder


def trained(songs: Path, recipe: Recipe, out: Path, **options: Path) -> tuple[tuple[str, ...], list[str]]:
    """The labels of the model, and what was said."""
    events: list[Event] = []
    lessons.train(load_dataset(songs, training=True), recipe, out, TrainOptions(**options), events.append)
    return read_card(out).heads[0].labels, [event.message for event in events if isinstance(event, Notice)]


@pytest.mark.parametrize("way", ["transfer", "network"])
def test_the_label_is_left_out(songs: Path, tmp_path: Path, tiny_model: Path, way: str) -> None:
    if way == "transfer":
        labels, said = trained(songs, load_recipe("transfer"), tmp_path / "m", init=tiny_model)
    else:
        labels, said = trained(songs, lessons.recipe("training.epochs=1"), tmp_path / "m")
    assert labels == ("hiss", "tone")
    assert any(line.startswith("10 tracks cannot be read to their end, as ") for line in said)
    assert "genre: the tracks of 'broken' (10) cannot be read: the label is left out of the model" in said


def test_one_class_that_is_left_is_no_data_set(songs: Path, tmp_path: Path, tiny_model: Path) -> None:
    """The reason is in the same line."""
    dataset = load_dataset(songs, training=True)
    for path in (songs / "tone").iterdir():
        path.write_bytes(b"no sound")
    with pytest.raises(DatasetError, match=r"one class only \('hiss'\).*'tone' \(10\) cannot be read") as caught:
        lessons.train(
            dataset.subset([row for row, track in enumerate(dataset.tracks) if "broken" not in track.name]),
            load_recipe("transfer"),
            tmp_path / "m",
            TrainOptions(init=tiny_model),
        )
    assert "\n" not in str(caught.value)
