"""Review: questions, and corrections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from earmark.app.effect import Effect, measured_effect
from earmark.app.library import LibraryRequest
from earmark.app.review import CorrectRequest, ReviewRequest
from earmark.app.review import correct as keep_correction
from earmark.app.review import review as ask
from earmark.app.summaries import Summary
from earmark.server.problems import Problem
from earmark.server.service import service_of
from earmark.server.values import RowId

__all__ = ["router"]

router = APIRouter(prefix="/v1/review", tags=["review"])

_FRESH = 5.0  # seconds that a correction waits at most until requests see it

Label = Annotated[str, Field(min_length=1, max_length=200)]
Labels = Annotated[list[Label], Field(max_length=100)]


class Correction(BaseModel):
    """A label of your own.

    Attributes:
        track: Of which track.
        head: Of which head.
        label: Its label, or its labels where the head has several; null takes the correction back.
        expected: What you saw as its correction (null: none); where it is something else by now, nothing is changed.
    """

    model_config = ConfigDict(extra="forbid")
    track: RowId
    head: Annotated[str, Field(min_length=1, max_length=200)]
    label: Label | Labels | None
    expected: Label | Labels | None = None


@dataclass(frozen=True)
class Option:
    """A label to choose, and how probable it is."""

    label: str
    probability: float


@dataclass(frozen=True)
class Question:
    """One track and head to decide about.

    Attributes:
        track: The track.
        head: The head.
        options: The likeliest labels first, the file's own among them.
        labels: All labels of the head.
        predicted: The model's best label.
        own: What the file's tag or folder says; empty where neither says anything.
        reason: `disagrees` with the file, or `unsure`.
    """

    track: Summary
    head: str
    options: list[Option]
    labels: list[str]
    predicted: str
    own: str
    reason: str


@dataclass(frozen=True)
class Questions:
    """What is most worth to be decided, how many corrections there are, and the heads that can be asked about."""

    questions: list[Question]
    corrections: int
    heads: list[str]


@dataclass(frozen=True)
class Corrected:
    """A correction as it is kept now, what stood there before, and how many changes of corrections there were."""

    track: int
    head: str
    label: str | list[str] | None
    previous: str | list[str] | None
    version: int


@dataclass(frozen=True)
class MeasuredEffect:
    """What corrections did; null where it was never measured."""

    effect: Effect | None


@router.get("")
def review(
    request: Request,
    head: Annotated[str | None, Query(max_length=200)] = None,
    count: Annotated[int, Query(ge=1, le=200)] = 20,
) -> Questions:
    """Tracks where the model contradicts the file, or is not sure: the most useful questions first."""
    service = service_of(request)
    found = ask(ReviewRequest(head=head or None, count=count), service.session).wait()
    short = service.summaries(one.track for one in found.questions)
    questions = [
        Question(
            track,
            one.head,
            [Option(*option) for option in one.options],
            list(one.labels),
            one.predicted,
            one.own,
            one.why,
        )
        for one, track in zip(found.questions, short, strict=True)
    ]
    return Questions(questions, found.corrections, list(found.heads))


@router.get("/effect")
def effect(request: Request) -> MeasuredEffect:
    """What your corrections did to the honest score, as a job of the kind `effect` has measured it last."""
    found = measured_effect(LibraryRequest(), service_of(request).session).wait()
    return MeasuredEffect(found)


@router.post("")
def correct(request: Request, correction: Correction) -> Corrected:
    """Keep your label at once, or take it back; 409 where another tab has changed it meanwhile."""
    service = service_of(request)
    asked = CorrectRequest(
        library=service.options.library,
        path=service.track(correction.track).path,
        head=correction.head,
        label=_value(correction.label),
        **({"expected": _value(correction.expected)} if "expected" in correction.model_fields_set else {}),
    )
    done = keep_correction(asked).wait()
    if not done.changed:
        detail = f"another tab has changed this label meanwhile: it is {_words(done.previous)} now"
        raise Problem(409, detail, "changed")
    service.session.look(_FRESH)
    return Corrected(correction.track, correction.head, correction.label, _json(done.previous), done.version)


def _value(label: str | list[str] | None) -> str | tuple[str, ...] | None:
    return tuple(label) if isinstance(label, list) else label


def _json(label: str | tuple[str, ...] | None) -> str | list[str] | None:
    return list(label) if isinstance(label, tuple) else label


def _words(label: str | tuple[str, ...] | None) -> str:
    return "no correction" if label is None else label if isinstance(label, str) else ", ".join(label) or "none"
