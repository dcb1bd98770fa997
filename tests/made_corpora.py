"""Tiny made-up copies of data sets: files that only need to be there, with tables around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import soundfile


def touch(root: Path, *names: str) -> Path:
    """Files of one byte: the readers look at names, never into the sound."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return root


def write_tone(file: Path, hertz: float = 440.0, seconds: float = 0.5, tags: Mapping[str, str] | None = None) -> Path:
    """A short tone; FLAC files carry tags."""
    file.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 8000)) / 8000)
    with soundfile.SoundFile(file, "w", 8000, 1) as sound:
        for name, value in (tags or {}).items():
            setattr(sound, name, value)
        sound.write(wave)
    return file


def write_table(root: Path, rows: Iterable[Iterable[str]], toml: str, name: str = "tracks.tsv") -> Path:
    """A table with its dataset.toml, and the files of its first column."""
    root.mkdir(parents=True, exist_ok=True)
    rows = [list(row) for row in rows]
    separator = "\t" if name.endswith("tsv") else ","
    (root / name).write_text("".join(separator.join(row) + "\n" for row in rows), "utf-8")
    (root / "dataset.toml").write_text(f'table = "{name}"\n{toml}', "utf-8")
    touch(root, *(row[0] for row in rows[1:] if row[0] and not row[0].startswith("gone")))
    return root


def write_fma(root: Path, tracks: int = 240, genres: int = 6, *, scored: int | None = None) -> Path:
    """A made-up FMA: two tracks an artist, its own split 8:1:1; ``scored`` of the tracks stand in echonest.csv."""
    titles = [f"Genre {number}" for number in range(genres)]
    rows = [",album,artist,set,set,track,track", ",id,id,split,subset,genre_top,genres_all", "track_id,,,,,,"]
    features = ("valence", "danceability", "energy", "acousticness", "instrumentalness", "liveness", "speechiness")
    lines = [",echonest" + 7 * ",echonest", ",audio_features" + 7 * ",audio_features"]
    lines += ["," + ",".join((*features, "tempo")), "track_id" + 8 * ","]
    for row in range(tracks):
        genre, artist = row // 2 % genres, row // 2
        part = ("validation", "test")[artist % 10 - 8] if artist % 10 > 7 else "training"
        rows.append(f'{row + 1},{artist},{artist},{part},small,{titles[genre]},"[{genre + 1}]"')
        if scored is None or row < scored:
            lines.append(f"{row + 1}," + ",".join(f"{row * (place + 7) % 100 / 100}" for place in range(7)) + ",120.0")
    metadata = root / "fma_metadata"
    metadata.mkdir(parents=True)
    (metadata / "tracks.csv").write_text("\n".join(rows) + "\n", "utf-8")
    (metadata / "echonest.csv").write_text("\n".join(lines) + "\n", "utf-8")
    named = [f"{number},1,0,{title},{number}" for number, title in enumerate(titles, 1)]
    (metadata / "genres.csv").write_text("\n".join(["genre_id,#tracks,parent,title,top_level", *named]) + "\n", "utf-8")
    return touch(root, *(f"fma_small/000/{row + 1:06d}.mp3" for row in range(tracks)))


def write_magnatagatune(root: Path, clips: int = 160, tags: tuple[str, ...] = ("guitar", "piano", "singing")) -> Path:
    """A made-up MagnaTagATune: ten clips in each of its sixteen folders, two an artist."""
    names = [f"{'0123456789abcdef'[row % 16]}/clip-{row}.mp3" for row in range(clips)]
    flags = [[row % 2, row % 3 == 0, row % 5 == 0] for row in range(clips)]
    lines = ["\t".join(("clip_id", *tags, "mp3_path"))]
    lines += ["\t".join(map(str, (row, *map(int, flags[row]), name))) for row, name in enumerate(names)]
    root.mkdir(parents=True, exist_ok=True)
    (root / "annotations_final.csv").write_text("\n".join(lines) + "\n", "utf-8")
    lines = [
        "clip_id\tartist\tmp3_path",
        *(f"{row}\tArtist {row // 32}-{row % 16}\t{name}" for row, name in enumerate(names)),
    ]
    (root / "clip_info_final.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return touch(root, *names)
