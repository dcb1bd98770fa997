"""Rendered pieces: the MIDI says what the score says, the sound has its tempo and pitch, the taggers know who plays."""

import struct
from pathlib import Path

import numpy as np
import pytest
from scripts.bundled import rendered
from scripts.bundled.agreement import label_names
from scripts.bundled.rendered import GENERAL_MIDI, Note, Part, Score, compose, measured, midi, pieces, render, truth

from conftest import program
from earmark.audio.track import load
from earmark.errors import EarmarkError
from earmark.events import Run


def events(file: bytes) -> list[tuple[int, bytes]]:
    """(tick, event) of a file of format 0, read by the book."""
    assert file[:4] == b"MThd"
    assert struct.unpack(">IHHH", file[4:14]) == (6, 0, 1, 480)
    assert file[14:18] == b"MTrk"
    body = file[22:]
    assert len(body) == struct.unpack(">I", file[18:22])[0]
    found, place, now = [], 0, 0
    while place < len(body):
        step = 0
        while True:
            step = step << 7 | body[place] & 0x7F
            place += 1
            if not body[place - 1] & 0x80:
                break
        now += step
        size = 3 + body[place + 2] if body[place] == 0xFF else 2 if body[place] >> 4 == 0xC else 3
        found.append((now, body[place : place + size]))
        place += size
    return found


def test_the_file_holds_tempo_key_programs_and_notes() -> None:
    long_ago = Note(100.0, 2.0, 64, 90)
    score = Score(
        90.0, 2, "major", (Part(40, (Note(0.0, 1.0, 62, 80), long_ago)), Part(8, (Note(1.0, 0.2, 36, 99),), True))
    )
    found = events(midi(score))
    assert found[0] == (0, b"\xff\x51\x03" + round(60e6 / 90).to_bytes(3, "big"))
    assert found[1] == (0, b"\xff\x59\x02\x02\x00")  # D major: two sharps
    assert found[-1][1] == b"\xff\x2f\x00"
    assert {event for _, event in found[2:4]} == {b"\xc0\x28", b"\xc9\x08"}
    assert (48000, bytes((0x90, 64, 90))) in found
    assert (48960, bytes((0x80, 64, 0))) in found
    assert (480, bytes((0x99, 36, 99))) in found


@pytest.mark.parametrize(
    ("tonic", "mode", "sharps"), [(0, "major", 0), (9, "minor", 0), (5, "major", -1), (4, "minor", 1), (3, "minor", 6)]
)
def test_the_signature_of_a_key(tonic: int, mode: str, sharps: int) -> None:
    signature = events(midi(Score(120.0, tonic, mode, (Part(0, (Note(0, 1, 60),)),))))[1][1]
    assert struct.unpack("bB", signature[3:]) == (sharps, mode == "minor")


def test_every_instrument_plays_in_its_range_and_key() -> None:
    for name, score in pieces(4, 2):
        scale = {(score.tonic + step) % 12 for step in rendered.SCALES[score.mode]}
        for instrument, part in zip(score.instruments, score.parts, strict=True):
            tool = GENERAL_MIDI[instrument]
            assert part.notes, name
            assert part.program in tool.programs
            assert part.drums or all(tool.low <= note.pitch <= tool.high for note in part.notes), name
            assert part.drums or {note.pitch % 12 for note in part.notes} <= scale, name


def test_pieces_are_the_same_each_time_and_differ_among_each_other() -> None:
    first = dict(pieces(2, 2))
    assert first == dict(pieces(2, 2))
    assert len({midi(score) for score in first.values()}) == len(first)


def test_truth_is_unknown_where_people_would_differ() -> None:
    solos = {name: compose(np.random.default_rng(0), [name], 4.0) for name in GENERAL_MIDI}
    names = ["piano", "guitar", "strings", "violin", "instrumental", "male"]
    known = dict(zip(solos, truth(list(solos.values()), names), strict=True))
    np.testing.assert_array_equal(known["piano"], [1, 0, 0, 0, 1, np.nan])
    np.testing.assert_array_equal(known["electric piano"], [np.nan, 0, 0, 0, 1, np.nan])
    np.testing.assert_array_equal(known["violin"], [0, 0, 1, 1, 1, np.nan])
    np.testing.assert_array_equal(known["choir"], [0, 0, 0, 0, 0, np.nan])


def test_a_witness_is_measured_where_the_truth_is_known() -> None:
    known = np.array([1, 1, 0, 0, np.nan], np.float32)
    row = measured(known, np.array([0.9, 0.2, 0.4, 0.1, 5.0], np.float32))
    assert row is not None
    assert (row.roc_auc, row.precision) == (0.75, 0.5)
    assert measured(known[:2], known[:2]) is None


def test_a_rendered_piece_sounds_as_written(tmp_path: Path) -> None:
    """A beat a second, and an A of 440 Hz."""
    program("fluidsynth")
    notes = tuple(Note(beat, 0.3, 69, 100) for beat in range(6))
    file = render(Score(60.0, 9, "minor", (Part(73, notes),)), tmp_path / "flute.flac")
    sound = load(str(file), 16000)
    assert 5.0 < len(sound) / 16000 < 7.0
    assert 0.3 < np.abs(sound).max() <= 1.0
    spectrum = np.abs(np.fft.rfft(sound[: 16000 * 5]))
    assert spectrum.argmax() / 5 == pytest.approx(440, abs=4.0)
    level = np.abs(sound[: 16000 * 5]).reshape(5, -1, 1600).mean(2)
    assert (level[:, 1:4].mean(1) > 3 * level[:, 8:].mean(1)).all()


def test_without_the_synthesizer_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EarmarkError, match="install Debian's packages fluidsynth and fluid-soundfont-gm"):
        render(compose(np.random.default_rng(0), ["piano"], 2.0), tmp_path / "piano.flac")


def test_examples_and_checks_are_other_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered, "render", lambda score, target: target)
    run = Run(rendered.examples(tmp_path))
    assert len(list(run)) == len(run.result[0])
    paths, targets = run.result
    check = Run(rendered.render_all(tmp_path, 1))
    list(check)
    assert len(paths) == len(check.result[0])
    assert not {path.name for path in paths} & {path.name for path in check.result[0]}
    for head in ("instruments", "voice"):
        names, known = targets[head]
        assert names == label_names(head)
        assert known.shape == (len(paths), len(names))
    names, known = targets["instruments"]
    assert (np.nansum(known, 0) >= 2).all(), "each instrument plays in some example"


def test_without_the_synthesizer_heads_learn_without_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run = Run(rendered.examples(tmp_path))
    (notice,) = list(run)
    assert "learn without rendered pieces" in notice.message
    assert run.result == ([], {})


@pytest.mark.slow
def test_two_vocabularies_know_the_instruments_of_pieces_that_no_head_learns_from(shared: Path, tmp_path: Path) -> None:
    """The bounds of the table in docs/results.md; a label that fails them is no label."""
    program("fluidsynth")
    check = Run(rendered.render_all(tmp_path, 1))
    list(check)
    paths, scores = check.result
    asked = Run(rendered.witnesses(paths, shared / "weights", tmp_path))
    list(asked)
    names = label_names("instruments")
    best = {}
    for label, column in zip(names, truth(scores, names).T, strict=True):
        rows = [measured(column, odds) for odds in asked.result["instruments"][label].values()]
        best[label] = max(row.roc_auc for row in rows if row)
    assert min(best.values()) > 0.7, best
    assert np.mean(list(best.values())) > 0.88, best
