"""What the nodes of a small layer stand for: the labels that go with each, and the songs that excite it most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.core import Dataset

__all__ = ["Node", "explain_nodes"]

_LABELS, _SONGS = 3, 5


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a layer.

    Attributes:
        number: From 0.
        labels: ``HEAD: LABEL`` with its correlation to the node, strongest first.
        songs: Names of the songs that excite it most, with its value.
    """

    number: int
    labels: tuple[tuple[str, float], ...]
    songs: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"node": self.number, "labels": dict(self.labels), "songs": dict(self.songs)}


def explain_nodes(vectors: NDArray[np.float32], dataset: Dataset) -> tuple[Node, ...]:
    """Correlate every node with every label, over songs.

    Args:
        vectors: (tracks, nodes) the layer of each track; a row of NaN where it was not analysed.
        dataset: The tracks, with their labels.

    Returns:
        One a node; a node that never changes has no labels.
    """
    names, columns = _columns(dataset)
    nodes = []
    for number, values in enumerate(vectors.T.astype(np.float64)):
        related = [(name, _correlation(values, column)) for name, column in zip(names, columns, strict=True)]
        strongest = sorted((pair for pair in related if pair[1]), key=lambda pair: -abs(pair[1]))[:_LABELS]
        order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")[:_SONGS]
        songs = tuple(
            (dataset.tracks[int(row)].name, round(float(values[row]), 4)) for row in order if np.isfinite(values[row])
        )
        nodes.append(Node(number, tuple(strongest), songs))
    return tuple(nodes)


def _columns(dataset: Dataset) -> tuple[list[str], list[NDArray[np.float64]]]:
    """Every label as a column of numbers, NaN where a track is unlabelled."""
    names: list[str] = []
    columns: list[NDArray[np.float64]] = []
    for spec in dataset.heads:
        targets = dataset.targets(spec.name).astype(np.float64)
        if spec.task == "regression":
            names.append(spec.name)
            columns.append(targets)
            continue
        if spec.task == "multiclass":
            known = ~np.isnan(targets)[:, None]
            targets = np.where(known, targets[:, None] == np.arange(len(spec.labels)), np.nan)
        names += [f"{spec.name}: {label}" for label in spec.labels]
        columns += list(targets.T)
    return names, columns


def _correlation(values: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    """Pearson's, over tracks that are analysed and labelled; 0 where either never changes."""
    known = np.isfinite(values) & np.isfinite(labels)
    if known.sum() < 3 or np.ptp(values[known]) == 0 or np.ptp(labels[known]) == 0:
        return 0.0
    return round(float(np.corrcoef(values[known], labels[known])[0, 1]), 4)
