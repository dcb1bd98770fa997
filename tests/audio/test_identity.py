"""A recording is known by its sound: tags and containers do not matter, and no shared stretch makes two into one."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
import soundfile

from earmark.audio.identity import KEY_VERSION, content_hash, same_recording
from earmark.audio.track import open_track
from sounds import encode, melody, write


def test_the_hash_names_the_sound_and_not_the_file(tmp_path: Path, tone: Path) -> None:
    """Tags and names may change; the music may not."""
    wave, rate = soundfile.read(tone)
    tagged = tmp_path / "other name.flac"
    with soundfile.SoundFile(tagged, "w", rate, 1, "PCM_16") as file:
        file.title = "A title"
        file.write(wave)
    assert content_hash(tone) == content_hash(tagged)
    assert content_hash(tone).startswith(KEY_VERSION)
    assert content_hash(write(tmp_path / "c.wav", wave * 0.9, rate)) != content_hash(tone)
    long = melody(40, 8000)
    first = content_hash(write(tmp_path / "d.wav", long, 8000))
    long[-8000:] *= 0.5
    assert content_hash(write(tmp_path / "e.wav", long, 8000)) != first


def test_the_hash_does_not_know_the_size_of_a_tag(tmp_path: Path) -> None:
    """An mp3 without a header of its own has a length guessed from the file's size: a cover picture would change it."""
    song = encode(tmp_path / "a.mp3", melody(45, 44100), 44100, "libmp3lame").read_bytes()
    frames = song[song.index(b"\xff\xfb", song.index(b"Info") + 4) :]  # without the frame that states the length
    tag = b"ID3\x04\x00\x00\x00\x04\x00\x00" + b"\0" * (4 << 14)
    plain, tagged = tmp_path / "plain.mp3", tmp_path / "tagged.mp3"
    plain.write_bytes(frames)
    tagged.write_bytes(tag + frames + b"TAG" + b"\0" * 125)
    assert content_hash(plain) == content_hash(tagged)
    with open_track(tagged) as source:
        assert source.seconds == pytest.approx(45, abs=0.2)


def test_comparing_long_files_is_no_hang(tmp_path: Path, tone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy.wav"
    copy.write_bytes(tone.read_bytes())
    clock, signs = itertools.count(0, 2), list[int]()
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    assert same_recording(tone, copy, lambda: signs.append(1)) and signs
