"""A library as players browse it: songs, artists and albums, which songs somebody else's song is, and like artists."""

from __future__ import annotations

import hashlib
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.app.library import chosen_model, opened
from earmark.errors import EarmarkError
from earmark.events import Run
from earmark.library.words import fold_words
from earmark.text import fold, fold_artist, plain_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from earmark.app.session import LibrarySession
    from earmark.library.records import LibraryModel, LibraryTrack
    from earmark.library.store import Library
    from earmark.library.vectors import Vectors

__all__ = ["Album", "Artist", "Catalogue", "LikeArtist", "Shelves", "SongFacts", "read_catalogue", "title_of"]

_NO_ARTIST, _NO_ALBUM, _VARIOUS = "Unknown artist", "Unknown album", "Various artists"
_SAME_LENGTH = 3.0  # seconds by which two servers may differ about one file
_MOST_READ = 8  # files whose tags are read to tell songs of one name apart
_FRESH, _SHARE = 5.0, 0.05  # seconds that a catalogue is good for at least; part of the time spent on reading it


ReadsTags = Callable[["LibraryTrack"], Mapping[str, tuple[str, ...]]]


def _tags_of(track: LibraryTrack) -> Mapping[str, tuple[str, ...]]:
    from earmark.tags.read import read_tags

    return read_tags(Path(track.path))


@dataclass(frozen=True, slots=True)
class Artist:
    """An artist: spellings that differ in case, accents and a "The" are one.

    Attributes:
        id: Begins with ``ar-``; the same in every library.
        name: As most of the songs have it.
        songs: Tracks (rows), by path.
        albums: Ids, by name.
    """

    id: str
    name: str
    songs: tuple[int, ...]
    albums: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Album:
    """An album: songs of one artist and album, or of several artists in one folder.

    Attributes:
        id: Begins with ``al-``.
        name: As its first song has it.
        artist: Its artist's name, or that there are several.
        artist_id: "" where there are several.
        songs: Tracks (rows), by path.
        seconds: Length.
        year: Of its first song that has one; "" where none has.
        modified: When its newest file was changed, nanoseconds since 1970.
    """

    id: str
    name: str
    artist: str
    artist_id: str
    songs: tuple[int, ...]
    seconds: float
    year: str
    modified: int


@dataclass(frozen=True, slots=True)
class SongFacts:
    """What somebody else knows of a song.

    Attributes:
        artist: Its name, as are title and album; "" where unknown.
        path: Of the file, in whole or its last parts.
        seconds: Length; 0 where unknown.
        recording: MusicBrainz's id.
    """

    artist: str = ""
    title: str = ""
    album: str = ""
    path: str = ""
    seconds: float = 0.0
    recording: str = ""


@dataclass(frozen=True, slots=True)
class LikeArtist:
    """An artist who sounds like another.

    Attributes:
        artist: Who.
        distance: 1 - cosine of what both sound like on the whole, 0..2.
        songs: Tracks (rows) that are most like all of theirs.
    """

    artist: Artist
    distance: float
    songs: tuple[int, ...]


def title_of(track: LibraryTrack) -> str:
    """A track's title, or its file's name without the ending."""
    return track.title or plain_text(_stem(track.path))


@dataclass(frozen=True, eq=False)
class Catalogue:
    """All songs that are there, by artist and album.

    Attributes:
        songs: By row, in the order of paths.
        artists: By id, in the order of names.
        albums: By id, in the order of names.
        roots: Folders that were scanned.
        album_of: The id of each song's album.
        tags_of: Reads the tags of a song's file.
    """

    songs: Mapping[int, LibraryTrack]
    artists: Mapping[str, Artist]
    albums: Mapping[str, Album]
    roots: tuple[str, ...] = ()
    album_of: Mapping[int, str] = field(default_factory=dict)
    tags_of: ReadsTags = field(default=_tags_of)

    def artist_of(self, name: str) -> Artist | None:
        """The artist of a name, or None."""
        return self.artists.get(_artist_id(name))

    def find(self, facts: SongFacts) -> LibraryTrack | None:
        """The song that somebody else describes: by path, by the recording's id, or by artist and title.

        A path that agrees in the file's name and its folder decides alone. Songs of one artist and title are told
        apart by MusicBrainz's id in their files, by album, and by length.
        """
        same_file = [(_common_parts(self.songs[row].path, facts.path), row) for row in self._files_like(facts.path)]
        most = max((count for count, _ in same_file), default=0)
        best = [row for count, row in same_file if count == most]
        if most > 1 and len(best) == 1:
            return self.songs[best[0]]
        found = self._by_name.get((fold_artist(facts.artist), fold(facts.title)), []) if facts.title else []
        found = [row for row in best if row in found] or found or [row for row in best if self._fits(row, facts)]
        if len(found) > 1 and facts.recording:
            found = [row for row in found[:_MOST_READ] if self._is_recording(row, facts)] or found
        near = sorted(found, key=lambda row: self._distance(row, facts))
        return self.songs[near[0]] if near else None

    def search(self, words: str) -> tuple[list[Artist], list[Album], list[LibraryTrack]]:
        """Artists, albums and songs whose names have all words, or words that begin so; all of them without words."""
        wanted = [f" {word}" for word in fold_words(words).split()]
        artists, albums, songs = self._texts
        return (
            [self.artists[key] for key, text in artists.items() if all(word in text for word in wanted)],
            [self.albums[key] for key, text in albums.items() if all(word in text for word in wanted)],
            [self.songs[key] for key, text in songs.items() if all(word in text for word in wanted)],
        )

    @cached_property
    def _texts(self) -> tuple[dict[str, str], dict[str, str], dict[int, str]]:
        """What is searched of artists, albums and songs."""
        return (
            {one.id: _text(one.name) for one in self.artists.values()},
            {one.id: _text(one.name, one.artist) for one in self.albums.values()},
            {one.id: _text(title_of(one), one.artist, one.album) for one in self.songs.values()},
        )

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], list[int]]:
        """Rows by artist and title."""
        artists = {name: fold_artist(name) for name in {one.artist for one in self.songs.values()}}
        found: dict[tuple[str, str], list[int]] = {}
        for track in self.songs.values():
            found.setdefault((artists[track.artist], fold(title_of(track))), []).append(track.id)
        return found

    @cached_property
    def _by_file(self) -> dict[str, list[int]]:
        """Rows by the file's name."""
        found: dict[str, list[int]] = {}
        for track in self.songs.values():
            found.setdefault(fold(_parts(track.path)[-1]), []).append(track.id)
        return found

    def _files_like(self, path: str) -> Sequence[int]:
        return self._by_file.get(fold(_parts(path)[-1]), ()) if path else ()

    def _fits(self, row: int, facts: SongFacts) -> bool:
        """Whether a file of the same name alone may be it: as long, and of no other artist."""
        track = self.songs[row]
        return (
            facts.seconds > 0
            and abs(track.seconds - facts.seconds) < _SAME_LENGTH
            and not (track.artist and facts.artist and fold_artist(track.artist) != fold_artist(facts.artist))
        )

    def _is_recording(self, row: int, facts: SongFacts) -> bool:
        """Whether the tags of a song's file name the recording."""
        tags = self.tags_of(self.songs[row])
        return any(facts.recording in texts for name, texts in tags.items() if name.startswith("musicbrainz"))

    def _distance(self, row: int, facts: SongFacts) -> tuple[bool, float, int]:
        track = self.songs[row]
        return fold(track.album) != fold(facts.album), abs(track.seconds - facts.seconds), row


def read_catalogue(library: Library) -> Catalogue:
    """The catalogue of a library as it is now."""
    tracks = [track for track in library.tracks(vanished=False) if track.audio is not None]
    folded = {name: fold_artist(name) for name in {track.artist for track in tracks}}
    albums, album_of = _albums(tracks, folded)
    by_artist: dict[str, list[LibraryTrack]] = {}
    for track in tracks:
        by_artist.setdefault(folded[track.artist], []).append(track)
    artists = sorted((_artist(songs, album_of) for songs in by_artist.values()), key=lambda one: fold(one.name))
    return Catalogue(
        {track.id: track for track in tracks},
        {one.id: one for one in artists},
        {one.id: one for one in sorted(albums, key=lambda one: (fold(one.name), one.id))},
        tuple(library.roots()),
        album_of,
    )


def _artist(songs: Sequence[LibraryTrack], album_of: Mapping[int, str]) -> Artist:
    name = Counter(track.artist for track in songs).most_common(1)[0][0]
    albums = tuple(dict.fromkeys(album_of[track.id] for track in songs))
    return Artist(_artist_id(name), name or _NO_ARTIST, tuple(track.id for track in songs), albums)


def _albums(tracks: Sequence[LibraryTrack], folded: Mapping[str, str]) -> tuple[list[Album], dict[int, str]]:
    """All albums, and the id of each track's."""
    names = {name: fold(name) for name in {track.album for track in tracks}}
    in_folder: dict[tuple[str, str], list[LibraryTrack]] = {}
    for track in tracks:
        owner = track.path[: -len(_parts(track.path)[-1])] if track.album else folded[track.artist]
        in_folder.setdefault((names[track.album], owner), []).append(track)
    groups: dict[str, list[LibraryTrack]] = {}
    for (name, folder), songs in in_folder.items():
        several = len({folded[track.artist] for track in songs}) > 1
        key = (name, folder, "several") if several else (name, folded[songs[0].artist])
        groups.setdefault("al-" + _digest(*key), []).extend(songs)
    albums = [_album(key, songs, folded) for key, songs in groups.items()]
    return albums, {track.id: key for key, songs in groups.items() for track in songs}


def _album(key: str, songs: Sequence[LibraryTrack], folded: Mapping[str, str]) -> Album:
    first = songs[0]
    several = len({folded[track.artist] for track in songs}) > 1
    return Album(
        key,
        first.album or _NO_ALBUM,
        _VARIOUS if several else first.artist or _NO_ARTIST,
        "" if several else _artist_id(first.artist),
        tuple(track.id for track in songs),
        sum(track.seconds for track in songs),
        next((track.year for track in songs if track.year), ""),
        max(track.modified for track in songs),
    )


class Shelves:
    """The catalogue of a library, read anew where the library has changed; several threads may use it.

    Args:
        session: The library.
        model: Whose embeddings are compared; the one that analysed most songs where None.
        tags_of: Reads the tags of a song's file, where names do not tell songs apart.
    """

    def __init__(self, session: LibrarySession, model: str | None = None, tags_of: ReadsTags = _tags_of) -> None:
        self._session, self._model, self._tags_of = session, model, tags_of
        self._lock = threading.Lock()
        self._catalogue: Catalogue | None = None
        self._of: Callable[[], Library | None] = lambda: None
        self._due = 0.0
        self._busy = threading.Lock()
        self._sound: tuple[Catalogue, _Sound] | None = None

    def catalogue(self) -> Catalogue:
        """The newest one; while a scan writes, at most some seconds old.

        Raises:
            StorageError: There is no library, or it cannot be used.
        """
        with self._reading() as library, self._lock:
            if self._catalogue is None:
                self._put(library)
            elif self._of() is not library and time.monotonic() >= self._due and not self._busy.locked():
                threading.Thread(target=self._renew, name="earmark-catalogue", daemon=True).start()
            assert self._catalogue is not None
            return self._catalogue

    def _renew(self) -> None:
        """Read the library in the background, while requests are answered from what was read before."""
        if self._busy.acquire(blocking=False):
            with suppress(EarmarkError):  # whoever asks next is told
                try:
                    with self._reading() as library:
                        self._put(library)
                finally:
                    self._busy.release()

    def _put(self, library: Library) -> None:
        began = time.monotonic()
        self._catalogue, self._of = replace(read_catalogue(library), tags_of=self._tags_of), weakref.ref(library)
        now = time.monotonic()
        self._due = now + max(_FRESH, (now - began) / _SHARE)

    def like_artists(self, artist: Artist, count: int) -> list[LikeArtist]:
        """The artists who sound most like one, the most alike first.

        Raises:
            EarmarkError: No model has analysed the library.
        """
        catalogue, sound = self._sounding()
        found = []
        for other, distance in sound.nearest(artist.id, count):
            one = catalogue.artists[other]
            found.append(LikeArtist(one, round(distance, 4), sound.typical(catalogue, one)))
        return found

    def typical(self, artist: Artist, count: int) -> tuple[int, ...]:
        """The tracks of an artist that are most like all of theirs, each recording once."""
        catalogue, sound = self._sounding()
        return sound.typical(catalogue, artist, count)

    def closeness(self, pairs: Sequence[tuple[LibraryTrack, LibraryTrack]]) -> list[float | None]:
        """How alike the tracks of each pair are: the cosine, 0..1; None where it is not known."""
        with self._reading() as library:
            model = Run(chosen_model(library, self._model)).wait()
            audio = {track.audio for pair in pairs for track in pair}
            vectors = {one: None if one is None else library.embedding(model, one) for one in audio}
        found = []
        for one, other in ((vectors[first.audio], vectors[second.audio]) for first, second in pairs):
            found.append(None if one is None or other is None else float(np.clip(np.dot(one, other), 0, 1)))
        return found

    @contextmanager
    def _reading(self) -> Iterator[Library]:
        with opened(None, session=self._session) as library:
            yield library

    def _sounding(self) -> tuple[Catalogue, _Sound]:
        catalogue = self.catalogue()
        with self._reading() as library, self._lock:
            if self._sound is None or self._sound[0] is not catalogue:
                model = Run(chosen_model(library, self._model)).wait()
                self._sound = catalogue, _Sound.of(library, model, catalogue)
            return self._sound


@dataclass(frozen=True, eq=False)
class _Sound:
    """What artists sound like: the mean of their songs' embeddings.

    Attributes:
        ids: (artists,) those of whom a song was analysed.
        means: (artists, dimensions) float32 of length 1.
        vectors: Of all songs.
    """

    ids: tuple[str, ...]
    means: Any
    vectors: Vectors

    @classmethod
    def of(cls, library: Library, model: LibraryModel, catalogue: Catalogue) -> _Sound:
        from earmark.library.records import direction
        from earmark.library.vectors import read_vectors

        vectors = read_vectors(library, model)
        ids, means = [], []
        for artist in catalogue.artists.values():
            audio = _audio(vectors, catalogue, artist)
            if len(audio):
                ids.append(artist.id)
                means.append(vectors.of(audio).mean(axis=0))
        matrix = direction(np.stack(means)) if means else np.zeros((0, model.dimensions), np.float32)
        return cls(tuple(ids), matrix, vectors)

    def nearest(self, artist: str, count: int) -> list[tuple[str, float]]:
        if artist not in self.ids:
            return []
        place = self.ids.index(artist)
        cosine = self.means @ self.means[place]
        order = [int(one) for one in np.argsort(-cosine, kind="stable") if one != place][:count]
        return [(self.ids[one], max(0.0, 1 - float(cosine[one]))) for one in order]

    def typical(self, catalogue: Catalogue, artist: Artist, count: int = 3) -> tuple[int, ...]:
        audio = _audio(self.vectors, catalogue, artist)
        if not len(audio):
            return ()
        own = self.vectors.of(audio)
        best = audio[np.argsort(-(own @ own.mean(axis=0)), kind="stable")[:count]].tolist()
        first = {catalogue.songs[song].audio: song for song in reversed(artist.songs)}
        return tuple(first[audio] for audio in best)


def _audio(vectors: Vectors, catalogue: Catalogue, artist: Artist) -> NDArray[np.int64]:
    """The recordings of an artist that are among the vectors, each once."""
    audio = dict.fromkeys(catalogue.songs[song].audio for song in artist.songs)
    return vectors.known([one for one in audio if one is not None])


def _artist_id(name: str) -> str:
    return "ar-" + _digest(fold_artist(name))


def _digest(*parts: str) -> str:
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2s(text, digest_size=8).hexdigest()


def _parts(path: str) -> list[str]:
    return path.replace("\\", "/").split("/")


def _stem(path: str) -> str:
    name = _parts(path)[-1]
    return name.rpartition(".")[0] or name


def _common_parts(one: str, other: str) -> int:
    """How many of the last parts of two paths are the same, without case and composition."""
    count = 0
    for mine, theirs in zip(reversed(_parts(one)), reversed(_parts(other)), strict=False):
        if fold(mine) != fold(theirs):
            break
        count += 1
    return count


def _text(*names: str) -> str:
    return " " + fold_words(" ".join(names))
