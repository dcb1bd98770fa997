"""A source that decodes no stretch twice: what the hash of a track's audio needs is what is heard of it anyway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from earmark.audio.source import Source

__all__ = ["WHOLE_SECONDS", "Remembering"]

Array = NDArray[np.float32]

WHOLE_SECONDS = 35.0
"""A track up to this length is decoded once, from its beginning, and cut from memory."""

_MOST_HERTZ = 200_000  # a file at a higher rate is not kept in memory
_SLACK = 5.0  # seconds that a header may lie before it is not believed


class Remembering:
    """A :class:`~earmark.audio.source.Source` around another one: short tracks, and any one stretch, are kept."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.rate, self.seconds, self.guessed = source.rate, source.seconds, source.guessed
        self._whole: Array | None = None
        self._kept: tuple[tuple[int, int], list[Array]] | None = None
        self._short = 0 < source.seconds <= WHOLE_SECONDS and source.rate <= _MOST_HERTZ

    @property
    def damaged(self) -> str:
        """As the source's."""
        return self._source.damaged

    @damaged.setter
    def damaged(self, why: str) -> None:
        self._source.damaged = why

    def blocks(self, start: float, seconds: float | None) -> Iterator[Array]:
        """As the source's."""
        whole = self._all() if self._short else None
        if whole is not None:
            first = round(max(0.0, start) * self.rate)
            last = len(whole) if seconds is None else first + round(seconds * self.rate)
            if first < min(last, len(whole)):
                yield whole[first:last]
        elif seconds is not None and self._kept and self._kept[0] == self._stretch(start, seconds):
            yield from self._kept[1]
        else:
            yield from self._source.blocks(start, seconds)

    def keep(self, start: float, seconds: float) -> list[Array]:
        """The blocks of a stretch, which cost nothing when it is asked for again."""
        blocks = list(self.blocks(start, seconds))
        self._kept = (self._stretch(start, seconds), blocks)
        return blocks

    def _stretch(self, start: float, seconds: float) -> tuple[int, int]:
        return round(max(0.0, start) * self.rate), round(seconds * self.rate)

    def _all(self) -> Array | None:
        """The whole track; None where it turns out to be much longer than its header says."""
        if self._whole is None:
            parts, samples = [], 0
            for block in self._source.blocks(0.0, None):
                parts.append(block)
                samples += len(block)
                if samples > (WHOLE_SECONDS + _SLACK) * self.rate:
                    self._short = False
                    return None
            self._whole = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        return self._whole
