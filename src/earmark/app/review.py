"""Review: the tracks that the model most needs help with, and the corrections that people make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from earmark.app.library import LibraryRequest, chosen_model, opened
from earmark.errors import EarmarkError
from earmark.events import Steps, use_case

if TYPE_CHECKING:
    from earmark.library.review import Question

__all__ = ["CorrectRequest", "Review", "ReviewRequest", "correct", "review"]


@dataclass(frozen=True, kw_only=True)
class ReviewRequest(LibraryRequest):
    """What to ask about.

    Attributes:
        head: This head alone; all with one answer where None.
        count: Questions at most.
    """

    head: str | None = None
    count: int = 20


@dataclass(frozen=True)
class Review:
    """What to decide.

    Attributes:
        questions: The most useful first.
        corrections: Labels that people have given before.
    """

    questions: tuple[Question, ...]
    corrections: int


@dataclass(frozen=True, kw_only=True)
class CorrectRequest:
    """A person's own label of a track.

    Attributes:
        library: The library's file; the one in the user's data folder where None.
        path: The track.
        head: The head.
        label: Its label from now on.
    """

    library: str | None = None
    path: str
    head: str
    label: str


@use_case
def review(request: ReviewRequest) -> Steps[Review]:
    """Questions about tracks where the model contradicts the file, or is not sure."""
    from earmark.library.review import questions, reviewed_heads

    with opened(request.library) as library:
        model = yield from chosen_model(library, request.model)
        asked = questions(library, model, reviewed_heads(model, request.head), request.count)
        return Review(tuple(asked), sum(len(labels) for labels in library.labels().values()))


@use_case
def correct(request: CorrectRequest) -> Steps[None]:
    """Keep a correction at once.

    Raises:
        EarmarkError: The library does not hold the track, or it could not be analysed.
    """
    yield from ()
    with opened(request.library, write=True) as library:
        track = library.track(request.path)
        if track is None or track.audio is None:
            raise EarmarkError(f"{request.path}: is not in the library, or could not be analysed")
        library.set_label(track.audio, request.head, request.label)
