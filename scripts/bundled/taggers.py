"""What published taggers say of tracks: probabilities of the tags of three vocabularies, computed once.

Taggers of one vocabulary learned from the same annotations; those of two vocabularies are unrelated, and where they
agree a tag may serve as a label (see :mod:`scripts.bundled.agreement`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from earmark.audio.track import load as load_audio
from earmark.errors import AudioError
from earmark.events import Progress, Steps
from earmark.storage import write_file
from earmark.training.module import keep_freed_memory
from earmark.training.pretrained import load_pretrained, yamnet_classifier
from scripts.bundled import efficientat, musicnn
from scripts.bundled.teachers import load_teacher

__all__ = ["QUICK", "TAGGERS", "Source", "analysed", "labels_of", "load_tagger", "tag_probabilities"]

Array = NDArray[np.float32]
STUDIO_RATE, SECONDS, LEAST = 32000, 30.0, 8.0
"""Hz at which a track is read, its part that is analysed, and what is too short: a loop of three seconds, repeated to
what the networks take, is dance music to all of them."""
_NOTHING = -1.0  # in a table: looked at, and nothing to say
SAVE_EVERY = 25
"""Tracks between two writes of the table."""


class Source(NamedTuple):
    """A published tagger: kind of teacher, file below the folder of weights, and whose annotations it learned."""

    kind: str
    file: str
    vocabulary: str


TAGGERS: Mapping[str, Source] = {
    "mtat-fcn": Source("won-fcn", "won2020/mtat-fcn.pth", "MagnaTagATune"),
    "mtat-crnn": Source("won-crnn", "won2020/mtat-crnn.pth", "MagnaTagATune"),
    "mtt-musicnn": Source("musicnn", "musicnn/mtt-musicnn.safetensors", "MagnaTagATune"),
    "efficientat-mn04": Source("efficientat-mn04", "efficientat-mn04/mn04_as_mAP_432.pt", "AudioSet"),
    "yamnet": Source("yamnet", "yamnet/yamnet-float.tflite", "AudioSet"),
    "msd-fcn": Source("won-fcn", "won2020/msd-fcn.pth", "Million Song Dataset"),
    "msd-crnn": Source("won-crnn", "won2020/msd-crnn.pth", "Million Song Dataset"),
}
QUICK = tuple(name for name in TAGGERS if name != "mtt-musicnn")
"""Those that take a tenth of a second a track; musicnn takes half a second."""


def labels_of(name: str, weights: Path) -> tuple[str, ...]:
    """The tags of a tagger, in the order of its probabilities, as its makers write them."""
    kind, file, _ = TAGGERS[name]
    if kind == "efficientat-mn04":
        with (weights / file).with_name("class_labels_indices.csv").open(encoding="utf-8") as stream:
            return tuple(row["display_name"] for row in csv.DictReader(stream))
    if kind == "yamnet":  # its list lies in the other build of the same network, which is a zip as well
        with zipfile.ZipFile((weights / file).with_name("yamnet.tflite")) as archive:
            return tuple(archive.read("yamnet_label_list.txt").decode().split("\n")[:521])
    beside = (weights / file).with_name(f"{Path(file).stem.split('-')[0]}-tags.txt")
    return tuple(line for line in beside.read_text("utf-8").split("\n") if line)


def load_tagger(name: str, weights: Path) -> tuple[int, Callable[[Array], Array]]:
    """Sample rate, and what makes the mean probabilities (tags,) of a waveform (samples,)."""
    kind, file, _ = TAGGERS[name]
    teacher = load_teacher(kind, weights / file, mixed_precision=True)
    if teacher.tags:
        step = musicnn.FRAMES * musicnn.HOP
        thin = (lambda sound: _every_second(sound, step)) if kind == "musicnn" else (lambda sound: sound)
        return teacher.sample_rate, lambda sound: _sigmoid(teacher.analyse(thin(sound))[1])
    seconds, head = (10, _audioset_head) if kind == "efficientat-mn04" else (1, _yamnet_head)
    classify = head(weights / file)

    def probabilities(sound: Array) -> Array:
        series = teacher.analyse(sound)[0]
        windows = [series[start : start + seconds].mean(0) for start in range(0, len(series), seconds)]
        with torch.inference_mode():
            logits = classify(torch.from_numpy(np.stack(windows))).numpy()
        return np.asarray(_sigmoid(logits).mean(0), np.float32)

    return teacher.sample_rate, probabilities


def _sigmoid(logits: Array) -> Array:
    return np.asarray(torch.sigmoid(torch.from_numpy(logits)).numpy(), np.float32)


def _every_second(sound: Array, step: int) -> Array:
    """Patches 0, 2, 4, ...: half the time, and nearly the same mean."""
    return np.concatenate([sound[start : start + step] for start in range(0, max(1, len(sound) - step + 1), 2 * step)])


def _audioset_head(file: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    network = efficientat.EfficientAt()
    load_pretrained(network, file)
    return network.eval().classifier[2:]


def _yamnet_head(file: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    weight, bias = yamnet_classifier(file)
    return partial(torch.nn.functional.linear, weight=weight, bias=bias)


def tag_probabilities(
    paths: Sequence[Path], weights: Path, work: Path, names: Sequence[str] = tuple(TAGGERS)
) -> Steps[dict[str, Array]]:
    """What taggers say of the first half minute of each track; interrupted, it goes on.

    Args:
        paths: The tracks.
        weights: Folder of the published weights.
        work: Folder for the finished tables.
        names: Keys of :data:`TAGGERS`.

    Returns:
        By tagger, (tracks, tags) probabilities; NaN where a track cannot be read or is shorter than 8 s.
    """
    widths = {name: len(labels_of(name, weights)) for name in names}
    files = {name: weights / TAGGERS[name].file for name in names}
    return analysed(paths, "tags", widths, files, lambda name: load_tagger(name, weights), work)


def analysed(
    paths: Sequence[Path], what: str, widths: Mapping[str, int], weights: Mapping[str, Path],
    load: Callable[[str], tuple[int, Callable[[Array], Array]]], work: Path,
) -> Steps[dict[str, Array]]:  # fmt: skip
    """What networks make of the first half minute of each track; interrupted, it goes on.

    Args:
        paths: The tracks.
        what: Is made of them: begins the names of the finished tables.
        widths: By network, how many numbers it makes of a track.
        weights: By network, its file.
        load: By network, its sample rate and what makes the numbers of a waveform.
        work: Folder for the finished tables.

    Returns:
        By network, (tracks, numbers); NaN where a track cannot be read or is shorter than 8 s.
    """
    files = {name: work / f"{what}-{_digest(paths, file)}.npy" for name, file in weights.items()}
    found = {name: _read(files[name], len(paths), width) for name, width in widths.items()}
    missing = [row for row in range(len(paths)) if any(np.isnan(table[row, 0]) for table in found.values())]
    if missing:
        keep_freed_memory()
        networks = {name: load(name) for name in found}
    for done, row in enumerate(missing, 1):
        sounds = _sounds(paths[row], {rate for rate, _ in networks.values()})
        for name, (rate, analyse) in networks.items():
            if np.isnan(found[name][row, 0]):
                found[name][row] = analyse(sounds[rate]) if sounds else _NOTHING
        if done % SAVE_EVERY == 0 or done == len(missing):
            for name, file in files.items():
                _write(file, found[name])
        yield Progress(done, len(missing), "running the networks")
    return {
        name: np.where((table == _NOTHING).all(1, keepdims=True), np.float32(np.nan), table)
        for name, table in found.items()
    }


def _sounds(path: Path, rates: Collection[int]) -> dict[int, Array]:
    """By sample rate, the beginning of a track; empty where it cannot be read or is too short."""
    try:
        sound = load_audio(str(path), STUDIO_RATE, start=0.0, seconds=SECONDS)
    except AudioError:
        return {}
    if len(sound) < LEAST * STUDIO_RATE:
        return {}
    return {rate: soxr.resample(sound, STUDIO_RATE, rate, quality="HQ") for rate in rates}


def _digest(paths: Sequence[Path], weights: Path) -> str:
    """Names a network's table of these tracks by what decides it."""
    digest = hashlib.sha256(weights.read_bytes())
    for path in paths:
        digest.update(f"{path.resolve()}\n{path.stat().st_size}\n".encode())
    return digest.hexdigest()[:16]


def _read(file: Path, tracks: int, width: int) -> Array:
    if file.exists():
        table: Array = np.load(file, allow_pickle=False)
        if table.shape == (tracks, width):
            return table
    return np.full((tracks, width), np.nan, np.float32)


def _write(file: Path, table: Array) -> None:
    content = io.BytesIO()
    np.save(content, table)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, content.getvalue())
