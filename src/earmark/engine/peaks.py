"""The task of drawing a waveform: a file to so many peaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from earmark.engine.base import Alive, Task

__all__ = ["Peaks", "Waveform"]

_FINE = 1_024  # samples that share a peak at first: the length is known at the end only


@dataclass(frozen=True, slots=True)
class Waveform:
    """How loud a track is over time.

    Attributes:
        peaks: Greatest amplitudes of equal stretches, in parts of the greatest of all.
        seconds: Length of the track.
    """

    peaks: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Peaks(Task[str, Waveform]):
    """Decode a file and keep its peaks.

    Attributes:
        count: Of peaks, at most.
        longest: Seconds; a longer track is refused.
    """

    count: int
    longest: float = float("inf")

    def start(self, alive: Alive) -> Callable[[str], Waveform]:
        """Nothing to get ready."""
        import numpy as np

        from earmark.audio.track import open_track

        def peaks_of(path: str) -> Waveform:
            fine, samples = [np.zeros(0, np.float32)], 0
            with open_track(path, alive=alive) as track:
                track.limit(self.longest)
                for block in track.blocks(0.0, None):
                    alive()
                    starts = np.arange(0, len(block), _FINE)
                    fine.append(np.maximum.reduceat(np.abs(block), starts) if len(block) else block)
                    samples += len(block)
                rate = track.rate
            found = np.concatenate(fine)
            count = min(self.count, len(found))
            edges = np.arange(count) * len(found) // max(1, count)
            peaks = np.maximum.reduceat(found, edges) if count else found
            parts = np.minimum(1, peaks / (peaks.max(initial=0) or 1)).astype(float).round(3)
            return Waveform(tuple(parts.tolist()), round(samples / rate, 3))

        return peaks_of
