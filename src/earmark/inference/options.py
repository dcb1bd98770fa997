"""How to analyse: facts that travel to the workers. Needs no NumPy."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from earmark.analyses.facts import choose

__all__ = ["HearingOptions", "LabelTable"]

LabelTable = Mapping[str, Mapping[str, str]]
"""By head: the model's name of a label -> the user's name."""


@dataclass(frozen=True, slots=True)
class HearingOptions:
    """How to analyse a track, and what to give of it.

    Attributes:
        excerpt: Seconds analysed of a track, spread over it; ``whole`` takes all; None as the model's card plans.
        taggram: Whether heads give scores over time too.
        embedding: Whether predictions carry the embedding.
        layer: The embedding is this layer of the network instead.
        labels: The user's own names of labels.
        timeout: Seconds without progress after which a worker is taken to hang.
        clips: Whether predictions carry the embedding of each clip too.
        content_hash: Whether predictions carry the hash of the audio, at next to no cost.
        why: Whether heads give the reason for what they name: seconds, and the nearest training tracks. Embeddings of
            a layer have none.
        longest: Seconds of audio; a longer track is refused (``timeout``).
        features: Names of features (:data:`earmark.analyses.facts.ANALYSES`) that predictions carry; ``"all"`` for all.
        known: Tracks with one of these hashes are not analysed: their predictions have no heads.
    """

    excerpt: float | Literal["whole"] | None = None
    taggram: bool = False
    embedding: bool = False
    layer: str | None = None
    labels: LabelTable = field(default_factory=dict)
    timeout: float = 120.0
    clips: bool = False
    content_hash: bool = False
    why: bool = False
    longest: float = math.inf
    features: Collection[str] = ()
    known: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what the command line refuses (ValueError, UnknownName)."""
        object.__setattr__(self, "features", choose(None if self.features == "all" else self.features))
        if self.excerpt is not None and self.excerpt != "whole" and not _positive(self.excerpt):
            raise ValueError(f"excerpt = {self.excerpt!r}: expected seconds above 0, 'whole' or None")
        if not _positive(self.timeout):
            raise ValueError(f"timeout = {self.timeout!r}: expected seconds above 0")


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf
