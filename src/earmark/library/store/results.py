"""What models say of the audio, as scores and embeddings; and what is made of it: clusters, places on the map.

Beside them stand the user's corrections and small facts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.analyses.facts import ANALYSES, Feature, Score
from earmark.errors import StorageError, UnknownName
from earmark.inference.answers import has_number, numbers, on_scale, source
from earmark.inference.records import ClipEmbeddings, Failure, HeadPrediction, Prediction
from earmark.library.records import (
    STEPS,
    UNVERIFIED,
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
    vocabularies,
)
from earmark.library.store.features import Features
from earmark.library.store.file import LibraryFile
from earmark.library.store.tracks import LISTED, Tracks, listed
from earmark.models.card import HeadCard

__all__ = ["AllResults", "Groups", "Results", "StoredCluster"]

_MANY = 500  # predictions read at once
_KEPT_PREDICTIONS = 5_000  # of a snapshot, unpacked
_CHANGES = "changes of corrections"

Array = NDArray[np.float32]
Double = NDArray[np.float64]
Rows = NDArray[np.int64]
Steps = NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class AllResults:
    """What a model predicted of audio.

    Attributes:
        audio: (n,) rows, ascending.
        steps: (n, labels of all heads) scores in 1/10,000; see ``LibraryModel.columns``.
        numbers: (n, regression heads).
        newest: When the last of it was analysed, seconds since 1970.
    """

    audio: Rows
    steps: Steps
    numbers: Array
    newest: float


@dataclass(frozen=True, slots=True, eq=False)
class StoredCluster:
    """A cluster as it was made: its name, most telling labels, and centre (dimensions,)."""

    name: str
    tags: tuple[str, ...]
    center: Array


class Groups(LibraryFile):
    """The tables of corrections, clusters, places and facts."""

    def labels(self) -> Mapping[int, Mapping[str, Correction]]:
        """All corrections of the user's, by audio and head."""
        query = "SELECT audio, head, label FROM labels"
        return self.remember("labels", lambda: _corrections(self.rows(query)))

    def labels_of(self, audio: Iterable[int]) -> dict[int, dict[str, Correction]]:
        """Corrections of some audio only."""
        return _corrections(
            self.rows(f"SELECT audio, head, label FROM labels WHERE audio IN {LISTED}", (listed(audio),))
        )

    def correction(self, audio: int, head: str) -> Correction | None:
        """The user's correction of one head of one audio as it is in the file now, or None."""
        return self.labels_of([audio]).get(audio, {}).get(head)

    def count_corrections(self) -> int:
        """How many there are in the file now."""
        return int(self.value("SELECT COUNT(*) FROM labels"))

    def corrections_version(self) -> int:
        """How often corrections were changed."""
        return int(self.fact(_CHANGES) or 0)

    def set_label(self, audio: int, head: str, label: Correction | None) -> None:
        """Keep the user's correction of one head of one audio; None takes it back."""
        with self.change():
            if label is None:
                self.rows("DELETE FROM labels WHERE audio = ? AND head = ?", (audio, head))
            else:
                text = json.dumps(label, ensure_ascii=False)
                self.rows("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)", (audio, head, text, time.time()))
            self.set_fact(_CHANGES, self.corrections_version() + 1)

    def fact(self, name: str) -> Any:
        """A small fact that a verb has kept, or None."""
        text = self.value("SELECT value FROM facts WHERE name = ?", (name,))
        return None if text is None else json.loads(text)

    def set_fact(self, name: str, value: Any) -> None:
        """Keep a small fact; None forgets it. In a change."""
        if value is None:
            self.rows("DELETE FROM facts WHERE name = ?", (name,))
        else:
            self.rows("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))

    # Clusters

    def clusters(self, model: LibraryModel) -> list[StoredCluster]:
        """The clusters that were made, by number."""
        query = "SELECT name, tags, center FROM clusters WHERE model = ? ORDER BY number"
        return [
            StoredCluster(name, tuple(json.loads(tags)), np.frombuffer(center, "<f4").astype(np.float32))
            for name, tags, center in self.rows(query, (model.key,))
        ]

    def set_clusters(self, model: LibraryModel, clusters: Sequence[StoredCluster]) -> None:
        """Keep clusters in place of those that there were, as yet without members. In a change."""
        self.rows("DELETE FROM clusters WHERE model = ?", (model.key,))
        self.rows("DELETE FROM members WHERE model = ?", (model.key,))
        for number, one in enumerate(clusters):
            values = (number, one.name, json.dumps(one.tags, ensure_ascii=False), one.center.astype("<f4").tobytes())
            self.rows("INSERT INTO clusters VALUES (?, ?, ?, ?, ?)", (model.key, *values))

    def members(self, model: LibraryModel) -> dict[int, int]:
        """The number of its cluster, by audio."""
        return dict(self.rows("SELECT audio, cluster FROM members WHERE model = ?", (model.key,)))

    def add_members(self, model: LibraryModel, audio: Rows, near: NDArray[np.intp], *, joined: bool) -> None:
        """Put audio into clusters; ``joined`` is whether it came after they were made. In a change."""
        rows = ((model.key, *pair, int(joined)) for pair in zip(audio.tolist(), near.tolist(), strict=True))
        with self.guarded():
            self.db.executemany("INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?)", rows)

    def joined_members(self, model: LibraryModel) -> int:
        """How many tracks came after the clusters were made."""
        return int(self.value("SELECT COUNT(*) FROM members WHERE model = ? AND joined = 1", (model.key,)))

    def cluster_names(self, model: LibraryModel) -> Mapping[int, str]:
        """The name of its cluster, by audio."""
        return self.remember(("clusters", model.key), lambda: self._cluster_names(model))

    def _cluster_names(self, model: LibraryModel) -> dict[int, str]:
        query = (
            "SELECT audio, name FROM members JOIN clusters ON clusters.model = members.model AND number = cluster"
            " WHERE members.model = ?"
        )
        return dict(self.rows(query, (model.key,)))

    def clusters_state(self, model: LibraryModel) -> tuple[Any, ...]:
        """What changes where a song joins a cluster, or clusters are made; quick to ask for."""
        members = "SELECT COUNT(*), SUM(audio * (cluster + 1)) FROM members WHERE model = ?"
        names = "SELECT group_concat(name, char(10)) FROM clusters WHERE model = ?"
        return (*self.row(members, (model.key,)), self.value(names, (model.key,)))

    # Places

    def places(self, model: LibraryModel) -> tuple[Rows, Array]:
        """The map: rows of audio (n,) ascending, and places (n, 2)."""
        rows = self.rows("SELECT audio, x, y FROM places WHERE model = ? ORDER BY audio", (model.key,))
        places = np.asarray([row[1:] for row in rows], np.float32).reshape(-1, 2)
        return np.asarray([row[0] for row in rows], np.int64), places

    def place(self, model: LibraryModel, audio: int) -> tuple[float, float] | None:
        """The place of one audio on the map; None before it has one."""
        row = self.row("SELECT x, y FROM places WHERE model = ? AND audio = ?", (model.key, audio))
        return None if row is None else (round(row[0], 5), round(row[1], 5))

    def map_state(self, model: LibraryModel) -> tuple[Any, ...]:
        """What changes where the map or the clusters do; quick to ask for."""
        query = "SELECT COUNT(*), TOTAL(audio * x), TOTAL(audio * y) FROM places WHERE model = ?"
        places = self.remember(("map state", model.key), lambda: tuple(self.row(query, (model.key,))))
        return (*places, *self.remember(("clusters state", model.key), lambda: self.clusters_state(model)))

    def set_places(self, model: LibraryModel, audio: Rows, places: Array, *, joined: bool) -> None:
        """Keep places: new ones beside the others where ``joined``, and else in place of all. In a change."""
        if not joined:
            self.rows("DELETE FROM places WHERE model = ?", (model.key,))
        found = zip(audio.tolist(), np.round(places, 5).tolist(), strict=True)
        rows = ((model.key, one, x, y, int(joined)) for one, (x, y) in found)
        with self.guarded():
            self.db.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?)", rows)

    def joined_places(self, model: LibraryModel) -> int:
        """How many tracks were put in between since the map was made."""
        return int(self.value("SELECT COUNT(*) FROM places WHERE model = ? AND joined = 1", (model.key,)))


def _corrections(rows: Iterable[tuple[int, str, str]]) -> dict[int, dict[str, Correction]]:
    found: dict[int, dict[str, Correction]] = {}
    for audio, head, label in rows:
        word = json.loads(label)
        found.setdefault(audio, {})[head] = word if isinstance(word, str) else tuple(word)
    return found


_MODEL = (
    "SELECT models.id, name, models.digest, layer, folder, dimensions, heads, aliases, backbones.digest, backbone"
    " FROM models JOIN backbones ON backbones.id = backbone"
)
_CHUNK = 16_384  # rows read at a time


class Results(Tracks, Groups, Features):
    """The tables of models and their results."""

    def models(self) -> Sequence[tuple[LibraryModel, int]]:
        """The models that analysed tracks which are still there, with how many; the one in use first.

        That is the one that analysed most of them, and among equals the one that was used last.
        """
        return self.remember("models", self._models)

    def _models(self) -> list[tuple[LibraryModel, int]]:
        analysed = (
            "SELECT COUNT(*) FROM results JOIN tracks ON tracks.audio = results.audio"
            " WHERE results.model = models.id AND vanished IS NULL"
        )
        rows = self.rows(
            _MODEL.replace("FROM", f", ({analysed}) AS analysed FROM", 1) + " ORDER BY analysed DESC, used DESC"
        )
        return [(_model(row), row[10]) for row in rows if row[10]]

    def model(self, name: str | None = None) -> LibraryModel:
        """The model in use, or the one of that name (with or without its version).

        Raises:
            UnknownName: No such model analysed anything here.
            StorageError: The library is empty.
        """
        known = self._known_models()
        if not known:
            raise StorageError(f"{self.file}: the library is empty; `earmark scan FOLDER` fills it")
        if len(known) > 1:  # counting takes a while in a large library
            known = [model for model, _ in self.models()] or known
        if name is None:
            return known[0]
        for model in known:
            if name in (model.name, model.title, model.name.split("@")[0]):
                return model
        raise UnknownName("model of the library", name, [model.title for model in known])

    def has_several_models(self) -> bool:
        """Whether more than one model is known; quick to ask for."""
        return len(self._known_models()) > 1

    def _known_models(self) -> Sequence[LibraryModel]:
        return self.remember("known models", lambda: [_model(row) for row in self.rows(_MODEL)])

    def add_model(self, model: LibraryModel, *, in_use: bool = True) -> LibraryModel:
        """The model with the row that it has, or gets; its folder, heads and aliases are kept up to date. In a change.

        Without ``in_use`` the library keeps going by the model that it went by before.
        A model of the same name and vocabularies that format 1 left without a digest is taken to be this one.
        """
        backbone = self._add_backbone(model)
        key = self.value(
            "SELECT id FROM models WHERE name = ? AND digest = ? AND backbone = ?", (model.name, model.digest, backbone)
        )
        if key is None:
            key = self._adopted(model, backbone)
        aliases = json.dumps({head: dict(names) for head, names in model.aliases.items()})
        used = time.time() if in_use else 0.0
        values = (model.name, model.digest, backbone, model.folder, heads_to_json(model.heads), aliases, used)
        columns = ("name", "digest", "backbone", "folder", "heads", "aliases", "used")
        if key is None:
            query = f"INSERT INTO models ({', '.join(columns)}) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id"
            key = self.value(query, values)
        else:
            kept = len(columns) if in_use else -1
            names = ", ".join(f"{one} = ?" for one in columns[:kept])
            self.rows(f"UPDATE models SET {names} WHERE id = ?", (*values[:kept], key))
        return _model(self.row(f"{_MODEL} WHERE models.id = ?", (key,)))

    def _add_backbone(self, model: LibraryModel) -> int:
        values = (model.backbone or f"of {model.digest}", model.layer)
        self.rows(
            "INSERT OR IGNORE INTO backbones (digest, layer, dimensions) VALUES (?, ?, ?)", (*values, model.dimensions)
        )
        return int(self.value("SELECT id FROM backbones WHERE digest = ? AND layer = ?", values))

    def _adopted(self, model: LibraryModel, backbone: int) -> int | None:
        """The row of a model of format 1 that is this one, with its embeddings given to the backbone."""
        for row in self.rows(f"{_MODEL} WHERE name = ? ORDER BY used DESC", (model.name,)):
            old = _model(row)
            same = (old.layer, old.dimensions) == (model.layer, model.dimensions)
            if old.digest.startswith(UNVERIFIED) and same and vocabularies(old.heads) == vocabularies(model.heads):
                self.rows("UPDATE models SET backbone = ? WHERE id = ?", (backbone, old.key))
                for table in ("embeddings", "clips"):
                    values = (backbone, old.backbone_key)
                    self.rows(f"UPDATE OR IGNORE {table} SET backbone = ? WHERE backbone = ?", values)
                    self.rows(f"DELETE FROM {table} WHERE backbone = ?", (old.backbone_key,))
                self.rows("DELETE FROM backbones WHERE id = ?", (old.backbone_key,))
                return old.key
        return None

    def add_result(self, model: LibraryModel, prediction: Prediction, audio: int | None = None) -> int:
        """Keep what a model predicts of one audio, in place of what it predicted before, and return the audio's row.

        The prediction must carry ``content_hash``, unless the row is given. In a change.
        """
        if audio is None:
            audio = self.add_audio(prediction.content_hash or "", prediction.seconds, song=prediction.is_song)
        packed = pack_scores(prediction.heads, model.heads)
        values = (model.key, audio, *packed, prediction.warning, time.time())
        self.rows("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)", values)
        key = (model.backbone_key, audio)
        if prediction.embedding is not None:
            vector = direction(prediction.embedding).astype("<f2").tobytes()
            self.rows("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", (*key, vector))
        if prediction.clips is not None:
            query = "INSERT OR REPLACE INTO clips (backbone, audio, times, vectors) VALUES (?, ?, ?, ?)"
            self.rows(query, (*key, *pack_clips(prediction.clips)))
        if prediction.features:
            self.put_features(audio, self._shared(audio, model, prediction))
        return audio

    def _shared(self, audio: int, model: LibraryModel, prediction: Prediction) -> dict[str, Feature]:
        """A prediction's features as all models share them.

        A head's number is its model's alone; and a model that tells nothing of a feature leaves what another told.
        """
        known = self.features([audio]).get(audio, {}) if prediction.is_song else {}
        kept = {name for name, one in known.items() if ANALYSES[name].needs == "embedding" and one.number is not None}
        found = {
            name: ANALYSES[name].untold if has_number(model.heads, name) else one
            for name, one in prediction.features.items()
        }
        return {name: one for name, one in found.items() if one.number is not None or name not in kept}

    def unscored(self, model: LibraryModel) -> list[tuple[int, str | None]]:
        """Audio (rows, with its warning) of which the model's backbone has clips and the model no scores yet."""
        query = (
            "SELECT audio, (SELECT warning FROM results WHERE results.audio = clips.audio LIMIT 1) FROM clips"
            " WHERE backbone = ? AND kind = 'float16'"
            " AND audio NOT IN (SELECT audio FROM results WHERE model = ?) ORDER BY audio"
        )
        return self.rows(query, (model.backbone_key, model.key))

    def warnings(self, audio: Iterable[int]) -> dict[int, str]:
        """What is odd about some audio, where anything is."""
        query = f"audio IN {LISTED} AND model IN (SELECT id FROM models) AND warning IS NOT NULL"
        return dict(self.rows(f"SELECT audio, warning FROM results WHERE {query}", (listed(audio),)))

    def predictions(
        self, model: LibraryModel, tracks: Sequence[LibraryTrack] | None = None
    ) -> Iterator[tuple[LibraryTrack, Prediction | Failure]]:
        """What is known of tracks (all that are there where None), in their order.

        Labels are the user's: renamed as ``scan --labels`` asked, and corrected by ``review``. Tracks that this model
        has not analysed are left out.
        """
        corrections, asked = self.labels(), self.tracks(vanished=False) if tracks is None else tracks
        for start in range(0, len(asked), _MANY):
            part = asked[start : start + _MANY]
            audio = [track.audio for track in part if track.audio is not None]
            heads, features = self.heads_of(model, audio), self.features(audio)
            for track in part:
                if track.audio is None:
                    yield track, Failure(track.path, track.error or "io", track.message)  # type: ignore[arg-type]
                elif track.audio in heads:
                    known = corrections.get(track.audio)
                    yield track, _prediction(model, track, heads[track.audio], known, features.get(track.audio))

    def prediction(
        self, model: LibraryModel, track: LibraryTrack, corrections: Mapping[str, Correction] | None = None
    ) -> Prediction | None:
        """What the model predicted of a track, with the user's corrections; None where it has not analysed it."""
        heads = {} if track.audio is None else self.heads_of(model, [track.audio])
        if track.audio is None or track.audio not in heads:
            return None
        features = self.features([track.audio]).get(track.audio)
        return _prediction(model, track, heads[track.audio], corrections, features)

    def heads_of(
        self, model: LibraryModel, audio: Sequence[int]
    ) -> dict[int, tuple[Mapping[str, HeadPrediction], str | None]]:
        """What the model's heads said of some audio, and its warning; a snapshot keeps those that were asked for."""
        kept: dict[int, Any] | None = self.remembered(("predictions", model.key))
        # Another thread may clear them at any moment.
        found = {one: known for one in audio if (known := kept.get(one)) is not None} if kept else {}
        missing = [one for one in audio if one not in found]
        if missing:
            query = f"SELECT audio, scores, numbers, warning FROM results WHERE model = ? AND audio IN {LISTED}"
            for one, scores, numbers, warning in self.rows(query, (model.key, listed(missing))):
                found[one] = unpack_scores(scores, numbers, model.heads), warning
            if kept is not None:
                if len(kept) > _KEPT_PREDICTIONS:
                    kept.clear()
                kept.update(found)
        return found

    def steps(self, model: LibraryModel, head: HeadCard) -> tuple[Rows, Steps]:
        """All audio analysed: its rows (n,) ascending, and one head's scores (n, labels) in 1/10,000, as stored."""
        whole: AllResults | None = self.remembered(("results", model.key))
        if whole is not None:
            return whole.audio, whole.steps[:, model.columns()[head.name]]
        return self.remember(("steps", model.key, head.name), lambda: self._steps(model, head))

    def _steps(self, model: LibraryModel, head: HeadCard) -> tuple[Rows, Steps]:
        columns = model.columns()[head.name]
        part = f"substr(scores, {2 * columns.start + 1}, {2 * len(head.labels)})"
        query = f"SELECT audio, {part} FROM results WHERE model = ?"
        return self._matrix(query, model.key, len(head.labels), "<u2", np.uint16)

    def scores(self, model: LibraryModel, head: HeadCard) -> tuple[Rows, Array]:
        """All audio analysed: its rows (n,) ascending, and one head's scores (n, labels), as the model gave them."""
        audio, steps = self.steps(model, head)
        return audio, np.asarray(steps / np.float32(STEPS), np.float32)

    def all_results(self, model: LibraryModel, since: float = 0.0) -> AllResults:
        """What the model predicted of all audio, or of that which it has analysed since."""
        query = "SELECT audio, scores, numbers, analysed FROM results WHERE model = ? AND analysed >= ? ORDER BY audio"
        rows = self.rows(query, (model.key, since))
        audio = np.asarray([row[0] for row in rows], np.int64)
        steps = np.frombuffer(b"".join(row[1] for row in rows), "<u2").astype(np.uint16)
        numbers = np.frombuffer(b"".join(row[2] for row in rows), "<f8").astype(np.float32)
        width, count = sum(len(head.labels) for head in model.heads), len(model.numbers())
        newest = max((row[3] for row in rows), default=since)
        return AllResults(audio, steps.reshape(len(rows), width), numbers.reshape(len(rows), count), newest)

    def analysed(self, model: LibraryModel) -> Rows:
        """All audio that a model has analysed: its rows (n,) ascending."""
        query = "SELECT group_concat(audio, ' ') FROM (SELECT audio FROM results WHERE model = ? ORDER BY audio)"
        return self.remember(("analysed", model.key), lambda: self._numbered(query, model.key))

    def numbers(self, model: LibraryModel, head: HeadCard) -> tuple[Rows, Array]:
        """All audio analysed: its rows (n,) ascending, and one regression head's number (n,) of each."""
        place = model.numbers().index(head.name)
        whole: AllResults | None = self.remembered(("results", model.key))
        if whole is not None:
            return whole.audio, whole.numbers[:, place]
        part = f"substr(numbers, {8 * place + 1}, 8)"
        audio, values = self._matrix(f"SELECT audio, {part} FROM results WHERE model = ?", model.key, 1, "<f8")
        return audio, values[:, 0]

    def feature_numbers(self, model: LibraryModel, name: str) -> tuple[Rows, Double]:
        """A feature of all audio of which it is known: its rows (n,) ascending, and numbers (n,) to choose and sort by.

        Those that a head gives are known of all that the model has analysed. NaN stands for what cannot be told.
        """
        found = source(model.heads, name) if isinstance(ANALYSES[name].untold, Score) else None
        if found is None:
            return self.stored_numbers(name)
        head, label = found
        if label:
            audio, scores = self.scores(model, head)
            values = scores[:, head.labels.index(label)]
        else:
            audio, values = self.numbers(model, head)
            values = np.where(on_scale(values), np.clip(values, 0, 1), np.nan)
        silent = [row[0] for row in self.rows("SELECT id FROM audio WHERE song = 0")]
        return audio, np.where(np.isin(audio, silent), np.nan, values).astype(np.float64)

    def sample_steps(self, model: LibraryModel, count: int) -> Steps:
        """Scores of about ``count`` tracks spread over the library, (n, labels of all heads) in 1/10,000, as stored."""
        total = self.value("SELECT COALESCE(MAX(id), 0) FROM audio")
        step = max(1, total // count)
        # Looked up one by one: no walk through all of a large library.
        spread = json.dumps(list(range(step, total + 1, step)))
        query = f"SELECT scores FROM results WHERE model = ? AND audio IN {LISTED}"
        packed = [row[0] for row in self.rows(query, (model.key, spread))]
        steps = np.frombuffer(b"".join(packed), "<u2").astype(np.uint16)
        return steps.reshape(len(packed), sum(len(head.labels) for head in model.heads))

    def embeddings(self, model: LibraryModel) -> tuple[Rows, Array]:
        """All songs that are still there: audio (n,) ascending, and embeddings (n, dimensions) of length 1.

        Silence and noise are no songs; neither is what only another model of the same backbone has analysed.
        """
        query = f"SELECT audio, vector FROM embeddings WHERE {self._songs(model)}"
        return self.remember(
            ("embeddings", model.key), lambda: self._matrix(query, model.backbone_key, model.dimensions, "<f2")
        )

    def songs(self, model: LibraryModel) -> Rows:
        """The audio of :meth:`embeddings`, (n,) ascending."""
        order = f"SELECT audio FROM embeddings WHERE {self._songs(model)} ORDER BY audio"
        return self._numbered(f"SELECT group_concat(audio, ' ') FROM ({order})", model.backbone_key)

    def embeddings_of(self, model: LibraryModel, audio: Rows) -> tuple[Rows, Array]:
        """Embeddings of some audio: those that there are, (n,) ascending and (n, dimensions)."""
        query = f"SELECT audio, vector FROM embeddings WHERE backbone = ? AND audio IN {LISTED} ORDER BY audio"
        rows = self.rows(query, (model.backbone_key, listed(audio))) if len(audio) else []
        vectors = np.frombuffer(b"".join(row[1] for row in rows), "<f2").astype(np.float32)
        return np.asarray([row[0] for row in rows], np.int64), vectors.reshape(len(rows), model.dimensions)

    def embedding_blocks(self, model: LibraryModel, size: int) -> Iterator[tuple[Rows, NDArray[np.float16]]]:
        """All embeddings of a model's backbone, those of no songs too: audio ascending, and rows as they are stored."""
        query = "SELECT audio, vector FROM embeddings WHERE backbone = ? ORDER BY audio"
        with self.guarded():
            cursor = self.db.execute(query, (model.backbone_key,))
            while rows := cursor.fetchmany(size):
                vectors = np.frombuffer(b"".join(row[1] for row in rows), "<f2").reshape(len(rows), -1)
                yield np.asarray([row[0] for row in rows], np.int64), vectors

    def embeddings_at_most(self) -> int:
        """More embeddings than so many no backbone has; quick to ask for."""
        return int(self.value("SELECT COALESCE(MAX(id), 0) FROM audio"))

    def last_change(self, model: LibraryModel) -> tuple[int, int] | None:
        """The last change of embeddings of a model's backbone: its number, and its mark, which no other change has."""
        row = self.row(
            "SELECT id, mark FROM changes WHERE backbone = ? ORDER BY id DESC LIMIT 1", (model.backbone_key,)
        )
        return None if row is None else (row[0], row[1])

    def changed_since(self, model: LibraryModel, change: int, mark: int) -> Rows | None:
        """Audio whose embeddings have changed since a change, (n,) ascending; None where it is none of this library."""
        if self.value("SELECT mark FROM changes WHERE id = ? AND backbone = ?", (change, model.backbone_key)) != mark:
            return None
        query = "SELECT DISTINCT audio FROM changes WHERE id > ? AND backbone = ? ORDER BY audio"
        return np.asarray([row[0] for row in self.rows(query, (change, model.backbone_key))], np.int64)

    def forget_changes(self, model: LibraryModel, before: int) -> None:
        """Forget changes before that of a number, which no index needs any more. In a change."""
        self.rows("DELETE FROM changes WHERE backbone = ? AND id < ?", (model.backbone_key, before))

    def no_songs(self, model: LibraryModel) -> Rows:
        """Audio with embeddings that are not to be searched, (n,) ascending: see :meth:`embeddings`."""
        parts = [
            "SELECT id FROM audio WHERE song = 0",
            "SELECT audio FROM tracks AS gone INDEXED BY tracks_vanished WHERE vanished IS NOT NULL"
            " AND audio IS NOT NULL AND NOT EXISTS"
            " (SELECT 1 FROM tracks WHERE tracks.audio = gone.audio AND vanished IS NULL)",
        ]
        others = "SELECT id FROM models WHERE backbone = ?1 AND id <> ?2"
        if self.row(others, (model.backbone_key, model.key)):
            parts.append(
                f"SELECT audio FROM results WHERE model IN ({others}) AND audio NOT IN"
                " (SELECT audio FROM results WHERE model = ?2)"
            )
        rows = self.rows(" UNION ".join(parts) + " ORDER BY 1", (model.backbone_key, model.key)[: 2 * (len(parts) > 2)])
        return np.asarray([row[0] for row in rows], np.int64)

    def _songs(self, model: LibraryModel) -> str:
        where = "backbone = ?"
        if self.row("SELECT 1 FROM tracks WHERE vanished IS NOT NULL LIMIT 1"):
            where += " AND audio IN (SELECT audio FROM tracks WHERE vanished IS NULL)"
        if self.row("SELECT 1 FROM audio WHERE song = 0 LIMIT 1"):
            where += " AND audio NOT IN (SELECT id FROM audio WHERE song = 0)"
        if self.row("SELECT 1 FROM models WHERE backbone = ? AND id <> ?", (model.backbone_key, model.key)):
            where += f" AND audio IN (SELECT audio FROM results WHERE model = {int(model.key)})"
        return where

    def embedding(self, model: LibraryModel, audio: int) -> Array | None:
        """The embedding of one audio, (dimensions,) of length 1; None where the backbone has not met it."""
        query = "SELECT vector FROM embeddings WHERE backbone = ? AND audio = ?"
        packed = self.value(query, (model.backbone_key, audio))
        return None if packed is None else direction(np.frombuffer(packed, "<f2").astype(np.float32))

    def clips(self, model: LibraryModel, audio: Iterable[int], *, exact: bool = False) -> dict[int, ClipEmbeddings]:
        """The clips that were analysed of some audio; those of format 1 are directions only, left out if ``exact``."""
        query = f"SELECT audio, times, vectors, kind FROM clips WHERE backbone = ? AND audio IN {LISTED}"
        query += " AND kind = 'float16'" if exact else ""
        return {row[0]: unpack_clips(*row[1:]) for row in self.rows(query, (model.backbone_key, listed(audio)))}

    def _numbered(self, query: str, key: int) -> Rows:
        """Numbers that SQLite puts together as one text: no object for each of many."""
        return np.fromstring(self.value(query, (key,)) or "", np.int64, sep=" ")

    def _matrix(
        self, query: str, key: int, width: int, kind: str, dtype: type[np.number[Any]] = np.float32
    ) -> tuple[Rows, NDArray[Any]]:
        count = self.value("SELECT COALESCE(MAX(id), 0) FROM audio")  # at most; costs nothing to ask
        keys, rows, done = np.empty(count, np.int64), np.empty((count, width), dtype), 0
        with self.guarded():
            # What another process adds from now on has no room.
            cursor = self.db.execute(f"{query} AND audio <= {int(count)} ORDER BY audio", (key,))
            while chunk := cursor.fetchmany(_CHUNK):
                end = done + len(chunk)
                keys[done:end] = [row[0] for row in chunk]
                rows[done:end] = np.frombuffer(b"".join(row[1] for row in chunk), kind).reshape(-1, width)
                done = end
        return keys[:done], rows[:done]


def _prediction(
    model: LibraryModel,
    track: LibraryTrack,
    found: tuple[Mapping[str, HeadPrediction], str | None],
    corrections: Mapping[str, Correction] | None,
    features: Mapping[str, Feature] | None,
) -> Prediction:
    told = numbers(found[0], features or {})
    plain = Prediction(track.path, track.seconds, model.name, found[0], warning=found[1], features=told).settled()
    return corrected(plain, model, corrections or {})


def _model(row: Sequence[Any]) -> LibraryModel:
    key, name, digest, layer, folder, dimensions, heads, aliases, backbone, backbone_key = row[:10]
    found = (key, name, digest, layer, folder, dimensions, heads_from_json(heads), json.loads(aliases))
    return LibraryModel(*found, backbone, backbone_key)
