"""Models and recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from earmark.app.models import KnownModel, ModelFacts, describe_model, list_models, list_recipes
from earmark.app.models import RecipeFacts as Recipe
from earmark.server.service import service_of

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["models"])

Name = Annotated[str, Path(min_length=1, max_length=200)]


@dataclass(frozen=True)
class HeadInShort:
    """One vocabulary of a model."""

    name: str
    task: str
    labels: list[str]


@dataclass(frozen=True)
class ModelInShort:
    """A model that is known by name.

    Attributes:
        name: By which it is asked for.
        id: ``name@version``, as records have it.
        digest: Tells apart models of one name and version.
        bytes: Size of its files.
        heads: Its vocabularies.
        error: What is wrong with it; empty where nothing is.
        in_use: Whether the library's labels are this model's.
        report: Whether it has scores of its own.
    """

    name: str
    id: str
    digest: str
    bytes: int
    heads: list[HeadInShort]
    error: str
    in_use: bool
    report: bool


@dataclass(frozen=True)
class Models:
    """All models, by name."""

    models: list[ModelInShort]


@dataclass(frozen=True)
class ModelWhole:
    """A model: its card, what it scored with intervals and confusion, and how it learned.

    Attributes:
        model: In short.
        card: As ``card.json`` has it, without the scores.
        scores: By head, as ``evaluate`` names them; ``confusion`` has a row a true label.
        history: A row an epoch: ``epoch``, ``train_loss``, ``valid_loss``, ``train_score``, ``valid_score``, ``rate``.
        data: What it was trained on.
        licence: Of the weights.
        notes: Lines for people.
    """

    model: ModelInShort
    card: dict[str, Any]
    scores: dict[str, Any]
    history: list[dict[str, Any]]
    data: list[str]
    licence: str
    notes: list[str]


@dataclass(frozen=True)
class Recipes:
    """What there is to train by."""

    recipes: list[Recipe]


@router.get("/models")
def models(request: Request) -> Models:
    """The models that there are."""
    in_use = service_of(request).digest_in_use()
    return Models([_in_short(one, in_use) for one in list_models().wait()])


@router.get("/models/{name}")
def model(request: Request, name: Name) -> ModelWhole:
    """One model: its card, honest scores, confusion and learning curves."""
    found: ModelFacts = describe_model(name).wait()
    card = found.model.card
    short = _in_short(found.model, service_of(request).digest_in_use())
    if card is None:
        return ModelWhole(short, {}, {}, [], [], "", [])
    return ModelWhole(
        short,
        dict(found.card),
        dict(card.scores),
        [dict(epoch) for epoch in found.history],
        list(card.data),
        card.licence,
        list(card.notes),
    )


@router.get("/recipes")
def recipes() -> Recipes:
    """The recipes to train by."""
    return Recipes(list(list_recipes().wait()))


def _in_short(one: KnownModel, in_use: str) -> ModelInShort:
    card = one.card
    if card is None:
        return ModelInShort(one.name, "", "", one.bytes, [], one.error, in_use=False, report=False)
    heads = [HeadInShort(head.name, head.task, list(head.labels)) for head in card.heads]
    used = card.digest == in_use
    return ModelInShort(one.name, card.id, card.digest, one.bytes, heads, "", in_use=used, report=bool(card.scores))
