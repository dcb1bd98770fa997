"""Several streams in one file as one track: joined files, recordings of a radio, and streams whose header lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from earmark.audio.decoders import FFmpeg, Soundfile, Source, resampled
from earmark.audio.views import Layout, open_view
from earmark.errors import AudioError

__all__ = ["Chain"]

Array = NDArray[np.float32]


class Chain:
    """The parts of a file, one after the other, at the rate of the first; one is open at a time.

    Raises:
        AudioError: No decoder reads any of the parts.
    """

    def __init__(self, name: str, layout: Layout, alive: Callable[[], None]) -> None:
        self._name, self._parts, self._alive = name, list(layout.parts), alive
        self._opened: tuple[int, Source] | None = None
        self.damaged = ""
        first = None
        while self._parts and first is None:
            first = self._open(0)
            if first is None:
                self._parts.pop(0)
        if first is None:
            raise AudioError(name, "decode", self.damaged)
        self.rate = first.rate
        self._lengths = [self._seconds(index) for index in range(len(self._parts))]
        self.seconds, self.stated = sum(self._lengths), layout.stated

    def _seconds(self, index: int) -> float:
        """Length of a part: as a decoder tells it, where it is the only one or nobody else knows."""
        stated = self._parts[index].seconds
        if stated and len(self._parts) > 1:
            return stated
        source = self._open(index)
        return source.seconds if source and (not stated or abs(source.seconds - stated) < 0.25) else stated

    def _open(self, index: int) -> Source | None:
        if self._opened and self._opened[0] == index:
            return self._opened[1]
        self.close()
        pieces = self._parts[index].pieces
        openings = (
            lambda: Soundfile(lambda: open_view(self._name, pieces)),
            lambda: FFmpeg(lambda: open_view(self._name, pieces), self._alive),
        )
        why = "its parts state another length than they have"
        for opening in openings:
            try:
                source: Source = opening()
            except AudioError as error:
                why = error.message
                continue
            if source.seconds < self._parts[index].seconds - max(0.25, 0.01 * source.seconds):
                source.close()  # it believes a header that lies
                continue
            self._opened = index, source
            return source
        self.damaged = why
        return None

    def frames(self, start: int, count: int | None) -> Iterator[Array]:
        """Blocks (samples, channels) from the sample ``start`` on."""
        begun, left = 0, count
        for index, seconds in enumerate(self._lengths):
            length = round(seconds * self.rate)
            if start < begun + length or index == len(self._lengths) - 1:
                for block in self._part(index, max(0, start - begun), left):
                    yield block
                    left = None if left is None else left - len(block)
                if left is not None and left <= 0:
                    return
            begun += length

    def _part(self, index: int, start: int, count: int | None) -> Iterator[Array]:
        source = self._open(index)
        if source is None:
            return
        if source.rate == self.rate:
            yield from source.frames(start, count)
        else:
            first = round(start * source.rate / self.rate)
            most = None if count is None else round(count * source.rate / self.rate) + 1
            yield from _limited(resampled(source.frames(first, most), source.rate, self.rate), count)
        self.damaged = source.damaged or self.damaged

    def close(self) -> None:
        """Close what is open."""
        if self._opened:
            self._opened[1].close()
        self._opened = None


def _limited(blocks: Iterator[Array], count: int | None) -> Iterator[Array]:
    for block in blocks:
        if count is None:
            yield block
            continue
        if count > 0 and len(block):
            yield block[:count]
        count -= len(block)
