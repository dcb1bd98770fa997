"""Recipe: everything that is trained, read from TOML into frozen dataclasses; unknown keys name the nearest one."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from earmark.errors import RecipeError, UnknownName, nearest
from earmark.features.frontend import Frontend

__all__ = [
    "Augmentation",
    "BackboneChoice",
    "ClipPlan",
    "HeadDesign",
    "Recipe",
    "SplitPlan",
    "Task",
    "Training",
    "list_recipes",
    "load_recipe",
    "override",
    "recipe_from",
    "recipe_parameters",
    "recipe_text",
]

Task = Literal["multiclass", "multilabel", "regression"]


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """How a track becomes clips for the network.

    Attributes:
        seconds: Length of a clip; the network always gets clips of this length.
        count: Clips taken of a track, spread evenly over it; all of it, where it is no longer.
        pad: What fills a track shorter than a clip: ``repeat`` (the track again) or ``zero`` (silence).
        pooling: How the clips' probabilities become the track's: ``mean``, or ``mean-log`` (geometric mean).
    """

    seconds: float = 10.0
    count: int = 3
    pad: Literal["repeat", "zero"] = "repeat"
    pooling: Literal["mean", "mean-log"] = "mean"


@dataclass(frozen=True, slots=True)
class Augmentation:
    """One change of the training data: its name in the registry of augmentations, how often, and its ranges."""

    name: str
    probability: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BackboneChoice:
    """A network of the registry and its options; ``frozen`` keeps its weights; ``init`` is a model to start from."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    frozen: bool = False
    init: str = ""


@dataclass(frozen=True, slots=True)
class HeadDesign:
    """What stands between the embedding and a head's scores.

    Attributes:
        hidden: Widths of fully connected layers, each with batch norm, ReLU and dropout; empty for a linear head.
        dropout: Before every fully connected layer.
        batch_norm: Whether the hidden layers have it.
        ensemble: Further classifiers on the same embedding whose mean is the answer: ``linear``, ``prototype``,
            ``mlp-WIDTH`` (``mlp-256``), ``part-N/OF`` (linear in one part of the embedding, as of ``members``), each
            with a seed of its own; empty for the one above.
        mean: Of an ensemble: of its members' probabilities (``mean``), or of their logarithms (``mean-log``).
    """

    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    batch_norm: bool = True
    ensemble: tuple[str, ...] = ()
    mean: Literal["mean", "mean-log"] = "mean-log"


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Fractions of the tracks for training, validation and test; groups stay together, labels are stratified.

    ``balanced`` draws validation and test parts with equally many tracks a label, as S1 does: of all multi-class heads
    together (``all``, or true), or of the first (``first``).
    """

    train: float = 0.8
    valid: float = 0.1
    test: float = 0.1
    balanced: Literal["all", "first", True, False] = False


@dataclass(frozen=True, slots=True)
class Training:
    """How the weights are found.

    Attributes:
        method: ``network`` trains backbone and heads; ``transfer`` trains heads on cached embeddings.
        epochs: At most.
        batch_size: Clips a step.
        clips_per_track: Random clips of each track an epoch (full songs).
        chunks: Parts of the training data, each of which trains a model of its own; the best on validation is kept.
        optimizer: ``adamw``, ``adam`` or ``sgd``.
        learning_rate: At the start.
        momentum: Of SGD.
        weight_decay: Decoupled (AdamW), or L2 (Adam, SGD).
        schedule: ``constant``, ``cosine``, or ``plateau`` (halved after ``patience`` epochs without progress).
        plateau_epochs: Epochs without progress of the training loss before the rate is halved.
        patience: Epochs without progress of the selection score before training stops; 0 never stops.
        select: ``loss`` (validation loss) or ``pr-auc``; ties go to the later epoch.
        loss: ``cross-entropy``, or ``confusion-weighted`` (mistakes weighed by the validation confusion table).
        label_smoothing: Of the cross-entropy.
        mixup: Alpha of the Beta distribution by which two clips of a batch are laid over each other, and their losses
            with them (Zhang et al. 2018); 0 mixes nothing.
        balance: ``none``, ``sample`` (rare classes drawn more often) or ``loss`` (rare classes weigh more).
        gradient_norm: Gradients are clipped to it; 0 clips nothing.
        mixed_precision: bf16 where it helps.
        streams: Tracks active at once when data is streamed (pescador); 0 keeps the features in a memory map.
        train_size: Fraction of the training part that is learnt from, whole artists with labels spread evenly; less
            than 1 for a learning curve over the number of songs.
    """

    method: Literal["network", "transfer"] = "network"
    epochs: int = 40
    batch_size: int = 32
    clips_per_track: int = 1
    chunks: int = 1
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.01
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    plateau_epochs: int = 3
    patience: int = 10
    select: Literal["loss", "pr-auc"] = "loss"
    loss: Literal["cross-entropy", "confusion-weighted"] = "cross-entropy"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    balance: Literal["none", "sample", "loss"] = "none"
    gradient_norm: float = 5.0
    mixed_precision: bool = True
    streams: int = 0
    train_size: float = 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that is trained.

    Attributes:
        name: As ``-r`` takes it.
        about: One line.
        source: The paper or system.
        notes: What the source leaves open and what was chosen.
    """

    name: str
    about: str
    backbone: BackboneChoice
    source: str = ""
    notes: tuple[str, ...] = ()
    frontend: Frontend = field(default_factory=Frontend)
    clip: ClipPlan = field(default_factory=ClipPlan)
    augment: tuple[Augmentation, ...] = ()
    heads: HeadDesign = field(default_factory=HeadDesign)
    split: SplitPlan = field(default_factory=SplitPlan)
    training: Training = field(default_factory=Training)


def list_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with Earmark."""
    folder = resources.files("earmark") / "recipes"
    return tuple(sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".toml")))


def recipe_parameters() -> dict[str, int | None]:
    """How many numbers the network of each recipe has, with one head of ten labels; None where the recipe has none.

    They are kept beside the recipes, because to count them PyTorch must build each network.
    """
    counted: dict[str, int | None] = json.loads(
        (resources.files("earmark") / "recipes" / "parameters.json").read_text("utf-8")
    )
    return counted


def recipe_text(name: str) -> str:
    """A recipe's TOML, by name or as a file's path, as it was written.

    Raises:
        UnknownName: Neither a recipe's name nor a file.
        RecipeError: The file cannot be read.
    """
    if name.endswith(".toml") or "/" in name or "\\" in name:
        try:
            return Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{name}: cannot read the recipe: {error}") from error
    if name not in list_recipes():
        raise UnknownName("recipe", name, list_recipes())
    return (resources.files("earmark") / "recipes" / f"{name}.toml").read_text("utf-8")


def load_recipe(name: str, settings: Sequence[str] = ()) -> Recipe:
    """A recipe by name or file, with ``KEY=VALUE`` settings laid over it (``training.epochs=5``).

    Raises:
        UnknownName: No such recipe.
        RecipeError: Damaged TOML, or an unknown or ill-typed key; the message names the file, the key and the nearest.
    """
    try:
        table = tomllib.loads(recipe_text(name))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name}: not valid TOML: {error}") from error
    return recipe_from(override(table, settings), name)


def override(table: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Lay ``KEY=VALUE`` settings over a recipe's table; values are TOML, bare words are strings."""
    table = {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise RecipeError(f"--set {setting}: expected KEY=VALUE, as in training.epochs=5")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        *sections, leaf = key.strip().split(".")
        place = table
        for section in sections:
            below = place.setdefault(section, {})
            if not isinstance(below, dict):
                raise RecipeError(f"--set {setting}: {section} is a value, not a table")
            place[section] = place = dict(below)
        place[leaf] = value
    return table


def recipe_from(table: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from a table such as TOML or a card gives it; ``where`` names the source in messages."""
    recipe = _build(Recipe, dict(table), where, "")
    assert isinstance(recipe, Recipe)
    _check(recipe, where)
    return recipe


def _check(recipe: Recipe, where: str) -> None:
    plan = recipe.split
    positive = {
        "training.epochs": recipe.training.epochs,
        "training.batch_size": recipe.training.batch_size,
        "training.clips_per_track": recipe.training.clips_per_track,
        "training.chunks": recipe.training.chunks,
        "training.learning_rate": recipe.training.learning_rate,
        "clip.seconds": recipe.clip.seconds,
        "clip.count": recipe.clip.count,
        "split.train": plan.train,
        "training.train_size": recipe.training.train_size,
    }
    for key, value in positive.items():
        if not value > 0:
            raise RecipeError(f"{where}: {key} = {value}: must be above 0")
    if recipe.training.train_size > 1:
        raise RecipeError(f"{where}: training.train_size = {recipe.training.train_size}: must be at most 1")
    if recipe.training.mixup < 0:
        raise RecipeError(f"{where}: training.mixup = {recipe.training.mixup}: must not be below 0")
    if min(plan.valid, plan.test) < 0 or abs(plan.train + plan.valid + plan.test - 1) > 1e-6:
        raise RecipeError(
            f"{where}: split: train, valid and test must add up to 1, not {plan.train + plan.valid + plan.test:g}"
        )


def _build(kind: type, table: Mapping[str, Any], where: str, prefix: str) -> Any:
    """A dataclass from a table, checking every key and type."""
    hints = get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind)}
    for key in table:
        if key not in known:
            near = nearest(key, known)
            hint = f"did you mean {prefix}{near}?" if near else f"known: {', '.join(known)}"
            raise RecipeError(f"{where}: unknown key {prefix}{key}; {hint}")
    required = [n for n, f in known.items() if f.default is f.default_factory is dataclasses.MISSING]
    for name in required:
        if name not in table:
            raise RecipeError(f"{where}: the key {prefix}{name} is missing")
    return kind(**{key: _value(hints[key], value, where, prefix + key) for key, value in table.items()})


def _value(hint: Any, value: Any, where: str, key: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return _build(hint, value, where, key + ".")  # type: ignore[arg-type]
    if origin is Literal:
        if value in arguments:
            return value
        raise RecipeError(f"{where}: {key} = {value!r}: must be one of {', '.join(map(repr, arguments))}")
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_value(arguments[0], item, where, f"{key}[{i}]") for i, item in enumerate(value))
    if origin is not None and origin is not tuple and isinstance(value, Mapping):
        return dict(value)
    if hint is float and type(value) in (int, float):
        return float(value)
    if type(value) is hint:
        return value
    plain = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
    kind = "a list" if origin is tuple else plain.get(hint, "a table")
    raise RecipeError(f"{where}: {key} = {value!r}: must be {kind}")
