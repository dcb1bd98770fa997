"""Many files on all cores: order, determinism, and that a decoder that crashes or hangs costs its own file only."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import earmark
from earmark import Failure, HearingOptions, Prediction
from earmark.engine.local import default_workers
from earmark.errors import ModelError, UnknownName
from engine_tasks import predict_files
from made import make_model
from sounds import melody, write


@pytest.fixture
def songs(tmp_path: Path) -> list[str]:
    """Ten short tracks."""
    return [str(write(tmp_path / f"{i:02}.wav", melody(1 + i % 3, 8000, i), 8000)) for i in range(10)]


def facts(results: object) -> list[dict]:
    return [result.to_dict() for result in results]


def test_order_and_scores_do_not_depend_on_workers(tiny_model: Path, songs: list[str]) -> None:
    alone = facts(predict_files([tiny_model], songs, workers=1))
    assert [record["path"] for record in alone] == songs
    assert facts(predict_files([tiny_model], songs, workers=3)) == alone
    backwards = facts(predict_files([tiny_model], songs[::-1], workers=2))
    assert backwards[::-1] == alone
    tagger = earmark.load_model(tiny_model)
    assert [tagger.predict(song).to_dict() for song in songs] == alone


def test_predict_all_takes_a_generator(tiny_model: Path, songs: list[str], tmp_path: Path) -> None:
    """A bad file is a value; paths are read as work goes on."""
    tagger = earmark.load_model(tiny_model)
    paths = (Path(song) for song in [songs[0], str(tmp_path / "gone.wav"), songs[1]])
    first, gone, second = earmark.predict_all(tagger, paths, workers=1)
    assert isinstance(first, Prediction)
    assert first.embedding is not None
    assert isinstance(gone, Failure)
    assert gone.kind == "missing"
    assert isinstance(second, Prediction)
    assert list(earmark.predict_all(tagger, [])) == []


@pytest.mark.usefixtures("sabotage")
def test_a_crash_costs_one_file(tiny_model: Path, songs: list[str], tmp_path: Path) -> None:
    bad = [
        str(write(tmp_path / f"{kind}.wav", melody(1, 8000), 8000)) for kind in ("crash", "leave", "fault", "memory")
    ]
    mixed = [*bad, *songs[:2], *bad, songs[2]]
    results = list(predict_files([tiny_model], mixed, workers=2))
    assert [result.path for result in results] == mixed
    for result in results:
        if result.path in bad:
            assert isinstance(result, Failure)
            assert result.kind == "crash"
            assert "\n" not in result.message
        else:
            assert isinstance(result, Prediction)
    said = {Path(result.path).stem: result.message for result in results if isinstance(result, Failure)}
    if os.name != "nt":
        assert "SIGABRT" in said["crash"]
    assert "exit status 7" in said["leave"]
    assert "KeyError" in said["fault"]
    assert said["memory"] == "out of memory"


@pytest.mark.usefixtures("sabotage")
def test_a_hang_costs_one_file_and_its_time(tiny_model: Path, songs: list[str], tmp_path: Path) -> None:
    bad = str(write(tmp_path / "hang.wav", melody(1, 8000), 8000))
    begun = time.monotonic()
    options = HearingOptions(timeout=3)
    hung, *good = predict_files([tiny_model], [bad, *songs], workers=2, options=options)
    assert isinstance(hung, Failure)
    assert hung.kind == "timeout"
    assert all(isinstance(result, Prediction) for result in good)
    assert time.monotonic() - begun < 30


@pytest.mark.usefixtures("sabotage")
def test_unordered_answers_do_not_wait_for_a_slow_file(tiny_model: Path, songs: list[str], tmp_path: Path) -> None:
    stuck = write(tmp_path / "hang.wav", melody(0.2, 22050), 22050)
    asked = [str(stuck), *songs]
    options = HearingOptions(timeout=6.0)
    found = list(predict_files([tiny_model], asked, workers=2, options=options, ordered=False))
    assert sorted(result.path for result in found) == sorted(asked)
    assert found[-1].path == str(stuck) and isinstance(found[-1], Failure) and found[-1].kind == "timeout"


@pytest.mark.usefixtures("sabotage")
def test_what_a_decoder_prints_goes_nowhere(tiny_model: Path, tmp_path: Path) -> None:
    chatty = str(write(tmp_path / "print.wav", melody(1, 8000), 8000))
    (result,) = predict_files([tiny_model], [chatty], workers=1)
    assert isinstance(result, Prediction)


def test_a_model_that_cannot_be_used_ends_the_run_with_its_reason(tmp_path: Path, songs: list[str]) -> None:
    model = make_model(tmp_path / "model")
    (model / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="checksum"):
        list(predict_files([model], songs, workers=2))
    with pytest.raises(ModelError, match="no such model folder"):
        list(predict_files([tmp_path / "nowhere"], songs, workers=1))
    with pytest.raises(UnknownName, match="bands"):
        good = make_model(tmp_path / "good")
        list(predict_files([good], songs, workers=1, options=HearingOptions(layer="band")))


def _workers() -> set[str]:
    """The worker processes of this process; on other systems than Linux nobody tells."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            parent = stat.read_text().rsplit(")", 1)[1].split()[1]
            if parent == str(os.getpid()) and b"earmark.engine.worker" in (stat.parent / "cmdline").read_bytes():
                found.add(stat.parent.name)
    return found


def test_stopping_early_ends_the_workers(tiny_model: Path, songs: list[str]) -> None:
    """Closing the iterator, as Ctrl-C does, leaves no process behind."""
    before = _workers()
    results = predict_files([tiny_model], itertools.cycle(songs), workers=2)
    next(results)
    assert sys.platform != "linux" or _workers() - before
    results.close()
    assert not _workers() - before


def test_workers_import_nothing_from_the_current_folder(
    tiny_model: Path, songs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of music may hold a file that is called like a module."""
    monkeypatch.chdir(tmp_path)
    for name in ("queue.py", "numpy.py", "soundfile.py"):
        (tmp_path / name).write_text("raise SystemExit('not a module')\n")
    assert isinstance(next(iter(predict_files([tiny_model], songs[:1], workers=1))), Prediction)


def test_the_process_that_asks_imports_nothing_heavy() -> None:
    code = "import sys; from earmark.engine import predict_all; print(*sys.modules)"
    env = os.environ | {"PYTHONPATH": str(Path(earmark.__file__).parents[1])}
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env).stdout.split()
    assert "earmark.engine.local" in loaded
    assert not {"numpy", "soundfile", "av", "onnxruntime", "torch"} & set(loaded)


def test_default_workers() -> None:
    assert 1 <= default_workers() <= (os.cpu_count() or 1)
