"""Which clips an epoch learns from, in which order, and how they are changed: a function of seed and epoch alone.

Nothing is carried from epoch to epoch, so that a run that was stopped goes on with the very clips it would have had.
For data larger than memory, batches come from a few open tracks at a time: pescador's stochastic multiplexing (McFee et
al. 2017; S4 trains so, with 20 active streams). A stream is a track whose spectrogram is mapped while the stream is
active and let go with it, so that memory does not grow with the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset
from earmark.engine.base import ahead
from earmark.errors import MissingExtra
from earmark.features.spectrogram import spectrogram
from earmark.recipe import Augmentation
from earmark.training.augment import augment_spectrogram, augment_waveform, shrink, zoom_factor
from earmark.training.spectrograms import Songs

__all__ = ["Draws", "chances", "streamed"]

Array = NDArray[np.float32]

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

    def epoch(self, epoch: int) -> Iterator[tuple[NDArray[np.intp], Array]]:
        """Batches of an epoch: tracks (batch,) and their clips (batch, frames, bands); the next is made meanwhile.

        Batches are of equal size to within one clip: a rest of a single clip would break batch norm.
        """
        order = self._order(epoch)
        parts = np.array_split(np.arange(len(order)), self.steps)
        stream = self._streamed(epoch, order) if self.streams else None

        def batch(part: NDArray[np.intp]) -> tuple[NDArray[np.intp], Array]:
            if stream is None:
                return self._batch(epoch, order, part)
            rows, clips = zip(*(next(stream) for _ in part), strict=True)
            return np.array(rows, np.intp), np.stack(clips)

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

    def _batch(self, epoch: int, order: NDArray[np.intp], part: NDArray[np.intp]) -> tuple[NDArray[np.intp], Array]:
        clips = [
            self._clip(int(order[place]), np.random.default_rng([self.seed, epoch, _CLIP, int(place)]))
            for place in part
        ]
        return order[part], np.stack(clips)

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
