"""Running a part of a test as somebody to whom the system may say no."""

from __future__ import annotations

import os
import shutil

import pytest

__all__ = ["unprivileged"]


def unprivileged() -> list[str]:
    """What to put before a command so that file permissions hold for it: root sees no refusal otherwise.

    It stays the same user and only gives up the right to pass over permissions, so that Python is still readable.
    """
    if not hasattr(os, "geteuid"):
        pytest.skip("permissions are another matter here")
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("runs as root, and setpriv is not installed")
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]
