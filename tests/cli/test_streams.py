"""Streams that are closed, and Ctrl-C in the first and last moments: one plain line, and never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from commands import Said, command, environment, in_process

pytestmark = pytest.mark.skipif(os.name != "posix", reason="streams and signals of POSIX")


def closing(*handles: int) -> Callable[[], None]:
    def close() -> None:
        for handle in handles:
            os.close(handle)

    return close


def test_closed_standard_output_is_one_line() -> None:
    said = in_process("config", preexec_fn=closing(1))
    assert (said.code, said.out) == (1, "")
    assert said.err == "earmark: error: standard output is closed: nothing can be printed\n"


def test_closed_standard_output_is_no_matter_where_a_file_is_written(
    tone: Path, tiny_model: Path, tmp_path: Path
) -> None:
    said = in_process("tag", tone, "-m", tiny_model, "-o", tmp_path / "x.json", preexec_fn=closing(1))
    assert said.code == 0 and said.err.startswith("tagged 1 song")
    assert len(json.loads((tmp_path / "x.json").read_text())) == 1


def test_closed_standard_error_loses_notices_alone(tone: Path, tiny_model: Path, tmp_path: Path) -> None:
    said = in_process("tag", tone, "-m", tiny_model, preexec_fn=closing(2))
    assert said.code == 0 and len(said.records) == 1
    for arguments in (("tag", tmp_path / "no.mp3", "-m", "no-such-model"), ("tag",), ("nonsense",)):
        said = in_process(*arguments, preexec_fn=closing(2))
        assert said.code in (1, 2) and said.out == ""


def unwritable(path: str, flags: int) -> Callable[[], None]:
    """Standard error that is open, and takes nothing."""

    def put() -> None:
        os.dup2(os.open(path, flags), 2)

    return put


@pytest.mark.parametrize(("path", "flags"), [("/dev/full", os.O_WRONLY), ("/dev/null", os.O_RDONLY)])
def test_standard_error_that_takes_nothing_loses_notices_alone(
    tone: Path, tiny_model: Path, tmp_path: Path, path: str, flags: int
) -> None:
    """A disk that is full, a terminal that is gone: no reason to end an hour's work."""
    if not Path(path).exists():
        pytest.skip(f"no {path} here")
    said = in_process("tag", tone, "-m", tiny_model, preexec_fn=unwritable(path, flags))
    assert said.code == 0 and len(said.records) == 1
    scan = ("scan", tone.parent, "-m", tiny_model, "--library", tmp_path / "a.db")
    said = in_process(*scan, preexec_fn=unwritable(path, flags))
    assert said.code == 0 and said.json["tracks"] == 1
    said = in_process("tag", "x.mp3", "-m", "no-such-model", preexec_fn=unwritable(path, flags))
    assert (said.code, said.out) == (1, "")


def test_nothing_is_printed_into_a_library_where_all_streams_are_closed(tmp_path: Path, tiny_model: Path) -> None:
    """A file that is opened gets the lowest free number: that of standard output, if nobody minds."""
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "bad.mp3").write_text("no music")
    said = in_process(
        *("scan", tmp_path / "music", "--library", tmp_path / "a.db", "-m", tiny_model, "-f", "table"),
        preexec_fn=closing(0, 1, 2),
    )
    assert said.code == 1, "the result cannot be printed"
    held = in_process("library", "--library", tmp_path / "a.db", "-f", "json")
    assert held.code == 0 and len(held.json["failures"]) == 1


def python(code: str, *arguments: object) -> Said:
    """A program that runs the command line as the program ``earmark`` does."""
    argv = [sys.executable, "-c", f"{code}\nfrom earmark.__main__ import main\nsys.exit(main())", *map(str, arguments)]
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, timeout=120)
    return Said(done.returncode, done.stdout, done.stderr)


INTERRUPT_IMPORT = """
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
"""


@pytest.mark.parametrize(
    ("name", "verb"),
    [
        ("earmark.cli", "tag"),
        ("argparse", "tag"),
        ("earmark.cli.verbs", "-h"),
        ("earmark.cli.settings", "tag"),
        ("earmark.cli.commands.tag", "tag"),
        ("earmark.app.analyse", "tag"),
        ("earmark.engine.local", "tag"),
        ("earmark.library.store", "library"),
        ("sqlite3", "library"),
        ("numpy", "similar"),
    ],
)
def test_ctrl_c_during_an_import(name: str, verb: str, tone: Path, tiny_model: Path) -> None:
    arguments = {"tag": (tone, "-m", tiny_model), "similar": (tone,)}.get(verb, ())
    said = python(INTERRUPT_IMPORT.format(name=name), verb, *arguments)
    assert said.code == 130 and "Traceback" not in said.err and said.err in ("", "earmark: stopped\n"), said.err


@pytest.mark.parametrize("verb", ["--version", "config", "recipes", "nonsense"])
def test_ctrl_c_while_python_ends(verb: str) -> None:
    code = """
import atexit, os, signal, sys, time
atexit.register(lambda: (os.kill(os.getpid(), signal.SIGINT), time.sleep(1)))
"""
    said = python(code, verb)
    assert said.code == 130 and "Traceback" not in said.err and "KeyboardInterrupt" not in said.err


def test_a_second_ctrl_c_while_the_first_is_dealt_with() -> None:
    code = """
import sys
import earmark.cli
from earmark.cli import verbs
def again(*_): raise KeyboardInterrupt
verbs.top_parser = again
earmark.cli._say = again
"""
    said = python(code, "config")
    assert said.code == 130 and "Traceback" not in said.err


def test_ctrl_c_at_any_moment_of_a_short_run() -> None:
    """From the moment that Python runs our code: what comes before is Python's own start."""
    for moment in range(12):
        code = (
            "import os, signal, sys, threading, earmark.__main__\n"
            f"threading.Timer({0.01 + moment * 0.02}, os.kill, (os.getpid(), signal.SIGINT)).start()"
        )
        said = python(code, "config", "-f", "json")
        assert said.code in (0, 130) and "Traceback" not in said.err and "Exception" not in said.err, said.err


def test_ctrl_c_while_python_calls_back_is_not_lost() -> None:
    """What is raised in a weak reference's callback goes nowhere; the run ends all the same, and says nothing of it."""
    code = (
        "import earmark.cli, sys, time, weakref\n"
        "class Thing: pass\n"
        "def raises(_): raise KeyboardInterrupt\n"
        "def run():\n"
        "    thing = Thing(); held = weakref.ref(thing, raises); del thing\n"
        "    try:\n"
        "        for _ in range(2000): time.sleep(0.01)\n"  # a long one is not ended by Python's own second try
        "    except KeyboardInterrupt: return 130\n"
        "    return 0\n"
        "earmark.cli.main = run"
    )
    said = python(code)
    assert (said.code, said.err) == (130, "")


def test_the_program_is_the_same_as_the_module() -> None:
    assert command("-h")[1:3] == ["-m", "earmark"]
    assert in_process("--version").out == python("import sys", "--version").out
