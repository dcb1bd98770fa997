"""The one path from a file to a :class:`Prediction`: hear, spectrogram, network, scores."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.audio.decode import MIN_SECONDS, clean, resample
from earmark.audio.excerpts import Clip, Hearing, fit, hear, starts
from earmark.errors import AudioError, ModelError, UnknownName
from earmark.features import spectrogram
from earmark.inference.labels import relabel
from earmark.inference.options import HearingOptions
from earmark.inference.records import HeadPrediction, Prediction
from earmark.inference.scores import answer, pool, probabilities, taggram
from earmark.model.card import Card
from earmark.model.folder import check_files, find_model
from earmark.model.network import Network

if TYPE_CHECKING:
    from earmark.features import Frontend

__all__ = ["Tagger", "load_model"]

Array = NDArray[np.float32]

_BATCH = 8  # clips a run of the network: always the same, so that scores never depend on what else is heard
_RATES = (1_000, 1_000_000)  # Hz; outside, a sample rate is a mistake


def load_model(model: str | os.PathLike[str] = "default") -> Tagger:
    """Load a model folder, or a model by name.

    Args:
        model: A folder, or a name that ``earmark models`` lists; ``default`` is the bundled one.

    Raises:
        ModelError: The folder is incomplete, damaged, or of a newer format.
        UnknownName: There is no such model.
    """
    folder = find_model(model)
    return Tagger(folder, check_files(folder, "model.onnx"))


@dataclass(frozen=True, eq=False)
class Tagger:
    """Frontend, backbone, heads and card of one model.

    Attributes:
        folder: The model folder.
        card: What the model says of itself.
    """

    folder: Path
    card: Card
    options: HearingOptions = field(default_factory=lambda: HearingOptions(embedding=True))

    @cached_property
    def network(self) -> Network:
        """The network, loaded when first used."""
        return Network(self.folder)

    def predict(
        self,
        track: str | os.PathLike[str] | NDArray[np.floating],
        *,
        sample_rate: int | None = None,
        options: HearingOptions | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> Prediction:
        """Hear one track.

        Args:
            track: An audio file; or a waveform, (samples,) mono or (samples, channels), in -1..1.
            sample_rate: Hz of the waveform; required with one, refused with a file.
            options: How to hear; the card's plan where not given.
            progress: Called after every few clips, so that a long track is not taken for a hang.

        Returns:
            Calibrated scores of every head, and the (dimensions,) embedding.

        Raises:
            AudioError: The file cannot be heard; its ``kind`` says why.
            ModelError: The model was trained on images and takes no audio.
            ValueError: A waveform without a plausible sample rate, or of a wrong shape.
        """
        options = options or self.options
        about = Hearing()
        frontend = self.frontend
        if isinstance(track, np.ndarray):
            clips = _clips_of(_checked(track, sample_rate, frontend), *self._plan(options), frontend, about)
            name = ""
        elif sample_rate is not None:
            raise ValueError("sample_rate goes with a waveform; a file knows its own")
        else:
            name = os.fspath(track)
            clips = hear(name, frontend.sample_rate, *self._plan(options), about)
        raw, times = self._run(clips, options, progress)
        prediction = self._said(name, raw, times, options)
        return replace(prediction, seconds=about.seconds, warning=about.warning)

    @property
    def frontend(self) -> Frontend:
        """Waveform to spectrogram.

        Raises:
            ModelError: The model was trained on images of unknown origin.
        """
        frontend = self.card.frontend
        if frontend is None or frontend.kind == "image":
            raise ModelError(f"the model {self.card.id} was trained on images and takes no audio")
        return frontend

    def _plan(self, options: HearingOptions) -> tuple[float, int | None]:
        clip = self.card.clip
        if options.excerpt is None:
            return clip.seconds, clip.count
        if options.excerpt == "whole":
            return clip.seconds, None
        return clip.seconds, max(1, round(options.excerpt / clip.seconds))

    def spectrograms(self, clips: Sequence[Clip]) -> Array:
        """What the network sees of clips: (clips, frames, bands) float32."""
        frontend, plan = self.frontend, self.card.clip
        samples = round(plan.seconds * frontend.sample_rate)
        return np.stack([spectrogram(fit(clip.waveform, samples, plan.pad), frontend) for clip in clips])

    def check_layer(self, layer: str | None) -> None:
        """Refuse a layer that the network does not give out (UnknownName)."""
        if layer is not None and layer not in self.network.layers:
            raise UnknownName("layer", layer, self.network.layers)

    def _run(
        self, clips: Iterator[Clip], options: HearingOptions, progress: Callable[[], None]
    ) -> tuple[dict[str, Array], list[tuple[float, float]]]:
        """Raw scores of all clips by output, (clips, dimensions), and the clips' times; in bounded memory."""
        self.check_layer(options.layer)
        outputs = [_vectors(options), *(head.name for head in self.card.heads)]
        parts: list[dict[str, Array]] = []
        times: list[tuple[float, float]] = []
        for batch in _batches(clips, _BATCH):
            times += [(clip.start, clip.end) for clip in batch]
            parts.append(self.network.run(self.spectrograms(batch), outputs))
            progress()
        return {name: np.concatenate([part[name] for part in parts]) for name in outputs}, times

    def _said(
        self, path: str, raw: dict[str, Array], times: list[tuple[float, float]], options: HearingOptions
    ) -> Prediction:
        heads: dict[str, HeadPrediction] = {}
        for head in self.card.heads:
            clips = probabilities(raw[head.name], head)
            over_time = taggram(head, times, clips) if options.taggram else None
            heads[head.name] = answer(head, pool(clips, self.card.clip.pooling, head.task).tolist(), over_time)
        vectors = raw[_vectors(options)]
        embedding = vectors.mean(axis=0, dtype=np.float64).astype(np.float32) if options.embedding else None
        prediction = Prediction(path, 0.0, self.card.id, heads, embedding)
        return relabel(prediction, self.card, options.labels)


def _vectors(options: HearingOptions) -> str:
    """The output that the embedding is taken from."""
    return "embedding" if options.layer is None else f"layer:{options.layer}"


def _batches(clips: Iterable[Clip], size: int) -> Iterator[list[Clip]]:
    iterator = iter(clips)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _checked(waveform: NDArray[np.floating], sample_rate: int | None, frontend: Frontend) -> Array:
    """A waveform of the caller's as mono float32 at the frontend's rate."""
    if sample_rate is None:
        raise ValueError("a waveform needs its sample_rate: without it every answer would be a guess")
    if not _RATES[0] <= sample_rate <= _RATES[1]:
        raise ValueError(f"sample_rate = {sample_rate}: not a sample rate in Hz")
    if waveform.ndim not in (1, 2) or (waveform.ndim == 2 and waveform.shape[1] > waveform.shape[0]):
        raise ValueError(f"waveform: expected (samples,) or (samples, channels), got shape {waveform.shape}")
    if not np.issubdtype(waveform.dtype, np.floating):
        raise ValueError(f"waveform: expected floats in -1..1, got {waveform.dtype}")
    mono = waveform if waveform.ndim == 1 else waveform.mean(axis=1)
    if len(mono) < MIN_SECONDS * sample_rate:
        raise AudioError(
            "", "too-short", f"{len(mono) / sample_rate:.3f} s of audio; at least {MIN_SECONDS} s are needed"
        )
    return resample(clean(np.ascontiguousarray(mono, np.float32)), int(sample_rate), frontend.sample_rate)


def _clips_of(
    waveform: Array, clip_seconds: float, count: int | None, frontend: Frontend, about: Hearing
) -> Iterator[Clip]:
    """The clips of a waveform, by the same plan as those of a file."""
    rate = frontend.sample_rate
    about.seconds = len(waveform) / rate
    about.loudest = float(np.abs(waveform).max(initial=0))
    whole = max(1, -(-len(waveform) // round(clip_seconds * rate)))
    for start in starts(about.seconds, clip_seconds, whole if count is None else count):
        piece = waveform[round(start * rate) : round((start + clip_seconds) * rate)]
        yield Clip(start, start + len(piece) / rate, piece)
