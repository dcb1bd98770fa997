"""``earmark restyle``: a WAV, figures and a page beside each other; whatever cannot be used is one line."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from commands import Earmark, environment
from earmark.app.restyle import RestyleRequest, restyle_song
from earmark.events import Notice, Progress
from made import make_model
from sounds import encode, melody, write

RATE, MODEL_RATE = 22050, 16000


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earmark.training.restyle.STEPS", 5)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    return write(tmp_path / "content.wav", melody(3, RATE), RATE)


@pytest.fixture
def style(tmp_path: Path) -> Path:
    return write(tmp_path / "style.wav", _hiss(3, 0), RATE)


def _hiss(seconds: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    beats = np.exp(-((np.arange(round(seconds * RATE)) % (RATE // 4)) / 2000))
    return (0.3 * beats * random.standard_normal(len(beats))).astype(np.float32)


@pytest.mark.usefixtures("few_steps")
def test_a_song_takes_on_the_style_of_another(earmark: Earmark, content: Path, style: Path, tmp_path: Path):
    """The result is as long as is asked for, mono at one level, nearer to the style, and measured beside baselines."""
    out = tmp_path / "out.wav"
    done = earmark("restyle", content, style, "-o", out, "--seconds", 2, "-f", "json")
    assert done.code == 0, done.err
    sound, rate = soundfile.read(out)
    assert (len(sound), rate) == (2 * MODEL_RATE, MODEL_RATE) and 0.05 < np.sqrt(np.mean(sound**2)) < 0.11
    far = done.json["distances"]
    assert list(far) == ["content", "style", "result", "equaliser", "cross-fade"]
    assert far["content"]["style"] == 1 and far["style"]["style"] < 1e-6 and far["result"]["style"] < 0.97
    assert abs(far["content"]["chroma"]) < 1e-5 and abs(far["content"]["onsets"]) < 1e-5 and done.json["songs"] == 1
    assert far["result"]["chroma"] < far["style"]["chroma"] and done.json["page"] is None
    table = earmark("restyle", content, style, "-o", out, "-m", "random", "-f", "table").out
    assert soundfile.info(out).samplerate == RATE
    assert "cross-fade" in table and "an experiment" in table
    assert "an experiment" in earmark("restyle", "-h").out


@pytest.mark.usefixtures("few_steps")
def test_a_folder_gives_its_mean_style_and_a_page(earmark: Earmark, content: Path, tmp_path: Path):
    """Without the content itself in whatever wrapping, silent songs and what is no music; each says why."""
    folder = tmp_path / "hiss"
    folder.mkdir()
    for seed in range(3):
        write(folder / f"{seed}.wav", _hiss(2, seed), RATE)
    encode(folder / "copy.mp3", melody(3, RATE), RATE, "libmp3lame")
    write(folder / "silent.wav", np.zeros(3 * RATE), RATE)
    write(folder / "moment.wav", _hiss(0.5, 0), RATE)
    (folder / "fake.mp3").write_bytes(b"no music " * 99)
    page = tmp_path / "page"
    out = ("-o", tmp_path / "out.wav", "--report", page)
    done = earmark("restyle", content, folder, *out, "--seconds", 3, "-f", "json")
    assert done.code == 0 and done.json["songs"] == 3, done.err
    notices = [line for line in done.err.splitlines() if line.endswith("left out of the style.")]
    assert len(notices) == 4, done.err
    reasons = {"copy.mp3": "just like the content", "silent.wav": "silence", "moment.wav": "0.5 s", "fake.mp3": ""}
    for name, why in reasons.items():
        assert any(name in line and why in line for line in notices), name
    names = {f"{name}.{end}" for name in done.json["distances"] for end in ("wav", "png")}
    assert {file.name for file in page.iterdir()} == names | {"index.html", "restyle.json"}
    text = (page / "index.html").read_text("utf-8")
    assert (
        text.count("<audio") == text.count("<img") == 5 and "experiment" in text and "convolutions of default" in text
    )
    assert json.loads((page / "restyle.json").read_text("utf-8"))["strength"] == RestyleRequest.strength


@pytest.mark.usefixtures("few_steps")
def test_songs_that_are_shorter_than_wished_say_so(earmark: Earmark, content: Path, style: Path, tmp_path: Path):
    done = earmark("restyle", content, style, "-o", tmp_path / "out.wav", "-f", "json")
    assert done.code == 0 and done.json["seconds"] == pytest.approx(3, abs=0.01)
    assert [line for line in done.err.splitlines() if "only 3.0 s long" in line] == done.err.splitlines()[:2]


def test_bad_input_is_one_line_each(earmark: Earmark, content: Path, style: Path, tmp_path: Path):
    out = tmp_path / "out.wav"
    (tmp_path / "empty").mkdir()
    silent = write(tmp_path / "silent.wav", np.zeros(3 * RATE), RATE)
    moment = write(tmp_path / "moment.wav", melody(0.6, RATE), RATE)
    twice = encode(tmp_path / "twice.mp3", melody(3, RATE), RATE, "libmp3lame")
    made = make_model(tmp_path / "made")
    taken = tmp_path / "result.wav"
    content.rename(taken)
    cases: list[tuple[tuple[Any, ...], str]] = [
        ((silent, style, "-o", out), "silent.wav: silence"),
        ((taken, silent, "-o", out), "silent.wav: silence"),
        ((moment, style, "-o", out), "0.6 s of audio; at least 1 s"),
        ((taken, taken, "-o", out), "just like the content"),
        ((taken, twice, "-o", out), "just like the content"),
        ((taken, tmp_path / "empty", "-o", out), "no audio file"),
        ((tmp_path / "none.mp3", style, "-o", out), "No such file"),
        ((taken, style, "-o", out, "-m", made), "no convolution features"),
        ((taken, style, "-o", out, "-m", "nosuch"), "nosuch"),
        ((taken, style, "-o", tmp_path / "out.mp3"), "ends in .wav"),
        ((taken, style, "-o", tmp_path / "none" / "out.wav"), "give another -o"),
        ((taken, style, "-o", taken), "would be written over"),
        ((taken, style, "-o", out, "--report", tmp_path), "would be written over"),
        ((taken, moment.parent, "-o", moment), "would be written over"),
        ((taken, style.parent, "-o", out, "--report", style.parent), "would be written over"),
    ]
    for arguments, why in cases:
        said = earmark("restyle", *arguments)
        assert said.code == 1 and said.out == "" and not out.exists(), arguments
        lines = [line for line in said.err.splitlines() if "only 3.0 s long" not in line]
        assert len(lines) == 1 and why in lines[0], said.err
    for option in (("--strength", "0"), ("--strength", "x"), ("--seconds", "0"), ("--seconds", "61")):
        assert earmark("restyle", taken, style, "-o", out, *option).code == 2


def test_without_pytorch_the_extra_is_named(earmark: Earmark, content: Path, style: Path, tmp_path: Path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "torch" else find(name, *more))
    said = earmark("restyle", content, style, "-o", tmp_path / "out.wav")
    assert said.code == 1 and "pip install 'earmark[train]'" in said.err


def test_a_run_that_is_closed_keeps_the_last_state(content: Path, style: Path, tmp_path: Path):
    out = tmp_path / "out.wav"
    events = iter(restyle_song(RestyleRequest(content=str(content), style=str(style), output=str(out))))
    for event in events:
        assert isinstance(event, (Progress, Notice))
        if isinstance(event, Progress) and event.stage == "restyling" and event.done == 2:
            assert event.total == 80 and set(event.facts) == {"style left", "change"} and not out.exists()
            break
    events.close()
    assert abs(len(soundfile.read(out)[0]) - 3 * MODEL_RATE) <= 1


@pytest.mark.slow
def test_ctrl_c_keeps_the_last_state(content: Path, style: Path, tmp_path: Path):
    out = tmp_path / "out.wav"
    code = """
import sys
from earmark.cli import main
from earmark.training import restyle
restyle.STEPS, steps = 100_000, restyle.restyle
def told(*arguments):
    for state in steps(*arguments):
        print("step", state.step, file=sys.stderr, flush=True)
        yield state
restyle.restyle = told
sys.exit(main(sys.argv[1:]))
"""
    words = [sys.executable, "-c", code, *map(str, ("restyle", content, style, "-o", out))]
    process = subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line == "step 3\n":
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (
        process.returncode == 130
        and err.endswith("earmark: stopped; what is done is kept\n")
        and "Traceback" not in err
    )
    assert abs(len(soundfile.read(out)[0]) - 3 * MODEL_RATE) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("model", [(), ("-m", "random")], ids=["default", "random"])
def test_on_real_music_the_result_is_nearer_to_the_style_than_the_equaliser(
    earmark: Earmark, shared: Path, tmp_path: Path, model: tuple[str, ...]
):
    """Ten seconds in under two minutes on one core; harmony and onsets stay nearer than the style's own are."""
    songs = shared / "data" / "emotify400" / "audio"
    content, style = (next(iter(sorted((songs / genre).iterdir()))) for genre in ("classical", "rock"))
    done = earmark("restyle", content, style, "-o", tmp_path / "out.wav", *model, "-f", "json")
    assert done.code == 0, done.err
    far = done.json["distances"]
    assert far["result"]["style"] < min(0.3, far["equaliser"]["style"])
    for what in ("chroma", "onsets"):
        assert far["result"][what] < 0.6 * far["style"][what]
