"""Features of the audio: tempo, key, loudness, and numbers that need no head of a model."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.analyses.facts import ANALYSES, Feature, feature_from
from earmark.library.store.file import LibraryFile
from earmark.library.store.tracks import LISTED, listed

__all__ = ["Features"]

_CHANGES = "changes of features"

Rows = NDArray[np.int64]
Double = NDArray[np.float64]


class Features(LibraryFile):
    """The table of features. Those of heads stand there without a value: each model's own numbers give it."""

    def features(self, audio: Iterable[int]) -> dict[int, dict[str, Feature]]:
        """What is stored of some audio, by name in the order of records; those of heads untold."""
        query = f"SELECT audio, name, facts FROM features WHERE audio IN {LISTED}"
        stored: dict[int, dict[str, str]] = {}
        for one, name, facts in self.rows(query, (listed(audio),)):
            stored.setdefault(one, {})[name] = facts
        return {
            one: {name: feature_from(name, json.loads(facts[name])) for name in ANALYSES if name in facts}
            for one, facts in stored.items()
        }

    def put_features(self, audio: int, features: Mapping[str, Feature]) -> None:
        """Keep features of one audio, in place of those of the same names. In a change."""
        rows = []
        for name, found in features.items():
            analysis = ANALYSES[name]
            kept = analysis.untold if analysis.needs == "heads" else found
            rows.append((audio, name, analysis.version, kept.number, json.dumps(kept.to_dict())))
        with self.guarded():
            self.db.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?, ?)", rows)
            query = "INSERT INTO facts VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1"
            self.db.execute(query, (_CHANGES,))

    def features_state(self) -> int:
        """What changes where features do; quick to ask for."""
        return int(self.value("SELECT value FROM facts WHERE name = ?", (_CHANGES,)) or 0)

    def stored_numbers(self, name: str) -> tuple[Rows, Double]:
        """A feature of all audio of which it is known: rows (n,) ascending, and numbers (n,), NaN for untold ones."""
        return self.remember(("feature", name), lambda: self._stored_numbers(name))

    def _stored_numbers(self, name: str) -> tuple[Rows, Double]:
        # Two texts, put together by SQLite: no object for each of many rows.
        each = "SELECT audio, COALESCE(value, 'nan') AS number FROM features WHERE name = ? ORDER BY audio"
        query = f"SELECT group_concat(audio, ' '), group_concat(number, ' ') FROM ({each})"
        audio, numbers = self.row(query, (name,))
        return np.fromstring(audio or "", np.int64, sep=" "), np.fromstring(numbers or "", np.float64, sep=" ")

    def lacking(self, names: Iterable[str], told: Collection[str] = ()) -> dict[int, tuple[str, ...]]:
        """Audio that is there and lacks some of these features, or has those of older versions: which, by its row.

        Of those that are ``told`` now, songs without a number lack them, too: they were scanned with another model.
        """
        found: dict[int, tuple[str, ...]] = {}
        there = self._listed("SELECT DISTINCT audio FROM tracks WHERE audio IS NOT NULL AND vanished IS NULL")
        for name in names:
            query = "SELECT audio FROM features WHERE name = ? AND version >= ?"
            if name in told:
                query += " AND (value IS NOT NULL OR audio IN (SELECT id FROM audio WHERE song = 0))"
            known = self._listed(query, (name, ANALYSES[name].version))
            for one in np.setdiff1d(there, known, assume_unique=True).tolist():
                found[one] = (*found.get(one, ()), name)
        return found

    def count_features(self) -> dict[str, int]:
        """Of how many tracks that are there each feature is told, by name; without those that no track has."""
        heads = json.dumps([name for name, analysis in ANALYSES.items() if analysis.needs == "heads"])
        query = (
            "SELECT name, COUNT(*) FROM features JOIN tracks ON tracks.audio = features.audio"
            f" WHERE vanished IS NULL AND (value IS NOT NULL OR name IN {LISTED}) GROUP BY name"
        )
        counts = self.remember("count of features", lambda: dict(self.rows(query, (heads,))))
        return {name: counts[name] for name in ANALYSES if name in counts}

    def _listed(self, query: str, values: tuple[Any, ...] = ()) -> Rows:
        """The numbers that a query gives, (n,)."""
        text = self.value(f"SELECT group_concat(audio, ' ') FROM ({query})", values)
        return np.fromstring(text or "", np.int64, sep=" ")
