"""What is made of the results and what the user says: corrections, clusters, places on the map, small facts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.library.records import Correction, LibraryModel
from earmark.library.store.file import LibraryFile

__all__ = ["Groups", "StoredCluster"]

Array = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class StoredCluster:
    """A cluster as it was made: its name, most telling labels, and centre (dimensions,)."""

    name: str
    tags: tuple[str, ...]
    center: Array


class Groups(LibraryFile):
    """The tables of corrections, clusters, places and facts."""

    def labels(self) -> dict[int, dict[str, Correction]]:
        """All corrections of the user's, by audio and head."""
        return _corrections(self.rows("SELECT audio, head, label FROM labels"))

    def labels_of(self, audio: Iterable[int]) -> dict[int, dict[str, Correction]]:
        """Corrections of some audio only."""
        query = "SELECT audio, head, label FROM labels WHERE audio = ?"
        return _corrections(row for one in audio for row in self.rows(query, (one,)))

    def set_label(self, audio: int, head: str, label: Correction) -> None:
        """Keep the user's correction of one head of one audio."""
        text = json.dumps(label, ensure_ascii=False)
        with self.change():
            self.rows("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)", (audio, head, text, time.time()))

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

    def cluster_names(self, model: LibraryModel) -> dict[int, str]:
        """The name of its cluster, by audio."""
        query = (
            "SELECT audio, name FROM members JOIN clusters ON clusters.model = members.model AND number = cluster"
            " WHERE members.model = ?"
        )
        return dict(self.rows(query, (model.key,)))

    # Places

    def places(self, model: LibraryModel) -> tuple[Rows, Array]:
        """The map: rows of audio (n,) ascending, and places (n, 2)."""
        rows = self.rows("SELECT audio, x, y FROM places WHERE model = ? ORDER BY audio", (model.key,))
        places = np.asarray([row[1:] for row in rows], np.float32).reshape(-1, 2)
        return np.asarray([row[0] for row in rows], np.int64), places

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
