"""What a model remembers of its training: embeddings of some tracks a class, and of the validation tracks.

With them a class can be added later without the old audio, and measured what it costs. No track is named: a content
hash each, so that a song is not counted twice, and numbers in place of artists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset
from earmark.datasets.splits import Split
from earmark.errors import ModelError, StorageError
from earmark.models.network import read_npz

__all__ = ["PER_CLASS", "Exemplars", "choose_exemplars", "load_exemplars"]

PER_CLASS = 50
"""Training tracks kept a class."""

_FILE = "exemplars.npz"
_TARGET = "target:"
_QUANTILES = 5
_KINDS = {
    "embedding": ("f", (2,)),
    "track": ("iu", (1,)),
    "valid": ("b", (1,)),
    "group": ("iu", (1,)),
    "hash": ("U", (1,)),
}
"""Kinds of numbers and dimensions of each array; targets are floats."""


@dataclass(frozen=True, slots=True, eq=False)
class Exemplars:
    """Embeddings of tracks and what is true of them.

    Attributes:
        embedding: (clips, dimensions) float16.
        track: (clips,) row of the track that each clip is from, ascending.
        valid: (tracks,) False: of the training part; True: of the validation part.
        group: (tracks,) a number an artist (or album, or track).
        hash: (tracks,) content hashes.
        targets: By head, (tracks,) or (tracks, labels), as :meth:`earmark.datasets.Dataset.targets` gives them.
    """

    embedding: NDArray[np.float16]
    track: NDArray[np.int32]
    valid: NDArray[np.bool_]
    group: NDArray[np.int32]
    hash: NDArray[np.str_]
    targets: Mapping[str, NDArray[np.float32]]

    def save(self, folder: Path) -> None:
        """Write ``exemplars.npz`` into a model folder.

        Raises:
            StorageError: It cannot be written.
        """
        arrays = {name: getattr(self, name) for name in ("embedding", "track", "valid", "group", "hash")}
        arrays |= {f"{_TARGET}{head}": target for head, target in self.targets.items()}
        try:
            with (folder / _FILE).open("wb") as file:
                np.savez(file, **arrays)
        except OSError as error:
            raise StorageError(f"{folder / _FILE}: cannot be written: {error.strerror}") from error


def choose_exemplars(
    dataset: Dataset, split: Split, hashes: Sequence[str], embeddings: Sequence[NDArray[np.float32] | None], seed: int
) -> Exemplars:
    """Keep up to 50 training tracks a class of every head, and all validation tracks.

    Args:
        dataset: What was learned from.
        split: Its parts.
        hashes: (tracks,) content hashes.
        embeddings: (tracks,) of (clips, dimensions); None for a track that could not be analysed.
        seed: Which tracks of a large class are kept.
    """
    known = {row for row, embedding in enumerate(embeddings) if embedding is not None}
    train = np.array([row for row in split.train if int(row) in known], np.intp)
    order = np.random.default_rng([seed, 5]).permutation(train)
    kept: set[int] = set()
    for spec in dataset.heads:
        for members in _classes(dataset.targets(spec.name)):
            rows = [int(row) for row in order if members[row]]
            already = sum(row in kept for row in rows)
            kept.update([row for row in rows if row not in kept][: max(0, PER_CLASS - already)])
    chosen = [*sorted(kept), *(int(row) for row in split.valid if int(row) in known)]
    arrays = [_of(embeddings[row]) for row in chosen]
    names = {group: number for number, group in enumerate(dict.fromkeys(dataset.tracks[row].group for row in chosen))}
    return Exemplars(
        embedding=np.concatenate(arrays).astype(np.float16) if arrays else np.zeros((0, 0), np.float16),
        track=np.repeat(np.arange(len(chosen), dtype=np.int32), [len(array) for array in arrays]),
        valid=np.arange(len(chosen)) >= len(kept),
        group=np.array([names[dataset.tracks[row].group] for row in chosen], np.int32),
        hash=np.array([hashes[row] for row in chosen], np.str_),
        targets={spec.name: dataset.targets(spec.name)[chosen] for spec in dataset.heads},
    )


def load_exemplars(folder: Path) -> Exemplars:
    """What a model folder remembers.

    Raises:
        ModelError: It remembers nothing, or the file is damaged.
    """
    file = folder / _FILE
    if not file.is_file():
        raise ModelError(
            f"{folder}: the model keeps no exemplars.npz, so that nothing can be added to it; train it again"
        )
    named = read_npz(file)
    targets = {name.removeprefix(_TARGET): named.pop(name) for name in list(named) if name.startswith(_TARGET)}
    if set(named) != set(_KINDS):
        raise ModelError(f"{file}: damaged: its arrays are {', '.join(sorted(named)) or 'missing'}")
    for name, array in (named | targets).items():
        kind, dimensions = _KINDS.get(name, ("f", (1, 2)))
        if array.dtype.kind not in kind or array.ndim not in dimensions:
            raise ModelError(f"{file}: damaged: {name} is of the wrong kind ({array.dtype}, {array.shape})")
    found = Exemplars(targets=targets, **named)
    _check(file, found)
    return found


def _check(file: Path, found: Exemplars) -> None:
    """What arrays must be beside each other."""
    tracks, owner = len(found.valid), found.track.astype(np.int64)
    if len(found.embedding) != len(owner) or any(
        len(array) != tracks for array in (found.group, found.hash, *found.targets.values())
    ):
        raise ModelError(f"{file}: damaged: its arrays are of different lengths")
    if len(owner) and (owner[0] != 0 or owner[-1] != tracks - 1 or not np.isin(np.diff(owner), (0, 1)).all()):
        raise ModelError(f"{file}: damaged: track does not number its tracks in order")
    if not np.isfinite(found.embedding).all() or (tracks and int(found.group.min()) < 0):
        raise ModelError(f"{file}: damaged: a number in it makes no sense (NaN, or a negative group)")


def _classes(targets: NDArray[np.float32]) -> list[NDArray[np.bool_]]:
    """(tracks,) membership a class; a number's classes are its quintiles."""
    if targets.ndim == 2:
        return [column == 1 for column in targets.T]
    known = targets[~np.isnan(targets)]
    values = np.unique(known)
    if len(values) > _QUANTILES and np.any(values % 1):
        edges = np.quantile(known, np.arange(1, _QUANTILES) / _QUANTILES)
        place = np.where(np.isnan(targets), -1, np.searchsorted(edges, targets, "right"))
        return [place == i for i in range(_QUANTILES)]
    return [targets == value for value in values]


def _of(embedding: NDArray[np.float32] | None) -> NDArray[np.float32]:
    assert embedding is not None
    return embedding
