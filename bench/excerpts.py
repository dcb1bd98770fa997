"""Which plan of excerpts to put into a card: agreement with hearing whole songs, accuracy, and what it costs.

For each plan (seconds of a clip x clips): how near its scores and its embedding are to those of the whole of each song
in ``full-songs``, the accuracy of a linear classifier on its embeddings of labelled tracks (folds that keep artists
apart), and the time that a song takes. The network must take clips of any length.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from earmark.audio.track import load
from earmark.datasets import load_dataset
from earmark.errors import AudioError
from earmark.inference.options import HearingOptions
from earmark.inference.records import Prediction
from earmark.inference.tagger import Tagger, load_model
from materials import songs

CLIPS = ((3, (1, 3, 5, 10)), (5, (1, 2, 3, 6)), (10, (1, 2, 3, 6)))
LABELLED = (("emotify400", "genre"), ("moods900", "quadrant"))
OPTIONS = HearingOptions(embedding=True)
WHOLE = HearingOptions(embedding=True, excerpt="whole")


@dataclass(frozen=True)
class Labelled:
    """Tracks held in memory: waveforms at the model's rate, their labels, and their artists."""

    name: str
    waves: Sequence[np.ndarray]
    labels: Sequence[str]
    groups: Sequence[str]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model", default="default")
    parser.add_argument("--shared", type=Path, default=Path(__file__).parent.parent.parent / "shared")
    parser.add_argument("--tracks", type=int, default=300, help="labelled tracks a data set, spread over it")
    args = parser.parse_args()
    tagger = load_model(args.model)
    whole_songs = songs(args.shared)
    sets = [labelled(args.shared / "data" / name, head, tagger, args.tracks) for name, head in LABELLED]
    columns = ["clips", "heard", "scores agree", "embedding agrees", *(found.name for found in sets), "ms a song"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for plan in plans(tagger):
        every = [plan.predict(song, options=WHOLE) for song in whole_songs]
        begun = time.perf_counter()
        few = [plan.predict(song, options=OPTIONS) for song in whole_songs]
        cost = (time.perf_counter() - begun) / len(whole_songs) * 1000
        clip = plan.card.clip
        cells = [f"{clip.seconds:g} s x {clip.count}", f"{clip.seconds * clip.count:g} s"]
        cells.append(f"{np.mean([agreement(a, b) for a, b in zip(few, every, strict=True)]):.3f}")
        cells.append(f"{np.mean([cosine(a, b) for a, b in zip(few, every, strict=True)]):.3f}")
        cells += [f"{accuracy(plan, found):.3f}" for found in sets]
        print("| " + " | ".join([*cells, f"{cost:.0f}"]) + " |", flush=True)


def plans(tagger: Tagger) -> Iterator[Tagger]:
    """The tagger with each plan in its card."""
    for seconds, counts in CLIPS:
        for count in counts:
            clip = replace(tagger.card.clip, seconds=float(seconds), count=count)
            yield replace(tagger, card=replace(tagger.card, clip=clip))


def labelled(folder: Path, head: str, tagger: Tagger, most: int) -> Labelled:
    """Tracks that have the label, evenly taken from the data set."""
    dataset = load_dataset(folder)
    tracks = [track for track in dataset.tracks if track.labels.get(head) is not None]
    tracks = tracks[:: max(1, len(tracks) // most)][:most]
    heard = [(load_or_none(track.path, tagger.frontend.sample_rate), track) for track in tracks]
    kept = [(wave, track) for wave, track in heard if wave is not None]
    waves, tracks = [wave for wave, _ in kept], [track for _, track in kept]
    labels = [str(track.labels[head]) for track in tracks]
    return Labelled(f"{dataset.name} {head}", waves, labels, [track.group for track in tracks])


def load_or_none(path: Path, rate: int) -> np.ndarray | None:
    """The waveform; None where the file cannot be heard."""
    try:
        return load(path, rate)
    except AudioError:
        return None


def agreement(few: Prediction, every: Prediction) -> float:
    """One minus the mean distance of probabilities: total variation of one label, mean difference of many."""
    found = []
    for name, head in every.heads.items():
        if head.task != "regression":
            a, b = (np.array(list(said.heads[name].scores.values())) for said in (few, every))
            found.append(1 - (np.abs(a - b).sum() / 2 if head.task == "multiclass" else np.abs(a - b).mean()))
    return float(np.mean(found))


def cosine(few: Prediction, every: Prediction) -> float:
    """Cosine of the two embeddings."""
    a, b = few.embedding, every.embedding
    assert a is not None
    assert b is not None
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def accuracy(plan: Tagger, found: Labelled) -> float:
    """Of logistic regression on the plan's embeddings, in five folds by artist."""
    rate = plan.frontend.sample_rate
    rows = np.stack([plan.predict(wave, sample_rate=rate, options=OPTIONS).embedding for wave in found.waves])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    return float(cross_val_score(model, rows, np.array(found.labels), groups=found.groups, cv=GroupKFold(5)).mean())


if __name__ == "__main__":
    main()
