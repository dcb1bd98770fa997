"""The report: an evaluation as one HTML page that needs nothing else and opens offline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earmark.errors import StorageError
from earmark.evaluation.evaluate import Evaluation
from earmark.pages import svg
from earmark.pages.heads import card, head_section
from earmark.pages.style import STYLE
from earmark.pages.text import number, percent, percent_interval, shown, table

__all__ = ["page", "write_report"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_report(evaluation: Evaluation, folder: Path) -> Path:
    """Write ``index.html`` and ``evaluation.json`` into a folder, which is made where it is missing.

    Returns:
        The page.

    Raises:
        StorageError: The folder cannot be written.
    """
    file = folder / "index.html"
    facts = json.dumps(evaluation.to_dict(), ensure_ascii=True, indent=1, allow_nan=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(page(evaluation), "utf-8")
        (folder / "evaluation.json").write_text(facts + "\n", "utf-8")
    except OSError as error:
        raise StorageError(f"{folder}: cannot write the report: {error.strerror or error}") from error
    return file


def page(evaluation: Evaluation) -> str:
    """The whole page as HTML."""
    title = f"{evaluation.model} on {evaluation.dataset}"
    links = "".join(f'<a href="#head-{i}">{shown(head)}</a>' for i, head in enumerate(evaluation.figures))
    sections = [
        head_section(f"head-{i}", evaluation.answers[head], figures)
        for i, (head, figures) in enumerate(evaluation.figures.items())
    ]
    body = [
        f"<header><h1>{shown(title)}</h1><p>{shown(_scored(evaluation))}</p><nav>{links}</nav>",
        _notices(evaluation.notices),
        "</header>",
        _against(evaluation.against),
        _naive(evaluation),
        *sections,
        _curves(evaluation),
        _failures(evaluation),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{shown(title)}</title><style>{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _scored(evaluation: Evaluation) -> str:
    tracks = max((len(head.tracks) for head in evaluation.answers.values()), default=0)
    parts = [f"{tracks} tracks", f"part: {evaluation.part}", f"intervals drawn by {evaluation.group_by}"]
    if evaluation.left_out:
        parts.append(f"{evaluation.left_out} tracks left out, because the model was trained on them")
    return " · ".join(parts)


def _notices(notices: Sequence[str]) -> str:
    items = "".join(f"<li>{shown(notice)}</li>" for notice in notices)
    return f'<ul class="notices">{items}</ul>' if items else ""


def _against(against: Mapping[str, Any] | None) -> str:
    if against is None:
        return ""
    rows = [
        (
            head,
            str(result["figure"]).replace("_", " "),
            number(result["difference"], 4),
            "–" if result["ci95"] is None else f"{result['ci95'][0]:.4f} to {result['ci95'][1]:.4f}",
            number(result["p"], 4),
        )
        for head, result in against["heads"].items()
    ]
    told = table(("head", "figure", "difference", "95 % interval", "p"), rows, (2, 3, 4))
    return (
        f'<h2>Against {shown(str(against["model"]))}</h2><div class="panel">'
        '<p class="dim">Above zero: this model is better. p: how often chance alone gives a difference as large.</p>'
        f"{told}</div>"
    )


def _naive(evaluation: Evaluation) -> str:
    """The leaking score beside the honest one."""
    if not evaluation.naive:
        return ""
    cards = []
    for head, honest in evaluation.figures.items():
        for key in ("accuracy", "roc_auc_macro", "r2"):
            leaking = evaluation.naive.get(head, {}).get(key)
            if key in honest and leaking is not None:
                name = f"{head}: {key.replace('_', ' ')}"
                cards.append(card(name, percent(honest[key]), percent_interval(honest.get(f"{key}_ci95"))))
                cards.append(card(f"{name}, naive", percent(leaking), "clips of one song on both sides"))
    return f'<h2>Honest and naive</h2><div class="cards">{"".join(cards)}</div>' if cards else ""


def _curves(evaluation: Evaluation) -> str:
    history = evaluation.history
    if not history:
        return ""
    epochs = [float(row.epoch) for row in history]
    marks = [(float(jump.epoch), "jump") for jump in evaluation.jumps]
    loss = svg.losses(history, marks)
    score = svg.curves([svg.Curve("validation", "a", epochs, [r.valid_score for r in history])], "epoch", "score")
    panels = "".join(f'<div class="panel">{picture}</div>' for picture in (loss, score) if picture)
    return f'<h2>Learning curves</h2><div class="panels">{panels}</div>{_jumps(evaluation)}'


def _jumps(evaluation: Evaluation) -> str:
    if not evaluation.jumps:
        return '<p class="dim">No epoch of the validation curve jumps beyond its own noise.</p>'
    told = []
    for jump in evaluation.jumps:
        back = "one epoch" if jump.epochs == 1 else f"{jump.epochs} epochs"
        lines = "".join(f"<li>{shown(line)}</li>" for line in jump.says[1:])
        told.append(
            f'<div class="panel"><h3>Jump in epoch {jump.epoch}: {shown(jump.says[0])}</h3>'
            f"<p>The validation loss rose by {jump.rise:.3f} ({shown(_times(jump.rise, jump.noise))}), for {back}.</p>"
            f'<ul class="notices">{lines}</ul></div>'
        )
    return "".join(told)


def _times(rise: float, noise: float) -> str:
    return f"{rise / noise:.0f} times the curve's noise of {noise:.3f}" if noise > 1e-9 else "the curve has no noise"


def _failures(evaluation: Evaluation) -> str:
    if not evaluation.failures:
        return ""
    rows = [(failure.path, f"{failure.kind}: {failure.message}") for failure in evaluation.failures]
    told = table(("file", "why"), rows)
    return f'<h2>Files that could not be heard</h2><div class="panel">{told}</div>'
