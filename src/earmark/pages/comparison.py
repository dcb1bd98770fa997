"""The report of a comparison: one page, a row a recipe, that opens offline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earmark.errors import StorageError
from earmark.evaluation.comparison import Comparison, Row
from earmark.evaluation.nodes import Node
from earmark.evaluation.scores import main_figure
from earmark.pages import svg
from earmark.pages.style import STYLE
from earmark.pages.text import number, shown, table

__all__ = ["comparison_page", "write_comparison"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_comparison(found: Comparison, folder: Path) -> Path:
    """Write ``index.html`` and ``comparison.json`` into a folder.

    Returns:
        The page.

    Raises:
        StorageError: The folder cannot be written.
    """
    file = folder / "index.html"
    facts = json.dumps(found.to_dict(), ensure_ascii=True, indent=1, allow_nan=False, default=str)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(comparison_page(found), "utf-8")
        (folder / "comparison.json").write_text(facts + "\n", "utf-8")
    except OSError as error:
        raise StorageError(f"{folder}: cannot write the report: {error.strerror or error}") from error
    return file


def comparison_page(found: Comparison) -> str:
    """The whole page as HTML."""
    title = f"{len(found.rows)} recipes on {found.dataset}"
    heads = list(dict.fromkeys(head for row in found.table for head in row.heads))
    told = (
        f"judged by part {found.part} · no {found.group_by} on two sides · intervals of 95 % drawn by {found.group_by}"
    )
    notices = "".join(f"<li>{shown(notice)}</li>" for notice in found.notices)
    body = [
        f"<header><h1>{shown(title)}</h1><p>{shown(told)}</p></header>",
        f'<div class="panel"><p><strong>{shown(found.advice)}</strong></p></div>',
        f'<ul class="notices">{notices}</ul>' if notices else "",
        *(_head(head, found) for head in heads),
        _costs(found.table),
        _paired(found.paired),
        _curves(found.rows),
        *(_nodes(row) for row in found.rows if row.nodes),
        _notes(found.table),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{shown(title)}</title><style>{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _head(head: str, found: Comparison) -> str:
    """One head: bars of the judging part, a table of all parts, and confusion tables."""
    rows = [(row, row.heads[head]) for row in found.table if head in row.heads]
    key = main_figure(rows[0][1]["task"])
    scored = [(row, figures) for row, figures in rows if key in figures]
    bars = [svg.Bar(row.title, f[key], f.get(f"{key}_ci95"), number(f[key])) for row, f in scored]
    leaking = any(row.naive for row, _ in rows)
    lines = [
        [
            row.title,
            *(_with_interval(figures, f"{part}{key}") for part in ("train_", "valid_", "")),
            *([_naive(row, head)] if leaking else []),
        ]
        for row, figures in rows
    ]
    header = [key.replace("_", " "), "training", "validation", found.part, *(["naive"] if leaking else [])]
    told = _panel("Training part beside the others, dropout off", table(header, lines, range(1, len(header))))
    if leaking:
        told += '<p class="dim">Naive: trained and tested on clips split at random, one song on both sides.</p>'
    panels = [
        _panel(f"{key.replace('_', ' ')} on part {found.part}", svg.bars(bars)) if bars else "",
        *(
            _panel(f"Confusion: {row.title}", svg.heat_map(np.array(figures["confusion"]), figures["labels"]))
            for row, figures in scored
            if "confusion" in figures
        ),
    ]
    return f'<section><h2>{shown(head)}</h2>{told}<div class="panels">{"".join(panels)}</div></section>'


def _naive(row: Row, head: str) -> str:
    figures = row.naive.get(head, {})
    return _with_interval(figures, main_figure(figures["task"])) if "task" in figures else "–"


def _with_interval(figures: Mapping[str, Any], key: str) -> str:
    between = figures.get(f"{key}_ci95")
    value = number(figures.get(key))
    return value if between is None else f"{value} ({between[0]:.3f} to {between[1]:.3f})"


def _costs(rows: Sequence[Row]) -> str:
    lines = [
        (
            row.title,
            "–" if row.parameters is None else f"{row.parameters:,}",
            "–" if row.gflop is None else f"{row.gflop:.3g}",
            "–" if row.songs_per_second is None else f"{row.songs_per_second:.3g}",
            "–" if row.train_seconds is None else f"{row.train_seconds / 60:.1f}",
            row.error or ("" if row.chosen else "not chosen by the validation part"),
        )
        for row in rows
    ]
    header = ("recipe", "parameters", "GFLOP a song", "songs/s", "training, min", "")
    note = '<p class="dim">Songs/s: the exported models on one core, decoding included, in turns.</p>'
    return f'<h2>Costs</h2><div class="panel">{note}{table(header, lines, (1, 2, 3, 4))}</div>'


def _paired(tests: Sequence[Mapping[str, Any]]) -> str:
    if not tests:
        return ""
    lines = [
        (
            t["a"],
            t["b"],
            t["head"],
            number(t["difference"]),
            "–" if t["ci95"] is None else f"{t['ci95'][0]:.3f} to {t['ci95'][1]:.3f}",
            number(t["p"], 4),
        )
        for t in tests
    ]
    told = table(("first", "second", "head", "difference", "95 % interval", "p"), lines, (3, 4, 5))
    note = "Above zero: the first is better. p: how often chance alone gives a difference as large."
    return f'<h2>Paired tests</h2><div class="panel"><p class="dim">{note}</p>{told}</div>'


def _curves(rows: Sequence[Row]) -> str:
    panels = [_panel(f"Loss: {row.title}", svg.losses(row.history)) for row in rows if row.history]
    return f'<h2>Learning curves</h2><div class="panels">{"".join(panels)}</div>' if panels else ""


def _nodes(row: Row) -> str:
    """What each node of a small layer stands for."""
    tables = [_panel(f"Layer {layer}", _node_table(nodes)) for layer, nodes in row.nodes.items()]
    note = '<p class="dim">Correlation with labels, and the songs that excite a node most; training songs left out.</p>'
    return f"<h2>Nodes of {shown(row.title)}</h2>{note}{''.join(tables)}"


def _node_table(nodes: Sequence[Node]) -> str:
    lines = [
        (
            str(node.number + 1),
            ", ".join(f"{label} ({r:+.2f})" for label, r in node.labels) or "nothing: it never changes",
            ", ".join(name for name, _ in node.songs[:3]),
        )
        for node in nodes
    ]
    return table(("node", "goes with", "excited most by"), lines)


def _notes(rows: Sequence[Row]) -> str:
    parts = [
        f"<h3>{shown(recipe)}</h3><ul>{''.join(f'<li>{shown(note)}</li>' for note in notes)}</ul>"
        for recipe, notes in {row.recipe: row.notes for row in rows}.items()
        if notes
    ]
    return (
        f'<h2>What was chosen where a source is silent</h2><div class="panel">{"".join(parts)}</div>' if parts else ""
    )


def _panel(title: str, body: str) -> str:
    return f'<div class="panel"><h3>{shown(title)}</h3>{body}</div>'
