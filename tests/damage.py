"""Songs of many formats, and what copies, downloads and disks make of them."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

from conftest import program
from sounds import melody, write

__all__ = ["FORMATS", "damaged", "sounds_of_all_formats"]

FORMATS = {
    "wav": [], "aiff": [], "flac": [], "au": [], "caf": [], "cbr.mp3": ["-b:a", "32k"], "vbr.mp3": ["-q:a", "7"],
    "piped.mp3": ["-q:a", "7", "-write_xing", "0"], "ogg": ["-c:a", "libvorbis", "-q:a", "0"],
    "opus": ["-c:a", "libopus", "-b:a", "24k", "-ar", "48000"], "aac.m4a": ["-c:a", "aac", "-b:a", "32k"],
    "alac.m4a": ["-c:a", "alac"], "fragments.m4a": ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"],
    "adts.aac": ["-c:a", "aac", "-b:a", "32k"], "wma": ["-c:a", "wmav2", "-b:a", "32k"], "wv": ["-c:a", "wavpack"],
    "tta": ["-c:a", "tta"], "webm": ["-c:a", "libopus", "-b:a", "24k", "-ar", "48000"], "mka": ["-c:a", "flac"],
    "ac3": ["-c:a", "ac3", "-b:a", "64k", "-ar", "48000"], "w64": [],
}  # fmt: skip


def sounds_of_all_formats(folder: Path, lengths: Sequence[int] = (4, 65)) -> list[tuple[str, bytes]]:
    """Ending and content: every format, of each length in seconds."""
    made = []
    for seconds in lengths:
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
