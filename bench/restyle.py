"""What a restyled song is worth: twenty pairs of songs, two classifiers that have not heard them, two plain baselines.

The classifiers are trained here, on artists of whom no song is in a pair: ``slices-fusion`` from nothing, and heads on
the published YAMNet, which learned from other sound altogether. Neither takes part in the optimisation. The songs are
of the test part of their split. What is finished in the folder is kept: run again, it goes on.

    python bench/restyle.py ../shared/data/emotify400 --weights ../shared/weights --work FOLDER
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from earmark.app.restyle import RestyleRequest, restyle_song
from earmark.app.train import TrainRequest, train
from earmark.audio.identity import content_hash
from earmark.datasets import load_dataset
from earmark.datasets.core import Track
from earmark.datasets.splits import split
from earmark.inference.tagger import Tagger, load_model
from earmark.recipe import SplitPlan

HEAD = "genre"
PARTS, SHARES = ("train", "valid", "test"), (0.6, 0.1, 0.3)
SOUNDS = ("content", "style", "result", "equaliser", "cross-fade")
DRAWS = 10_000


@dataclass(frozen=True)
class Pair:
    """Two songs of different genres and artists."""

    content: Track
    style: Track

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.content.path.stem} as {self.style.path.stem}"


def main() -> None:
    """Train, restyle, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="published weights, of which YAMNet's are taken")
    parser.add_argument("--work", type=Path, required=True, help="models and restyled songs")
    parser.add_argument(
        "--setups", default="random:3,default:3", help="FEATURES:STRENGTH, where FEATURES may be a model"
    )
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each song")
    args = parser.parse_args()
    asked = classifiers(args.dataset, args.weights, args.work)
    pairs = drawn_pairs(args.dataset, args.work / "slices-fusion", args.pairs)
    for setup in args.setups.split(","):
        features, _, strength = setup.partition(":")
        folder = args.work / f"{features} {strength}, {args.seconds:g} s"
        plan = RestyleRequest(
            content="", style="", output="", seconds=args.seconds, strength=float(strength),
            model=features,
        )  # fmt: skip
        rows = [one(pair, plan, folder, asked) for pair in pairs]
        print_table(setup, rows, list(asked))


def classifiers(dataset: Path, weights: Path, work: Path) -> dict[str, Tagger]:
    """Both, trained on the same split by artist."""
    band = ("frontend.sample_rate=22050", "frontend.hop_length=441", "frontend.f_max=11025.0")
    init = f"backbone.init={weights / 'yamnet' / 'yamnet-float.tflite'}"
    plans = {
        "slices-fusion": (8, band),
        "yamnet": (None, ("training.clips_per_track=10", "backbone.frozen=true", init)),
    }
    for name, (epochs, settings) in plans.items():
        request = TrainRequest(
            dataset=str(dataset), heads=(HEAD,), recipe=name, epochs=epochs, output=str(work / name),
            settings=(*settings, *(f"split.{part}={share}" for part, share in zip(PARTS, SHARES, strict=True))),
        )  # fmt: skip
        if not (work / name).is_dir():
            train(request).wait()
    return {name: load_model(work / name) for name in plans}


def drawn_pairs(dataset: Path, model: Path, count: int) -> list[Pair]:
    """Pairs of the test part of the split that both classifiers were trained on: their artists are in no other part."""
    data = load_dataset(dataset, heads=[HEAD])
    tracks = [data.tracks[row] for row in split(data, SplitPlan(*SHARES), seed=0).test]
    pairs = list(drawn(tracks, count))
    with (model / "split.tsv").open(encoding="utf-8") as file:
        parts = {row["content_hash"]: row["part"] for row in csv.DictReader(file, delimiter="\t")}
    for track in {track.path: track for pair in pairs for track in (pair.content, pair.style)}.values():
        if parts[content_hash(track.path)] != "test":
            raise SystemExit(f"{track.path}: the classifiers were trained on it")
    return pairs


def drawn(tracks: list[Track], count: int) -> Iterator[Pair]:
    """Pairs, every two genres in turn; a song is content once."""
    random = np.random.default_rng(0)
    genres = sorted({str(track.labels[HEAD]) for track in tracks})
    ways = [(one, two) for one in genres for two in genres if one != two]
    used: set[Path] = set()
    for place in range(count):
        one, two = ways[place % len(ways)]
        content = random.choice([i for i, t in enumerate(tracks) if t.labels[HEAD] == one and t.path not in used])
        style = random.choice([i for i, t in enumerate(tracks)
                               if t.labels[HEAD] == two and t.group != tracks[content].group])  # fmt: skip
        used.add(tracks[content].path)
        yield Pair(tracks[content], tracks[style])


def one(pair: Pair, plan: RestyleRequest, folder: Path, classifiers: Mapping[str, Tagger]) -> dict[str, object]:
    """All figures of a pair, by sound."""
    report = folder / pair.name
    figures = report / "figures.json"
    if not figures.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        request = replace(
            plan, content=str(pair.content.path), style=str(pair.style.path), report=str(report),
            output=str(folder / f"{pair.name}.wav"),
        )  # fmt: skip
        begun = time.process_time()
        found = restyle_song(request).wait()
        seconds = time.process_time() - begun
        genre = str(pair.style.labels[HEAD])
        rows = {
            sound: dict(found.distances[sound])
            | {
                name: classifier.predict(report / f"{sound}.wav").heads[HEAD].scores[genre]
                for name, classifier in classifiers.items()
            }
            for sound in SOUNDS
        }
        figures.write_text(json.dumps({"seconds": seconds, "sounds": rows}, indent=1), "utf-8")
        print(f"{folder.name}: {pair.name}: {seconds:.0f} s", flush=True)
    return json.loads(figures.read_text("utf-8"))


def print_table(setup: str, rows: list[dict[str, object]], classifiers: list[str]) -> None:
    """Means over the pairs with intervals, then the differences of the result to the baselines, pair by pair."""
    keys = [*classifiers, "chroma", "onsets", "style"]
    values = {(sound, key): np.array([row["sounds"][sound][key] for row in rows]) for sound in SOUNDS for key in keys}
    seconds = [row["seconds"] for row in rows]
    print(f"\n{setup}, {len(rows)} pairs, {np.median(seconds):.0f} s of one core each (at most {max(seconds):.0f})\n")
    print(f"| | {' | '.join(keys)} |\n|{'---|' * (len(keys) + 1)}")
    for sound in SOUNDS:
        print(f"| {sound} | {' | '.join(interval(values[sound, key]) for key in keys)} |")
    for other in ("content", "equaliser", "cross-fade"):
        cells = [interval(values["result", key] - values[other, key], "+") for key in keys]
        print(f"| result - {other} | {' | '.join(cells)} |", flush=True)


def interval(values: np.ndarray, sign: str = "") -> str:
    """Mean and its 95 % interval by bootstrap over the pairs."""
    random = np.random.default_rng(0)
    means = values[random.integers(0, len(values), (DRAWS, len(values)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


if __name__ == "__main__":
    main()
