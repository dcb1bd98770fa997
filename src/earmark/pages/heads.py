"""One head's section of the report: its figures, pictures, table, and the songs that it got most wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from earmark.evaluation import metrics
from earmark.evaluation.comparison import Node
from earmark.evaluation.scores import HeadAnswers, main_figure
from earmark.pages import svg
from earmark.pages.text import interval, number, percent, percent_interval
from earmark.pages.view import Card, Panel, Section, Table

__all__ = ["confusion", "head_section", "nodes_section"]

_SONGS = 20
_WIDE = 7
"""Labels of a confusion table, and of a table of labels, that fit into half of a page."""
_LABELS = 60
"""So many bars are drawn; the table holds all labels."""


def head_section(head: HeadAnswers, figures: Mapping[str, Any]) -> Section:
    """What a page shows of one head."""
    if not head.tracks:
        return Section(head.name, f"{_labels(figures)} No track has a label that the model knows.")
    parts = {"multiclass": _multiclass, "multilabel": _multilabel, "regression": _regression}[head.task]
    cards, panels = parts(head, figures)
    cards += _by_artists(figures)
    return Section(head.name, _labels(figures), cards, panels)


def _by_artists(figures: Mapping[str, Any]) -> list[Card]:
    """The main figure apart for artists that the model was trained on, and for others."""
    found = []
    for kind, name in (("heard", "artists it was trained on"), ("unheard", "other artists")):
        if kind in figures:
            key = main_figure(figures["task"])
            value, between = figures[kind][key], figures[kind][f"{key}_ci95"]
            note = f"{figures[kind]['tracks']} tracks{', ' if between else ''}{interval(between)}"
            found.append(Card(f"{name}: {key.replace('_', ' ')}", number(value), note))
    return found


def confusion(title: str, figures: Mapping[str, Any]) -> Panel:
    """A confusion table."""
    picture = svg.heat_map(np.array(figures["confusion"]), figures["labels"])
    text = "Rows: what is true, with its tracks. Columns: what was predicted."
    return Panel(title, picture, text, scrolls=True, full=len(figures["labels"]) > _WIDE)


def _multiclass(head: HeadAnswers, figures: Mapping[str, Any]) -> tuple[list[Card], list[Panel]]:
    limit = figures["ece_limit"]
    cards = [
        Card("accuracy", percent(figures["accuracy"]), percent_interval(figures["accuracy_ci95"]), main=True),
        Card("macro F1", number(figures["macro_f1"]), interval(figures["macro_f1_ci95"])),
        Card("calibration error", number(figures["ece"]), "" if limit is None else f"chance alone: up to {limit:.3f}"),
        Card("tracks with a label", percent(figures["coverage"]), f"of them right: {percent(figures['precision'])}"),
        Card("training part", percent(figures["train_accuracy"]), _fit(figures)),
    ]
    if (plain := figures.get("without_step_ups")) is not None:
        right = f"of them right: {percent(plain['precision'])}"
        cards.insert(4, Card("with their best label, none above", percent(plain["coverage"]), right))
    rows = [
        svg.Bar(label, row["recall"], row["recall_ci95"], f"{percent(row['recall'])} of {row['tracks']}")
        for label, row in figures["per_label"].items()
    ]
    classes = [
        (
            label,
            str(r["tracks"]),
            percent(r["precision"]),
            percent(r["recall"]),
            percent_interval(r["recall_ci95"]),
            number(r["f1"]),
        )
        for label, r in figures["per_label"].items()
    ]
    header = ("label", "tracks", "precision", "recall", "95 % interval", "F1")
    right = (head.guess == head.truth).astype(np.float64)
    return cards, [
        confusion("Confusion", figures),
        _reliability(right, head.scores.max(1)),
        Panel("Recall of each label, with 95 % intervals", svg.bars(rows[:_LABELS])),
        Panel("Labels", table=Table(header, classes, range(1, 6)), full=len(head.labels) > _WIDE),
        _most_wrong(head),
    ]


def _multilabel(head: HeadAnswers, figures: Mapping[str, Any]) -> tuple[list[Card], list[Panel]]:
    no = percent(figures["label_accuracy_of_no"])
    roc, pr = figures["roc_auc_macro"], figures["pr_auc_macro"]
    cards = [
        Card("ROC-AUC, macro", number(roc), interval(figures["roc_auc_macro_ci95"]), main=True),
        Card("PR-AUC, macro", number(pr), interval(figures["pr_auc_macro_ci95"])),
        Card("macro F1", number(figures["macro_f1"])),
        Card("tracks with a label", percent(figures.get("coverage")), f"right: {percent(figures.get('precision'))}"),
        Card("label accuracy", percent(figures["label_accuracy"]), f"predicting no label at all: {no}"),
        Card("calibration error", number(figures["ece"])),
    ]
    ranked = sorted(figures["per_label"].items(), key=lambda item: -(item[1]["roc_auc"] or 0))
    rows = [
        svg.Bar(label, r["roc_auc"], r["roc_auc_ci95"], f"{number(r['roc_auc'])} of {r['tracks']}")
        for label, r in ranked
    ]
    labels = [
        (
            label,
            str(r["tracks"]),
            number(r["roc_auc"]),
            interval(r["roc_auc_ci95"]),
            number(r["pr_auc"]),
            number(r["f1"]),
        )
        for label, r in ranked
    ]
    header = ("label", "tracks", "ROC-AUC", "95 % interval", "PR-AUC", "F1")
    return cards, [
        Panel("ROC-AUC of each label, with 95 % intervals", svg.bars(rows[:_LABELS], reference=0.5)),
        _reliability(head.truth.ravel(), head.scores.ravel()),
        Panel("Labels", table=Table(header, labels, range(1, 6)), full=True),
        _most_wrong_labels(head),
    ]


def _regression(head: HeadAnswers, figures: Mapping[str, Any]) -> tuple[list[Card], list[Panel]]:
    cards = [
        Card("R²", number(figures["r2"]), interval(figures["r2_ci95"]), main=True),
        Card("mean absolute error", number(figures["mae"]), interval(figures["mae_ci95"])),
    ]
    predicted = head.scores[:, 0]
    worst = np.argsort(-np.abs(predicted - head.truth), kind="stable")[:_SONGS]
    songs = [(head.tracks[i], number(head.truth[i]), number(predicted[i])) for i in worst]
    return cards, [
        Panel("True against predicted", svg.scatter(head.truth, predicted)),
        _songs("", ("track", "true", "predicted"), songs, (1, 2)),
    ]


def _most_wrong(head: HeadAnswers) -> Panel:
    """The songs that it was surest of and wrong."""
    confidence = head.scores.max(1)
    wrong = np.flatnonzero(head.guess != head.truth)
    if not len(wrong):
        return Panel("Songs that it got most wrong", text="None: every song is right.", full=True)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][:_SONGS]
    songs = [
        (
            head.tracks[i],
            head.labels[int(head.truth[i])],
            head.labels[int(head.guess[i])],
            percent(float(confidence[i])),
            percent(float(head.scores[i, int(head.truth[i])])),
        )
        for i in order
    ]
    header = ("track", "true", "predicted", "confidence", "of the true one")
    return _songs(f", of {len(wrong)}", header, songs, (3, 4), full=True)


def _most_wrong_labels(head: HeadAnswers) -> Panel:
    """The songs whose labels were least likely by its scores (sum of log-probabilities)."""
    likely = np.log(np.clip(np.where(head.truth == 1, head.scores, 1 - head.scores), 1e-4, 1))
    songs = []
    for i in np.argsort(likely.sum(1), kind="stable")[:_SONGS]:
        order = [int(j) for j in np.argsort(likely[i], kind="stable")[:4]]
        missed = [f"{head.labels[j]} ({head.scores[i, j]:.2f})" for j in order if head.truth[i, j] == 1]
        invented = [f"{head.labels[j]} ({head.scores[i, j]:.2f})" for j in order if head.truth[i, j] == 0]
        songs.append((head.tracks[i], ", ".join(missed), ", ".join(invented)))
    return _songs("", ("track", "true, not predicted", "predicted, not true"), songs, full=True)


def _songs(
    more: str, header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = (), full: bool = False
) -> Panel:
    return Panel(f"Songs that it got most wrong{more}", table=Table(header, rows, numbers, stacked=True), full=full)


def _reliability(right: metrics.Float, confidence: metrics.Float) -> Panel:
    mean, kept, count = metrics.reliability(right, confidence)
    rows = [
        (f"{i / len(count):.1f} to {(i + 1) / len(count):.1f}", f"{n:.0f}", number(p, 2), number(k, 2))
        for i, (p, k, n) in enumerate(zip(mean, kept, count, strict=True))
        if n
    ]
    table = Table(("confidence", "predictions", "mean confidence", "share right"), rows, range(4))
    return Panel("Reliability", svg.reliability(mean, kept, count), table=table)


def _labels(figures: Mapping[str, Any]) -> str:
    """How many tracks, and which labels are scored."""
    counts, left = figures.get("label_counts"), figures.get("labels_left_out")
    if counts is None or left is None:
        return f"{figures['tracks']} tracks."
    words = [f"{figures['tracks']} tracks; {counts['scored']} labels known to both"]
    if left["model"] or left["dataset"]:
        words[0] += f" (the model knows {counts['model']}, the data set has {counts['dataset']})"
    for side, names in (("only the model knows", left["model"]), ("only the data set has", left["dataset"])):
        if names:
            words.append(f"{side} {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}")
    if figures["unknown_tracks"]:
        words.append(f"{figures['unknown_tracks']} tracks of such labels are not scored")
    return "; ".join(words) + "."


def _fit(figures: Mapping[str, Any]) -> str:
    """How the training part compares: over- and underfitting can be seen here."""
    train, test = figures["train_accuracy"], figures["accuracy"]
    if train is None or test is None:
        return "not kept by this model"
    return f"{100 * (train - test):+.1f} points beside this part"


def nodes_section(title: str, layers: Mapping[str, Sequence[Node]]) -> Section:
    """What each node of the small layers of a model stands for."""
    panels = [Panel(f"Layer {layer}", table=_node_table(nodes), full=True) for layer, nodes in layers.items()]
    text = "Correlation with labels, and the songs that excite a node most; training songs left out."
    return Section(f"Nodes of {title}", text, panels=panels)


def _node_table(nodes: Sequence[Node]) -> Table:
    lines = [
        (
            str(node.number + 1),
            ", ".join(f"{label} ({r:+.2f})" for label, r in node.labels) or "nothing: it never changes",
            ", ".join(name for name, _ in node.songs[:3]),
        )
        for node in nodes
    ]
    return Table(("node", "correlates with", "excited most by"), lines, stacked=True)
