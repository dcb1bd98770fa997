"""Danceability, acousticness and speechiness from the embeddings of the bundled network.

Logistic regressions of what unrelated taggers agree on (``make estimates``); a track's number is the mean over its
clips. Their file says in its header of which network they are, and what they were made from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from earmark.analyses.facts import Score
from earmark.storage import write_file

__all__ = ["FILE", "Estimator", "estimates", "read_estimator", "write_estimator"]

FILE = Path(__file__).with_name("estimates.safetensors")
_DECIMALS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Estimator:
    """Logistic regressions of several features.

    Attributes:
        names: Of the features.
        weight: (features, dimensions).
        bias: (features,).
        facts: ``backbone``, the digest of the network whose embeddings these are; and where they come from.
    """

    names: tuple[str, ...]
    weight: NDArray[np.floating]
    bias: NDArray[np.floating]
    facts: Mapping[str, str]

    def __call__(self, vectors: NDArray[np.floating]) -> dict[str, Score]:
        """The features of a track by the embeddings of its clips (clips, dimensions), as a library stores them."""
        raw = vectors.astype(np.float16).astype(np.float64) @ self.weight.T + self.bias
        values = (0.5 * (1 + np.tanh(0.5 * raw))).mean(axis=0)
        return {
            name: Score(round(float(value), _DECIMALS), estimate=True)
            for name, value in zip(self.names, values, strict=True)
        }


def estimates(vectors: NDArray[np.floating], backbone: str) -> dict[str, Score]:
    """The features of a track that are estimated.

    Args:
        vectors: (clips, dimensions) embeddings of its clips.
        backbone: ``Card.backbone_digest`` of the network that made them; of another than the bundled one there are no
            estimates.

    Returns:
        By name, numbers from 0 to 1.
    """
    known = _bundled()
    return known(vectors) if len(vectors) and backbone == known.facts["backbone"] else {}


@cache
def _bundled() -> Estimator:
    return read_estimator(FILE)


def read_estimator(file: Path) -> Estimator:
    """From a file of :func:`write_estimator`."""
    with safe_open(str(file), "np") as stored:
        facts = json.loads(stored.metadata()["card"])
        weight, bias = (np.asarray(stored.get_tensor(name), np.float64) for name in ("weight", "bias"))
    return Estimator(tuple(facts.pop("features")), weight, bias, facts)


def write_estimator(file: Path, estimator: Estimator) -> None:
    """Into a file of some KB, float32; the same bytes each time (the order of several entries beside it is not)."""
    arrays = {"weight": estimator.weight.astype(np.float32), "bias": estimator.bias.astype(np.float32)}
    write_file(file, save(arrays, {"card": json.dumps({**estimator.facts, "features": estimator.names})}))
