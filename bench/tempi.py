"""Tempo against what is known of it: pieces rendered from notes, click tracks, songs of games, tapped beats."""

from __future__ import annotations

import csv
import io
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.analyses.measure import PLAN, RATE, Measuring
from earmark.audio.track import load, open_track
from earmark.evaluation.intervals import rate
from earmark.storage import write_file

sys.path.insert(0, str(Path(__file__).parent.parent))
from scripts.bundled.rendered import ENSEMBLES, Note, Score, compose, render

from features import Settings

SECONDS = 40.0
NEAR = 0.04
OCTAVES = (1, 2, 3, 1 / 2, 1 / 3)
TAPPED = ("tapped beats (GTZAN), the half fitted on", "tapped beats (GTZAN), the other half")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Item:
    """A track whose tempo is known.

    Attributes:
        path: Of the audio.
        kind: What it is a case of.
        tempo: Beats a minute; None where there is none to tell.
    """

    path: Path
    kind: str
    tempo: float | None


def _swing(beat: float) -> float | None:
    whole, part = divmod(beat, 1)
    return whole + (part * 4 / 3 if part < 0.5 else 2 / 3 + (part - 0.5) * 2 / 3)


def _triplets(beat: float) -> float | None:
    whole, step = divmod(round(beat * 4), 4)
    return None if step == 3 else whole + step / 3


def _waltz(beat: float) -> float | None:
    bar, place = divmod(beat, 4)
    return None if place >= 3 else bar * 3 + place


FEELS: Mapping[str, Callable[[float], float | None]] = {
    "straight": lambda beat: beat,
    "swing": _swing,
    "triplets": _triplets,
    "waltz": _waltz,
}
"""Where a note of a straight piece in four goes; None leaves it out."""


def moved(score: Score, where: Callable[[float], float | None], tempo: float) -> Score:
    """The piece with other beats, at a tempo."""

    def notes(old: tuple[Note, ...]) -> Iterator[Note]:
        for note in old:
            start = where(note.start)
            if start is not None:
                yield replace(note, start=start)

    parts = [replace(part, notes=tuple(notes(part.notes))) for part in score.parts]
    return replace(score, tempo=tempo, parts=tuple(part for part in parts if part.notes))


def faster(rng: np.random.Generator, beats: float) -> Callable[[float], float]:
    """Four tempi one after another, none within 20 % of the next, as beats of the first."""
    steps = np.cumprod([1.0, *rng.choice([0.62, 0.8, 1.27, 1.6], 3)])
    turns = np.linspace(0, beats + 1, 5)
    times = np.concatenate([[0.0], np.cumsum(np.diff(turns) / steps)])
    return lambda beat: float(np.interp(beat, turns, times))


def free(rng: np.random.Generator) -> Callable[[float], float]:
    """Beats that last 0.45 to 1.8 of what they should, each its own length."""
    lengths = np.exp(rng.uniform(-0.8, 0.6, 4000))
    times = np.concatenate([[0.0], np.cumsum(lengths / 4)])
    return lambda beat: float(np.interp(beat * 4, np.arange(4001), times))


def cloud(rng: np.random.Generator, score: Score, seconds: float) -> Score:
    """The same players, each note at any time and pitch."""

    def notes(count: int) -> tuple[Note, ...]:
        starts = np.sort(rng.uniform(0, seconds, count))
        return tuple(Note(float(at), float(rng.uniform(0.1, 3)), int(rng.integers(40, 85)), int(rng.integers(60, 110)))
                     for at in starts)  # fmt: skip

    parts = [replace(part, notes=notes(int(seconds * rng.uniform(0.7, 2.5)))) for part in score.parts if not part.drums]
    return replace(score, tempo=60.0, parts=tuple(parts))


def rendered(settings: Settings) -> Iterator[Item]:
    """Pieces of every ensemble in four feels from 60 to 200 BPM; and such without a tempo to tell."""
    kinds = (*FEELS, *FEELS, "straight", "tempo changes", "free rhythm", "cloud of notes")
    for number in range(settings.pieces):
        rng = np.random.default_rng([settings.seed, number])
        kind = kinds[number % len(kinds)]
        tempo = round(float(60 * (200 / 60) ** rng.random()), 1)
        names = ENSEMBLES[int(rng.integers(len(ENSEMBLES)))]
        score = compose(rng, names, SECONDS * 62 / 60 if kind == "waltz" else SECONDS)
        score = replace(score, tempo=tempo)
        if kind == "cloud of notes" and set(names) - {"drums"}:
            score = cloud(rng, score, SECONDS)
        else:
            changes = {"tempo changes": faster(rng, score.beats), "free rhythm": free(rng)}
            score = moved(score, FEELS.get(kind) or changes.get(kind, FEELS["straight"]), tempo)
        known = tempo if kind in FEELS else None
        path = settings.work / "tempo" / f"{settings.seed}-{number:04d}.flac"
        yield Item(render(score, path), kind, known)


def clicks(settings: Settings) -> Iterator[Item]:
    """Clicks alone, every beat or with an accent every fourth, 60 to 200 BPM."""
    for number, tempo in enumerate(np.round(np.geomspace(60, 200, 29), 1)):
        rng = np.random.default_rng([settings.seed, number])
        beat = 60 / float(tempo)
        wave = rng.normal(0, 1e-4, round(RATE * SECONDS)).astype(np.float32)
        tick = np.sin(2 * np.pi * 1500 * np.arange(RATE // 50) / RATE) * np.exp(-np.arange(RATE // 50) / 60)
        for place in range(int(SECONDS / beat) - 1):
            start = round((0.2 + place * beat) * RATE)
            wave[start : start + len(tick)] += tick * (0.5 if number % 2 and place % 4 else 0.9)
        path = settings.work / "tempo" / f"clicks-{tempo}.wav"
        content = io.BytesIO()
        soundfile.write(content, wave, RATE, format="WAV")
        write_file(path, content.getvalue())
        yield Item(path, "clicks", float(tempo))


def game_songs(folder: Path) -> Iterator[Item]:
    """Songs whose makers publish the beat: StepMania's and osu!'s files, UltraStar's, and ``tempo.tsv`` (path, tempo).

    Songs of more than one tempo are left out. UltraStar's ``#BPM`` counts some power of two of the beat: it is
    brought to 75-150, and only octaves apart can be checked.
    """
    for file in sorted(folder.rglob("*")):
        text = file.read_text("utf-8", "replace") if file.suffix in (".ssc", ".sm", ".osu", ".txt", ".tsv") else ""
        if file.suffix in (".ssc", ".sm") and not (file.suffix == ".sm" and file.with_suffix(".ssc").exists()):
            beats = re.search(r"#BPMS:([^;]*);", text)
            yield from _song(
                file, re.search(r"#MUSIC:(.+?);", text), re.findall(r"=([\d.]+)", beats[1] if beats else "")
            )
        elif file.suffix == ".osu":
            points = text.partition("[TimingPoints]")[2].partition("[")[0]
            lines = re.findall(r"^-?[\d.]+,([\d.]+),", points, re.MULTILINE)
            yield from _song(file, re.search(r"AudioFilename:\s*(.+)", text), [str(60_000 / float(n)) for n in lines])
        elif file.suffix == ".txt" and "#BPM:" in text:
            yield from _karaoke(file, text)
        elif file.name == "tempo.tsv":
            for row in csv.DictReader(text.splitlines(), delimiter="\t"):
                yield Item(file.parent / row["path"], "songs of games", float(row["tempo"]))


def _song(file: Path, audio: re.Match[str] | None, tempi: Sequence[str]) -> Iterator[Item]:
    if audio and len(set(tempi)) == 1 and (file.parent / audio[1].strip()).is_file():
        yield Item(file.parent / audio[1].strip(), "songs of games", float(tempi[0]))


def _karaoke(file: Path, text: str) -> Iterator[Item]:
    audio, tempo = (
        re.search(r"#(?:MP3|AUDIO):(.+)", text),
        float(text.partition("#BPM:")[2].split()[0].replace(",", ".")),
    )
    if audio and "(Kar" not in text and (file.parent / audio[1].strip()).is_file():
        yield Item(file.parent / audio[1].strip(), "karaoke", 75 * 2 ** (np.log2(tempo / 75) % 1))


def tapped(shared: Path, songs: Path, least: float = 5.0, most: float = 60.0) -> Iterator[Item]:
    """Excerpts of GTZAN with the tempo of beats that people tapped (``gtzan_*.bpm`` below ``songs``), in two halves."""
    known = {file.stem.removeprefix("gtzan_").replace("_", "."): file for file in songs.rglob("gtzan_*.bpm")}
    table = (shared / "data" / "gtzan-short" / "tracks.tsv").read_text("utf-8")
    for row in csv.DictReader(table.splitlines(), delimiter="\t"):
        if least <= float(row["seconds"]) < most and row["track_id"] in known:
            tempo = float(known[row["track_id"]].read_text("utf-8").split()[0])
            path = shared / "data" / "gtzan-short" / row["path"]
            yield Item(path, TAPPED[zlib.crc32(path.name.encode()) % 2], tempo)


def measured(item: Item) -> tuple[float, ...]:
    """Tempo (NaN for none), confidence, alternative; librosa's ``feature.tempo`` and ``beat_track`` on the same
    excerpts strung together, and ``beat_track`` on the whole file.
    """
    import librosa

    with open_track(item.path) as opened:
        found = Measuring(("tempo",)).results(opened)["tempo"].to_dict()
    row = [found["value"] or np.nan, found["confidence"], found["alternative"] or np.nan]
    with open_track(item.path) as opened:
        excerpts = np.concatenate([clip.data for clip in opened.clips(PLAN, RATE)])
        whole = excerpts if opened.seconds < 1.1 * SECONDS else load(item.path, 22_050)
    for wave, sr in ((excerpts, RATE), (whole, 22_050)):
        if wave is whole is excerpts and len(row) > 3:
            row.append(row[-1])
            continue
        strength = librosa.onset.onset_strength(y=wave, sr=sr)
        if len(row) == 3:
            row.append(float(librosa.feature.tempo(onset_envelope=strength, sr=sr)[0]))
        row.append(float(np.squeeze(librosa.beat.beat_track(onset_envelope=strength, sr=sr)[0])))
    return tuple(row)


def near(value: Array, truth: Array, octaves: Sequence[float] = (1,)) -> NDArray[np.bool_]:
    """Whether each value is within 4 % of the truth, or of an octave of it."""
    ratios = value[:, None] / (truth[:, None] * np.asarray(octaves))
    return np.asarray((np.abs(ratios - 1) < NEAR).any(axis=1))


def figure(right: NDArray[np.bool_]) -> str:
    """A share with its interval (bootstrap joined with Clopper and Pearson's)."""
    found = rate(right, [str(number) for number in range(len(right))])
    return f"{found.value:.2f}" + (f" ({found.bounds[0]:.2f}-{found.bounds[1]:.2f})" if found.bounds else "")


def section(settings: Settings) -> list[str]:
    """The part of the page."""
    items = [*rendered(settings), *clicks(settings)]
    if settings.songs:
        items += [*game_songs(settings.songs), *tapped(settings.shared, settings.songs)]
    rows = np.array([measured(item) for item in items])
    kinds = np.array([item.kind for item in items])
    truth = np.array([item.tempo or np.nan for item in items])
    head = ("tracks", "n", "a number", "within 4 %", "octaves allowed", "librosa `tempo`", "`beat_track`",
            "octaves allowed", "`beat_track`, whole file")  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for kind in dict.fromkeys(kinds[~np.isnan(truth)]):
        these = kinds == kind
        ours, tempo, beats, whole = (rows[these, column] for column in (0, 3, 4, 5))
        known = truth[these]
        right = near(ours, known), near(ours, known, OCTAVES), near(tempo, known), near(beats, known)
        right = *right, near(beats, known, OCTAVES), near(whole, known)
        cells = [f"{(~np.isnan(ours)).mean():.2f}", *(figure(share) for share in right)]
        lines.append(f"| {kind} | {these.sum()} | {' | '.join(cells)} |")
    return [*lines, "", *untold(kinds, truth, rows), "", *reliability(kinds, truth, rows), "", NOTES]


def untold(kinds: Array, truth: Array, rows: Array) -> list[str]:
    """How often a number stands where there is no tempo."""
    lines = ["| no tempo to tell | n | a number | mean confidence |", "|---|---|---|---|"]
    for kind in dict.fromkeys(kinds[np.isnan(truth)]):
        found = rows[kinds == kind]
        lines.append(f"| {kind} | {len(found)} | {(~np.isnan(found[:, 0])).mean():.2f} | {found[:, 1].mean():.2f} |")
    return lines


def reliability(kinds: Array, truth: Array, rows: Array) -> list[str]:
    """How often a number is right by its confidence, where the weights were not fitted and the octave is known."""
    use = ~np.isnan(rows[:, 0]) & ~np.isnan(truth) & (kinds != TAPPED[0]) & (kinds != "karaoke")
    right, confidence = near(rows[use, 0], truth[use]), rows[use, 1]
    lines = ["| confidence | n | mean | within 4 % |", "|---|---|---|---|"]
    for low in (0.4, 0.6, 0.8):
        these = (confidence >= low) & (confidence < low + 0.2001)
        if these.any():
            lines.append(f"| {low:.1f}- | {these.sum()} | {confidence[these].mean():.2f} | {figure(right[these])} |")
    return lines


NOTES = """Pieces are rendered by fluidsynth from notes that `scripts.bundled.rendered` draws, at tempi from 60 to 200
BPM (their logarithms evenly drawn). Intervals: 95 %, bootstrap joined with Clopper and Pearson's.

Song files are read as labels; nothing of them stands in the repository. `--songs` names a folder with, at any depth:

- [UltraStar-Deluxe/songs](https://github.com/UltraStar-Deluxe/songs), Creative Commons a song. `#BPM` counts some power
  of two of the beat, and many charts have a round number that the song does not keep: read the row by the octaves, as a
  lower end.
- `Songs` of [stepmania/stepmania](https://github.com/stepmania/stepmania); the unpacked `.osz` of
  [ppy/osu-resources](https://github.com/ppy/osu-resources) (CC BY-NC 4.0); `data/tutorials` of
  [fofix/fofix](https://github.com/fofix/fofix) with a `tempo.tsv` (path, tempo) of what each `notes.mid` says.
- [TempoBeatDownbeat/gtzan_tempo_beat](https://github.com/TempoBeatDownbeat/gtzan_tempo_beat): beats that people tapped
  to GTZAN, of which the shared data has excerpts of 15 to 30 s.

No number counts as wrong. The weights were fitted as `bench/fit_tempo.py` does, on rendered pieces of another seed and
on half of the tapped excerpts; the table of confidence counts neither that half nor karaoke. What the weights weigh
and the least confidence of a number were chosen with both halves and the songs of games in sight: their rows flatter
a little."""
