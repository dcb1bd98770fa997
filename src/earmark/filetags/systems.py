"""Each kind of tags as values: ID3, APE and RIFF INFO by their bytes, the others by mutagen (extra ``tags``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from earmark.filetags.fields import FIELDS
from earmark.filetags.outcomes import Refusal
from earmark.tags import id3
from earmark.tags.containers import APE, Form, Info, splice

__all__ = [
    "BY_MUTAGEN",
    "ApeSystem",
    "Id3System",
    "InfoSystem",
    "MutagenSystem",
    "Place",
    "TagSystem",
    "V1System",
    "frame_body",
    "stripped",
]

Place = Callable[[BinaryIO, bytes], None]
"""Puts a tag into a file that is open for reading and writing."""


class TagSystem(Protocol):
    """One kind of tags of a file, as values: a change makes another one."""

    def get(self, name: str) -> tuple[str, ...]:
        """What it says in a field."""
        ...

    def put(self, name: str, texts: Sequence[str]) -> TagSystem:
        """The tags with that in a field; a kind that has no such field stays as it is."""
        ...

    def rest(self, names: Iterable[str]) -> tuple[Any, ...]:
        """Everything in it but these fields, to see that nothing is lost."""
        ...

    def save(self, path: Path) -> None:
        """Write it into a copy of the file that it was read from."""
        ...


@dataclass(frozen=True, slots=True)
class Id3System:
    """An ID3v2 tag, before the audio, in a chunk or at the end."""

    tag: id3.ID3v2
    place: Place = field(compare=False)

    def get(self, name: str) -> tuple[str, ...]:
        """All values, of all frames that hold the field."""
        found: list[str] = []
        for key in FIELDS[name].frames(self.tag.version):
            for frame in self.tag.frames:
                if frame.key == key:
                    found += id3.genres(frame.texts) if name == "genre" else frame.texts
        if self.tag.version < 4 and not FIELDS[name].single:
            found = [part for text in found for part in text.split("/")]
        return stripped(found)

    def put(self, name: str, texts: Sequence[str]) -> Id3System:
        """Frames that are there already keep their description and language."""
        tag, place = self.tag, FIELDS[name]
        first, *others = place.frames(tag.version)
        if place.single or tag.version < 4:
            texts = [("; " if place.single else "/").join(texts)] if texts else []
        for key in (first, *(other for other in others if any(frame.key == other for frame in tag.frames))):
            tag = tag.with_frames(key, [frame_body(tag, key, texts)] if texts else [])
        return replace(self, tag=tag)

    def rest(self, names: Iterable[str]) -> tuple[Any, ...]:
        """The other frames, byte by byte."""
        ours = {key for name in names for key in FIELDS[name].frames(self.tag.version)}
        return tuple(frame.raw for frame in self.tag.frames if frame.key not in ours)

    def save(self, path: Path) -> None:
        """In its place."""
        with path.open("r+b") as file:
            self.place(file, self.tag.to_bytes())


def frame_body(tag: id3.ID3v2, key: str, texts: Sequence[str]) -> bytes:
    """What a frame with these texts holds, in a tag and by its key."""
    old = next((frame for frame in tag.frames if frame.key == key), None)
    name, _, description = key.partition(":")
    if name[:3] == "COM":
        return id3.encoded(tag.version, ("", *texts), old.language if old else b"eng")
    if name[:3] == "TXX":
        return id3.encoded(tag.version, (old.description if old else description, *texts))
    return id3.encoded(tag.version, texts)


@dataclass(frozen=True, slots=True)
class ApeSystem:
    """An APE tag at the end."""

    tag: APE

    def get(self, name: str) -> tuple[str, ...]:
        """All values."""
        return stripped(text for item in self.tag.items if item.key == self._key(name) for text in item.texts)

    def put(self, name: str, texts: Sequence[str]) -> ApeSystem:
        """The name of an item that is there stays as it is."""
        used = next((item.name for item in self.tag.items if item.key == self._key(name)), FIELDS[name].ape)
        return replace(self, tag=self.tag.with_item(used, texts))

    def rest(self, names: Iterable[str]) -> tuple[Any, ...]:
        """The other items, byte by byte."""
        ours = {self._key(name) for name in names}
        return tuple(item.raw for item in self.tag.items if item.key not in ours)

    def save(self, path: Path) -> None:
        """In place of the old one."""
        if self.tag.version < 2000:
            raise Refusal("format", "it has an APE tag of version 1, which cannot hold all letters")
        with path.open("r+b") as file:
            splice(file, self.tag.start, self.tag.end, self.tag.to_bytes())

    def _key(self, name: str) -> str:
        return FIELDS[name].ape.upper()


@dataclass(frozen=True, slots=True)
class InfoSystem:
    """A WAV's ``LIST INFO``."""

    tag: Info
    form: Form

    def get(self, name: str) -> tuple[str, ...]:
        """One text."""
        key = FIELDS[name].info
        return stripped([self.tag.text(key)]) if key else ()

    def put(self, name: str, texts: Sequence[str]) -> InfoSystem:
        """Several as one."""
        key = FIELDS[name].info
        if not key or self.get(name) == ("; ".join(texts),):
            return self
        return replace(self, tag=self.tag.with_text(key, texts))

    def rest(self, names: Iterable[str]) -> tuple[Any, ...]:
        """The other entries, byte by byte."""
        ours = {FIELDS[name].info for name in names}
        return tuple(pair for pair in self.tag.entries if pair[0] not in ours)

    def save(self, path: Path) -> None:
        """In place of the old one."""
        with path.open("r+b") as file:
            self.form.put(file, self.tag.chunk, self.form.chunk_of(b"LIST", self.tag.to_bytes()))


@dataclass(frozen=True, slots=True)
class V1System:
    """The 128 bytes of ID3v1."""

    end: bytes

    def get(self, name: str) -> tuple[str, ...]:
        """One text."""
        return stripped([id3.read_v1(self.end).get(name, "")]) if FIELDS[name].v1 else ()

    def put(self, name: str, texts: Sequence[str]) -> V1System:
        """The first of several, as far as it fits."""
        text = (*texts, "")[0]
        if name == "comment":
            return V1System(id3.with_v1(self.end, comment="; ".join(texts)))
        return V1System(id3.with_v1(self.end, genre=text)) if FIELDS[name].v1 else self

    def rest(self, names: Iterable[str]) -> tuple[Any, ...]:
        """The other bytes."""
        end = self.end
        for name in names:
            if FIELDS[name].v1:
                end = id3.with_v1(end, **{name: ""})
        return (end,)

    def save(self, path: Path) -> None:
        """At the end."""
        with path.open("r+b") as file:
            file.seek(-len(self.end), 2)
            file.write(self.end)


@dataclass(frozen=True, slots=True)
class _Keys:
    """How mutagen holds our fields in one kind of tags: the key of each, its values as texts, and back."""

    key: Callable[[str], str]
    text: Callable[[Any], str] = str
    value: Callable[[str, str], Any] = lambda key, text: text


@dataclass(frozen=True, slots=True)
class MutagenSystem:
    """Vorbis comments, MP4 atoms and ASF attributes, by mutagen."""

    file: Any = field(compare=False)
    keys: _Keys = field(compare=False)
    pending: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, name: str) -> tuple[str, ...]:
        """All values."""
        if name in self.pending:
            return self.pending[name]
        tags, key = self.file.tags, self.keys.key(name)
        return stripped(self.keys.text(value) for value in tags[key]) if tags is not None and key in tags else ()

    def put(self, name: str, texts: Sequence[str]) -> MutagenSystem:
        """It is written by :meth:`save`."""
        return self if self.get(name) == tuple(texts) else replace(self, pending={**self.pending, name: tuple(texts)})

    def rest(self, names: Iterable[str]) -> tuple[Any, ...]:
        """The other tags, as mutagen shows them."""
        ours, tags = {self.keys.key(name).casefold() for name in names}, self.file.tags
        if tags is None:
            return ()
        return tuple(sorted(f"{key}={tags[key]!r}" for key in set(tags.keys()) if str(key).casefold() not in ours))

    def save(self, path: Path) -> None:
        """By mutagen."""
        if self.file.tags is None:
            self.file.add_tags()
        for name, texts in self.pending.items():
            key = self.keys.key(name)
            if texts:
                self.file.tags[key] = [self.keys.value(key, text) for text in texts]
            elif key in self.file.tags:
                del self.file.tags[key]
        self.file.save(path)


_MP4 = _Keys(
    lambda name: FIELDS[name].mp4,
    lambda value: value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value),
    lambda key, text: text.encode("utf-8") if key.startswith("----") else text,
)
BY_MUTAGEN = {
    **dict.fromkeys(("FLAC", "OggVorbis", "OggOpus", "OggSpeex", "OggFLAC"), _Keys(lambda name: FIELDS[name].vorbis)),
    "MP4": _MP4,
    "ASF": _Keys(lambda name: FIELDS[name].asf),
}
"""By the name of mutagen's class, so that mutagen is imported only where it is used."""


def stripped(texts: Iterable[str]) -> tuple[str, ...]:
    """Texts without the white space around them, without empty ones and repeats."""
    return tuple(dict.fromkeys(text for one in texts if (text := one.strip().rstrip("\0"))))
