"""One reader sees what players see, in every kind of file and tag, without mutagen."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import av
import mutagen
import numpy as np
import pytest
from mutagen.apev2 import APEv2
from mutagen.id3 import APIC, COMM, ID3, TALB, TCON, TIT2, TMOO, TPE1, TXXX

from earmark.tags import id3
from earmark.tags.read import LONGEST, artist_and_album, read_tags
from made_tagged import make_song

KINDS = {
    "wv": ("wv", "wavpack"), "tta": ("tta", "tta"), "mka": ("matroska", "pcm_s16le"), "webm": ("webm", "libopus"),
    "caf": ("caf", "pcm_s16be"), "au": ("au", "pcm_s16be"), "flac": ("flac", "flac"), "ogg": ("ogg", "libopus"),
    "opus": ("opus", "libopus"), "m4a": ("ipod", "aac"), "wma": ("asf", "wmav2"), "mp3": ("mp3", "libmp3lame"),
    "wav": ("wav", "pcm_s16le"), "aiff": ("aiff", "pcm_s16be"),
}  # fmt: skip
SEEN = ("artist", "title", "genre")


def made_by_ffmpeg(path: Path, container: str, codec: str) -> Path:
    """A song with tags that FFmpeg wrote."""
    with av.open(str(path), "w", format=container, options={"write_id3v2": "1"} if container == "aiff" else {}) as out:
        out.metadata.update(artist="Ärtist", title="Title", album="Album", genre="Rock", date="1999-05-04")
        stream = out.add_stream(codec, rate=48000)
        stream.layout, stream.bit_rate = "mono", 64_000
        form = stream.codec_context.codec.audio_formats[0].name
        whole = av.AudioFrame.from_ndarray(np.zeros((1, 24000), np.float32), "fltp", "mono")
        whole.sample_rate = 48000
        size = stream.codec_context.frame_size or 4096
        frames = av.AudioResampler(form, "mono", 48000, frame_size=size)
        for frame in [*frames.resample(whole), *frames.resample(None)]:
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_names_its_artist(kind: str, tmp_path: Path) -> None:
    tags = read_tags(made_by_ffmpeg(tmp_path / f"a.{kind}", *KINDS[kind]))
    assert [tags.get(name) for name in SEEN] == [("Ärtist",), ("Title",), ("Rock",)]
    assert artist_and_album(tags)[0] == "Ärtist"
    if kind != "au":  # FFmpeg writes fewer there
        assert (tags["album"], tags["year"]) == (("Album",), ("1999",))


@pytest.mark.parametrize("step", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_every_awkward_file_reads_as_by_ffprobe(step: int, shared: Path) -> None:
    """Whatever artist, title and genre ffprobe shows, the reader shows; it may see more, and several values."""
    if not shutil.which("ffprobe"):
        pytest.skip("needs ffprobe")
    of_a_picture = {("image.ogg", "title"), ("image_unknown_type.mp3", "title")}  # not the song's
    by_age = {("silence-2s-PCM-44100-16-ID3v23.wav", "artist")}  # old ones prefer INFO, new ones ID3
    files = [p for p in sorted((shared / "data" / "awkward").rglob("*")) if p.is_file() and p.name != "files.tsv"]
    differ, seen = set(), 0
    for file in files[::step]:
        ours = read_tags(file)
        for name, text in probed(file).items():
            seen += 1
            values = ours.get(name, ())
            if " ".join(text.split())[:LONGEST] not in (*values, ";".join(values)):
                differ.add((file.name, name))
    assert seen > 150 / step and differ <= of_a_picture | by_age


def probed(file: Path) -> dict[str, str]:
    command = ["ffprobe", "-v", "quiet", "-show_entries", "format_tags:stream_tags", "-of", "json", str(file)]
    done = subprocess.run(command, capture_output=True)
    found = json.loads(done.stdout.decode("utf-8", "replace")) if done.returncode == 0 else {}
    sources = [found.get("format", {}), *found.get("streams", [])]
    tags: dict[str, str] = {}
    for source in sources:
        for name, text in source.get("tags", {}).items():
            if text.strip():
                tags.setdefault(name.lower(), text)
    return {name: tags[name] for name in SEEN if name in tags}


def id3_of(path: Path, *frames: object, version: int = 4, v1: int = 0) -> Path:
    tags = ID3()
    for frame in frames:
        tags.add(frame)
    tags.save(path, v2_version=version, v1=v1)
    return path


def test_an_ape_tag_of_an_mp3_and_the_order_of_kinds(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    ape = APEv2()
    ape["Artist"], ape["Album"], ape["Genre"] = "Ape", "Album", ["Rock", "Indie"]
    ape.save(song)
    assert (read_tags(song)["artist"], read_tags(song)["genre"]) == (("Ape",), ("Rock", "Indie"))
    song.write_bytes(song.read_bytes() + b"TAG" + b"V1".ljust(124, b"\0") + b"\x07")
    assert (read_tags(song)["artist"], read_tags(song)["title"]) == (("Ape",), ("V1",))
    id3_of(song, TPE1(3, ["Two"]), v1=1)
    found = read_tags(song)
    assert (found["artist"], found["album"], found["genre"]) == (("Two",), ("Album",), ("Rock", "Indie"))


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("encoding", [0, 1, 3])
def test_values_encodings_and_numbers(version: int, encoding: int, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    genres = ["(17)(4)Eurodisco"] if version == 3 else ["17", "Indie", "CR"]
    id3_of(song, TPE1(encoding, ["Björk"]), TCON(encoding, genres), version=version)
    found = read_tags(song)
    assert found["artist"] == ("Björk",)
    assert found["genre"] == (("Rock", "Disco", "Eurodisco") if version == 3 else ("Rock", "Indie", "Cover"))


def id3v22(*frames: bytes, flags: int = 0) -> bytes:
    body = b"".join(frames)
    if flags & 0x80:
        body = body.replace(b"\xff\xfe", b"\xff\0\xfe")
    return b"ID3\2\0" + bytes([flags]) + bytes((0, 0, len(body) >> 7, len(body) & 127)) + body


def frame22(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(3, "big") + body


def test_version_2_2_and_unsynchronisation(tmp_path: Path) -> None:
    song = tmp_path / "a.mp3"
    for flags in (0, 0x80):
        title = frame22(b"TT2", b"\1" + "Tïtle 字".encode("utf-16"))
        tag = id3v22(title, frame22(b"TP1", b"\0Artist"), frame22(b"TCO", b"\0(12)"), flags=flags)
        song.write_bytes(tag + make_song(tmp_path / "b.mp3").read_bytes())
        assert [read_tags(song)[name] for name in SEEN] == [("Artist",), ("Tïtle 字",), ("Other",)]


def test_moods_comments_and_texts_by_their_description(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    id3_of(
        song,
        TMOO(3, ["happy", "calm"]),
        COMM(3, "eng", "", ["good"]),
        COMM(3, "eng", "x", ["y"]),
        TXXX(3, "Set", ["9"]),
    )
    found = read_tags(song)
    assert (found["mood"], found["comment"], found["set"]) == (("happy", "calm"), ("good",), ("9",))


def test_id3_before_a_flac_gives_way_to_its_own_tags(tmp_path: Path) -> None:
    flac = made_by_ffmpeg(tmp_path / "a.flac", "flac", "flac")
    tags = id3_of(tmp_path / "tag", TPE1(3, ["Other"]), COMM(3, "eng", "", ["only here"])).read_bytes()
    flac.write_bytes(tags + flac.read_bytes())
    assert (read_tags(flac)["artist"], read_tags(flac)["comment"]) == (("Ärtist",), ("only here",))


def test_several_values_of_an_mp4(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.m4a")
    tags = mutagen.File(song)
    tags["\xa9gen"], tags["\xa9ART"], tags["----:com.apple.iTunes:MOOD"] = ["Rock", "Indie"], ["A", "B"], [b"x", b"y"]
    tags.save()
    found = read_tags(song)
    assert (found["genre"], found["artist"], found["mood"]) == (("Rock", "Indie"), ("A", "B"), ("x", "y"))


def test_ten_megabytes_and_control_characters(tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    id3_of(
        song, TIT2(3, ["x" * 10_000_000]), TALB(3, ["a\x1b[31m\nb\x07"]), APIC(3, "image/png", 3, "", b"\xff\xe0" * 99)
    )
    found = read_tags(song)
    assert (len(found["title"][0]), found["album"]) == (LONGEST, ("a [31m b",))


def test_what_is_no_song_has_no_tags(tmp_path: Path) -> None:
    for name, content in {
        "a.mp3": b"",
        "b.flac": b"fLaC" + bytes(99),
        "c.wav": b"RIFF\0\0\0\0WAVE",
        "d": b"TAG",
    }.items():
        (tmp_path / name).write_bytes(content)
        assert read_tags(tmp_path / name) == {}
    assert read_tags(tmp_path / "missing.mp3") == {}


@pytest.mark.parametrize("share", range(0, 100, 7))
def test_cut_and_scrambled_tags_are_read_as_far_as_they_go(share: int, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.mp3")
    whole = id3_of(song, TPE1(3, ["A"]), TIT2(3, ["T" * 200]), TCON(3, ["G"])).read_bytes()
    song.write_bytes(whole[: len(whole) * share // 100])
    assert read_tags(song).get("artist", ("A",)) == ("A",)
    scrambled = bytearray(whole)
    random = np.random.default_rng(share)
    for at in random.integers(0, 1200, 12):
        scrambled[at] = random.integers(256)
    song.write_bytes(bytes(scrambled))
    assert isinstance(read_tags(song), dict)


def test_a_tag_is_written_as_it_was_read(shared: Path) -> None:
    """Parsing and writing again gives the same frames, whatever they are."""
    files = sorted((shared / "data" / "awkward").rglob("*.mp3"))
    tags = [tag for file in files if (tag := id3.parse(file.read_bytes())) and not tag.damaged]
    assert len(tags) > 25 and {tag.version for tag in tags} == {2, 3, 4}
    for tag in tags:
        again = id3.parse(tag.to_bytes())
        assert again is not None and again.frames == tag.frames and again.size == max(tag.size, again.size)


def test_the_number_of_a_recording_is_read(shared: Path) -> None:
    """MusicBrainz Picard keeps it in a frame that is no text."""
    samples = shared / "data" / "awkward" / "music-metadata" / "test" / "samples"
    for name, number in (
        ("id3v2.4-musicbrainz.mp3", "84851150-a196-48fa-ada5-1a012b1cd9ed"),
        ("MusicBrainz-Picard-tags.flac", "b0c1d984-ba93-4167-880a-ac02255bf9e7"),
    ):
        assert read_tags(samples / name)["musicbrainz_trackid"] == (number,)
