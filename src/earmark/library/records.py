"""What the library holds of a track and of a model, and scores as they are packed in the file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.inference.answers import answers
from earmark.inference.labels import relabel
from earmark.inference.options import LabelTable
from earmark.inference.records import ClipEmbeddings, HeadPrediction, Prediction
from earmark.models.card import Card, HeadCard
from earmark.recipe import ClipPlan

__all__ = [
    "STEPS",
    "UNVERIFIED",
    "Correction",
    "LibraryFacts",
    "LibraryModel",
    "LibraryTrack",
    "Listing",
    "Page",
    "corrected",
    "direction",
    "pack_scores",
    "unpack_scores",
]

Array = NDArray[np.float32]
Correction = str | tuple[str, ...]
"""What the user says of one head: a label, or all labels of a multi-label head."""

UNVERIFIED = "format-1:"
"""Begins the digest of a model that a library of format 1 knew by its card's bytes alone."""

STEPS = 10_000
"""Scores have four decimals."""

_MOST = 65_504.0  # of float16


@dataclass(frozen=True, slots=True)
class LibraryTrack:
    """One file of the library.

    Attributes:
        id: Its row.
        path: Absolute; undecodable bytes are surrogate escapes.
        size: Bytes, when it was opened last.
        modified: Nanoseconds since 1970, when it was opened last.
        audio: Row of its audio, which tracks of the same audio share; None where it could not be analysed.
        content_hash: The key of its audio (:mod:`earmark.audio.identity`); "" where it could not be analysed.
        seconds: Length; 0 where it could not be analysed.
        artist: By the file's own tags, as are title, album, year and genre (several joined by ``;``).
        error: Kind of failure, or None; beside ``audio``, why it could not be analysed again.
        message: Of the failure.
        vanished: Seconds since 1970 when it was first missed, or None while it is there.
        song: False for what is no music (silence, noise, speech, clicks), which has no labels and
            stands in no list of songs.
        number: Tells apart recordings that share a key.
        state: ``analyse`` where format 1 knew it by a hash that other files share: whose results it has, the next scan
            tells.
    """

    id: int
    path: str
    size: int
    modified: int
    audio: int | None
    content_hash: str
    seconds: float
    artist: str = ""
    title: str = ""
    album: str = ""
    year: str = ""
    genre: str = ""
    error: str | None = None
    message: str = ""
    vanished: float | None = None
    song: bool = True
    number: int = 1
    state: str = ""

    @property
    def recording(self) -> str:
        """What copies of a recording share with no other; "" where that is not known."""
        if not self.content_hash or self.state == "analyse":
            return ""
        return self.content_hash if self.number == 1 else f"{self.content_hash}.{self.number}"


@dataclass(frozen=True, slots=True)
class LibraryFacts:
    """What the library holds, in numbers.

    Attributes:
        tracks: Files that are there and were analysed.
        seconds: Their length in all.
        vanished: Files that are not there any more.
        copies: Files beyond the first of each recording.
        failures: Files that are there and could not be analysed.
        silent: Of the tracks, those that are no music.
    """

    tracks: int
    seconds: float
    vanished: int
    copies: int
    failures: int
    silent: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """Which tracks a list has, and in which order.

    Attributes:
        sort: ``path``, ``artist``, ``title``, ``album``, ``year``, ``length``, ``newest``; or ``given``: as the audio
            that the list is of. What has no such tag comes last.
        reverse: The last first.
        text: Only those with this in path, artist, title or album, without case.
        state: ``present`` (there and analysed), ``failed`` (there, but an analysis failed) or ``vanished``.
    """

    sort: str = "path"
    reverse: bool = False
    text: str = ""
    state: str = "present"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a long list of tracks.

    Attributes:
        tracks: In order.
        total: In the whole list.
        cursor: Where the next page begins; None at the end.
    """

    tracks: tuple[LibraryTrack, ...]
    total: int
    cursor: int | None


@dataclass(frozen=True, slots=True)
class LibraryModel:
    """One model that has analysed tracks of the library.

    Attributes:
        key: Its row.
        name: ``name@version``.
        digest: Of the whole model.
        layer: Whose output the embeddings are; "" is the network's own embedding.
        folder: Where it was seen last.
        dimensions: Of an embedding.
        heads: Its vocabularies.
        aliases: The user's own names of labels.
        backbone: Digest of what makes its embeddings; "" where it shares them with no other model.
        backbone_key: The backbone's row.
    """

    key: int
    name: str
    digest: str
    layer: str
    folder: str
    dimensions: int
    heads: tuple[HeadCard, ...]
    aliases: LabelTable = field(default_factory=dict)
    backbone: str = ""
    backbone_key: int = 0

    @classmethod
    def of(cls, folder: Path, card: Card, layer: str = "", aliases: LabelTable | None = None) -> LibraryModel:
        """The model in a folder, with a row yet to get."""
        facts = (0, card.id, card.digest, layer, str(folder.resolve()), card.embedding, card.heads, aliases or {})
        return cls(*facts, card.backbone_digest)

    def is_of(self, card: Card) -> bool:
        """Whether a card is this model's. Format 1 kept no digest to compare; name and vocabularies must do."""
        if card.id != self.name:
            return False
        if self.digest.startswith(UNVERIFIED):
            return vocabularies(card.heads) == vocabularies(self.heads)
        return card.digest == self.digest

    @property
    def title(self) -> str:
        """For people: its name, and the layer where that is not the usual one."""
        return f"{self.name} (layer {self.layer})" if self.layer else self.name

    @property
    def card(self) -> Card:
        """As much of the model's card as scores need."""
        name, _, version = self.name.partition("@")
        return Card(name, version, "", None, ClipPlan(), self.heads, self.dimensions)

    def head(self, name: str) -> HeadCard:
        """The head of that name (KeyError where there is none)."""
        return {head.name: head for head in self.heads}[name]

    def numbers(self) -> list[str]:
        """Names of the regression heads, in the order of a row of packed numbers."""
        return [head.name for head in self.heads if head.task == "regression"]

    def columns(self) -> dict[str, slice]:
        """Where each head with labels stands in a row of packed scores."""
        found, start = {}, 0
        for head in self.heads:
            if head.task != "regression":
                found[head.name] = slice(start, start + len(head.labels))
                start += len(head.labels)
        return found


def vocabularies(heads: Sequence[HeadCard]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, task and labels of each head: what packed scores depend on."""
    return [(head.name, head.task, head.labels) for head in heads]


_KEPT = ("name", "task", "labels", "threshold", "thresholds", "aliases", "parents", "also", "includes", "implies",
         "contradicts", "unverified")  # fmt: skip
_ALWAYS = 6
"""What the file holds of a head; a library that an older Earmark filled has the first six alone."""


def heads_to_json(heads: Sequence[HeadCard]) -> str:
    """The heads as the file holds them."""
    return json.dumps([{key: getattr(head, key) for key in _KEPT} for head in heads], ensure_ascii=False, default=dict)


def heads_from_json(text: str) -> tuple[HeadCard, ...]:
    """The other way round."""
    found = []
    for one in json.loads(text):
        facts: dict[str, Any] = {key: one[key] for key in _KEPT if key in one or key in _KEPT[:_ALWAYS]}
        facts |= {key: tuple(facts.get(key, ())) for key in ("labels", "also")}
        facts["aliases"] = {label: tuple(names) for label, names in one["aliases"].items()}
        found.append(HeadCard(**facts))
    return tuple(found)


def pack_scores(heads: Mapping[str, HeadPrediction], order: Sequence[HeadCard]) -> tuple[bytes, bytes]:
    """Scores of all labels of all heads as uint16 in 1/10,000, and the numbers of regression heads as float64."""
    scores = [heads[head.name].scores[label] for head in order if head.task != "regression" for label in head.labels]
    numbers = [heads[head.name].value or 0.0 for head in order if head.task == "regression"]
    steps = np.rint(np.asarray(scores, np.float64) * STEPS).astype("<u2")
    return steps.tobytes(), np.asarray(numbers, "<f8").tobytes()


def unpack_scores(scores: bytes, numbers: bytes, order: Sequence[HeadCard]) -> dict[str, HeadPrediction]:
    """The predictions of the heads, exactly as they were packed."""
    steps = (np.frombuffer(scores, "<u2") / STEPS).tolist()
    values = np.frombuffer(numbers, "<f8").tolist()
    found: dict[str, list[float]] = {}
    for head in order:
        if head.task == "regression":
            found[head.name] = [values.pop(0)]
        else:
            found[head.name], steps = steps[: len(head.labels)], steps[len(head.labels) :]
    return answers(order, found)


def corrected(prediction: Prediction, model: LibraryModel, corrections: Mapping[str, Correction]) -> Prediction:
    """The prediction in the user's names of labels, and with the user's corrections in place of the model's labels.

    Scores stay the model's; a corrected multi-class head has confidence 1.
    """
    prediction = relabel(prediction, model.card, model.aliases)
    heads = dict(prediction.heads)
    for name, label in corrections.items():
        if name not in heads:
            continue
        if isinstance(label, str):
            heads[name] = replace(heads[name], label=label, confidence=1.0, guesses=())
        else:
            heads[name] = replace(heads[name], labels=label, guesses=())
    return replace(prediction, heads=heads)


def direction(vectors: NDArray[np.floating]) -> Array:
    """Each row (or the one vector) scaled to length 1; zeros stay zeros."""
    rows = np.nan_to_num(np.asarray(vectors, np.float32), posinf=0.0, neginf=0.0)
    largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0)
    rows = np.asarray(
        rows / np.where(largest > 0, largest, 1), np.float32
    )  # so that squares neither overflow nor vanish
    length = np.sqrt(np.einsum("...i,...i->...", rows, rows))[..., None]
    return np.asarray(rows / np.where(length > 0, length, 1), np.float32)


def pack_clips(clips: ClipEmbeddings) -> tuple[bytes, bytes]:
    """Times as float32, and the clips' embeddings as float16."""
    vectors = np.clip(np.nan_to_num(clips.vectors), -_MOST, _MOST).astype("<f2")
    return clips.times.astype("<f4").tobytes(), vectors.tobytes()


def unpack_clips(times: bytes, vectors: bytes, kind: str) -> ClipEmbeddings:
    """The other way round: embeddings to within a thousandth; of the kind ``int8``, only their directions."""
    bounds = np.frombuffer(times, "<f4").reshape(-1, 2)
    rows = np.frombuffer(vectors, np.int8 if kind == "int8" else "<f2").reshape(len(bounds), -1)
    return ClipEmbeddings(np.asarray(bounds, np.float32), rows.astype(np.float32))
