"""What tests share: the shared data (or a reason to skip), made sound, and a tiny made model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from made import make_model

ROOT = Path(__file__).parent.parent


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
def tone(tmp_path: Path) -> Path:
    """Three seconds of a 440 Hz tone with its overtones, 22.05 kHz mono WAV."""
    t = np.arange(3 * 22050) / 22050
    path = tmp_path / "tone.wav"
    soundfile.write(path, sum(0.3 / k * np.sin(2 * np.pi * 440 * k * t) for k in (1, 2, 3)), 22050)
    return path


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own configuration, data or cache."""
    home = tmp_path_factory.mktemp("home")
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "LOCALAPPDATA", "APPDATA", "HOME"):
        monkeypatch.setenv(variable, str(home))
