"""Decoders that do to a file what its name says, in worker processes alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SABOTAGE = """
import os, time, soundfile
true_init = soundfile.SoundFile.__init__
def init(self, file, *rest, **more):
    name = os.path.basename(os.fspath(file))
    if b"crash" in name: os.abort()
    if b"leave" in name: os._exit(7)
    if b"hang" in name: time.sleep(600)
    if b"fault" in name: raise KeyError("a fault\\nof ours")
    if b"memory" in name: raise MemoryError
    if b"print" in name: os.write(1, b"a decoder prints\\n" * 100)
    true_init(self, file, *rest, **more)
soundfile.SoundFile.__init__ = init
"""


@pytest.fixture
def sabotage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In worker processes libsndfile does to a file what the file's name says."""
    folder = tmp_path / "sabotage"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SABOTAGE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
