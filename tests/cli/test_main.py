"""The frame around every verb: exit codes, one-line errors, no tracebacks, a quick start."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import Earmark, command, environment
from earmark.cli import main, verbs
from earmark.cli.drawing import Stopped
from earmark.errors import EarmarkError


def test_help_names_every_verb_and_ends_well(earmark: Earmark) -> None:
    said = earmark("-h")
    assert said.code == 0
    for verb in ("tag", "embed", "models", "recipes", "doctor", "config"):
        assert f"  {verb} " in said.out
    assert "console" not in said.out and "settings  " not in said.out, "helpers are no verbs"


@pytest.mark.parametrize("verb", ["tag", "embed", "models", "recipes", "doctor", "config"])
def test_every_verb_has_help_and_keeps_out_of_others_modules(verb: str, earmark: Earmark) -> None:
    said = earmark(verb, "-h")
    assert said.code == 0 and said.out.startswith(f"usage: earmark {verb}") and said.err == ""


def test_usage_errors_are_2(earmark: Earmark) -> None:
    assert earmark().code == 2
    assert earmark("tag").code == 2
    assert earmark("tag", "x.mp3", "-f", "yaml").code == 2
    assert earmark("tag", "x.mp3", "-j", "0").code == 2
    assert earmark("tag", "x.mp3", "--excerpt", "-3").code == 2
    assert earmark("--no-such", "tag").code == 2
    said = earmark("tagg", "x.mp3")
    assert said.code == 2 and "unknown verb 'tagg'; did you mean 'tag'?" in said.err
    for odd in ("console", "__init__", "", "..", "a b", "importlib"):
        assert earmark(odd).code == 2, odd


def test_a_verb_that_is_gone_says_what_does_its_work(earmark: Earmark) -> None:
    for arguments in (("distill",), ("distill", "songs", "--teachers", "x", "-o", "y"), ("distill", "-h")):
        said = earmark(*arguments)
        assert said.code == 1 and said.out == "" and said.err.count("\n") == 1
        assert "no verb any more" in said.err and "scripts/" in said.err


def test_version(earmark: Earmark) -> None:
    said = earmark("--version")
    assert said.code == 0 and said.out.startswith("earmark ")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (EarmarkError("two\nlines of \x1b[31m it"), "earmark: error: two lines of \\x1b[31m it\n"),
        (OSError(28, "No space left on device", "x.json"), "earmark: error: x.json: no space left on device\n"),
        (KeyError("x"), "earmark: error: unexpected KeyError: 'x' (EARMARK_DEBUG=1 shows where)\n"),
        (KeyboardInterrupt(), "earmark: stopped\n"),
        (Stopped(), "earmark: stopped; what is done is kept\n"),
    ],
)
def test_errors_are_one_line(
    error: BaseException, line: str, earmark: Earmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        HELP = "breaks"

        @staticmethod
        def add_arguments(parser: object) -> None: ...

        @staticmethod
        def run(args: object) -> int:
            raise error

    monkeypatch.delenv("EARMARK_DEBUG", raising=False)
    monkeypatch.setattr(verbs, "load", lambda verb: Broken)
    monkeypatch.setattr("earmark.cli._give_up_stdout", lambda: None)
    said = earmark("broken")
    assert said.err == line
    assert said.code == (130 if isinstance(error, KeyboardInterrupt) else 1)


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARMARK_DEBUG", "1")
    with pytest.raises(EarmarkError):
        main(["tag", "x.mp3", "-m", "no-such-model"])


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_reader_that_went_away_is_no_error() -> None:
    process = subprocess.Popen(
        command("config"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(PYTHONUNBUFFERED="")
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(command("config"), stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
    assert (done.returncode, done.stderr) == (1, "earmark: error: no space left on device\n")


def test_nothing_heavy_is_imported_for_help_or_to_ask_workers(songs: Path, tiny_model: Path) -> None:
    code = (
        "import sys; from earmark.cli import main; main(sys.argv[1:])\n"
        "heavy = {'numpy', 'scipy', 'soundfile', 'av', 'onnxruntime', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    for arguments in (["-h"], ["tag", str(songs), "-m", str(tiny_model)]):
        argv = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(argv, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_help_is_quick() -> None:
    """At most four times as long as Python itself takes to start."""

    def best(*argv: str) -> float:
        took = []
        for _ in range(15):
            start = time.perf_counter()
            assert subprocess.run([sys.executable, *argv], env=environment(), capture_output=True).returncode == 0
            took.append(time.perf_counter() - start)
        return min(took)

    assert best("-m", "earmark", "-h") <= 4 * best("-c", "pass")
