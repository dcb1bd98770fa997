"""Key against what is known of it: pieces rendered in 24 keys, songs whose key people wrote down, and moved songs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from scipy.optimize import minimize

from earmark.analyses.facts import Key
from earmark.analyses.key import KeyMeter, log_odds
from earmark.analyses.measure import PLAN, RATE
from earmark.audio.track import load, open_track

sys.path.insert(0, str(Path(__file__).parent.parent))
from scripts.bundled.rendered import ENSEMBLES, Note, Part, Score, compose, render

from features import Settings
from tempi import figure

NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
ALBRECHT = (
    (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
)
KRUMHANSL = (
    (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
)
SOURCES = (
    "Written down by people: excerpts of GTZAN of 15 to 30 s with A. Lerch's keys (`alexanderlerch/gtzan_key`,",
    "MIT) in SONGS; `python bench/keys.py --songs SONGS` fits the profiles to its other excerpts, of 2 to 3 s.",
    "*Ours* is the likeliest key of every track, *where told* of those that get one, *right* of all again.",
    "",
)
SECONDS, SHORT = 30.0, 5.0
STIFFNESS = 0.12  # how much a profile must explain to leave Albrecht and Shanahan's


@dataclass(frozen=True)
class Item:
    """A track whose key is known, 0-11 major from C, 12-23 minor; None where there is none."""

    path: Path
    kind: str
    key: int | None


def clips(track: Path | np.ndarray) -> list[np.ndarray]:
    """As the meter gets them."""
    with open_track(track, None if isinstance(track, Path) else RATE) as opened:
        return [clip.data for clip in opened.clips(PLAN, RATE)]


def metered(waveforms: Sequence[np.ndarray]) -> KeyMeter:
    """A meter that has counted them in."""
    meter = KeyMeter()
    for one in waveforms:
        meter.add(one)
    return meter


def number(key: Key) -> int | None:
    """The key as a number."""
    return None if key.value is None else NAMES.index(key.value.split()[0]) + 12 * key.value.endswith("minor")


def rendered(settings: Settings) -> Iterator[Item]:
    """Pieces of every ensemble, every key as often."""
    for place in range(settings.pieces):
        for tried in range(1000):
            rng = np.random.default_rng([settings.seed, 7, place, tried])
            score = compose(rng, ENSEMBLES[place % len(ENSEMBLES)], SECONDS)
            if (key := score.tonic + 12 * (score.mode == "minor")) == place % 24:
                break
        yield Item(render(score, settings.work / "key" / f"{settings.seed}-{place:04d}.flac"), "rendered pieces", key)


def without(settings: Settings) -> Iterator[Item]:
    """Drums alone, and rows of twelve tones in two voices."""
    for place in range(12):
        rng = np.random.default_rng([settings.seed, 8, place])
        path = settings.work / "key" / f"drums-{settings.seed}-{place}.flac"
        yield Item(render(compose(rng, ("drums",), SECONDS), path), "drums alone", None)
        parts = [_rows(rng, program, low) for program, low in ((0, 40), ((40, 73, 48, 24)[place % 4], 60))]
        path = settings.work / "key" / f"rows-{settings.seed}-{place}.flac"
        yield Item(render(Score(110.0, 0, "major", tuple(parts)), path), "rows of twelve tones", None)


def _rows(rng: np.random.Generator, program: int, low: int) -> Part:
    notes, beat = [], 0.0
    while beat < SECONDS * 110 / 60:
        for pitch in rng.permutation(12):
            length = float(rng.choice([0.5, 1.0, 1.5]))
            notes.append(Note(beat, 0.95 * length, int(low + pitch + 12 * rng.integers(2)), int(rng.integers(70, 110))))
            beat += length
    return Part(program, tuple(notes))


def written_down(settings: Settings, short: bool) -> Iterator[Item]:
    """Excerpts of GTZAN with the key that a listener wrote down (``GENRE.NUMBER.lerch.txt`` below the songs folder)."""
    known = (
        {file.name.removesuffix(".lerch.txt"): file for file in settings.songs.rglob("*.lerch.txt")}
        if settings.songs
        else {}
    )
    folder = settings.shared / "data" / "gtzan-short"
    for row in csv.DictReader((folder / "tracks.tsv").read_text("utf-8").splitlines(), delimiter="\t"):
        file = known.get(row["track_id"])
        key = int(file.read_text("utf-8") or -1) if file else -1  # counted from A
        if key >= 0 and (float(row["seconds"]) < SHORT) == short:
            yield Item(folder / row["path"], "songs, key written down by people", (key % 12 + 9) % 12 + key // 12 * 12)


def fit(items: Sequence[Item]) -> np.ndarray:
    """(25,) twelve log-odds of major, twelve of minor, and what minor has before any: what stands in ``key.py``."""
    classes = np.stack([metered([load(item.path, RATE)]).classes() for item in items])
    degrees = classes[:, (np.arange(12)[:, None] + np.arange(12)) % 12]
    truth = np.array([item.key for item in items])
    first = np.concatenate([100 * np.ravel(ALBRECHT), [0.0]])

    def loss(profile: np.ndarray) -> tuple[float, np.ndarray]:
        odds = np.concatenate([degrees @ profile[:12], degrees @ profile[12:24] + profile[24]], axis=1) / 5
        share = np.exp(odds - odds.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        away = np.append(profile[:24] - first[:24], 0.0)
        value = -np.log(share[np.arange(len(truth)), truth]).sum() + STIFFNESS / 2 * np.square(away).sum()
        share[np.arange(len(truth)), truth] -= 1
        by_mode = [np.einsum("nt,ntk->k", part, degrees) / 5 for part in (share[:, :12], share[:, 12:])]
        return float(value), np.concatenate([*by_mode, [share[:, 12:].sum() / 5]]) + STIFFNESS * away

    return np.asarray(minimize(loss, first, jac=True, method="L-BFGS-B").x)


def template(waveforms: Sequence[np.ndarray]) -> int:
    """The baseline: Krumhansl's profiles on the power of each pitch class from 55 to 5,000 Hz."""
    hertz = np.fft.rfftfreq(4096, 1 / RATE)
    inside = (hertz > 55) & (hertz < 5000)
    classes = np.round(69 + 12 * np.log2(hertz[inside] / 440)).astype(int) % 12
    frames = np.concatenate([sliding_window_view(one, 4096)[::1024] for one in waveforms if len(one) >= 4096])
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(4096).astype(np.float32), axis=1))).sum(axis=0)
    chroma = np.bincount(classes, power[inside], minlength=12)
    fits = [np.corrcoef(chroma, np.roll(profile, tonic))[0, 1] for profile in KRUMHANSL for tonic in range(12)]
    return int(np.argmax(fits))


def answers(waveforms: Sequence[np.ndarray]) -> tuple[Key, int, int]:
    """What is told; the likeliest key, told or not; the baseline's."""
    meter = metered(waveforms)
    return meter.result(), int(log_odds(meter.classes()).argmax()), template(waveforms)


def mirex(found: int, truth: int) -> float:
    """What an answer counts in MIREX: 1, a fifth .5, the relative key .3, the parallel one .2."""
    up, same = (found - truth) % 12, found // 12 == truth // 12
    if same:
        return {0: 1.0, 5: 0.5, 7: 0.5}.get(up, 0.0)
    return {0: 0.2, (9 if truth < 12 else 3): 0.3}.get(up, 0.0)


def moved(settings: Settings) -> Iterator[list[list[np.ndarray]]]:
    """Real songs, each in twelve pitches from six semitones down to five up, by playing faster and slower."""
    data = settings.shared / "data"
    paths = [*sorted((data / "moods900").rglob("*.opus"))[7::45], *sorted((data / "emotify400").rglob("*.opus"))[7::40]]
    for path in paths:
        wave = load(path, 2 * RATE)
        yield [clips(soxr.resample(wave, 2 * RATE, RATE * 2 ** (-step / 12))) for step in range(-6, 6)]


def section(settings: Settings) -> list[str]:
    """The part of the page."""
    items = [*rendered(settings), *written_down(settings, short=False)]
    keys, *both = zip(*(answers(clips(item.path)) for item in items), strict=True)
    found = dict(zip(("ours", "template"), np.array(both), strict=True))
    truth, named = np.array([item.key for item in items]), np.array([key.value is not None for key in keys])
    right = {name: answer == truth for name, answer in found.items()}
    lines = [
        "| tracks | n | ours | MIREX | where told | Krumhansl on chroma | MIREX |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(item.kind for item in items):
        these = np.array([item.kind == kind for item in items])
        told = these & named
        points = {name: f"{np.mean([mirex(int(answer[one]), int(truth[one])) for one in np.flatnonzero(these)]):.2f}"
                  for name, answer in found.items()}  # fmt: skip
        cells = [figure(right["ours"][these]), points["ours"], f"{figure(right['ours'][told])} of {told.sum()}",
                 figure(right["template"][these]), points["template"]]  # fmt: skip
        lines.append(f"| {kind} | {these.sum()} | {' | '.join(cells)} |")
    return [*SOURCES, *lines, "", *_reliability(keys, right["ours"]), "", *_moved(settings), "", *_nothing(settings)]


def _reliability(keys: Sequence[Key], right: np.ndarray) -> list[str]:
    confidence = np.array([key.confidence for key in keys])
    lines = ["| confidence | tracks | mean | right |", "|---|---|---|---|"]
    for low, high in ((0, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 1.01)):
        these = (confidence >= low) & (confidence < high)
        if these.any():
            means = f"{confidence[these].mean():.2f} | {right[these].mean():.2f}"
            lines.append(f"| {low:.1f}-{min(high, 1):.1f} | {these.sum()} | {means} |")
    return lines


def _moved(settings: Settings) -> list[str]:
    same: dict[str, list[bool]] = {"all": [], "told": [], "template": []}
    for rows in moved(settings):
        keys, found, plain = zip(*map(answers, rows), strict=True)
        told = [key.value is not None for key in keys]
        for place in (*range(6), *range(7, 12)):
            same["all"].append(_moves(found[6], found[place], place - 6))
            same["template"].append(_moves(plain[6], plain[place], place - 6))
            if told[6] and told[place]:
                same["told"].append(same["all"][-1])
    told, every, plain = (f"{np.mean(one):.3f} of {len(one)}" for one in (same["told"], same["all"], same["template"]))
    return [
        "Real songs, each moved by eleven intervals (played slower and faster): the key moves with them in "
        f"{told} cases where both are told, in {every} of all; the template's in {plain}."
    ]


def _moves(key: int, other: int, step: int) -> bool:
    return key // 12 == other // 12 and (key + step - other) % 12 == 0


def _nothing(settings: Settings) -> list[str]:
    rng = np.random.default_rng(settings.seed)
    noise = [rng.standard_normal(RATE * 30), rng.standard_normal(RATE * 30).cumsum() / 300]
    found = [("noise", metered(clips(np.asarray(0.2 * one, np.float32))).result()) for one in noise]
    found += [(item.kind, metered(clips(item.path)).result()) for item in without(settings)]
    lines = ["| without a key | n | no key told | highest confidence |", "|---|---|---|---|"]
    for kind in dict.fromkeys(kind for kind, _ in found):
        these = [key for name, key in found if name == kind]
        highest = max(key.confidence for key in these)
        lines.append(f"| {kind} | {len(these)} | {sum(key.value is None for key in these)} | {highest:.2f} |")
    return lines


def main() -> None:
    """Print the profiles that stand in ``key.py``: ``python bench/keys.py --songs SONGS``."""
    import argparse

    root = Path(__file__).parent.parent
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--shared", type=Path, default=root.parent / "shared")
    parser.add_argument("--songs", type=Path, required=True, help="folder with GENRE.NUMBER.lerch.txt")
    args = parser.parse_args()
    found = np.round(fit([*written_down(Settings(args.shared, args.songs, root, 0, 0), short=True)]), 1).tolist()
    print(f"MAJOR = {tuple(found[:12])}\nMINOR = {tuple(found[12:24])}\nMINOR_FIRST = {found[24]}")


if __name__ == "__main__":
    main()
