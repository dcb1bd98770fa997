"""A thousand damaged files of many formats, through the workers: a record each, no crash, no hang, twice the same.

``EARMARK_FUZZ`` sets how many (1,000), ``EARMARK_FUZZ_SEED`` which ones (0).
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from conftest import program
from earmark.engine.local import LocalEngine
from earmark.engine.predict import Analyse, analyse
from earmark.errors import FAILURE_KINDS
from sounds import melody, write

COUNT = int(os.environ.get("EARMARK_FUZZ", "1000"))
SEED = int(os.environ.get("EARMARK_FUZZ_SEED", "0"))
FORMATS = {
    "wav": [], "aiff": [], "flac": [], "au": [], "caf": [], "cbr.mp3": ["-b:a", "32k"], "vbr.mp3": ["-q:a", "7"],
    "piped.mp3": ["-q:a", "7", "-write_xing", "0"], "ogg": ["-c:a", "libvorbis", "-q:a", "0"],
    "opus": ["-c:a", "libopus", "-b:a", "24k", "-ar", "48000"], "aac.m4a": ["-c:a", "aac", "-b:a", "32k"],
    "alac.m4a": ["-c:a", "alac"], "fragments.m4a": ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"],
    "adts.aac": ["-c:a", "aac", "-b:a", "32k"], "wma": ["-c:a", "wmav2", "-b:a", "32k"], "wv": ["-c:a", "wavpack"],
    "tta": ["-c:a", "tta"], "webm": ["-c:a", "libopus", "-b:a", "24k", "-ar", "48000"], "mka": ["-c:a", "flac"],
    "ac3": ["-c:a", "ac3", "-b:a", "64k", "-ar", "48000"], "w64": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    """Every format, a short file and one over a minute."""
    folder = tmp_path_factory.mktemp("sound")
    made = []
    for seconds in (4, 65):
        source = write(folder / f"source {seconds}.wav", melody(seconds, 16000), 16000)
        for name, options in FORMATS.items():
            target = folder / f"{seconds}.{name}"
            command = [program("ffmpeg"), "-nostdin", "-loglevel", "error", "-y", "-i", str(source)]
            subprocess.run([*command, *options, str(target)], check=True)
            made.append((name, target.read_bytes()))
    return made


def damaged(data: bytes, other: bytes, chance: random.Random) -> tuple[str, bytes]:
    """A file as copies, downloads and disks leave them."""
    way = chance.choice(["cut", "flip", "header", "join", "junk", "zero", "drop", "repeat"])
    place, length = chance.randrange(len(data)), chance.choice([1, 16, 512, 4096, 65536])
    if way == "cut":
        return way, data[: chance.randrange(1, len(data))]
    if way == "join":
        return way, data + chance.choice([other, data])
    if way == "junk":
        return way, chance.randbytes(length) + data
    if way == "zero":
        return way, data[:place] + bytes(len(data[place : place + length])) + data[place + length :]
    if way == "drop":
        return way, data[:place] + data[place + length :]
    if way == "repeat":
        return way, data[:place] + data[place : place + length] * 2 + data[place + length :]
    changed = bytearray(data)
    for _ in range(chance.choice([1, 4, 32])):
        at = chance.randrange(min(len(data), 256) if way == "header" else len(data))
        changed[at] = chance.randrange(256) if way == "header" else changed[at] ^ 1 << chance.randrange(8)
    return way, bytes(changed)


@pytest.mark.slow
def test_damaged_files(tmp_path: Path, tiny_model: Path, sound: list[tuple[str, bytes]]) -> None:
    chance = random.Random(SEED)
    kinds: Counter[str] = Counter()
    with LocalEngine(2) as engine:
        for begin in range(0, COUNT, 100):
            paths = []
            for number in range(begin, min(COUNT, begin + 100)):
                name, data = sound[number % len(sound)]
                way, bytes_ = damaged(data, chance.choice(sound)[1], chance)
                paths.append(tmp_path / f"{number:04d}-{way}.{name}")
                paths[-1].write_bytes(bytes_)
            records = [records_of(engine, tiny_model, paths) for _ in range(2)]
            assert records[0] == records[1], "the same twice"
            for path, record in zip(paths, records[0], strict=True):
                assert record["path"] == str(path)
                kind = record.get("error", {}).get("kind", "tagged")
                assert kind in ("tagged", *FAILURE_KINDS)
                assert kind not in ("crash", "timeout"), record
                kinds[kind] += 1
                path.unlink()
    assert sum(kinds.values()) == COUNT
    assert kinds["tagged"] > 0.7 * COUNT, kinds


def records_of(engine: LocalEngine, model: Path, paths: list[Path]) -> list[dict]:
    begun = time.monotonic()
    found = [result.to_dict() for result in analyse(engine, Analyse.of([model]), map(str, paths))]
    assert time.monotonic() - begun < 240
    return found
