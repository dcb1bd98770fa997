"""Review: the tracks that the model most needs help with, and the corrections that people make."""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING

from earmark.app.library import LibraryRequest, chosen_model, opened
from earmark.errors import EarmarkError, UnknownName
from earmark.events import Steps, use_case

if TYPE_CHECKING:
    from earmark.app.session import LibrarySession
    from earmark.library.records import Correction, LibraryModel
    from earmark.library.review import Question

__all__ = ["CorrectRequest", "Corrected", "Review", "ReviewRequest", "correct", "review"]


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
        heads: Names of the heads that can be asked about.
    """

    questions: tuple[Question, ...]
    corrections: int
    heads: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CorrectRequest:
    """A person's own label of a track.

    Attributes:
        library: The library's file; the one in the user's data folder where None.
        path: The track.
        head: The head.
        label: Its label from now on; its labels, where the head has several; None takes the correction back.
        expected: Where given: what the correction must be before (None: none), or nothing is changed.
    """

    library: str | None = None
    path: str
    head: str
    label: Correction | None
    expected: Correction | EllipsisType | None = ...


@dataclass(frozen=True)
class Corrected:
    """What became of a correction.

    Attributes:
        changed: False where it was not what was expected: then nothing is changed.
        previous: What it was before (or is).
        version: How often corrections were changed in this library.
    """

    changed: bool
    previous: Correction | None
    version: int


@use_case
def review(request: ReviewRequest, session: LibrarySession | None = None) -> Steps[Review]:
    """Questions about tracks where the model contradicts the file, or is not sure."""
    from earmark.library.review import questions, reviewed_heads

    with opened(request.library, session=session) as library:
        model = yield from chosen_model(library, request.model)
        asked = questions(library, model, reviewed_heads(model, request.head), request.count)
        heads = tuple(head.name for head in reviewed_heads(model))
        return Review(tuple(asked), library.count_corrections(), heads)


@use_case
def correct(request: CorrectRequest) -> Steps[Corrected]:
    """Keep a correction at once, or take it back.

    Raises:
        EarmarkError: The library does not hold the track, it could not be analysed, or the head takes no such label.
    """
    yield from ()
    with opened(request.library, write=True) as library:
        track = library.track(request.path)
        if track is None or track.audio is None:
            raise EarmarkError(f"{request.path}: is not in the library, or could not be analysed")
        label = _checked(library.model(), request)
        with library.change():
            previous = library.correction(track.audio, request.head)
            changed = request.expected in (..., previous)
            if changed:
                library.set_label(track.audio, request.head, label)
            return Corrected(changed, previous, library.corrections_version())


def _checked(model: LibraryModel, request: CorrectRequest) -> Correction | None:
    """The label, where the head of that name takes such a one: one label, or several of a multi-label head."""
    heads = {head.name: head.task for head in model.heads if head.labels}
    if request.head not in heads:
        raise UnknownName("head with labels", request.head, heads)
    if request.label is None:
        return None
    given = (request.label,) if isinstance(request.label, str) else request.label
    one = isinstance(request.label, str)
    if one == (heads[request.head] == "multilabel"):
        raise EarmarkError(f"{request.head}: takes {'a list of labels' if one else 'one label'} of a song")
    labels = tuple(dict.fromkeys(" ".join(label.split()) for label in given))
    if not all(label and label.isprintable() for label in labels):
        raise EarmarkError(f"{request.head}: a label is plain text in one line")
    return labels[0] if one else labels
