"""The models that there are, and a model folder of an earlier format made one of this."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.errors import MissingExtra, ModelError
from earmark.events import Steps, use_case

if TYPE_CHECKING:
    from earmark.models.card import Card

__all__ = ["KnownModel", "list_models", "upgrade_model"]


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


@use_case
def list_models() -> Steps[tuple[KnownModel, ...]]:
    """All models, by name."""
    from earmark.models.card import read_card
    from earmark.models.registry import list_models as named

    yield from ()
    found = []
    for name, folder in sorted(named().items()):
        size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        try:
            found.append(KnownModel(name, folder, size, read_card(folder)))
        except ModelError as error:
            found.append(KnownModel(name, folder, size, None, str(error)))
    return tuple(found)


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
