"""ID3 tags, byte by byte: version 2 (2.2, 2.3 and 2.4) before the audio, and the 128 bytes of version 1 behind it.

A frame that is not changed is written as it was read, so that nothing of a tag is lost, known or unknown
(https://id3.org/id3v2.4.0-structure, https://id3.org/id3v2.3.0, https://id3.org/id3v2-00).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

__all__ = ["GENRES", "HEADER", "Frame", "ID3v2", "genres", "new_frame", "parse", "read_v1", "tag_size", "with_v1"]

HEADER = 10
"""Bytes of a tag's header."""

_LARGEST = 1 << 22  # bytes that a compressed frame may grow to
_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9]{2}[A-Za-z0-9 \0]?")  # some programs make up their own
_LANGUAGE = re.compile(rb"[A-Za-z]{3}")
_BRACKETS = re.compile(r"\((\d+|RX|CR)\)")
_PADDING = 1024  # bytes that a tag gets to grow into


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        name: As in the tag: ``TCON``, in version 2.2 ``TCO``.
        raw: All of its bytes, header too.
        body: What it holds, with compression and the like undone; None where it cannot be undone.
    """

    name: str
    raw: bytes
    body: bytes | None

    @property
    def key(self) -> str:
        """Its name, for a text or comment with a description with that, in capitals: ``TXXX:MOOD``, ``COMM:``."""
        if self.name in ("TXXX", "TXX", "COMM", "COM"):
            return f"{self.name}:{self._parts()[0].upper()}"
        return self.name

    @property
    def description(self) -> str:
        """Of a text or comment that has one."""
        return self._parts()[0]

    @property
    def texts(self) -> tuple[str, ...]:
        """Its values, where it is a text or a comment."""
        if self.name[0] != "T" and self.name[:3] != "COM":
            return ()
        described = self.key != self.name
        return self._parts()[described:]

    @property
    def language(self) -> bytes:
        """Of a comment, three letters."""
        found = (self.body or b"")[1:4]
        return found if _LANGUAGE.fullmatch(found) else b"eng"

    def _parts(self) -> tuple[str, ...]:
        body = self.body or b""
        start = 4 if self.name[:3] == "COM" else 1
        return _decoded(body[:1], body[start:]) or ("",)


@dataclass(frozen=True, slots=True)
class ID3v2:
    """A tag as it stands in a file.

    Attributes:
        version: 2, 3 or 4.
        frames: In their order.
        flags: Of its header.
        extended: Its extended header.
        size: Bytes that it takes up, padding and footer too.
        plain_sizes: Whether frames of version 2.4 have sizes of eight bits a byte, as old iTunes wrote them.
        damaged: Whether something stands in it that is no frame.
    """

    version: int = 4
    frames: tuple[Frame, ...] = ()
    flags: int = 0
    extended: bytes = b""
    size: int = 0
    plain_sizes: bool = False
    damaged: bool = False

    def with_frames(self, key: str, bodies: Sequence[bytes]) -> ID3v2:
        """The tag with these in place of all its frames of a key (:attr:`Frame.key`); none takes them out."""
        new = [new_frame(self, key.partition(":")[0], body) for body in bodies]
        places = [at for at, frame in enumerate(self.frames) if frame.key == key]
        first = places[0] if places else len(self.frames)
        kept = [frame for at, frame in enumerate(self.frames) if at not in places]
        return replace(self, frames=(*kept[:first], *new, *kept[first:]))

    def to_bytes(self, *, padded: bool = True) -> bytes:
        """The tag for a file: as long as it was, where that is enough.

        Raises:
            ValueError: It is too large for its kind.
        """
        body = b"".join(frame.raw for frame in self.frames)
        flags = self.flags & ~0x10  # a footer allows no padding, and is only needed behind the audio
        if self.version == 3 and self.extended:
            flags &= ~0x40  # its checksum and its count of padding would be wrong now
        elif self.extended:
            body = self.extended + body
        if flags & 0x80 and self.version < 4:
            body = re.sub(rb"\xff(?=[\xe0-\xff\0])|\xff\Z", b"\xff\0", body)
        room = self.size - HEADER
        if padded:
            body = body.ljust(room if room >= len(body) else len(body) + _PADDING, b"\0")
        if len(body) >= 1 << 28:
            raise ValueError("its ID3 tag is too large")
        return b"ID3" + bytes((self.version, 0, flags)) + _seven_bits(len(body)) + body


def tag_size(header: bytes) -> int:
    """Bytes of the ID3v2 tag that begins so, all in all; 0 where none does."""
    if len(header) < HEADER or header[:3] != b"ID3" or header[3] == 0xFF or max(header[6:10]) > 0x7F:
        return 0
    return HEADER + _number(header[6:10], 7) + (HEADER if header[5] & 0x10 and header[3] == 4 else 0)


def parse(data: bytes) -> ID3v2 | None:
    """The tag that data begins with; None where there is none of a known version."""
    size = tag_size(data[:HEADER])
    if not size or data[3] not in (2, 3, 4):
        return None
    version, flags = data[3], data[5]
    if version == 2 and flags & 0x40:  # a compression that was never defined
        return ID3v2(version, (), flags, b"", size, damaged=True)
    body = data[HEADER : min(size, HEADER + _number(data[6:10], 7))]
    if flags & 0x80 and version < 4:
        body = body.replace(b"\xff\0", b"\xff")
    extended = b""
    if flags & 0x40:
        length = _number(body[:4], 7) if version == 4 else 4 + _number(body[:4], 8)
        extended, body = body[:length], body[length:]
    frames, damaged = _frames(body, version, flags, plain=False)
    plain = False
    if version == 4 and damaged:
        others, still = _frames(body, version, flags, plain=True)
        if not still or len(others) > len(frames):
            frames, damaged, plain = others, still, True
    return ID3v2(version, frames, flags, extended, size, plain, damaged or len(data) < size)


def new_frame(tag: ID3v2, name: str, body: bytes) -> Frame:
    """A frame for a tag."""
    if tag.version == 2:
        head = name.encode("ascii") + len(body).to_bytes(3, "big")
    else:
        seven = tag.version == 4 and not tag.plain_sizes
        head = name.encode("ascii") + (_seven_bits(len(body)) if seven else len(body).to_bytes(4, "big")) + b"\0\0"
    return Frame(name, head + body, body)


def encoded(version: int, texts: Sequence[str], before: bytes = b"") -> bytes:
    """The body of a text frame: the encoding, ``before``, and the texts, each but the last with its end."""
    encoding, codec, end = 3, "utf-8", b"\0"
    if version < 4:
        encoding, codec = 0, "latin-1"
        if any(ord(letter) > 0xFF for text in texts for letter in text):
            encoding, codec, end = 1, "utf-16-le", b"\0\0"
    mark = b"\xff\xfe" if encoding == 1 else b""
    return bytes([encoding]) + before + end.join(mark + text.encode(codec, "replace") for text in texts)


def genres(texts: Sequence[str]) -> tuple[str, ...]:
    """The names that a genre frame means: ``(17)(4)Eurodisco`` is Rock, Disco and Eurodisco."""
    found: list[str] = []
    for text in texts:
        while match := _BRACKETS.match(text):
            found.append(_genre(match[1]))
            text = text[match.end() :]
        found.append(_genre(text[1:] if text.startswith("((") else text))
    return tuple(dict.fromkeys(name for name in found if name))


def read_v1(end: bytes) -> Mapping[str, str]:
    """What the 128 bytes at a file's end say, by name; empty where they are no tag."""
    if len(end) != 128 or end[:3] != b"TAG":
        return {}
    track = str(end[126]) if end[125] == 0 and end[126] else ""
    places = {"title": (3, 33), "artist": (33, 63), "album": (63, 93), "year": (93, 97)}
    found = {name: _latin(end[first:last]) for name, (first, last) in places.items()}
    found |= {"comment": _latin(end[97 : 125 if track else 127]), "track": track, "genre": _genre(str(end[127]))}
    return {name: text for name, text in found.items() if text}


def with_v1(end: bytes, genre: str | None = None, comment: str | None = None) -> bytes:
    """The 128 bytes with another genre (255, none, where the list has no such name) or comment."""
    if genre is not None:
        by_fold = {name.casefold(): number for number, name in enumerate(GENRES)}
        end = end[:127] + bytes([by_fold.get(genre.casefold(), 255)])
    if comment is not None:
        room = 28 if end[125] == 0 and end[126] else 30
        end = end[:97] + comment.encode("latin-1", "replace")[:room].ljust(room, b"\0") + end[97 + room :]
    return end


def _frames(body: bytes, version: int, flags: int, *, plain: bool) -> tuple[tuple[Frame, ...], bool]:
    """All frames, and whether what follows them is no padding."""
    head, letters = (6, 3) if version == 2 else (10, 4)
    found: list[Frame] = []
    at = 0
    while at + head <= len(body):
        name = body[at : at + letters]
        if not _NAME.fullmatch(name) or (version == 2 and len(name) != 3):
            break
        size = _number(body[at + letters : at + 2 * letters], 7 if version == 4 and not plain else 8)
        raw = body[at : at + head + size]
        if len(raw) < head + size or (version == 4 and not plain and max(raw[4:8]) > 0x7F):
            return tuple(found), True
        content = raw[head:] if version == 2 else _undone(raw[head:], raw[9], version, flags)
        found.append(Frame(name.rstrip(b"\0 ").decode("ascii"), raw, content))
        at += head + size
    return tuple(found), any(body[at:])


def _undone(body: bytes, how: int, version: int, flags: int) -> bytes | None:
    """A frame's body without what the second byte of its flags says was done to it."""
    packed, locked, grouped = (0x08, 0x04, 0x40) if version == 4 else (0x80, 0x40, 0x20)
    if how & locked:
        return None
    if how & grouped:
        body = body[1:]
    if (version == 4 and how & 0x01) or (version == 3 and how & packed):
        body = body[4:]
    if version == 4 and (how & 0x02 or flags & 0x80):
        body = body.replace(b"\xff\0", b"\xff")
    if how & packed:
        try:
            return zlib.decompressobj().decompress(body, _LARGEST)
        except zlib.error:
            return None
    return body


def _decoded(encoding: bytes, data: bytes) -> tuple[str, ...]:
    if encoding in (b"\1", b"\2"):
        codec = "utf-16-be" if encoding == b"\2" or data.startswith(b"\xfe\xff") else "utf-16-le"
    else:
        codec = "utf-8" if encoding == b"\3" else "latin-1"
    text = data.decode(codec, "replace").rstrip("\0")
    return tuple(value.removeprefix("\ufeff") for value in text.split("\0"))


def _genre(text: str) -> str:
    text = {"RX": "Remix", "CR": "Cover"}.get(text, text).strip()
    if text.isascii() and text.isdigit():
        return GENRES[int(text)] if int(text) < len(GENRES) else "" if int(text) == 255 else text
    return text


def _latin(data: bytes) -> str:
    return data.split(b"\0")[0].decode("latin-1").strip()


def _number(data: bytes, bits: int) -> int:
    value = 0
    for byte in data:
        value = value << bits | byte & (1 << bits) - 1
    return value


def _seven_bits(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


GENRES = tuple(
    (
        "Blues; Classic Rock; Country; Dance; Disco; Funk; Grunge; Hip-Hop; Jazz; Metal; New Age; Oldies; Other; "
        "Pop; R&B; Rap; Reggae; Rock; Techno; Industrial; Alternative; Ska; Death Metal; Pranks; Soundtrack; "
        "Euro-Techno; Ambient; Trip-Hop; Vocal; Jazz+Funk; Fusion; Trance; Classical; Instrumental; Acid; House; "
        "Game; Sound Clip; Gospel; Noise; Alt. Rock; Bass; Soul; Punk; Space; Meditative; Instrumental Pop; "
        "Instrumental Rock; Ethnic; Gothic; Darkwave; Techno-Industrial; Electronic; Pop-Folk; Eurodance; Dream; "
        "Southern Rock; Comedy; Cult; Gangsta Rap; Top 40; Christian Rap; Pop/Funk; Jungle; Native American; "
        "Cabaret; New Wave; Psychedelic; Rave; Showtunes; Trailer; Lo-Fi; Tribal; Acid Punk; Acid Jazz; Polka; "
        "Retro; Musical; Rock & Roll; Hard Rock; Folk; Folk-Rock; National Folk; Swing; Fast-Fusion; Bebop; Latin; "
        "Revival; Celtic; Bluegrass; Avantgarde; Gothic Rock; Progressive Rock; Psychedelic Rock; Symphonic Rock; "
        "Slow Rock; Big Band; Chorus; Easy Listening; Acoustic; Humour; Speech; Chanson; Opera; Chamber Music; "
        "Sonata; Symphony; Booty Bass; Primus; Porn Groove; Satire; Slow Jam; Club; Tango; Samba; Folklore; "
        "Ballad; Power Ballad; Rhythmic Soul; Freestyle; Duet; Punk Rock; Drum Solo; A Cappella; Euro-House; Dance "
        "Hall; Goa; Drum & Bass; Club-House; Hardcore; Terror; Indie; BritPop; Afro-Punk; Polsk Punk; Beat; "
        "Christian Gangsta Rap; Heavy Metal; Black Metal; Crossover; Contemporary Christian; Christian Rock; "
        "Merengue; Salsa; Thrash Metal; Anime; JPop; Synthpop; Abstract; Art Rock; Baroque; Bhangra; Big Beat; "
        "Breakbeat; Chillout; Downtempo; Dub; EBM; Eclectic; Electro; Electroclash; Emo; Experimental; Garage; "
        "Global; IDM; Illbient; Industro-Goth; Jam Band; Krautrock; Leftfield; Lounge; Math Rock; New Romantic; "
        "Nu-Breakz; Post-Punk; Post-Rock; Psytrance; Shoegaze; Space Rock; Trop Rock; World Music; Neoclassical; "
        "Audiobook; Audio Theatre; Neue Deutsche Welle; Podcast; Indie Rock; G-Funk; Dubstep; Garage Rock; "
        "Psybient "
    )
    .strip()
    .split("; ")
)
"""Names of the numbers of version 1, with Winamp's additions."""
