"""One reader of tags for data sets, the library and the writer: it sees what players see.

MPEG audio is read here; so are the ID3 and INFO tags of WAV and AIFF, and APE tags wherever they stand, since FFmpeg
hands out only the first of several values, and no APE tag of an mp3. FFmpeg's demuxers (PyAV) read everything else;
nothing is decoded.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from earmark.tags import id3
from earmark.tags.containers import APE, Info, find_ape, read_form, read_ilst

__all__ = ["LONGEST", "Reader", "artist_and_album", "ends_before", "read_tags"]

LONGEST = 1000
"""Letters of a value; what is longer is cut."""

Tags = Mapping[str, tuple[str, ...]]

_LARGEST_ID3 = 1 << 26  # bytes of a tag that are read: pictures stand before texts
_ID3 = {
    "title": "TIT2 TT2", "artist": "TPE1 TP1", "albumartist": "TPE2 TP2", "album": "TALB TAL", "genre": "TCON TCO",
    "date": "TDRC TYER TYE TDRL", "mood": "TMOO", "comment": "COMM: COM:", "track": "TRCK TRK", "disc": "TPOS TPA",
    "composer": "TCOM TCM", "bpm": "TBPM TBP", "initialkey": "TKEY TKE", "publisher": "TPUB TPB",
    "language": "TLAN TLA", "copyright": "TCOP TCR", "isrc": "TSRC TRC", "grouping": "TIT1 TT1",
}  # fmt: skip
_BY_FRAME = {frame: name for name, frames in _ID3.items() for frame in frames.split()}
_BY_INFO = {
    "INAM": "title", "IART": "artist", "IPRD": "album", "IGNR": "genre", "ICRD": "date", "ICMT": "comment",
    "ITRK": "track", "IPRT": "track",
}  # fmt: skip
_BY_KEY = {
    "album artist": "albumartist", "album_artist": "albumartist", "tracknumber": "track", "discnumber": "disc",
    "year": "date", "author": "artist", "tmoo": "mood", "wm/mood": "mood",
    "tbpm": "bpm", "tkey": "initialkey", "initial key": "initialkey",
}  # fmt: skip
_RECORDING = b"http://musicbrainz.org\0"  # whose number of a recording a frame holds
_CONTAINERS = (b"fLaC", b"OggS", b"\x1a\x45\xdf\xa3", b"caff", b".snd", b"\x30\x26\xb2\x75", b"DSD ")
_APE_FIRST = (b"wvpk", b"MAC ", b"MPCK", b"MP+", b"tBaK", b"OFR ")  # their own tags; ID3 beside them is a stranger
_SEVERAL = re.compile(r";(?! )")  # as FFmpeg joins the values of a Vorbis comment
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def read_tags(path: Path) -> Tags:
    """All values of each tag, names in lower case (``artist``, ``album``, ``albumartist``, ``genre``, ``year``, ...).

    Where several kinds of tags stand in a file, the kind that players prefer comes first, and the others fill what it
    leaves open. Control characters are taken out, and values are cut at :data:`LONGEST` letters. A file without tags,
    or whose tags cannot be read, has none: a tag is never worth an error.
    """
    found: dict[str, tuple[str, ...]] = {}
    try:
        with path.open("rb") as file:
            for source in _sources(file):
                for name, texts in source:
                    cleaned = tuple(clean for text in texts if (clean := _clean(text)))
                    if cleaned:
                        found.setdefault(name, tuple(dict.fromkeys(cleaned)))
    except (OSError, ValueError):
        return found
    if year := re.search(r"\d{4}", found.get("date", ("",))[0]):
        found["year"] = (year[0],)
    return found


def artist_and_album(tags: Tags) -> tuple[str, str]:
    """Artist and album by a file's own tags; "" where it names none."""
    artists = [*tags.get("artist", ()), *tags.get("albumartist", ())]
    return (artists or [""])[0], (*tags.get("album", ()), "")[0]


def ends_before(file: BinaryIO, size: int) -> tuple[bytes, int]:
    """The ID3v1 tag at a file's end (empty where there is none), and the byte at which it and lyrics begin."""
    file.seek(max(0, size - 128))
    v1 = file.read(128)
    if len(v1) < 128 or not v1.startswith(b"TAG"):
        v1 = b""
    end = size - len(v1)
    if end >= 20:  # Lyrics3: its length stands before its end mark
        file.seek(end - 15)
        digits, mark = file.read(6), file.read(9)
        if mark == b"LYRICS200" and digits.isdigit() and int(digits) + 15 < end:
            end -= int(digits) + 15
    return v1, end


class Reader(io.FileIO):
    """A file that answers a seek to nowhere as FFmpeg expects; PyAV would print an exception."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go there, or say -1."""
        try:
            return super().seek(offset, whence)
        except (OSError, OverflowError):
            return -1


Source = Iterable[tuple[str, Iterable[str]]]


def _sources(file: BinaryIO) -> Iterator[Source]:
    """All tags of a file, those that players prefer first."""
    size = os.fstat(file.fileno()).st_size
    tags, inner = _front(file)
    fronts = [_from_id3(tag) for tag in tags]
    v1, end = ends_before(file, size)
    behind = find_ape(file, end)
    last = [_from_ape(behind), _from_v1(v1)]
    if form := read_form(file, size):
        if chunk := form.id3():
            file.seek(chunk.body)
            yield _from_id3(id3.parse(file.read(min(chunk.stop - chunk.body, _LARGEST_ID3))))
        if info := Info.find(file, form):
            yield [(name, (info.text(key),)) for key, name in _BY_INFO.items()]
        yield from (_from_ffmpeg(file), *last)
    elif inner.startswith(_APE_FIRST):
        yield from (last[0], _from_ffmpeg(file), *fronts, last[1])
    elif inner[4:8] == b"ftyp":
        yield from (((_named(name), texts) for name, texts in read_ilst(file, size)), _from_ffmpeg(file), *last)
    elif inner.startswith(_CONTAINERS) or (not tags and inner[:1] != b"\xff"):
        yield from (_from_ffmpeg(file), *fronts, *last)
    else:
        yield from (*fronts, *last)


def _front(file: BinaryIO) -> tuple[list[id3.ID3v2], bytes]:
    """The ID3v2 tags that a file begins with, and the first bytes after them."""
    found: list[id3.ID3v2] = []
    start = 0
    while True:
        file.seek(start)
        head = file.read(12)
        size = id3.tag_size(head)
        if not size:
            return found, head
        file.seek(start)
        if tag := id3.parse(file.read(min(size, _LARGEST_ID3))):
            found.append(tag)
        start += size


def _from_id3(tag: id3.ID3v2 | None) -> Source:
    for frame in tag.frames if tag else ():
        if frame.name in ("UFID", "UFI") and (frame.body or b"").startswith(_RECORDING):
            yield "musicbrainz_trackid", ((frame.body or b"")[len(_RECORDING) :].decode("latin-1"),)
        texts = frame.texts
        key = frame.key
        if key in ("TCON", "TCO"):
            texts = id3.genres(texts)
        name = _BY_FRAME.get(key) or (key.partition(":")[2] if ":" in key else key).casefold()
        if texts and name:
            yield _BY_KEY.get(name, name), texts


def _from_ape(tag: APE | None) -> Source:
    return [(_named(item.key), item.texts) for item in (tag.items if tag else ())]


def _from_v1(end: bytes) -> Source:
    return [("date" if name == "year" else name, (text,)) for name, text in id3.read_v1(end).items()]


def _from_ffmpeg(file: BinaryIO) -> Source:
    """What FFmpeg's demuxer finds: of the file, and of its first audio stream."""
    import av

    av.logging.set_level(None)
    # No protocols: a file's name or content never makes FFmpeg open anything else. It need not look into the audio.
    options = {"protocol_whitelist": "", "probesize": "4096", "analyzeduration": "1"}
    try:
        with Reader(file.fileno(), closefd=False) as handle:
            handle.seek(0)
            with av.open(handle, options=options, metadata_errors="replace") as container:
                audio = container.streams.audio[:1]
                several = container.format.name in ("flac", "ogg")
                pairs = [*container.metadata.items(), *(pair for stream in audio for pair in stream.metadata.items())]
    except (av.error.FFmpegError, ValueError, EOFError, OSError):
        return []
    return [(_named(key), _SEVERAL.split(text) if several else (text,)) for key, text in pairs]


def _named(key: str) -> str:
    name = key.casefold()
    return _BY_KEY.get(name, name)


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text[: 2 * LONGEST]).strip()[:LONGEST].rstrip()
