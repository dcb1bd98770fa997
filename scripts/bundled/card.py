"""What the bundled model's folder holds and what its card says, in plain words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.cache import content_hash
from earmark.datasets.core import Dataset
from earmark.datasets.splits import Split, named_groups, save_split
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import open_input, views
from earmark.models.card import Card, HeadCard
from earmark.models.network import write_heads
from earmark.models.writer import ModelFolderWriter, seal
from earmark.recipe import ClipPlan
from earmark.training.finish import Outputs, calibrate, choose_exemplars, model_card_text, score_line, score_outputs
from earmark.training.module import TaggerModule, write_network
from scripts.bundled.heads import Corpus, FittedHeads, StudentClips, fold_of
from scripts.bundled.students import StudentDesign

__all__ = ["BundledModel", "calibrated", "write_folder"]

VERSION = "1"
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
    "Teachers of the embedding and of the head tags, heard on the same clips and on changed copies of them: Won et al. "
    "2020, FCN and CRNN of the Million Song Dataset (weights: MIT), YAMNet (Apache-2.0), EfficientAT mn04 (MIT)",
)
NOTES = (
    "Scores and thresholds are out of fold: of heads that have not seen the track's artist. The backbone has heard the "
    "audio of all tracks, without labels; on music that it has never heard expect a few points less.",
    "Multi-label heads score what a corpus says; a label that it does not name counts as absent.",
    "The head tags imitates the teachers: its score is agreement with them, not with people.",
    "genre learns from sets where a corpus is vague: AllMusic's Pop/Rock may be Pop, Rock or Metal; Vocal counts as "
    "Easy Listening. It is scored on the tracks whose label names one genre alone.",
    "mood is valence alone, as Emotify's raters gave it (sad below 0.35, happy from 0.55; hard to hear), and as the "
    "quadrants of moods900 say: 1 is happy, 3 is sad, 2 is sad or neutral, 4 is neutral or happy. Angry music counts "
    "as sad or neutral. It is scored on Emotify and on quadrants 1 and 3, which are much easier.",
    "Not to be used to judge people by their music, to decide on payment or moderation, or as ground truth. Western "
    "popular music before 2015 is what it knows; World, Latin, Classical outside emotify400, Gospel, Soundtrack and "
    "Experimental rest on few examples.",
)


@dataclass(frozen=True, slots=True, eq=False)
class BundledModel:
    """What the folder is written from.

    Attributes:
        module: Trained backbone and heads.
        corpus: Tracks and labels.
        embeddings: (tracks,) what the student makes of each.
        fitted: Heads, and their answers out of fold.
        student: How the backbone was trained.
        frontend: Waveform to spectrogram.
        plan: Track to clips.
    """

    module: TaggerModule
    corpus: Corpus
    embeddings: Sequence[StudentClips | None]
    fitted: FittedHeads
    student: StudentDesign
    frontend: Frontend
    plan: ClipPlan


def calibrated(corpus: Corpus, outputs: Sequence[Outputs | None], plan: ClipPlan) -> tuple[HeadCard, ...]:
    """The heads with temperature and thresholds from answers out of fold."""
    rows = [row for row, output in enumerate(outputs) if output is not None]
    heads = []
    for spec in corpus.dataset.heads:
        names = {label: names for label, names in corpus.aliases[spec.name].items() if names}
        raw = [output.raw[spec.name] for row in rows if (output := outputs[row]) is not None]
        plain = HeadCard(spec.name, spec.task, spec.labels, aliases=names)
        heads.append(calibrate(plain, raw, corpus.dataset.targets(spec.name)[rows], plan.pooling))
    return tuple(heads)


def write_folder(out: Path, draft: BundledModel) -> Card:
    """Write the model folder, in the place of the one that is there: network, heads, card, exemplars, split and README.

    Only hashes and embeddings stand in it: no name of a track or an artist.
    """
    with ModelFolderWriter.open(out, {"command": "make model", "version": VERSION}, overwrite=True) as writer:
        card = _fill(writer.folder, draft)
        writer.complete()
        return card


def _fill(folder: Path, draft: BundledModel) -> Card:
    dataset = draft.corpus.dataset
    heads = calibrated(draft.corpus, draft.fitted.outputs, draft.plan)
    weights = write_network(draft.module, folder, _sample(draft), any_length=True)
    write_heads(weights, folder)
    heads = tuple(weights[head.name].described(head) for head in heads)
    card = Card(
        name="default",
        version=VERSION,
        backbone=draft.student.backbone,
        frontend=draft.frontend,
        clip=draft.plan,
        heads=heads,
        embedding=draft.module.backbone.features,
        recipe=_recipe(draft),
        data=DATA,
        licence=LICENCE,
        notes=NOTES,
    )
    scores = score_outputs(card, dataset, draft.fitted.outputs)
    beside = {"part": "valid", "group": "artist"}
    card = replace(card, scores={name: beside | figures for name, figures in scores.items()})
    hashes = [content_hash(track.path) for track in dataset.tracks]
    everything = np.arange(len(hashes))
    split = Split(everything, everything[:0], everything[:0], "artist")
    card = replace(card, group_salt=save_split(folder / "split.tsv", split, hashes, named_groups(dataset)))
    _keep_exemplars(folder, draft, hashes)
    (folder / "README.md").write_text(_readme(card), "utf-8", newline="\n")
    return seal(folder, card)


def _recipe(draft: BundledModel) -> Mapping[str, Any]:
    student = dataclasses.asdict(draft.student)
    return {
        "name": "distilled",
        "about": "a small residual network distilled from four published taggers, with linear heads",
        "backbone": {"name": draft.student.backbone, "options": dict(draft.student.options)},
        "student": student,
        "heads": {"kind": "logistic regression", "strengths": dict(draft.fitted.strengths)},
        "command": "make model",
    }


def _keep_exemplars(folder: Path, draft: BundledModel, hashes: Sequence[str]) -> None:
    dataset: Dataset = draft.corpus.dataset
    held = fold_of([track.group for track in dataset.tracks], 8) == 0
    part = Split(np.flatnonzero(~held), np.flatnonzero(held), np.zeros(0, np.intp), "artist")
    clips = [None if found is None else found.clips for found in draft.embeddings]
    choose_exemplars(dataset, part, hashes, clips, 0).save(folder)


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
            sure = (
                f"Named where the confidence is {head.threshold:g} or more: {figures['coverage']:.0%} of the tracks, "
            )
            sure += f"{figures['precision']:.0%} of these right. Calibration error {figures['ece']:.3f}; a perfectly "
            lines += ["", sure + f"calibrated model would stay below {figures['ece_limit']:.3f} in 95 of 100 cases."]
        rows = [f"| {label} | {_cells(found)} |" for label, found in figures.get("per_label", {}).items()]
        names = (
            "| label | tracks | precision | recall |" if head.task == "multiclass" else "| label | tracks | ROC-AUC |"
        )
        lines += ["", names, "|---" * (names.count("|") - 1) + "|", *rows, ""]
    return text + "\n".join(lines)


def _cells(found: Mapping[str, Any]) -> str:
    keys = ("precision", "recall") if "recall" in found else ("roc_auc",)
    return " | ".join(
        [str(found.get("tracks", "")), *("-" if found.get(k) is None else f"{found[k]:.2f}" for k in keys)]
    )
