"""``--from-library``: what was said in ``review`` is learnt from, and what it was worth is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import soundfile

from commands import Earmark
from earmark.app import corrections
from earmark.datasets import load_dataset
from earmark.engine import InlineEngine
from earmark.events import Run
from earmark.inference.tagger import load_model
from earmark.library.records import LibraryModel
from earmark.library.review import library_dataset
from earmark.library.scan import real_root, scan_folders
from earmark.library.store import open_library
from earmark.models.card import read_card
from made import make_model
from made_songs import write_collection, write_song

pytest.importorskip("torch")

CLASSES = {"low": 90.0, "high": 3000.0}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base") / "base")


def _labelled(file: Path, music: Path, base: Path, words: dict[str, str], head: str = "genre") -> Path:
    """A library of all songs below ``music``, with the user's word on those that are named."""
    with open_library(file, make=True) as library:
        model = LibraryModel.of(base, load_model(base).card)
        Run(scan_folders(library, [real_root(str(music))], model, InlineEngine())).wait()
        for track in library.tracks():
            if (word := words.get(Path(track.path).name)) is not None:
                library.set_label(track.audio or 0, head, word)
    return file


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, base: Path) -> tuple[Path, Path]:
    """Songs of two classes, of which four low ones lie among the high; and a library that knows better, and more."""
    folder = tmp_path_factory.mktemp("world")
    songs = write_collection(folder / "songs", CLASSES, songs=14)
    words = {}
    for song in range(4):
        (songs / "low" / f"low artist {song // 2}" / f"low-{song}.wav").rename(songs / "high" / f"low-{song}.wav")
        words[f"low-{song}.wav"] = "LOW"
    words["low-5.wav"] = "low"  # accepted as it is
    words["high-6.wav"] = "high"
    write_collection(folder / "music", {"middle": 700.0}, songs=6, seed=3)
    words |= {f"middle-{song}.wav": "middle" for song in range(6)}
    return songs, _labelled(folder / "a.db", folder, base, words)


def test_corrections_change_what_is_there_and_add_the_rest(world: tuple[Path, Path]) -> None:
    songs, file = world
    with open_library(file, write=False) as library:
        said = library_dataset(library)
    found = Run(corrections.join(load_dataset(songs), said, InlineEngine())).wait()
    assert found.counts == {"genre": {"tracks": 12, "changed": 4, "added": 6}}
    labels = {track.name: track.labels["genre"] for track in found.dataset.tracks}
    assert labels["high/low-0.wav"] == "low", "in the data set's spelling"
    assert found.dataset.head("genre").labels == ("high", "low", "middle")
    assert len(labels) == 28 + 6 and sum(label == "middle" for label in labels.values()) == 6
    assert found.own is not None and found.own["high/low-0.wav"] == {"genre": "high"}


def test_an_artist_of_both_sources_is_one_group(tmp_path: Path, base: Path) -> None:
    songs = write_collection(tmp_path / "songs", CLASSES, songs=4)
    new = write_song(tmp_path / "music" / "new.wav", 90.0, 77)
    alias = write_song(tmp_path / "music" / "alias.wav", 90.0, 78)
    copy = shutil.copy(songs / "high" / "high artist 1" / "high-2.wav", tmp_path / "music" / "copy.wav")
    for path, artist in ((new, "LOW  Artist 0"), (alias, "Prince"), (copy, "prince")):
        with soundfile.SoundFile(path, "r+") as sound:
            sound.artist = artist
    file = _labelled(
        tmp_path / "a.db", tmp_path / "music", base, dict.fromkeys(("new.wav", "alias.wav", "copy.wav"), "low")
    )
    with open_library(file, write=False) as library:
        found = Run(corrections.join(load_dataset(songs), library_dataset(library), InlineEngine())).wait()
    groups = {track.name: track.group for track in found.dataset.tracks}
    assert groups["library/new.wav"] == groups["low/low artist 0/low-0.wav"]
    assert groups["library/alias.wav"] == groups["high/high artist 1/high-2.wav"], "one artist by two names"
    assert len(groups) == 8 + 2


def test_train_tells_how_much_they_helped(
    world: tuple[Path, Path], base: Path, earmark: Earmark, tmp_path: Path
) -> None:
    songs, file = world
    asked = ("train", songs, "--from-library", "--library", file, "--init", base, "-o", tmp_path / "m")
    done = earmark(*asked, "-f", "json")
    assert done.code == 0, done.err
    said = done.json["corrections"]["genre"]
    assert (said["tracks"], said["changed"], said["added"], said["note"]) == (12, 4, 6, None)
    assert said["figure"] == "accuracy" and 0 <= said["without"] <= 1
    assert said["difference"] == pytest.approx(said["with"] - said["without"], abs=2e-4)
    assert 0 < said["p"] <= 1 and said["test_tracks"] > 0
    assert read_card(tmp_path / "m").heads[0].labels == ("high", "low", "middle")
    table = earmark(*asked, "-f", "table")
    assert table.code == 0 and "12 corrections, 4 changed a label, 6 songs added; accuracy" in table.out


def test_corrections_alone(world: tuple[Path, Path], base: Path, earmark: Earmark, tmp_path: Path) -> None:
    _, file = world
    options = ("--exclude", "genre=high", "--init", base, "-o", tmp_path / "m", "-f", "json")
    done = earmark("train", "--from-library", "--library", file, *options)
    assert done.code == 0, done.err
    said = done.json["corrections"]["genre"]
    assert said["tracks"] == 12 and said["with"] is None and "no other data set" in said["note"]


def test_extend_gains_the_labels_that_the_model_does_not_know(
    world: tuple[Path, Path], base: Path, earmark: Earmark, tmp_path: Path
) -> None:
    songs, file = world
    assert earmark("train", songs, "--init", base, "-o", tmp_path / "two", "-f", "json").code == 0
    library = ("--from-library", "--library", file)
    done = earmark("extend", tmp_path / "two", *library, "-o", tmp_path / "three", "-f", "json")
    assert done.code == 0, done.err
    assert done.json["added"] == ["middle"]
    both = earmark("extend", tmp_path / "two", "-o", tmp_path / "b", songs, *library, "-f", "json")
    assert both.code == 0 and both.json["added"] == ["middle"], both.err
    again = earmark("extend", tmp_path / "three", *library, "-o", tmp_path / "four")
    assert again.code == 1 and "nothing to add" in again.err and len(again.err.splitlines()) == 1
    head = earmark("extend", tmp_path / "two", *library, "--head", "genres", "-o", tmp_path / "four")
    assert head.code == 1 and "did you mean 'genre'?" in head.err


def test_mistakes_are_one_line(world: tuple[Path, Path], base: Path, earmark: Earmark, tmp_path: Path) -> None:
    songs, file = world
    empty = _labelled(tmp_path / "empty.db", songs / "low" / "low artist 3", base, {})
    other = _labelled(tmp_path / "other.db", songs / "low" / "low artist 3", base, {"low-6.wav": "calm"}, "mood")
    library = ("--from-library", "--library")
    for options, message in (
        ((), "no data set"),
        ((*library, tmp_path / "none.db"), "there is no library"),
        ((*library, empty), "no labels of yours; `earmark review`"),
        ((*library, file, "--heads", "genres"), "did you mean 'genre'?"),
        ((songs, *library, other), "your corrections are of mood"),
        ((songs, "--library", file), "--library: is for --from-library"),
    ):
        said = earmark("train", *options, "--init", base, "-o", tmp_path / "m")
        assert said.code == 1 and message in said.err, (options, said.err)
        assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "none.db").exists()
