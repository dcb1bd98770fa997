"""What a model makes of files, kept on disk by content and model, so that heads are trained in seconds.

A second run, another fold or another head decodes nothing. Kept are the embeddings of each clip (float32): a track of
three clips takes 6 KB with 512 dimensions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.cache import ArrayStore, check_space, content_hashes, keep_arrays, open_store
from earmark.engine.base import Alive, Engine, Task
from earmark.events import Steps
from earmark.inference.records import Failure
from earmark.inference.tagger import Tagger, load_model
from earmark.models.card import Card
from earmark.models.registry import sha256

__all__ = ["TrackEmbeddings", "embed_files"]

Array = NDArray[np.float32]

_CLIPS_BEFORE = 8  # a guess of the clips of a track, for the space that the cache will need


@dataclass(frozen=True, slots=True, eq=False)
class TrackEmbeddings:
    """One track: its content hash, and the embeddings of its clips (clips, dimensions) float32."""

    hash: str
    clips: Array


@dataclass(frozen=True, slots=True)
class EmbedClips(Task[Path, Array]):
    """Embeddings of the clips of a file.

    Attributes:
        folder: The model folder.
        card: The model's, perhaps with other clips than its folder says.
    """

    folder: Path
    card: Card

    def start(self, alive: Alive) -> Callable[[Path], Array]:
        """Load the model."""
        return replace(load_model(self.folder), card=self.card).embed_clips


def embed_files(tagger: Tagger, paths: Sequence[Path], engine: Engine) -> Steps[list[TrackEmbeddings | Failure]]:
    """Analyse files, each once and for all.

    Args:
        tagger: Whose embeddings.
        paths: The files.
        engine: That analyses them.

    Returns:
        (files,) in their order; a file that cannot be analysed is a :class:`Failure`.

    Raises:
        StorageError: The cache cannot be written, or its disk is too full: before anything is analysed.
        ModelError: The model takes no such files.
    """
    store = _store(tagger)
    check_space(len(paths) * tagger.card.embedding * 4 * _CLIPS_BEFORE)
    hashes = yield from content_hashes(paths, engine)
    files = {digest: path for digest, path in zip(hashes, paths, strict=True) if isinstance(digest, str)}
    task = EmbedClips(tagger.folder, tagger.card)
    failures = yield from keep_arrays(task, store, files, engine)

    def found(digest: str | Failure, path: Path) -> TrackEmbeddings | Failure:
        if isinstance(digest, Failure):
            return digest
        if digest in failures:
            return replace(failures[digest], path=str(path))
        return TrackEmbeddings(digest, np.asarray(store[digest]))

    return [found(digest, path) for digest, path in zip(hashes, paths, strict=True)]


def _store(tagger: Tagger) -> ArrayStore:
    """The store of embeddings of this very network, heard in this very way."""
    facts = {
        "network": tagger.card.files.get("model.onnx") or sha256(tagger.folder / "model.onnx"),
        "frontend": dataclasses.asdict(tagger.frontend),
        "clip": dataclasses.asdict(tagger.card.clip),
    }
    return open_store("embeddings", facts, "float32")
