"""One head's section of the report: its figures, pictures, table, and the songs that it got most wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from earmark.evaluation import metrics
from earmark.evaluation.answers import HeadAnswers
from earmark.pages import svg
from earmark.pages.text import number, percent, percent_interval, shown, table

__all__ = ["card", "head_section"]

_SONGS = 20
_LABELS = 60
"""So many bars are drawn; the table holds all labels."""


def head_section(anchor: str, head: HeadAnswers, figures: Mapping[str, Any]) -> str:
    """The section as HTML."""
    parts = {"multiclass": _multiclass, "multilabel": _multilabel, "regression": _regression}[head.task]
    body = parts(head, figures) if head.tracks else '<p class="dim">No track has a label that the model knows.</p>'
    return f'<section><h2 id="{anchor}">{shown(head.name)}</h2>{_left_out(figures)}{body}</section>'


def card(name: str, value: str, note: str = "", main: bool = False) -> str:
    """One large figure."""
    return (
        f'<div class="card{" main" if main else ""}"><div class="name">{shown(name)}</div>'
        f'<div class="value">{shown(value)}</div><div class="note">{shown(note)}</div></div>'
    )


def _multiclass(head: HeadAnswers, figures: Mapping[str, Any]) -> str:
    limit = figures["ece_limit"]
    cards = [
        card("accuracy", percent(figures["accuracy"]), percent_interval(figures["accuracy_ci95"]), main=True),
        card("macro F1", number(figures["macro_f1"]), _between(figures["macro_f1_ci95"])),
        card("calibration error", number(figures["ece"]), "" if limit is None else f"chance alone: up to {limit:.3f}"),
        card("answers", percent(figures["coverage"]), f"of them right: {percent(figures['precision'])}"),
        card("training part", percent(figures["train_accuracy"]), _fit(figures)),
    ]
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
    panels = [
        _panel(
            "Confusion",
            svg.heat_map(np.array(figures["confusion"]), figures["labels"])
            + '<p class="dim">Rows: what is true, with its tracks. Columns: what was heard.</p>',
        ),
        _panel("Reliability", _reliability(right, head.scores.max(1))),
        _panel("Recall of each label, with 95 % intervals", svg.bars(rows[:_LABELS])),
        _panel("Labels", table(header, classes, range(1, 6))),
    ]
    return f'<div class="cards">{"".join(cards)}</div><div class="panels">{"".join(panels)}</div>' + _most_wrong(head)


def _multilabel(head: HeadAnswers, figures: Mapping[str, Any]) -> str:
    roc, pr = figures["roc_auc_macro"], figures["pr_auc_macro"]
    no = percent(figures["label_accuracy_of_no"])
    cards = [
        card("ROC-AUC, macro", number(roc), _between(figures["roc_auc_macro_ci95"]), main=True),
        card("PR-AUC, macro", number(pr), _between(figures["pr_auc_macro_ci95"])),
        card("macro F1", number(figures["macro_f1"])),
        card("label accuracy", percent(figures["label_accuracy"]), f"answering no to all: {no}"),
        card("calibration error", number(figures["ece"])),
    ]
    ranked = sorted(figures["per_label"].items(), key=lambda item: -(item[1]["roc_auc"] or 0))
    rows = [
        svg.Bar(label, r["roc_auc"], r["roc_auc_ci95"], f"{number(r['roc_auc'])} of {r['tracks']}")
        for label, r in ranked
    ]
    panels = [
        _panel("ROC-AUC of each label, with 95 % intervals", svg.bars(rows[:_LABELS], reference=0.5)),
        _panel("Reliability", _reliability(head.truth.ravel(), head.scores.ravel())),
    ]
    labels = [
        (
            label,
            str(r["tracks"]),
            number(r["roc_auc"]),
            _between(r["roc_auc_ci95"]),
            number(r["pr_auc"]),
            number(r["f1"]),
        )
        for label, r in ranked
    ]
    header = ("label", "tracks", "ROC-AUC", "95 % interval", "PR-AUC", "F1")
    return (
        f'<div class="cards">{"".join(cards)}</div><div class="panels">{"".join(panels)}</div>'
        + _panel("Labels", table(header, labels, range(1, 6)))
        + _most_wrong_labels(head)
    )


def _regression(head: HeadAnswers, figures: Mapping[str, Any]) -> str:
    cards = [
        card("R²", number(figures["r2"]), _between(figures["r2_ci95"]), main=True),
        card("mean absolute error", number(figures["mae"]), _between(figures["mae_ci95"])),
    ]
    said = head.scores[:, 0]
    worst = np.argsort(-np.abs(said - head.truth), kind="stable")[:_SONGS]
    songs = [(head.tracks[i], number(head.truth[i]), number(said[i])) for i in worst]
    return (
        f'<div class="cards">{"".join(cards)}</div><div class="panels">'
        + _panel("True against said", svg.scatter(head.truth, said))
        + _panel("Songs that it got most wrong", table(("track", "true", "said"), songs, (1, 2)))
        + "</div>"
    )


def _most_wrong(head: HeadAnswers) -> str:
    """The songs that it was surest of and wrong."""
    confidence = head.scores.max(1)
    wrong = np.flatnonzero(head.guess != head.truth)
    if not len(wrong):
        return _panel("Songs that it got most wrong", '<p class="dim">None: every song is right.</p>')
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
    header = ("track", "true", "heard", "confidence", "of the true one")
    return _panel(f"Songs that it got most wrong, of {len(wrong)}", table(header, songs, (3, 4)))


def _most_wrong_labels(head: HeadAnswers) -> str:
    """The songs whose labels were least likely by what it said (sum of log-probabilities)."""
    likely = np.log(np.clip(np.where(head.truth == 1, head.scores, 1 - head.scores), 1e-4, 1))
    songs = []
    for i in np.argsort(likely.sum(1), kind="stable")[:_SONGS]:
        order = [int(j) for j in np.argsort(likely[i], kind="stable")[:4]]
        missed = [f"{head.labels[j]} ({head.scores[i, j]:.2f})" for j in order if head.truth[i, j] == 1]
        invented = [f"{head.labels[j]} ({head.scores[i, j]:.2f})" for j in order if head.truth[i, j] == 0]
        songs.append((head.tracks[i], ", ".join(missed), ", ".join(invented)))
    header = ("track", "true but not heard", "heard but not true")
    return _panel("Songs that it got most wrong", table(header, songs))


def _reliability(right: metrics.Float, confidence: metrics.Float) -> str:
    promised, kept, count = metrics.reliability(right, confidence)
    rows = [
        (f"{i / len(count):.1f} to {(i + 1) / len(count):.1f}", f"{n:.0f}", number(p, 2), number(k, 2))
        for i, (p, k, n) in enumerate(zip(promised, kept, count, strict=True))
        if n
    ]
    told = table(("confidence", "answers", "promised", "kept"), rows, (0, 1, 2, 3))
    return f"{svg.reliability(promised, kept, count)}<details><summary>as numbers</summary>{told}</details>"


def _left_out(figures: Mapping[str, Any]) -> str:
    counts, left = figures.get("label_counts"), figures.get("labels_left_out")
    if counts is None or left is None:
        return f'<p class="dim">{figures["tracks"]} tracks.</p>'
    words = [f"{figures['tracks']} tracks; {counts['scored']} labels known to both"]
    if left["model"] or left["dataset"]:
        words[0] += f" (the model knows {counts['model']}, the data set has {counts['dataset']})"
    for side, names in (("only the model knows", left["model"]), ("only the data set has", left["dataset"])):
        if names:
            words.append(f"{side} {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}")
    if figures["unknown_tracks"]:
        words.append(f"{figures['unknown_tracks']} tracks of such labels are not scored")
    return f'<p class="dim">{shown("; ".join(words))}.</p>'


def _fit(figures: Mapping[str, Any]) -> str:
    """How the training part compares: over- and underfitting can be seen here."""
    train, test = figures["train_accuracy"], figures["accuracy"]
    if train is None or test is None:
        return "not kept by this model"
    return f"{100 * (train - test):+.1f} points beside this part"


def _between(interval: list[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def _panel(title: str, body: str) -> str:
    return f'<div class="panel"><h3>{shown(title)}</h3>{body}</div>'
