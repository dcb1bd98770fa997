"""What the bundled model's folder holds and what its card says, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.cache import content_hash
from earmark.datasets.splits import Split, save_split
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import open_input, views
from earmark.models.card import Card, HeadCard
from earmark.models.network import write_heads
from earmark.models.writer import ModelFolderWriter, seal
from earmark.recipe import ClipPlan
from earmark.training.backbones import Backbone
from earmark.training.finish import Outputs, choose_exemplars, model_card_text, score_line, score_outputs
from earmark.training.module import TaggerModule, write_network
from scripts.bundled import labels
from scripts.bundled.calibration import calibrated
from scripts.bundled.figures import agreement_figures, answer_tables, nested
from scripts.bundled.heads import PRIOR_WEIGHT, STRENGTHS, Corpus, Embedded, FittedHeads, fold_of, track_scores

__all__ = ["BundledModel", "head_cards", "write_folder"]

VERSION = "4"
LICENCE = (
    "Apache-2.0: anyone may use these weights. They were trained by the Earmark project from random numbers; no audio "
    "is in them. The music that they were trained on has terms of its own (below): judge for your own use."
)
DATA = (
    "moods900 (the 4Q emotion data set of Panda, Malheiro and Paiva 2018): 676 clips of 10-30 s, about 500 artists; "
    "previews of 30 s, for research use",
    "emotify400 (Emotify, Aljanaki, Wiering and Veltkamp 2016; music of Magnatune): 300 clips of 30 s, 99 artists; "
    "CC BY-NC-SA",
    "gtzan-short (excerpts of GTZAN, Tzanetakis and Cook 2002): 379 clips, mostly 2-3 s, ten genres; research use",
    "Free music of 17 public repositories (453 half minutes, CC0, CC BY, CC BY-SA, GPL and public domain; "
    "docs/reference/free-music.md), without labels",
    "Teachers of the embedding, on the same clips and, in the first part of the training, on changed copies of them: "
    "Won et al. 2020, FCN and CRNN of the Million Song Dataset (weights: MIT), YAMNet (Apache-2.0), EfficientAT mn04 "
    "(MIT); in the second part also musicnn of the Million Song Dataset (Pons and Serra 2019, ISC). Teachers of the "
    "Million Song Dataset have very likely learned from songs of moods900",
    "Teachers of instruments, voice, tags and of which song of Pop/Rock or Electronic is punk, metal, indie, house or "
    "ambient: the same, and Won et al. 2020, FCN and CRNN of MagnaTagATune (MIT)",
    "For instruments and voice also what is publicly known of 723 songs of the corpora: who sings, and which "
    "instruments there are or cannot be, written down by the project (scripts/bundled/known.tsv)",
    "For instruments and voice also 114 pieces of known instruments, written by scripts/bundled/rendered.py and "
    "rendered by fluidsynth with FluidR3_GM (MIT)",
)
NOTES = (
    "Scores and thresholds are out of fold: of heads that have not seen the track's artist. The backbone was trained "
    "on the audio of all tracks, without labels; on music that is new to it expect a few points less.",
    "genre learns from sets where a corpus is vague: AllMusic's Pop/Rock may be pop, rock, indie, metal or punk. Where "
    "it cannot decide, it answers with what stands above (Rock, Electronic). Pop & Rock, which stands above pop and "
    "rock, is never named: no limit makes it right often enough. genres are the same raw scores, each for itself; the "
    "best of them is genre.",
    "mood is the quadrant of valence and arousal: happy, tense, sad, calm. valence, arousal, positivity and energy are "
    "computed from its four probabilities and cannot contradict it. How often a mood counts as neutral comes from "
    "Emotify, whose raters hardly agree on valence: of neutral expect little.",
    "Answers do not contradict each other: mood words and emotions are named only where the mood is not more likely "
    "of the other valence or energy, tags only beside a genre and a voice that may have them. Who sings is one answer "
    "of exclusive classes: nothing instrumental is male, female or rap; man and woman exclude each other, so that a "
    "duet is vocal alone.",
    "moods are words of AllMusic's, those of one meaning together; a word that AllMusic does not give counts as "
    "absent, so that its precision is a lower bound.",
    "instruments and voice rest on what is publicly known of songs, and elsewhere on the agreement of unrelated "
    "taggers; no listener checked them song by song. A voice is named where that is right in 85 % of the songs whose "
    "singers are known, women counted as often as men; below that a song is vocal, no more. Of instruments, songs on "
    "which taggers disagree count half in the thresholds. The head tags imitates taggers: its score is agreement with "
    "them, not with people.",
    "A label of several is named where that is right in 60 % of the cases or more, out of fold, by the lower side of "
    "what was measured; rarer ones only have a score.",
    "Not to be used to judge people by their music, to decide on payment or moderation, or as ground truth. Western "
    "popular music before 2015 is what it knows; it has no name for film music, gospel, comedy or most traditions of "
    "the world, and answers with the nearest name that it has, or with none.",
)


RESAMPLES = 300
"""Of the intervals."""


@dataclass(frozen=True, slots=True, eq=False)
class BundledModel:
    """What the folder is written from.

    Attributes:
        backbone: Trained.
        corpus: Tracks and labels.
        embedded: What the backbone makes of them.
        fitted: Heads, and their answers out of fold.
        student: How the backbone was trained: the facts of a :class:`scripts.bundled.students.StudentDesign`.
        frontend: Waveform to spectrogram.
        plan: Track to clips.
    """

    backbone: Backbone
    corpus: Corpus
    embedded: Embedded
    fitted: FittedHeads
    student: Mapping[str, Any]
    frontend: Frontend
    plan: ClipPlan


def head_cards(corpus: Corpus) -> tuple[HeadCard, ...]:
    """The heads as yet without calibration, in the order of the card: dependent ones below."""
    aliases = {
        "genre": {genre: tuple(n for n in own if n != genre.lower()) for genre, own in labels.GENRES.items()},
        "mood": labels.MOOD_ALIASES,
        "valence": labels.VALENCE,
        "arousal": labels.AROUSAL,
        "moods": {word: tuple(own.split()) for word, own in labels.MOODS.items()},
        "emotions": {name: (name.replace(" ", "_"),) for name in labels.EMOTIONS},
    }
    aliases["genres"] = aliases["genre"]
    extra: dict[str, dict[str, Any]] = {
        "genre": {"parents": labels.PARENTS, "pooling": "logits"},
        "genres": {"parents": labels.PARENTS, "pooling": "logits", "includes": "genre"},
        "mood": {"also": ("quadrant",)},
        "valence": {"also": ("mood",)},
        "moods": {"prior": "mood", "prior_weight": PRIOR_WEIGHT},
        "emotions": {"prior": "mood", "prior_weight": PRIOR_WEIGHT},
        "voice": {"unverified": True, "classes": len(labels.SINGERS)},
    }
    for key, table in (("contradicts", labels.CONTRADICTS), ("implies", labels.IMPLIES)):
        for name, own in table.items():
            kept = {label: other for label, other in own.items() if label in corpus.dataset.head(name).labels}
            extra.setdefault(name, {})[key] = kept
    derived = dict.fromkeys(("valence", "arousal", "positivity", "energy"), "mood")
    order = ("genre", "mood", "valence", "arousal", "positivity", "energy", "genres", "moods", "emotions",
             "instruments", "voice", "tags")  # fmt: skip
    cards = []
    for name in order:
        spec = corpus.dataset.head(name)
        names = {label: own for label, own in aliases.get(name, {}).items() if own and own != (label,)}
        more = extra.get(name, {})
        card = HeadCard(name, spec.task, spec.labels, aliases=names, meaning=labels.MEANINGS[name], **more)
        cards.append(replace(card, derived=derived[name], members=()) if name in derived else card)
    return tuple(cards)


def write_folder(out: Path, draft: BundledModel) -> Card:
    """Write the model folder, in the place of the one that is there: network, heads, card, exemplars, split and README.

    Only hashes and embeddings stand in it: no name of a track or an artist.
    """
    with ModelFolderWriter.open(out, {"command": "make model", "version": VERSION}, overwrite=True) as writer:
        card = _fill(writer.folder, draft)
        writer.complete()
        return card


def _fill(folder: Path, draft: BundledModel) -> Card:
    corpus, dataset, fitted = draft.corpus, draft.corpus.dataset, draft.fitted
    everything = np.arange(len(dataset.tracks))
    write_network(TaggerModule(draft.backbone, {}), folder, _sample(draft), any_length=True)
    write_heads(fitted.weights, folder)
    card = Card(
        name="default",
        version=VERSION,
        backbone=draft.student["backbone"],
        frontend=draft.frontend,
        clip=draft.plan,
        heads=calibrated(corpus, fitted, draft.embedded, np.full(len(everything), True)),
        embedding=draft.backbone.features,
        recipe=_recipe(draft),
        data=DATA,
        licence=LICENCE,
        notes=NOTES,
    )
    scores = score_outputs(card, dataset, _outputs(draft), RESAMPLES)
    for head in card.heads:
        if head.name in ("instruments", "voice"):
            found = track_scores(fitted.raw[head.name], draft.embedded.owner, head)
            scores[head.name] |= agreement_figures(corpus, head, found)
    answered = nested(corpus, fitted, draft.embedded)
    beside = {"part": "valid", "group": "artist"}
    scores = {name: beside | own | {"out_of_fold": answered.get(name, {})} for name, own in scores.items()}
    card = replace(card, scores=scores)
    hashes = [content_hash(track.path) for track in dataset.tracks]
    split = Split(everything, everything[:0], everything[:0], "artist")
    card = replace(card, group_salt=save_split(folder / "split.tsv", split, hashes, _artists(corpus)))
    _keep_exemplars(folder, draft, hashes)
    (folder / "README.md").write_text(_readme(card), "utf-8", newline="\n")
    return seal(folder, card)


def _artists(corpus: Corpus) -> list[str]:
    """(tracks,) names as files give them, "" where a track is a group of its own."""
    names = [group.removeprefix(f"{origin}/") for group, origin in zip(corpus.groups, corpus.origin, strict=True)]
    return ["" if name.startswith("track: ") else name for name in names]


def _outputs(draft: BundledModel) -> list[Outputs | None]:
    """By track, what heads out of fold make of it."""
    found: list[Outputs | None] = []
    for row in range(len(draft.corpus.dataset.tracks)):
        mine = draft.embedded.owner == row
        raw = {name: scores[mine] for name, scores in draft.fitted.raw.items()}
        found.append(Outputs(draft.embedded.clips[mine], raw) if mine.any() else None)
    return found


def _recipe(draft: BundledModel) -> Mapping[str, Any]:
    student = dict(draft.student)
    return {
        "name": "distilled",
        "about": "a small residual network distilled from five published taggers, with linear heads",
        "backbone": {"name": student["backbone"], "options": dict(student["options"])},
        "student": student,
        "heads": {"kind": "logistic regression", "strengths": dict(STRENGTHS)},
        "command": "make model",
    }


def _keep_exemplars(folder: Path, draft: BundledModel, hashes: Sequence[str]) -> None:
    dataset = draft.corpus.dataset
    held = fold_of([track.group for track in dataset.tracks], 8) == 0
    part = Split(np.flatnonzero(~held), np.flatnonzero(held), np.zeros(0, np.intp), "artist")
    clips = [draft.embedded.of(row) for row in range(len(dataset.tracks))]
    choose_exemplars(dataset, part, hashes, [one if len(one) else None for one in clips], 0).save(folder)


def _sample(draft: BundledModel) -> NDArray[np.float32]:
    """A few real clips, by which the export is checked."""
    tracks = draft.corpus.dataset.tracks
    clips = []
    for track in tracks[:: max(1, len(tracks) // 4)]:
        with open_input(track.path, draft.frontend) as opened:
            clips += [clip.data for clip in views(opened, draft.frontend, replace(draft.plan, count=1))]
    return np.stack(clips)


def _readme(card: Card) -> str:
    """The general text, then what it does well and badly label by label."""
    text = model_card_text(card, False)
    text = text.replace("tracks of the validation part (there was no test part)", "tracks, out of fold")
    lines = ["", "## Where it is good and where it is poor", ""]
    for head in card.heads:
        figures = card.scores[head.name]
        lines.append(f"### {head.name}")
        lines += [
            "",
            score_line(head, figures).replace("validation part (there was no test part)", "corpora, out of fold"),
        ]
        if head.task == "multiclass":
            sure = f"Named from {_limits(head)} on: {figures['coverage']:.0%} of the tracks, "
            sure += f"{figures['precision']:.0%} of these right. Calibration error {figures['ece']:.3f}; a perfectly "
            lines += ["", sure + f"calibrated model would stay below {figures['ece_limit']:.3f} in 95 of 100 cases."]
        rows = [f"| {label} | {_cells(found)} |" for label, found in figures.get("per_label", {}).items()]
        names = (
            "| label | tracks | precision | recall |" if head.task == "multiclass" else "| label | tracks | ROC-AUC |"
        )
        lines += ["", names, "|---" * (names.count("|") - 1) + "|", *rows, ""] if rows else [""]
    return text + "\n".join([*lines, "## What is named", "", *answer_tables(card), ""])


def _limits(head: HeadCard) -> str:
    low, high = (end(map(head.threshold_of, head.names)) for end in (min, max))
    return f"a probability of {low:g}" if low == high else f"a probability of {low:g} to {high:g}, by label,"


def _cells(found: Mapping[str, Any]) -> str:
    keys = ("precision", "recall") if "recall" in found else ("roc_auc",)
    return " | ".join(
        [str(found.get("tracks", "")), *("-" if found.get(k) is None else f"{found[k]:.2f}" for k in keys)]
    )
