"""A dozen short pieces, rendered from notes by NumPy alone: the repository carries no one else's music.

Each style is a tempo, a chord progression, voices and a drum pattern; a seeded melody walks over the chords. They sound
like what they are, sketches by a machine; a model trained on real music should still tell a lullaby from a techno beat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 32000
SECONDS = 18.0

Wave = NDArray[np.float32]
Voice = Callable[[float, float], Wave]

MAJOR, MINOR, DORIAN = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10)


@dataclass(frozen=True)
class Style:
    """How a piece goes.

    Attributes:
        tempo: Beats a minute.
        root: MIDI note of the key.
        scale: Semitones above it.
        chords: Degrees of the scale, one a bar of four beats.
        lead, chord, bass: Names of voices; empty for none.
        drums: Pattern of sixteen steps a bar: k kick, s snare, h hi-hat, dot for none; one string a drum.
        notes: Melody notes a beat.
        swing: Delay of every second eighth, in beats.
        strum: Chords are struck this many times a bar; 1 holds them.
    """

    tempo: float
    root: int
    scale: tuple[int, ...]
    chords: tuple[int, ...]
    lead: str = ""
    chord: str = ""
    bass: str = ""
    drums: tuple[str, ...] = ()
    notes: float = 1.0
    swing: float = 0.0
    strum: int = 1


FOUR, BREAK, DRIVE, DROP = "k...k...k...k...", "k..k....k.k.....", "k.k...k.k.k...k.", "........k......."
BACK, HATS, OFF = "....s.......s...", "h.h.h.h.h.h.h.h.", "..h...h...h...h."

PIECES: dict[str, Style] = {
    "lullaby on a music box": Style(76, 72, MAJOR, (0, 3, 4, 0), lead="bell", chord="bell", notes=1),
    "string quartet": Style(66, 55, MINOR, (0, 3, 4, 0, 5, 3, 4, 0), lead="bow", chord="bow", bass="bow", notes=0.5),
    "church organ": Style(58, 53, MAJOR, (0, 4, 5, 3), lead="organ", chord="organ", bass="organ", notes=1),
    "piano waltz": Style(132, 60, MAJOR, (0, 5, 1, 4), lead="piano", chord="piano", bass="piano", notes=1, strum=3),
    "folk guitar": Style(104, 52, MAJOR, (0, 4, 5, 3), lead="pluck", chord="pluck", bass="pluck", notes=2, strum=8),
    "swing trio": Style(
        148, 58, DORIAN, (1, 4, 0, 5), "piano", "piano", "pluck", ("h...h..hh...h..h",), 1.5, swing=0.17, strum=2
    ),
    "chip tune": Style(
        168, 64, MINOR, (0, 5, 2, 6), "square", "square", "square", ("k...s...k...s...", HATS), 4, strum=8
    ),
    "hard rock": Style(
        138, 40, MINOR, (0, 0, 5, 6), "fuzz", "fuzz", "saw", ("k.k...k.k.k...k.", BACK, HATS), 2, strum=8
    ),
    "techno": Style(132, 45, MINOR, (0, 0, 0, 6), "", "saw", "saw", (FOUR, OFF, BACK), strum=16),
    "drum and bass": Style(174, 41, MINOR, (0, 5), "", "air", "saw", (BREAK, BACK, HATS), notes=1),
    "reggae": Style(
        78, 57, DORIAN, (0, 3), "organ", "organ", "pluck", ("........k.......", "........s.......", HATS), 1, strum=4
    ),
    "ambient": Style(50, 48, DORIAN, (0, 4, 2, 5), lead="air", chord="air", notes=0.25),
}


def render(style: Style, seed: int) -> Wave:
    """A piece as (samples, 2) float32 at :data:`RATE`."""
    random = np.random.default_rng(seed)
    mix = np.zeros((round((SECONDS + 4) * RATE), 2), np.float32)
    for beat, wave, level, place in (*_harmony(style), *_melody(style, random), *_drums(style, random)):
        start = round(beat * 60 / style.tempo * RATE)
        room = mix[start : start + len(wave)]
        sides = np.float32([np.cos(place * np.pi / 2), np.sin(place * np.pi / 2)])
        room += level * wave[: len(room), None] * sides
    mix = mix[: round(SECONDS * RATE)] + _echo(mix)[: round(SECONDS * RATE)]
    fade = np.minimum(1, np.arange(len(mix))[::-1, None] / RATE).astype(np.float32)
    return mix * fade * np.float32(0.7 / np.abs(mix).max())


def render_all(folder: Path) -> list[Path]:
    """All pieces as FLAC files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed, (name, style) in enumerate(PIECES.items()):
        path = folder / f"{seed + 1:02} {name}.flac"
        soundfile.write(path, render(style, seed), RATE)
        paths.append(path)
    return paths


Event = tuple[float, Wave, float, float]
"""Beat, sound, level, and place from 0 (left) to 1 (right)."""


def _bars(style: Style) -> Iterator[tuple[float, int]]:
    """The beat at which each bar begins, and its chord."""
    for bar in range(1 + int(SECONDS * style.tempo / 240)):
        yield 4.0 * bar, style.chords[bar % len(style.chords)]


def _pitch(style: Style, degree: int) -> float:
    """Hertz of a degree of the scale."""
    octave, step = divmod(degree, len(style.scale))
    return float(440 * 2 ** ((style.root + 12 * octave + style.scale[step] - 69) / 12))


def _harmony(style: Style) -> Iterator[Event]:
    beat_seconds = 60 / style.tempo
    for begin, chord in _bars(style):
        if style.chord:
            each = 4 / style.strum
            for strike in range(style.strum):
                for place, degree in enumerate((0, 2, 4)):
                    wave = _tone(style.chord, _pitch(style, chord + degree), each * beat_seconds * 1.1)
                    yield begin + strike * each, wave, 0.22, 0.35 + 0.15 * place
        if style.bass:
            for strike in range(4):
                wave = _tone(style.bass, _pitch(style, chord - 7) / 2, beat_seconds)
                yield begin + strike, wave, 0.5, 0.5


def _melody(style: Style, random: np.random.Generator) -> Iterator[Event]:
    """A walk over the scale that is pulled back to the chord at every bar."""
    if not style.lead:
        return
    for begin, chord in _bars(style):
        degree = chord + 7
        for step in range(max(1, round(4 * style.notes))):
            beat = step / style.notes
            late = style.swing if round(beat * 2) % 2 else 0.0
            if step == 0 or random.random() < 0.8:
                wave = _tone(style.lead, _pitch(style, degree), 60 / style.tempo / style.notes * 1.2)
                yield begin + beat + late, wave, 0.45, 0.6
            degree += int(random.choice([-2, -1, -1, 1, 1, 2]))


@cache
def _tone(voice: str, hertz: float, seconds: float) -> Wave:
    return VOICES[voice](hertz, seconds)


def _drums(style: Style, random: np.random.Generator) -> Iterator[Event]:
    for begin, _ in _bars(style):
        for pattern in style.drums:
            for step, sign in enumerate(pattern):
                if sign != ".":
                    late = style.swing if step % 4 == 2 else 0.0
                    yield begin + step / 4 + late, _drum(sign, random), 0.8 if sign == "k" else 0.4, 0.5


def _drum(sign: str, random: np.random.Generator) -> Wave:
    t = np.arange(round(0.25 * RATE)) / RATE
    if sign == "k":
        sound = np.sin(2 * np.pi * (50 * t + 6 * (1 - np.exp(-30 * t)))) * np.exp(-12 * t)
    else:
        noise = random.normal(0, 0.5, len(t))
        bright = np.diff(noise, prepend=0)
        sound = bright * np.exp(-60 * t) if sign == "h" else (noise + np.sin(2 * np.pi * 190 * t)) * np.exp(-22 * t)
    return sound.astype(np.float32)


def _echo(mix: Wave) -> Wave:
    """A small room: three late, softer copies with their sides exchanged."""
    room = np.zeros_like(mix)
    for delay, level in ((0.031, 0.25), (0.067, 0.18), (0.113, 0.12)):
        late = round(delay * RATE)
        room[late:] += np.float32(level) * mix[:-late, ::-1]
    return room


def _partials(hertz: float, seconds: float, levels: dict[float, float], decay: float) -> Wave:
    """Partials of a tone that decay, the higher the faster."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = np.zeros_like(t)
    for multiple, level in levels.items():
        if hertz * multiple < RATE / 2:
            wave += level * np.sin(2 * np.pi * hertz * multiple * t) * np.exp(-decay * t * multiple**0.5)
    return _gate(wave, 0.004)


def _gate(wave: NDArray[np.float64], attack: float) -> Wave:
    """Without clicks: a ramp at both ends."""
    ramp = np.arange(len(wave)) / RATE
    return (wave * np.minimum(1, ramp / attack) * np.minimum(1, ramp[::-1] / 0.02)).astype(np.float32)


def _saw(hertz: float, seconds: float) -> NDArray[np.float64]:
    t = np.arange(round(seconds * RATE)) / RATE
    highest = max(1, min(24, int(RATE / 2.2 / hertz)))
    return np.asarray(sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, highest + 1)))


def _bow(hertz: float, seconds: float) -> Wave:
    vibrato = 1 + 0.1 * np.sin(2 * np.pi * 5.5 * np.arange(round(seconds * RATE)) / RATE)
    return 0.5 * _gate(_saw(hertz, seconds) * vibrato, 0.12)


def _fuzz(hertz: float, seconds: float) -> Wave:
    """A power chord through a valve: the root and its fifth, driven hard."""
    return 0.5 * _gate(np.tanh(4 * (_saw(hertz, seconds) + _saw(1.498 * hertz, seconds))), 0.003)


def _air(hertz: float, seconds: float) -> Wave:
    """Detuned sines that swell."""
    t = np.arange(round(2 * seconds * RATE)) / RATE
    choir = sum(np.sin(2 * np.pi * hertz * (1 + cents / 1200) * t + cents) for cents in (-9, -4, 0, 5, 8))
    return 0.25 * _gate(np.asarray(choir), min(1.0, seconds / 2))


def _square(hertz: float, seconds: float) -> Wave:
    t = np.arange(round(seconds * RATE)) / RATE
    return 0.4 * _gate(np.sign(np.sin(2 * np.pi * hertz * t)) * np.exp(-2 * t), 0.002)


VOICES: dict[str, Voice] = {
    "bell": lambda hertz, seconds: _partials(hertz, 3 * seconds, {1: 0.7, 2.76: 0.3, 5.4: 0.15}, 2.5),
    "piano": lambda hertz, seconds: _partials(hertz, 2 * seconds, {k: 0.8 / k**1.3 for k in range(1, 9)}, 2.0),
    "pluck": lambda hertz, seconds: _partials(hertz, 2 * seconds, {k: 0.8 / k for k in range(1, 13)}, 3.0),
    "organ": lambda hertz, seconds: _partials(hertz, seconds, {0.5: 0.3, 1: 0.5, 2: 0.4, 3: 0.2, 4: 0.2, 8: 0.1}, 0.0),
    "saw": lambda hertz, seconds: 0.5 * _gate(_saw(hertz, seconds), 0.004),
    "bow": _bow,
    "fuzz": _fuzz,
    "air": _air,
    "square": _square,
}
