"""What a model folder remembers of its training: embeddings of some tracks a class, and of the validation tracks.

With them a class can be added later without the old audio, and measured what it costs; and a prediction can be
explained by the training tracks nearest to it. ``exemplars.npz`` names no track: it has a content hash each, so that a
song is not counted twice, and numbers in place of artists. Names stand beside it in ``names.tsv``, which nothing needs:
whoever gives a model away may delete it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError, StorageError
from earmark.models.card import Card
from earmark.models.network import read_npz
from earmark.storage import write_file

__all__ = ["Exemplars", "exemplars_of", "load_exemplars", "read_names", "write_names"]

_FILE = "exemplars.npz"
_TARGET = "target:"
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


def exemplars_of(folder: Path, card: Card) -> Exemplars:
    """What a model folder remembers, which fits its card.

    Raises:
        ModelError: It remembers nothing, the file is damaged, or it is of another model.
    """
    found = load_exemplars(folder)
    if found.embedding.shape[1] != card.embedding:
        raise ModelError(f"{folder}: exemplars.npz is of another network: train the model again")
    for head in card.heads:
        targets = found.targets.get(head.name)
        if targets is None:
            continue
        known, labels = targets[~np.isnan(targets)], len(head.labels)
        fits = targets.ndim == 1 and bool(np.isin(known, np.arange(labels)).all())
        if head.task == "multilabel":
            fits = targets.ndim == 2 and targets.shape[1] == labels and bool(np.isin(known, (0, 1)).all())
        if head.task != "regression" and not fits:
            raise ModelError(f"{folder}: exemplars.npz: its targets are not the labels of head {head.name!r}")
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


_NAMES = "names.tsv"


def write_names(folder: Path, names: Mapping[str, str]) -> None:
    """Write names of tracks by content hash into a model folder (StorageError where it cannot)."""
    lines = (f"{key}\t{' '.join(name.split())}\n" for key, name in names.items())
    text = "".join(["content_hash\tname\n", *lines])
    write_file(folder / _NAMES, text.encode("utf-8", "backslashreplace").decode("utf-8"))


def read_names(folder: Path) -> dict[str, str]:
    """Names of tracks by content hash, as far as the folder has some."""
    try:
        lines = (folder / _NAMES).read_text("utf-8", "replace").splitlines()[1:]
    except OSError:
        return {}
    return dict((key, name) for key, _, name in (line.partition("\t") for line in lines) if name)
