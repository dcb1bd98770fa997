"""A key is found wherever it lies and however the piece is tuned; what has none gets no name and little confidence."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.analyses.facts import Key
from earmark.analyses.key import KeyMeter
from sounds import sine

RATE, CLIP = 16_000, 48_000
DEGREES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
CHORDS = {
    "major": ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7)),
    "minor": ((0, 3, 7), (5, 8, 12), (7, 11, 14), (0, 3, 7)),
}
CAMELOT = {
    "C major": "8B", "C# major": "3B", "D major": "10B", "D# major": "5B", "E major": "12B", "F major": "7B",
    "F# major": "2B", "G major": "9B", "G# major": "4B", "A major": "11B", "A# major": "6B", "B major": "1B",
    "C minor": "5A", "C# minor": "12A", "D minor": "7A", "D# minor": "2A", "E minor": "9A", "F minor": "4A",
    "F# minor": "11A", "G minor": "6A", "G# minor": "1A", "A minor": "8A", "A# minor": "3A", "B minor": "10A",
}  # fmt: skip


def piece(tonic, mode, cents=0.0, seconds=24.0, drums=0.0):
    """(samples,) chords with bass and a tune over them, each tone with overtones that die away."""
    random, beat = np.random.default_rng(3), RATE // 2
    times = np.arange(beat) / RATE
    sound = np.zeros((round(seconds * 2), beat))
    for number, row in enumerate(sound):
        chord = CHORDS[mode][number // 4 % 4]
        tune = random.choice([chord[0], chord[1], chord[2], int(random.choice(DEGREES[mode]))])
        for pitch, level in ((36 + chord[0], 0.3), *((60 + one, 0.15) for one in chord), (72 + tune, 0.2)):
            hertz = 440 * 2 ** ((pitch + tonic - 69 + cents / 100) / 12)
            for part in range(1, 6):
                row += level / part * np.sin(2 * np.pi * hertz * part * times) * np.exp(-3 * part * times)
        row += drums * random.standard_normal(beat) * np.exp(-60 * times)
    return sound.ravel().astype(np.float32)


def key(sound):
    """Of clips of 3 s."""
    meter = KeyMeter()
    for start in range(0, len(sound), CLIP):
        meter.add(np.asarray(sound[start : start + CLIP], np.float32))
    return meter.result()


@pytest.mark.parametrize("mode", ["major", "minor"])
def test_a_piece_moved_by_semitones_moves_its_key_round_the_wheel(mode) -> None:
    for tonic, name in enumerate(("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")):
        found = key(piece(tonic, mode))
        assert (found.value, found.camelot) == (f"{name} {mode}", CAMELOT[f"{name} {mode}"])
        assert found.confidence > 0.7


@pytest.mark.parametrize("cents", [-45, -20, 30])
def test_the_tuning_of_the_whole_piece_does_not_matter(cents) -> None:
    assert key(piece(2, "minor", cents)).value == "D minor"


def test_drums_over_music_leave_its_key() -> None:
    assert key(piece(9, "minor", drums=1.0)).value == "A minor"


def test_loudness_does_not_matter() -> None:
    quiet, loud = key(0.001 * piece(7, "major")), key(piece(7, "major"))
    assert quiet.value == loud.value == "G major"
    assert quiet.confidence == pytest.approx(loud.confidence, abs=0.01)


def noise(seconds=30.0):
    return 0.3 * np.random.default_rng(0).standard_normal(round(seconds * RATE))


def babble(seconds=30.0):
    """A voice: pulses whose pitch glides, in syllables, through two resonances."""
    random, count = np.random.default_rng(1), round(seconds * RATE)
    marks = np.arange(0, count + 2000, 2000)
    pitch = 120 * 2 ** np.interp(np.arange(count), marks, random.normal(0, 0.3, len(marks)))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(phase * part) / part * np.exp(-(((part * 120 - 500) / 900) ** 2)) for part in range(1, 20))
    return 0.3 * voice * np.clip(np.sin(2 * np.pi * 4 * np.arange(count) / RATE), 0, 1)


def clicks(seconds=30.0):
    sound = np.zeros(round(seconds * RATE))
    sound[:: RATE // 2] = 0.8
    return sound


def beats(seconds=30.0):
    """Bass drum, snare and hat alone."""
    random, times = np.random.default_rng(2), np.arange(RATE // 4) / RATE
    kick = np.sin(2 * np.pi * 50 * times + 8 * (1 - np.exp(-40 * times))) * np.exp(-12 * times)
    strokes = [
        kick * (place % 2 == 0)
        + random.standard_normal(len(times))
        * (0.5 * np.exp(-25 * times) * (place % 4 == 2) + 0.1 * np.exp(-80 * times))
        for place in range(round(seconds * 4))
    ]
    return 0.4 * np.concatenate(strokes)


def row_of_twelve(seconds=30.0):
    """Every pitch as often as any other, in no order."""
    random = np.random.default_rng(4)
    rows = np.concatenate([random.permutation(12) for _ in range(round(seconds / 3) + 1)])[: round(seconds * 4)]
    decay = np.exp(-5 * np.arange(RATE // 4) / RATE)
    return np.concatenate(
        [
            sum(sine(0.25, RATE, part * 262 * 2 ** (pitch / 12), 0.2 / part) for part in (1, 2, 3)) * decay
            for pitch in rows
        ]
    )


@pytest.mark.parametrize("sound", [noise, babble, clicks, beats, row_of_twelve])
def test_what_has_no_key_gets_no_name(sound) -> None:
    found = key(sound())
    assert found.value is None and found.camelot is None
    assert found.confidence < 0.4


@pytest.mark.parametrize("seconds", [0.0, 0.2, 2.0, 4.9])
def test_a_few_seconds_are_too_short_for_a_key(seconds) -> None:
    assert key(piece(0, "major")[: round(seconds * RATE)]) == Key()


def test_silence_and_nothing_have_no_key() -> None:
    assert key(np.zeros(30 * RATE)) == Key() == KeyMeter().result()


def test_a_track_under_5_s_has_no_key_whatever_its_clips() -> None:
    meter, short = KeyMeter(), piece(0, "major")[: round(4.9 * RATE)]
    for clip in (short[:CLIP], short[-CLIP:]):
        meter.add(clip)
    assert meter.result() == Key()
