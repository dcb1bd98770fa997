"""Freed memory stays with the process: what a training step gives back, the next one takes again."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of glibc's mallopt
_ALL = 2**31 - 1


def keep_freed_memory() -> None:
    """Ask glibc not to return large blocks to the system; elsewhere nothing happens.

    Maps of a hundred megabytes come and go in every step. Returned and taken again, each page is cleared by the
    system anew, which costs a convolutional network on a CPU up to 45 % of its time.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):  # another C library
        glibc = ctypes.CDLL(None)
        for option, value in ((_MMAP_THRESHOLD, 2**30), (_TRIM_THRESHOLD, _ALL), (_TOP_PAD, 2**26)):
            glibc.mallopt(option, value)
