"""What the tests of the command line share: a run's outcome, and ``earmark`` as a process of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1] / "src"


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Earmark = Callable[..., Said]


def command(*arguments: object, before: Sequence[str] = ()) -> list[str]:
    return [*before, sys.executable, "-m", "earmark", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return os.environ | {"PYTHONPATH": path} | more


def in_process(*arguments: object, before: Sequence[str] = (), **more: Any) -> Said:
    """``earmark`` as a process, with all that this brings: signals, limits, real streams."""
    options: dict[str, Any] = {"capture_output": True, "text": True, "env": environment(), "timeout": 120} | more
    done = subprocess.run(command(*arguments, before=before), **options)
    return Said(done.returncode, done.stdout or "", done.stderr or "")


def nobody_left(session: int) -> bool:
    """Whether all processes of a session end within seconds."""
    for _ in range(200):
        if not list(of_session(session)):
            return True
        time.sleep(0.05)
    return False


def of_session(session: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            facts = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(facts[3]) == session and facts[0] != "Z":
            yield int(stat.parent.name)
