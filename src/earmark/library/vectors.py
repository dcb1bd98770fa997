"""Nearest neighbours by the cosine of embeddings: exact, and by an index for a million and more."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.library.records import LibraryModel, direction
from earmark.library.store import Library

__all__ = ["INDEX_AFTER", "INDEX_FROM", "Vectors", "read_vectors"]

Array = NDArray[np.float32]
Rows = NDArray[np.int64]

INDEX_FROM = 500_000
"""From so many tracks on an approximate index answers, where the extra ``index`` is installed."""

INDEX_AFTER = 20
"""So many searches are exact before: making the index takes as long as hundreds of them."""

_BLOCK = 65_536  # rows compared at a time, so that a million take no second copy


@dataclass(slots=True, eq=False)
class Vectors:
    """Embeddings to search in.

    Attributes:
        audio: (n,) rows of the library's audio, ascending.
        matrix: (n, dimensions) float32, each row of length 1.
    """

    audio: Rows
    matrix: Array
    _index: Any = None
    _asked: int = 0

    def __len__(self) -> int:
        return len(self.audio)

    def row(self, audio: int) -> int | None:
        """Where an audio stands, or None."""
        row = int(np.searchsorted(self.audio, audio))
        return row if row < len(self.audio) and self.audio[row] == audio else None

    def nearest(self, query: Array, count: int) -> tuple[Rows, Array]:
        """The rows nearest to a vector, nearest first; ties go to the row that stands first.

        Args:
            query: (dimensions,) of any length.
            count: Rows at most.

        Returns:
            Row numbers, and distances: 1 - cosine, 0..2.
        """
        count = min(count, len(self))
        target = direction(query)
        if not count:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        index = self._built()
        if index is not None:
            near, rows = index.search(target[None], count)
            found = rows[0] >= 0
            return rows[0][found].astype(np.int64), np.maximum(0, 1 - near[0][found])
        cosine = self.matrix @ target
        best = np.argpartition(-cosine, count - 1)[:count] if count < len(cosine) else np.arange(len(cosine))
        best = best[np.lexsort((best, -cosine[best]))]
        return best.astype(np.int64), np.maximum(0, 1 - cosine[best])

    def _built(self) -> Any:
        """The index, made when first needed; None for exact search."""
        self._asked += 1
        worth = len(self) >= INDEX_FROM and self._asked > INDEX_AFTER
        if self._index is None and worth and importlib.util.find_spec("faiss") is not None:
            self._index = _inverted_file(self.matrix)
        return self._index


def read_vectors(library: Library, model: LibraryModel) -> Vectors:
    """All songs that a model analysed and that are still there."""
    return Vectors(*library.embeddings(model))


def _inverted_file(matrix: Array) -> Any:
    """Inverted lists over 8-bit rows (Jegou et al. 2011), of which enough are visited to miss next to nothing."""
    import faiss

    lists = int(4 * np.sqrt(len(matrix)))
    quantizer = faiss.IndexFlatIP(matrix.shape[1])
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, matrix.shape[1], lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    sample = matrix[:: max(1, len(matrix) // (lists * 40))]
    index.train(np.ascontiguousarray(sample))
    for start in range(0, len(matrix), _BLOCK):
        index.add(matrix[start : start + _BLOCK])
    index.nprobe = max(16, lists // 16)
    return index
