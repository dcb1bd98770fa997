"""The report of a comparison: one page, a row a recipe, that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earmark.evaluation.comparison import Comparison, Row
from earmark.evaluation.scores import main_figure
from earmark.pages import svg
from earmark.pages.heads import confusion, nodes_section
from earmark.pages.render import Site, document_page, write_page
from earmark.pages.text import interval, number
from earmark.pages.view import Document, Panel, Section, Table

__all__ = ["comparison_page", "write_comparison"]


def write_comparison(found: Comparison, folder: Path) -> Path:
    """Write ``index.html`` and ``comparison.json`` into a folder.

    Returns:
        The page.

    Raises:
        StorageError: The folder cannot be written.
    """
    return write_page(folder, comparison_page(found), found.to_dict(), "comparison.json")


def comparison_page(found: Comparison, site: Site | None = None) -> str:
    """The whole page as HTML; ``site`` as in :func:`earmark.pages.render.render`."""
    heads = dict.fromkeys(head for row in found.table for head in row.heads)
    curves = [
        Panel(f"{name}: {row.title}", drawn)
        for row in found.rows
        if row.history
        for name, drawn in (("Loss", svg.losses(row.history)), ("Score", svg.scores(row.history)))
        if drawn
    ]
    notes = {row.recipe: row.notes for row in found.table if row.notes}
    silent = [Panel(recipe, items=lines) for recipe, lines in notes.items()]
    sections = [
        *(_head(head, found) for head in heads),
        _costs(found.table),
        *([_paired(found.paired)] if found.paired else []),
        *([Section("Learning curves", panels=curves)] if curves else []),
        *(nodes_section(row.title, row.nodes) for row in found.rows if row.nodes),
        *([Section("What was chosen where a source is silent", panels=silent)] if silent else []),
    ]
    about = (
        f"scored on the {found.part} part · no {found.group_by} in two parts · 95 % intervals drawn by {found.group_by}"
    )
    title = f"{len(found.rows)} recipes on {found.dataset}"
    return document_page(Document(title, about, sections, found.advice.text, found.notices), site)


def _head(head: str, found: Comparison) -> Section:
    """One head: bars of the part that is scored, a table of all parts, and confusion tables."""
    rows = [(row, row.heads[head]) for row in found.table if head in row.heads]
    key = main_figure(rows[0][1]["task"])
    name = key.replace("_", " ")
    scored = [(row, figures) for row, figures in rows if key in figures]
    bars = [svg.Bar(row.title, f[key], f.get(f"{key}_ci95"), number(f[key])) for row, f in scored]
    leaking = any(row.naive for row, _ in rows)
    lines = [
        [
            row.title,
            *(_with_interval(figures, f"{part}{key}") for part in ("train_", "valid_", "")),
            *([_leaky(row, head)] if leaking else []),
        ]
        for row, figures in rows
    ]
    header = [name, "training part", "validation part", f"{found.part} part", *(["random split"] if leaking else [])]
    text = 'Random split ("leaky"): trained and tested on clips split at random, one song on both sides.'
    parts = Panel(
        "Every part, dropout off",
        text=text if leaking else "",
        table=Table(header, lines, range(1, len(header))),
        full=True,
    )
    panels = [
        parts,
        *([Panel(f"{name} on the {found.part} part", svg.bars(bars))] if bars else []),
        *(confusion(f"Confusion: {row.title}", figures) for row, figures in scored if "confusion" in figures),
    ]
    return Section(head, panels=panels)


def _leaky(row: Row, head: str) -> str:
    figures = row.naive.get(head, {})
    return _with_interval(figures, main_figure(figures["task"])) if "task" in figures else "–"


def _with_interval(figures: Mapping[str, Any], key: str) -> str:
    between, value = figures.get(f"{key}_ci95"), number(figures.get(key))
    return value if between is None else f"{value} ({interval(between)})"


def _costs(rows: Sequence[Row]) -> Section:
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
    header = ("recipe", "parameters", "GFLOP a song", "songs/s", "training, min", "notice")
    text = "Songs/s: the exported models on one core, decoding included, in turns."
    return Section("Costs", text, panels=[Panel(table=Table(header, lines, (1, 2, 3, 4)))])


def _paired(tests: Sequence[Mapping[str, Any]]) -> Section:
    lines = [
        (t["a"], t["b"], t["head"], number(t["difference"]), interval(t["ci95"], without="–"), number(t["p"], 4))
        for t in tests
    ]
    table = Table(("first", "second", "head", "difference", "95 % interval", "p"), lines, (3, 4, 5))
    text = "Above zero: the first is better. p: how often chance alone gives a difference as large."
    return Section("Paired tests", text, panels=[Panel(table=table)])
