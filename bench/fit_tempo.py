"""Fits the weights of ``earmark.analyses.tempo``: ``python bench/fit_tempo.py --songs FOLDER`` prints them.

A conditional logit with *no tempo* as one more choice, with a little ridge. It is fitted on rendered pieces (seed 18;
the page is measured on others), half of the tapped excerpts of GTZAN and all of its shorter ones, the same at other
speeds, and on what has no tempo: noise, clips of different songs one after another, a song's clips at different speeds,
a song cut up and put together anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from earmark.analyses.measure import PLAN, RATE
from earmark.analyses.tempo import TempoMeter
from earmark.audio.track import open_track
from features import ROOT, Settings
from tempi import NEAR, TAPPED, Item, rendered, tapped

Array = NDArray[np.float32]
Double = NDArray[np.float64]
Case = tuple[Double, NDArray[np.bool_], float]
RIDGE, CLIP = 0.3, 48_000
WEIGHT = {TAPPED[0]: 1.2, "short": 0.3, "no tempo": 0.3}  # in the likelihood; .4 else, half at other speeds


def case(clips: Sequence[Array], tempo: float | None, weight: float) -> Case:
    """(candidates, facts), which choices are right (the last is *no tempo*), and how much it counts."""
    meter = TempoMeter()
    for clip in clips:
        meter.add(clip)
    tempi, facts = meter.candidates()
    right = np.abs(tempi / (tempo or 1e-9) - 1) < NEAR
    return facts, np.append(right, not right.any()), weight


def at_speed(wave: Array, speed: float) -> Array:
    """As a tape that runs faster or slower."""
    return np.interp(np.arange(0, len(wave) - 1, speed), np.arange(len(wave)), wave).astype(np.float32)


def clips_of(item: Item) -> list[Array]:
    """As the product takes them."""
    with open_track(item.path) as opened:
        return [clip.data for clip in opened.clips(PLAN, RATE)]


def cases(items: Sequence[Item], rng: np.random.Generator) -> Iterator[Case]:
    """Of what has a tempo, as it is and twice at another speed; and what has none, made of it."""
    every = [(item, clips_of(item)) for item in items]
    for item, clips in every:
        weight = WEIGHT.get(item.kind, 0.4)
        yield case(clips, item.tempo, weight)
        for speed in np.exp(rng.uniform(-0.18, 0.18, 0 if item.kind == "short" else 2)):
            tempo = item.tempo * speed if item.tempo else None
            yield case([at_speed(clip, speed) for clip in clips], tempo, weight / 2)
    long = [clips for item, clips in every if item.tempo and item.kind != "short"]
    for _ in range(60):
        yield case([long[number][0] for number in rng.integers(len(long), size=10)], None, WEIGHT["no tempo"])
        song = long[int(rng.integers(len(long)))]
        speeds = np.exp(rng.uniform(-0.5, 0.5, len(song)))
        yield case([at_speed(clip, speed) for clip, speed in zip(song, speeds, strict=True)], None, WEIGHT["no tempo"])
        cut = np.concatenate(list(_cut(np.concatenate(song), rng)))
        yield case([cut[at : at + CLIP] for at in range(0, 10 * CLIP, CLIP)], None, WEIGHT["no tempo"])
        noise = np.fft.irfft(
            np.fft.rfft(rng.normal(0, 1, 10 * CLIP)) / (1 + np.arange(5 * CLIP + 1)) ** rng.choice([0, 0.5, 1])
        )
        noise = (0.5 * noise / np.abs(noise).max()).astype(np.float32)
        yield case([noise[at : at + CLIP] for at in range(0, 10 * CLIP, CLIP)], None, WEIGHT["no tempo"])


def _cut(wave: Array, rng: np.random.Generator) -> Iterator[Array]:
    total = 0
    while total < 10 * CLIP:
        size = int(rng.uniform(0.12, 0.9) * RATE)
        total += size
        start = int(rng.integers(len(wave) - size))
        yield wave[start : start + size] * np.minimum(1, np.minimum(np.arange(size), np.arange(size)[::-1]) / 80)


def fitted(known: Sequence[Case]) -> tuple[Double, float]:
    """The weights, and that of *no tempo*."""
    every = np.concatenate([facts for facts, _, _ in known])
    mean, scale = every.mean(0), every.std(0)

    def loss(weights: Double) -> tuple[float, Double]:
        total, slope = RIDGE * float(np.square(weights[:-1]).sum()), 2 * RIDGE * np.append(weights[:-1], 0)
        for facts, right, counts in known:
            scaled = (facts - mean) / scale
            odds = np.append(scaled @ weights[:-1], weights[-1])
            chance = np.exp(odds - odds.max())
            chance /= chance.sum()
            hit = float(chance[right].sum()) + 1e-12
            total -= counts * float(np.log(hit))
            pull = counts * (chance - chance * right / hit)
            slope += np.append(scaled.T @ pull[:-1], pull[-1])
        return total, slope

    found = minimize(loss, np.zeros(every.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return found[:-1] / scale, float(found[-1] + (found[:-1] / scale * mean).sum())


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--songs", type=Path, required=True, help="holds gtzan_*.bpm")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "features")
    parser.add_argument("--pieces", type=int, default=180)
    args = parser.parse_args()
    items = list(rendered(Settings(args.shared, args.songs, args.work, 18, args.pieces)))
    items += [item for item in tapped(args.shared, args.songs) if item.kind == TAPPED[0]]
    items += [Item(item.path, "short", item.tempo) for item in tapped(args.shared, args.songs, 2.0, 5.0)]
    weights, none = fitted([one for one in cases(items, np.random.default_rng(1)) if len(one[0])])
    print([round(float(weight), 3) for weight in weights], round(none, 3))


if __name__ == "__main__":
    main()
