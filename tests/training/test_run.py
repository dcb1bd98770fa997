"""Protects: a data set becomes a whole model; stops change nothing in it; mistakes are said before hours pass."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import earmark
import lessons
from earmark.datasets import load_dataset
from earmark.datasets.splits import Split, load_split
from earmark.engine import InlineEngine
from earmark.errors import Cancelled, DatasetError, EarmarkError, ModelError, RecipeError, StorageError
from earmark.evaluation.history import read_history
from earmark.events import Progress, Run
from earmark.inference.records import Prediction
from earmark.models.card import read_card
from earmark.models.registry import check_files
from earmark.training.job import TrainOptions
from earmark.training.run import train_model
from lessons import train


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lessons.make_songs(tmp_path_factory.mktemp("data") / "songs")


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_a_folder_of_classes_becomes_a_whole_model(songs: Path, tmp_path: Path, one_thread: None) -> None:
    events = []
    out = train(load_dataset(songs), lessons.recipe("training.epochs=8"), tmp_path / "m", TrainOptions(), events.append)
    files = {
        "README.md",
        "card.json",
        "curves.svg",
        "exemplars.npz",
        "history.csv",
        "model.onnx",
        "names.tsv",
        "run.json",
    }
    assert set(content(out)) == files | {"split.tsv", "heads.safetensors", "weights.safetensors"}
    assert not (tmp_path / "m.part").exists()
    card = check_files(out, *read_card(out).files)
    figures = card.scores["genre"]
    assert figures["part"] == "test" and figures["accuracy"] == 1.0 and figures["train_accuracy"] == 1.0
    assert figures["valid_accuracy"] is not None and figures["accuracy_ci95"]
    parts = list(load_split(out / "split.tsv").values())
    assert {part: parts.count(part) for part in set(parts)} == {"train": 12, "valid": 4, "test": 4}
    history = read_history(out / "history.csv")
    assert len(history) == 8 and history[-1].train_loss < history[0].train_loss
    assert all(0 <= epoch.train_score <= 1 for epoch in history) and history[-1].train_score > 0.8
    stages = list(dict.fromkeys(event.stage for event in events if isinstance(event, Progress)))
    assert stages[0] == "reading files" and stages[-4:] == ["training", "epochs", "writing the network", "scoring"]
    steps = [event.facts for event in events if event.stage == "training"]
    assert all(facts["clips_per_second"] > 0 and facts["seconds_left"] >= 0 for facts in steps)
    assert [(e.done, e.total) for e in events if e.stage == "epochs"] == [(epoch, 8) for epoch in range(1, 9)]
    said = earmark.load_model(out).predict(songs / "tone" / "00.wav")
    assert isinstance(said, Prediction) and said.heads["genre"].scores["tone"] > 0.5


@pytest.mark.slow
def test_killing_it_twice_changes_nothing(songs: Path, tmp_path: Path, one_thread: None) -> None:
    toml = lessons.recipe_file(tmp_path / "tiny.toml")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "EARMARK_CACHE": str(tmp_path / "cache")}
    source = str(Path(earmark.__file__).parent.parent)
    environment["PYTHONPATH"] = source

    def start(out: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "earmark", "train", str(songs), "-r", str(toml), "-o", str(tmp_path / out)]
        command += [text for setting in settings for text in ("--set", setting)]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)

    settings = ["training.epochs=60", "backbone.options.dropout=0.3", "training.optimizer=adam"]
    first = train(load_dataset(songs), lessons.recipe(*settings), tmp_path / "k", TrainOptions())
    first.rename(tmp_path / "first")
    checkpoint = tmp_path / "k.part" / "chunk-1.safetensors"
    for _ in range(2):
        process, before = start("k"), checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL) if os.name == "posix" else process.kill()
        assert process.wait(20) != 0
        assert not (tmp_path / "k").exists()
    last = start("k")
    assert last.wait(120) == 0, last.stderr and last.stderr.read()
    assert content(tmp_path / "k") == content(tmp_path / "first")


def test_ctrl_c_keeps_what_is_done(songs: Path, tmp_path: Path, one_thread: None) -> None:
    def stop(progress) -> None:
        if progress.stage == "training" and progress.facts["epoch"] == 3 and progress.done == 1:
            raise KeyboardInterrupt

    data, recipe = load_dataset(songs), lessons.recipe("training.epochs=4")
    with pytest.raises(KeyboardInterrupt):
        train(data, recipe, tmp_path / "a", TrainOptions(), stop)
    epochs = []
    train(data, recipe, tmp_path / "a", TrainOptions(), lambda p: epochs.append(p.facts.get("epoch", 0)))
    train(data, recipe, tmp_path / "b", TrainOptions())
    assert min(e for e in epochs if e) == 3
    assert (tmp_path / "a" / "model.onnx").read_bytes() == (tmp_path / "b" / "model.onnx").read_bytes()


def test_a_cancelled_run_goes_on_to_the_same_model(songs: Path, tmp_path: Path, one_thread: None) -> None:
    """Cancelled in the middle of an epoch, as a server would: no thread is left, and what is done is kept."""
    data, recipe = load_dataset(songs), lessons.recipe("training.epochs=4", "backbone.options.dropout=0.3")
    before, done = threading.active_count(), []
    with InlineEngine() as engine:
        run = Run(train_model(data, recipe, tmp_path / "a", TrainOptions(), engine))
        with pytest.raises(Cancelled):
            for event in run:
                done += [event.done] if event.stage == "epochs" else []
                if event.stage == "training" and event.facts["epoch"] == 3:
                    run.cancel()
    assert done == [1, 2] and threading.active_count() == before and not (tmp_path / "a").exists()
    epochs = []
    train(
        data, recipe, tmp_path / "a", TrainOptions(), lambda e: epochs.append(e.done) if e.stage == "epochs" else None
    )
    train(data, recipe, tmp_path / "b", TrainOptions())
    assert epochs == [3, 4]
    assert content(tmp_path / "a")["weights.safetensors"] == content(tmp_path / "b")["weights.safetensors"]


def test_other_settings_than_before_are_an_error_that_names_the_key(songs: Path, tmp_path: Path) -> None:
    data, out = load_dataset(songs), tmp_path / "m"

    def stop(progress) -> None:
        if progress.facts.get("epoch") == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, lessons.recipe(), out, TrainOptions(), stop)
    with pytest.raises(RecipeError, match=r"begun with training\.batch_size = 8, not 4"):
        train(data, lessons.recipe("training.batch_size=4"), out, TrainOptions())
    with pytest.raises(RecipeError, match="seed = 0, not 1"):
        train(data, lessons.recipe(), out, TrainOptions(seed=1))
    train(data, lessons.recipe("training.batch_size=4"), out, TrainOptions(overwrite=True))
    with pytest.raises(RecipeError, match=r"trained with training\.batch_size = 4"):
        train(data, lessons.recipe(), out, TrainOptions())
    before = content(out)
    assert content(train(data, lessons.recipe("training.batch_size=4"), out, TrainOptions())) == before
    train(data, lessons.recipe(), out, TrainOptions(overwrite=True))
    assert content(out)["run.json"] != before["run.json"]


def test_a_folder_that_is_no_model_is_never_overwritten(songs: Path, tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    (music / "song.mp3").write_bytes(b"mine")
    for overwrite in (False, True):
        with pytest.raises(ModelError, match="no model folder"):
            train(load_dataset(songs), lessons.recipe(), music, TrainOptions(overwrite=overwrite))
    assert (music / "song.mp3").read_bytes() == b"mine"


def test_several_heads_with_partial_labels(songs: Path, tmp_path: Path, one_thread: None) -> None:
    shutil.copytree(songs, tmp_path / "songs")  # paths below the data set's folder: their names decide the split
    rows = ["path\tgenre\ttags\tenergy\ttype"]
    for number, file in enumerate(sorted(songs.glob("*/*.wav"))):
        genre = file.parent.name if number % 3 else ""
        tags = (
            "" if number % 4 == 3 else ("loud;long" if number % 2 else "long") if file.parent.name == "tone" else "soft"
        )
        energy = "" if number % 5 == 4 else str(100 + 20 * (file.parent.name == "tone") + number % 3)
        path = f"songs/{file.parent.name}/{file.name}"
        rows.append(f"{path}\t{genre}\t{tags}\t{energy}\t{'a' if number % 2 else 'b'}")
    (tmp_path / "tracks.tsv").write_text("\n".join(rows) + "\n")
    (tmp_path / "dataset.toml").write_text(
        'name = "parts"\ntable = "tracks.tsv"\n[heads.genre]\ncolumn = "genre"\n'
        '[heads.tags]\ncolumn = "tags"\ntask = "multilabel"\nseparator = ";"\n'
        '[heads.energy]\ncolumn = "energy"\ntask = "regression"\n[heads.type]\ncolumn = "type"\n'
    )
    recipe = lessons.recipe(
        "training.epochs=8", 'heads.ensemble=["linear", "mlp-8"]', "training.balance=loss", "training.select=pr-auc"
    )
    out = train(load_dataset(tmp_path), recipe, tmp_path / "m", TrainOptions())
    card = read_card(out)
    assert [head.name for head in card.heads] == ["genre", "tags", "energy", "type"]
    assert card.scores["energy"]["mae"] < 15  # in the data's own units, not standardised ones
    assert set(card.head("tags").thresholds) == {"loud", "long", "soft"}
    said = earmark.load_model(out).predict(songs / "tone" / "01.wav").heads
    assert 90 < said["energy"].value < 140 and said["tags"].scores["long"] > said["tags"].scores["soft"]


def test_chunks_compete_and_are_compared(songs: Path, tmp_path: Path, one_thread: None) -> None:
    out = train(load_dataset(songs), lessons.recipe("training.chunks=2"), tmp_path / "m", TrainOptions())
    lines = (out / "chunks.csv").read_text().splitlines()
    assert lines[0] == "chunk,tracks,epoch,valid_loss,valid_score,kept" and len(lines) == 3
    losses = {line.split(",")[0]: float(line.split(",")[3]) for line in lines[1:]}
    kept = next(line.split(",")[0] for line in lines[1:] if line.endswith("yes"))
    assert losses[kept] == min(losses.values())
    assert sum(int(line.split(",")[1]) for line in lines[1:]) == 12
    assert sum(note.startswith("Chunk ") for note in read_card(out).notes) == 2


def test_pictures_train_too_and_such_a_model_refuses_audio(tmp_path: Path, tone: Path, one_thread: None) -> None:
    pictures = lessons.make_pictures(tmp_path / "pictures")
    out = train(load_dataset(pictures), lessons.recipe("training.epochs=8"), tmp_path / "m", TrainOptions())
    card = read_card(out)
    assert card.frontend is not None and card.frontend.kind == "image" and card.frontend.bands == 24
    assert card.clip.seconds == 32 and card.scores["genre"]["accuracy"] == 1.0
    assert earmark.load_model(out).predict(pictures / "low" / "00.png").heads["genre"].scores["low"] > 0.5
    with pytest.raises(ModelError, match="not audio"):
        earmark.load_model(out).predict(tone)
    lessons.make_pictures(tmp_path / "odd" / "x", tracks=1, size=(40, 25))
    (tmp_path / "odd" / "x" / "low" / "00.png").rename(pictures / "low" / "odd.png")
    with pytest.raises(DatasetError, match=r"odd\.png is 25 pixels high, others are 24"):
        train(load_dataset(pictures), lessons.recipe(), tmp_path / "n", TrainOptions())


def test_it_starts_from_a_model_of_the_same_frontend_only(songs: Path, tmp_path: Path, one_thread: None) -> None:
    data = load_dataset(songs)
    base = train(data, lessons.recipe("training.epochs=8"), tmp_path / "base", TrainOptions())
    start = TrainOptions(init=base)
    slow = ("training.epochs=1", "training.learning_rate=1e-9", "training.optimizer=sgd")
    out = train(data, lessons.recipe(*slow), tmp_path / "m", start)
    assert read_card(out).scores["genre"]["train_accuracy"] == 1.0
    with pytest.raises(ModelError, match="another frontend: hop_length = 256, here 200"):
        train(data, lessons.recipe("frontend.hop_length=200"), tmp_path / "n", start)
    assert not (tmp_path / "n").exists()


def test_a_split_can_be_given(songs: Path, tmp_path: Path) -> None:
    data = load_dataset(songs)
    rows = np.arange(20)
    parts = Split(rows[rows % 2 == 0], rows[rows % 4 == 1], rows[rows % 4 == 3], "track")
    out = train(data, lessons.recipe("training.epochs=1"), tmp_path / "m", TrainOptions(split=parts))
    found = list(load_split(out / "split.tsv").values())
    assert [found.count(part) for part in ("train", "valid", "test")] == [10, 5, 5]


def test_unreadable_and_repeated_files_are_left_out_with_a_notice(songs: Path, tmp_path: Path) -> None:
    data = shutil.copytree(songs, tmp_path / "data")
    (data / "tone" / "zz.wav").write_bytes(b"this is not sound")
    shutil.copy(data / "hiss" / "00.wav", data / "hiss" / "copy.wav")
    out = train(load_dataset(data), lessons.recipe("training.epochs=1"), tmp_path / "m", TrainOptions())
    notes = " ".join(read_card(out).notes)
    assert "1 of 22 tracks cannot be read" in notes and "1 tracks are copies of others" in notes


def test_mistakes_are_one_line_before_training(songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out = load_dataset(songs), tmp_path / "m"
    for settings, message in (
        (["backbone.name=time-axes"], "did you mean 'time-axis'"),
        (["backbone.options.filter=[1]"], "unknown option"),
        (["backbone.options.filters=[1]"], "two convolutions"),
        (["heads.ensemble=[\"forest\"]"], "unknown classifier"),
        (["augment=[{name=\"time-mask\", probability=2.0}]"], "probability"),
        (["augment=[{name=\"equalizer\", options={deviation=-1.0}}]"], "deviation"),
        (["augment=[{name=\"frequency-stretch\", options={factor=[0.0, 1.0]}}]"], "factor"),
        (["training.mixup=-0.5"], "must not be below 0"),
        (["training.train_size=1.5"], "must be at most 1"),
        (["training.train_size=0.0"], "must be above 0"),
    ):  # fmt: skip
        with pytest.raises(EarmarkError, match=message) as caught:
            train(data, lessons.recipe(*settings), out, TrainOptions())
        assert "\n" not in str(caught.value)
    with pytest.raises(RecipeError, match="--device cuda"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        train(data, lessons.recipe(), out, TrainOptions(device="cuda"))
    with pytest.raises(DatasetError, match="one class only"):
        train(data.subset(range(10)), lessons.recipe(), out, TrainOptions())
    with pytest.raises(EarmarkError, match="unknown head"):
        train(data, lessons.recipe(), out, TrainOptions(heads=("genra",)))
    monkeypatch.setattr(shutil, "disk_usage", _full)
    with pytest.raises(StorageError, match="the cache needs"):
        train(data, lessons.recipe("clip.seconds=0.9"), out, TrainOptions())
    assert not out.exists()


def _full(path: object) -> object:
    class Usage:
        free = 0

    return Usage()


def test_a_loss_that_is_no_number_ends_the_run_with_one_line(songs: Path, tmp_path: Path) -> None:
    wild = lessons.recipe("training.learning_rate=1e30", "training.optimizer=sgd", "training.gradient_norm=0.0")
    with pytest.raises(RecipeError, match=r"not a number any more \(epoch 1, step \d+\).*learning_rate"):
        train(load_dataset(songs), wild, tmp_path / "m", TrainOptions())


def test_training_without_a_validation_part_keeps_the_last_epoch(songs: Path, tmp_path: Path) -> None:
    recipe = lessons.recipe("split.train=0.8", "split.valid=0.0")
    out = train(load_dataset(songs), recipe, tmp_path / "m", TrainOptions())
    card = read_card(out)
    assert card.head("genre").temperature == 1.0 and card.scores["genre"]["valid_accuracy"] is None


def test_fewer_songs_to_learn_from_and_the_same_to_be_scored_by(songs: Path, tmp_path: Path) -> None:
    found = {}
    for size in ("1.0", "0.5"):
        recipe = lessons.recipe("training.epochs=1", f"training.train_size={size}")
        out = train(load_dataset(songs), recipe, tmp_path / size, TrainOptions())
        found[size] = load_split(out / "split.tsv")
    learnt = {size: {key for key, part in parts.items() if part == "train"} for size, parts in found.items()}
    assert learnt["0.5"] < learnt["1.0"] and len(learnt["0.5"]) == 6 and len(learnt["1.0"]) == 12
    assert all(found["0.5"][key] == part for key, part in found["1.0"].items() if part != "train")


def test_it_stops_early(songs: Path, tmp_path: Path) -> None:
    recipe = replace(lessons.recipe("training.epochs=40", "training.patience=2", "training.learning_rate=1e-9"))
    data = load_dataset(songs)
    out = train(data, recipe, tmp_path / "m", TrainOptions())
    assert len(read_history(out / "history.csv")) < 40
