"""A model in words: the README of its folder, made from its card alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earmark.evaluation.scores import main_figure
from earmark.models.card import Card, HeadCard

__all__ = ["model_card_text", "score_line"]

_NAMES = {"accuracy": "accuracy", "roc_auc_macro": "ROC-AUC (macro)", "r2": "R²"}
_PARTS = {
    "test": "test part",
    "valid": "validation part (there was no test part)",
    "train": "training part: not honest",
}


def model_card_text(card: Card, curves: bool) -> str:
    """The README.md of a model folder; ``curves`` says whether there is a picture of the learning curves."""
    lines = [f"# {card.name}", ""]
    about = card.recipe.get("about")
    lines += [f"Recipe `{card.recipe.get('name', '?')}`: {about}", ""] if about else []
    if card.recipe.get("source"):
        lines += [f"After: {card.recipe['source']}", ""]
    lines += ["## What it says", ""]
    lines += [f"- **{head.name}** ({head.task}): {_vocabulary(head)}" for head in card.heads]
    lines += ["", "## What it was trained on", "", *(f"- {line}" for line in card.data)]
    lines += ["", "## How good it is", "", "Scored by track; the interval is a bootstrap over groups (95 %).", ""]
    lines += [f"- {score_line(head, card.scores.get(head.name, {}))}" for head in card.heads]
    lines += ["", "Scores on training tracks (dropout off) stand beside so that over- and underfitting can be seen."]
    if curves:
        lines += ["", "## Learning curves", "", "![learning curves](curves.svg)", "", "As numbers: `history.csv`."]
    lines += ["", "## Licence", "", card.licence or "Not stated. The licence of the training data may limit its use."]
    if card.notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in card.notes)]
    return "\n".join(lines) + "\n"


def score_line(head: HeadCard, scores: Mapping[str, Any]) -> str:
    """One head's figures in one line, as ``genre: accuracy 0.81 (0.73 to 0.88) on 100 tracks of the test part...``."""
    key = main_figure(head.task)
    value, interval = scores.get(key), scores.get(f"{key}_ci95")
    if value is None:
        return f"{head.name}: not scored"
    sure = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    part = _PARTS.get(str(scores.get("part")), "test part")
    line = f"{head.name}: {_NAMES[key]} {value:.3f}{sure} on {scores.get('tracks', 0)} tracks of the {part}"
    beside = [(part, scores.get(f"{part}_{key}")) for part in ("train", "valid")]
    named = {"train": "training", "valid": "validation"}
    return line + "".join(f"; {named[part]} {figure:.3f}" for part, figure in beside if figure is not None)


def _vocabulary(head: HeadCard) -> str:
    if head.task == "regression":
        return "a number"
    more = len(head.labels) - 30
    return ", ".join(head.labels[:30]) + (f" and {more} more" if more > 0 else "")
