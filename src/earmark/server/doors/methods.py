"""The methods of OpenSubsonic that answer facts: login, browsing, search, songs by sound, playlists."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from earmark.app.catalogue import Album, Artist, Catalogue
from earmark.app.library import LibraryRequest
from earmark.app.playlist import KeptRequest, kept_playlist, kept_playlists
from earmark.app.search import FindRequest, SimilarRequest, WalkRequest, find, similar, walk
from earmark.errors import EarmarkError
from earmark.server.doors.forms import album_form, artist_form, index_of, iso_date, song_form, year_of
from earmark.server.doors.keys import USER, Refused
from earmark.text import fold

if TYPE_CHECKING:
    from earmark.library.records import LibraryTrack
    from earmark.library.store import KeptPlaylist
    from earmark.server.doors.desk import Desk

__all__ = ["METHODS", "Call"]

_EXTENSIONS = ("apiKeyAuthentication", "formPost", "sonicSimilarity")
_MOST_SIMILAR, _MOST_NAMED, _MOST_LISTED = 500, 500, 10_000
_PER_ARTIST = 3  # songs of one artist among similar ones
_ROLES = (
    *("scrobblingEnabled", "adminRole", "settingsRole", "downloadRole", "uploadRole", "playlistRole", "coverArtRole"),
    *("commentRole", "podcastRole", "streamRole", "jukeboxRole", "shareRole", "videoConversionRole"),
)
_HAS = ("downloadRole", "coverArtRole", "streamRole")

Facts = dict[str, Any]
V = TypeVar("V")


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        desk: What the doors share.
        given: Its parameters.
    """

    desk: Desk
    given: Mapping[str, str]

    @property
    def form(self) -> str:
        """``json`` or ``xml``."""
        return "json" if self.given.get("f") == "json" else "xml"

    @property
    def catalogue(self) -> Catalogue:
        """Of the library."""
        return self.desk.shelves.catalogue()

    def text(self, name: str) -> str:
        """A parameter that must be there.

        Raises:
            Refused: It is not.
        """
        if not self.given.get(name):
            raise Refused(10, f"Required parameter is missing: {name}.")
        return self.given[name]

    def number(self, name: str, default: int, most: int = _MOST_LISTED) -> int:
        """A whole number from 0 to ``most``.

        Raises:
            Refused: It is no number.
        """
        text = self.given.get(name) or str(default)
        if not (text.isascii() and text.removeprefix("-").isdecimal()):
            raise Refused(0, f"{name} takes a whole number.")
        return min(max(0, int(text[:12])), most)

    def part(self, size: str, offset: str, default: int = 20) -> slice:
        """The part of a list that is asked for."""
        start = self.number(offset, 0, 1_000_000_000)
        return slice(start, start + self.number(size, default))

    def song(self, name: str = "id") -> LibraryTrack:
        """The song that a parameter names.

        Raises:
            Refused: There is no such parameter, or no such song.
        """
        return _there(self.catalogue.songs.get(_row(self.text(name)) or 0), "song")

    def artist(self) -> Artist:
        """The artist that ``id`` names.

        Raises:
            Refused: There is no such parameter, or no such artist.
        """
        return _there(self.catalogue.artists.get(self.text("id")), "artist")

    def album(self) -> Album:
        """The album that ``id`` names.

        Raises:
            Refused: There is no such parameter, or no such album.
        """
        return _there(self.catalogue.albums.get(self.text("id")), "album")

    def songs(self, rows: Iterable[int]) -> list[Facts]:
        """Songs as they are answered, those that are there; with genre and mood by ear where they are not too many."""
        catalogue = self.catalogue
        tracks = [catalogue.songs[row] for row in rows if row in catalogue.songs]
        few = len(tracks) <= _MOST_NAMED
        short = self.desk.service.summaries(tracks) if few else [None] * len(tracks)
        return [song_form(catalogue, track, one) for track, one in zip(tracks, short, strict=True)]


def _there(found: V | None, what: str) -> V:
    if found is None:
        raise Refused(70, f"The requested data was not found: there is no such {what}.")
    return found


def _row(text: str) -> int | None:
    """The row that an id names; None where it is no number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


# System


def _nothing(_: Call) -> Facts:
    return {}


def _extensions(_: Call) -> Facts:
    return {"openSubsonicExtensions": [{"name": name, "versions": [1]} for name in _EXTENSIONS]}


def _user(_: Call) -> Facts:
    return {"user": {"username": USER, **{role: role in _HAS for role in _ROLES}, "folder": [1]}}


def _scan_status(call: Call) -> Facts:
    return {"scanStatus": {"scanning": False, "count": len(call.catalogue.songs)}}


# Browsing


def _artists(call: Call) -> Facts:
    return {"artists": {"ignoredArticles": "The", "index": _indexed(call)}}


def _indexes(call: Call) -> Facts:
    newest = max((album.modified for album in call.catalogue.albums.values()), default=0)
    return {"indexes": {"lastModified": newest // 1_000_000, "ignoredArticles": "The", "index": _indexed(call)}}


def _indexed(call: Call) -> list[Facts]:
    letters: dict[str, list[Facts]] = {}
    for artist in call.catalogue.artists.values():
        letters.setdefault(index_of(artist.name), []).append(artist_form(artist))
    return [{"name": letter, "artist": letters[letter]} for letter in sorted(letters)]


def _artist(call: Call) -> Facts:
    artist = call.artist()
    return {"artist": {**artist_form(artist), "album": _albums_of(call, artist)}}


def _albums_of(call: Call, artist: Artist) -> list[Facts]:
    albums = call.catalogue.albums
    return [album_form(albums[one]) for one in artist.albums]


def _album(call: Call) -> Facts:
    album = call.album()
    return {"album": {**album_form(album), "song": call.songs(album.songs)}}


def _directory(call: Call) -> Facts:
    if (artist := call.catalogue.artists.get(call.text("id"))) is not None:
        return {"directory": {"id": artist.id, "name": artist.name, "child": _albums_of(call, artist)}}
    album = call.album()
    return {"directory": {"id": album.id, "name": album.name, "child": call.songs(album.songs)}}


def _genres(call: Call) -> Facts:
    catalogue, songs, albums = call.catalogue, Counter[str](), dict[str, set[str]]()
    for track in catalogue.songs.values():
        for name in _genres_of(track):
            songs[name] += 1
            albums.setdefault(name, set()).add(catalogue.album_of[track.id])
    found = [{"songCount": songs[name], "albumCount": len(albums[name]), "value": name} for name in sorted(songs)]
    return {"genres": {"genre": found}}


def _genres_of(track: LibraryTrack) -> list[str]:
    return [name for name in track.genre.split(";") if name]


def _album_list(call: Call) -> list[Facts]:
    albums, kind = list(call.catalogue.albums.values()), call.text("type")
    if kind == "random":
        random.shuffle(albums)
    elif kind == "newest":
        albums.sort(key=lambda one: -one.modified)
    elif kind == "alphabeticalByArtist":
        albums.sort(key=lambda one: (fold(one.artist), fold(one.name)))
    elif kind == "byYear":
        first, last = call.number("fromYear", 0), call.number("toYear", _MOST_LISTED)
        low, high = sorted((first, last))
        albums = [one for one in albums if year_of(one.year) and low <= year_of(one.year) <= high]
        albums.sort(key=lambda one: year_of(one.year), reverse=first > last)
    elif kind == "byGenre":
        songs, genre = call.catalogue.songs, fold(call.text("genre"))
        albums = [one for one in albums if any(genre in map(fold, _genres_of(songs[row])) for row in one.songs)]
    elif kind in ("frequent", "recent", "highest", "starred"):
        albums = []  # nobody counts here what is played or liked
    elif kind != "alphabeticalByName":
        raise Refused(0, f"There is no list of albums of the type {kind!r}.")
    return [album_form(album) for album in albums[call.part("size", "offset", 10)]]


def _random_songs(call: Call) -> Facts:
    rows = _rows_of(call, call.given.get("genre", ""))
    random.shuffle(rows)
    return {"randomSongs": {"song": call.songs(rows[: call.number("size", 10, 500)])}}


def _songs_by_genre(call: Call) -> Facts:
    rows = _rows_of(call, call.text("genre"))
    return {"songsByGenre": {"song": call.songs(rows[call.part("count", "offset", 10)])}}


def _rows_of(call: Call, genre: str) -> list[int]:
    """Of the songs of a genre; all where there is none."""
    first, last = call.number("fromYear", 0), call.number("toYear", 0)
    return [
        track.id
        for track in call.catalogue.songs.values()
        if (not genre or fold(genre) in map(fold, _genres_of(track)))
        and (not first or year_of(track.year) >= first)
        and (not last or 0 < year_of(track.year) <= last)
    ]


# Search


def _search(call: Call) -> Facts:
    """Names that have all words; where no song's name has them, songs by what the words mean ("calm piano")."""
    words = call.given.get("query", "").strip().strip("\"'*").strip()
    artists, albums, songs = call.catalogue.search(words)
    part = call.part("songCount", "songOffset")
    rows = [track.id for track in songs[part]]
    if words and not songs and part.stop:
        rows = [track.id for track in _meant(call, words, part.stop)[part]]
    return {
        "artist": [artist_form(one) for one in artists[call.part("artistCount", "artistOffset")]],
        "album": [album_form(one) for one in albums[call.part("albumCount", "albumOffset")]],
        "song": call.songs(rows),
    }


def _meant(call: Call, words: str, count: int) -> Sequence[LibraryTrack]:
    try:
        request = FindRequest(words=words, count=min(count, _MOST_SIMILAR))
        found = call.desk.service.searched(find(request, call.desk.service.session))
    except EarmarkError:
        return []
    return [hit.track for hit in found.hits]


# By sound


def _sonic_similar(call: Call) -> Facts:
    found = _like(call, call.song(), call.number("count", 10, _MOST_SIMILAR))
    songs = call.songs(row for row, _ in found)
    close = {str(row): round(max(0.0, 1 - distance), 4) for row, distance in found}
    return {"sonicMatch": [{"entry": song, "similarity": close[song["id"]]} for song in songs]}


def _sonic_path(call: Call) -> Facts:
    start, end = call.song("startSongId"), call.song("endSongId")
    count = max(2, call.number("count", 25, _MOST_SIMILAR))
    if not (start.song and end.song):
        raise Refused(70, "The requested data was not found: no path leads to what is no music.")
    tracks = [start]
    if start.id != end.id:
        request = WalkRequest(start=start.path, end=end.path, count=count)
        found = call.desk.service.searched(walk(request, call.desk.service.engine, call.desk.service.session))
        tracks = list(found)
    close = call.desk.shelves.closeness([(start, track) for track in tracks])
    near = {str(one.id): -1 if value is None else round(value, 4) for one, value in zip(tracks, close, strict=True)}
    songs = call.songs(track.id for track in tracks)
    return {"sonicMatch": [{"entry": song, "similarity": near[song["id"]]} for song in songs]}


def _similar_songs(call: Call) -> Facts:
    """Like a song or an album; of an artist, songs of theirs and of artists who sound alike, in turns."""
    catalogue, name, count = call.catalogue, call.text("id"), call.number("count", 50, _MOST_SIMILAR)
    if (artist := catalogue.artists.get(name)) is not None:
        shelves = call.desk.shelves
        like = shelves.like_artists(artist, count)
        hands = [shelves.typical(artist, count), *(one.songs for one in like)]
        turns = [hand[turn] for turn in range(max(map(len, hands))) for hand in hands if turn < len(hand)]
        return {"song": call.songs(turns[:count])}
    album = catalogue.albums.get(name)
    seed = catalogue.songs.get(album.songs[0]) if album else call.song()
    return {"song": call.songs(row for row, _ in _like(call, seed, count))} if seed else {"song": []}


def _like(call: Call, track: LibraryTrack, count: int) -> list[tuple[int, float]]:
    """Rows of the songs most like one, with their distances; none where there is no other, or it is no music."""
    if not count or not track.song or len(call.catalogue.songs) < 2:
        return []
    request = SimilarRequest(track=track.path, count=count, per_artist=_PER_ARTIST)
    found = call.desk.service.searched(similar(request, call.desk.service.engine, call.desk.service.session))
    return [(one.track.id, one.distance) for one in found]


def _artist_info(call: Call) -> Facts:
    like = call.desk.shelves.like_artists(call.artist(), call.number("count", 20, _MOST_SIMILAR))
    return {"similarArtist": [artist_form(one.artist) for one in like]}


def _top_songs(call: Call) -> Facts:
    """The songs that are most like all of an artist's: what is played most, nobody counts here."""
    artist = call.catalogue.artist_of(call.text("artist"))
    rows = call.desk.shelves.typical(artist, call.number("count", 50, _MOST_SIMILAR)) if artist else ()
    return {"topSongs": {"song": call.songs(rows)}}


# Playlists


def _playlists(call: Call) -> Facts:
    kept = kept_playlists(LibraryRequest(), call.desk.service.session).wait()
    return {"playlists": {"playlist": [_playlist_form(one) for one in kept]}}


def _playlist(call: Call) -> Facts:
    row = _there(_row(call.text("id").removeprefix("pl-")), "playlist")
    kept, tracks = kept_playlist(KeptRequest(playlist=row), call.desk.service.session).wait()
    return {"playlist": {**_playlist_form(kept), "entry": call.songs(track.id for track in tracks)}}


def _playlist_form(kept: KeptPlaylist) -> Facts:
    return {
        "id": f"pl-{kept.id}",
        "name": kept.name,
        "owner": USER,
        "public": False,
        "readonly": True,
        "songCount": kept.tracks,
        "duration": round(kept.seconds),
        "created": iso_date(kept.updated),
        "changed": iso_date(kept.updated),
    }


def _named(name: str, method: Callable[[Call], Any]) -> Callable[[Call], Facts]:
    """A method whose facts stand below a name."""
    return lambda call: {name: method(call)}


METHODS: Mapping[str, Callable[[Call], Facts]] = {
    "ping": _nothing,
    "getLicense": _named("license", lambda _: {"valid": True}),
    "getOpenSubsonicExtensions": _extensions,
    "tokenInfo": _named("tokenInfo", lambda _: {"username": USER}),
    "getUser": _user,
    "getMusicFolders": _named("musicFolders", lambda _: {"musicFolder": [{"id": 1, "name": "Earmark"}]}),
    "getScanStatus": _scan_status,
    "scrobble": _nothing,  # what is played is nobody's business here, and no reason for a player to complain
    "getArtists": _artists,
    "getIndexes": _indexes,
    "getArtist": _artist,
    "getAlbum": _album,
    "getMusicDirectory": _directory,
    "getGenres": _genres,
    "getSong": _named("song", lambda call: call.songs([call.song().id])[0]),
    "getAlbumList": _named("albumList", lambda call: {"album": _album_list(call)}),
    "getAlbumList2": _named("albumList2", lambda call: {"album": _album_list(call)}),
    "getRandomSongs": _random_songs,
    "getSongsByGenre": _songs_by_genre,
    "getStarred": _named("starred", _nothing),
    "getStarred2": _named("starred2", _nothing),
    "getNowPlaying": _named("nowPlaying", _nothing),
    "search2": _named("searchResult2", _search),
    "search3": _named("searchResult3", _search),
    "getSonicSimilarTracks": _sonic_similar,
    "findSonicPath": _sonic_path,
    "getSimilarSongs": _named("similarSongs", _similar_songs),
    "getSimilarSongs2": _named("similarSongs2", _similar_songs),
    "getArtistInfo": _named("artistInfo", _artist_info),
    "getArtistInfo2": _named("artistInfo2", _artist_info),
    "getTopSongs": _top_songs,
    "getPlaylists": _playlists,
    "getPlaylist": _playlist,
}
"""By name; each takes a call and returns the facts of its answer."""
