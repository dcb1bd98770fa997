"""Batches from a few open tracks at a time, for data larger than memory: pescador's stochastic multiplexing.

S4 trains so, with 20 active streams (McFee et al. 2017, pescador). A stream is a track whose spectrogram is mapped
while the stream is active and let go with it, so that memory does not grow with the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from earmark.errors import MissingExtra

__all__ = ["streamed"]

Array = NDArray[np.float32]
Clip = Callable[[int, np.random.Generator], Array]
"""A random clip (frames, bands) of a track."""


def streamed(
    wanted: Mapping[int, int], open_track: Callable[[], Clip], active: int, seed: Sequence[int]
) -> Iterator[tuple[int, Array]]:
    """All clips of an epoch, each with its track, in the order in which the streams give them.

    Args:
        wanted: How many random clips of which track.
        open_track: Gives what cuts clips of a track; called anew for every stream, and let go with it.
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

    streamers = [pescador.Streamer(stream, row, clips) for row, clips in wanted.items()]
    order = int(np.random.default_rng(list(seed)).integers(2**31 - 1))
    mux = pescador.StochasticMux(
        streamers, min(active, len(streamers)), rate=None, mode="exhaustive", random_state=order
    )
    yield from mux.iterate()
