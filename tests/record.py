"""The golden record: what every verb answers on music of our own, and the bundled model's scores on twenty real songs.

``python tests/record.py OUT`` writes ``verbs.json``, ``songs.json`` and ``help.txt`` with the Earmark that
``PYTHONPATH`` (or the environment) gives. ``tests/test_golden.py`` holds the copy in ``tests/golden/`` against it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
RATE = 16_000

TRAIN = ("train", "classes", "-o", "mine", "--seed", "0")
VERBS: dict[str, tuple[str, ...]] = {
    "tag": ("tag", "pieces", "-f", "json"),
    "tag taggram": ("tag", "pieces/02 string quartet.flac", "--taggram", "-f", "json"),
    "tag whole": ("tag", "pieces/02 string quartet.flac", "--excerpt", "whole", "-f", "json"),
    "tag csv": ("tag", "pieces", "-f", "csv"),
    "tag features": ("tag", "pieces/02 string quartet.flac", "--features", "-f", "json"),
    "tag bad": ("tag", "bad", "-f", "json"),
    "embed": ("embed", "pieces", "-o", "vectors.npz", "-f", "json"),
    "features": ("features", "pieces/02 string quartet.flac", "-o", "pictures", "-f", "json"),
    "scan": ("scan", "pieces", "-f", "json", "--library", "lib.db"),
    "library": ("library", "-f", "json", "--library", "lib.db"),
    "similar": ("similar", "pieces/02 string quartet.flac", "-f", "json", "--library", "lib.db"),
    "cluster": ("cluster", "-k", "3", "-f", "json", "--library", "lib.db"),
    "playlist": ("playlist", "--mood", "calm", "-f", "json", "--library", "lib.db"),
    "path": (
        "path", "pieces/02 string quartet.flac", "pieces/09 techno.flac", "-n", "4", "-f", "json", "--library",
        "lib.db",
    ),
    "export": ("export", "-f", "json", "--library", "lib.db"),
    "export csv": ("export", "-f", "csv", "--library", "lib.db"),
    "write-tags": ("write-tags", "--dry-run", "-f", "json", "--library", "lib.db"),
    "recipes": ("recipes", "-f", "json"),
    "audit": ("audit", "classes", "-f", "json"),
    "train": TRAIN,
    "evaluate": ("evaluate", "mine", "classes", "-f", "json"),
    "tag mine": ("tag", "pieces", "-m", "mine", "-f", "json"),
    "extend": ("extend", "mine", "new", "--label", "Saw", "--head", "genre", "-o", "wider", "-f", "json"),
    "compare": ("compare", "classes", "-r", "transfer", "-f", "json"),
}  # fmt: skip
VOLATILE = re.compile(r"seconds$|_seconds|songs_per_second|modified|digest|^files$|^gflop$|^version$")
"""Keys whose values are times, places or checksums."""


def main(out: Path) -> None:
    """Write the record."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "help.txt").write_text(f"Python {python()}\n{helps()}", "utf-8")
    with tempfile.TemporaryDirectory() as folder:
        make_music(Path(folder))
        (out / "verbs.json").write_text(dump(verbs(Path(folder))), "utf-8")
    if (ROOT.parent / "shared/data").is_dir():
        (out / "songs.json").write_text(dump(songs(ROOT.parent / "shared/data")), "utf-8")


def python() -> str:
    """Of whose argparse the help is; another one breaks lines elsewhere."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def dump(value: Any) -> str:
    """JSON that a person can compare line by line."""
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def helps() -> str:
    """The help of the program and of every verb."""
    top = earmark(Path.cwd(), "-h").stdout
    names = re.findall(r"^  ([a-z][a-z-]+)  ", top.split("verbs:")[1], re.M)
    texts = [top, *(earmark(Path.cwd(), name, "-h").stdout for name in names)]
    return "\n".join(f"$ {text}" for text in texts)


def make_music(folder: Path) -> None:
    """Twelve pieces, two classes by three artists each, songs of a third class, and files that cannot be analysed."""
    sys.path.insert(0, str(ROOT / "demo"))
    from render import render_all

    render_all(folder / "pieces")
    for label in ("Hum", "Hiss"):
        for number in range(12):
            _write(folder / "classes" / label / f"artist {number % 4}" / f"{number}.wav", label, number)
    for number in range(6):
        _write(folder / "new" / f"{number}.wav", "Saw", number)
    bad = folder / "bad"
    bad.mkdir()
    (bad / "empty.mp3").write_bytes(b"")
    (bad / "text.mp3").write_text("no music\n" * 100)
    soundfile.write(bad / "silence.wav", np.zeros(3 * RATE), RATE)
    soundfile.write(bad / "short.wav", np.zeros(50), RATE)


def _write(file: Path, kind: str, seed: int) -> None:
    rng, t = np.random.default_rng(seed), np.arange(5 * RATE) / RATE
    pitch = 110 * 2 ** (seed / 12)
    waves = {
        "Hum": sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 6)) * (1 + np.sin(2 * np.pi * t)) / 8,
        "Hiss": rng.standard_normal(len(t)) * 0.1 * (1 + np.sign(np.sin(2 * np.pi * (2 + seed / 6) * t))),
        "Saw": 0.3 * (2 * (pitch * 4 * t % 1) - 1),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, waves[kind] + rng.standard_normal(len(t)) * 0.01, RATE)


def verbs(folder: Path) -> dict[str, Any]:
    """Exit code and answer of every verb, times and places left out."""
    found: dict[str, Any] = {}
    for name, arguments in VERBS.items():
        done = earmark(folder, *arguments)
        text = done.stdout.replace(str(folder), "FOLDER")
        found[name] = {"code": done.returncode, "answer": _answer(arguments, text)}
        if name == "scan":
            del found[name]["answer"]["seconds"]  # how long it took
        if done.returncode not in (0, 3):
            found[name]["error"] = done.stderr.replace(str(folder), "FOLDER").splitlines()[-1:]
    with np.load(folder / "vectors.npz") as arrays:
        found["vectors"] = {name: np.round(arrays[name][:, :8], 3).tolist() for name in ("embedding",)}
    return found


def _answer(arguments: tuple[str, ...], text: str) -> Any:
    if "csv" in arguments:
        return [row[:8] for row in csv.reader(io.StringIO(text))]
    try:
        return steady(json.loads(text))
    except ValueError:
        return text.splitlines()[-3:]


def steady(value: Any) -> Any:
    """A JSON value without what differs between two runs."""
    if isinstance(value, dict):
        return {key: steady(item) for key, item in value.items() if not VOLATILE.search(key) or key == "seconds"}
    if isinstance(value, list):
        return [steady(item) for item in value]
    return value


def songs(data: Path) -> dict[str, Any]:
    """The bundled model's scores of twenty real songs, by the hash of each file."""
    every = sorted([*(data / "moods900/audio").rglob("*.opus"), *(data / "emotify400/audio").rglob("*.opus")])
    every = every or sorted(file for file in data.rglob("*.ogg") if "awkward" not in file.parts)
    chosen = [every[round(i * (len(every) - 1) / 19)] for i in range(20)]
    done = earmark(data, "tag", *map(str, chosen), "-f", "json")
    return {
        hashlib.sha256(file.read_bytes()).hexdigest()[:16]: {
            name: head.get("scores", head.get("value")) for name, head in record["heads"].items()
        }
        for file, record in zip(chosen, json.loads(done.stdout), strict=True)
    }


def earmark(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command, with folders of the user's own inside ``folder``."""
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {
            "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "COLUMNS": "100",
            "EARMARK_CACHE": str(Path(tempfile.gettempdir()) / "earmark-golden-cache"),
        }  # fmt: skip
        command = [sys.executable, "-m", "earmark", *arguments]
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=600)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
