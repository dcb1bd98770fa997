"""The analyses of an opened track that need its audio, from one decoding of its clips and one of its whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from earmark.analyses.facts import ANALYSES, Feature
from earmark.analyses.key import KeyMeter
from earmark.analyses.loudness import LoudnessMeter
from earmark.analyses.tempo import TempoMeter
from earmark.audio.track import Clip, Excerpts, OpenTrack, Plan

__all__ = ["PLAN", "RATE", "Measuring"]

PLAN, RATE = Excerpts(3.0, 10), 16_000
"""The clips of tempo and key, and their sample rate in Hz: always the same, so that the numbers of a track are, too."""


class Measuring:
    """The features of one track that are measured."""

    def __init__(self, names: Iterable[str]) -> None:
        """Of features; those that need no audio are left to others."""
        self._names = [name for name in names if ANALYSES[name].needs in ("clips", "track")]
        meters: dict[str, TempoMeter | KeyMeter] = {"tempo": TempoMeter(), "key": KeyMeter()}
        self._clips = {name: meter for name, meter in meters.items() if name in self._names}
        self._done = False

    def through(self, clips: Iterator[Clip], plan: Plan, rate: int) -> Iterator[Clip]:
        """The clips, measured on their way where they are those that tempo and key take."""
        same = (plan.seconds, plan.count, rate) == (PLAN.seconds, PLAN.count, RATE)
        if not same or not self._clips:
            return clips
        self._done = True
        return self._measured(clips)

    def _measured(self, clips: Iterator[Clip]) -> Iterator[Clip]:
        for clip in clips:
            for meter in self._clips.values():
                meter.add(clip.data)
            yield clip

    def results(self, opened: OpenTrack, progress: Callable[[], None] = lambda: None) -> dict[str, Feature]:
        """The features, by name; decodes what was not decoded for other ends.

        Args:
            opened: The track, its clips taken.
            progress: Called after every block of a long track.

        Raises:
            AudioError: The track is under 0.1 s, or longer than it may be.
        """
        if self._clips and not self._done:
            for _ in self._measured(opened.clips(PLAN, RATE)):
                progress()
        found: dict[str, Feature] = {name: meter.result() for name, meter in self._clips.items()}
        if "loudness" in self._names:
            meter = LoudnessMeter(opened.rate)
            for block in opened.frames(0, None):
                meter.add(block)
                progress()
            found["loudness"] = meter.result()
        return found
