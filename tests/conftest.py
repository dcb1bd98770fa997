"""What tests share: the shared data (or a reason to skip), made sound, and a tiny made model."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: more threads would wait for each other
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import gc
import shutil
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from commands import Earmark, Said
from earmark.engine import Engine
from earmark.models.device import Device
from made import make_model

ROOT = Path(__file__).parent.parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each file's tests run in one process, so that what they share (servers, browsers, models) is made once."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log) if config.option.dist == "load" else None


def pytest_collection_finish() -> None:
    """What is there by now stays: it is no garbage to look for again and again, nor to copy for a child process."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real music and published weights beside the checkout."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        if os.environ.get("CI"):
            pytest.fail("../shared is missing: CI must have it")
        pytest.skip("../shared (real music and published weights) is not beside the checkout")
    return folder


def program(name: str) -> str:
    """A system program's path; missing, it fails in CI and skips elsewhere."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"the program {name} is missing: CI must install it")
        pytest.skip(f"the program {name} is not installed")
    return found


@pytest.fixture(scope="session")
def sox() -> str:
    return program("sox")


@pytest.fixture(scope="session")
def chromium() -> str:
    return program("chromium")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a made network: fast, deterministic, and meaningless."""
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def earmark(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Earmark:
    """``earmark("tag", path)`` in this process; without ``-j`` and ``--device`` it analyses itself.

    Most of what a test with few short songs takes is the start of workers. Of those are tests/engine, what asks for
    ``-j``, and all that run as a process of their own.
    """
    from earmark.cli import main
    from earmark.engine import InlineEngine, LocalEngine

    def engine(workers: int | None = None, *, device: Device = "auto", **more: Any) -> Engine:
        here = workers is None and device == "auto"
        return InlineEngine() if here else LocalEngine(workers or 1, device=device, **more)

    monkeypatch.setattr("earmark.engine.LocalEngine", engine)

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """Three seconds of a 440 Hz tone with its overtones, 22.05 kHz mono WAV."""
    t = np.arange(3 * 22050) / 22050
    path = tmp_path / "tone.wav"
    soundfile.write(path, sum(0.3 / k * np.sin(2 * np.pi * 440 * k * t) for k in (1, 2, 3)), 22050)
    return path


@pytest.fixture(scope="session", autouse=True)
def _signals() -> None:
    """Ctrl-C reaches the children of the tests, also where the tests run in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests compute once is shared among them, and never with the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARMARK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder after the other; pytest's own way lists all that there are, for each of thousands."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def _own_folders(homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own configuration or data."""
    home = next(homes)
    home.mkdir()
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "APPDATA", "HOME"):
        monkeypatch.setenv(variable, str(home))
