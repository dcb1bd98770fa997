"""Copies of real songs (re-encoded at low rates, trimmed by seconds, louder) are found, and nothing else is."""

import random

import numpy as np
import pytest
import soundfile
import soxr

from earmark.audio.track import load
from earmark.datasets.core import Dataset, Track
from earmark.engine import LocalEngine
from earmark.evaluation.duplicates import find_duplicates, take_prints
from earmark.events import Run

RATE = 48000
WAYS = ("mp3", "opus", "vorbis", "mp3-quiet", "trimmed", "louder", "all")


def make_copy(source, folder, way, rng):
    """A copy in one of the ways (Opus at 17 kbit/s).

    ``all`` is a low-rate mp3 that is trimmed at both ends and so loud that it clips.
    """
    wave = load(source, RATE)
    if way in ("trimmed", "all"):
        wave = wave[int(rng.uniform(0.5, 6) * RATE) : len(wave) - int(rng.uniform(0, 4) * RATE)]
    if way in ("louder", "all"):
        wave = wave * 3
    if way == "mp3-quiet":
        wave = wave * 0.1
    wave = np.clip(wave, -1, 1)
    path = folder / f"{source.stem}--{way}"
    if way == "opus":
        soundfile.write(path.with_suffix(".opus"), wave, RATE, format="OGG", subtype="OPUS", compression_level=0.96)
        return path.with_suffix(".opus")
    low = soxr.resample(wave, RATE, 22050)
    if way in ("vorbis", "trimmed"):
        soundfile.write(path.with_suffix(".ogg"), low, 22050, format="OGG", subtype="VORBIS", compression_level=1.0)
        return path.with_suffix(".ogg")
    soundfile.write(path.with_suffix(".mp3"), low, 22050, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.9)
    return path.with_suffix(".mp3")


def collection(paths):
    tracks = tuple(Track(path=p, name=p.name, group=p.name, part=None, labels={}) for p in paths)
    return Dataset(name="copies", root=paths[0].parent, heads=(), tracks=tracks)


def search(songs, copies):
    """Pairs found, as sets of stems of the songs that their files are of, and how many copies were not found."""
    data = collection([*songs, *copies])
    with LocalEngine(2) as engine:
        prints = Run(take_prints(data, engine)).wait()
    found = {(d.first, d.second) for d in find_duplicates(prints)}
    of = [p.stem.split("--")[0] for p in (track.path for track in data.tracks)]
    place = {path.stem: i for i, path in enumerate(songs)}
    missed = [
        copy.name for i, copy in enumerate(copies, len(songs)) if (place[copy.stem.split("--")[0]], i) not in found
    ]
    strangers = {frozenset((of[a], of[b])) for a, b in found if of[a] != of[b]}
    return found, missed, strangers


def songs_of(shared, step):
    return sorted((shared / "data" / "moods900" / "audio").glob("*.opus"))[::step]


@pytest.mark.parametrize(("each", "step"), [(1, 60), pytest.param(2, 30, marks=pytest.mark.slow)])
def test_every_way_of_copying_is_seen_through(shared, tmp_path, each, step):
    songs = songs_of(shared, step)
    rng = random.Random(0)
    copies = [make_copy(song, tmp_path, WAYS[i % len(WAYS)], rng) for i, song in enumerate(songs[: each * len(WAYS)])]
    _, missed, strangers = search(songs, copies)
    assert len(missed) <= 0.05 * len(copies), missed
    assert strangers == set()


# Songs that stand twice in moods900 itself (other mastering, or a sampler): found, and rightly so.
TWICE = {
    frozenset(("MT0000523076", "MT0000941301")),  # Eddie Heywood: Trav'lin' Light
    frozenset(("MT0002161109", "MT0033415296")),  # That Old Black Magic
    frozenset(("MT0004988249", "MT0014118699")),  # Mills Brothers: You Always Hurt the One You Love
}


@pytest.mark.slow
def test_all_songs_of_moods900(shared, tmp_path):
    songs = songs_of(shared, 1)
    rng = random.Random(1)
    copies = [make_copy(song, tmp_path, WAYS[i % len(WAYS)], rng) for i, song in enumerate(songs)]
    found, missed, strangers = search(songs, copies)
    false = strangers - TWICE
    print(
        f"{len(copies)} copies, {len(missed)} missed {missed}; {len(found)} pairs, false: {sorted(map(sorted, false))}"
    )
    assert len(missed) <= 0.05 * len(copies)
    assert len(false) <= 0.01 * len(found)
