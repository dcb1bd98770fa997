"""The report: an evaluation as one HTML page that needs nothing else and opens offline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earmark.evaluation.evaluate import Evaluation
from earmark.evaluation.history import Jump, explain_scores
from earmark.pages import svg
from earmark.pages.heads import head_section, nodes_section
from earmark.pages.render import Site, document_page, write_page
from earmark.pages.text import interval, number, percent, percent_interval
from earmark.pages.view import Card, Document, Panel, Section, Table

__all__ = ["page", "write_report"]


def write_report(evaluation: Evaluation, folder: Path) -> Path:
    """Write ``index.html`` and ``evaluation.json`` into a folder, which is made where it is missing.

    Returns:
        The page.

    Raises:
        StorageError: The folder cannot be written.
    """
    return write_page(folder, page(evaluation), evaluation.to_dict(), "evaluation.json")


def page(evaluation: Evaluation, site: Site | None = None) -> str:
    """The whole page as HTML; ``site`` as in :func:`earmark.pages.render.render`."""
    sections = [
        *([_against(evaluation.against)] if evaluation.against else []),
        *_random_split(evaluation),
        *(head_section(evaluation.answers[head], figures) for head, figures in evaluation.figures.items()),
        *([_curves(evaluation)] if evaluation.history else []),
        *([nodes_section(evaluation.model, evaluation.nodes)] if evaluation.nodes else []),
        *([_failures(evaluation)] if evaluation.failures else []),
    ]
    title = f"{evaluation.model} on {evaluation.dataset}"
    return document_page(Document(title, _scored(evaluation), sections, notices=evaluation.notices), site)


def _scored(evaluation: Evaluation) -> str:
    tracks = max((len(head.tracks) for head in evaluation.answers.values()), default=0)
    parts = [f"{tracks} tracks", f"part: {evaluation.part}", f"intervals drawn by {evaluation.group_by}"]
    if evaluation.left_out:
        parts.append(f"{evaluation.left_out} tracks left out, because the model was trained on them")
    return " · ".join(parts)


def _against(against: Mapping[str, Any]) -> Section:
    rows = [
        (
            head,
            str(result["figure"]).replace("_", " "),
            number(result["difference"], 4),
            interval(result["ci95"], 4, "–"),
            number(result["p"], 4),
        )
        for head, result in against["heads"].items()
    ]
    text = "Above zero: this model is better. p: how often chance alone gives a difference as large."
    table = Table(("head", "figure", "difference", "95 % interval", "p"), rows, (2, 3, 4))
    return Section(f"Against {against['model']}", text, panels=[Panel(table=table)])


def _random_split(evaluation: Evaluation) -> list[Section]:
    """The leaking score beside the honest one."""
    cards = []
    for head, honest in evaluation.figures.items():
        for key in ("accuracy", "roc_auc_macro", "r2"):
            leaking = (evaluation.naive or {}).get(head, {}).get(key)
            if key in honest and leaking is not None:
                name = f"{head}: {key.replace('_', ' ')}"
                cards.append(Card(name, percent(honest[key]), percent_interval(honest.get(f"{key}_ci95")), main=True))
                cards.append(Card(f"{name}, leaky", percent(leaking), "clips of one song on both sides"))
    text = "Beside each score stands that of clips split at random, which is too good: it knows the songs already."
    return [Section('Random split ("leaky")', text, cards)] if cards else []


def _curves(evaluation: Evaluation) -> Section:
    history = evaluation.history
    loss = svg.losses(history, [(float(jump.epoch), "jump") for jump in evaluation.jumps])
    score = svg.scores(history)
    rows = [
        (str(row.epoch), *map(number, (row.train_loss, row.valid_loss, row.train_score, row.valid_score)))
        for row in history
    ]
    table = Table(("epoch", "training loss", "validation loss", "training score", "validation score"), rows, range(5))
    name = "Accuracy" if {head.task for head in evaluation.cards[0].heads} == {"multiclass"} else "Score"
    why = explain_scores(history, *_regularised(evaluation.cards[0].recipe))
    panels = [
        Panel("Loss", loss, table=table),
        *([Panel(f"{name}, training clips beside validation tracks", score, why)] if score else []),
        *map(_jump, evaluation.jumps),
    ]
    calm = "" if evaluation.jumps else "No epoch of the validation curve jumps beyond its own noise."
    return Section("Learning curves", calm, panels=panels)


def _regularised(recipe: Mapping[str, Any]) -> tuple[float, list[str]]:
    """The largest dropout of a recipe as a card has it, and the names of its augmentations."""
    options = recipe.get("backbone", {}).get("options", {})
    dropouts = [recipe.get("heads", {}).get("dropout", 0.0), options.get("dropout", 0.0)]
    return max(map(float, dropouts)), [change["name"] for change in recipe.get("augment", ())]


def _jump(jump: Jump) -> Panel:
    back = "one epoch" if jump.epochs == 1 else f"{jump.epochs} epochs"
    noise = f"{jump.rise / jump.noise:.0f} times the curve's noise of {jump.noise:.3f}" if jump.noise > 1e-9 else ""
    text = f"The validation loss rose by {jump.rise:.3f} ({noise or 'the curve has no noise'}), for {back}."
    return Panel(f"Jump in epoch {jump.epoch}: {jump.says[0]}", text=text, items=jump.says[1:])


def _failures(evaluation: Evaluation) -> Section:
    rows = [(failure.path, f"{failure.kind}: {failure.message}") for failure in evaluation.failures]
    return Section("Files that could not be analysed", panels=[Panel(table=Table(("file", "why"), rows, stacked=True))])
