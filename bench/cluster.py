"""What Ray costs on one machine: the same songs by worker processes and by a Ray of this machine, in turn.

Each round is a process of its own, so that starting counts too. Times of the processor are of the process that asks and
all that it started; they hold on a busy machine, the wall's do not. Figures for `docs/how-to/cluster.md`.

python bench/cluster.py ../shared/data/moods900/audio
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from measure import family, held_megabytes, processor_seconds

ENGINES = ("local", "ray")
WORKERS = 2
NOTHING = 2000  # items that are nothing to do
NAMES = {
    "start": "start, until both workers have done songs",
    "song": "a song",
    "nothing": "an item that is nothing to do",
}


class Clock:
    """Seconds of the wall and of the processor since the last look."""

    def __init__(self) -> None:
        self._last = (time.time() - time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID), 0.0)  # about when it started

    def lap(self, items: int = 1) -> tuple[float, float]:
        """Of an item."""
        last, self._last = self._last, (time.time(), processor_seconds(os.getpid()))
        return (self._last[0] - last[0]) / items, (self._last[1] - last[1]) / items


def one(kind: str, paths: Sequence[str]) -> dict[str, Any]:
    """A round of an engine, opened as a command opens it."""
    clock = Clock()
    from earmark.app.selection import EngineOptions, opened_engine
    from earmark.engine import Analyse, analyse
    from earmark.engine.base import Each
    from earmark.models.registry import find_model

    found: dict[str, Any] = {}
    task, warm = Analyse.of([find_model("default")]), 8 * WORKERS
    with opened_engine(None, EngineOptions(engine=kind, jobs=WORKERS)) as engine:
        assert len(list(analyse(engine, task, paths[:warm]))) == warm
        found["start"] = clock.lap()
        assert len(list(analyse(engine, task, paths[warm:]))) == len(paths) - warm
        found["song"] = clock.lap(len(paths) - warm)
        assert len(list(engine.map(Each(len), ["nothing"] * NOTHING))) == NOTHING
        found["nothing"] = clock.lap(NOTHING)
        found["held"] = held_megabytes(os.getpid())
        found["processes"] = len(set(family(os.getpid())))
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("music", type=Path)
    parser.add_argument("--songs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", choices=ENGINES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        paths = sorted(str(path) for path in args.music.iterdir())[: args.songs + 8 * WORKERS]
        print(json.dumps(one(args.one, paths)))
        return
    rounds: dict[str, list[dict[str, Any]]] = {kind: [] for kind in ENGINES}
    for _ in range(args.rounds):
        for kind in ENGINES:
            command = [sys.executable, *sys.argv, "--one", kind]
            rounds[kind].append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    print(f"{args.rounds} rounds of {args.songs} songs, {WORKERS} workers, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[1]:.1f} (medians; milliseconds of the processor, of the wall)\n")  # fmt: skip
    print(f"| | {' | '.join(ENGINES)} | more |\n|---|---|---|---|")
    for key, name in NAMES.items():
        wall, spent = ([median(1000 * each[key][at] for each in rounds[kind]) for kind in ENGINES] for at in (0, 1))
        cells = [f"{b:,.1f} ({a:,.1f})" for a, b in zip(wall, spent, strict=True)]
        print(f"| {name} | {' | '.join(cells)} | {spent[1] - spent[0]:,.1f} |")
    held = [median(each["held"] for each in rounds[kind]) for kind in ENGINES]
    count = [median(each["processes"] for each in rounds[kind]) for kind in ENGINES]
    cells = [f"{a:.0f} MB in {b:.0f} processes" for a, b in zip(held, count, strict=True)]
    print(f"| memory (proportional set size) | {' | '.join(cells)} | {held[1] - held[0]:.0f} MB |")


if __name__ == "__main__":
    main()
