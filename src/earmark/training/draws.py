"""Clips to learn from: spectrograms of whole tracks on disk, memory-mapped, and what an epoch draws from them.

A track is decoded once. A clip is a slice; what depends on the clip's own maximum is applied after slicing, so that a
clip is what inference would see of the same seconds, but for half a frame at its ends.

Which clips an epoch learns from, in which order, and how they are changed is a function of seed and epoch alone.
Nothing is carried from epoch to epoch, so that a run that was stopped goes on with the very clips it would have had.
For data larger than memory, batches come from a few open tracks at a time: pescador's stochastic multiplexing (McFee et
al. 2017; S4 trains so, with 20 active streams). A stream is a track whose spectrogram is mapped while the stream is
active and let go with it, so that memory does not grow with the data set.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from earmark.engine.base import Alive, Each, Engine, ahead
from earmark.errors import AudioError, DatasetError, MissingExtra
from earmark.events import Progress, Steps
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import open_input, relate_to_peak, spectrogram, views
from earmark.inference.records import Failure
from earmark.recipe import Augmentation, ClipPlan, Recipe
from earmark.training.augment import augment_spectrogram, augment_waveform, needs_waveform, shrink, zoom_factor

__all__ = ["Draws", "Songs", "chances", "open_songs", "picture_recipe", "streamed"]

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


_Cut = Callable[[int, np.random.Generator], Array]

_ORDER, _CLIP = 1, 2  # the two uses of an epoch's random numbers


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """How clips are drawn.

    Attributes:
        songs: Spectrograms of the tracks.
        rows: (tracks,) indices of those to learn from.
        clips_per_track: Random clips of each track an epoch.
        batch_size: Clips a step, at most.
        seed: Of the run.
        augment: Changes of the clips.
        chances: (tracks,) how often each is drawn; None for each equally often.
        streams: Tracks that are open at once; 0 for all.
    """

    songs: Songs
    rows: NDArray[np.intp]
    clips_per_track: int
    batch_size: int
    seed: int
    augment: tuple[Augmentation, ...] = ()
    chances: NDArray[np.float64] | None = None
    streams: int = 0

    @property
    def clips(self) -> int:
        """Clips of an epoch."""
        return len(self.rows) * self.clips_per_track

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return -(-self.clips // self.batch_size)

    def epoch(self, epoch: int, share: Callable[[int], slice] = slice) -> Iterator[tuple[NDArray[np.intp], Array]]:
        """Batches of an epoch: tracks (batch,) and their clips (batch, frames, bands); the next is made meanwhile.

        Batches are of equal size to within one clip: a rest of a single clip would break batch norm.

        Args:
            epoch: From 1.
            share: Which of a batch's so many clips are given; the tracks are all of them.
        """
        order = self._order(epoch)
        parts = np.array_split(np.arange(len(order)), self.steps)
        stream = self._streamed(epoch, order) if self.streams else None

        def batch(part: NDArray[np.intp]) -> tuple[NDArray[np.intp], Array]:
            mine = share(len(part))
            if stream is None:
                return order[part], self._batch(epoch, order, part[mine])
            rows, clips = zip(*(next(stream) for _ in part), strict=True)
            return np.array(rows, np.intp), np.stack(clips[mine])

        with closing(ahead(map(batch, parts))) as batches:
            yield from batches

    def _streamed(self, epoch: int, order: NDArray[np.intp]) -> Iterator[tuple[int, Array]]:
        rows, counts = np.unique(order, return_counts=True)

        def open_track() -> Callable[[int, np.random.Generator], Array]:
            return replace(self, songs=self.songs.apart())._clip

        clips_of = dict(zip(rows.tolist(), counts.tolist(), strict=True))
        return streamed(clips_of, open_track, self.streams, [self.seed, epoch, _CLIP])

    def _order(self, epoch: int) -> NDArray[np.intp]:
        rng = np.random.default_rng([self.seed, epoch, _ORDER])
        if self.chances is None:
            return rng.permutation(np.repeat(self.rows, self.clips_per_track))
        return rng.choice(self.rows, self.clips, p=self.chances)

    def _batch(self, epoch: int, order: NDArray[np.intp], part: NDArray[np.intp]) -> Array:
        return np.stack(
            [
                self._clip(int(order[place]), np.random.default_rng([self.seed, epoch, _CLIP, int(place)]))
                for place in part
            ]
        )

    def _clip(self, row: int, rng: np.random.Generator) -> Array:
        """One random clip of a track, changed by chance."""
        songs, factor = self.songs, zoom_factor(self.augment, rng)
        if len(songs.whole(row)) < factor * songs.frames:
            factor = 1
        start = int(rng.integers(len(songs.whole(row)) - factor * songs.frames + 1))
        if songs.waves is not None and factor == 1:
            waveform = augment_waveform(songs.sound(row, start), songs.frontend.sample_rate, self.augment, rng)
            clip = spectrogram(waveform, songs.frontend)
        else:
            clip = shrink(songs.cut(row, start, factor), factor, songs.frontend)
        return augment_spectrogram(clip, self.augment, rng)


def chances(dataset: Dataset, rows: Sequence[int] | NDArray[np.intp]) -> NDArray[np.float64]:
    """How often each track is drawn so that rare classes come as often as others; (tracks,), adding up to 1.

    A track of several classes (heads, or labels of a multi-label head) is drawn as often as its rarest one asks for.
    """
    part = dataset.subset(rows)
    rarity = np.zeros(len(part.tracks))
    for spec in part.heads:
        if spec.task == "regression":
            continue
        targets = part.targets(spec.name)
        if targets.ndim == 1:
            targets = (targets[:, None] == np.arange(len(spec.labels))).astype(np.float32)
        known = np.nan_to_num(targets)
        rarity = np.maximum(rarity, (known / np.maximum(known.sum(0), 1)).max(1, initial=0))
    least = rarity[rarity > 0].min(initial=1.0)
    rarity = np.where(rarity > 0, rarity, least)
    return np.asarray(rarity / rarity.sum())


def streamed(
    clips_of: Mapping[int, int],
    open_track: Callable[[], Callable[[int, np.random.Generator], Array]],
    active: int,
    seed: Sequence[int],
) -> Iterator[tuple[int, Array]]:
    """All clips of an epoch, each with its track, in the order in which the streams give them.

    Args:
        clips_of: How many random clips of which track.
        open_track: Gives what cuts a random clip (frames, bands) of a track; called anew for every stream, and let go
            with it.
        active: Streams at once.
        seed: Of order and clips, epoch included.

    Raises:
        MissingExtra: pescador is not installed.
    """
    try:
        import pescador
    except ImportError as error:
        raise MissingExtra("train", "streaming training") from error

    def stream(row: int, clips: int) -> Iterator[tuple[int, Array]]:
        cut, rng = open_track(), np.random.default_rng([*seed, row])
        for _ in range(clips):
            yield row, cut(row, rng)

    streamers = [pescador.Streamer(stream, row, clips) for row, clips in clips_of.items()]
    order = int(np.random.default_rng(list(seed)).integers(2**31 - 1))
    mux = pescador.StochasticMux(
        streamers, min(active, len(streamers)), rate=None, mode="exhaustive", random_state=order
    )
    yield from mux.iterate()
