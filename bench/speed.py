"""Speed of ``tag`` by format of file: beside pure decoding of the same seconds, and beside the usual way.

Processor seconds of one thread, so that other work on the machine counts little; all ways take turns.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from measure import EXCERPT, Served

__all__ = ["FORMATS", "section", "workers"]

HERE = Path(__file__).parent
FORMATS = (".mp3", ".ogg", ".flac", ".opus", ".m4a")
_WARM, _MEASURED = 8, 40  # songs for each worker


def section(model: Path, songs: Sequence[Path], rounds: int, name: str) -> list[str]:
    """A table: songs a second on one core."""
    commands = {"pure": ["decoded.py", model], "tag": ["served.py", model], "usual": ["usual.py", model, "--serve"]}
    ways = {way: Served([sys.executable, HERE / script, *more]) for way, (script, *more) in commands.items()}
    for served in ways.values():
        served.seconds([next(song for song in songs if song.suffix == suffix) for suffix in FORMATS])  # imports, numba
    spent: dict[str, dict[str, list[float]]] = {way: {suffix: [] for suffix in FORMATS} for way in ways}
    for _ in range(rounds):
        for suffix in FORMATS:
            mine = [song for song in songs if song.suffix == suffix]
            for way, served in ways.items():
                spent[way][suffix].append(served.seconds(mine) / len(mine))
    for served in ways.values():
        served.close()
    rows = [_row(suffix[1:], *(spent[way][suffix] for way in ways)) for suffix in FORMATS]
    mean = [[sum(each) / len(FORMATS) for each in zip(*spent[way].values(), strict=True)] for way in ways]
    rows.append(_row("all", *mean))
    columns = "format | pure decoding | `earmark tag` | times pure decoding | the usual way | times as fast"
    lines = [f"## Songs a second on one core, {name}", "", f"| {columns} |", "|---|---|---|---|---|---|"]
    return [*lines, *rows, ""]


def _row(name: str, pure: Sequence[float], tag: Sequence[float], usual: Sequence[float]) -> str:
    over, ratio = (median(a / b for a, b in zip(*pair, strict=True)) for pair in ((tag, pure), (usual, tag)))
    rates = [f"{1 / median(one):.1f}" for one in (pure, tag, usual)]
    return f"| {name} | {rates[0]} | {rates[1]} | **{over:.2f}** | {rates[2]} | **{ratio:.1f}** |"


def workers(model: Path, songs: Sequence[Path], rounds: int) -> list[str]:
    """What a second worker process adds, beside what a second pure decoder adds."""
    found: dict[tuple[Callable[..., float], int], list[float]] = {}
    for _ in range(rounds):
        for way in (_decoders, _engine):
            for count in (1, 2):
                found.setdefault((way, count), []).append(way(model, songs, count))
    gains = {way: [b / a for a, b in zip(found[way, 1], found[way, 2], strict=True)] for way in (_decoders, _engine)}
    share = median(ours / theirs for ours, theirs in zip(gains[_engine], gains[_decoders], strict=True))
    one, two = (median(found[_engine, count]) for count in (1, 2))
    return [
        "## Two workers",
        "",
        f"By the clock one worker does {one:.1f} songs/s and two {two:.1f}: {median(gains[_engine]):.2f} times as",
        f"many, where two pure decoders do {median(gains[_decoders]):.2f} times what one does:",
        f"**{share:.2f}** of their gain (aim .97).",
        "",
    ]


def _decoders(model: Path, songs: Sequence[Path], count: int) -> float:
    """Songs a second of so many processes that only decode."""
    served = [Served([sys.executable, HERE / "decoded.py", model]) for _ in range(count)]
    for one in served:
        one.seconds(songs)  # also looks for the places
    paths = [songs[index % len(songs)] for index in range(_MEASURED)]
    begun = time.perf_counter()
    for one in served:
        one.ask(paths)
    for one in served:
        one.wait(len(paths))
    seconds = time.perf_counter() - begun
    for one in served:
        one.close()
    return count * len(paths) / seconds


def _engine(model: Path, songs: Sequence[Path], count: int) -> float:
    """Songs a second of the command's own path, once every worker has started."""
    from earmark.engine import Analyse, LocalEngine, analyse
    from earmark.inference.options import HearingOptions

    warm, measured = _WARM * count, _MEASURED * count
    paths = [str(songs[index % len(songs)]) for index in range(warm + measured)]
    with LocalEngine(count) as engine:
        results = analyse(engine, Analyse.of([model], HearingOptions(excerpt=EXCERPT)), paths)
        for _ in range(warm):
            next(results)
        begun = time.perf_counter()
        done = sum(1 for _ in results)
        return done / (time.perf_counter() - begun)
