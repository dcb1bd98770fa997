"""Where predictions come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from earmark.filetags.outcomes import Outcome
from earmark.inference.records import Prediction
from earmark.models.card import Card, HeadCard
from earmark.recipe import ClipPlan

__all__ = ["Known", "Source", "card_of"]


@dataclass(frozen=True, slots=True)
class Known:
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


class Source(Protocol):
    """Something that knows predictions: a library, or a list in a test."""

    @property
    def heads(self) -> Sequence[HeadCard]:
        """The heads of its model."""
        ...

    @property
    def total(self) -> int:
        """How many files it knows."""
        ...

    def predictions(self, paths: Iterable[str] | None) -> Iterator[Known | Outcome]:
        """One for each path, in their order, or for all that it knows; an Outcome where nothing is known of a file."""
        ...


def card_of(heads: Sequence[HeadCard]) -> Card:
    """A card that says as much as a list of labels needs to know."""
    return Card("library", "1", "", None, ClipPlan(), tuple(heads), 0)
