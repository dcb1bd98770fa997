"""Spectrograms of whole tracks on disk, memory-mapped, and the clips that training and validation cut from them.

A track is decoded once. A clip is a slice; what depends on the clip's own maximum is applied after slicing, so that a
clip is what inference would see of the same seconds, but for half a frame at its ends.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.audio.decode import load, open_track
from earmark.audio.images import read_image
from earmark.audio.track import fit, starts
from earmark.datasets.cache import ArrayStore, bytes_per_hour, check_space, feature_store, open_store
from earmark.datasets.core import Dataset
from earmark.errors import AudioError, DatasetError
from earmark.events import Progress, Steps
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import open_input, relate_to_peak, spectrogram, views
from earmark.recipe import ClipPlan, Recipe
from earmark.training.augment import needs_waveform

__all__ = ["Songs", "open_songs", "picture_recipe"]

Array = NDArray[np.float32]

_LONGEST = 1200.0  # seconds kept of a track: an hour-long mix counts no more than twenty minutes of it
_OPEN = 8192  # arrays mapped at once; systems allow some 65,000
_WHOLE = 0  # the count of clips that stands for "all of the track" in the key of the cache


@dataclass(frozen=True, slots=True, eq=False)
class Songs:
    """The tracks of a data set as spectrograms.

    Attributes:
        dataset: The tracks.
        hashes: (tracks,) content hashes.
        frontend: Waveform to spectrogram.
        plan: How inference cuts clips.
        frames: Of a clip.
        store: Whole tracks, before ``range_db`` and ``relative``.
        waves: Whole tracks as waveforms, 16 bits; only where the recipe changes the sound itself.
        keep: Whether tracks stay mapped once they were used.
    """

    dataset: Dataset
    hashes: Sequence[str]
    frontend: Frontend
    plan: ClipPlan
    frames: int
    store: ArrayStore
    waves: ArrayStore | None = None
    keep: bool = True
    _mapped: dict[int, NDArray[np.generic]] = field(default_factory=dict)

    def whole(self, row: int) -> NDArray[np.generic]:
        """A track's spectrogram (frames, bands), at least as long as a clip; memory-mapped."""
        found = self._mapped.get(row)
        if found is None:
            digest = self.hashes[row]
            found = self.store.get(digest)
            if found is None:
                path = self.dataset.tracks[row].path
                found = self.store.put(digest, _whole(path, self.frontend, self.plan))
            if len(self._mapped) >= _OPEN:
                self._mapped.clear()
            if self.keep:
                self._mapped[row] = found
        return found

    def apart(self) -> Songs:
        """The same tracks with no spectrogram mapped: what it maps is let go with it."""
        return replace(self, keep=True, _mapped={})

    def cut(self, row: int, start: int, clips: int = 1) -> Array:
        """The clip (frames, bands) float32 that begins at a frame of a track; ``clips`` times as long as others."""
        clip = self.whole(row)[start : start + clips * self.frames].astype(np.float32)
        return relate_to_peak(clip, self.frontend)

    def sound(self, row: int, start: int) -> Array:
        """The waveform (samples,) of the clip that begins at a frame of a track; needs ``waves``."""
        assert self.waves is not None
        digest, path = self.hashes[row], self.dataset.tracks[row].path
        stored = self.waves.get_or_put(digest, lambda: _sixteen_bits(path, self.frontend.sample_rate))
        samples = round(self.plan.seconds * self.frontend.sample_rate)
        begin = min(start * self.frontend.hop_length, max(0, len(stored) - samples))
        waveform = stored[begin : begin + samples].astype(np.float32) / np.float32(32767)
        return fit(waveform, samples, self.plan.pad)

    def places(self, row: int) -> int:
        """How many frames of a track a clip may begin at."""
        return len(self.whole(row)) - self.frames + 1

    def spread(self, row: int) -> Array:
        """Clips (clips, frames, bands) of a track as inference spreads them, from the cache."""
        total = len(self.whole(row))
        begins = [min(round(start), total - self.frames) for start in starts(total, self.frames, self.plan.count)]
        return np.stack([self.cut(row, begin) for begin in begins])

    def heard(self, row: int) -> Array:
        """Clips (clips, frames, bands) of a track exactly as inference hears them, from the file."""
        with open_input(self.dataset.tracks[row].path, self.frontend) as opened:
            return np.stack([clip.data for clip in views(opened, self.frontend, self.plan)])


def open_songs(dataset: Dataset, hashes: Sequence[str], recipe: Recipe) -> Steps[Songs]:
    """Decode what the cache does not hold yet, on all cores.

    Args:
        dataset: Tracks that can be read.
        hashes: (tracks,) content hashes.
        recipe: Its frontend and clips; of pictures as :func:`picture_recipe` gives it.

    Raises:
        StorageError: No space for the cache, said before the work begins; or it cannot be written.
        AudioError: A file cannot be read after all.
    """
    frontend, plan = recipe.frontend, recipe.clip
    plain = replace(frontend, relative=False, range_db=0.0) if frontend.kind == "mel" else frontend
    store = feature_store(plain, replace(plan, count=_WHOLE))
    columns = frontend.frames(round(plan.seconds * frontend.sample_rate))
    frames = round(plan.seconds) if frontend.kind == "image" else columns
    songs = Songs(dataset, hashes, frontend, plan, frames, store)
    missing = [row for row, digest in enumerate(hashes) if digest not in store]
    check_space(_needed(songs, missing))

    if needs_waveform(recipe.augment) and frontend.kind != "image":
        songs = replace(songs, waves=open_store("waveforms", {"sample_rate": frontend.sample_rate}, "int16"))

    def make(row: int) -> None:
        store.put(hashes[row], _whole(dataset.tracks[row].path, frontend, plan))

    yield from in_parallel(make, missing, "computing features")
    return songs


def in_parallel(work: Callable[[int], None], rows: Sequence[int], stage: str) -> Steps[None]:
    """Call ``work`` of each row on all cores (decoding and NumPy leave Python's lock alone); the first error is raised.

    Ctrl-C, or an error, lets what is begun end and begins nothing new.
    """
    if not rows:
        return
    pool = ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2))
    try:
        futures = [pool.submit(work, row) for row in rows]
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            yield Progress(done, len(rows), stage)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def picture_recipe(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with frontend and clips of a data set of pictures: the network's shape comes from them.

    A recipe whose frontend is ``image`` says itself how many columns a clip has (``clip.seconds``: a column counts as a
    second); otherwise a clip has as many as the recipe's clips have frames, or is a whole picture where that is less.

    Raises:
        DatasetError: Pictures of different heights; the message names two.
    """
    sizes = [_size(track.path) for track in dataset.tracks]
    heights = Counter(height for _, height in sizes)
    bands = heights.most_common(1)[0][0]
    for track, (_, height) in zip(dataset.tracks, sizes, strict=True):
        if height != bands:
            raise DatasetError(
                f"{dataset.name}: {track.name} is {height} pixels high, others are {bands}: "
                "give pictures of one height, or leave this one out"
            )
    columns = Counter(width for width, _ in sizes).most_common(1)[0][0]
    wanted = recipe.frontend.frames(round(recipe.clip.seconds * recipe.frontend.sample_rate))
    seconds = recipe.clip.seconds if recipe.frontend.kind == "image" else float(min(columns, wanted))
    frontend = Frontend(kind="image", sample_rate=1, hop_length=1, bands=bands)
    return replace(recipe, frontend=frontend, clip=replace(recipe.clip, seconds=seconds))


def _size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG, by its header."""
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError as error:
        raise AudioError(path, "io", error.strerror or str(error)) from error
    if len(head) < 24 or head[12:16] != b"IHDR":
        raise AudioError(path, "not-audio", "not a PNG image")
    width, height = struct.unpack(">II", head[16:])
    return width, height


def _whole(path: Path, frontend: Frontend, plan: ClipPlan) -> Array:
    """A track before ``range_db`` and ``relative``; what is shorter than a clip is filled as inference fills it."""
    if frontend.kind == "image":
        picture = read_image(path)
        return np.rint(fit(picture, max(len(picture), round(plan.seconds)), plan.pad))
    plain = replace(frontend, relative=False, range_db=0.0) if frontend.kind == "mel" else frontend
    waveform = load(path, frontend.sample_rate, seconds=_LONGEST)
    samples = round(plan.seconds * frontend.sample_rate)
    if not len(waveform):
        raise AudioError(path, "empty", "no samples")
    return spectrogram(fit(waveform, samples, plan.pad) if len(waveform) < samples else waveform, plain)


def _sixteen_bits(path: Path, rate: int) -> NDArray[np.int16]:
    waveform = load(path, rate, seconds=_LONGEST)
    return np.asarray((np.clip(waveform, -1, 1) * 32767).round(), np.int16)


def _needed(songs: Songs, rows: Sequence[int]) -> int:
    """Bytes that the cache will take for tracks that it does not hold."""
    if songs.frontend.kind == "image":
        return len(rows) * songs.frames * songs.frontend.bands
    seconds = 0.0
    for row in rows:
        with open_track(songs.dataset.tracks[row].path) as source:
            seconds += max(min(source.seconds, _LONGEST), songs.plan.seconds)
    return round(seconds / 3600 * bytes_per_hour(songs.frontend))
