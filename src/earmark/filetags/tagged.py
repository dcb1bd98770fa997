"""All kinds of tags of one file.

A file may hold several kinds at once. The first is its main one, which gets what no kind holds yet; what others hold is
kept in step, so that no player sees something else.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from earmark.errors import MissingExtra
from earmark.filetags.fields import FIELDS, INHERITED, MEASURED, Field, Values, read_from, written_as
from earmark.filetags.policy import Refusal
from earmark.filetags.swap import refusal_of
from earmark.tags import id3
from earmark.tags.containers import APE, Form, Info, Item, find_ape, read_form, splice
from earmark.tags.read import ends_before, read_tags

__all__ = [
    "BY_MUTAGEN",
    "ApeSystem",
    "Id3System",
    "InfoSystem",
    "MutagenSystem",
    "Place",
    "TagSystem",
    "TaggedFile",
    "V1System",
    "frame_body",
    "need_mutagen",
    "open_tags",
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
            held = [written_as(key, text) for text in texts]
            tag = tag.with_frames(key, [frame_body(tag, key, held)] if held else [])
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
        return stripped(text for item in self._items(name) for text in item.texts)

    def put(self, name: str, texts: Sequence[str]) -> ApeSystem:
        """The names of items that are there stay as they are; the first is made where none is."""
        tag, first = self.tag, FIELDS[name].ape[0]
        used = {item.key: item.name for item in self._items(name)}
        for key in {first.upper(): first} | used:
            tag = tag.with_item(used.get(key, first), texts)
        return replace(self, tag=tag)

    def rest(self, names: Iterable[str]) -> tuple[Any, ...]:
        """The other items, byte by byte."""
        ours = [item for name in names for item in self._items(name)]
        return tuple(item.raw for item in self.tag.items if item not in ours)

    def save(self, path: Path) -> None:
        """In place of the old one."""
        if self.tag.version < 2000:
            raise Refusal("format", "it has an APE tag of version 1, which cannot hold all letters")
        with path.open("r+b") as file:
            splice(file, self.tag.start, self.tag.end, self.tag.to_bytes())

    def _items(self, name: str) -> list[Item]:
        keys = [key.upper() for key in FIELDS[name].ape]
        return [item for item in self.tag.items if item.key in keys]


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
    """How mutagen holds our fields in one kind of tags: the keys of each, its values as texts, and back."""

    of: Callable[[Field], tuple[str, ...]]
    text: Callable[[Any], str] = str
    value: Callable[[str, str], Any] = lambda key, text: text


@dataclass(frozen=True, slots=True)
class MutagenSystem:
    """Vorbis comments, MP4 atoms and ASF attributes, by mutagen."""

    file: Any = field(compare=False)
    keys: _Keys = field(compare=False)
    pending: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, name: str) -> tuple[str, ...]:
        """All values, of all keys that hold the field."""
        if name in self.pending:
            held = self.pending[name]
            return stripped(read_from(key, written_as(key, text)) for key in self._used(name) for text in held)
        return stripped(
            read_from(key, self.keys.text(value)) for key in self._standing(name) for value in self.file.tags[key]
        )

    def put(self, name: str, texts: Sequence[str]) -> MutagenSystem:
        """It is written by :meth:`save`."""
        new = replace(self, pending={**self.pending, name: tuple(texts)})
        return self if self.get(name) == new.get(name) else new

    def rest(self, names: Iterable[str]) -> tuple[Any, ...]:
        """The other tags, as mutagen shows them."""
        ours, tags = {key.casefold() for name in names for key in self._keys(name)}, self.file.tags
        if tags is None:
            return ()
        return tuple(sorted(f"{key}={tags[key]!r}" for key in set(tags.keys()) if str(key).casefold() not in ours))

    def save(self, path: Path) -> None:
        """By mutagen."""
        if self.file.tags is None:
            self.file.add_tags()
        for name, texts in self.pending.items():
            for key in self._used(name):
                if texts:
                    self.file.tags[key] = [self.keys.value(key, written_as(key, text)) for text in texts]
                elif key in self.file.tags:
                    del self.file.tags[key]
        self.file.save(path)

    def _keys(self, name: str) -> tuple[str, ...]:
        return self.keys.of(FIELDS[name])

    def _standing(self, name: str) -> list[str]:
        """The keys of a field that are there, in whatever case programs have written them."""
        tags = self.file.tags
        if tags is None:
            return []
        by_fold = {str(key).casefold(): key for key in set(tags.keys())}
        found = ((key if key in tags else by_fold.get(key.casefold())) for key in self._keys(name))
        return [key for key in found if key is not None]

    def _used(self, name: str) -> list[str]:
        """The keys that are written: those that are there, and the first."""
        first, standing = self._keys(name)[:1], self._standing(name)
        return [*(key for key in first if key.casefold() not in map(str.casefold, standing)), *standing]


def _atom(key: str, text: str) -> Any:
    return text.encode("utf-8") if key.startswith("----") else int(text) if key == "tmpo" else text


_VORBIS = _Keys(lambda field: field.vorbis)
BY_MUTAGEN = {
    **dict.fromkeys(("FLAC", "OggVorbis", "OggSpeex", "OggFLAC"), _VORBIS),
    "OggOpus": _Keys(lambda field: field.vorbis if field.opus is None else field.opus),
    "MP4": _Keys(
        lambda field: field.mp4,
        lambda value: value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value),
        _atom,
    ),
    "ASF": _Keys(lambda field: field.asf),
}
"""By the name of mutagen's class, so that mutagen is imported only where it is used."""


_ELSEWHERE = {"genre": "genre", "mood": "mood", "comment": "comment", "bpm": "bpm", "key": "initialkey"} | {
    name: name for name in MEASURED if name.startswith("replaygain")
}  # names in earmark.tags.read


def stripped(texts: Iterable[str]) -> tuple[str, ...]:
    """Texts without the white space around them, without empty ones and repeats."""
    return tuple(dict.fromkeys(text for one in texts if (text := one.strip().rstrip("\0"))))


def need_mutagen() -> None:
    """Raise MissingExtra where mutagen is not installed."""
    if importlib.util.find_spec("mutagen") is None:
        raise MissingExtra("tags", "writing tags into files")


@dataclass(frozen=True, slots=True)
class TaggedFile:
    """A file whose tags are open.

    Attributes:
        path: The file.
        systems: All kinds of tags in it, the main one first.
    """

    path: Path
    systems: tuple[TagSystem, ...]
    _kind: Any

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """What the file says in each field, in whatever place; a place that only repeats another adds nothing."""
        found: dict[str, tuple[str, ...]] = {}
        for name in FIELDS:
            texts: tuple[str, ...] = ()
            for system in self.systems:
                if not texts or system.put(name, texts) != system:
                    texts = tuple(dict.fromkeys((*texts, *system.get(name))))
            if texts:
                found[name] = texts
        if not _ELSEWHERE.keys() <= found.keys():
            elsewhere = read_tags(self.path)  # where only players look: an AIFF's own chunks, old atoms of MP4, ...
            found |= {name: elsewhere[tag] for name, tag in _ELSEWHERE.items() if elsewhere.get(tag)} | found
        return found

    def as_held(self, values: Values, present: Values) -> dict[str, tuple[str, ...]]:
        """Fields as the file will say them: some kinds of tags hold whole numbers only, or have no place for one.

        What is to stay as it is stays, in whatever form programs have written it, or several have.
        """
        fresh = [name for name in MEASURED if name in values and values[name] != present.get(name, ())]
        held = {name: self.systems[0].put(name, values[name]).get(name) for name in fresh}
        return {**values, **{name: texts or present.get(name, ()) for name, texts in held.items()}}

    def changes(self, values: Values) -> tuple[TagSystem | None, ...]:
        """Each kind of tags as it must become, so that the file says that in these fields; None where it may stay."""
        return tuple(self._changed(system, values, main=system is self.systems[0]) for system in self.systems)

    def _changed(self, system: TagSystem, values: Values, *, main: bool) -> TagSystem | None:
        new = system
        for name, texts in values.items():
            held = new.get(name)
            if held != texts and (held or main):
                new = new.put(name, texts)
        return None if new == system else new

    def write(self, values: Values, path: Path) -> None:
        """Write fields into ``path``, which is a copy of the file; nothing else of its tags changes.

        Raises:
            Refusal: ``format``, where its tags do not keep what is written, or would lose something else.
        """
        try:
            for at, change in enumerate(self.changes(values)):
                if change is not None:  # opened anew each time: the one before may have moved it
                    current = open_tags(path, self)
                    changed = current._changed(current.systems[at], values, main=at == 0)
                    if changed is not None:
                        changed.save(path)
        except (Refusal, OSError):
            raise
        except Exception as error:  # a parser of strangers' files may stumble on anything
            raise _refused("its tags cannot be written", error) from error
        self._check(values, open_tags(path, self))

    def _check(self, values: Values, now: TaggedFile) -> None:
        for before, planned, after in zip(self.systems, self.changes(values), now.systems, strict=True):
            if any(after.get(name) != (planned or before).get(name) for name in values):
                raise Refusal("format", "its tags do not keep what is written into them")
            if before.rest(values) != after.rest(values):
                raise Refusal("format", "its other tags would not stay as they are")


def open_tags(path: Path, like: TaggedFile | None = None) -> TaggedFile:
    """Open a file's tags by its content and ending; or as those of a file whose copy it is.

    Raises:
        Refusal: ``format``, where it is of no kind that tags can be written into, or its tags are damaged.
    """
    need_mutagen()
    import mutagen

    try:
        file = mutagen.File(path) if like is None else like._kind(path)
        if file is None:
            raise Refusal("format", "of no kind that tags can be written into")
        with path.open("rb") as raw:
            return TaggedFile(path, _systems(file, raw), type(file))
    except (Refusal, OSError):
        raise
    except Exception as error:
        raise _refused("its tags cannot be read", error) from error


def _systems(file: Any, raw: BinaryIO) -> tuple[TagSystem, ...]:
    kind = type(file).__name__
    size = raw.seek(0, 2)
    v1_bytes, end = ends_before(raw, size)
    fronts = _fronts(raw)
    found = find_ape(raw, end)
    behind = ApeSystem(found) if found else None
    v1 = V1System(v1_bytes) if v1_bytes else None
    info = None
    main: TagSystem | None = None
    if kind in BY_MUTAGEN:
        main = MutagenSystem(file, BY_MUTAGEN[kind])
    elif kind in ("MonkeysAudio", "WavPack", "Musepack", "TAK", "OptimFROG"):
        main = behind or ApeSystem(APE(start=end, end=end))
    elif kind in ("AIFF", "WAVE", "DSDIFF"):
        form = read_form(raw, size)
        if form is None or not form.whole:
            raise Refusal("format", "its chunks are not as long as they say, so that tags cannot be added")
        entries = Info.find(raw, form)
        info = InfoSystem(entries, form) if entries else None
        main = _in_form(raw, form, _inherited(info, v1))
    elif kind == "DSF":
        main = _in_dsf(raw)
    elif kind == "MP3":
        main = fronts[0] if fronts else behind or Id3System(_inherited(v1), _at(0, 0))
    elif kind == "TrueAudio":
        main = fronts[0] if fronts else Id3System(_inherited(behind, v1), _at(0, 0))
    if main is None:
        raise Refusal("format", f"there are no tags that can be written in files of the kind {kind}")
    others = (*fronts, behind, info, v1)
    systems = (main, *(one for one in others if one is not None and one is not main))
    if any(getattr(getattr(one, "tag", None), "damaged", False) for one in systems):
        raise Refusal("format", "its tags are damaged, and writing would lose some")
    return systems


def _fronts(raw: BinaryIO) -> tuple[Id3System, ...]:
    """The ID3v2 tags that a file begins with: some programs put a new one before the old one."""
    found: list[Id3System] = []
    start = 0
    while size := _size_at(raw, start):
        raw.seek(start)
        found.append(Id3System(_parsed(raw.read(size)), _at(start, start + size)))
        start += size
    return tuple(found)


def _size_at(raw: BinaryIO, start: int) -> int:
    raw.seek(start)
    return id3.tag_size(raw.read(id3.HEADER))


def _parsed(data: bytes) -> id3.ID3v2:
    tag = id3.parse(data)
    if tag is None:
        raise Refusal("format", "it has an ID3 tag of an unknown version")
    return tag


def _at(start: int, end: int) -> Place:
    return lambda file, data: splice(file, start, end, data)


def _in_form(raw: BinaryIO, form: Form, inherited: id3.ID3v2) -> Id3System:
    chunk, tag = form.id3(), inherited
    if chunk is not None:
        raw.seek(chunk.body)
        tag = _parsed(raw.read(chunk.stop - chunk.body))
    name = chunk.name if chunk else b"id3 " if form.order == "<I" else b"ID3 "
    return Id3System(tag, lambda file, data: form.put(file, chunk, form.chunk_of(name, data)))


def _in_dsf(raw: BinaryIO) -> Id3System:
    """At the end of a DSF file, whose head points to it."""
    raw.seek(0)
    head = raw.read(28)
    start = int.from_bytes(head[20:28], "little")
    size = raw.seek(0, 2)
    raw.seek(start)
    tag = _parsed(raw.read()) if 28 <= start < size else id3.ID3v2()

    def put(file: BinaryIO, data: bytes) -> None:
        at = start if 28 <= start < size else size
        splice(file, at, size, data)
        file.seek(12)
        file.write((at + len(data)).to_bytes(8, "little") + at.to_bytes(8, "little"))

    return Id3System(tag, put)


def _inherited(*others: ApeSystem | InfoSystem | V1System | None) -> id3.ID3v2:
    """A new tag; a player that sees it sees no older one any more, so it takes over what that says."""
    tag = id3.ID3v2()
    for name, (key, info) in INHERITED.items():
        texts: tuple[str, ...] = ()
        for one in others:
            if texts or one is None:
                continue
            if isinstance(one, InfoSystem):
                texts = stripped([one.tag.text(info)])
            elif isinstance(one, V1System):
                texts = stripped([id3.read_v1(one.end).get(name, "")])
            else:
                texts = stripped(text for item in one.tag.items if item.key == name.upper() for text in item.texts)
        if texts:
            tag = tag.with_frames(key, [frame_body(tag, key, texts)])
    return tag


def _refused(what: str, error: Exception) -> Refusal:
    """An error of a parser as a refusal; mutagen wraps what the system says in an error of its own."""
    if isinstance(error.__context__, OSError) and error.__context__.errno is not None:
        return refusal_of(error.__context__)
    return Refusal("format", f"{what}: {str(error) or 'damaged'}")
