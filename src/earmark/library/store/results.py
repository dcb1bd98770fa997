"""What models say of the audio: scores, embeddings, and embeddings of clips."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.errors import StorageError, UnknownName
from earmark.inference.records import ClipEmbeddings, Failure, Prediction
from earmark.library.records import (
    Correction,
    LibraryModel,
    LibraryTrack,
    corrected,
    direction,
    heads_from_json,
    heads_to_json,
    pack_clips,
    pack_scores,
    unpack_clips,
    unpack_scores,
)
from earmark.library.store.groups import Groups
from earmark.library.store.tracks import Tracks
from earmark.models.card import HeadCard

__all__ = ["Results"]

Array = NDArray[np.float32]
Rows = NDArray[np.int64]

_MODEL = "SELECT id, name, digest, layer, folder, dimensions, heads, aliases FROM models"
_CHUNK = 16_384  # rows read at a time


class Results(Tracks, Groups):
    """The tables of models and their results."""

    def models(self) -> list[tuple[LibraryModel, int]]:
        """The models that analysed tracks which are still there, with how many; the one in use first.

        That is the one that analysed most of them, and among equals the one that was used last.
        """
        query = (
            "SELECT known.*, (SELECT COUNT(*) FROM tracks JOIN results ON results.audio = tracks.audio"
            " AND results.model = known.id WHERE vanished IS NULL) AS analysed, used"
            f" FROM ({_MODEL}) AS known JOIN models USING (id) ORDER BY analysed DESC, used DESC"
        )
        return [(_model(row), row[8]) for row in self.rows(query) if row[8]]

    def model(self, name: str | None = None) -> LibraryModel:
        """The model in use, or the one of that name (with or without its version).

        Raises:
            UnknownName: No such model analysed anything here.
            StorageError: The library is empty.
        """
        known = [_model(row) for row in self.rows(_MODEL)]
        if not known:
            raise StorageError(f"{self.file}: the library is empty; `earmark scan FOLDER` fills it")
        if len(known) > 1:  # counting takes a while in a large library
            known = [model for model, _ in self.models()] or known
        if name is None:
            return known[0]
        for model in known:
            if name in (model.name, model.shown, model.name.split("@")[0]):
                return model
        raise UnknownName("model of the library", name, [model.shown for model in known])

    def add_model(self, model: LibraryModel) -> LibraryModel:
        """The model with the row that it has, or gets; its folder and aliases are kept up to date. In a change."""
        fresh = (model.folder, json.dumps({head: dict(names) for head, names in model.aliases.items()}), time.time())
        self.rows(
            "INSERT INTO models (name, digest, layer, dimensions, heads, folder, aliases, used)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name, digest, layer) DO UPDATE"
            " SET folder = excluded.folder, aliases = excluded.aliases, used = excluded.used",
            (model.name, model.digest, model.layer, model.dimensions, heads_to_json(model.heads), *fresh),
        )
        query = f"{_MODEL} WHERE name = ? AND digest = ? AND layer = ?"
        return _model(self.row(query, (model.name, model.digest, model.layer)))

    def add_result(self, model: LibraryModel, prediction: Prediction) -> int:
        """Keep what a model said of one audio, in place of what it said before, and return the audio's row.

        The prediction must carry ``content_hash`` and ``embedding``. In a change.
        """
        audio = self.add_audio(prediction.content_hash or "", prediction.seconds)
        key = (model.key, audio)
        packed = pack_scores(prediction.heads, model.heads)
        values = (*key, *packed, prediction.warning, time.time())
        self.rows("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)", values)
        if prediction.embedding is not None:
            vector = direction(prediction.embedding).astype("<f2").tobytes()
            self.rows("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", (*key, vector))
        if prediction.clips is not None:
            self.rows("INSERT OR REPLACE INTO clips VALUES (?, ?, ?, ?)", (*key, *pack_clips(prediction.clips)))
        return audio

    def predictions(
        self, model: LibraryModel, tracks: Sequence[LibraryTrack] | None = None
    ) -> Iterator[tuple[LibraryTrack, Prediction | Failure]]:
        """What is known of tracks (all that are there where None), in their order.

        Labels are the user's: renamed as ``scan --labels`` asked, and corrected by ``review``. Tracks that this model
        has not analysed are left out.
        """
        corrections = self.labels()
        for track in self.tracks(vanished=False) if tracks is None else tracks:
            if track.audio is None:
                yield track, Failure(track.path, track.error or "io", track.message)  # type: ignore[arg-type]
                continue
            prediction = self.prediction(model, track, corrections.get(track.audio, {}))
            if prediction is not None:
                yield track, prediction

    def prediction(
        self, model: LibraryModel, track: LibraryTrack, corrections: Mapping[str, Correction] | None = None
    ) -> Prediction | None:
        """What the model said of a track, with the user's corrections; None where it has not analysed it."""
        query = "SELECT scores, numbers, warning FROM results WHERE model = ? AND audio = ?"
        row = self.row(query, (model.key, track.audio))
        if row is None:
            return None
        heads = unpack_scores(row[0], row[1], model.heads)
        plain = Prediction(track.path, track.seconds, model.name, heads, warning=row[2])
        return corrected(plain, model, corrections or {})

    def scores(self, model: LibraryModel, head: HeadCard) -> tuple[Rows, Array]:
        """All audio analysed: its rows (n,) ascending, and one head's scores (n, labels), as the model gave them."""
        columns = model.columns()[head.name]
        part = f"substr(scores, {2 * columns.start + 1}, {2 * len(head.labels)})"
        query = f"SELECT audio, {part} FROM results WHERE model = ?"
        audio, steps = self._matrix(query, model, len(head.labels), "<u2")
        return audio, steps / np.float32(10_000)

    def numbers(self, model: LibraryModel, head: HeadCard) -> tuple[Rows, Array]:
        """All audio analysed: its rows (n,) ascending, and one regression head's number (n,) of each."""
        names = [one.name for one in model.heads if one.task == "regression"]
        part = f"substr(numbers, {8 * names.index(head.name) + 1}, 8)"
        audio, values = self._matrix(f"SELECT audio, {part} FROM results WHERE model = ?", model, 1, "<f8")
        return audio, values[:, 0]

    def sample_scores(self, model: LibraryModel, count: int) -> Array:
        """Scores of about ``count`` tracks spread over the library, (n, labels of all heads); see ``columns``."""
        total = self.value("SELECT COALESCE(MAX(id), 0) FROM audio")
        step = max(1, total // count)
        # Looked up one by one: no walk through all of a large library.
        spread = json.dumps(list(range(step, total + 1, step)))
        query = "SELECT scores FROM results WHERE model = ? AND audio IN (SELECT value FROM json_each(?))"
        packed = [row[0] for row in self.rows(query, (model.key, spread))]
        steps = np.frombuffer(b"".join(packed), "<u2").reshape(len(packed), -1)
        return np.asarray(steps / np.float32(10_000), np.float32)

    def embeddings(self, model: LibraryModel) -> tuple[Rows, Array]:
        """All audio that is still there: its rows (n,) ascending, and embeddings (n, dimensions) of length 1."""
        there = ""
        if self.row("SELECT 1 FROM tracks WHERE vanished IS NOT NULL LIMIT 1") is not None:
            there = " AND audio IN (SELECT audio FROM tracks WHERE vanished IS NULL)"
        query = f"SELECT audio, vector FROM embeddings WHERE model = ?{there}"
        return self._matrix(query, model, model.dimensions, "<f2")

    def embedding(self, model: LibraryModel, audio: int) -> Array | None:
        """The embedding of one audio, (dimensions,) of length 1; None where the model has not analysed it."""
        packed = self.value("SELECT vector FROM embeddings WHERE model = ? AND audio = ?", (model.key, audio))
        return None if packed is None else direction(np.frombuffer(packed, "<f2").astype(np.float32))

    def clips(self, model: LibraryModel, audio: Iterable[int]) -> dict[int, ClipEmbeddings]:
        """The clips that were analysed of some audio."""
        query = "SELECT times, vectors FROM clips WHERE model = ? AND audio = ?"
        rows = ((one, self.row(query, (model.key, one))) for one in map(int, audio))
        return {one: unpack_clips(*row) for one, row in rows if row is not None}

    def _matrix(self, query: str, model: LibraryModel, width: int, kind: str) -> tuple[Rows, Array]:
        count = self.value("SELECT COALESCE(MAX(id), 0) FROM audio")  # at most; costs nothing to ask
        keys, rows, done = np.empty(count, np.int64), np.empty((count, width), np.float32), 0
        with self.guarded():
            cursor = self.db.execute(f"{query} ORDER BY audio", (model.key,))
            while chunk := cursor.fetchmany(_CHUNK):
                end = done + len(chunk)
                keys[done:end] = [row[0] for row in chunk]
                rows[done:end] = np.frombuffer(b"".join(row[1] for row in chunk), kind).reshape(-1, width)
                done = end
        return keys[:done], rows[:done]


def _model(row: Sequence[Any]) -> LibraryModel:
    key, name, digest, layer, folder, dimensions, heads, aliases = row[:8]
    return LibraryModel(key, name, digest, layer, folder, dimensions, heads_from_json(heads), json.loads(aliases))
