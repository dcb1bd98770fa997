"""What a model says of itself: ``card.json``. Facts only; needs no NumPy."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earmark.errors import ModelError
from earmark.features.frontend import Frontend
from earmark.recipe import ClipPlan, Task

__all__ = ["FORMAT", "Card", "HeadCard", "read_card", "write_card"]

FORMAT = 1
"""The version of the folder's format. A reader refuses a greater one."""


@dataclass(frozen=True, slots=True)
class HeadCard:
    """One vocabulary of a model.

    Attributes:
        name: Also the name of the network's output.
        task: ``multiclass`` (softmax), ``multilabel`` (sigmoids) or ``regression``.
        labels: Display names in the order of the outputs; empty for a regression.
        temperature: Divides the outputs before softmax or sigmoid (Guo et al. 2017).
        threshold: Below this confidence a multiclass head is not sure and its label is null.
        thresholds: By label, from which probability a multi-label head names it (0.5 where not stated).
        aliases: By label, the names that corpora use for it, so that ``evaluate`` can match them.
    """

    name: str
    task: Task
    labels: tuple[str, ...] = ()
    temperature: float = 1.0
    threshold: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Card:
    """What a model says of itself.

    Attributes:
        name: Short name; ``name@version`` marks every prediction.
        version: Of the weights.
        backbone: Registry name of the network that the weights belong to.
        frontend: Waveform to spectrogram; ``None`` where the model was trained on images of unknown origin.
        clip: How a track becomes clips.
        heads: Vocabularies, in the order of the outputs.
        embedding: Number of dimensions.
        recipe: The recipe as it was used, to train on.
        data: What it was trained on, in words, a line a corpus.
        scores: Honest scores by head, as ``evaluate`` names them.
        licence: Of the weights.
        notes: Lines for people.
        files: SHA-256 of the folder's other files, by name, so that damage is seen.
        format: Version of the folder's format.
    """

    name: str
    version: str
    backbone: str
    frontend: Frontend | None
    clip: ClipPlan
    heads: tuple[HeadCard, ...]
    embedding: int
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    scores: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def id(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    def head(self, name: str) -> HeadCard:
        """The head of that name.

        Raises:
            KeyError: The model has no such head.
        """
        return {head.name: head for head in self.heads}[name]


def read_card(folder: Path) -> Card:
    """The card of a model folder.

    Raises:
        ModelError: No folder, no card, a damaged card, or a format newer than this Earmark knows.
    """
    file = folder / "card.json"
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such model folder; `earmark models` lists the ones there are")
    try:
        facts = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder}: not a model folder: card.json is missing") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: the card is damaged: {error}") from error
    version = facts.get("format") if isinstance(facts, dict) else None
    if not isinstance(version, int):
        raise ModelError(f"{file}: the card is damaged: no format number")
    if version > FORMAT:
        raise ModelError(f"{file}: format {version} is newer than this Earmark reads ({FORMAT}); update Earmark")
    try:
        return _card(facts)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ModelError(f"{file}: the card is damaged: {error}") from error


def write_card(card: Card, folder: Path) -> None:
    """Write ``card.json`` into the folder."""
    facts = {"format": card.format} | dataclasses.asdict(card)
    text = json.dumps(facts, indent=1, ensure_ascii=False, sort_keys=False)
    (folder / "card.json").write_text(text + "\n", "utf-8")


def _card(facts: dict[str, Any]) -> Card:
    facts = dict(facts)
    frontend = facts.pop("frontend")
    return Card(
        frontend=None if frontend is None else Frontend(**frontend),
        clip=ClipPlan(**facts.pop("clip")),
        heads=tuple(_head(head) for head in facts.pop("heads")),
        data=tuple(facts.pop("data")),
        notes=tuple(facts.pop("notes")),
        **facts,
    )


def _head(facts: dict[str, Any]) -> HeadCard:
    facts = dict(facts)
    aliases = {label: tuple(names) for label, names in facts.pop("aliases", {}).items()}
    return HeadCard(labels=tuple(facts.pop("labels")), aliases=aliases, **facts)
