"""Why a head says what it says: the seconds that speak most for it, and the nearest tracks that it learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.inference.records import HeadPrediction, Neighbour, Reason
from earmark.models.card import Card, HeadCard
from earmark.models.exemplars import exemplars_of, read_names

__all__ = ["TrainingTracks", "reason", "training_tracks"]

_NEAREST = 3


@dataclass(frozen=True, slots=True, eq=False)
class TrainingTracks:
    """What a model remembers of the tracks that it was trained on.

    Attributes:
        vectors: (tracks, dimensions) float32 of length 1.
        labels: By head, (tracks) the labels of each; empty where the head did not learn from it.
        names: (tracks) "" where the folder has none.
    """

    vectors: NDArray[np.float32]
    labels: Mapping[str, Sequence[tuple[str, ...]]]
    names: Sequence[str]

    def nearest(self, head: str, vector: NDArray[np.float32]) -> tuple[Neighbour, ...]:
        """The nearest tracks that a head learned from, to an embedding (dimensions,); the nearest first."""
        labels = self.labels.get(head, ())
        rows = np.asarray([row for row, names in enumerate(labels) if names], np.intp)
        distance = 1 - self.vectors[rows] @ _direction(vector)
        order = np.argsort(distance, kind="stable")[:_NEAREST]
        return tuple(
            Neighbour(labels[row], round(max(0.0, float(distance[place])), 4), self.names[row])
            for place, row in zip(order.tolist(), rows[order].tolist(), strict=True)
        )


def training_tracks(folder: Path, card: Card) -> TrainingTracks | None:
    """What the folder remembers; None where it remembers nothing.

    Raises:
        ModelError: It is damaged, or of another model.
    """
    if not (folder / "exemplars.npz").is_file():
        return None
    found = exemplars_of(folder, card)
    rows = np.flatnonzero(~found.valid)
    starts = np.searchsorted(found.track, rows)
    ends = np.searchsorted(found.track, rows, "right")
    clips = found.embedding.astype(np.float32)
    means = [clips[start:end].mean(axis=0) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    names = read_names(folder)
    labels = {}
    for head in card.heads:
        target = found.targets.get(head.name)
        if head.labels and target is not None:
            labels[head.name] = [_labels(head, target[row]) for row in rows.tolist()]
    vectors = np.stack(means) if means else np.zeros((0, card.embedding), np.float32)
    return TrainingTracks(_direction(vectors), labels, [names.get(str(found.hash[row]), "") for row in rows.tolist()])


def reason(
    head: HeadCard,
    found: HeadPrediction,
    clips: NDArray[np.float64],
    times: Sequence[tuple[float, float]],
    nearest: tuple[Neighbour, ...] = (),
) -> Reason | None:
    """The reason for what a head names first, or guesses; None where it does neither.

    Args:
        head: The head.
        found: What it says of the track.
        clips: (clips, labels) its probabilities.
        times: (clips) start and end in seconds.
        nearest: From :meth:`TrainingTracks.nearest`.
    """
    name = found.main
    if name is None or not head.labels:
        return None
    columns = clips[:, [head.labels.index(label) for label in head.below(name)]]
    value = columns.max(axis=1) if head.task == "multilabel" else columns.sum(axis=1)
    start, end = times[int(value.argmax())]
    return Reason(name, (round(start, 3), round(end, 3)), nearest)


def _labels(head: HeadCard, target: NDArray[np.float32]) -> tuple[str, ...]:
    """Labels of a track by what the folder remembers of it: an index, or a 1 a label."""
    if target.ndim:
        return tuple(label for label, given in zip(head.labels, target.tolist(), strict=True) if given == 1)
    return () if np.isnan(target) else (head.labels[int(target)],)


def _direction(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)
