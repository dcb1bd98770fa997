"""`make model-report`: the tables of a model beside the one before, on a few songs of each corpus."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scripts.bundled import report
from scripts.bundled.figures import answer_tables, contradictions, instrument_figures
from scripts.bundled.heads import Corpus
from scripts.bundled.labels import Known

from earmark.datasets.core import Dataset, HeadSpec, Track
from earmark.inference.records import HeadPrediction
from earmark.inference.tagger import load_model
from earmark.models.card import HeadCard
from earmark.models.registry import find_model


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four songs a corpus, and no probes: their scores are made up."""
    whole = report.load_dataset
    monkeypatch.setattr(report, "load_dataset", lambda path, training=False: whole(path).subset(range(4)))
    monkeypatch.setattr(report, "_row", lambda task, found: (found.shape[1] / 1000, 0.1, 0.9))


def _before(tmp_path: Path, version: str) -> Path:
    """The bundled model with a head of another meaning, as one before it."""
    shutil.copytree(find_model("default"), tmp_path / "before")
    file = tmp_path / "before" / "card.json"
    card = json.loads(file.read_text("utf-8"))
    card["heads"][0]["meaning"] = "before"
    file.write_text(json.dumps(card | {"version": version}), "utf-8")
    return tmp_path / "before"


def _row(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.split("\n") if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_model_stands_beside_the_one_before(
    few: None, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.main(["--shared", str(shared), "--against", str(_before(tmp_path, "1"))]) == 0
    text = capsys.readouterr().out
    assert _row(text, "task")[1:4] == ["default@4", "default@1", "cepstral statistics"]
    for task, (*_, aim) in report.AIMS.items():
        cells = _row(text, task)
        assert cells[1:4] == ["0.256 [0.100, 0.900]", "0.256 [0.100, 0.900]", "0.240 [0.100, 0.900]"]
        assert cells[-1] == f"{aim:.2f}"
    assert "The heads of default@4, out of fold:" in text
    assert "The heads of default@1, out of fold:" in text
    assert _row(text, "")[1:] == ["default@4", "default@1"]
    songs = 12 + len([p for p in (shared / "data" / "full-songs").iterdir() if p.suffix in (".mp3", ".ogg")])
    assert f"over {songs} songs" in text
    for line in ("mood against valence", "mood against energy", "genre outside genres"):
        now, before = _row(text, line)[1:]
        assert now == before
        assert now.startswith("0 of ")


def test_a_model_before_of_the_same_name_has_its_own_column(tmp_path: Path) -> None:
    models = [load_model("default"), load_model(_before(tmp_path, "4"))]
    assert len({model.card.id for model in models}) == 1
    assert list(report.named(models)) == [f"default@4 ({model.card.digest[:8]})" for model in models]
    assert list(report.named(models[:1])) == ["default@4"]


def _song(mood: str, valence: str, energy: float, genres: tuple[str, ...], voice: tuple[str, ...]) -> SimpleNamespace:
    """A prediction of a happy or sad song of rock."""
    heads = {"mood": mood, "valence": valence, "genre": "Rock"}
    instruments = ("electric guitar",) if mood == "happy" else ()
    several = {"genres": genres, "moods": ("sad",), "instruments": instruments, "voice": voice}
    said = {name: SimpleNamespace(label=label, labels=(), value=None) for name, label in heads.items()}
    said |= {name: SimpleNamespace(label=None, labels=labels, value=None) for name, labels in several.items()}
    said["energy"] = SimpleNamespace(label=None, labels=(), value=energy)
    return SimpleNamespace(is_song=True, heads=said)


def test_contradictions_are_counted_among_the_songs_that_could_have_them() -> None:
    songs = [
        _song("happy", "negative", 0.1, ("Jazz",), ("instrumental", "male")),
        _song("sad", "negative", 0.1, ("Punk",), ("vocal", "male")),
    ]
    found = contradictions(load_model("default").card, songs)
    for name in ("mood against valence", "mood against energy", "genre outside genres", "instrumental beside a voice"):
        assert found[name] == (1, 2), name
    assert found["sadness in happy songs"] == (1, 1)
    assert found["moods against mood"] == (1, 2)
    assert found["male beside female"] == (0, 2)
    assert found["a part without its whole"] == (1, 2)
    assert found["instruments without a label"] == (1, 2)
    assert found["no mood is named"] == (0, 2)


def test_a_missing_model_is_one_line(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["--shared", str(shared), "--against", "nowhere"]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_the_card_tells_how_often_known_singers_and_instruments_are_named() -> None:
    card = load_model().card
    singers, played = (card.scores[head]["out_of_fold"]["known"] for head in ("voice", "instruments"))
    assert singers["woman"]["songs"] > 100 < singers["man"]["songs"]
    assert singers["woman"]["male"] < 0.15 and singers["man"]["female"] < 0.15, "of other artists than it learnt from"
    assert all(one["named_of_lacks"] < one["named_of_has"] / 4 for one in played.values())
    text = "\n".join(answer_tables(card))
    assert _row(text, "who")[:3] == ["who", "songs", "artists"] and " [" in _row(text, "woman")[3]
    assert _row(text, "strings")[1:3] == [str(played["strings"][key]) for key in ("has", "lacks")]


def test_known_songs_are_counted_by_what_is_named_of_them() -> None:
    head = HeadCard("instruments", "multilabel", ("piano", "drums"))
    songs = [Known(has=frozenset({"piano"}), lacks=frozenset("*"))] * 6 + [Known(has=frozenset({"drums"}))] * 2
    said = [{"instruments": HeadPrediction("multilabel", labels=("piano",) if n % 3 else ())} for n in range(8)]
    marks = {"instruments": np.full((8, 2), np.nan, np.float32)}
    dataset = Dataset("corpora", Path(), (HeadSpec("instruments", "multilabel", head.labels),), (), "artist")
    songs += [Known(lacks=frozenset({"piano"}))] * 6
    tracks = tuple(Track(Path(), str(n), f"artist {n}", None, {}) for n in range(len(songs)))
    corpus = Corpus(replace(dataset, tracks=tracks), marks, marks["instruments"], np.array([]), songs)
    found = instrument_figures(corpus, head, [*said, *said[:6]])
    assert list(found) == ["piano"], "two songs with drums are too few to tell"
    intervals = [found["piano"].pop(f"named_of_{key}_ci95") for key in ("has", "lacks")]
    assert found == {"piano": {"has": 6, "lacks": 6, "named_of_has": 0.6667, "named_of_lacks": 0.6667}}
    assert all(low < 0.6667 < high for low, high in intervals)
