"""A command line run in this process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def songs(tmp_path: Path, tone: Path) -> Path:
    """A folder with three songs, a text that pretends, and a picture."""
    folder = tmp_path / "music"
    (folder / "b").mkdir(parents=True)
    for name in ("a.wav", "b/c.wav", "d.wav"):
        shutil.copy(tone, folder / name)
    (folder / "b" / "fake.mp3").write_text("no music in here")
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    return folder
