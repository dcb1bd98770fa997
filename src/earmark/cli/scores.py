"""Scores for people: an evaluation as tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from earmark.cli.console import columns, fit, plain, print_table, style_of

if TYPE_CHECKING:
    from earmark.evaluation.evaluate import Evaluation

__all__ = ["headline", "print_evaluation"]

_CONFUSED = 12  # labels of a confusion table that is printed whole
_LABELS = 30
_WRONG = 5


def print_evaluation(found: Evaluation) -> None:
    """Print an evaluation: a headline and a table a head, then the paired test and the jumps."""
    style = style_of(sys.stdout)
    title = f"{found.model} on {found.dataset}, part {found.part}, intervals drawn by {found.group_by}"
    print(style(plain(title), "bold"))
    for name, figures in found.figures.items():
        print(f"\n{style(plain(name), 'bold')}  {headline(figures)}")
        for line in _more(figures):
            print(f"  {style(plain(line), 'dim')}")
        _print_labels(figures)
        _print_confusion(figures)
    _print_leaky(found)
    _print_against(found.against)
    for jump in found.jumps:
        print(f"\njump of the validation loss in epoch {jump.epoch}, by {jump.rise:.3f}: {plain(jump.says[0])}")
        for line in jump.says[1:]:
            print(f"  {style(plain(line), 'dim')}")


def headline(figures: Mapping[str, Any]) -> str:
    """One line: the head's main figures, with intervals."""
    if figures["task"] == "multiclass":
        return (
            f"accuracy {_percent(figures['accuracy'], figures['accuracy_ci95'])}"
            f"   macro F1 {_number(figures['macro_f1'], figures['macro_f1_ci95'])}   {figures['tracks']} tracks"
        )
    if figures["task"] == "multilabel":
        return (
            f"ROC-AUC {_number(figures['roc_auc_macro'], figures['roc_auc_macro_ci95'])}"
            f"   PR-AUC {_number(figures['pr_auc_macro'], figures['pr_auc_macro_ci95'])}   {figures['tracks']} tracks"
        )
    return (
        f"R2 {_number(figures['r2'], figures['r2_ci95'])}"
        f"   mean absolute error {_number(figures['mae'], figures['mae_ci95'])}   {figures['tracks']} tracks"
    )


def _more(figures: Mapping[str, Any]) -> Iterator[str]:
    if figures["task"] == "multiclass":
        limit = "" if figures["ece_limit"] is None else f" (chance alone: up to {figures['ece_limit']:.3f})"
        yield f"calibration error {_number(figures['ece'])}{limit}"
        yield f"it answers {_percent(figures['coverage'])}; of the answers {_percent(figures['precision'])} are right"
        if (plain := figures.get("without_step_ups")) is not None:
            right = f"of these {_percent(plain['precision'])} are right"
            yield f"by its best label, and no name above it, it answers {_percent(plain['coverage'])}; {right}"
        if figures["train_accuracy"] is not None:
            yield f"on its training part: {_percent(figures['train_accuracy'])}"
    elif figures["task"] == "multilabel":
        no = _percent(figures["label_accuracy_of_no"])
        named = f"of the labels that it names {_percent(figures.get('precision'))} are right"
        yield f"it names labels of {_percent(figures.get('coverage'))} of the tracks; {named}"
        yield f"label accuracy {_percent(figures['label_accuracy'])}; answering no to everything: {no}"
        if figures["labels_not_scored"]:
            yield f"without a positive or a negative, not scored: {_some(figures['labels_not_scored'])}"
    yield from _by_artists(figures)
    counts = figures.get("label_counts")
    if counts and (counts["scored"] < counts["model"] or counts["scored"] < counts["dataset"]):
        yield f"labels: {counts['model']} of the model, {counts['dataset']} of the data set, {counts['scored']} in both"
        for side, names in figures["labels_left_out"].items():
            if names:
                yield f"only the {'model' if side == 'model' else 'data set'} has: {_some(names)}"
    if figures.get("unknown_tracks"):
        yield f"{figures['unknown_tracks']} tracks are not scored: the model does not know their label"


def _by_artists(figures: Mapping[str, Any]) -> Iterator[str]:
    """The main figure apart for artists that the model was trained on, and for others."""
    for kind, name in (("heard", "by artists it was trained on"), ("unheard", "by other artists")):
        if kind in figures:
            key = next(key for key in ("accuracy", "roc_auc_macro", "r2") if key in figures)
            value, between = figures[kind][key], figures[kind][f"{key}_ci95"]
            figure = _percent(value, between) if key == "accuracy" else _number(value, between)
            yield f"{figures[kind]['tracks']} tracks {name}: {figure}"


def _print_labels(figures: Mapping[str, Any]) -> None:
    rows = list(figures.get("per_label", {}).items())
    if not rows:
        return
    print()
    if figures["task"] == "multiclass":
        header: tuple[str, ...] = ("label", "tracks", "precision", "recall", "95 % interval", "F1")
        cells = [
            (
                label,
                str(r["tracks"]),
                _percent(r["precision"]),
                _percent(r["recall"]),
                _between(r["recall_ci95"]),
                _number(r["f1"]),
            )
            for label, r in rows
        ]
    else:
        rows.sort(key=lambda row: -(row[1]["roc_auc"] or 0))
        header = ("label", "tracks", "ROC-AUC", "95 % interval", "PR-AUC", "F1")
        cells = [
            (
                label,
                str(r["tracks"]),
                _number(r["roc_auc"]),
                _between(r["roc_auc_ci95"], 1),
                _number(r["pr_auc"]),
                _number(r["f1"]),
            )
            for label, r in rows
        ]
    print_table(header, [(fit(plain(row[0]), min(28, 28)).rstrip(), *row[1:]) for row in cells[:_LABELS]])
    if len(cells) > _LABELS:
        print(f"... and {len(cells) - _LABELS} more labels (-f json, or --report, has them all)")


def _print_confusion(figures: Mapping[str, Any]) -> None:
    """The whole table where it fits, else what is mistaken most."""
    labels: Sequence[str] = figures.get("labels", ())
    table: Sequence[Sequence[int]] = figures.get("confusion", ())
    if not table or not figures["tracks"]:
        return
    width = max(4, *(len(str(n)) + 1 for row in table for n in row))
    print()
    if len(labels) <= _CONFUSED and 20 + len(labels) * max(width, 7) <= columns():
        short = [fit(plain(label), 6).rstrip() for label in labels]
        print_table(
            ("true \\ predicted", *short), [(label, *map(str, row)) for label, row in zip(labels, table, strict=True)]
        )
        return
    wrong = [
        (count, labels[i], labels[j]) for i, row in enumerate(table) for j, count in enumerate(row) if i != j and count
    ]
    wrong.sort(key=lambda item: -item[0])
    print_table(
        ("tracks", "true", "predicted"), [(str(n), given, predicted) for n, given, predicted in wrong[: 2 * _WRONG]]
    )


def _print_leaky(found: Evaluation) -> None:
    if not found.naive:
        return
    print("\nrandom split (leaky): clips of one song stand on both sides")
    for name, figures in found.naive.items():
        print(f"  {plain(name)}  {headline(figures)}")


def _print_against(against: Mapping[str, Any] | None) -> None:
    if against is None:
        return
    print(f"\nagainst {plain(str(against['model']))} (above zero: this model is better)")
    rows = [
        (head, r["figure"].replace("_", " "), f"{r['difference']:+.4f}", _between(r["ci95"], 1), f"{r['p']:.4f}")
        for head, r in against["heads"].items()
    ]
    print_table(("head", "figure", "difference", "95 % interval", "p"), rows)


def _percent(value: float | None, interval: Sequence[float] | None = None) -> str:
    text = "-" if value is None else f"{100 * value:.1f} %"
    return text if interval is None else f"{text} ({_between(interval)})"


def _number(value: float | None, interval: Sequence[float] | None = None) -> str:
    text = "-" if value is None else f"{value:.3f}"
    return text if interval is None else f"{text} ({_between(interval, 1)})"


def _between(interval: Sequence[float] | None, scale: int = 100) -> str:
    if interval is None:
        return "-"
    low, high = interval
    return f"{low:.3f} to {high:.3f}" if scale == 1 else f"{100 * low:.1f} to {100 * high:.1f}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f", and {len(names) - 10} more" if len(names) > 10 else "")
