"""Compare recipes or settings on one split, and tell which of them is worth its cost."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.app.selection import EngineOptions, for_songs, opened_engine
from earmark.errors import MissingExtra, RecipeError
from earmark.events import Notice, Steps, use_case
from earmark.models.device import Device

if TYPE_CHECKING:
    from earmark.engine import Engine
    from earmark.evaluation.comparison import Comparison
    from earmark.recipe import SplitPlan
    from earmark.training.compare import ComparePlan

__all__ = ["CompareRequest", "compare"]


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """What to compare.

    Attributes:
        dataset: A folder of class folders, or one with ``dataset.toml``.
        recipes: Names or files.
        exclude_files: Patterns of files of the data set that are left out.
        heads: Only these heads of the data set; all where there are none.
        settings: ``KEY=VALUE`` of every recipe, ``RECIPE:KEY=VALUE`` of one.
        sweep: ``KEY=V1,V2``: every combination of values is tried.
        report: The folder of the models and the page; what is finished there is kept.
        split: Shares of training, validation and test part, where the data set assigns no parts.
        margin: How much behind the best still counts as no worse: points of a hundred, or below 1 a share.
        naive: Train every row once more on clips split at random.
        seed: Of split, weights and order.
        device: ``auto`` takes a GPU where there is one.
    """

    dataset: str
    recipes: tuple[str, ...] = ()
    exclude_files: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    sweep: tuple[str, ...] = ()
    report: str = "comparison"
    split: str = "0.8,0.1,0.1"
    margin: float = 5.0
    naive: bool = False
    seed: int = 0
    device: Device = "auto"


@use_case
def compare(request: CompareRequest, engine: Engine | None = None) -> Steps[Comparison]:
    """Train and score every row, and write the page; a row that fails is a row with its error.

    Raises:
        EarmarkError: A recipe, a setting or the data set cannot be used.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("train", "training")
    from earmark.datasets import load_dataset, without_files
    from earmark.datasets.core import spelling_notices
    from earmark.pages.comparison import write_comparison
    from earmark.training.compare import compare as train_rows
    from earmark.training.compare import variants

    plan, folder = _plan(request), Path(request.report)
    variants(plan)  # names and settings are checked before anything is read
    dataset = load_dataset(request.dataset, heads=request.heads or None, training=True)
    dataset = without_files(dataset, request.exclude_files)
    yield from map(Notice, spelling_notices(dataset.labels))
    with opened_engine(engine, EngineOptions(device=for_songs(request.device))) as workers:
        found = yield from train_rows(dataset, plan, folder, workers)
    page = write_comparison(found, folder)
    yield from map(Notice, found.notices)
    yield Notice(f"The report is {page}.")
    return found


def _plan(request: CompareRequest) -> ComparePlan:
    from earmark.training.compare import ComparePlan

    sweep: dict[str, tuple[str, ...]] = {}
    for item in request.sweep:
        key, equals, values = item.partition("=")
        if not equals or not key.strip() or not _values(values):
            raise RecipeError(f"--sweep {item}: expected KEY=V1,V2, as in heads.dropout=0.5,0.6")
        sweep[key.strip()] = _values(values)
    return ComparePlan(
        recipes=request.recipes,
        settings=request.settings,
        sweep=sweep,
        seed=request.seed,
        device=request.device,
        split=_split(request.split),
        naive=request.naive,
        margin=_margin(request.margin),
    )


def _margin(given: float) -> float:
    share = given / 100 if given >= 1 else given
    if not 0 < share < 1:
        raise RecipeError(f"--margin {given:g}: expected points between 0 and 100, as in 5")
    return share


def _split(text: str) -> SplitPlan:
    from earmark.recipe import SplitPlan

    try:
        train, valid, test = (float(share) for share in text.split(","))
    except ValueError:
        train = valid = test = -1.0
    if min(train, valid, test) < 0 or not 0.999 < train + valid + test < 1.001:
        raise RecipeError(f"--split {text}: expected three shares that add up to 1, as in 0.6,0.1,0.3")
    return SplitPlan(train, valid, test)


def _values(text: str) -> tuple[str, ...]:
    """Values between commas; a list in brackets is one value."""
    found, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "," and not depth:
            found.append("")
        else:
            found[-1] += character
    return tuple(value.strip() for value in found if value.strip())
