"""``make bench``: speed against the usual way, memory and size, as a page of documentation.

Ratios are of medians over rounds in which both ways take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from measure import sections

HERE = Path(__file__).parent
ROOT = HERE.parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

PURPOSES = {
    "av": "FFmpeg's libraries: m4a, wma, ape and what else libsndfile cannot read",
    "numpy": "arrays, spectrograms",
    "onnxruntime": "runs the network",
    "soundfile": "libsndfile: wav, flac, ogg, opus, mp3",
    "soxr": "resampling",
    "earmark": "this, with the bundled model",
    "google": "protobuf, which ONNX Runtime asks for",
    "pip": "comes with every environment",
    "setuptools": "comes with every environment",
}


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder with data/full-songs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="speed,workers,process,memory,size", help="parts, by comma")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "bench.md")
    args = parser.parse_args()
    os.environ |= ONE_THREAD
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = Path(folder, "page.md")
        made.write_text("\n".join(_parts(args, folder)), "utf-8")
        kept = sections(args.output) | sections(made)  # what was not measured stays
    page = "\n".join([*_head(), "\n\n".join(f"## {name}\n\n{text}" for name, text in kept.items())])
    args.output.write_text(page + "\n", "utf-8")
    print(page)


def _parts(args: argparse.Namespace, folder: Path) -> list[str]:
    import materials
    import memory
    import speed
    from earmark.models.registry import find_model

    model, songs = find_model("default"), materials.songs(args.shared)
    asked, page = args.only.split(","), []
    if {"speed", "workers"} & set(asked):
        every = [materials.as_format(song, suffix, folder) for suffix in speed.FORMATS for song in songs]
    if "speed" in asked:
        page += speed.section(model, every, args.rounds, "the bundled model")
        page += speed.section(materials.random_model("bbnn", folder), every, args.rounds, "`bbnn`")
    if "workers" in asked:
        page += speed.workers(model, every, args.rounds)
    if "process" in asked:
        page += process(model, next(song for song in songs if song.suffix == ".mp3"), args.rounds)
    if "memory" in asked:
        page += memory.section(model, args.shared, folder)
    if "size" in asked:
        page += size(folder)
    return page


def _head() -> list[str]:
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("numpy", "soundfile", "onnxruntime", "librosa", "torch")
    )
    return [
        "# Speed, memory and size",
        "",
        f"Written by `make bench` on {time.strftime('%d %B %Y', time.gmtime())}: "
        f"{os.cpu_count()} cores ({_processor()}), "
        f"{platform.system()}, Python {platform.python_version()}, {libraries}.",
        "",
        "The usual way is `bench/usual.py`: `librosa.load` of the file, librosa's mel spectrogram, the same network in",
        "PyTorch eager, file by file. Pure decoding is `bench/decoded.py`: open, seek and decode, with the decoder",
        "that `tag` uses. Each way takes the same 30 s of two whole songs on one thread, and all take turns; songs a",
        "second are of processor time, and figures are medians over the rounds, so that other work counts little.",
        "",
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"## {title}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def process(model: Path, song: Path, rounds: int) -> list[str]:
    """Seconds of a whole process, from the command to its answer."""
    from measure import EXCERPT, seconds_of

    commands = {
        "usual": [sys.executable, HERE / "usual.py", model, song],
        "tag": [sys.executable, "-m", "earmark", "tag", "-m", model, "--excerpt", f"{EXCERPT:g}", song],
        "help": [sys.executable, "-m", "earmark", "-h"],
        "python": [sys.executable, "-c", ""],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            times[name].append(seconds_of(command))
    least = {name: median(found[1:]) for name, found in times.items()}
    rows = [
        ["`earmark tag one.mp3`", f"{least['tag']:.2f}", f"**{least['usual'] / least['tag']:.1f}**"],
        ["the usual way", f"{least['usual']:.2f}", "1"],
        ["`earmark -h`", f"{least['help']:.3f}", ""],
        ["Python itself, doing nothing", f"{least['python']:.3f}", ""],
    ]
    return _table("A whole process", ["command", "seconds", "times the usual way"], rows)


def size(folder: Path) -> list[str]:
    """A fresh environment with the plain install."""
    from measure import folder_sizes

    home = folder / "plain"
    venv.create(home, with_pip=True)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", ROOT]
    subprocess.run(install, check=True)
    packages = next(home.rglob("site-packages"))
    sizes = folder_sizes(packages)
    total = sum(folder_sizes(home).values())
    found: dict[str, int] = {}
    for name, bytes_ in sizes.items():
        key = name.removesuffix(".libs").lstrip("_").split("-")[0].split(".")[0].removesuffix("_data")
        found[key] = found.get(key, 0) + bytes_
    rows = [
        [name, f"{bytes_ / 1e6:.0f} MB", PURPOSES.get(name, "")]
        for name, bytes_ in sorted(found.items(), key=lambda item: -item[1])
        if bytes_ >= 2e6
    ]
    rows.append(["**all**", f"**{total / 1e6:.0f} MB**", "the whole environment"])
    return _table("A fresh environment with the plain install", ["package", "size", "for"], rows)


if __name__ == "__main__":
    main()
