"""Time, memory and size, measured from outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = [
    "EXCERPT",
    "Served",
    "family",
    "folder_sizes",
    "held_megabytes",
    "peak_megabytes",
    "processor_seconds",
    "seconds_of",
    "sections",
    "serve",
]

EXCERPT = 30.0  # seconds of a song that each way takes


def seconds_of(command: Sequence[str | Path]) -> float:
    """Wall-clock seconds of a whole process."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


class Served:
    """A process that :func:`serve` runs in, warm before it is measured."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._answer()

    def seconds(self, paths: Sequence[Path]) -> float:
        """Processor seconds for all of the paths, one after the other."""
        self.ask(paths)
        return sum(float(self._answer()) for _ in paths)

    def ask(self, paths: Sequence[Path]) -> None:
        """Send paths, and do not wait."""
        assert self._process.stdin is not None
        self._process.stdin.writelines(f"{path}\n" for path in paths)
        self._process.stdin.flush()

    def wait(self, count: int) -> None:
        """Until so many paths are done."""
        for _ in range(count):
            self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("a measured process ended early: run bench/usual.py by hand to see why")
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def serve(work: Callable[[str], object], before: Callable[[str], object] = lambda _: None) -> None:
    """Work on each path that comes in, one a line, and answer with its processor seconds, ``before`` not counted."""
    print("ready", flush=True)
    for line in sys.stdin:
        path = line.rstrip("\n")
        before(path)
        begun = time.process_time()
        work(path)
        print(time.process_time() - begun, flush=True)


def peak_megabytes(command: Sequence[str | Path]) -> float | None:
    """Peak of what a process and its children hold together; None where /proc does not tell."""
    if sys.platform != "linux":
        return None
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, held_megabytes(process.pid))
        time.sleep(0.02)
    if process.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(map(str, command))}: it ended with exit status {process.returncode}")
    return peak


def held_megabytes(pid: int) -> float:
    """Sum of the proportional set sizes of a process and its children: pages that several share count once."""
    return sum(_line(Path(f"/proc/{one}/smaps_rollup"), "Pss:") for one in family(pid)) / 1024


def processor_seconds(pid: int) -> float:
    """Of a process and its children, those that have ended included."""
    ticks = 0
    for one in family(pid):
        with suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> Iterator[int]:
    """A process, its children and theirs."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:
            continue
        for child in found:
            yield from family(int(child))


def _line(file: Path, name: str) -> int:
    try:
        return next((int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith(name)), 0)
    except OSError:  # it has ended
        return 0


def folder_sizes(folder: Path) -> Counter[str]:
    """Bytes on disk by the first part of the path below ``folder``; hard links count once."""
    sizes: Counter[str] = Counter()
    seen = set()
    for file in folder.rglob("*"):
        status = file.lstat()
        if file.is_file() and not file.is_symlink() and (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            sizes[file.relative_to(folder).parts[0]] += status.st_size
    return sizes


def sections(file: Path) -> dict[str, str]:
    """What stands on a page below each heading of the second level; nothing where there is no page."""
    page = file.read_text("utf-8") if file.exists() else ""
    parts = re.split(r"^## (.+)\n", page, flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}
