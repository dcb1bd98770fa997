"""Pieces written as MIDI for the purpose and rendered with a free sound font: music whose facts are known.

Tempo, key and instruments are what the score says. ``python -m scripts.bundled.rendered -m MODEL`` prints how well the
published taggers, and a model's own heads, know the instruments (``make rendered``). Nothing rendered is committed.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from earmark.datasets import load_dataset
from earmark.engine import predict_all
from earmark.errors import EarmarkError
from earmark.events import Notice, Progress, Run, Steps
from earmark.inference.records import Prediction
from earmark.inference.tagger import load_model
from earmark.paths import cache_folder as user_cache
from earmark.storage import write_file
from scripts.bundled.agreement import Evidence, evidence, label_names, tag_scores, worth
from scripts.bundled.figures import markdown
from scripts.bundled.heads import CORPORA
from scripts.bundled.report import printed
from scripts.bundled.taggers import labels_of, tag_probabilities

__all__ = [
    "GENERAL_MIDI",
    "SOUND_FONT",
    "Instrument",
    "Note",
    "Part",
    "Score",
    "compose",
    "midi",
    "pieces",
    "render",
    "render_all",
]

Array = NDArray[np.float32]
SOUND_FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
"""Debian's package ``fluid-soundfont-gm`` (MIT)."""
RATE, TICKS = 32000, 480
SCALES: Mapping[str, tuple[int, ...]] = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
CHORDS: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "major": ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (0, 1, 4, 0), (5, 3, 0, 4)),
    "minor": ((0, 3, 4, 0), (0, 5, 2, 6), (0, 6, 5, 4), (0, 3, 6, 2), (0, 5, 3, 4)),
}
"""Degrees of the scale, one a bar of four beats."""
DRUM_PATTERNS: tuple[Mapping[int, str], ...] = (
    {36: "k.......k.......", 38: "....s.......s...", 42: "h.h.h.h.h.h.h.h."},
    {36: "k..k....k.k.....", 38: "....s.......s..s", 42: "hhhhhhhhhhhhhhhh"},
    {36: "k...k...k...k...", 39: "....s.......s...", 46: "..h...h...h...h."},
    {36: "k.k.....k.k.....", 40: "....s.......s...", 51: "h...h.h.h...h.h."},
    {36: "k.......k..k....", 37: "....s.......s...", 51: "h..hh..hh..hh..h", 45: "..............tt"},
)
"""By drum (General MIDI's notes), sixteen steps a bar."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note: start and length in beats, pitch as MIDI counts (60 is middle C), velocity 1-127."""

    start: float
    length: float
    pitch: int
    velocity: int = 90


@dataclass(frozen=True, slots=True)
class Part:
    """What one instrument plays: its General MIDI program (from 0) or drum kit, and notes."""

    program: int
    notes: tuple[Note, ...]
    drums: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """A piece and its facts.

    Attributes:
        tempo: Beats a minute, constant.
        tonic: Pitch class of the key, 0 for C.
        mode: ``major`` or ``minor``.
        parts: At most sixteen.
        instruments: Names of what plays, as in :data:`GENERAL_MIDI`.
    """

    tempo: float
    tonic: int
    mode: str
    parts: tuple[Part, ...]
    instruments: tuple[str, ...] = ()

    @property
    def beats(self) -> float:
        """Where the last note ends."""
        return max(note.start + note.length for part in self.parts for note in part.notes)


def midi(score: Score) -> bytes:
    """A standard MIDI file of format 0."""
    events: list[tuple[int, int, bytes]] = []
    channels = iter(channel for channel in range(16) if channel != 9)
    for part in score.parts:
        channel = 9 if part.drums else next(channels)
        events.append((0, 0, bytes((0xC0 | channel, part.program))))
        for note in part.notes:
            start, end = (round(beat * TICKS) for beat in (note.start, note.start + note.length))
            events.append((start, 2, bytes((0x90 | channel, note.pitch, note.velocity))))
            events.append((max(end, start + 1), 1, bytes((0x80 | channel, note.pitch, 0))))
    relative_major = score.tonic + (3 if score.mode == "minor" else 0)
    sharps = (relative_major * 7 + 5) % 12 - 5
    track = b"\0\xff\x51\x03" + round(60e6 / score.tempo).to_bytes(3, "big")
    track += b"\0\xff\x59\x02" + struct.pack("bB", sharps, score.mode == "minor")
    now = 0
    for tick, _, event in sorted(events):
        track += _variable(tick - now) + event
        now = tick
    track += b"\0\xff\x2f\0"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS) + b"MTrk" + struct.pack(">I", len(track)) + track


def _variable(number: int) -> bytes:
    """MIDI's numbers of variable length: seven bits a byte, the last without the eighth."""
    found = [number & 0x7F]
    while number := number >> 7:
        found.append(number & 0x7F | 0x80)
    return bytes(reversed(found))


def render(score: Score, target: Path, sound_font: Path = SOUND_FONT) -> Path:
    """The piece as a FLAC file, stereo, 32 kHz, peak at .7; one that is there already stays.

    Raises:
        EarmarkError: fluidsynth or the sound font is missing, or rendering failed.
    """
    program = shutil.which("fluidsynth")
    if program is None or not sound_font.is_file():
        raise EarmarkError(
            "fluidsynth or its sound font is missing, so that no pieces can be rendered; install Debian's packages "
            "fluidsynth and fluid-soundfont-gm"
        )
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        notes, sound = Path(folder, "notes.mid"), Path(folder, "sound.wav")
        notes.write_bytes(midi(score))
        settings = ("-o", "synth.dynamic-sample-loading=1", "-g", "0.6", "-r", str(RATE))
        command = [program, "-ni", "-q", *settings, "-F", str(sound), str(sound_font), str(notes)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not sound.exists():
            raise EarmarkError(f"{target}: fluidsynth could not render it: {done.stderr.strip()[-200:]}")
        waveform, _ = soundfile.read(sound, dtype="float32")
    waveform = waveform[: round(RATE * (0.3 + score.beats * 60 / score.tempo))]  # what rings on longer is silence
    content = io.BytesIO()
    soundfile.write(content, waveform * (0.7 / max(1e-6, float(np.abs(waveform).max()))), RATE, format="FLAC")
    write_file(target, content.getvalue())
    return target


@dataclass(frozen=True, slots=True)
class Instrument:
    """How an instrument plays: General MIDI programs, lowest and highest pitch, and what it can play."""

    programs: tuple[int, ...]
    low: int
    high: int
    roles: tuple[str, ...] = ("melody",)


_CHORDAL = ("chords", "arpeggio", "both")
GENERAL_MIDI: Mapping[str, Instrument] = {
    "piano": Instrument((0, 1), 45, 88, _CHORDAL),
    "electric piano": Instrument((4, 5), 48, 84, _CHORDAL),
    "harpsichord": Instrument((6,), 43, 86, ("arpeggio", "both", "melody")),
    "mallets": Instrument((9, 11, 12), 60, 90, ("melody", "arpeggio")),
    "organ": Instrument((16, 17, 18, 19), 41, 84, ("chords", "both")),
    "accordion": Instrument((21,), 48, 84, ("both", "melody")),
    "harmonica": Instrument((22,), 60, 84),
    "acoustic guitar": Instrument((24, 25), 40, 76, ("strum", "arpeggio", "both")),
    "electric guitar": Instrument((26, 27, 29, 30), 40, 78, ("strum", "melody", "power")),
    "bass": Instrument((32, 33, 34, 36), 28, 48, ("bass",)),
    "violin": Instrument((40,), 58, 92),
    "cello": Instrument((42,), 38, 66),
    "strings": Instrument((44, 48, 49), 43, 86, ("chords", "both", "melody")),
    "harp": Instrument((46,), 40, 90, ("arpeggio",)),
    "choir": Instrument((52, 53), 48, 79, ("chords", "both")),
    "brass": Instrument((56, 57, 60, 61), 45, 79, ("melody", "chords")),
    "saxophone": Instrument((65, 66), 49, 80),
    "clarinet": Instrument((71,), 52, 86),
    "flute": Instrument((73,), 62, 93),
    "synth": Instrument((80, 81, 84, 87, 90, 94), 40, 84, ("melody", "chords", "arpeggio")),
    "sitar": Instrument((104,), 48, 76, ("melody", "arpeggio")),
    "banjo": Instrument((105,), 50, 80, ("arpeggio", "melody")),
    "drums": Instrument((0, 8, 16, 24, 25, 32), 0, 0, ("drums",)),
}
"""Instruments of the sound font. Drums' programs are kits."""

ENSEMBLES: tuple[tuple[str, ...], ...] = (
    ("piano", "bass", "drums"), ("piano", "strings"), ("violin", "piano"), ("cello", "piano"), ("flute", "piano"),
    ("saxophone", "piano", "bass", "drums"), ("clarinet", "piano", "bass"), ("brass", "piano", "bass", "drums"),
    ("electric guitar", "bass", "drums"), ("electric guitar", "organ", "bass", "drums"),
    ("acoustic guitar", "flute"), ("acoustic guitar", "harmonica"), ("acoustic guitar", "violin", "bass"),
    ("acoustic guitar", "accordion", "bass"), ("banjo", "acoustic guitar", "bass"), ("banjo", "violin", "bass"),
    ("strings", "brass"), ("strings", "flute", "harp"), ("strings", "choir"), ("choir", "organ"), ("brass", "organ"),
    ("harpsichord", "strings"), ("harpsichord", "flute"), ("harp", "cello"), ("synth", "bass", "drums"),
    ("synth", "electric guitar", "drums"), ("synth", "strings", "drums"), ("electric piano", "bass", "drums"),
    ("mallets", "bass", "drums"), ("mallets", "strings"), ("sitar", "drums"), ("sitar", "flute"),
    ("organ", "saxophone", "drums"), ("electric piano", "clarinet", "drums"),
)  # fmt: skip
"""Who plays together."""

SOLOS, ROUNDS = 4, 4
"""Pieces of each instrument alone, and of each ensemble."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all parts of a piece share."""

    tonic: int
    mode: str
    chords: tuple[int, ...]
    bars: int

    def pitch(self, degree: int) -> int:
        scale = SCALES[self.mode]
        return self.tonic + scale[degree % 7] + 12 * (degree // 7)

    def triad(self, bar: int, size: int = 3) -> list[int]:
        """Pitches of the bar's chord, from the lowest octave."""
        root = self.chords[bar % len(self.chords)]
        return [self.pitch(root + 2 * step) for step in range(size)]


def _into(pitch: int, low: int, high: int) -> int:
    """The pitch in another octave, so that it lies in a range of an octave or more."""
    return low + (pitch - low) % 12 if not low <= pitch <= high else pitch


def _melody(rng: np.random.Generator, plan: _Plan, tool: Instrument) -> Iterator[Note]:
    """A walk over the scale that is drawn to the chord at each bar, with rests."""
    step = float(rng.choice([0.5, 1.0, 1.0, 2.0]))
    centre = int(rng.integers(tool.low + 6, max(tool.low + 7, tool.high - 11)))
    degree = 0
    for bar in range(plan.bars):
        degree = plan.chords[bar % len(plan.chords)] + int(rng.choice([0, 2, 4]))
        beat = 0.0
        while beat < 4:
            length = min(step * float(rng.choice([1, 1, 1, 2])), 4 - beat)
            if rng.random() > 0.12:
                pitch = _into(centre + (plan.pitch(degree) - centre) % 12, tool.low, tool.high)
                yield Note(bar * 4 + beat, length * 0.95, pitch, int(rng.integers(75, 115)))
            degree += int(rng.choice([-2, -1, -1, 1, 1, 2]))
            beat += length


def _chords(
    rng: np.random.Generator, plan: _Plan, tool: Instrument, beats: float, spread: float = 0.0
) -> Iterator[Note]:
    """Chords every so many beats; strummed, if spread (beats between two strings)."""
    centre = int(rng.integers(tool.low, max(tool.low + 1, tool.high - 18)))
    for bar in range(plan.bars):
        triad = sorted(_into(centre + (pitch - centre) % 12, tool.low, tool.high) for pitch in plan.triad(bar))
        for beat in np.arange(0, 4, beats):
            for place, pitch in enumerate([*triad, triad[0] + 12] if spread else triad):
                start = bar * 4 + float(beat) + place * spread
                yield Note(start, beats * 0.95, min(pitch, tool.high), int(rng.integers(70, 105)))


def _arpeggio(rng: np.random.Generator, plan: _Plan, tool: Instrument) -> Iterator[Note]:
    step, centre = float(rng.choice([0.25, 0.5, 0.5])), int(rng.integers(tool.low, max(tool.low + 1, tool.high - 24)))
    order = [0, 1, 2, 3, 2, 1] if rng.random() < 0.5 else [0, 2, 1, 2, 3, 2]
    for bar in range(plan.bars):
        triad = sorted(centre + (pitch - centre) % 12 for pitch in plan.triad(bar))
        tones = [*triad, triad[0] + 12]
        for number, beat in enumerate(np.arange(0, 4, step)):
            pitch = _into(tones[order[number % len(order)]], tool.low, tool.high)
            yield Note(bar * 4 + float(beat), step * 1.6, pitch, int(rng.integers(65, 105)))


def _bass(rng: np.random.Generator, plan: _Plan, tool: Instrument) -> Iterator[Note]:
    step = float(rng.choice([0.5, 1.0, 2.0]))
    for bar in range(plan.bars):
        triad = plan.triad(bar)
        for beat in np.arange(0, 4, step):
            pitch = triad[0] if beat in (0, 2) or rng.random() < 0.6 else int(rng.choice(triad))
            yield Note(
                bar * 4 + float(beat), step * 0.9, _into(pitch, tool.low, tool.low + 14), int(rng.integers(85, 115))
            )


def _drums(rng: np.random.Generator, plan: _Plan) -> Iterator[Note]:
    pattern = DRUM_PATTERNS[int(rng.integers(len(DRUM_PATTERNS)))]
    for bar in range(plan.bars):
        if bar % 8 == 0:
            yield Note(bar * 4, 1.0, 49, 95)
        for drum, steps in pattern.items():
            for step, mark in enumerate(steps):
                if mark != ".":
                    accent = 105 if step % 4 == 0 else 85
                    yield Note(bar * 4 + step / 4, 0.2, drum, accent + int(rng.integers(-8, 9)))


def _notes(rng: np.random.Generator, plan: _Plan, tool: Instrument, role: str) -> Iterator[Note]:
    if role == "drums":
        yield from _drums(rng, plan)
    elif role == "bass":
        yield from _bass(rng, plan, tool)
    elif role == "arpeggio":
        yield from _arpeggio(rng, plan, tool)
    elif role in ("chords", "strum", "power"):
        beats = {"chords": float(rng.choice([1.0, 2.0, 4.0])), "strum": 1.0, "power": 0.5}[role]
        yield from _chords(rng, plan, tool, beats, 0.04 if role == "strum" else 0.0)
    else:
        yield from _melody(rng, plan, tool)
    if role == "both":
        below = Instrument(tool.programs, tool.low, max(tool.low + 19, (tool.low + tool.high) // 2 - 6))
        yield from _chords(rng, plan, below, float(rng.choice([1.0, 2.0, 4.0])))


def compose(rng: np.random.Generator, instruments: Sequence[str], seconds: float, programs: int = -1) -> Score:
    """A piece for instruments of :data:`GENERAL_MIDI`, of about so many seconds, everything else drawn.

    Args:
        rng: Decides tempo, key, chords, roles, notes and (unless given) the programs.
        instruments: Who plays.
        seconds: Length.
        programs: Which of each instrument's programs, counted round; -1 draws.
    """
    tempo, tonic = float(rng.integers(62, 164)), int(rng.integers(12))
    mode = "major" if rng.random() < 0.55 else "minor"
    plan = _Plan(tonic, mode, CHORDS[mode][int(rng.integers(5))], max(1, round(seconds * tempo / 240)))
    parts = []
    for name in instruments:
        tool = GENERAL_MIDI[name]
        choice = int(rng.integers(len(tool.programs))) if programs < 0 else programs % len(tool.programs)
        role = str(rng.choice(tool.roles))
        parts.append(Part(tool.programs[choice], tuple(_notes(rng, plan, tool, role)), name == "drums"))
    return Score(tempo, tonic, mode, tuple(parts), tuple(instruments))


def pieces(solos: int, rounds: int, seed: int = 0, seconds: float = 10.0) -> Iterator[tuple[str, Score]]:
    """Names and scores: so many solos of every instrument (programs in turn), then so many pieces of every ensemble."""
    for place, names in enumerate([*((name,) for name in GENERAL_MIDI), *ENSEMBLES]):
        for number in range(solos if len(names) == 1 else rounds):
            rng = np.random.default_rng([seed, place, number])
            yield f"{'-'.join(names)}-{number}", compose(rng, names, seconds, number)


PLAYED: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "piano": (("piano",), ("electric piano",)),
    "guitar": (("acoustic guitar", "electric guitar"), ("banjo",)),
    "strings": (("strings", "violin", "cello"), ()),
    "violin": (("violin",), ("strings",)),
    "cello": (("cello",), ("strings",)),
    "synth": (("synth",), ("electric piano",)),
}
"""By label, the instruments that mean it and those of which one may or may not say it; others mean their own name."""


def truth(scores: Sequence[Score], labels: Sequence[str]) -> Array:
    """(pieces, labels) 1 where it plays, 0 where it does not, NaN where people would differ or the label is not known.

    Of voices the sound font has only a choir: whatever else plays is instrumental.
    """
    found = np.full((len(scores), len(labels)), np.nan, np.float32)
    for column, label in enumerate(labels):
        played, perhaps = PLAYED.get(label, ((label,), ()))
        if label in ("vocal", "instrumental"):
            played = ("choir",)
        if not set(played) <= set(GENERAL_MIDI):
            continue
        for row, score in enumerate(scores):
            plays = bool(set(played) & set(score.instruments))
            if plays or not set(perhaps) & set(score.instruments):
                found[row, column] = plays
    if "instrumental" in labels:
        place = list(labels).index("instrumental")
        found[:, place] = 1 - found[:, place]
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """How well one witness knows a label.

    Attributes:
        roc_auc: Over all pieces whose truth is known.
        precision: Among as many of the first pieces as have the label.
    """

    roc_auc: float
    precision: float


def measured(known: Array, scores: Array) -> Row | None:
    """Both figures of (pieces,) scores; None where all pieces or none have the label."""
    use = ~np.isnan(known) & ~np.isnan(scores)
    has, odds = known[use] == 1, scores[use]
    if has.all() or not has.any():
        return None
    first = np.argsort(-odds, kind="stable")[: int(has.sum())]
    return Row(float(roc_auc_score(has, odds)), float(has[first].mean()))


def witnesses(paths: Sequence[Path], weights: Path, work: Path) -> Steps[dict[str, dict[str, dict[str, Array]]]]:
    """By head, label and vocabulary (or network), (pieces,) log-odds of the published taggers."""
    found = yield from tag_probabilities(paths, weights, work)
    scores = tag_scores(found, {name: labels_of(name, weights) for name in found})
    return {head: {label: dict(views) for label, views in table.items()} for head, table in scores.items()}


def add_model(by_label: dict[str, dict[str, dict[str, Array]]], model: str, paths: Sequence[Path]) -> None:
    """Put what a model's heads say beside the taggers' words, label by label."""
    tagger = load_model(model)
    results = list(predict_all(tagger, paths))
    for head, table in by_label.items():
        for label, views in table.items():
            said = [_score(result, head, label) for result in results]
            if not np.isnan(said).all():
                views[tagger.card.id] = np.array(said, np.float32)


def _score(result: object, head: str, label: str) -> float:
    answer = result.heads.get(head) if isinstance(result, Prediction) else None
    return answer.scores.get(label, float("nan")) if answer else float("nan")


def table(
    scores: Sequence[Score], by_label: Mapping[str, Mapping[str, Mapping[str, Array]]],
    grounds: Mapping[str, Mapping[str, Evidence]],
) -> Iterator[str]:  # fmt: skip
    """Markdown: label, songs and artists on which taggers agree, how well, pieces, and each witness's two figures."""
    lines = []
    for head, of_label in grounds.items():
        labels = list(of_label)
        known = truth(scores, labels)
        for label, column in zip(labels, known.T, strict=True):
            rows = {view: measured(column, odds) for view, odds in by_label[head][label].items()}
            words = [f"{view} {row.roc_auc:.2f}, {row.precision:.2f}" for view, row in rows.items() if row]
            rests, count = of_label[label], int(np.nansum(column))
            cells = [f"{rests.songs} ({rests.artists})", f"{rests.kappa:.2f}", str(count or ""), "; ".join(words)]
            lines.append([label, *cells])
    names = ["label", "songs (artists)", "kappa", "pieces", "ROC-AUC and precision of each witness on the pieces"]
    yield from markdown(names, lines)


def render_all(work: Path, kept: int) -> Steps[tuple[list[Path], list[Score]]]:
    """The pieces with even numbers (0), to learn from, or with odd ones (1): other tunes, and other programs if any."""
    chosen = [(name, score) for name, score in pieces(SOLOS, ROUNDS) if int(name.rsplit("-", 1)[1]) % 2 == kept]
    paths = []
    for name, score in chosen:
        digest = hashlib.sha256(midi(score)).hexdigest()[:8]
        paths.append(render(score, work / "rendered" / f"{name}-{digest}.flac"))
        yield Progress(len(paths), len(chosen), "rendering", "pieces")
    return paths, [score for _, score in chosen]


def examples(work: Path) -> Steps[tuple[list[Path], dict[str, tuple[tuple[str, ...], Array]]]]:
    """Pieces to learn from and their targets in the form of :class:`scripts.bundled.agreement.Verdicts`.

    Solos are sure examples that the corpora hardly have. None, and a notice, where fluidsynth is missing.

    Args:
        work: Folder where the pieces are kept.

    Returns:
        Files, and for ``instruments`` and ``voice`` the labels and (pieces, labels) of 1, 0 and NaN.
    """
    try:
        paths, scores = yield from render_all(work, 0)
    except EarmarkError as error:
        yield Notice(f"The heads learn without rendered pieces: {error}.")
        return [], {}
    return paths, {head: (names := label_names(head), truth(scores, names)) for head in ("instruments", "voice")}


def report(shared: Path, work: Path, model: str) -> Iterator[str]:
    """Ask everybody about the pieces that no head learns from, and the taggers about the corpora: tables in Markdown.

    Args:
        shared: Folder with data and weights.
        work: For pieces and the taggers' words.
        model: A model folder or a name.
    """
    weights = shared / "weights"
    paths, scores = Run(render_all(work, 1)).wait()
    by_label = Run(witnesses(paths, weights, work)).wait()
    add_model(by_label, model, paths)
    tracks = [t for name in CORPORA for t in load_dataset(shared / "data" / name, training=True).tracks]
    corpora = Run(witnesses([track.path for track in tracks], weights, work)).wait()
    yield from table(scores, by_label, evidence(corpora, tracks))
    yield ""
    found = worth(corpora, tracks)
    rows = {
        "best vocabulary alone says yes": [f"{one.alone:.2f}" for one in found.values()],
        "two agree on yes": [f"{one.yes:.2f}" for one in found.values()],
        "share of people's that they find": [f"{one.found:.2f}" for one in found.values()],
        "two agree on no": [f"{one.no:.3f}" for one in found.values()],
    }
    yield from markdown(["called so by people", *found], ([name, *cells] for name, cells in rows.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0, or 1 with one line of what is wrong."""
    parser = argparse.ArgumentParser("python -m scripts.bundled.rendered", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data and weights")
    parser.add_argument("--work", type=Path, default=user_cache() / "default-model", help="cache of make model")
    parser.add_argument("-m", "--model", default="default", help="a model folder or a name")
    given = parser.parse_args(arguments)
    return printed(report(given.shared, given.work / "taggers", given.model))


if __name__ == "__main__":
    sys.exit(main())
