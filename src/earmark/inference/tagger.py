"""The one path from a file to a :class:`Prediction`: hear, spectrogram, network, scores."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.audio.identity import track_key
from earmark.audio.track import Clip, Excerpts, OpenTrack, Plan
from earmark.errors import ModelError, UnknownName
from earmark.features.spectrogram import open_input, views
from earmark.inference.labels import relabel
from earmark.inference.options import HearingOptions
from earmark.inference.records import ClipEmbeddings, HeadPrediction, Prediction
from earmark.inference.scores import answer, pool, probabilities, taggram
from earmark.models.card import Card
from earmark.models.folder import check_files, find_model
from earmark.models.network import Network

if TYPE_CHECKING:
    from earmark.audio.images import OpenPicture
    from earmark.features.frontend import Frontend

__all__ = ["Tagger", "load_model"]

Array = NDArray[np.float32]

_BATCH = 8  # clips a run of the network: always the same, so that scores never depend on what else is heard
_NO_AUDIO = "the model {} was trained on pictures of spectrograms: it takes PNG files, not audio"


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
            track: An audio file (a PNG, for a model of pictures); or a waveform in -1..1: (samples,) mono,
                (samples, channels) or (channels, samples), of which the longer axis is time.
            sample_rate: Hz of the waveform; required with one, refused with a file.
            options: How to hear; the card's plan where not given.
            progress: Called after every few clips, so that a long track is not taken for a hang.

        Returns:
            Calibrated scores of every head, and the (dimensions,) embedding; no heads for audio in ``options.known``.

        Raises:
            AudioError: The file cannot be heard; its ``kind`` says why.
            ModelError: The model was trained on images and takes no audio.
            ValueError: A waveform without a plausible sample rate, or of a wrong shape.
        """
        options = options or self.options
        name = "" if isinstance(track, np.ndarray) else os.fspath(track)
        with self._open(track, sample_rate, progress) as opened:
            key = track_key(opened) if options.content_hash and isinstance(opened, OpenTrack) else None
            if key in options.known:
                return Prediction(name, opened.facts.seconds, self.card.id, {}, content_hash=key)
            raw, times = self._run(views(opened, self.frontend, self._plan(options)), options, progress)
            facts = opened.facts
        prediction = self._said(name, raw, times, options)
        heads = (
            {head: said.of_silence() for head, said in prediction.heads.items()} if facts.silent else prediction.heads
        )
        return replace(prediction, seconds=facts.seconds, warning=facts.warning, content_hash=key, heads=heads)

    def see(self, track: str | os.PathLike[str]) -> Array:
        """What the network gets of a file by the card's plan: (clips, frames, bands).

        Raises:
            AudioError: The file cannot be heard.
            ModelError: A file of the other kind: audio for a model of pictures.
        """
        with self._open(track) as opened:
            return np.stack([view.data for view in views(opened, self.frontend, self._plan(self.options))])

    def embed_clips(self, track: str | os.PathLike[str]) -> Array:
        """Embeddings of the clips of a file, (clips, dimensions), to train heads on; raises as :meth:`see`."""
        clips = self.see(track)
        batches = [clips[start : start + _BATCH] for start in range(0, len(clips), _BATCH)]
        return np.concatenate([self.network.run(batch, ["embedding"])["embedding"] for batch in batches])

    @property
    def frontend(self) -> Frontend:
        """Waveform to spectrogram.

        Raises:
            ModelError: The model was trained on pictures of unknown origin, and the card says nothing of them.
        """
        if self.card.frontend is None:
            raise ModelError(f"the model {self.card.id} has no frontend: it cannot hear")
        return self.card.frontend

    @contextmanager
    def _open(
        self,
        track: str | os.PathLike[str] | NDArray[np.floating],
        sample_rate: int | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> Iterator[OpenTrack | OpenPicture]:
        """Open a track, or refuse what is not of the model's kind."""
        pictures = self.frontend.kind == "image"
        if pictures and (isinstance(track, np.ndarray) or not os.fspath(track).lower().endswith(".png")):
            raise ModelError(_NO_AUDIO.format(self.card.id))
        with open_input(track, self.frontend, sample_rate, alive) as opened:
            yield opened

    def _plan(self, options: HearingOptions) -> Plan:
        """Which clips: a count of None is the whole track."""
        plan = self.card.clip
        if options.excerpt is None:
            return plan
        whole = options.excerpt == "whole"
        count = None if whole else max(1, round(float(options.excerpt) / plan.seconds))
        return Excerpts(plan.seconds, count, plan.pad)

    def check_layer(self, layer: str | None) -> None:
        """Refuse a layer that the network does not give out (UnknownName)."""
        layers = self.network.layers
        if layer is not None and layer not in layers:
            raise UnknownName("layer", layer, layers)

    def _run(
        self, clips: Iterable[Clip], options: HearingOptions, progress: Callable[[], None]
    ) -> tuple[dict[str, Array], list[tuple[float, float]]]:
        """Raw scores of all clips by output, (clips, dimensions), and the clips' times; in bounded memory."""
        self.check_layer(options.layer)
        outputs = [_vectors(options), *(head.name for head in self.card.heads)]
        parts: list[dict[str, Array]] = []
        times: list[tuple[float, float]] = []
        for batch in _batches(clips, _BATCH):
            times += [(clip.start, clip.end) for clip in batch]
            parts.append(self.network.run(np.stack([clip.data for clip in batch]), outputs))
            progress()
        return {name: np.concatenate([part[name] for part in parts]) for name in outputs if parts}, times

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
        one_by_one = ClipEmbeddings(np.asarray(times, np.float32), vectors) if options.clips else None
        prediction = Prediction(path, 0.0, self.card.id, heads, embedding, clips=one_by_one)
        return relabel(prediction, self.card, options.labels)


def _vectors(options: HearingOptions) -> str:
    """The output that the embedding is taken from."""
    return "embedding" if options.layer is None else f"layer:{options.layer}"


def _batches(clips: Iterable[Clip], size: int) -> Iterator[list[Clip]]:
    iterator = iter(clips)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
