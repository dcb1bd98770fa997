"""What became of one file: a :class:`Prediction`, or a :class:`Failure`. Facts only; needs no NumPy."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from earmark.analyses.facts import Feature, untold
from earmark.errors import NO_MUSIC, TOO_SHORT, AudioError, FailureKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earmark.recipe import Task

__all__ = [
    "ClipEmbeddings",
    "Failure",
    "HeadPrediction",
    "Neighbour",
    "Prediction",
    "Reason",
    "Taggram",
    "is_song",
    "path_fields",
]


@dataclass(frozen=True, slots=True)
class Taggram:
    """Scores of one head over time: ``scores[label][i]`` holds from ``start[i]`` to ``end[i]`` seconds."""

    start: tuple[float, ...]
    end: tuple[float, ...]
    scores: Mapping[str, tuple[float, ...]]

    def to_dict(self) -> dict[str, Any]:
        """The taggram as it stands in a record."""
        return {
            "start": list(self.start),
            "end": list(self.end),
            "scores": {label: list(values) for label, values in self.scores.items()},
        }


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training track near to what was analysed.

    Attributes:
        labels: What it is to the head.
        distance: 1 - cosine of the embeddings, 0..2.
        name: Of the track, where the model folder has names; "" elsewhere.
    """

    labels: tuple[str, ...]
    distance: float
    name: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a record."""
        return {"labels": list(self.labels), "distance": self.distance} | ({"name": self.name} if self.name else {})


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a head names what it names, or guesses it.

    Attributes:
        name: What is explained: the label or node, the best of several labels, or the best guess.
        seconds: Start and end of the clip that speaks most for it.
        nearest: Training tracks that the head learned from, the nearest first.
    """

    name: str
    seconds: tuple[float, float]
    nearest: tuple[Neighbour, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a record."""
        nearest = [one.to_dict() for one in self.nearest]
        return {"name": self.name, "seconds": list(self.seconds), "nearest": nearest}


@dataclass(frozen=True, slots=True)
class HeadPrediction:
    """What one head says of one track.

    Attributes:
        task: ``multiclass``, ``multilabel`` or ``regression``.
        label: What a multiclass head names: its best label, or a name above that in its tree; None where the model is
            not sure, and for other tasks.
        confidence: Calibrated probability of what is named, else of the best label (multiclass).
        labels: Labels above their thresholds, best first (multilabel).
        scores: Calibrated probability of every label, in the head's order.
        guesses: Where a head with labels names none: the best ones with their probabilities.
        contradicted: Labels that other heads contradict: neither named nor guessed, whatever their scores.
        why: The reason for what is named or guessed, where asked for.
        value: The number of a regression head.
        taggram: Scores over time, where asked for.
    """

    task: Task
    label: str | None = None
    confidence: float | None = None
    labels: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    value: float | None = None
    taggram: Taggram | None = None
    guesses: tuple[tuple[str, float], ...] = ()
    why: Reason | None = None
    contradicted: frozenset[str] = frozenset()

    @property
    def best(self) -> str | None:
        """The label with the highest score, sure or not; None where there are no labels."""
        return max(self.scores, key=self.scores.__getitem__) if self.scores else None

    @property
    def main(self) -> str | None:
        """What is named first, else guessed first; None where there is neither."""
        named = (self.label,) if self.label is not None else self.labels
        return next(iter([*named, *(name for name, _ in self.guesses)]), None)

    def to_dict(self) -> dict[str, Any]:
        """The head as it stands in a record."""
        record: dict[str, Any] = {"task": self.task}
        if self.task == "multiclass":
            record |= {"label": self.label, "confidence": self.confidence, "scores": dict(self.scores)}
        elif self.task == "multilabel":
            record |= {"labels": list(self.labels), "scores": dict(self.scores)}
        else:
            record["value"] = self.value
        if self.guesses:
            record["guesses"] = [list(guess) for guess in self.guesses]
        if self.taggram is not None:
            record["taggram"] = self.taggram.to_dict()
        if self.why is not None:
            record["why"] = self.why.to_dict()
        return record


def is_song(warning: str | None) -> bool:
    """Whether the audio is music, as far as its warning tells (:data:`earmark.errors.NO_MUSIC`)."""
    return not set(NO_MUSIC) & set((warning or "").split("; "))


@dataclass(frozen=True, slots=True, eq=False)
class ClipEmbeddings:
    """The clips of a track that were analysed.

    Attributes:
        times: (clips, 2) float32, start and end in seconds.
        vectors: (clips, dimensions) float32.
    """

    times: NDArray[np.float32]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Prediction:
    """What a model says of one track.

    Attributes:
        path: The file, as given.
        seconds: Length of the track.
        model: ``name@version`` of the model.
        heads: One :class:`HeadPrediction` a head, by name.
        embedding: (dimensions,) float32, the mean over the clips.
        warning: One line, where the file was odd but could be analysed.
        clips: Embeddings of the clips, where asked for.
        content_hash: Of the decoded audio, where asked for.
        features: Tempo, key, loudness and further numbers, by name, where asked for.
        device: What the network ran on, ``cpu`` or ``cuda``.
    """

    path: str
    seconds: float
    model: str
    heads: Mapping[str, HeadPrediction]
    embedding: NDArray[np.float32] | None = None
    warning: str | None = None
    clips: ClipEmbeddings | None = None
    content_hash: str | None = None
    features: Mapping[str, Feature] = field(default_factory=dict)
    device: str = "cpu"

    @property
    def is_song(self) -> bool:
        """Whether the audio is music; see :func:`is_song`."""
        return is_song(self.warning)

    def settled(self) -> Prediction:
        """The prediction; that of what is no music, or too short to judge, has scores, but no label."""
        if self.is_song and TOO_SHORT not in (self.warning or "").split("; "):
            return self
        heads = {name: replace(head, label=None, labels=(), guesses=(), why=None) for name, head in self.heads.items()}
        return replace(self, heads=heads, features={name: untold(one) for name, one in self.features.items()})

    def __repr__(self) -> str:
        """Short: the best name or number of the first heads, with a question mark where the model is not sure."""
        words = []
        for name, head in self.heads.items():
            if head.task == "multiclass" and head.best is not None:
                words.append(f"{name}={head.best}{'' if head.label else '?'} {head.scores[head.best]:.0%}")
            elif head.value is not None:
                words.append(f"{name}={head.value:.2f}")
        return f"Prediction({self.path!r}, {self.seconds:.1f} s, {self.model}: {', '.join(words[:4]) or 'no labels'})"

    def to_dict(self) -> dict[str, Any]:
        """The record of ``tag -f json``."""
        record = {**path_fields(self.path), "seconds": round(self.seconds, 3), "model": self.model}
        if self.device != "cpu":  # whose scores may differ in the fourth decimal
            record["device"] = self.device
        if self.warning is not None:
            record["warning"] = self.warning
        record["heads"] = {name: head.to_dict() for name, head in self.heads.items()}
        if self.features:
            record["features"] = {name: feature.to_dict() for name, feature in self.features.items()}
        return record


@dataclass(frozen=True, slots=True)
class Failure:
    """A track that could not be analysed.

    Attributes:
        path: The file, as given.
        kind: One of :data:`earmark.errors.FAILURE_KINDS`.
        message: One line for people.
        index: Its place among the items of a map; None outside of one.
    """

    path: str
    kind: FailureKind
    message: str
    index: int | None = field(default=None, compare=False)

    @property
    def passing(self) -> bool:
        """Whether the machine or the model failed and not the file: another try may go well."""
        return self.kind in ("crash", "timeout", "io")

    @classmethod
    def of(cls, error: AudioError) -> Failure:
        """The value of an error."""
        return cls(error.path, error.kind, error.message)

    def to_dict(self) -> dict[str, Any]:
        """The record of ``tag -f json``."""
        return {**path_fields(self.path), "error": {"kind": self.kind, "message": self.message}}


def path_fields(path: str) -> dict[str, str]:
    r"""``path`` as text that is always valid UTF-8, and ``path_bytes`` (base64) where the name is not.

    Python holds the bytes of an undecodable name as surrogate escapes; they are written as ``\xNN``.
    """
    raw = os.fsencode(path)
    try:
        raw.decode("utf-8")
        return {"path": path}
    except UnicodeDecodeError:
        escaped = raw.decode("utf-8", "backslashreplace")
        return {"path": escaped, "path_bytes": base64.b64encode(raw).decode("ascii")}
