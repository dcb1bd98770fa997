"""``train --from-tags``: from messy tags to a model that fills the gaps, and back; nothing known is decoded again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import mutagen
import pytest
import soundfile

from commands import Earmark, Said
from earmark.library.store import open_library
from earmark.models.card import read_card
from made_songs import PITCHES, write_song

pytest.importorskip("torch")

SPELT = {
    "low": ("Hip Hop", "hip-hop", "Hip Hop", "HipHop"),
    "middle": ("(17)Rock", "Rock", "Rock", "17"),
    "high": ("R&B/Soul", "R&B; Soul", "RnB", "R&B"),
}
NAMES = {"low": "Hip Hop", "middle": "Rock", "high": "R&B"}


def tag(path: Path, **tags: str) -> None:
    file = mutagen.File(path)
    for name in tags:
        if tags[name]:
            file[name] = tags[name]
        else:
            file.pop(name, None)
    file.save()


def genre(path: Path) -> list[str]:
    return list((mutagen.File(path) or {}).get("genre", []))


def make_collection(folder: Path, songs: int = 16) -> Path:
    """A messy folder: three registers, artists in the tags, every fourth song without a genre."""
    folder.mkdir()
    for number, (register, pitch) in enumerate(PITCHES.items()):
        for song in range(songs):
            wav = write_song(folder / f"{register}-{song}.wav", pitch, number * 100 + song)
            path = wav.with_suffix(".flac")
            soundfile.write(path, *soundfile.read(wav))
            wav.unlink()
            text = SPELT[register][song // 4 % 4] if song % 4 else ""
            tag(path, artist=f"{register} {song // 2}", title=path.stem, genre=text)
    return folder


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_collection(tmp_path_factory.mktemp("tagged") / "music")


@pytest.fixture(scope="module")
def library(collection: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from earmark.cli import main

    file = collection.parent / "a.db"
    assert main(["scan", str(collection), "--library", str(file), "-m", str(tiny_model), "-j", "1"]) == 0
    return file


@pytest.fixture
def undecodable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever decodes a file fails."""
    from earmark.engine import InlineEngine

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a file was decoded")

    for place in ("earmark.inference.tagger.open_input", "earmark.audio.identity.open_track"):
        monkeypatch.setattr(place, refuse)
    monkeypatch.setattr("earmark.engine.LocalEngine", lambda *_, **__: InlineEngine())
    yield


def train(earmark: Earmark, library: Path, out: Path, *options: object) -> Said:
    return earmark("train", "--from-tags", "--library", library, "-o", out, *options)


@pytest.mark.usefixtures("undecodable")
def test_the_library_is_learned_from_without_decoding(
    earmark: Earmark, library: Path, tmp_path: Path, tiny_model: Path
) -> None:
    done = train(earmark, library, tmp_path / "mine", "-f", "json")
    assert done.code == 0, done.err
    assert f"scanned with {read_card(tiny_model).id}: its network is used" in done.err
    head, tags = done.json["heads"]["genre"], done.json["tags"]
    assert head["labels"] == ["Hip Hop", "R&B", "Rock"] and head["part"] == "test" and head["group"] == "artist"
    assert head["accuracy_ci95"][0] <= head["accuracy"] <= head["accuracy_ci95"][1]
    assert (tags["songs"], tags["tagged"], tags["untagged"], tags["field"]) == (48, 36, 12, "genre")
    assert tags["labels"]["Rock"] == {"tracks": 12, "artists": 8, "spellings": {"Rock": 12}}
    assert tags["labels"]["Hip Hop"]["spellings"] == {"Hip Hop": 6, "hip-hop": 3, "HipHop": 3}
    first, half, *_ = tags["fill"]["levels"]
    assert first["confidence"] is None and sum(tags["fill"]["labels"].values()) == first["songs"] <= 12
    assert half["confidence"] == 0.5 and half["scored"] <= head["tracks"]
    assert set(tags["fill"]["labels"]) <= {"Hip Hop", "Rock", "R&B"}


def test_from_a_messy_folder_to_filled_gaps_and_back(earmark: Earmark, tiny_model: Path, tmp_path: Path) -> None:
    music, file = make_collection(tmp_path / "music"), tmp_path / "a.db"
    before = {path: path.read_bytes() for path in sorted(music.iterdir())}
    empty = [path for path in before if not genre(path)]
    assert earmark("scan", music, "--library", file, "-m", tiny_model, "-j", 1).code == 0
    told = train(earmark, file, tmp_path / "mine", "-f", "table")
    assert told.code == 0, told.err
    assert "36 of 48 songs have a genre tag: 3 labels of 6 spellings" in told.out
    assert f"earmark write-tags -m {tmp_path / 'mine'} --heads genre --dry-run" in told.out
    options = ("--library", file, "-m", tmp_path / "mine", "--min-confidence", "0.3", "-f", "json")
    dry = earmark("write-tags", "--dry-run", *options)
    assert dry.code == 0 and {path: path.read_bytes() for path in before} == before
    done = earmark("write-tags", *options)
    assert done.code == 0, done.err
    changed = {Path(one["path"]): one["changes"]["genre"] for one in done.json["files"] if one["status"] == "changed"}
    assert set(changed) == set(empty), "only the gaps"
    right = sum(pair["after"] == [NAMES[path.stem.split("-")[0]]] for path, pair in changed.items())
    assert right >= len(empty) - 2 and all(genre(path) for path in empty)
    assert all(path.read_bytes() == before[path] for path in before if path not in empty)
    assert earmark("undo").code == 0
    assert {path: path.read_bytes() for path in before} == before, "bit for bit"


def test_every_command_of_the_page_runs(earmark: Earmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first to the last, as the page has them, with the bundled model and the library of the user's folder."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "from-tags.md").read_text("utf-8")
    music = make_collection(tmp_path / "Music", songs=12)
    (tmp_path / "my-genres.toml").write_text(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0], "utf-8")
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in music.iterdir()}
    commands = [
        line.removeprefix("$ earmark ").split("#")[0].replace("~/Music", str(music))
        for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("$ earmark ")
    ]
    assert [command.split()[0] for command in commands[:5]] == ["scan", "train", "write-tags", "write-tags", "undo"]
    for command in commands:
        done = earmark(*command.split())
        assert done.code == 0, f"{command}: {done.err}"
    assert {path: path.read_bytes() for path in music.iterdir()} == before


def test_the_library_goes_by_the_model_that_it_went_by(
    earmark: Earmark, library: Path, tmp_path: Path, tiny_model: Path
) -> None:
    assert train(earmark, library, tmp_path / "mine", "-f", "json").code == 0
    assert earmark("export", "--library", library, "-m", tmp_path / "mine", "-f", "json").json[0]["model"] == "mine@1"
    with open_library(library, write=False) as opened:
        assert opened.model().name == read_card(tiny_model).id
        assert {model.name for model, count in opened.models() if count == 48} == {"mine@1", read_card(tiny_model).id}
    again = train(earmark, library, tmp_path / "mine", "--overwrite", "--seed", 3, "-f", "json")
    assert again.code == 0
    digest = read_card(tmp_path / "mine").digest
    earmark("export", "--library", library, "-m", tmp_path / "mine", "-f", "json")
    with open_library(library, write=False) as opened:
        assert digest in {model.digest for model, _ in opened.models()}, "a model trained anew is another one"


def test_a_folder_that_no_library_knows_is_analysed_once(
    earmark: Earmark, collection: Path, tmp_path: Path, tiny_model: Path
) -> None:
    options = ("--init", tiny_model, "-f", "json")
    done = earmark("train", "--from-tags", collection, "-o", tmp_path / "one", *options)
    assert done.code == 0, done.err
    assert done.json["heads"]["genre"]["labels"] == ["Hip Hop", "R&B", "Rock"]
    assert (done.json["tags"]["songs"], done.json["tags"]["untagged"]) == (48, 12)


@pytest.mark.usefixtures("undecodable")
def test_of_a_folder_what_the_library_holds_is_not_decoded(
    earmark: Earmark, collection: Path, library: Path, tmp_path: Path
) -> None:
    done = earmark("train", collection, "--from-tags", "--library", library, "-o", tmp_path / "one", "-f", "json")
    assert done.code == 0, done.err
    assert done.json["tags"]["songs"] == 48


@pytest.mark.usefixtures("undecodable")
def test_several_labels_a_song(earmark: Earmark, library: Path, tmp_path: Path) -> None:
    done = train(earmark, library, tmp_path / "mine", "--multi-label", "-f", "json")
    assert done.code == 0, done.err
    head = read_card(tmp_path / "mine").heads[0]
    assert (head.name, head.task, head.labels) == ("genre", "multilabel", ("Hip Hop", "R&B", "Rock", "Soul"))
    assert done.json["tags"]["fill"]["threshold"] is None


@pytest.mark.usefixtures("undecodable")
def test_the_users_list_and_limits_count(earmark: Earmark, library: Path, tmp_path: Path) -> None:
    file = tmp_path / "names.toml"
    file.write_text('[genre]\n"hip hop" = "Urban"\n"R&B/Soul" = "Urban"\n"rnb" = "Urban"\n')
    done = train(earmark, library, tmp_path / "mine", "--labels", file, "--min-tracks", 13, "-f", "json")
    assert done.code == 1 and "of 3 labels in the tags 1 has 13 songs by 3 artists" in done.err
    done = train(earmark, library, tmp_path / "mine", "--labels", file, "-f", "json")
    assert done.code == 0, done.err
    assert done.json["heads"]["genre"]["labels"] == ["Rock", "Urban"]


@pytest.mark.usefixtures("undecodable")
def test_files_and_labels_may_be_left_out(earmark: Earmark, library: Path, tmp_path: Path) -> None:
    options = ("--exclude-files", "*-15.flac", "--exclude", "genre=Rock", "--heads", "genre", "-f", "json")
    done = train(earmark, library, tmp_path / "mine", *options)
    assert done.code == 0, done.err
    assert done.json["tags"]["songs"] == 45 and done.json["heads"]["genre"]["labels"] == ["Hip Hop", "R&B"]
    wrong = train(earmark, library, tmp_path / "other", "--heads", "mood")
    assert wrong.code == 1 and "unknown head 'mood'; known: genre" in wrong.err


@pytest.mark.usefixtures("undecodable")
def test_corrections_count_beside_the_tags(earmark: Earmark, library: Path, collection: Path, tmp_path: Path) -> None:
    """A song that the user has labelled is no gap, whatever its tag; a tag that they have corrected is theirs."""
    file = Path(shutil.copy(library, tmp_path / "a.db"))
    gaps = {path.name: NAMES[path.stem.split("-")[0]] for path in collection.iterdir() if not genre(path)}
    words = {**gaps, "low-1.flac": "Rock", "high-1.flac": "r&b"}
    with open_library(file) as opened:
        for track in opened.tracks():
            if word := words.get(Path(track.path).name):
                opened.set_label(track.audio or 0, "genre", word)
    done = train(earmark, file, tmp_path / "mine", "--from-library", "-f", "json")
    assert done.code == 0, done.err
    said, tags = done.json["corrections"]["genre"], done.json["tags"]
    assert (said["tracks"], said["changed"], said["added"]) == (14, 1, 12)
    assert said["figure"] == "accuracy" and said["note"] is None
    assert done.json["heads"]["genre"]["labels"] == ["Hip Hop", "R&B", "Rock"]
    assert (tags["songs"], tags["untagged"]) == (48, 12)
    assert {one["songs"] for one in tags["fill"]["levels"]} == {0}, "no gap is left"


def test_a_list_of_labels_for_every_verb_is_no_mistake_of_train(earmark: Earmark, tmp_path: Path) -> None:
    settings = tmp_path / "earmark.toml"
    settings.write_text('[all]\nlabels = "mine.toml"\n')
    said = earmark("train", tmp_path / "none", "-o", tmp_path / "m", "--config", settings)
    assert said.code == 1 and "no such folder" in said.err


@pytest.mark.usefixtures("undecodable")
def test_songs_that_are_gone_still_teach_and_are_left_alone(
    earmark: Earmark, library: Path, collection: Path, tmp_path: Path
) -> None:
    """A drive that is not plugged in: the library knows its songs."""
    hidden = collection.rename(collection.with_name("hidden"))
    try:
        done = train(earmark, library, tmp_path / "mine", "-f", "json")
        assert done.code == 0, done.err
        written = earmark(
            "write-tags", "--library", library, "-m", tmp_path / "mine", "--min-confidence", 0, "-f", "json"
        )
        assert written.code in (1, 3) and {one["error"]["kind"] for one in written.json["files"]} == {"missing"}
    finally:
        hidden.rename(collection)


def test_another_field_is_read_from_the_files(earmark: Earmark, library: Path, tmp_path: Path) -> None:
    done = train(earmark, library, tmp_path / "mine", "--field", "Mood")
    assert done.code == 1 and "none of the 48 songs names a mood in its tags" in done.err
    done = train(earmark, library, tmp_path / "mine", "--field", "artist", "--min-tracks", 2, "--min-artists", 1)
    assert done.code == 1 and "is all by one artist" in done.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--field", "mood"), "--field: is for --from-tags"),
        (("--multi-label",), "--multi-label: is for --from-tags"),
        (("--min-tracks", "3"), "--min-tracks: is for --from-tags"),
        (("--library", "a.db"), "--library: is for --from-library and --from-tags"),
        (("--from-tags", "--library", "nowhere.db"), "there is no library; `earmark scan FOLDER` makes one"),
    ],
)
def test_options_that_say_nothing_are_refused(
    earmark: Earmark, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    folder = () if "--from-tags" in options else (tmp_path,)
    said = earmark("train", *folder, "-o", tmp_path / "m", *options)
    assert said.code == 1 and message in said.err and len(said.err.splitlines()) == 1


def test_a_library_without_tags_or_songs_says_what_helps(earmark: Earmark, tiny_model: Path, tmp_path: Path) -> None:
    music = make_collection(tmp_path / "music", songs=2)
    for path in music.iterdir():
        tag(path, genre="")
    file = tmp_path / "a.db"
    earmark("scan", music, "--library", file, "-m", tiny_model, "-j", 1)
    said = train(earmark, file, tmp_path / "m")
    assert said.code == 1 and "none of the 6 songs names a genre in its tags; tag some" in said.err
    for path in music.iterdir():
        path.unlink()
    (music / "note.txt").write_text("moved")
    earmark("scan", music, "--library", file, "-m", tiny_model, "-j", 1)
    said = train(earmark, file, tmp_path / "m")
    assert said.code == 1 and "the library holds no songs that are there; `earmark scan FOLDER` adds some" in said.err


def test_write_tags_refuses_a_model_of_another_network(
    earmark: Earmark, library: Path, tmp_path: Path, tiny_model: Path
) -> None:
    from earmark.features.frontend import Frontend
    from made import make_model

    other = make_model(tmp_path / "other", frontend=Frontend(bands=40))
    said = earmark("write-tags", "--library", library, "-m", other)
    assert said.code == 1 and "no embeddings of this model's network; `earmark scan -m" in said.err
    assert json.loads(earmark("library", "--library", library, "-f", "json").out)["tracks"] == 48


@pytest.mark.slow
def test_twenty_thousand_scanned_songs_take_less_than_a_minute(earmark: Earmark, tmp_path: Path) -> None:
    import time

    from threadpoolctl import threadpool_limits

    from earmark.library.records import LibraryModel
    from earmark.models.registry import find_model
    from made_library import fill_tagged

    folder = find_model("default")
    with open_library(tmp_path / "a.db", make=True) as opened:
        fill_tagged(opened, LibraryModel.of(folder, read_card(folder)), 20_000)
    start = time.process_time()  # a busy machine is no fault; two threads would spin while they wait for each other
    with threadpool_limits(1):
        done = train(earmark, tmp_path / "a.db", tmp_path / "mine", "-f", "json")
    assert time.process_time() - start < 60
    assert done.code == 0, done.err
    tags = done.json["tags"]
    assert tags["songs"] == 20_000 and len(tags["labels"]) == 20 and tags["untagged"] == 2_000
    assert done.json["heads"]["genre"]["accuracy"] > 0.9
