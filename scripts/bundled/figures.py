"""What the bundled model's answers are worth: coverage and precision out of fold, and how often they contradict.

Figures out of fold are made with the model, thresholds included (those of the other folds), and kept in its card;
contradictions are counted on what the product itself says of songs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.evaluation.metrics import ece, roc_auc
from earmark.inference.answers import answers
from earmark.inference.records import HeadPrediction, Prediction
from earmark.models.card import Card, HeadCard
from scripts.bundled import labels
from scripts.bundled.calibration import calibrated, rights
from scripts.bundled.heads import FOLDS, Corpus, Embedded, FittedHeads, fold_of, track_scores
from scripts.bundled.probe import resampled

__all__ = [
    "agreement_figures", "answer_tables", "contradictions", "genre_figures", "instrument_figures", "label_figures",
    "markdown", "nested", "voice_figures",
]  # fmt: skip

Double = NDArray[np.float64]
Answers = Sequence[Mapping[str, HeadPrediction]]
LEAST_KNOWN = 5
"""Songs that have an instrument, and that lack it, to say how often it is named."""
POSITIVE, ENERGETIC = ("happy", "calm"), ("happy", "tense")


def nested(corpus: Corpus, fitted: FittedHeads, embedded: Embedded) -> dict[str, dict[str, Any]]:
    """By head, figures out of fold: the answers' thresholds, too, come from other artists."""
    fold = fold_of(corpus.groups)
    said: list[Mapping[str, HeadPrediction]] = [{} for _ in fold]
    for number in range(FOLDS):
        heads = calibrated(corpus, fitted, embedded, fold != number)
        scores = {head.name: track_scores(fitted.raw[head.name], embedded.owner, head) for head in heads}
        for row in np.flatnonzero(fold == number):
            said[row] = answers(heads, {name: table[row].tolist() for name, table in scores.items()})
    found: dict[str, dict[str, Any]] = {"genre": genre_figures(corpus, fitted.heads[0], said)}
    for head in fitted.heads:
        if head.task == "multilabel":
            found[head.name] = label_figures(corpus, head, said)
    for name, figures in (("voice", voice_figures), ("instruments", instrument_figures)):
        if name in found:
            found[name]["known"] = figures(corpus, next(head for head in fitted.heads if head.name == name), said)
    return found


def genre_figures(corpus: Corpus, head: HeadCard, said: Answers) -> dict[str, Any]:
    """By corpus, what the answers of genre are worth.

    An answer is right where the track's own labels may mean it: it, or something below it, is in their set.
    """
    column = {name: [head.labels.index(label) for label in head.below(name)] for name in ("", *head.names)}
    scores = np.array([list(one["genre"].scores.values()) for one in said])
    named = [one["genre"].label or "" for one in said]
    right = np.array([(row[column[name]] > 0).any() for name, row in zip(named, corpus.stated, strict=True)])
    given = np.array([name != "" for name in named])
    leaf = np.array([name == head.labels[best] for name, best in zip(named, scores.argmax(1), strict=True)])
    confidence = np.array([one["genre"].confidence for one in said])
    best = corpus.stated[np.arange(len(scores)), scores.argmax(1)] > 0
    loss = -np.log(np.maximum(np.nan_to_num(corpus.stated * scores).sum(1), 1e-6))
    known, groups = ~np.isnan(corpus.stated[:, 0]), np.array(corpus.groups)

    def measured(rows: NDArray[np.intp]) -> dict[str, Any]:
        mine = rows[given[rows]]
        facts = {
            "tracks": len(rows),
            "coverage": given[rows].mean(), "precision": right[mine].mean(),
            "coverage_labels": leaf[rows].mean(), "precision_labels": right[rows[leaf[rows]]].mean(),
            "best_guess": best[rows].mean(), "log_loss": loss[rows].mean(), "ece": ece(right[mine], confidence[mine]),
        }  # fmt: skip
        for key, values, of in (("coverage", given, rows), ("precision", right, mine), ("best_guess", best, rows)):
            facts[f"{key}_ci95"] = _interval(np.asarray(values[of], np.float64), groups[of])
        return _plain(facts)

    parts = {"all": known} | {str(name): known & (corpus.origin == name) for name in dict.fromkeys(corpus.origin)}
    return {name: measured(np.flatnonzero(rows)) for name, rows in parts.items()}


def agreement_figures(corpus: Corpus, head: HeadCard, scores: Double) -> dict[str, Any]:
    """How well labels that rest on teachers are told where these agree: macro ROC-AUC, and by label."""
    marks, groups = corpus.learnt[head.name], np.array(corpus.groups)

    def area(column: int, rows: NDArray[np.int64]) -> float:
        mine = rows[~np.isnan(marks[rows, column])]
        return float(roc_auc(marks[mine, column], scores[mine, column]))

    def macro(rows: NDArray[np.int64]) -> float:
        return float(np.nanmean([area(column, rows) for column in range(len(head.labels))]))

    known = np.flatnonzero(~np.isnan(marks).all(1))
    per_label = {
        label: {"roc_auc": area(column, known), "tracks": int((marks[:, column] == 1).sum())}
        for column, label in enumerate(head.labels)
    }
    facts = {
        "roc_auc_macro": macro(known),
        "roc_auc_macro_ci95": resampled(lambda r: macro(known[r]), groups[known], 100),
    }
    return {"tracks": len(known), **_plain(facts), "per_label": {k: _plain(v) for k, v in per_label.items()}}


def _interval(values: Double, groups: NDArray[Any]) -> tuple[float, float]:
    return resampled(lambda drawn: float(values[drawn].mean()), groups, 300)


def label_figures(corpus: Corpus, head: HeadCard, said: Answers) -> dict[str, Any]:
    """How often a label that is named is right, how many a track has, and how many tracks have none."""
    right = rights(corpus, head.name)
    known = np.flatnonzero(~np.isnan(right).all(1))
    given = np.array([[label in one[head.name].labels for label in head.labels] for one in said])
    never = [label for column, label in enumerate(head.labels) if not given[:, column].any()]
    groups = np.array(corpus.groups)

    def precision(rows: NDArray[np.int64]) -> float:
        mine = right[known[rows]][given[known[rows]]]
        return float(np.nansum(mine) / max(1, (~np.isnan(mine)).sum()))

    facts = {
        "tracks": len(known), "precision": precision(np.arange(len(known))),
        "precision_ci95": resampled(precision, groups[known], 300),
        "labels_a_track": given[known].sum(1).mean(), "without": (given[known].sum(1) == 0).mean(),
        "never_named": never,
    }  # fmt: skip
    return _plain(facts)


def voice_figures(corpus: Corpus, head: HeadCard, said: Answers) -> dict[str, Any]:
    """By who is known to sing, in how many songs of how many artists, and the share of them that each voice names."""
    given = np.array([[label in one[head.name].labels for label in head.labels] for one in said])
    groups, voices, found = np.array(corpus.groups), np.array([song.voice for song in corpus.known]), {}
    for voice in labels.VOICES:
        rows = np.flatnonzero((voices == voice) & ~np.isnan(corpus.learnt[head.name]).all(1))
        if len(rows):
            found[voice] = _plain({"songs": len(rows), "artists": len(set(groups[rows]))})
            for label, named in zip(head.labels, given[rows].T, strict=True):
                found[voice] |= _share(label, named, groups[rows])
    return found


def instrument_figures(corpus: Corpus, head: HeadCard, said: Answers) -> dict[str, Any]:
    """By instrument, how many songs are known to have and to lack it, and in which share of either it is named."""
    marks = labels.instruments(corpus.known, head.labels, np.full((len(said), len(head.labels)), np.nan, np.float32))
    groups, found = np.array(corpus.groups), {}
    for label, column in zip(head.labels, marks.T, strict=True):
        given = np.array([label in one[head.name].labels for one in said])
        has, lacks = column == 1, column == 0
        if has.sum() >= LEAST_KNOWN and lacks.sum() >= LEAST_KNOWN:
            found[label] = {"has": int(has.sum()), "lacks": int(lacks.sum())}
            found[label] |= _share("named_of_has", given[has], groups[has])
            found[label] |= _share("named_of_lacks", given[lacks], groups[lacks])
    return found


def _share(key: str, named: NDArray[np.bool_], groups: NDArray[Any]) -> dict[str, Any]:
    return _plain({key: named.mean(), f"{key}_ci95": _interval(named.astype(np.float64), groups)})


def markdown(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table in Markdown, as its rows come."""
    yield f"| {' | '.join(names)} |"
    yield "|---" * len(names) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def answer_tables(card: Card) -> Iterator[str]:
    """The figures that a card keeps of its answers, as tables in Markdown; none of a card without them."""
    found = {head.name: card.scores.get(head.name, {}).get("out_of_fold") or {} for head in card.heads}
    if found.get("genre"):
        yield from _genre(found["genre"])
        yield ""
        yield from _labels(found)
    if known := found.get("voice", {}).get("known"):
        yield ""
        yield from _voices(known)
    if known := found.get("instruments", {}).get("known"):
        yield ""
        yield from _instruments(known)


def _genre(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "What `genre` names out of fold, right where the track's labels may mean it; *labels*: without stepping up."
    yield ""
    rows = []
    for corpus, found in figures.items():
        sure = [_with_interval(found, key) for key in ("coverage", "precision")]
        plain = [f"{found[key]:.3f}" for key in ("coverage_labels", "precision_labels")]
        rest = [_with_interval(found, "best_guess"), f"{found['log_loss']:.3f}", f"{found['ece']:.3f}"]
        rows.append([corpus, str(found["tracks"]), *sure, *plain, *rest])
    names = "corpus, tracks, coverage, precision, labels: coverage, precision, best guess, log-loss, ECE"
    yield from markdown(names.split(", "), rows)


def _labels(answers: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "Labels that are named of several, out of fold:"
    yield ""
    rows = []
    for head, found in answers.items():
        if "labels_a_track" in found:
            facts = [f"{found['labels_a_track']:.2f}", f"{found['without']:.0%}", ", ".join(found["never_named"])]
            rows.append([head, str(found["tracks"]), _with_interval(found, "precision"), *facts])
    yield from markdown(["head", "tracks", "right", "labels a track", "tracks without", "never named"], rows)


def _voices(known: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "Who is known to sing, and the share of these songs that `voice` names so, out of fold:"
    yield ""
    names = [key.removesuffix("_ci95") for key in next(iter(known.values())) if key.endswith("_ci95")]
    rows = (
        [who, str(found["songs"]), str(found["artists"]), *(_with_interval(found, name) for name in names)]
        for who, found in known.items()
    )
    yield from markdown(["who", "songs", "artists", *names], rows)


def _instruments(known: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "Songs that are known to have an instrument, and to lack it, and the share of either in which it is named:"
    yield ""
    rows = (
        [name, str(one["has"]), str(one["lacks"]), *(_with_interval(one, f"named_of_{k}") for k in ("has", "lacks"))]
        for name, one in known.items()
    )
    yield from markdown(["instrument", "have it", "lack it", "named of those", "named of these"], rows)


def _with_interval(found: Mapping[str, Any], key: str) -> str:
    low, high = found[f"{key}_ci95"]
    return f"{found[key]:.3f} [{low:.3f}, {high:.3f}]"


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Rounded, as JSON has it."""

    def rounded(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return [rounded(one) for one in value]
        return value if isinstance(value, (str, int)) else round(float(value), 4)

    return {key: rounded(value) for key, value in facts.items()}


def contradictions(card: Card, predictions: Sequence[Prediction]) -> dict[str, tuple[int, int]]:
    """Counted over songs, by what is looked for: how often it is found, of how many songs where it could be."""
    found: dict[str, list[bool]] = {}
    heads = {head.name for head in card.heads}
    mood = "mood" if "happy" in card.head("mood").labels and "calm" in card.head("mood").labels else "quadrant"
    for one in (prediction.heads for prediction in predictions if prediction.is_song):
        named = {"joyful": "happy", "gloomy": "sad", "peaceful": "calm"}.get(str(one[mood].label), one[mood].label)
        found.setdefault("no mood is named", []).append(named is None)
        found.setdefault("no genre is named", []).append(one["genre"].label is None)
        if named is not None:
            other = one["valence"].label
            found.setdefault("mood against valence", []).append(
                other == ("negative" if named in POSITIVE else "positive")
            )
            found.setdefault("mood against energy", []).append(_energy(one) != (named in ENERGETIC))
            if "mood" in heads and mood != "mood":
                sad = one["mood"].label == ("sad" if named in POSITIVE else "happy")
                found.setdefault("mood against quadrant", []).append(sad)
        if named == "happy":
            words = set(one["moods"].labels) & (labels.SADNESS | OLD_SADNESS)
            found.setdefault("sadness in happy songs", []).append(bool(words))
        if (genre := one["genre"].label) is not None:
            below = set(card.head("genre").below(genre)) | {OLD_GENRES.get(genre, genre)}
            found.setdefault("genre outside genres", []).append(not below & set(one["genres"].labels))
        _beside(one, named, found)
        for head in ("genres", "moods", "instruments", "voice"):
            if head in heads:
                found.setdefault(f"{head} without a label", []).append(not one[head].labels)
    return {name: (sum(each), len(each)) for name, each in found.items()}


def _beside(one: Mapping[str, HeadPrediction], mood: str | None, found: dict[str, list[bool]]) -> None:
    """Labels of one song that contradict another label, by kind; ``mood`` is its quadrant's name."""
    several = {name: set(head.labels) for name, head in one.items()}
    named = several | {name: {str(head.label)} for name, head in one.items() if head.label} | {"mood": {str(mood)}}
    for head, table in labels.CONTRADICTS.items():
        for other in dict.fromkeys(name for against in table.values() for name in against):
            if named.get(other) and head in one and (other != "mood" or mood):
                wrong = (label for label in several[head] if named[other] & set(table.get(label, {}).get(other, ())))
                found.setdefault(f"{head} against {other}", []).append(any(wrong))
    if "voice" in one:
        voices = several["voice"]
        found.setdefault("instrumental beside a voice", []).append("instrumental" in voices and len(voices) > 1)
        found.setdefault("male beside female", []).append({"male", "female"} <= voices)
    for head, wholes in labels.IMPLIES.items():
        if head in one:
            parts = (label in several[head] and whole not in several[head] for label, whole in wholes.items())
            found.setdefault("a part without its whole", []).append(any(parts))


OLD_SADNESS = frozenset({"anguished", "bleak", "distraught", "somber", "weary"})
"""Further words of sadness that version 1 had."""
OLD_GENRES = {
    "Disco": "R&B", "Experimental": "Avant-Garde", "Gospel": "Religious", "Metal": "Pop & Rock", "Pop": "Pop & Rock",
    "R&B & Soul": "R&B", "Rock": "Pop & Rock", "Soundtrack": "Stage & Screen",
}  # fmt: skip
"""What version 1's genre is called among its genres."""


def _energy(one: Mapping[str, HeadPrediction]) -> bool:
    if "energy" in one and one["energy"].value is not None:
        return one["energy"].value > 0.5
    return one["arousal"].scores["energetic"] > 0.5
