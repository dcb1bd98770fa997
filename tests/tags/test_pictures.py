"""The picture that a file carries, whatever the file is, and nothing that is none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from earmark.tags import pictures
from earmark.tags.pictures import read_picture
from sounds import melody, write

SAMPLES = {
    "beets/test/rsrc/image-jpeg.mp3": ("image/jpeg", 628),
    "mediafile/test/rsrc/image.ogg": ("image/png", 155),
    "music-metadata/test/samples/MusicBrainz-Picard-tags.flac": ("image/jpeg", 175_668),
    "music-metadata/test/samples/MusicBrainz - Beth Hart - Sinner's Prayer [id3v2.3].wav": ("image/jpeg", 98_008),
    "music-metadata/test/samples/id3v2.2.mp3": ("image/jpeg", 99_738),
    "music-metadata/test/samples/aiff/No Sanctuary Here.aiff": ("image/jpeg", 23_836),
    "music-metadata/test/samples/mp4/issue-79.m4a": ("image/jpeg", 5_084),
    "music-metadata/test/samples/ogg/nirvana-2sec.opus.ogg": ("image/jpeg", 30_966),
}
JPEG = b"\xff\xd8\xff\xe0" + bytes(500)


def with_picture(folder: Path, picture: bytes, kind: str = "image/jpeg", place: int = 3) -> Path:
    """A FLAC file that carries a picture."""
    path = write(folder / "song.flac", melody(1, 22050), 22050)
    data = path.read_bytes()
    mime = kind.encode()
    block = struct.pack(">II", place, len(mime)) + mime + struct.pack(">IIIIII", 0, 1, 1, 24, 0, len(picture)) + picture
    head = b"\x06" + len(block).to_bytes(3, "big")
    assert data[:4] == b"fLaC" and data[4] & 0x7F == 0
    path.write_bytes(data[:42] + head + block + data[42:])
    return path


@pytest.mark.parametrize("name", SAMPLES)
def test_pictures_of_every_kind_of_file(shared: Path, name: str) -> None:
    found = read_picture(shared / "data" / "awkward" / name)
    assert found is not None
    assert (found[0], len(found[1])) == SAMPLES[name]


def test_no_awkward_file_is_worth_an_error(shared: Path) -> None:
    for path in sorted((shared / "data" / "awkward").rglob("*.*")):
        found = read_picture(path)
        assert found is None or found[0] in {"image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp"}


def test_a_picture_comes_unchanged(tmp_path: Path) -> None:
    assert read_picture(with_picture(tmp_path, JPEG)) == ("image/jpeg", JPEG)


def test_the_bytes_tell_the_kind_and_not_the_tag(tmp_path: Path) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(100)
    assert read_picture(with_picture(tmp_path, png, "image/jpeg")) == ("image/png", png)


@pytest.mark.parametrize("data", [b"<svg onload='alert(1)'/>", b"<html><script>", b"", b"-->http://example.org/x.jpg"])
def test_what_is_no_picture_is_none(tmp_path: Path, data: bytes) -> None:
    for kind in ("image/jpeg", "image/svg+xml", "text/html"):
        assert read_picture(with_picture(tmp_path, data, kind)) is None


def test_a_huge_picture_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LARGEST", 400)
    assert read_picture(with_picture(tmp_path, JPEG)) is None


def test_no_file_has_no_picture(tmp_path: Path) -> None:
    assert read_picture(tmp_path / "none.mp3") is None
    assert read_picture(tmp_path) is None
    (tmp_path / "text.mp3").write_text("no audio")
    assert read_picture(tmp_path / "text.mp3") is None
