"""What a student learns from, computed once: spectrograms of pieces of sound and what the teachers make of them.

The cache is a folder of shards, each some tens of pieces of one copy, written whole or not at all: an interrupted
run goes on where it stopped. Its name is the hash of everything that decides its content.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from earmark.audio.track import load as load_audio
from earmark.datasets.cache import check_space, storage_error
from earmark.errors import AudioError, ModelError, StorageError
from earmark.events import Progress, Steps
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram
from earmark.training.module import keep_freed_memory
from scripts.bundled.copies import Chances, changed
from scripts.bundled.teachers import Teacher, load_teacher

__all__ = [
    "MORE",
    "CacheDesign",
    "Piece",
    "StudentData",
    "cache_folder",
    "chosen",
    "columns",
    "estimated_bytes",
    "fill",
    "joined",
    "load",
    "partner",
]

Array = NDArray[np.float32]
STUDIO_RATE = 32000
"""Hz at which copies are made: the highest that any teacher takes."""
PIECES_A_SHARD = 48
MORE = -1
"""In place of the number of a copy: a sound that is none of the corpora's."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some seconds of a file.

    Attributes:
        path: The file.
        start: Where the piece begins, seconds.
        seconds: How long it is.
        pool: Only pieces of one pool are mixed with each other, so that a part kept for scoring stays unknown.
    """

    path: str
    start: float
    seconds: float
    pool: int = 0


@dataclass(frozen=True, slots=True)
class CacheDesign:
    """Everything that decides the content of a cache.

    Attributes:
        pieces: The sounds.
        teachers: By kind, the file of the weights.
        frontend: What the student sees.
        seed: Of the changes.
        chances: How often each change is made.
        mixed_precision: Teachers compute in bf16.
    """

    pieces: tuple[Piece, ...]
    teachers: Mapping[str, str]
    frontend: Frontend
    seed: int = 0
    chances: Chances = field(default_factory=Chances)
    mixed_precision: bool = True


@dataclass(frozen=True, slots=True)
class StudentData:
    """Sounds as a student gets them.

    Attributes:
        spectrograms: (frames, bands) float16, all pieces one after the other.
        series: (seconds, features) float16, the teachers side by side.
        tags: (pieces, tags) float16, logits of the teachers' tags.
        frames: Frames of each piece; 0 where it could not be read.
        seconds: Rows of ``series`` of each piece.
        piece: Index of each into :attr:`CacheDesign.pieces`.
        copy: Number of the copy of each, 0 unchanged; :data:`MORE` of sounds that join the corpora.
    """

    spectrograms: NDArray[np.float16]
    series: NDArray[np.float16]
    tags: NDArray[np.float16]
    frames: NDArray[np.int64]
    seconds: NDArray[np.int64]
    piece: NDArray[np.int64]
    copy: NDArray[np.int64]


def cache_folder(design: CacheDesign, root: Path) -> Path:
    """Where the cache of a design lies: a folder below ``root`` named after its hash."""
    facts = asdict(design) | {
        "teachers": {kind: _digest(Path(file)) for kind, file in sorted(design.teachers.items())},
        "pieces": [(p.path, p.start, p.seconds, p.pool) for p in design.pieces],
    }
    return root / hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _digest(file: Path) -> str:
    """SHA-256 of a file; of a model folder that of its card, which names the hashes of the rest."""
    file = file / "card.json" if file.is_dir() else file
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{file}: the teacher cannot be read: {error.strerror}") from error


def estimated_bytes(design: CacheDesign, copies: int, features: int) -> int:
    """About what a cache takes on disk, with five per cent for pieces that are slowed down."""
    seconds = sum(piece.seconds for piece in design.pieces)
    numbers = design.frontend.frames_per_second * design.frontend.bands + features
    return int(1.05 * 2 * seconds * numbers * copies)


def _shards(design: CacheDesign, copies: Sequence[int]) -> Iterator[tuple[int, int]]:
    for copy in copies:
        for shard in range(-(-len(design.pieces) // PIECES_A_SHARD)):
            yield copy, shard


def _shard_file(folder: Path, copy: int, shard: int) -> Path:
    return folder / f"copy{copy:02d}-{shard:04d}.npz"


def partner(design: CacheDesign, index: int, copy: int) -> tuple[int | None, np.random.Generator]:
    """The piece that a changed copy of another has mixed in, None for none, and what decides the further changes."""
    rng = np.random.default_rng([design.seed, copy, index])
    pool = [i for i, p in enumerate(design.pieces) if p.pool == design.pieces[index].pool]
    other = pool[int(rng.integers(len(pool)))]
    return (other if rng.random() < design.chances.mix else None), rng


class _Worker:
    """One process: its teachers, loaded once."""

    def __init__(self, design: CacheDesign, folder: Path) -> None:
        torch.set_num_threads(1)
        keep_freed_memory()
        self.design, self.folder = design, folder
        self.teachers: list[Teacher] = [
            load_teacher(kind, Path(file), mixed_precision=design.mixed_precision)
            for kind, file in sorted(design.teachers.items())
        ]

    def sound(self, index: int, copy: int) -> Array:
        """A piece at the studio's sample rate, changed unless the copy is 0."""
        piece = self.design.pieces[index]
        waveform = _read(piece)
        if copy == 0:
            return waveform
        other, (mixed, rng) = np.zeros(0, np.float32), partner(self.design, index, copy)
        if mixed is not None:
            with contextlib.suppress(AudioError):
                other = _read(self.design.pieces[mixed])
        sure = Chances(**(asdict(self.design.chances) | {"mix": 1.0}))
        return changed(waveform, other, STUDIO_RATE, rng, sure)

    def analyse(self, index: int, copy: int) -> tuple[Array, Array, Array] | None:
        """Spectrogram, series and tags of a piece; None where it cannot be read."""
        try:
            studio = self.sound(index, copy)
        except AudioError:
            return None
        rates = {STUDIO_RATE: studio}
        for rate in {self.design.frontend.sample_rate, *(t.sample_rate for t in self.teachers)} - {STUDIO_RATE}:
            rates[rate] = soxr.resample(studio, STUDIO_RATE, rate, quality="HQ")
        answers = [teacher.analyse(rates[teacher.sample_rate]) for teacher in self.teachers]
        rows = min(len(series) for series, _ in answers)
        series = np.concatenate([series[:rows] for series, _ in answers], 1)
        tags = np.concatenate([tags for _, tags in answers])
        return spectrogram(rates[self.design.frontend.sample_rate], self.design.frontend), series, tags

    def write(self, copy: int, shard: int) -> int:
        """Write one shard; the number of pieces that could not be read."""
        first = shard * PIECES_A_SHARD
        indices = range(first, min(first + PIECES_A_SHARD, len(self.design.pieces)))
        found = {index: self.analyse(index, copy) for index in indices}
        good = {index: answer for index, answer in found.items() if answer is not None}
        file = _shard_file(self.folder, copy, shard)
        part = file.with_suffix(f".{os.getpid()}.part")
        bands, features = self.design.frontend.bands, sum(t.features for t in self.teachers)
        arrays = {
            "spectrograms": _stack([a[0] for a in good.values()], bands),
            "series": _stack([a[1] for a in good.values()], features),
            "tags": _stack([a[2][None] for a in good.values()], sum(t.tags for t in self.teachers)),
            "frames": np.array([len(a[0]) for a in good.values()], np.int64),
            "seconds": np.array([len(a[1]) for a in good.values()], np.int64),
            "piece": np.array(list(good), np.int64),
            "copy": np.full(len(good), copy, np.int64),
        }
        with part.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        part.replace(file)
        return len(found) - len(good)


def _read(piece: Piece) -> Array:
    return load_audio(piece.path, STUDIO_RATE, start=piece.start, seconds=piece.seconds)


def _stack(arrays: Sequence[Array], width: int) -> NDArray[np.float16]:
    return np.concatenate([*arrays, np.zeros((0, width), np.float32)]).astype(np.float16)


@lru_cache(maxsize=1)
def _worker(facts: bytes) -> _Worker:
    design, folder = pickle.loads(facts)
    return _Worker(design, folder)


def _write(facts: bytes, copy: int, shard: int) -> int:
    """One shard in a process of its own, whose teachers stay loaded."""
    return _worker(facts).write(copy, shard)


def fill(design: CacheDesign, folder: Path, copies: Sequence[int], jobs: int = 1) -> Steps[None]:
    """Compute the shards that are missing.

    Args:
        design: What to compute.
        folder: Of :func:`cache_folder`.
        copies: Numbers of the copies; 0 is the unchanged sound.
        jobs: Processes.

    Yields:
        Progress after every shard, with the number of pieces that could not be read.

    Raises:
        StorageError: There is not enough space, or the folder cannot be written.
    """
    missing = [(c, s) for c, s in _shards(design, copies) if not _shard_file(folder, c, s).exists()]
    if not missing:
        return
    features = sum(load_teacher(kind, Path(file)).features for kind, file in design.teachers.items())
    shards = -(-len(design.pieces) // PIECES_A_SHARD)
    check_space(estimated_bytes(design, 1, features) * len(missing) // max(1, shards), folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    context = multiprocessing.get_context("spawn")
    facts = pickle.dumps((design, folder))
    with ProcessPoolExecutor(jobs, context) as pool:
        futures = [pool.submit(_write, facts, copy, shard) for copy, shard in missing]
        unreadable = 0
        for done, future in enumerate(as_completed(futures), 1):
            unreadable += future.result()
            yield Progress(done, len(missing), "running the teachers", "shards", {"unreadable": unreadable})


def load(design: CacheDesign, folder: Path, copies: Sequence[int]) -> StudentData:
    """Read the shards of some copies into memory.

    Raises:
        StorageError: A shard is missing or damaged.
    """
    parts: dict[str, list[NDArray[np.generic]]] = {name: [] for name in StudentData.__slots__}
    for copy, shard in _shards(design, copies):
        file = _shard_file(folder, copy, shard)
        try:
            with np.load(file, allow_pickle=False) as shard_arrays:
                for name, arrays in parts.items():
                    arrays.append(shard_arrays[name])
        except (OSError, ValueError, KeyError) as error:
            raise StorageError(
                f"{file}: the cache is incomplete or damaged; remove it and run again: {error}"
            ) from error
    return StudentData(**{name: np.concatenate(arrays) for name, arrays in parts.items()})


def joined(data: StudentData, more: StudentData) -> StudentData:
    """Sounds of the corpora and further ones behind them, which are marked :data:`MORE`."""
    offset = int(data.piece.max(initial=-1)) + 1
    more = replace(more, piece=more.piece + offset, copy=np.full_like(more.copy, MORE))
    return StudentData(
        **{name: np.concatenate([getattr(data, name), getattr(more, name)]) for name in StudentData.__slots__}
    )


def chosen(data: StudentData, which: NDArray[np.bool_]) -> StudentData:
    """Those of the sounds for which ``which`` (sounds,) is true."""
    frames, seconds = np.repeat(which, data.frames), np.repeat(which, data.seconds)
    rows = {"spectrograms": frames, "series": seconds}
    return StudentData(**{name: getattr(data, name)[rows.get(name, which)] for name in StudentData.__slots__})


def columns(data: StudentData, widths: Mapping[str, int], kinds: Sequence[str]) -> StudentData:
    """The same sounds with the series of some of the teachers.

    Args:
        data: Sounds.
        widths: By kind, the features of each teacher of ``data``, in their order.
        kinds: Those to keep.
    """
    kept = np.concatenate([np.full(width, kind in kinds) for kind, width in widths.items()])
    return data if kept.all() else replace(data, series=data.series[:, kept])
