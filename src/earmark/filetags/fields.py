"""Genre, mood and scores as each kind of file holds them, by mutagen, in the fields that players read.

The mapping is Picard's (https://picard-docs.musicbrainz.org/en/appendices/tag_mapping.html). An ID3 tag keeps its
version: 2.3 knows no mood, so that it stands in a free text frame there, as with Picard.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from earmark.errors import MissingExtra
from earmark.filetags.outcomes import Refusal
from earmark.tags.read import read_tags

__all__ = ["SCORES", "Fields", "Tagged", "changes_between", "need_mutagen", "open_tags", "stated_elsewhere"]

SCORES = "EARMARK_SCORES"
"""The one field of our own: compact JSON."""


@dataclass(frozen=True, slots=True)
class Fields:
    """What a file says in the fields that we write; ``scores`` holds one text or none."""

    genre: tuple[str, ...] = ()
    mood: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()


def changes_between(before: Fields, after: Fields) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Before and after of each field that differs."""
    pairs = {f.name: (getattr(before, f.name), getattr(after, f.name)) for f in fields(Fields)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def need_mutagen() -> None:
    """Raise MissingExtra where mutagen is not installed."""
    if importlib.util.find_spec("mutagen") is None:
        raise MissingExtra("tags", "writing tags into files")


@dataclass(frozen=True, slots=True)
class Tagged:
    """A file whose tags are open.

    Attributes:
        fields: What it says now.
        others: Every other tag as text, to see that none is lost.
    """

    path: Path
    fields: Fields
    others: tuple[str, ...]
    _file: Any
    _kind: _Kind

    def write(self, values: Mapping[str, Sequence[str]], path: Path) -> None:
        """Write fields, by name, into ``path``, which is a copy of the file; nothing else of its tags changes.

        Raises:
            Refusal: ``format``, mutagen cannot write it; or ``io``.
        """
        try:
            if self._file.tags is None:
                self._file.add_tags()
            for name, texts in values.items():
                self._kind.put(self._file.tags, name, texts)
            _save(self._file, path)
        except OSError:
            raise
        except Exception as error:  # a parser of strangers' files may stumble on anything
            _raise_what_the_system_said(error)
            raise Refusal("format", f"its tags cannot be written: {_told(error)}") from error


def open_tags(path: Path, like: Tagged | None = None) -> Tagged:
    """Open a file's tags by its content and ending; or as those of a file whose copy it is.

    Raises:
        Refusal: ``format``, where it is of no kind that tags can be written into, or its tags are damaged.
    """
    need_mutagen()
    import mutagen

    try:
        file = mutagen.File(path) if like is None else type(like._file)(path)
        if file is None:
            raise Refusal("format", "of no kind that tags can be written into")
        kind = _KINDS.get(type(file).__name__)
        if kind is None:
            raise Refusal("format", f"there are no tags that can be written in files of the kind {_kind_name(file)}")
        if kind is _ID3:
            file = _as_it_is(type(file), path)
        return Tagged(path, _fields(kind, file.tags), _others(kind, file.tags), file, kind)
    except (Refusal, OSError):
        raise
    except Exception as error:
        _raise_what_the_system_said(error)
        raise Refusal("format", f"its tags cannot be read: {_told(error)}") from error


def stated_elsewhere(path: Path, found: Fields) -> Fields:
    """The fields, with what the file says of itself in places that mutagen does not look into (INFO of a WAV, ...)."""
    if found.genre and found.mood:
        return found
    tags = read_tags(path)
    return Fields(found.genre or tags.get("genre", ()), found.mood or tags.get("mood", ()), found.scores)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of tags holds our fields: read one, write one, and the names that are ours."""

    get: Callable[[Any, str], Iterable[str]]
    put: Callable[[Any, str, Sequence[str]], None]
    ours: frozenset[str]


def _fields(kind: _Kind, tags: Any) -> Fields:
    if tags is None:
        return Fields()
    found = {f.name: tuple(text for value in kind.get(tags, f.name) if (text := value.strip())) for f in fields(Fields)}
    return Fields(**found)


def _others(kind: _Kind, tags: Any) -> tuple[str, ...]:
    if tags is None:
        return ()
    return tuple(sorted(f"{key}={tags[key]!r}" for key in set(tags.keys()) if str(key).casefold() not in kind.ours))


def _keyed(
    keys: dict[str, str], texts: Callable[[Any], Iterable[str]] = lambda v: v, value: Callable[[str], Any] = str
) -> _Kind:
    """Tags that are a dictionary of lists."""

    def get(tags: Any, name: str) -> Iterable[str]:
        return texts(tags[keys[name]]) if keys[name] in tags else ()

    def put(tags: Any, name: str, values: Sequence[str]) -> None:
        if values:
            tags[keys[name]] = [value(text) for text in values]
        elif keys[name] in tags:
            del tags[keys[name]]

    return _Kind(get, put, frozenset(key.casefold() for key in keys.values()))


def _mp4() -> _Kind:
    free = "----:com.apple.iTunes:"
    genre = _keyed({"genre": "\xa9gen", "mood": "", "scores": ""})
    text = _keyed(
        {"genre": "", "mood": f"{free}MOOD", "scores": f"{free}{SCORES}"},
        lambda values: [bytes(value).decode("utf-8", "replace") for value in values],
        lambda text: text.encode("utf-8"),
    )

    def of(name: str) -> _Kind:
        return genre if name == "genre" else text

    return _Kind(
        lambda tags, name: of(name).get(tags, name),
        lambda tags, name, values: of(name).put(tags, name, values),
        (genre.ours | text.ours) - {""},
    )


_FREE = {"mood": "MOOD", "scores": SCORES}  # descriptions of ID3's free text frames


def _id3_get(tags: Any, name: str) -> Iterable[str]:
    found: list[str] = []
    if name == "genre":
        found = [genre for frame in tags.getall("TCON") for genre in frame.genres]
    elif name == "mood":
        found = [str(text) for frame in tags.getall("TMOO") for text in frame.text]
    if not found and name in _FREE:
        found = [str(text) for frame in _free_frames(tags, _FREE[name]) for text in frame.text]
    if name != "scores" and tags.version[:2] == (2, 3):
        return [part for text in found for part in text.split("/")]
    return found


def _id3_put(tags: Any, name: str, values: Sequence[str]) -> None:
    from mutagen.id3 import TCON, TMOO, TXXX

    old = tags.version[:2] == (2, 3)
    texts = ["/".join(values)] if old and values else list(values)
    encoding = 3 if not old else 0 if all(map(_is_latin, texts)) else 1
    free = _free_frames(tags, _FREE[name]) if name in _FREE else []
    for frame in free:
        del tags[frame.HashKey]
    if name == "genre":
        tags.setall("TCON", [TCON(encoding=encoding, text=texts)] if texts else [])
    if name == "mood":
        tags.setall("TMOO", [TMOO(encoding=encoding, text=texts)] if texts and not old else [])
    if texts and (free or name == "scores" or (name == "mood" and old)):
        tags.add(TXXX(encoding=encoding, desc=free[0].desc if free else _FREE[name], text=texts))


def _free_frames(tags: Any, description: str) -> list[Any]:
    return [frame for frame in tags.getall("TXXX") if frame.desc.casefold() == description.casefold()]


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _as_it_is(kind: Any, path: Path) -> Any:
    """The file with its ID3 frames as they stand; mutagen translates those of 2.3 to 2.4 unless told otherwise."""
    file = kind(path, translate=False)
    if file.tags is not None and file.tags.version[:2] == (2, 2):  # which cannot be written; 2.3 is next to it
        file = kind(path)
        file.tags.update_to_v23()
        file.tags.version = (2, 3, 0)
    return file


def _save(file: Any, path: Path) -> None:
    if _KINDS[type(file).__name__] is not _ID3:
        file.save(path)
        return
    end = _id3v1(path)
    version = 3 if file.tags.version[:2] == (2, 3) else 4
    file.save(path, v2_version=version, v23_sep=None)
    if end and _id3v1(path):  # mutagen makes it anew, and would drop what only the short old tag said
        with path.open("r+b") as raw:
            raw.seek(-128, 2)
            raw.write(end)


def _id3v1(path: Path) -> bytes:
    """The 128 bytes of the old tag at a file's end; empty where there is none."""
    with path.open("rb") as raw:
        raw.seek(max(0, path.stat().st_size - 128))
        end = raw.read()
    return end if len(end) == 128 and end.startswith(b"TAG") else b""


def _kind_name(file: Any) -> str:
    return type(file).__name__


def _raise_what_the_system_said(error: Exception) -> None:
    """Mutagen wraps it in an error of its own."""
    if isinstance(error.__context__, OSError) and error.__context__.errno is not None:
        raise error.__context__ from error


def _told(error: Exception) -> str:
    return str(error) or "damaged"


_ID3 = _Kind(_id3_get, _id3_put, frozenset({"tcon", "tmoo", "txxx:mood", f"txxx:{SCORES.casefold()}"}))
_VORBIS = _keyed({"genre": "GENRE", "mood": "MOOD", "scores": SCORES})
_APE = _keyed({"genre": "Genre", "mood": "Mood", "scores": SCORES}, lambda value: str(value).split("\0"))
_ASF = _keyed({"genre": "WM/Genre", "mood": "WM/Mood", "scores": SCORES}, lambda values: [str(v) for v in values])
_MP4 = _mp4()
_KINDS = {
    **dict.fromkeys(("MP3", "TrueAudio", "AIFF", "WAVE", "DSF", "DSDIFF"), _ID3),
    **dict.fromkeys(("FLAC", "OggVorbis", "OggOpus", "OggSpeex", "OggFLAC"), _VORBIS),
    **dict.fromkeys(("MonkeysAudio", "WavPack", "Musepack", "TAK", "OptimFROG"), _APE),
    "MP4": _MP4,
    "ASF": _ASF,
}  # by the name of mutagen's class, so that mutagen is imported only where it is used
