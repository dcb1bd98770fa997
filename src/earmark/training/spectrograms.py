"""Spectrograms of whole tracks on disk, memory-mapped, and the clips that training and validation cut from them.

A track is decoded once. A clip is a slice; what depends on the clip's own maximum is applied after slicing, so that a
clip is what inference would see of the same seconds, but for half a frame at its ends.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.audio.images import read_image
from earmark.audio.track import fit, load, open_track, starts
from earmark.datasets.cache import ArrayStore, bytes_per_hour, check_space, feature_store, keep_arrays, open_store
from earmark.datasets.core import Dataset
from earmark.engine.base import Alive, Each, Engine
from earmark.errors import AudioError, DatasetError
from earmark.events import Progress, Steps
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import open_input, relate_to_peak, spectrogram, views
from earmark.inference.records import Failure
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
        failures: By content hash, tracks that could not be read to their end: they have no spectrogram.
    """

    dataset: Dataset
    hashes: Sequence[str]
    frontend: Frontend
    plan: ClipPlan
    frames: int
    store: ArrayStore
    waves: ArrayStore | None = None
    keep: bool = True
    failures: Mapping[str, Failure] = field(default_factory=dict)
    _mapped: dict[int, NDArray[np.generic]] = field(default_factory=dict)

    def whole(self, row: int) -> NDArray[np.generic]:
        """A track's spectrogram (frames, bands), at least as long as a clip; memory-mapped."""
        found = self._mapped.get(row)
        if found is None:
            found = self.store[self.hashes[row]]
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
        stored = self.waves[self.hashes[row]]
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

    def from_files(self, rows: Iterable[int], engine: Engine) -> Iterator[Array | Failure]:
        """Clips (clips, frames, bands) of tracks exactly as inference sees them."""
        task: Each[Path, Array] = Each(partial(_views, frontend=self.frontend, plan=self.plan))
        with closing(engine.map(task, (self.dataset.tracks[row].path for row in rows))) as results:
            for result in results:
                yield result if isinstance(result, Failure) else result.value


def open_songs(dataset: Dataset, hashes: Sequence[str], recipe: Recipe, engine: Engine) -> Steps[Songs]:
    """Decode what the cache does not hold yet.

    Args:
        dataset: Tracks that can be read.
        hashes: (tracks,) content hashes.
        recipe: Its frontend and clips; of pictures as :func:`picture_recipe` gives it.
        engine: That decodes.

    Raises:
        StorageError: No space for the cache, said before the work begins; or it cannot be written.
    """
    frontend, plan = recipe.frontend, recipe.clip
    plain = replace(frontend, relative=False, range_db=0.0) if frontend.kind == "mel" else frontend
    store = feature_store(plain, replace(plan, count=_WHOLE))
    columns = frontend.frames(round(plan.seconds * frontend.sample_rate))
    frames = round(plan.seconds) if frontend.kind == "image" else columns
    songs = Songs(dataset, hashes, frontend, plan, frames, store)
    rate = frontend.sample_rate
    if needs_waveform(recipe.augment) and frontend.kind != "image":
        songs = replace(songs, waves=open_store("waveforms", {"sample_rate": rate}, "int16"))
    files = {digest: track.path for digest, track in zip(hashes, dataset.tracks, strict=True)}
    check_space((yield from _needed(songs, [path for digest, path in files.items() if digest not in store], engine)))
    make = partial(_whole, frontend=frontend, plan=plan)
    failures = yield from keep_arrays(Each(make, lively=True), store, files, engine)
    if songs.waves is not None:
        failures |= yield from keep_arrays(
            Each(partial(_sixteen_bits, rate=rate), lively=True), songs.waves, files, engine
        )
    return replace(songs, failures=failures)


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


def _whole(path: Path, frontend: Frontend, plan: ClipPlan, alive: Alive) -> Array:
    """A track before ``range_db`` and ``relative``; what is shorter than a clip is filled as inference fills it."""
    if frontend.kind == "image":
        picture = read_image(path)
        return np.rint(fit(picture, max(len(picture), round(plan.seconds)), plan.pad))
    plain = replace(frontend, relative=False, range_db=0.0) if frontend.kind == "mel" else frontend
    waveform = load(path, frontend.sample_rate, seconds=_LONGEST, alive=alive)
    samples = round(plan.seconds * frontend.sample_rate)
    if not len(waveform):
        raise AudioError(path, "empty", "no samples")
    return spectrogram(fit(waveform, samples, plan.pad) if len(waveform) < samples else waveform, plain)


def _sixteen_bits(path: Path, rate: int, alive: Alive) -> NDArray[np.int16]:
    waveform = load(path, rate, seconds=_LONGEST, alive=alive)
    return np.asarray((np.clip(waveform, -1, 1) * 32767).round(), np.int16)


def _views(path: Path, frontend: Frontend, plan: ClipPlan) -> Array:
    with open_input(path, frontend) as opened:
        return np.stack([clip.data for clip in views(opened, frontend, plan)])


def _seconds(path: Path) -> float:
    with open_track(path) as track:
        return track.seconds


def _needed(songs: Songs, paths: Sequence[Path], engine: Engine) -> Steps[int]:
    """Bytes that the cache will take for files that it does not hold."""
    if songs.frontend.kind == "image":
        return len(paths) * songs.frames * songs.frontend.bands
    an_hour = bytes_per_hour(songs.frontend) + (songs.frontend.sample_rate * 7200 if songs.waves is not None else 0)
    seconds = 0.0
    with closing(engine.map(Each(_seconds), paths)) as results:
        for done, result in enumerate(results, 1):
            length = 0.0 if isinstance(result, Failure) else result.value
            seconds += max(min(length, _LONGEST), songs.plan.seconds)
            yield Progress(done, len(paths), "measuring files")
    return round(seconds / 3600 * an_hour)
