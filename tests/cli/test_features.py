"""``earmark features``: a picture a song, as the recipe sees it; sound on demand; a bad file does not end it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from commands import Earmark
from earmark.audio.images import read_image


def test_a_folder_becomes_a_folder_of_pictures(earmark: Earmark, songs: Path, tmp_path: Path):
    done = earmark("features", songs, "-o", tmp_path / "out", "-f", "json")
    assert done.code == 3 and "fake.mp3" in done.err
    pictures = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert pictures == ["a.wav.png", str(Path("b") / "c.wav.png"), "d.wav.png"]
    picture = read_image(tmp_path / "out" / "a.wav.png")
    assert picture.shape == (150, 128)  # 3 s at 50 columns a second
    assert abs(int(picture.mean(0).argmax()) * 22050 / 128 - 440) < 250
    assert len(done.json["files"]) == 3 and done.json["failures"][0]["error"]["kind"] == "not-audio"


@pytest.mark.parametrize(("recipe", "change"), [("slices-best", "time-mask"), ("vggish", "frequency-mask")])
def test_a_changed_picture_can_be_heard(earmark: Earmark, tone: Path, tmp_path: Path, recipe: str, change: str):
    """Griffin-Lim brings the tone back at its pitch; the hole of a time mask is silent."""
    done = earmark("features", tone, "-r", recipe, "-o", tmp_path, "--augment", change, "--audio", "-f", "json")
    assert done.code == 0, done.err
    sound, rate = soundfile.read(tmp_path / "tone.wav.wav")
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert abs(np.argmax(spectrum) * rate / len(sound) - 440) < 120
    level = np.sqrt(np.convolve(sound**2, np.ones(rate // 20) * 20 / rate, "same"))
    assert (level < 0.1 * level.max()).mean() > 0.03 or change != "time-mask"


def test_changed_sound_is_written_as_it_is(earmark: Earmark, tone: Path, tmp_path: Path):
    change = ("--augment", "pitch", "--audio", "--seed", 3)
    assert earmark("features", tone, "-r", "bbnn-augmented", "-o", tmp_path, *change).code == 0
    sound, rate = soundfile.read(tmp_path / "tone.wav.wav")
    assert rate == 22050 and abs(len(sound) - 3 * rate) < 10


def test_slices_are_the_recipes_clips_before_and_after_several_changes(earmark: Earmark, songs: Path, tmp_path: Path):
    """128 x 128 pictures end to end, in a folder a song; a page beside them plays each, before and after."""
    out = tmp_path / "out"
    done = earmark("features", songs / "a.wav", songs / "b" / "c.wav", "-o", out, "--slices", "-f", "json")
    assert done.code == 0 and [Path(file).name for file in done.json["files"]] == ["000.png", "000.png"]
    assert read_image(out / "a.wav" / "000.png").shape == (128, 128), "a second of 3 is less than a slice"
    assert "<audio" not in (out / "index.html").read_text()
    change = ("--augment", "time-mask,frequency-mask", "--augment", "random-dropout", "--audio")
    done = earmark("features", songs / "a.wav", "-o", tmp_path / "two", "--slices", *change, "-f", "json")
    assert [Path(file).name for file in done.json["files"]] == [
        "000.png", "000.wav", "000.before.png", "000.before.wav"
    ]  # fmt: skip
    after, before = (read_image(tmp_path / "two" / "a.wav" / f"000{one}.png").astype(int) for one in ("", ".before"))
    loud = before.min(0) > 100
    assert loud.any() and (after[:, loud] == 0).all(1).sum() >= 10, "frames of the tone are masked"
    sound, rate = soundfile.read(tmp_path / "two" / "a.wav" / "000.before.wav")
    assert len(sound) == round(2.56 * rate)
    page = (tmp_path / "two" / "index.html").read_text()
    assert page.count("<img ") == page.count("<audio ") == 2 and "changed by time-mask, frequency-mask, random-" in page
    assert 'src="a.wav/000.before.png"' in page and done.json["page"] == str(tmp_path / "two" / "index.html")


def test_slices_of_other_recipes_and_of_what_is_short(earmark: Earmark, tone: Path, tmp_path: Path):
    """A clip shows its own range below its own maximum; zoomed out it holds twice as much; what is short is filled."""
    done = earmark("features", tone, "-r", "vggish", "-o", tmp_path / "v", "--slices", "-f", "json")
    assert len(done.json["files"]) == 3 and read_image(tmp_path / "v" / "tone.wav" / "000.png").shape == (96, 64)
    done = earmark("features", tone, "-r", "bbnn", "-o", tmp_path / "b", "--slices", "-f", "json")
    assert len(done.json["files"]) == 1 and read_image(tmp_path / "b" / "tone.wav" / "000.png").shape == (647, 128)
    zoom = ("-r", "vggish", "--augment", "zoom-out")
    done = earmark("features", tone, *zoom, "-o", tmp_path / "z", "--slices", "-f", "json")
    assert [Path(file).name for file in done.json["files"]] == ["000.png", "000.before.png"]
    assert read_image(tmp_path / "z" / "tone.wav" / "000.png").shape == (96, 64)


def test_mistakes_are_one_line(earmark: Earmark, tone: Path, songs: Path, tmp_path: Path):
    said = earmark("features", tone, "-o", tmp_path / "o", "--augment", "time-maks")
    assert said.code == 1 and "did you mean 'time-mask'" in said.err
    said = earmark("features", songs / "a.wav", songs / "b" / ".." / "a.wav", "-o", tmp_path / "o")
    assert said.code == 1 and "both be written" in said.err
    said = earmark("features", songs / "b" / "fake.mp3", "-o", tmp_path / "o")
    assert said.code == 1 and "not one song" in said.err
