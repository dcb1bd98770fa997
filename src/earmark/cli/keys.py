"""Keys of a terminal, whole: one that sends several characters (Delete, F5) is never read as one of them.

readchar and prompt_toolkit hand on a sequence that they do not know as its single characters, which is the fault.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["END", "Keys", "opened_keys"]

END = "\x04"  # Ctrl-D, and what a closed input gives
_SEQUENCE = re.compile(rb"\x1b(?:\[\[.|\[[0-?]*[ -/]*[@-~]|O[0-9]*.|[^\[O])", re.DOTALL)  # ECMA-48; \x1b[[A of Linux
_REST_COMES = 0.05  # seconds that a terminal takes for the rest of a key at most
_LONGEST = 32

Keys = Callable[[], str]
"""Gives the next key: one character, or the whole sequence of a key that sends several."""


@contextmanager
def opened_keys() -> Iterator[Keys]:
    """Keys without Enter where standard input is a terminal; elsewhere each line is one."""
    if not sys.stdin.isatty():
        yield _line_as_key
    elif sys.platform == "win32":
        yield _windows_key
    else:
        yield _terminal_keys(sys.stdin.fileno())


def _line_as_key() -> str:
    line = sys.stdin.readline()
    return line.strip() or "\n" if line else END


def _windows_key() -> str:
    import msvcrt

    first: str = msvcrt.getwch()  # type: ignore[attr-defined]
    return first + msvcrt.getwch() if first in "\x00\xe0" else first  # type: ignore[attr-defined]


def _terminal_keys(handle: int) -> Keys:
    import select
    import termios
    import tty

    held = b""

    def more(wait: float | None) -> bool:
        """Take what the terminal has sent; False where nothing came in time."""
        nonlocal held
        if wait is not None and not select.select([handle], [], [], wait)[0]:
            return False
        with suppress(OSError):  # the terminal is gone
            if new := os.read(handle, 1024):
                held += new
                return True
        return False

    def key() -> str:
        nonlocal held
        before = termios.tcgetattr(handle)
        try:
            tty.setcbreak(handle, termios.TCSADRAIN)
            if not held and not more(None):
                return END
            while (size := _size(held)) == 0 and len(held) < _LONGEST and more(_REST_COMES):
                pass
            size = size or len(held)
            first, held = held[:size], held[size:]
            return first.decode("utf-8", "replace")
        finally:
            termios.tcsetattr(handle, termios.TCSADRAIN, before)

    return key


def _size(held: bytes) -> int:
    """How many bytes the first key has; 0 where its end has not come yet."""
    if held[0] == 0x1B:
        found = _SEQUENCE.match(held)
        return found.end() if found else 0
    wanted = 1 if held[0] < 0xC0 else 2 if held[0] < 0xE0 else 3 if held[0] < 0xF0 else 4
    return wanted if len(held) >= wanted else 0
