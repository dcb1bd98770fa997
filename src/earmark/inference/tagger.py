"""The one path from a file to a :class:`Prediction`: audio, spectrogram, network, heads, scores."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from earmark.analyses.estimates import estimates
from earmark.analyses.facts import ANALYSES, Feature
from earmark.analyses.measure import Measuring
from earmark.audio.identity import track_key
from earmark.audio.images import image_hash
from earmark.audio.track import Clip, Excerpts, OpenTrack, Plan
from earmark.errors import ModelError, UnknownName
from earmark.features.spectrogram import as_seen, open_input, views
from earmark.inference.answers import answers, numbers
from earmark.inference.labels import relabel
from earmark.inference.options import HearingOptions
from earmark.inference.records import ClipEmbeddings, HeadPrediction, Prediction
from earmark.inference.scores import probabilities, raw_scores, taggram, track_probabilities
from earmark.inference.why import TrainingTracks, reason, training_tracks
from earmark.models.card import Card
from earmark.models.device import Device
from earmark.models.network import HeadWeights, Network, read_heads
from earmark.models.registry import check_files, find_model

if TYPE_CHECKING:
    from earmark.audio.images import OpenPicture
    from earmark.features.frontend import Frontend

__all__ = ["Tagger", "Work", "load_model"]

Array = NDArray[np.float32]
Scores = NDArray[np.float64]

V = TypeVar("V")
Work = Generator[Array, Any, V]
"""Work on a track that needs the network: clips (clips, frames, bands) come out, their layers by name go in."""

_NO_AUDIO = "the model {} was trained on pictures of spectrograms: it takes PNG files, not audio"


def load_model(model: str | os.PathLike[str] = "default", device: Device = "auto") -> Tagger:
    """Load a model folder, or a model by name.

    Args:
        model: A folder, or a name that ``earmark models`` lists; ``default`` is the bundled one.
        device: What its network runs on: ``auto`` takes a GPU where ONNX Runtime has one that works.

    Raises:
        ModelError: The folder is incomplete, damaged, or of a newer format.
        UnknownName: There is no such model.
    """
    folder = find_model(model)
    card = check_files(folder)
    return Tagger(folder, card, read_heads(folder, card), device=device)


@dataclass(frozen=True, eq=False, repr=False)
class Tagger:
    """Frontend, backbone, heads and card of one model.

    Attributes:
        folder: The model folder.
        card: What the model says of itself.
        heads: The arrays of its heads.
        options: How it analyses where nothing else is asked.
        device: What its network runs on.
    """

    folder: Path
    card: Card
    heads: Mapping[str, HeadWeights]
    options: HearingOptions = field(default_factory=lambda: HearingOptions(embedding=True))
    device: Device = "auto"

    def __repr__(self) -> str:
        """Short: which model, and its heads."""
        return f"Tagger({self.card.id}: {', '.join(head.name for head in self.card.heads)})"

    @cached_property
    def network(self) -> Network:
        """The network, loaded when first used (ModelError where it is damaged, EarmarkError where there is no GPU)."""
        read = {head.layer: self.heads[head.name].inputs for head in self.card.heads if not head.derived}
        return Network(self.folder, self.card, read, device=self.device)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that can stand in for the embedding: those of the network, and heads' hidden ones."""
        hidden = [head.name for head in self.card.heads if self._hidden(head.name)]
        return tuple(dict.fromkeys((*self.network.layers, *hidden)))

    def dimensions(self, layer: str | None = None) -> int:
        """Numbers in an embedding, or in the layer in its place (UnknownName where there is no such layer)."""
        if layer is None:
            return self.card.embedding
        self.check_layer(layer)
        found = self._layers(np.zeros((1, *self.card.clip_shape), np.float32), layer)
        return len(self._vectors(found, layer)[0])

    def predict(
        self,
        track: str | os.PathLike[str] | NDArray[np.floating],
        *,
        sample_rate: int | None = None,
        options: HearingOptions | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> Prediction:
        """Analyse one track.

        Args:
            track: An audio file (a PNG, for a model of pictures); or a waveform in -1..1: (samples,) mono,
                (samples, channels) or (channels, samples), of which the longer axis is time.
            sample_rate: Hz of the waveform; required with one, refused with a file.
            options: How to analyse; the card's plan where not given.
            progress: Called after every few clips, so that a long track is not taken for a hang.

        Returns:
            Calibrated scores of every head, and the (dimensions,) embedding; no heads for audio in ``options.known``.

        Raises:
            AudioError: The file cannot be analysed; its ``kind`` says why.
            ModelError: The model was trained on images and takes no audio.
            ValueError: A waveform without a plausible sample rate, or of a wrong shape.
        """
        options = options or self.options
        return self.alone(self.predicting(track, sample_rate, options, progress), options.layer)

    def together(self, works: Iterable[Work[V]], layer: str | None = None) -> list[V | Exception]:
        """Do several pieces of work, whose clips run through the network in common batches.

        Args:
            works: Each is begun when the clips of those before it have not filled a batch.
            layer: As of the options of all of them.

        Returns:
            What each of them returns or raises, in their order.

        Raises:
            ModelError: The network cannot be run.
        """
        results: dict[int, V | Exception] = {}
        waiting: dict[int, tuple[Work[V], Array]] = {}

        def go_on(place: int, work: Work[V], layers: Mapping[str, Array] | None) -> None:
            try:
                waiting[place] = work, work.send(layers)
            except StopIteration as end:
                results[place] = end.value
            except Exception as error:  # of one track, whatever it is: the others go on
                results[place] = error

        def run() -> None:
            clips = [clips for _, clips in waiting.values()]
            found = self._layers(np.concatenate(clips) if len(clips) > 1 else clips[0], layer)
            answered, end = list(waiting.items()), 0
            waiting.clear()
            for place, (work, given) in answered:
                start, end = end, end + len(given)
                go_on(place, work, {name: vectors[start:end] for name, vectors in found.items()})

        try:
            for place, work in enumerate(works):
                go_on(place, work, None)
                while waiting and sum(len(clips) for _, clips in waiting.values()) >= self.network.batch:
                    run()
            while waiting:
                run()
        finally:
            for work, _ in waiting.values():
                work.close()
        return [results[place] for place in sorted(results)]

    def alone(self, work: Work[V], layer: str | None = None) -> V:
        """Do one piece of work; raises what it raises."""
        (result,) = self.together([work], layer)
        if isinstance(result, Exception):
            raise result
        return result

    def predicting(
        self,
        track: str | os.PathLike[str] | NDArray[np.floating],
        sample_rate: int | None,
        options: HearingOptions,
        progress: Callable[[], None],
    ) -> Work[Prediction]:
        """:meth:`predict` as a piece of work."""
        name = "" if isinstance(track, np.ndarray) else os.fspath(track)
        with self._open(track, sample_rate, progress) as opened:
            if isinstance(opened, OpenTrack):
                opened.limit(options.longest)
            key = track_key(opened) if options.content_hash and isinstance(opened, OpenTrack) else None
            if key in options.known:
                return Prediction(name, opened.facts.seconds, self.card.id, {}, content_hash=key)
            plan, rate = self._plan(options), self.frontend.sample_rate
            measuring = Measuring(options.features if isinstance(opened, OpenTrack) else ())
            clips = measuring.through(opened.clips(plan, rate), plan, rate)
            raw, vectors, times = yield from self._run(as_seen(clips, self.frontend, plan), options, progress)
            facts = opened.facts  # the same, whatever is measured beside
            measured = measuring.results(opened, progress) if isinstance(opened, OpenTrack) else {}
        prediction = self._prediction(name, raw, vectors, times, options)
        features = {**prediction.features, **measured}
        prediction = replace(prediction, seconds=facts.seconds, warning=facts.warning, features=features)
        return replace(prediction, content_hash=key, device=self.network.device).settled()

    def see(self, track: str | os.PathLike[str]) -> Array:
        """What the network gets of a file by the card's plan: (clips, frames, bands).

        Raises:
            AudioError: The file cannot be analysed.
            ModelError: A file of the other kind: audio for a model of pictures.
        """
        with self._open(track) as opened:
            return np.stack([view.data for view in views(opened, self.frontend, self._plan(self.options))])

    def embed_clips(
        self, track: str | os.PathLike[str], progress: Callable[[], None] = lambda: None
    ) -> Work[tuple[str, Array]]:
        """Content hash of a file, and the embeddings of its clips, (clips, dimensions), from one decoding; as work.

        To train heads on; raises as :meth:`see`.
        """
        found = []
        with self._open(track, alive=progress) as opened:
            key = track_key(opened) if isinstance(opened, OpenTrack) else image_hash(Path(track))
            for batch in _batches(views(opened, self.frontend, self._plan(self.options)), self.network.batch):
                layers = yield np.stack([clip.data for clip in batch])
                found.append(layers["embedding"])
                progress()
        return key, np.concatenate(found)

    @property
    def frontend(self) -> Frontend:
        """Waveform to spectrogram.

        Raises:
            ModelError: The model was trained on pictures of unknown origin, and the card says nothing of them.
        """
        if self.card.frontend is None:
            raise ModelError(f"the model {self.card.id} has no frontend: it takes no files")
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
        layers = self.layers  # also loads the network, so that what is wrong with it shows now
        if layer is not None and layer not in layers:
            raise UnknownName("layer", layer, layers)

    def _hidden(self, name: str) -> bool:
        """Whether a name means the hidden layer of a head: the network's own layers come first."""
        weights = self.heads.get(name)
        return weights is not None and weights.has_hidden and name not in self.network.layers

    def predict_embeddings(self, clips: ClipEmbeddings, options: HearingOptions | None = None) -> Prediction:
        """Scores of a track whose clips' embeddings are at hand: nothing is decoded, the network is not needed.

        Args:
            clips: As ``predict`` gives them where ``options.clips`` is set; of a model with the same
                ``card.backbone_digest``.
            options: ``labels`` and ``taggram`` count.

        Returns:
            As of :meth:`predict`, without path and length.

        Raises:
            ModelError: A head reads another layer, or the vectors are of another network.
        """
        if clips.vectors.ndim != 2 or clips.vectors.shape[1] != self.card.embedding or not len(clips.vectors):
            shape = f"(clips, {self.card.embedding}), not {clips.vectors.shape}"
            raise ModelError(
                f"the embeddings are not of the network of {self.card.id}: they must have the shape {shape}"
            )
        for head in self.card.heads:
            if head.layer != "embedding":
                raise ModelError(f"the head {head.name!r} of {self.card.id} reads the layer {head.layer!r}, "
                                 "not the embedding: run the model on the files")  # fmt: skip
        times = [(float(start), float(end)) for start, end in clips.times]
        raw = raw_scores(self.card.heads, self.heads, {"embedding": clips.vectors})
        return self._prediction("", raw, np.asarray(clips.vectors, np.float32), times, options or self.options)

    def _run(
        self, clips: Iterable[Clip], options: HearingOptions, progress: Callable[[], None]
    ) -> Work[tuple[dict[str, Scores], Array, list[tuple[float, float]]]]:
        """Of all clips: raw scores by head, the vectors asked for (clips, dimensions), and times; in bounded memory."""
        self.check_layer(options.layer)
        vectors: list[Array] = []
        raw: dict[str, list[Scores]] = {head.name: [] for head in self.card.heads}
        times: list[tuple[float, float]] = []
        for batch in _batches(clips, self.network.batch):
            times += [(clip.start, clip.end) for clip in batch]
            found = yield np.stack([clip.data for clip in batch])
            for name, scores in raw_scores(self.card.heads, self.heads, found).items():
                raw[name].append(scores)
            vectors.append(self._vectors(found, options.layer))
            progress()
        if not times:
            return {}, np.zeros((0, 0), np.float32), times
        return {name: np.concatenate(parts) for name, parts in raw.items()}, np.concatenate(vectors), times

    def _layers(self, spectrograms: Array, layer: str | None) -> dict[str, Array]:
        """What the heads read of clips, and what is asked for, by layer."""
        names = {"embedding", *(head.layer for head in self.card.heads)}
        if layer is not None and not self._hidden(layer):
            names.add(layer)
        return self.network.run(spectrograms, sorted(names))

    def _vectors(self, found: Mapping[str, Array], layer: str | None) -> Array:
        """The embedding, or the layer in its place."""
        if layer is None or not self._hidden(layer):
            return found["embedding" if layer is None else layer]
        read = np.asarray(found[self.card.head(layer).layer], np.float64)
        return self.heads[layer].hidden(read).astype(np.float32)

    def _prediction(
        self,
        path: str,
        raw: Mapping[str, Scores],
        vectors: Array,
        times: list[tuple[float, float]],
        options: HearingOptions,
    ) -> Prediction:
        cards = self.card.heads
        scores = {
            head.name: track_probabilities(raw[head.name], head, self.card.clip.pooling).tolist() for head in cards
        }
        over_time = {
            head.name: taggram(head, times, probabilities(raw[head.name], head)) for head in cards if options.taggram
        }
        heads = answers(cards, scores, over_time)
        if options.why and options.layer is None:
            heads = self._explained(heads, raw, vectors.mean(axis=0), times)
        embedding = vectors.mean(axis=0, dtype=np.float64).astype(np.float32) if options.embedding else None
        one_by_one = ClipEmbeddings(np.asarray(times, np.float32), vectors) if options.clips else None
        features = numbers(heads, self._estimated(vectors, options))
        prediction = Prediction(path, 0.0, self.card.id, heads, embedding, clips=one_by_one, features=features)
        return relabel(prediction, self.card, options.labels) if options.labels else prediction

    def _estimated(self, vectors: Array, options: HearingOptions) -> dict[str, Feature]:
        """The features asked for as the clips' embeddings tell them; the others without a value."""
        asked = options.features if options.layer is None else ()
        found = estimates(vectors, self.card.backbone_digest) if asked else {}
        return {name: found.get(name, ANALYSES[name].untold) for name in options.features}

    def _explained(
        self, heads: Mapping[str, HeadPrediction], raw: Mapping[str, Scores], vector: Array,
        times: list[tuple[float, float]],
    ) -> dict[str, HeadPrediction]:  # fmt: skip
        """The heads' predictions with the reasons for them."""
        known = self._training_tracks
        found = {}
        for head in self.card.heads:
            near = known.nearest(head.name, vector) if known is not None else ()
            clips = probabilities(raw[head.name], head)
            found[head.name] = replace(heads[head.name], why=reason(head, heads[head.name], clips, times, near))
        return found

    @cached_property
    def _training_tracks(self) -> TrainingTracks | None:
        return training_tracks(self.folder, self.card)


def _batches(clips: Iterable[Clip], size: int) -> Iterator[list[Clip]]:
    iterator = iter(clips)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
