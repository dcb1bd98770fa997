"""The plug-in in a real beets: ``beet`` as a process on real music, and what its library and the files hold then."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutagen
import pytest
import setuptools
import yaml
from beets.library import Album, Item, Library

import earmark
from commands import SOURCE, environment
from earmark.analyses.facts import choose
from earmark.inference.options import HearingOptions
from earmark.inference.records import Prediction

SONGS = ("MT0000004637", "MT0000011357", "MT0000040632")
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "beets.md"


@dataclass(frozen=True)
class Beets:
    """A folder with beets' configuration and library, and with music that is not imported."""

    folder: Path

    def configure(self, **options: Any) -> None:
        settings = {
            "plugins": "earmark",
            "directory": str(self.folder / "collection"),
            "import": {"autotag": False, "quiet": True},
            "ui": {"color": False},
            "earmark": {"jobs": 1} | options,
        }
        (self.folder / "config.yaml").write_text(yaml.safe_dump(settings))

    def beet(self, *arguments: object, code: int = 0) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "beets", *map(str, arguments)],
            cwd=self.folder, env=environment(BEETSDIR=str(self.folder), COLUMNS="200"),
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout, done.stderr

    def library(self) -> Library:
        return Library(str(self.folder / "library.db"), str(self.folder / "collection"))

    def songs(self) -> dict[str, Item]:
        return {item.title or item.filepath.name: item for item in self.library().items()}

    def bytes(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "collection").rglob("*.*") if path.is_file()}


@pytest.fixture(scope="session")
def imported(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Beets:
    """Three real songs and an empty one, imported with the plug-in's defaults."""
    beets = Beets(tmp_path_factory.mktemp("beets"))
    (beets.folder / "music").mkdir()
    for song in SONGS:
        shutil.copy(shared / "data" / "moods900" / "audio" / f"{song}.opus", beets.folder / "music")
    shutil.copy(shared / "data" / "awkward" / "pydub" / "test" / "data" / "test1_empty.wav", beets.folder / "music")
    beets.configure(jobs=2)
    _, err = beets.beet("import", "music")
    assert re.search(r"earmark: .*test1_empty\.wav: empty: the file has no audio samples", err)
    return beets


@pytest.fixture
def beets(imported: Beets, tmp_path: Path) -> Beets:
    """A copy of one's own."""
    own = Beets(tmp_path / "beets")
    shutil.copytree(imported.folder, own.folder)
    own.configure()
    return own


@pytest.fixture(scope="session")
def predictions(imported: Beets) -> Mapping[str, Prediction]:
    """What Earmark itself says of the songs, by title."""
    songs = {os.fsdecode(item.path): title for title, item in imported.songs().items()}
    results = earmark.predict_all(earmark.load_model(), songs, workers=2)
    return {songs[result.path]: result for result in results if isinstance(result, Prediction)}


def forget(item: Item, *fields: str) -> None:
    """As ``beet modify`` does by ``field!``."""
    for field in fields:
        if field in item:
            del item[field]
    item.store()


def test_import_tells_what_earmark_tells(imported: Beets, predictions: Mapping[str, Prediction]) -> None:
    """Fields as beets' users know them; the files stay as they are."""
    songs = imported.songs()
    assert len(songs) == 4 and len(predictions) == 3
    assert any(one.heads["genre"].label for one in predictions.values())
    for title, prediction in predictions.items():
        item, heads = songs[title], prediction.heads
        assert item.genres == [label for label in [heads["genre"].label] if label]
        assert item.get("mood") == heads["mood"].label
        assert float(item["energy"]) == heads["energy"].value
        assert item["earmark_model"] == prediction.model
        assert not {"genre", "mood", "energy"} & set(mutagen.File(item.filepath))
    failed = next(item for title, item in songs.items() if title not in predictions)
    assert not failed.genres and "mood" not in failed and "earmark_model" not in failed


def test_features_are_those_of_tag(beets: Beets) -> None:
    """Off by default; where asked for they are told of known songs too, once, and an older number stays."""
    before = beets.songs()
    assert not any(item.bpm or item.initial_key or "danceability" in item for item in before.values())
    files = {os.fsdecode(item.path): title for title, item in before.items() if "earmark_model" in item}
    options = HearingOptions(features=choose(None))
    tagger = earmark.load_model()
    told = {title: tagger.predict(path, options=options) for path, title in files.items()}
    tempi = [title for title, one in told.items() if one.features["tempo"].value is not None]
    assert len(tempi) >= 2
    own = before[tempi[0]]
    own.bpm = 77
    own.store()
    beets.configure(features=True)
    _, err = beets.beet("-v", "earmark")
    assert "3 songs analysed, 1 failed, 0 known already" in err
    for title, item in beets.songs().items():
        if title not in told:
            continue
        features = {name: one.to_dict() for name, one in told[title].features.items()}
        tempo, key = features["tempo"]["value"], features["key"]["value"]
        assert item.bpm == (77 if title == tempi[0] else 0 if tempo is None else round(tempo))
        assert item.initial_key == (key and key.replace(" major", "").replace(" minor", "m"))
        assert item.r128_track_gain == pytest.approx(-23 - features["loudness"]["lufs"], abs=0.01)
        for name in ("energy", "valence", "danceability", "acousticness", "liveness"):
            found = item.get(name)  # a text, to who does not know the plug-in's types
            assert (None if found is None else float(found)) == features[name]["value"], name
    assert "0 songs analysed, 1 failed, 3 known already" in beets.beet("-v", "earmark")[1]
    found = beets.beet("ls", "-f", "$title", "bpm:78..", "energy:0..")[0].splitlines()
    assert set(found) == set(tempi[1:])
    beets.beet("earmark", "-f", "-w", own.title)
    assert mutagen.File(own.filepath)["bpm"] == [str(round(told[own.title].features["tempo"].value))]


def test_an_album_has_the_genre_of_most_of_its_songs(beets: Beets) -> None:
    library = beets.library()
    items = list(library.items())
    for item, genres in zip(items, (["Jazz"], ["Rock"], ["Rock"], []), strict=True):
        item.genres = genres
        item.store()
    library.add_album(items[:3])
    beets.beet("earmark", "--force", "--confidence", "1", items[0].title)
    found = beets.library()
    album: Album = max(found.albums(), key=lambda one: one.id)
    assert album.genres == ["Rock"]
    assert [item.genres for item in album.items()] == [["Jazz"], ["Rock"], ["Rock"]]


def test_queries_know_numbers_and_words(beets: Beets, predictions: Mapping[str, Prediction]) -> None:
    loud = {title for title, one in predictions.items() if one.heads["energy"].value > 0.5}
    assert 0 < len(loud) < 3
    assert set(beets.beet("ls", "-f", "$title", "energy:0.5..")[0].splitlines()) == loud
    drums = {title for title, one in predictions.items() if "drums" in one.heads["instruments"].labels}
    assert set(beets.beet("ls", "-f", "$title", "instruments:drums")[0].splitlines()) == drums


def test_known_songs_are_passed_over_and_filled_fields_stay(beets: Beets) -> None:
    _, err = beets.beet("-v", "earmark")
    assert "earmark: 0 songs analysed, 1 failed, 3 known already" in err
    library = beets.library()
    for item in library.items():
        item.update({"mood": "mine", "genres": ["Mine"], "energy": 0.123})
        forget(item, "earmark_model")
    beets.beet("earmark")
    assert {(item["mood"], *item.genres, float(item["energy"])) for item in beets.songs().values()} == {
        ("mine", "Mine", 0.123)
    }
    assert sum("earmark_model" in item for item in beets.songs().values()) == 3
    beets.beet("earmark", "-f")
    told = [item for item in beets.songs().values() if "earmark_model" in item]
    assert "mine" not in {item["mood"] for item in told}
    assert not [item for item in told if float(item["energy"]) == 0.123]


def test_pretend_shows_and_changes_nothing(beets: Beets) -> None:
    before = beets.bytes(), [dict(item) for item in beets.songs().values()]
    out, _ = beets.beet("earmark", "--pretend", "--force", "--write", "--confidence", "0")
    assert "genres:" in out or "instruments:" in out
    assert (beets.bytes(), [dict(item) for item in beets.songs().values()]) == before


def test_write_puts_mood_and_energy_where_players_look(
    beets: Beets, predictions: Mapping[str, Prediction], tmp_path: Path
) -> None:
    """And ``beet update`` takes nothing away that the files do not hold."""
    song = next(title for title, one in predictions.items() if one.heads["mood"].label)
    item, mood = beets.songs()[song], predictions[song].heads["mood"].label
    for kind, codec in (("mp3", "libmp3lame"), ("m4a", "aac"), ("flac", "flac")):
        file = beets.folder / "more" / f"{kind}.{kind}"
        file.parent.mkdir(exist_ok=True)
        if shutil.which("ffmpeg") is None:
            pytest.skip("the program ffmpeg is not installed")
        subprocess.run(
            ["ffmpeg", "-v", "error", "-i", item.filepath, "-c:a", codec, "-metadata", f"title={kind}", file],
            check=True,
        )
    beets.configure(write=True)
    beets.beet("import", "more")
    songs = beets.songs()
    read = {
        "mp3": lambda tags: (str(tags["TMOO"]), float(str(tags["TXXX:ENERGY"]))),
        "m4a": lambda tags: tuple(tags[f"----:com.apple.iTunes:{key}"][0].decode() for key in ("MOOD", "ENERGY")),
        "flac": lambda tags: (tags["mood"][0], tags["energy"][0]),
    }
    for kind, fields in read.items():
        found, energy = fields(mutagen.File(songs[kind].filepath).tags)
        assert found == songs[kind]["mood"] == mood
        assert mutagen.File(songs[kind].filepath, easy=True)["genre"] == songs[kind].genres
        assert float(energy) == pytest.approx(float(songs[kind]["energy"]), abs=0.006)
    assert "mood" not in mutagen.File(item.filepath)
    os.utime(item.filepath, (1, 1))
    beets.beet("update")
    assert beets.songs()[song]["mood"] == mood
    beets.configure()
    beets.beet("earmark", "-f", "-w")
    assert mutagen.File(beets.songs()[song].filepath)["mood"] == [mood]


def test_a_mood_of_the_file_stays(beets: Beets) -> None:
    """beets does not know it, so that nobody could say that it was there."""
    item = next(item for item in beets.songs().values() if item.get("mood"))
    forget(item, "mood", "earmark_model")
    tags = mutagen.File(item.filepath)
    tags["mood"] = "dreamy"
    tags.save()
    beets.beet("earmark", "-w", item.title)
    assert mutagen.File(item.filepath)["mood"] == ["dreamy"]
    beets.beet("earmark", "-w", "-f", item.title)
    assert mutagen.File(item.filepath)["mood"] == [beets.songs()[item.title]["mood"]] != ["dreamy"]


def test_the_whitelist_leads_up_the_tree(beets: Beets, predictions: Mapping[str, Prediction]) -> None:
    metal = next(title for title, one in predictions.items() if one.heads["genre"].label == "Metal")
    (beets.folder / "mine.txt").write_text("# what I like\nrock\nReggae\n")
    beets.configure(whitelist="mine.txt")
    beets.beet("earmark", "-f", "-c", "0")
    found = {tuple(item.genres) for item in beets.songs().values() if "earmark_model" in item}
    assert beets.songs()[metal].genres == ["Rock"]
    assert found <= {("Rock",), ("Reggae",), ("Jazz",), ("Country",)}  # what was there stays where nothing is welcome


def test_a_model_of_ones_own(beets: Beets, tiny_model: Path) -> None:
    """Its heads are attributes, and what the bundled model said makes room."""
    card = earmark.load_model(tiny_model).card
    heads = [head.name for head in card.heads if head.name not in ("genre", "genres")]
    beets.configure(model=str(tiny_model), heads=heads, confidence=0)
    beets.beet("earmark", "-f")
    told = [item for item in beets.songs().values() if item.get("earmark_model") == card.id]
    assert len(told) == 3
    assert heads and all(head in item for item in told for head in heads)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "nonsense"}, "unknown model 'nonsense'"),
        ({"whitelist": "nowhere.txt"}, "cannot read the whitelist"),
        ({"heads": ["gnre"]}, "unknown head 'gnre'; did you mean 'genre'?"),
        ({"jobs": 0}, "jobs: 0 is no number of songs at a time"),
        ({"confidence": 2}, "confidence: 2 is no probability"),
        ({"labels": "nowhere.toml"}, "cannot read the list of labels"),
        ({"count": "many"}, "count"),
        ({"features": ["tmpo"]}, "unknown feature 'tmpo'; did you mean 'tempo'?"),
    ],
)
def test_a_wrong_setting_is_one_line_before_anything_is_done(beets: Beets, options: Any, says: str) -> None:
    beets.configure(**options)
    for command in (("earmark",), ("import", "music"))[: 1 + ("model" in options)]:
        _, err = beets.beet(*command, code=1)
        assert says in err and len(err.strip().splitlines()) == 1
    assert len(beets.songs()) == 4


def test_auto_can_be_switched_off(beets: Beets) -> None:
    beets.configure(auto=False)
    (beets.folder / "music" / f"{SONGS[0]}.opus").rename(beets.folder / "new.opus")
    beets.beet("import", "-s", "new.opus")
    assert len(beets.songs()) == 4 and sum("earmark_model" not in item for item in beets.library().items()) == 2


def test_awkward_files_do_not_end_a_run(shared: Path, tmp_path: Path) -> None:
    """Each file of the odd ones in beets' library has its answer or its warning."""
    beets = Beets(tmp_path)
    beets.configure(write=True)
    library = beets.library()
    files = [file for file in sorted((shared / "data" / "awkward").rglob("*")) if file.is_file()][::9]
    (tmp_path / "collection").mkdir()
    for number, file in enumerate(files):
        own = tmp_path / "collection" / f"{number}{file.suffix}"
        shutil.copy(file, own)
        library.add(Item(path=os.fsencode(own), title=str(number)))
    library.add(Item(path=os.fsencode(tmp_path / "collection" / "gone.mp3"), title="gone"))
    _, err = beets.beet("-v", "earmark")
    told = [item for item in beets.library().items() if "earmark_model" in item]
    failed = set(re.findall(r"earmark: .*/([^/]+?): [a-z-]+: ", err))
    assert "gone.mp3" in failed
    assert {item.filepath.name for item in told} | failed == {item.filepath.name for item in beets.library().items()}
    assert f"earmark: {len(told)} songs analysed, {len(failed)} failed, 0 known already" in err
    assert len(told) > 10


@pytest.mark.slow
def test_the_page_is_true(shared: Path, tmp_path: Path) -> None:
    """Its commands, one after the other, on its configuration; and it names every option and field."""
    text = PAGE.read_text("utf-8")
    beets = Beets(tmp_path)
    (tmp_path / "music").mkdir()
    for song in SONGS:
        shutil.copy(shared / "data" / "moods900" / "audio" / f"{song}.opus", tmp_path / "music")
    shown = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    beets.configure(**shown.pop("earmark"))
    settings = yaml.safe_load((tmp_path / "config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings | shown))
    commands = re.findall(r"^\$ beet (.*)$", text, re.MULTILINE)
    assert len(commands) >= 5
    said = [beets.beet(*shlex.split(command))[0] for command in commands]
    assert said[-1], "the last query finds a song"
    help_text, _ = beets.beet("help", "earmark")
    for letter, option in re.findall(r"(-\w)[ ,].*?--([a-z-]+)", help_text):
        assert option == "help" or f"`{letter}`" in text, option
    from beetsplug.earmark import EarmarkPlugin

    for name in (*EarmarkPlugin.item_types, "genres"):
        assert f"`{name}`" in text, name


def test_it_is_in_the_wheel() -> None:
    assert "beetsplug" in setuptools.find_namespace_packages(str(SOURCE))
    assert not (SOURCE / "beetsplug" / "__init__.py").exists(), "beets' own plug-ins would be hidden"
