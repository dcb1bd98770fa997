"""What a file will say, by the prediction, what it says already and the policy; and what became of it.

Here are the facts that the writer is given and gives: predictions with their source, outcomes, and refusals.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from earmark.analyses.facts import Key, Loudness, Score, Tempo
from earmark.errors import EarmarkError
from earmark.filetags.fields import FIELDS, Values
from earmark.inference.records import HeadPrediction, Prediction, path_fields
from earmark.models.card import Card, HeadCard
from earmark.recipe import ClipPlan

__all__ = [
    "NEEDS",
    "FilePrediction",
    "KeyNotation",
    "Outcome",
    "Policy",
    "PredictionSource",
    "Refusal",
    "RefusalKind",
    "Status",
    "WriteOptions",
    "card_of",
    "field_of",
    "labels_to_write",
    "new_values",
]

Status = Literal["changed", "unchanged", "restored", "untouched", "skipped"]
RefusalKind = Literal[
    "missing", "permission", "locked", "changed", "links", "format", "audio", "journal", "not-in-library", "io"
]


class Refusal(EarmarkError):
    """A file that is left as it is: what stands in the way, in one word and in one line without the path."""

    def __init__(self, kind: RefusalKind, message: str) -> None:
        super().__init__(" ".join(message.split()))
        self.kind: RefusalKind = kind


@dataclass(frozen=True, slots=True)
class Outcome:
    """One file after a run.

    Attributes:
        path: The file, as given.
        status: ``changed`` and ``unchanged`` by writing, ``restored`` and ``untouched`` (nothing was left to restore)
            by an undo, ``skipped`` by either.
        changes: Before and after, by field.
        run: The run that made the change, where it was taken back.
        kind: Why it was skipped, in a word.
        message: And in a line.
    """

    path: str
    status: Status
    changes: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    run: str = ""
    kind: str = ""
    message: str = ""

    @classmethod
    def skipped(cls, path: str, refusal: Refusal, run: str = "") -> Outcome:
        """The value of a refusal."""
        return cls(path, "skipped", run=run, kind=refusal.kind, message=str(refusal))

    def to_dict(self) -> dict[str, Any]:
        """The record for machines; a skipped file has an ``error`` as everywhere."""
        record: dict[str, Any] = {**path_fields(self.path), "status": self.status}
        if self.run:
            record["run"] = self.run
        if self.changes:
            record["changes"] = {
                name: {"before": list(before), "after": list(after)} for name, (before, after) in self.changes.items()
            }
        if self.status == "skipped":
            record["error"] = {"kind": self.kind, "message": self.message}
        return record


@dataclass(frozen=True, slots=True)
class FilePrediction:
    """What is known of one file.

    Attributes:
        prediction: Of its audio.
        content: :func:`earmark.audio.identity.content_hash` of the audio that was analysed; "" where it is not known.
        size: Of the file when it was analysed, in bytes.
        modified: The time of its modification then, in nanoseconds.
    """

    prediction: Prediction
    content: str = ""
    size: int = -1
    modified: int = -1


class PredictionSource(Protocol):
    """Something that knows predictions: a library, or a list in a test."""

    @property
    def heads(self) -> Sequence[HeadCard]:
        """The heads of its model."""
        ...

    @property
    def total(self) -> int:
        """How many files it knows."""
        ...

    def predictions(self, paths: Iterable[str] | None) -> Iterator[FilePrediction | Outcome]:
        """One for each path, in their order, or for all that it knows; an Outcome where nothing is known of a file."""
        ...


def card_of(heads: Sequence[HeadCard]) -> Card:
    """A card that says as much as a list of labels needs to know."""
    return Card("library", "1", "", None, ClipPlan(), tuple(heads), 0)


Policy = Literal["empty", "merge", "overwrite"]
KeyNotation = Literal["musical", "camelot"]

NEEDS: Mapping[str, str] = {
    "genre": "", "mood": "", "bpm": "tempo", "key": "key", "replaygain": "loudness", "energy": "energy",
}  # fmt: skip
"""What can be written, and the feature (:data:`earmark.analyses.facts.ANALYSES`) that it needs; "" for labels."""

_FIELDS = {"genre": "genre", "subgenre": "genre", "style": "genre", "mood": "mood", "emotion": "mood"}
_LEAST = 0.01  # scores below are left out of the file
_MOST = 5  # labels of a multi-label head, where the user sets the threshold
_ENERGY = re.compile(r"\benergy:? *\d+\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What is written, and how.

    Attributes:
        policy: ``empty`` writes only into fields that are empty in every kind of tags of the file; ``merge`` adds to
            what is there; ``overwrite`` puts the prediction in its place.
        heads: Whose labels; each must have a field (:func:`field_of`).
        fields: What of :data:`NEEDS` is written. A field of one number or key is filled by ``merge`` as by ``empty``,
            and zero beats a minute are none. The energy stands in the comment, which ``empty`` writes only where there
            is none; the others put it beside what stands there, ``overwrite`` in place of an older energy.
        key_notation: ``musical`` (Am) or ``camelot`` (8A).
        min_confidence: Replaces the card's thresholds: the best label of a multiclass head, and at most five of a
            multi-label one that no other head contradicts, are written where their probability is not below; so are
            tempo and key. None keeps the card's.
        trees: By name, heads with a tree of labels, in the user's names: where the best label is not probable enough,
            the nearest name above it that is, is written.
        comment: Whether "genre / mood / energy" goes into the comment.
        keep_mtime: Whether the file keeps its time of modification; players and backups then see no change.
        follow_links: Whether a file is changed that a link out of ``roots`` leads to.
        roots: The folders that were scanned; empty where nobody knows.
    """

    policy: Policy = "empty"
    heads: tuple[str, ...] = ("genre", "mood")
    fields: tuple[str, ...] = ("genre", "mood")
    key_notation: KeyNotation = "musical"
    min_confidence: float | None = None
    trees: Mapping[str, HeadCard] = field(default_factory=dict)
    comment: bool = False
    keep_mtime: bool = False
    follow_links: bool = False
    roots: tuple[str, ...] = ()


def field_of(head: str) -> Literal["genre", "mood"]:
    """The field that a head's labels go into.

    Raises:
        EarmarkError: It has none.
    """
    name = head.casefold()
    field = _FIELDS.get(name) or _FIELDS.get(name.removesuffix("s"))
    if field is None:
        raise EarmarkError(
            f"the head {head!r} has no field that players read; genre, genres, style, mood, moods and emotions have one"
        )
    return "genre" if field == "genre" else "mood"


def new_values(prediction: Prediction, present: Values, options: WriteOptions) -> dict[str, tuple[str, ...]]:
    """What stands in the file's fields afterwards.

    Scores are written where a label is; by themselves only in place of older ones (``overwrite``). Silence and
    noise have no labels.
    """
    labels: dict[str, list[str]] = {"genre": [], "mood": []}
    for name in options.heads:
        if name in prediction.heads and prediction.is_song:
            labels[field_of(name)] += labels_to_write(
                prediction.heads[name], options.min_confidence, options.trees.get(name)
            )
    found = dict(present)
    for name, fresh in labels.items():
        if name in options.fields:
            found[name] = _value(present.get(name, ()), _without_repeats(fresh), options.policy)
    if options.comment:
        found["comment"] = _comment(present.get("comment", ()), _summary(labels, prediction), options.policy)
    fresh_labels = any(labels[name] for name in labels if name in options.fields)
    if any(found[name] != present.get(name, ()) for name in found) or (options.policy == "overwrite" and fresh_labels):
        found["scores"] = (_scores(prediction, options.heads),)
    for name, text in _measured(prediction, options).items():
        there = tuple(one for one in present.get(name, ()) if not (name == "bpm" and _is_zero(one)))
        found[name] = (text,) if not there or options.policy == "overwrite" else there
    energy = _energy(prediction)
    if "energy" in options.fields and energy is not None:
        found["comment"] = _with_energy(found.get("comment", ()), f"Energy {energy}", options.policy)
    return {name: found[name] for name in FIELDS if found.get(name)}


def _measured(prediction: Prediction, options: WriteOptions) -> dict[str, str]:
    """The texts of the fields that are measured, as far as they can be told."""
    least, found = options.min_confidence or 0.0, {}
    for name in options.fields:
        feature = prediction.features.get(NEEDS[name])
        if isinstance(feature, Tempo) and feature.value is not None and feature.confidence >= least:
            found["bpm"] = f"{feature.value:.1f}".removesuffix(".0")
        elif isinstance(feature, Key) and feature.confidence >= least:
            text = feature.camelot if options.key_notation == "camelot" else feature.musical
            found |= {"key": text} if text else {}
        elif isinstance(feature, Loudness) and feature.gain is not None and feature.true_peak is not None:
            found["replaygain_track_gain"] = f"{feature.gain:.2f} dB"
            found["replaygain_track_peak"] = f"{10 ** (feature.true_peak / 20):.6f}"
    return found


def _is_zero(text: str) -> bool:
    return not text.strip("0. ")


def labels_to_write(head: HeadPrediction, least: float | None, tree: HeadCard | None = None) -> list[str]:
    """The labels of one head that go into a file, by the model's own thresholds or by ``least``; see WriteOptions."""
    if least is None:
        return [head.label] if head.label else list(head.labels)
    if head.task == "multiclass" and tree is not None:
        from earmark.inference.answers import answer, probability

        card = replace(tree, labels=tuple(head.scores), threshold=least, thresholds={})
        sure = head.label in card.names and probability(card, head.scores, head.label) == 1
        if head.confidence != 1.0 or sure:  # else it is a correction, and stays
            found = answer(card, list(head.scores.values())).label
            return [found] if found is not None else []
    if head.task == "multiclass":
        best, score = (head.label, head.confidence) if head.label else (head.best, max(head.scores.values(), default=0))
        return [best] if best and (score or 0.0) >= least else []
    free = head.scores.keys() - (head.contradicted - {*head.labels})  # what the user says is contradicted by no head
    chosen = [label for label, score in _best_first(head) if score >= least and label in free]
    return [*dict.fromkeys((*(label for label in head.labels if label not in head.scores), *chosen))][:_MOST]


def _value(present: tuple[str, ...], fresh: tuple[str, ...], policy: Policy) -> tuple[str, ...]:
    if not fresh or (present and policy == "empty"):
        return present
    if not present or policy == "overwrite":
        return fresh
    known = {part.strip().casefold() for value in present for part in (value, *re.split(r"[;,/|]", value))}
    return present + tuple(label for label in fresh if label.casefold() not in known)


def _summary(labels: dict[str, list[str]], prediction: Prediction) -> str:
    """As in "Rock / happy / energy 7"."""
    parts = [", ".join(_without_repeats(labels[name])) for name in ("genre", "mood") if labels[name]]
    energy = _energy(prediction)
    if parts and energy is not None:
        parts.append(f"energy {energy}")
    return " / ".join(parts)


def _energy(prediction: Prediction) -> int | None:
    """From 1 to 10, as DJ programs count it; None where it is not known."""
    feature, head = prediction.features.get("energy"), prediction.heads.get("energy")
    if not prediction.is_song:
        return None
    value = feature.value if isinstance(feature, Score) else head.value if head is not None else None
    return None if value is None else min(10, max(1, round(value * 10)))


def _comment(present: tuple[str, ...], text: str, policy: Policy) -> tuple[str, ...]:
    """A comment is one text: what is added stands behind what is there."""
    if policy == "merge" and present and text:
        return present if any(text in old for old in present) else ("; ".join((*present, text)),)
    return _value(present, (text,) if text else (), policy)


def _with_energy(present: tuple[str, ...], text: str, policy: Policy) -> tuple[str, ...]:
    """A comment with an energy in it ("Energy 7", as the program Mixed In Key writes it)."""
    if not present:
        return (text,)
    if policy == "empty" or (policy == "merge" and any(_ENERGY.search(old) for old in present)):
        return present
    if any(_ENERGY.search(old) for old in present):
        return tuple(_ENERGY.sub(text, old) for old in present)
    return ("; ".join((*present, text)),)


def _without_repeats(labels: Iterable[str]) -> tuple[str, ...]:
    by_fold: dict[str, str] = {}
    for label in labels:
        by_fold.setdefault(label.casefold(), label)
    return tuple(by_fold.values())


def _scores(prediction: Prediction, heads: Sequence[str]) -> str:
    held = {
        name: {label: score for label, score in _best_first(prediction.heads[name]) if score >= _LEAST}
        for name in heads
        if name in prediction.heads
    }
    return json.dumps({"model": prediction.model, **held}, ensure_ascii=False, separators=(",", ":"))


def _best_first(head: HeadPrediction) -> list[tuple[str, float]]:
    return sorted(head.scores.items(), key=lambda pair: (-pair[1], pair[0]))
