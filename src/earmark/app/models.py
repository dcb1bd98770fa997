"""The models that there are, and a model folder of an earlier format made one of this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.errors import MissingExtra, ModelError, UnknownName
from earmark.events import Steps, use_case

if TYPE_CHECKING:
    from earmark.models.card import Card

__all__ = [
    "KnownModel",
    "ModelFacts",
    "RecipeFacts",
    "describe_model",
    "list_models",
    "list_recipes",
    "upgrade_model",
]


@dataclass(frozen=True)
class KnownModel:
    """A model that ``-m`` finds by name.

    Attributes:
        name: The name.
        folder: Where it is.
        bytes: Size of its files.
        card: What it says of itself; None where it is damaged.
        error: What is wrong with it; "" where nothing is.
    """

    name: str
    folder: Path
    bytes: int
    card: Card | None
    error: str = ""


@dataclass(frozen=True)
class ModelFacts:
    """A model at length.

    Attributes:
        model: Its name and card.
        card: The card as ``card.json`` has it, without its scores.
        history: A row an epoch, as ``history.csv`` has it; none where the model was not trained in epochs.
    """

    model: KnownModel
    card: Mapping[str, Any]
    history: tuple[Mapping[str, float], ...]


@dataclass(frozen=True)
class RecipeFacts:
    """A recipe: its name, what it is, where it is from, and how many parameters its network has (None: unknown)."""

    name: str
    about: str
    source: str
    parameters: int | None


@use_case
def list_models() -> Steps[tuple[KnownModel, ...]]:
    """All models, by name."""
    from earmark.models.registry import list_models as named

    yield from ()
    return tuple(_known(name, folder) for name, folder in sorted(named().items()))


@use_case
def describe_model(name: str) -> Steps[ModelFacts]:
    """One model: its card, and how it learned.

    Raises:
        UnknownName: No model is known by that name.
    """
    from earmark.evaluation.history import read_history
    from earmark.models.card import card_json
    from earmark.models.registry import list_models as named

    yield from ()
    folders = named()
    if name not in folders:
        raise UnknownName("model", name, folders)
    known = _known(name, folders[name])
    if known.card is None:
        return ModelFacts(known, {}, ())
    card = {key: value for key, value in card_json(known.folder).items() if key != "scores"}
    rows = map(asdict, read_history(known.folder / "history.csv"))
    measured = tuple({key: x for key, x in row.items() if isinstance(x, int | float) and x == x} for row in rows)
    return ModelFacts(known, card, measured)


@use_case
def list_recipes() -> Steps[tuple[RecipeFacts, ...]]:
    """The recipes to train by, by name."""
    from earmark.recipe import list_recipes as named
    from earmark.recipe import load_recipe, recipe_parameters

    yield from ()
    parameters = recipe_parameters()
    recipes = ((name, load_recipe(name)) for name in named())
    return tuple(RecipeFacts(name, one.about, one.source, parameters.get(name)) for name, one in recipes)


def _known(name: str, folder: Path) -> KnownModel:
    from earmark.models.card import read_card

    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    try:
        return KnownModel(name, folder, size, read_card(folder))
    except ModelError as error:
        return KnownModel(name, folder, size, None, str(error))


@use_case
def upgrade_model(name: str) -> Steps[tuple[Path, Card]]:
    """Upgrade a model folder in its place; returns the folder and its new card.

    Raises:
        EarmarkError: It is no model of an earlier format, or the extra ``train`` is not installed.
    """
    if not all(map(find_spec, ("torch", "onnx", "scipy"))):
        raise MissingExtra("train", "upgrading a model")
    from earmark.models.registry import find_model
    from earmark.models.writer import work_folder
    from earmark.training.upgrade import upgrade_model as upgrade

    yield from ()
    stopped = work_folder(Path(name).absolute()).is_dir()  # a run ended between the old folder and the new one
    folder = Path(name) if stopped else find_model(name)
    return folder, upgrade(folder)
