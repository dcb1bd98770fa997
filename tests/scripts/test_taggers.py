"""Published taggers: their lists fit, what they say of music is right, and an interrupted table goes on."""

from pathlib import Path

import numpy as np
import pytest
from scripts.bundled import taggers
from scripts.bundled.taggers import TAGGERS, labels_of, load_tagger, tag_probabilities

from earmark.audio.track import load
from earmark.events import Run
from sounds import melody, write


@pytest.mark.parametrize("name", TAGGERS)
def test_every_tag_has_its_own_name(shared: Path, name: str) -> None:
    labels = labels_of(name, shared / "weights")
    assert len(labels) == {"AudioSet": 527 if name != "yamnet" else 521}.get(TAGGERS[name].vocabulary, 50)
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("mtt-musicnn", {"flute"}),
        ("mtat-fcn", {"flute"}),
        ("efficientat-mn04", {"Flute"}),
        ("yamnet", {"Flute", "Music"}),
    ],
)
def test_a_flute_solo_is_one(shared: Path, name: str, tags: set[str]) -> None:
    """The names and the probabilities are in one order: the best tags of a piece for solo flute."""
    rate, probabilities = load_tagger(name, shared / "weights")
    found = probabilities(load(str(flute(shared)), rate, start=0.0, seconds=12.0))
    order = np.argsort(-found)
    assert tags & {labels_of(name, shared / "weights")[place] for place in order[:4]}


def flute(shared: Path) -> Path:
    rows = (shared / "data/moods900/tracks.tsv").read_text("utf-8").split("\n")
    return shared / "data/moods900" / next(row for row in rows if "Piece for Solo Flute" in row).split("\t")[0]


def test_an_interrupted_table_goes_on(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taggers, "SAVE_EVERY", 1)
    paths = sorted((shared / "data/moods900/audio").iterdir())[:3]
    run = tag_probabilities(paths, shared / "weights", tmp_path, ("mtat-fcn",))
    next(run)
    run.close()
    rest = Run(tag_probabilities(paths, shared / "weights", tmp_path, ("mtat-fcn",)))
    assert [event.total for event in rest] == [2, 2]
    again = Run(tag_probabilities(paths, shared / "weights", tmp_path, ("mtat-fcn",)))
    assert list(again) == []
    np.testing.assert_array_equal(again.result["mtat-fcn"], rest.result["mtat-fcn"])
    assert np.isfinite(again.result["mtat-fcn"]).all()


def test_a_short_loop_and_no_audio_say_nothing_and_are_asked_once(shared: Path, tmp_path: Path) -> None:
    write(tmp_path / "loop.wav", melody(3.0, 16000), 16000)
    (tmp_path / "words.wav").write_text("no audio")
    paths = [tmp_path / "loop.wav", tmp_path / "words.wav"]
    run = Run(tag_probabilities(paths, shared / "weights", tmp_path / "work", ("mtat-fcn",)))
    assert len(list(run)) == 2
    assert np.isnan(run.result["mtat-fcn"]).all()
    assert list(Run(tag_probabilities(paths, shared / "weights", tmp_path / "work", ("mtat-fcn",)))) == []
