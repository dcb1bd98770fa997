"""Time, memory and size, measured from outside."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

__all__ = ["EXCERPT", "Served", "folder_sizes", "peak_megabytes", "seconds_of", "serve"]

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
    """Sum of the peaks of resident memory of a process and its children; None where /proc does not tell."""
    if sys.platform != "linux":
        return None
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for pid in _family(process.pid):
            peaks[pid] = max(peaks.get(pid, 0), _peak_kilobytes(pid))
        time.sleep(0.01)
    return sum(peaks.values()) / 1024


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:
            continue
        for child in found:
            yield from _family(int(child))


def _peak_kilobytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


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
