"""A file that kills its decoder costs one record in every verb: the process that asks never decodes a file itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import lessons
from commands import Said, in_process
from earmark import GenreClassifier
from earmark.datasets.cache import FileIndex, stamp_of
from earmark.engine import LocalEngine
from earmark.errors import AudioError
from earmark.filetags.policy import Refusal
from earmark.filetags.swap import must_sound_the_same
from made import make_model
from made_songs import write_collection, write_song

pytestmark = [pytest.mark.usefixtures("sabotage"), pytest.mark.skipif(os.name == "nt", reason="signals have no names")]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs by class and artist, one of which aborts libsndfile."""
    folder = write_collection(tmp_path_factory.mktemp("music") / "songs", {"low": 90.0, "high": 3000.0}, songs=10)
    write_song(folder / "low" / "low artist 0" / "crash.wav", 90.0, 99)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from earmark.models.card import HeadCard

    return make_model(tmp_path_factory.mktemp("base") / "base", (HeadCard("genre", "multiclass", ("low", "high")),))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))


def earmark(capfd: pytest.CaptureFixture[str], *arguments: object) -> Said:
    """In this process, whose own decoders work: what crashes is a worker's."""
    from earmark.cli import main

    capfd.readouterr()
    code = main([str(argument) for argument in arguments])
    return Said(code, *capfd.readouterr())


def failed(failures: list[dict]) -> list[tuple[str, str]]:
    return [(Path(one["path"]).name, one["error"]["kind"]) for one in failures]


ONE = [("crash.wav", "crash")]


def test_tag_and_embed(collection: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = earmark(capfd, "tag", collection, "-m", model, "-f", "jsonl", "-j", 2)
    assert said.code == 3 and len(said.records) == 21
    assert failed([record for record in said.records if "error" in record]) == ONE
    said = earmark(capfd, "embed", collection, "-m", model, "-o", tmp_path / "e.npz", "-f", "json")
    assert said.code == 3 and said.json["tracks"] == 20 and failed(said.json["failures"]) == ONE


def test_audit(collection: Path, model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = earmark(capfd, "audit", collection, "-m", model, "-f", "json", "-j", 2)
    assert said.code == 3 and failed(said.json["failures"]) == ONE


def test_evaluate(collection: Path, model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = earmark(capfd, "evaluate", model, collection, "-f", "json", "-j", 2)
    assert said.code == 3 and failed(said.json["failures"]) == ONE
    assert said.json["heads"]["genre"]["tracks"] == 20


def test_train_and_extend(collection: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = earmark(capfd, "train", collection, "--init", model, "-o", tmp_path / "m", "-f", "json")
    assert said.code == 0 and "1 of 21 tracks cannot be read" in said.err and "SIGABRT" in said.err
    more = write_collection(tmp_path / "more", {"middle": 700.0}, songs=8)
    write_song(more / "middle" / "crash.wav", 700.0, 98)
    said = earmark(capfd, "extend", tmp_path / "m", more / "middle", "--label", "middle", "-o", tmp_path / "n")
    assert said.code == 0 and "SIGABRT" in said.err


def test_a_network_is_trained_without_a_song_that_crashes_late(
    collection: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its hash is known, so that only its whole spectrogram shows what it is."""
    stamp = stamp_of(collection / "low" / "low artist 0" / "crash.wav")
    assert stamp is not None
    FileIndex.open().put(stamp, "2-" + "0" * 32)
    recipe = lessons.recipe_file(tmp_path / "tiny.toml")
    said = earmark(capfd, "train", collection, "-r", recipe, "--epochs", 1, "-o", tmp_path / "m", "-f", "json")
    assert said.code == 0, said.err
    assert (tmp_path / "m" / "card.json").is_file()


def test_compare(collection: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = lessons.recipe_file(tmp_path / "tiny.toml")
    more = ("--set", "training.epochs=1", "--report", tmp_path / "page", "-f", "json")
    said = earmark(capfd, "compare", collection, "-r", recipe, *more)
    assert said.code == 0, said.err
    assert said.json["recipes"][0]["error"] is None


def test_features(collection: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = earmark(capfd, "features", collection / "low", "-o", tmp_path / "out", "-f", "json")
    assert said.code == 3 and len(said.json["files"]) == 10 and failed(said.json["failures"]) == ONE


def test_scan_and_similar(collection: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    library = ("--library", tmp_path / "library.db")
    said = earmark(capfd, "scan", collection / "low", "-m", model, *library, "-f", "json")
    assert said.code == 3, said.err
    outside = write_song(tmp_path / "outside" / "crash.wav", 90.0, 97)
    said = earmark(capfd, "similar", outside, *library)
    assert said.code == 1 and "SIGABRT" in said.err


def test_write_tags(tmp_path: Path) -> None:
    """The check that audio stays what it is decodes in a worker, too: a crash is a file that is left alone."""
    songs = [write_song(tmp_path / name, pitch, 1) for name, pitch in (("crash.wav", 90.0), ("copy.wav", 900.0))]
    with LocalEngine(1) as engine, pytest.raises(Refusal, match="SIGABRT"):
        must_sound_the_same(*songs, engine)


def test_estimator(collection: Path, model: Path) -> None:
    songs = sorted(collection.rglob("*.wav"))
    with pytest.raises(AudioError, match=r"crash\.wav.*SIGABRT"):
        GenreClassifier(str(model)).fit(songs, [song.parent.parent.name for song in songs])


def test_a_whole_process(collection: Path, model: Path) -> None:
    """Even where the asking process's own decoder would crash on the file."""
    said = in_process("tag", collection / "low", "-m", model, "-f", "jsonl", "-j", 1)
    assert said.code == 3 and failed([record for record in said.records if "error" in record]) == ONE
