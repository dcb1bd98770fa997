"""Published taggers that a small network learns from: any audio in, a time series on a grid of 1 s out.

Every teacher gives its numbers for each second, so that the target of any crop is the mean over its seconds and no
second pass is needed for random crops. Teachers take pieces of at most about half a minute.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from earmark.errors import MissingExtra, ModelError, UnknownName
from earmark.training.backbones import Backbone
from earmark.training.backbones.won import CRNN_STEP, FCN_STEP, WonCrnn, WonFcn, WonMusicnn
from earmark.training.pretrained import load_pretrained
from scripts.bundled import efficientat as mn
from scripts.bundled import musicnn
from scripts.bundled.musicnn import PonsMusicnn, PonsVgg, load_musicnn, load_vgg
from scripts.bundled.won_ends import HOP, SAMPLE_RATE, TAGS, WonMel

__all__ = ["KINDS", "Teacher", "load_teacher", "on_grid"]

Array = NDArray[np.float32]
YAMNET_SAMPLES, YAMNET_FEATURES = 15600, 1024
_NO_TAGS = np.zeros(0, np.float32)
Analyse = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class Teacher:
    """A network to learn from.

    Attributes:
        kind: Its key in :data:`KINDS`.
        file: Where its weights came from.
        sample_rate: Hz of the waveforms that :attr:`analyse` takes.
        features: Numbers a second.
        tags: Length of its own vocabulary where that is music's (the Million Song Dataset's 50 tags), else 0.
        analyse: Waveform (samples,) to series (seconds, features) and logits of the tags (tags,), both float32.
        labels: Names of the tags, from a list beside the file (``msd-tags.txt`` beside ``msd-fcn.pth``) or inside it;
            empty where there is none of that length.
    """

    kind: str
    file: Path
    sample_rate: int
    features: int
    tags: int
    analyse: Analyse
    labels: tuple[str, ...] = ()


def on_grid(series: NDArray[Any], seconds_a_step: float, seconds: float) -> Array:
    """Steps of a series averaged over whole seconds.

    Args:
        series: (steps, features), step i covers ``[i, i + 1) * seconds_a_step``.
        seconds_a_step: Length of a step.
        seconds: Length of the sound; the grid has as many rows as whole seconds, rounded, and at least one.

    Returns:
        (rows, features) float32; a row is the mean of the steps that overlap it, weighed by the overlap.
    """
    rows = max(1, int(seconds + 0.5))
    start = np.arange(rows)[:, None]
    step = np.arange(len(series))[None, :] * seconds_a_step
    overlap = np.minimum(start + 1, step + seconds_a_step) - np.maximum(start, step)
    overlap = np.maximum(overlap, 0.0)
    overlap[overlap.sum(1) == 0, -1] = 1.0
    return np.asarray((overlap / overlap.sum(1, keepdims=True)) @ series, np.float32)


def _filled(waveform: Array, step: int) -> Array:
    """The waveform followed by its own beginning up to a whole number of steps."""
    samples = max(1, -(-len(waveform) // step)) * step
    return np.resize(waveform, samples) if len(waveform) else np.zeros(samples, np.float32)


def _load_published(network: Backbone, file: Path) -> None:
    """Load a published PyTorch state dict, as :func:`load_pretrained`, and make the network ready to be run."""
    load_pretrained(network, file)
    with torch.no_grad():
        for weights in network.parameters():  # denormal weights cost 15 times the arithmetic and change nothing
            weights[weights.abs() < 1e-30] = 0.0
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.eval()


def _tensor(waveform: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(waveform, np.float32))[None]


def _won_fcn(file: Path, mixed_precision: bool) -> Teacher:
    network, mel, dense = WonFcn(), WonMel(), nn.Linear(WonFcn.features, TAGS)
    _load_whole(network, file, spec=mel, dense=dense)
    analyse = _won_series(network, (mel, dense), FCN_STEP * HOP, mixed_precision, lambda series: series.amax(0))
    return Teacher("won-fcn", file, SAMPLE_RATE, 64, TAGS, analyse)


def _won_crnn(file: Path, mixed_precision: bool) -> Teacher:
    network, mel, dense = WonCrnn(), WonMel(), nn.Linear(WonCrnn.features, TAGS)
    _load_whole(network, file, spec=mel, dense=dense)
    analyse = _won_series(network, (mel, dense), CRNN_STEP * HOP, mixed_precision, lambda series: series[-1, 128:])
    return Teacher("won-crnn", file, SAMPLE_RATE, 160, TAGS, analyse)


def _load_whole(network: Backbone, file: Path, **ends: nn.Module) -> None:
    """Load one of Won's networks with its two ends: waveform to dB, and embedding to tags."""
    for name, end in ends.items():
        network.add_module(name, end)
    _load_published(network, file)


def _won_series(
    network: WonFcn | WonCrnn, ends: tuple[nn.Module, nn.Module], step: int, mixed_precision: bool,
    summary: Callable[[torch.Tensor], torch.Tensor],
) -> Analyse:  # fmt: skip
    """Series of vectors, one each ``step`` samples, and tags from what ``summary`` makes of them."""
    mel, dense = ends

    @torch.inference_mode()
    def analyse(waveform: Array) -> tuple[Array, Array]:
        spectrograms = mel(_tensor(_filled(waveform, step)))
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed_precision):
            found = network.series(spectrograms)[0]
        tags = dense(summary(found.float()))
        return on_grid(found.float().numpy(), step / SAMPLE_RATE, len(waveform) / SAMPLE_RATE), tags.numpy()

    return analyse


def _won_musicnn(file: Path, mixed_precision: bool) -> Teacher:
    network, mel, dense = WonMusicnn(), WonMel(), nn.Linear(WonMusicnn.features, TAGS)
    _load_whole(network, file, spec=mel, dense2=dense)
    step = 3 * SAMPLE_RATE

    @torch.inference_mode()
    def analyse(waveform: Array) -> tuple[Array, Array]:
        spectrograms = mel(torch.from_numpy(_filled(waveform, step).reshape(-1, step)))
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed_precision):
            found = network(spectrograms)
        series = on_grid(found.float().numpy(), 3.0, len(waveform) / SAMPLE_RATE)
        return series, dense(found.float()).mean(0).numpy()

    return Teacher("won-musicnn", file, SAMPLE_RATE, network.features, TAGS, analyse)


def _musicnn(file: Path, mixed_precision: bool) -> Teacher:
    return _pons("musicnn", load_musicnn(file), musicnn.FEATURES, file, mixed_precision)


def _vgg(file: Path, mixed_precision: bool) -> Teacher:
    return _pons("vgg", load_vgg(file), PonsVgg.features, file, mixed_precision)


def _pons(kind: str, loaded: PonsMusicnn | PonsVgg, features: int, file: Path, mixed_precision: bool) -> Teacher:
    network = loaded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    step = musicnn.FRAMES * musicnn.HOP

    @torch.inference_mode()
    def analyse(waveform: Array) -> tuple[Array, Array]:
        seen = torch.from_numpy(musicnn.patches(_filled(waveform, step)))
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed_precision):
            found = network(seen).float()
        seconds = len(waveform) / musicnn.SAMPLE_RATE
        return on_grid(found.numpy(), step / musicnn.SAMPLE_RATE, seconds), network.tags(found).mean(0).numpy()

    return Teacher(kind, file, musicnn.SAMPLE_RATE, features, TAGS, analyse)


def _efficientat_mn04(file: Path, mixed_precision: bool) -> Teacher:
    network = mn.EfficientAt()
    _load_published(network, file)
    spectrogram = mn.EfficientAtMel()
    window, least = 10 * mn.SAMPLE_RATE, mn.SAMPLE_RATE

    @torch.inference_mode()
    def analyse(waveform: Array) -> tuple[Array, Array]:
        sound = waveform if len(waveform) >= least else np.resize(waveform, least)
        starts = [s for s in range(0, len(sound), window) if s == 0 or len(sound) - s >= least]
        rows = []
        for start in starts:
            end = len(sound) if start == starts[-1] else start + window
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed_precision):
                maps = network.series(spectrogram(_tensor(sound[start:end])))[0].float().numpy()
            rows.append(on_grid(maps, (end - start) / mn.SAMPLE_RATE / len(maps), (end - start) / mn.SAMPLE_RATE))
        series = np.concatenate(rows)
        rows_asked = max(1, int(len(waveform) / mn.SAMPLE_RATE + 0.5))
        return series[np.minimum(np.arange(rows_asked), len(series) - 1)], _NO_TAGS

    return Teacher("efficientat-mn04", file, mn.SAMPLE_RATE, network.features, 0, analyse)


def _yamnet(file: Path, mixed_precision: bool) -> Teacher:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise MissingExtra("train", "the teacher yamnet") from None
    if not file.is_file():
        raise ModelError(f"{file}: no such teacher file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the pooled layer is inside the graph: all tensors must be kept
            interpreter = Interpreter(str(file), num_threads=1, experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{file}: not a TensorFlow Lite model, or damaged: {str(error)[:120]}") from error
    source = interpreter.get_input_details()[0]
    pooled = [t["index"] for t in interpreter.get_tensor_details() if tuple(t["shape"]) == (1, YAMNET_FEATURES)]
    if tuple(source["shape"]) != (YAMNET_SAMPLES,) or not pooled or source["dtype"] != np.float32:
        raise ModelError(f"{file}: not YAMNet: it should take {YAMNET_SAMPLES} samples and pool {YAMNET_FEATURES} maps")

    def analyse(waveform: Array) -> tuple[Array, Array]:
        steps = []
        for patch in _filled(waveform, YAMNET_SAMPLES).reshape(-1, YAMNET_SAMPLES):
            interpreter.set_tensor(source["index"], patch)
            interpreter.invoke()
            steps.append(interpreter.get_tensor(pooled[0])[0].copy())
        return on_grid(np.stack(steps), YAMNET_SAMPLES / 16000, len(waveform) / 16000), _NO_TAGS

    return Teacher("yamnet", file, 16000, YAMNET_FEATURES, 0, analyse)


def _earmark(file: Path, mixed_precision: bool) -> Teacher:
    """A model folder: its embedding and the scores of its first multi-label head, clip by clip."""
    from earmark.audio.track import Excerpts
    from earmark.features.spectrogram import open_input, views
    from earmark.inference.scores import raw_scores
    from earmark.inference.tagger import load_model

    tagger = load_model(file)
    card, rate = tagger.card, tagger.frontend.sample_rate
    head = next((head for head in card.heads if head.task == "multilabel"), None)

    def analyse(waveform: Array) -> tuple[Array, Array]:
        plan = Excerpts(card.clip.seconds, None, card.clip.pad)
        with open_input(waveform, tagger.frontend, rate) as opened:
            seen = np.stack([clip.data for clip in views(opened, tagger.frontend, plan)])
        found = tagger.network.run(seen, ["embedding"])
        series = on_grid(found["embedding"], len(waveform) / rate / len(seen), len(waveform) / rate)
        if head is None:
            return series, _NO_TAGS
        return series, raw_scores([head], tagger.heads, found)[head.name].mean(0).astype(np.float32)

    labels = head.labels if head else ()
    return Teacher("earmark", file, rate, card.embedding, len(labels), analyse, labels)


def _labels_beside(file: Path, count: int) -> tuple[str, ...]:
    """The first list of that many lines beside a file: ``NAME.txt``, or of the part of its name before a hyphen."""
    for name in (f"{file.stem}.txt", f"{file.stem.split('-')[0]}-tags.txt"):
        beside = file.with_name(name)
        if beside.is_file():
            lines = [line.strip() for line in beside.read_text("utf-8", "replace").splitlines() if line.strip()]
            if len(lines) == count:
                return tuple(lines)
    return ()


KINDS: Mapping[str, Callable[[Path, bool], Teacher]] = {
    "won-fcn": _won_fcn,
    "won-crnn": _won_crnn,
    "won-musicnn": _won_musicnn,
    "musicnn": _musicnn,
    "vgg": _vgg,
    "efficientat-mn04": _efficientat_mn04,
    "yamnet": _yamnet,
    "earmark": _earmark,
}
"""Kinds of teachers and what loads one from its file."""


def load_teacher(kind: str, file: Path, *, mixed_precision: bool = False) -> Teacher:
    """The teacher of that kind with the weights of a file.

    Args:
        kind: A key of :data:`KINDS`.
        file: Its weights, as published.
        mixed_precision: Convolutions in bf16: about twice as fast where the processor has it, outputs within 1 %.

    Raises:
        UnknownName: There is no such kind.
        ModelError: The file is missing, damaged or of another kind.
        MissingExtra: What runs it is not installed.
    """
    if kind not in KINDS:
        raise UnknownName("kind of teacher", kind, KINDS)
    teacher = KINDS[kind](file, mixed_precision)
    if teacher.tags and not teacher.labels:
        teacher = replace(teacher, labels=_labels_beside(file, teacher.tags))
    return teacher
