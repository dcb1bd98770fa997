"""``earmark audit`` as people and programs meet it."""

import shutil

import numpy as np
import pytest
import soundfile

from earmark.audio.images import write_image


@pytest.fixture
def music(tmp_path):
    """Six seconds each of noise whose colour changes, two artists a genre; one song twice, one file broken."""
    root, rng = tmp_path / "sorted", np.random.default_rng(0)
    for genre in ("Jazz", "Rock"):
        for artist in ("one", "two"):
            folder = root / genre / f"{genre} {artist}"
            folder.mkdir(parents=True)
            wave = np.concatenate(
                [np.convolve(rng.normal(0, 0.2, 4000), rng.normal(0, 0.3, 40), "same") for _ in range(12)]
            )
            soundfile.write(folder / "song.wav", wave.clip(-1, 1), 8000)
    shutil.copy(root / "Jazz" / "Jazz one" / "song.wav", root / "Rock" / "Rock two" / "again.wav")
    wave = soundfile.read(root / "Rock" / "Rock one" / "song.wav")[0]
    soundfile.write(root / "Rock" / "Rock one" / "quiet.ogg", 0.3 * wave[9000:], 8000)
    (root / "Jazz" / "Jazz two" / "broken.flac").write_bytes(b"fLaC nonsense")
    return root


def test_json_is_the_designs(earmark, music):
    said = earmark("audit", music, "-j", 1, "-f", "json")
    assert said.code == 3, said.err
    assert list(said.json)[:5] == ["duplicates", "leaks", "labels", "balance", "failures"]
    exact, near = said.json["duplicates"]
    assert exact["kind"] == "exact" and exact["score"] == 1.0
    assert [path.rsplit("/", 1)[1] for path in exact["paths"]] == ["song.wav", "again.wav"]
    assert near["kind"] == "near" and 0.5 < near["score"] < 1
    assert {path.rsplit("/", 1)[1] for path in near["paths"]} == {"song.wav", "quiet.ogg"}
    assert said.json["balance"] == {"genre": {"Jazz": 3, "Rock": 4}}
    assert said.json["failures"][0]["path"].endswith("broken.flac")
    assert any("a split may put them in two parts" in notice for notice in said.json["notices"])
    (torn,) = said.json["conflicts"]
    assert torn["paths"] == exact["paths"] and torn["labels"] == ["Jazz", "Rock"] and torn["counts"] == "Jazz"
    assert any("genre: 1 song has two labels, as Jazz/Jazz one/song.wav ('Jazz')" in n for n in said.json["notices"])
    assert any("its labels were not looked at" in notice for notice in said.json["notices"])


def test_classes_that_differ_by_case_and_one_that_cannot_be_read_are_named(earmark, music):
    (music / "ROCK" / "three").mkdir(parents=True)
    rng = np.random.default_rng(1)
    soundfile.write(music / "ROCK" / "three" / "a.wav", rng.normal(0, 0.1, 24000), 8000)
    wave = soundfile.read(music / "Rock" / "Rock two" / "song.wav")[0]
    soundfile.write(music / "ROCK" / "three" / "b.ogg", 0.5 * wave, 8000)
    (music / "Polka").mkdir()
    for number in range(2):
        (music / "Polka" / f"{number}.mp3").write_bytes(b"no music at all" * 50)
    said = earmark("audit", music, "-j", 1, "-f", "json")
    notices = said.json["notices"]
    assert any("'ROCK' and 'Rock' differ only in case" in line for line in notices)
    assert any("the tracks of 'Polka' (2) cannot be read: training leaves the label out" in line for line in notices)
    assert any("both are learnt from, and contradict each other" in line for line in notices)
    (near,) = [one for one in said.json["conflicts"] if one["counts"] is None]
    assert set(near["labels"]) == {"ROCK", "Rock"}
    assert "two labels" in earmark("audit", music, "-j", 1, "-f", "table").err


def test_people_see_tables(earmark, music):
    said = earmark("audit", music, "-j", 1, "-f", "table")
    for title in (
        "files that cannot be analysed: 1",
        "duplicates: 2",
        "one recording under two labels: 1",
        "in two parts of the split: none",
        "balance of genre: 2",
    ):
        assert title in said.out


def test_pictures_need_no_model(earmark, tmp_path):
    root, rng = tmp_path / "pictures", np.random.default_rng(0)
    root.mkdir()
    lines = ["path\tgenre\tsplit"]
    for i in range(24):
        write_image(root / f"{i}.png", np.cumsum(rng.normal(0, 20, (200, 64)), axis=0) + 128)
        lines.append(f"{i}.png\t{'ab'[i % 2]}\t{'train' if i < 20 else 'test'}")
    shutil.copy(root / "3.png", root / "23.png")
    (root / "tracks.tsv").write_text("\n".join(lines) + "\n")
    (root / "dataset.toml").write_text('table = "tracks.tsv"\nsplit = "split"\n[heads.genre]\ncolumn = "genre"\n')
    said = earmark("audit", root, "-f", "json")
    assert said.code == 0, said.err
    (pair,) = said.json["duplicates"]
    assert [path.rsplit("/", 1)[1] for path in pair["paths"]] == ["3.png", "23.png"]
    assert said.json["leaks"] == [{"group": "3.png", "parts": ["train", "test"], "paths": pair["paths"]}]


def test_an_unknown_model_is_named(earmark, music):
    said = earmark("audit", music, "-m", "defualt")
    assert said.code == 1 and "defualt" in said.err
