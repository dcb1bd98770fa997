"""The house in figures, beside an older checkout: ``python bench/house.py OLD_CHECKOUT [--shared ../shared]``.

Lines and modules, files that a song passes on its way to a prediction and a data set on its way to a model, start of
the command line, one song, songs a second, and whether the scores are the same. Timings of both checkouts alternate.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parents[1]

PREDICT = """
import sys, earmark
tagger = earmark.load_model()
tagger.predict(sys.argv[1])
files = set()
def seen(frame, event, arg):
    name = frame.f_code.co_filename
    if event == "call" and "/src/earmark/" in name and not frame.f_code.co_name.startswith("<"):
        files.add(name.split("/src/earmark/")[1])
sys.setprofile(seen)
tagger.predict(sys.argv[1])
sys.setprofile(None)
print(*sorted(files))
"""

TRAIN = """
import sys, threading
files = set()
def seen(frame, event, arg):
    name = frame.f_code.co_filename
    if event == "call" and "/src/earmark/" in name and not frame.f_code.co_name.startswith("<"):
        files.add(name.split("/src/earmark/")[1])
import earmark.cli
threading.setprofile(seen)
sys.setprofile(seen)
earmark.cli.main(["train", sys.argv[1], "-r", sys.argv[2], "-o", sys.argv[3], "--epochs", "1"])
sys.setprofile(None)
print("FILES", *sorted(files))
"""


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("--shared", type=Path, default=HERE.parent / "shared")
    given = parser.parse_args()
    both = {"before": given.old.resolve(), "after": HERE}
    songs = sorted((given.shared / "data/moods900/audio").iterdir())[:100]
    for checkout in both.values():  # as installed packages are
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(checkout / "src")], check=True)
    rows = [("", *both)]
    rows += _sizes(both)
    rows.append(("files from a path to a prediction", *(str(_files(c, PREDICT, str(songs[0]))) for c in both.values())))
    for recipe in ("transfer", "time-axis"):
        with tempfile.TemporaryDirectory() as folder:
            data = _classes(given.shared, Path(folder))
            counts = [_files(c, TRAIN, str(data), recipe, f"{folder}/{n}") for n, c in both.items()]
        rows.append((f"files from the command to a model, {recipe}", *map(str, counts)))
    rows += _times(both, [str(song) for song in songs])
    for row in rows:
        print("| " + " | ".join(row) + " |" + ("\n|---|---|---|" if row[0] == "" else ""))


def _sizes(both: dict[str, Path]) -> list[tuple[str, ...]]:
    def count(checkout: Path) -> tuple[int, int, int]:
        files = [f for part in ("src", "scripts") for f in (checkout / part).rglob("*.py")]
        training = [f for f in files if "/training/" in str(f)]
        return sum(f.read_text("utf-8").count("\n") for f in files), len(files), len(training)

    counts = [count(checkout) for checkout in both.values()]
    names = ("lines of src and scripts", "modules of src and scripts", "modules of training")
    return [(name, *(f"{c[i]:,}" for c in counts)) for i, name in enumerate(names)]


def _files(checkout: Path, code: str, *arguments: str) -> int:
    done = _python(checkout, "-c", code, *arguments)
    return len(done.stdout.strip().splitlines()[-1].replace("FILES", "").split())


def _classes(shared: Path, folder: Path) -> Path:
    """Two classes of twelve songs, as links."""
    for label in ("classical", "rock"):
        target = folder / "data" / label
        target.mkdir(parents=True)
        for song in sorted((shared / "data/emotify400/audio" / label).rglob("*.opus"))[:12]:
            (target / song.name).symlink_to(song)
    return folder / "data"


def _times(both: dict[str, Path], songs: list[str]) -> list[tuple[str, ...]]:
    """Medians of runs in turns, and the scores."""
    jobs = {
        "bare Python, ms": (15, ["-c", "pass"], 1000),
        "earmark -h, ms": (15, ["-m", "earmark", "-h"], 1000),
        "one song, s": (7, ["-m", "earmark", "tag", songs[0], "-f", "json"], 1),
        "100 songs, s": (3, ["-m", "earmark", "tag", *songs, "-f", "json"], 1),
    }
    rows, answers = [], {}
    for name, (turns, arguments, unit) in jobs.items():
        took: dict[str, list[float]] = {key: [] for key in both}
        for _ in range(turns):
            for key, checkout in both.items():
                began = time.perf_counter()
                answers[key] = _python(checkout, *arguments).stdout
                took[key].append(time.perf_counter() - began)
        rows.append((name, *(f"{statistics.median(values) * unit:.3g}" for values in took.values())))
    rows.append(("largest difference of a score in 100 songs", "", f"{_largest(*map(_scores, answers.values())):.4f}"))
    return rows


def _scores(answer: str) -> dict[str, object]:
    return {r["path"]: {n: h.get("scores", h.get("value")) for n, h in r["heads"].items()} for r in json.loads(answer)}


def _largest(one: object, other: object) -> float:
    if isinstance(one, dict) and isinstance(other, dict):
        return max((_largest(one[key], other[key]) for key in one.keys() & other.keys()), default=0.0)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other)
    return 0.0 if one == other else float("inf")


def _python(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(checkout / "src")}
    done = subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 2, 3):
        raise SystemExit(done.stderr)
    return done


if __name__ == "__main__":
    main()
