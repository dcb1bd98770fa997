"""What a model makes of files, kept on disk by content and model, so that heads are trained in seconds.

A second run, another fold or another head decodes nothing. Kept are the embeddings of each clip (float32): a track of
three clips takes 6 KB with 512 dimensions.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.cache import ArrayStore, check_space, open_store
from earmark.datasets.contents import FileIndex
from earmark.errors import AudioError
from earmark.events import Progress, Steps
from earmark.inference.records import Failure
from earmark.inference.tagger import Tagger
from earmark.models.registry import sha256

__all__ = ["TrackEmbeddings", "embed_files"]

Array = NDArray[np.float32]

_CLIPS_BEFORE = 8  # a guess of the clips of a track, for the space that the cache will need


@dataclass(frozen=True, slots=True, eq=False)
class TrackEmbeddings:
    """One track: its content hash, and the embeddings of its clips (clips, dimensions) float32."""

    hash: str
    clips: Array


def embed_files(tagger: Tagger, paths: Sequence[Path]) -> Steps[list[TrackEmbeddings | Failure]]:
    """Analyse files on all cores, each once and for all.

    Args:
        tagger: Whose embeddings.
        paths: The files.

    Returns:
        (files,) in their order; a file that cannot be heard is a :class:`Failure`.

    Raises:
        StorageError: The cache cannot be written, or its disk is too full: before anything is heard.
        ModelError: The model takes no such files.
    """
    store, index = _store(tagger), FileIndex.open()
    check_space(len(paths) * tagger.card.embedding * 4 * _CLIPS_BEFORE)
    tagger.network  # noqa: B018  loaded here, not by all threads at once

    def embed(path: Path) -> TrackEmbeddings | Failure:
        try:
            digest = index.content_hash(path)
            return TrackEmbeddings(digest, np.asarray(store.get_or_put(digest, lambda: tagger.embed_clips(path))))
        except AudioError as error:
            return Failure.of(error)

    found: list[TrackEmbeddings | Failure] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for result in pool.map(embed, paths):
                found.append(result)
                yield Progress(len(found), len(paths), "computing features")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return found


def _store(tagger: Tagger) -> ArrayStore:
    """The store of embeddings of this very network, heard in this very way."""
    facts = {
        "network": tagger.card.files.get("model.onnx") or sha256(tagger.folder / "model.onnx"),
        "frontend": dataclasses.asdict(tagger.frontend),
        "clip": dataclasses.asdict(tagger.card.clip),
    }
    return open_store("embeddings", facts, "float32")
