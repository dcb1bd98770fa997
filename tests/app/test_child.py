"""A use case in a process of its own: its events and result come back, it can be cancelled, and its death is told."""

from __future__ import annotations

import importlib
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from earmark.app.child import in_child
from earmark.app.library import LibraryRequest, look_into_library
from earmark.app.scan import ScanRequest, scan
from earmark.errors import Cancelled, EarmarkError, NoLibrary
from earmark.events import Progress
from serving import children
from sounds_of_library import make_songs

ODD = """
from earmark.events import use_case

class Odd:
    def __reduce__(self):
        return int, ("no number",)

@use_case
def work(request):
    yield from ()

def describe(result):
    return Odd()
"""


def request(folder: Path, model: Path, songs: int) -> ScanRequest:
    make_songs(folder / "music", songs)
    return ScanRequest(folders=(str(folder / "music"),), library=str(folder / "a.db"), model=str(model), jobs=1)


def test_events_and_result_come_back(tmp_path: Path, tiny_model: Path) -> None:
    run = in_child(scan, request(tmp_path, tiny_model, 3), asdict)
    progress = [event for event in run if isinstance(event, Progress)]
    assert progress[0].stage == "starting" and (progress[-1].done, progress[-1].total) == (3, 3)
    assert run.result["analysed"] == 3


def test_cancelled(tmp_path: Path, tiny_model: Path) -> None:
    """What is done is kept, and the process is gone."""
    run = in_child(scan, request(tmp_path, tiny_model, 30), asdict)
    before = children(os.getpid())
    with pytest.raises(Cancelled):
        for event in run:
            if isinstance(event, Progress) and event.done >= 2 and event.stage != "starting":
                run.cancel()
    assert children(os.getpid()) <= before
    held = look_into_library(LibraryRequest(library=str(tmp_path / "a.db"))).wait()
    assert 2 <= held.tracks < 30


def test_what_comes_back_and_cannot_be_read_ends_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is told, whatever the reading raises: it waited for ever."""
    (tmp_path / "odd_result.py").write_text(ODD, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    odd = importlib.import_module("odd_result")
    run, end = in_child(odd.work, None, odd.describe), time.monotonic() + 30
    with pytest.raises(EarmarkError, match=r"cannot be read \(invalid literal"):
        for _ in run:
            assert time.monotonic() < end, "it waits for ever"


def test_errors_are_those_of_the_work(tmp_path: Path) -> None:
    with pytest.raises(NoLibrary, match="there is no library"):
        in_child(look_into_library, LibraryRequest(library=str(tmp_path / "no.db")), asdict).wait()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the process in /proc")
def test_a_process_that_dies(tmp_path: Path, tiny_model: Path) -> None:
    before = children(os.getpid())
    run = in_child(scan, request(tmp_path, tiny_model, 30), asdict)
    with pytest.raises(EarmarkError, match=r"ended by signal 9"):
        for _ in run:
            for child in children(os.getpid()) - before:
                os.kill(child, signal.SIGKILL)
