"""What every decoder gives, and what they share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["RATES", "Source", "mono", "plain"]

Array = NDArray[np.float32]

RATES = range(100, 6_000_001)
"""Hz; a header outside lies."""


class Source(Protocol):
    """An opened file.

    Attributes:
        rate: Hz, of the file.
        seconds: Length by the header; 0 where it does not say. It may lie: see :func:`earmark.audio.decode.measure`.
        guessed: Whether that length comes from the file's size, so that another tag may change it.
        damaged: Set once decoding broke off before the end.
    """

    rate: int
    seconds: float
    guessed: bool
    damaged: str

    def blocks(self, start: float, seconds: float | None) -> Iterator[Array]:
        """Mono blocks (samples,) at the file's own rate, from ``start`` seconds on; ends early where the audio does."""
        ...


def mono(block: NDArray[Any], axis: int) -> Array:
    """The mean of the channels."""
    if block.shape[axis] == 1:
        return np.ascontiguousarray(block.take(0, axis), np.float32)
    block = block.astype(np.float32, copy=False)
    share = np.full(block.shape[axis], 1 / block.shape[axis], np.float32)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is made zero afterwards
        return block @ share if axis == 1 else share @ block  # a product is 20 times as fast as numpy's mean here


def plain(error: BaseException) -> str:
    """A decoder's message without the file's name and codes that tell people nothing."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return str(text).strip().rstrip(".") or type(error).__name__
