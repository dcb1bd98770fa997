"""Tempo, key, gain and energy stand where players and DJ programs look for them, under the same policies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mutagen
import pytest
from mediafile import MediaFile
from mutagen.apev2 import APEv2
from mutagen.id3 import ID3, TBPM, TKEY, TXXX
from mutagen.mp4 import MP4

from earmark.analyses.facts import Feature, Key, Loudness, Score, Tempo, untold
from earmark.filetags.journal import read_run
from earmark.filetags.policy import Policy, WriteOptions, new_values
from earmark.filetags.tagged import open_tags
from earmark.filetags.undo import undo
from earmark.inference.records import Prediction
from earmark.tags import id3
from made_tagged import FEATURES, HEADS, KINDS, add_ape, add_front, make_song, outcomes_of, sha256, written

ALL = ("bpm", "key", "replaygain", "energy")
MADE = Prediction("a.mp3", 1.0, "made@1", HEADS, features=FEATURES)
ITUNES = "----:com.apple.iTunes:"
GAIN = ("-8.20 dB", "0.966051")
ID3_NAMES = ("TBPM", "TKEY", "TXXX:REPLAYGAIN_TRACK_GAIN", "TXXX:REPLAYGAIN_TRACK_PEAK", "COMM::eng")
_VORBIS = {"BPM": "120.7", "INITIALKEY": "F#m", "REPLAYGAIN_TRACK_GAIN": GAIN[0], "REPLAYGAIN_TRACK_PEAK": GAIN[1]}
_OGG = {**_VORBIS, "COMMENT": "Energy 5"}
_ID3 = dict(zip(ID3_NAMES, ("121", "F#m", *GAIN, "Energy 5"), strict=True))
EXPECTED: dict[str, dict[str, str]] = {
    **{"mp3": _ID3, "wav": _ID3, "aiff": _ID3, "tta": _ID3, "flac": _OGG, "ogg": _OGG},
    "opus": {"BPM": "120.7", "INITIALKEY": "F#m", "R128_TRACK_GAIN": "-3379", "COMMENT": "Energy 5"},
    "m4a": {"tmpo": "121", f"{ITUNES}initialkey": "F#m", f"{ITUNES}replaygain_track_gain": GAIN[0],
            f"{ITUNES}replaygain_track_peak": GAIN[1], "\xa9cmt": "Energy 5"},
    "wma": {"WM/BeatsPerMinute": "120.7", "WM/InitialKey": "F#m", "replaygain_track_gain": GAIN[0],
            "replaygain_track_peak": GAIN[1], "Description": "Energy 5"},
    "wv": {**_VORBIS, "Comment": "Energy 5"},
}  # fmt: skip


def first(value: Any) -> str:
    one = value.text[0] if hasattr(value, "text") else value[0]
    return one.decode() if isinstance(one, bytes) else str(one)


def write(
    song: Path, policy: Policy = "empty", fields: tuple[str, ...] = ALL
) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Written, taken back byte for byte, and written again; what differs."""
    before, options = sha256(song), WriteOptions(policy, fields=fields)
    journal, (outcome,) = written(song.parent / "journal", [song], options)
    if outcome.status == "changed":
        (back,) = outcomes_of(undo([read_run(song.parent / "journal", journal.name)]))
        assert back.status == "restored" and sha256(song) == before
        written(song.parent / "journal", [song], options)
    assert outcome.status in ("changed", "unchanged"), outcome.message
    return dict(outcome.changes)


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_numbers_in_each_kind_and_back(kind: str, tmp_path: Path) -> None:
    song = make_song(tmp_path / f"song.{kind}")
    changes = write(song)
    tags = mutagen.File(song).tags
    assert {name: first(tags[name]) for name in EXPECTED[kind]} == EXPECTED[kind]
    assert not {"EARMARK_SCORES", "TXXX:EARMARK_SCORES"} & set(tags.keys()), "scores are of labels"
    assert all(open_tags(song).values[name] == after for name, (_, after) in changes.items())
    for policy in ("empty", "merge", "overwrite"):
        assert write(song, policy) == {}, "written again nothing changes"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("tta",)])
def test_another_reader_finds_the_same_numbers(kind: str, tmp_path: Path) -> None:
    song = make_song(tmp_path / f"song.{kind}")
    write(song)
    read = MediaFile(song)
    assert read.bpm in (120, 121) and read.comments == "Energy 5"  # it cuts decimals off
    if kind == "opus":
        assert read.r128_track_gain == pytest.approx(-13.2, abs=0.005)
    else:
        assert read.rg_track_gain == -8.2 and read.rg_track_peak == pytest.approx(10 ** (-0.3 / 20), abs=1e-5)
    if kind != "wma":
        assert read.initial_key == "F#m"


def test_without_fields_nothing_of_it_is_written(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    _, (outcome,) = written(tmp_path / "journal", [song])
    assert set(outcome.changes) == {"genre", "mood", "scores"}
    _, (outcome,) = written(tmp_path / "journal", [song], WriteOptions(fields=("bpm",)))
    assert set(outcome.changes) == {"bpm"}


def test_policies_of_one_number(tmp_path: Path) -> None:
    """An older number stays under empty and merge, in whatever kind of tags, and is nowhere left under overwrite."""
    song = make_song(tmp_path / "a.mp3", 2.0)
    add_ape(song)
    add_front(song)
    tags = mutagen.File(song)
    tags.tags.add(TXXX(3, "bpm", ["98.5"]))
    tags.save()
    for policy in ("empty", "merge"):
        assert write(song, policy, ("bpm",)) == {}
    assert write(song, "overwrite", ("bpm",))["bpm"] == (("98.5",), ("121", "120.7"))
    tags = ID3(song)
    assert (str(tags["TBPM"]), str(tags["TXXX:bpm"])) == ("121", "120.7"), "and decimals where they can stand"
    assert write(song, "overwrite", ("bpm",)) == {}


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        ({"REPLAYGAIN_TRACK_GAIN": "-7.00 dB", "BPM": "120"}, {"REPLAYGAIN_TRACK_GAIN": "-7.90 dB", "BPM": "120.4"}),
        ({"BPM": "120.5", "INITIALKEY": "Am"}, {"INITIALKEY": "8A"}),
        ({"BPM": "inf"}, {"BPM": "1e999"}),
        ({}, {"BPM": "120.4", "INITIALKEY": "8A"}),
    ],
)
@pytest.mark.parametrize("policy", ["empty", "merge", "overwrite"])
def test_numbers_that_are_not_asked_for_stay_as_they_are(
    policy: Policy, mine: dict[str, str], other: dict[str, str], tmp_path: Path
) -> None:
    """Where two kinds of tags, or two frames, say something else; neither written nor told as a change."""
    song = make_song(tmp_path / "a.mp3", 2.0)
    tags = ID3()
    frames = {"BPM": TBPM, "INITIALKEY": TKEY}
    for name, text in mine.items():
        tags.add(frames[name](3, [text]) if name in frames else TXXX(3, name, [text]))
    tags.save(song)
    apes = APEv2()
    for name, text in other.items():
        apes[name] = text
    apes.save(song)
    before = [one.rest(("genre", "mood", "scores")) for one in open_tags(song).systems]
    assert set(write(song, policy, ("genre", "mood"))) == {"genre", "mood", "scores"}
    assert [one.rest(("genre", "mood", "scores")) for one in open_tags(song).systems] == before
    held = {name: (str(tag.text[0])) for name, tag in ID3(song).items() if name in ("TBPM", "TKEY")}
    assert held == {f"T{name[-3:]}": text for name, text in mine.items() if name in frames}


def test_a_number_without_end_is_replaced_where_asked_for(tmp_path: Path) -> None:
    song, opus = make_song(tmp_path / "a.mp3"), make_song(tmp_path / "b.opus")
    tags = ID3()
    tags.add(TBPM(3, ["inf"]))
    tags.save(song)
    file = mutagen.File(opus)
    file["R128_TRACK_GAIN"] = "9" * 400
    file.save()
    assert write(song, "empty", ("bpm",)) == write(opus, "empty", ("replaygain",)) == {}
    assert write(song, "overwrite", ("bpm",))["bpm"] == (("inf",), ("121",))
    assert write(opus, "overwrite", ("replaygain",))["replaygain_track_gain"] == (("9" * 400,), (GAIN[0],))


@pytest.mark.parametrize("zero", ["0", "0.0", "000"])
def test_zero_beats_a_minute_are_none(zero: str, tmp_path: Path) -> None:
    """As iTunes and others fill the field."""
    song = make_song(tmp_path / "a.mp3")
    tags = ID3()
    tags.add(TBPM(0, [zero]))
    tags.save(song)
    assert write(song, "empty", ("bpm",))["bpm"] == ((zero,), ("121",))
    movie = make_song(tmp_path / "b.m4a")
    atoms = MP4(movie)
    atoms["tmpo"] = [0]
    atoms.save()
    assert write(movie, "empty", ("bpm",))["bpm"] == (("0",), ("121",))


def test_other_names_and_cases_of_a_field_are_kept_in_step(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.flac")
    tags = mutagen.File(song)
    tags["key"], tags["replaygain_track_gain"] = "C", "+1.00 dB"
    tags.save()
    movie = make_song(tmp_path / "b.m4a")
    atoms = MP4(movie)
    atoms[f"{ITUNES}REPLAYGAIN_TRACK_GAIN"] = [b"+1.00 dB"]
    atoms[f"{ITUNES}BPM"] = [b"98.5"]
    atoms.save()
    for one in (song, movie):
        assert "replaygain_track_gain" not in write(one, "empty", ("replaygain",))
        write(one, "overwrite")
    tags = mutagen.File(song)
    assert (tags["KEY"], tags["INITIALKEY"], tags["REPLAYGAIN_TRACK_GAIN"]) == (["F#m"], ["F#m"], ["-8.20 dB"])
    atoms = MP4(movie)
    assert atoms["tmpo"] == [121] and bytes(atoms[f"{ITUNES}BPM"][0]) == b"120.7"
    assert bytes(atoms[f"{ITUNES}REPLAYGAIN_TRACK_GAIN"][0]) == b"-8.20 dB"
    assert f"{ITUNES}replaygain_track_gain" not in atoms


@pytest.mark.parametrize("version", [2, 3])
def test_older_id3_tags_have_them_too(version: int, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    song.write_bytes(id3.ID3v2(version).to_bytes() + song.read_bytes())
    write(song)
    tag = id3.parse(song.read_bytes())
    assert tag is not None and tag.version == version
    found = {frame.key: frame.texts for frame in tag.frames}
    names = ("TBP", "TKE", "TXX:REPLAYGAIN_TRACK_GAIN") if version == 2 else ("TBPM", "TKEY", ID3_NAMES[2])
    assert [found[name] for name in names] == [("121",), ("F#m",), ("-8.20 dB",)]


def told(present: dict[str, tuple[str, ...]] | None = None, policy: Policy = "empty", **more: Any) -> dict[str, str]:
    options = WriteOptions(policy, **{"fields": ALL, **more})
    return {name: texts[0] for name, texts in new_values(MADE, present or {}, options).items()}


def test_confidence_notation_and_what_cannot_be_told() -> None:
    assert told(min_confidence=0.6).keys() == {"bpm", "comment", "replaygain_track_gain", "replaygain_track_peak"}
    assert "bpm" not in told(min_confidence=0.7)
    assert told(key_notation="camelot")["key"] == "11A"
    features: dict[str, Feature] = {"tempo": Tempo(128.0, 1.0), "key": Key("C major", "8B", 1.0)}
    sure = new_values(replace(MADE, features=features), {}, WriteOptions(fields=ALL))
    assert (sure["bpm"], sure["key"], sure["comment"]) == (("128",), ("C",), ("Energy 5",)), "energy of the head"
    own = replace(MADE, features={"energy": Score(0.74)})
    assert new_values(own, {}, WriteOptions(fields=ALL)) == {"comment": ("Energy 7",)}
    for nothing in ({}, {name: untold(one) for name, one in FEATURES.items()} | {"loudness": Loudness(None, -60.0)}):
        silent = replace(MADE, features=nothing, warning="silence")
        assert new_values(silent, {}, WriteOptions(fields=ALL, min_confidence=0)) == {}
    noise = replace(MADE, features={"loudness": FEATURES["loudness"], "energy": Score()}, warning="noise")
    assert new_values(noise, {}, WriteOptions(fields=ALL)).keys() == {"replaygain_track_gain", "replaygain_track_peak"}


@pytest.mark.parametrize(
    ("policy", "present", "expected"),
    [
        ("empty", None, "Energy 5"),
        ("empty", "mine", "mine"),
        ("merge", "mine", "mine; Energy 5"),
        ("merge", "8A - Energy 3", "8A - Energy 3"),
        ("overwrite", "8A - energy 3 - mine", "8A - Energy 5 - mine"),
        ("overwrite", "mine", "mine; Energy 5"),
    ],
)
def test_energy_in_the_comment(policy: Policy, present: str | None, expected: str) -> None:
    """Beside what stands there; only an older energy is replaced."""
    there = {} if present is None else {"comment": (present,)}
    found = told(there, policy, fields=("energy",))
    assert found == {"comment": expected}
    assert told({"comment": (found["comment"],)}, policy, fields=("energy",)) == found


def test_a_summing_comment_has_the_energy_already() -> None:
    assert told(comment=True)["comment"] == "Röck / happy / energy 5"
    assert told({"comment": ("mine",)}, "merge", comment=True)["comment"] == "mine; Röck / happy / energy 5"
