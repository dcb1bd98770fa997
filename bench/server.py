"""The server: its start, and fifty clients on a library of 100,000 made tracks while it scans real music.

Each client asks once a second, by a timetable that a slow answer does not stop: times count from when a request was
due. Afterwards eight clients ask without a pause: what the server can answer at most. Ends by itself, with a page.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.parse import quote

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
MIX = {"similar": 40, "tracks": 30, "find": 25, "map": 5}
"""Requests in a hundred."""
WORDS = ("calm piano", "happy Rock", "artist 77", "song 12345", "energetic, not sad", "Metal", "guitar energy 0.7")
ORDERS = ("artist", "title", "energy", "confidence")
STEP = 1.0  # seconds between a client's requests


@dataclass
class Tally:
    """What came of the requests, by route.

    Attributes:
        seconds: Of the answers.
        errors: What was no 200 or 304, in a word.
        sizes: Bytes of the answers.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    sizes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, route: str, seconds: float, error: str, size: int) -> None:
        """Count one."""
        with self.lock:
            self.seconds[route].append(seconds)
            self.sizes[route].append(size)
            if error:
                self.errors[route].append(error)

    def rows(self) -> Iterator[str]:
        """Of a Markdown table."""
        yield "| request | asked | p50 | p99 | slowest | answer | errors |\n|---|---|---|---|---|---|---|"
        for route, times in self.seconds.items():
            size = max(self.sizes[route]) / 1000
            wrong = self.errors[route]
            why = f" ({', '.join(sorted(set(wrong))[:3])})" if wrong else ""
            figures = " | ".join(f"{_share(times, part) * 1000:.0f} ms" for part in (0.5, 0.99, 1.0))
            yield f"| {route} | {len(times)} | {figures} | up to {size:,.0f} kB | {len(wrong)}{why} |"


class Client:
    """One person with one connection, who asks by the mix; a known map is asked for by its ETag, as browsers do."""

    def __init__(self, port: int, tracks: int, seed: int, tally: Tally) -> None:
        self._port, self._tracks, self._tally = port, tracks, tally
        self._chance, self._known = random.Random(seed), ""
        self._connection = self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)

    def address(self, route: str) -> str:
        """What to ask for."""
        chance = self._chance
        if route == "similar":
            return f"/v1/tracks/{chance.randint(1, self._tracks)}/similar?count=20"
        if route == "tracks":
            return f"/v1/tracks?limit=50&sort={chance.choice(ORDERS)}&genre=Rock"
        return f"/v1/find?count=50&q={quote(chance.choice(WORDS))}" if route == "find" else "/v1/map"

    def ask(self, due: float | None = None) -> None:
        """Ask once; ``due`` is when that should have been."""
        route = self._chance.choices([*MIX], [*MIX.values()])[0]
        begun = time.perf_counter() if due is None else due
        error, size = "", 0
        try:
            headers = {"If-None-Match": self._known} if route == "map" and self._known else {}
            self._connection.request("GET", self.address(route), headers=headers)
            answer = self._connection.getresponse()
            size = len(answer.read())
            if route == "map":
                self._known = answer.headers.get("ETag", "")
            if answer.status not in (200, 304):
                error = str(answer.status)
        except (OSError, http.client.HTTPException) as failed:
            error = type(failed).__name__
            self._connection.close()
            self._connection = self._connect()
        self._tally.add(route, time.perf_counter() - begun, error, size)

    def by_timetable(self, first: float, times: int) -> None:
        """Ask so often, a second apart."""
        for number in range(times):
            due = first + number * STEP
            time.sleep(max(0.0, due - time.perf_counter()))
            self.ask(due)

    def without_pause(self, end: float) -> None:
        """Ask until then."""
        while time.perf_counter() < end:
            self.ask()


def _share(times: list[float], part: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _in_threads(work: list[tuple[object, tuple[object, ...]]]) -> None:
    threads = [threading.Thread(target=function, args=given) for function, given in work]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def serving(library: Path, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], int, float]]:
    """A server: its process, its port, and when it was started."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "earmark", "serve", "--port", str(port), "--library", str(library)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*command, *map(str, arguments)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process, port, begun
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
        if said:
            print(said, file=sys.stderr)


def _first(process: subprocess.Popen[str], port: int, path: str, begun: float) -> float:
    """Seconds since ``begun`` when the answer is 200 for the first time."""
    while time.perf_counter() - begun < 120 and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return time.perf_counter() - begun
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    raise SystemExit("the server does not answer")


def begin_scan(port: int) -> str:
    """The id of a job that scans the folder of ``--music``."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/v1/folders")
    folders = [one["id"] for one in json.load(connection.getresponse())["folders"] if one["available"]]
    body = json.dumps({"kind": "scan", "folders": folders})
    connection.request("POST", "/v1/jobs", body, {"Content-Type": "application/json"})
    return str(json.load(connection.getresponse())["id"])


def job(port: int, name: str) -> dict[str, object]:
    """How far a job is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", f"/v1/jobs/{name}")
    return dict(json.load(connection.getresponse()))


def make(file: Path, tracks: int) -> None:
    """A library of made tracks under the bundled model, with clips."""
    from earmark.events import Run
    from earmark.library import layout
    from earmark.library.cluster import cluster_tracks
    from earmark.library.records import LibraryModel
    from earmark.library.store import open_library
    from earmark.library.vectors import keep_index
    from earmark.models.card import read_card
    from earmark.models.registry import find_model
    from made_library import fill

    folder = find_model("default")
    with open_library(file, make=True) as library:
        model = fill(library, tracks, groups=50, model=LibraryModel.of(folder, read_card(folder)), clips=4)
        cluster_tracks(library, model, rebuild=True)
        layout.has_tsne = lambda: False  # takes hours of so many
        layout.lay_out(library, model, rebuild=True)
        Run(keep_index(library, model)).wait()
        library.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def load(file: Path, music: Path | None, clients: int, seconds: int, tracks: int) -> list[str]:
    """Lines of the page: the load while a scan runs, and what is the most."""
    more = ["--music", music] if music else []
    with serving(file, "-j", 1, *more) as (process, port, begun):
        ready = _first(process, port, "/v1/tracks/1/similar", begun)
        scan = begin_scan(port) if music else ""
        tally, warm = Tally(), Client(port, tracks, 999, Tally())
        for _ in range(20):
            warm.ask()
        first = time.perf_counter() + 0.5
        asking = [Client(port, tracks, number, tally) for number in range(clients)]
        timetable = [(one.by_timetable, (first + k / clients * STEP, seconds)) for k, one in enumerate(asking)]
        _in_threads(timetable)  # type: ignore[arg-type]
        lasted = time.perf_counter() - first
        state = job(port, scan) if scan else {}
        most, end = Tally(), time.perf_counter() + 10
        _in_threads([(Client(port, tracks, 100 + k, most).without_pause, (end,)) for k in range(8)])
        answered = sum(map(len, most.seconds.values())) / (time.perf_counter() - end + 10)
        memory = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())  # the file is mapped
    asked, wrong = (sum(map(len, one.values())) for one in (tally.seconds, tally.errors))
    about = f"while it scans real music (the scan is {state.get('state')} at the end)" if scan else "no scan"
    return [
        f"{clients} clients, a request a second each, {lasted:.0f} s, {about}: {asked} requests, {wrong} lost.",
        "", *tally.rows(), "",
        f"At most (8 clients without a pause, the same mix and the scan): {answered:.0f} requests/s; p99 of similar "
        f"{_share(most.seconds['similar'], 0.99) * 1000:.0f} ms, {sum(map(len, most.errors.values()))} lost. "
        f"From the start to the first similar songs: {ready:.1f} s. "
        f"The server's own process took {int(memory[1]) / 1024 if memory else 0:,.0f} MB beside the library's file.",
    ]  # fmt: skip


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--music", type=Path, help="a folder of music that is scanned meanwhile")
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--work", type=Path, help="a folder that keeps the made library (default: a temporary one)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        made = (args.work or Path(name)) / f"server-{args.tracks}.db"
        if not made.exists():
            make(made, args.tracks)
        file = Path(name) / "library.db"
        for one in made.parent.glob(f"{made.name}*"):  # its index too
            shutil.copy(one, file.with_name(one.name.replace(made.name, file.name)))
        starts = []
        for _ in range(5):
            with serving(Path(name) / "none.db") as started:
                starts.append(_first(started[0], started[1], "/v1", started[2]))
        busy = os.getloadavg()[0]
        lines = load(file, args.music, args.clients, args.seconds, args.tracks)
    mix = ", ".join(f"{share} % {route}" for route, share in MIX.items())
    print(
        "# The server\n",
        f"Measured by `make bench` on {os.cpu_count()} cores, clients and server on one machine, load "
        f"before {busy:.1f}. A library of {args.tracks:,} made tracks of the bundled model, with clusters and map; the "
        f"mix is {mix}. Times count from when a request was due. A map that is known is asked for by its ETag.\n",
        f"From the start of the process to the first answer: {median(starts):.2f} s (median of {len(starts)}).\n",
        *lines,
        sep="\n",
    )


if __name__ == "__main__":
    main()
