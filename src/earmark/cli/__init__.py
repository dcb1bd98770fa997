"""The command line: one module a verb, found by name, and nothing heavy imported before a verb is chosen."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["main"]

STOPPED = 130  # as shells report SIGINT
NOBODY_READS = 141  # as shells report SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: Arguments without the program's name; those of the process where it is None.

    Returns:
        0 done, 1 error or not one record, 2 wrong usage, 3 done but some records are errors, 130 stopped by Ctrl-C.
    """
    try:
        _settle_streams()
        code = _guarded(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:  # a second one, while the first was dealt with
        code = STOPPED
    if argv is None:
        _leave_quietly()
    return code


def _guarded(argv: list[str]) -> int:
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 2
    except KeyboardInterrupt as stop:
        return _stopped(stop)
    except BrokenPipeError:
        _give_up_stdout()
        return NOBODY_READS
    except Exception as error:
        if os.environ.get("EARMARK_DEBUG"):
            raise
        if isinstance(error.__context__, KeyboardInterrupt) and not _is_ours(error):
            return _stopped(error.__context__)  # a library made something else of it, as imports do
        _say(f"error: {_one_line(error)}")
        if isinstance(error, OSError):
            _give_up_stdout()
        return 1


def _stopped(stop: KeyboardInterrupt) -> int:
    _say(f"stopped{'; what is done is kept' if type(stop).__name__ == 'Stopped' else ''}")
    return STOPPED


def _run(argv: list[str]) -> int:
    from earmark.cli import verbs

    top = verbs.top_parser()
    chosen = top.parse_args(argv)
    if chosen.verb is None:
        top.print_help(sys.stderr if chosen.rest else sys.stdout)
        return 2
    from earmark.cli import settings

    command = verbs.load(chosen.verb)
    parser = verbs.verb_parser(chosen.verb, command)
    file = settings.asked_file(chosen.rest) or chosen.config
    if not {"-h", "--help"} & set(chosen.rest):
        settings.apply(parser, chosen.verb, settings.read(file))
    args = verbs.parse(parser, chosen.rest)
    args.config = file
    return command.run(args)


def _is_ours(error: Exception) -> bool:
    from earmark.errors import EarmarkError

    return isinstance(error, EarmarkError)


def _one_line(error: Exception) -> str:
    from earmark.cli.console import plain
    from earmark.errors import EarmarkError

    if isinstance(error, EarmarkError):
        return plain(" ".join(str(error).split()))
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return plain(f"{name}{error.strerror[:1].lower()}{error.strerror[1:]}")
    text = " ".join(str(error).split())
    return plain(f"unexpected {type(error).__name__}{': ' if text else ''}{text} (EARMARK_DEBUG=1 shows where)")


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody is left to read it
        print(f"earmark: {text}", file=sys.stderr, flush=True)


def _settle_streams() -> None:
    """What is printed never fails for its characters, and a pipe gets UTF-8 with plain line ends on every system.

    A stream that was closed (``>&-``) gets a stand-in, and its number is taken, lest a file that is opened get it.
    Notices that cannot be written (``2>/dev/full``, a terminal that is gone) are lost, and the work goes on.
    """
    with contextlib.suppress(OSError):
        while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(handle)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123
    sys.stdout = sys.stdout or _Closed()
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:
        lossy = io.BufferedWriter(_Lossy(sys.stderr.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(lossy, sys.stderr.encoding, line_buffering=True)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is None:
            continue
        if stream is sys.stdout and not stream.isatty():
            reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
        else:
            reconfigure(errors="backslashreplace")


class _Lossy(io.FileIO):
    """A file that takes everything, and loses what it cannot keep."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or memoryview(data).nbytes
        except OSError:
            return memoryview(data).nbytes


class _Closed(io.TextIOBase):
    """Standard output where there is none: printing to it is an error."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "standard output is closed: nothing can be printed")


def _leave_quietly() -> None:
    """Ctrl-C while Python ends is no traceback."""
    with contextlib.suppress(ValueError):  # not the main thread: not our process
        signal.signal(signal.SIGINT, lambda *_: os._exit(STOPPED))


def _give_up_stdout() -> None:
    """Python would try to write what is left when it ends, and complain."""
    with contextlib.suppress(OSError, ValueError):
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
        os.close(sink)
