"""The media server whose ids the door of AudioMuse-AI speaks: which of its songs is which of the library's.

Its songs are read by its Subsonic API, in the background, page by page, and matched to the library's. Whatever it
answers is bounded in bytes, songs and time; where it is slow, broken or gone, what was known before holds.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from earmark.app.catalogue import SongFacts
from earmark.errors import EarmarkError
from earmark.server.safety import is_loopback

if TYPE_CHECKING:
    from earmark.app.catalogue import Catalogue
    from earmark.library.records import LibraryTrack

__all__ = ["Login", "Matches", "MediaServer", "match"]

_VARIABLE = "EARMARK_MEDIA_SERVER"
_PAGE = 500  # songs
_MOST_PAGES = 4_000
_LARGEST = 16_000_000  # bytes of one answer
_SOCKET_SECONDS, _ANSWER_SECONDS, _ALL_SECONDS = 5.0, 20.0, 600.0
_GOOD_FOR = 600.0  # seconds
_PATIENCE = 10.0  # seconds that the first request waits for the first songs
_NO_TOKENS = (10, 41)  # what servers say that know no tokens
_MOST_ASKED = 10_000  # single songs that are remembered


@dataclass(frozen=True)
class Login:
    """Who asks.

    Attributes:
        user: Name.
        password: A salted token is sent in its place; itself only where a server takes none and nobody can read along.
        key: ``apiKey`` of OpenSubsonic, in place of both.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    key: str = field(default="", repr=False)

    @classmethod
    def of_environment(cls) -> Login:
        """That of the environment.

        Raises:
            EarmarkError: It names none.
        """
        given = os.environ.get(_VARIABLE, "")
        user, colon, password = given.partition(":")
        if not given:
            raise EarmarkError(f"--media-server needs a login: set {_VARIABLE} to USER:PASSWORD, or to an API key")
        return cls(user, password) if colon else cls(key=given)

    def parameters(self, *, plain: bool = False) -> dict[str, str]:
        """What a request carries."""
        if self.key:
            return {"apiKey": self.key}
        if plain:
            return {"u": self.user, "p": "enc:" + self.password.encode().hex()}
        salt = secrets.token_hex(8)
        token = hashlib.md5((self.password + salt).encode(), usedforsecurity=False).hexdigest()
        return {"u": self.user, "t": token, "s": salt}


@dataclass(frozen=True)
class Matches:
    """Which song is which.

    Attributes:
        songs: Rows of the library's tracks, by the media server's ids.
        ids: The other way round.
        artists: Names, by the media server's ids.
        artist_ids: Ids, by the library's ids of artists.
        theirs: How many songs the media server has.
    """

    songs: Mapping[str, int] = field(default_factory=dict)
    ids: Mapping[int, str] = field(default_factory=dict)
    artists: Mapping[str, str] = field(default_factory=dict)
    artist_ids: Mapping[str, str] = field(default_factory=dict)
    theirs: int = 0


def match(songs: Iterator[Mapping[str, Any]], catalogue: Catalogue) -> Matches:
    """Match a media server's songs (``Child``) to a library's; what makes no sense is passed over."""
    found, ids, artists, artist_ids, count = dict[str, int](), dict[int, str](), dict[str, str](), dict[str, str](), 0
    for song in songs:
        count += 1
        key, artist_key, artist = _text(song, "id"), _text(song, "artistId"), _text(song, "artist")
        if artist_key and artist:
            artists.setdefault(artist_key, artist)
            if (ours := catalogue.artist_of(artist)) is not None:
                artist_ids.setdefault(ours.id, artist_key)
        track = catalogue.find(_facts(song)) if key else None
        if track is not None:
            found[key] = track.id
            ids.setdefault(track.id, key)
    return Matches(found, ids, artists, artist_ids, count)


class _Refused(EarmarkError):
    """The server answers, and says no, with a code."""

    code: Any = 0


class MediaServer:
    """A Subsonic server, such as Navidrome; several threads may use it.

    Args:
        url: Of the server, with its base path.
        login: Who asks.
        patience: Seconds that the first request waits for the songs.
    """

    def __init__(self, url: str, login: Login, patience: float = _PATIENCE) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.query:
            raise EarmarkError(f"--media-server {url}: is no address of a server, such as http://127.0.0.1:4533")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, port
        self._base, self._login, self._patience = parts.path.rstrip("/"), login, patience
        self._lock = threading.Lock()
        self._matches, self._due = Matches(), 0.0
        self._of: Catalogue | None = None
        self._reading: threading.Thread | None = None
        self._single: dict[str, SongFacts | None] = {}
        self._plain = False
        self.problem = ""

    @classmethod
    def of(cls, url: str) -> MediaServer:
        """That of a URL, with the login of the environment.

        Raises:
            EarmarkError: The URL is none, or there is no login.
        """
        return cls(url, Login.of_environment())

    def matches(self, catalogue: Catalogue) -> Matches:
        """What is known now; read anew in the background where it is old, or the library is another.

        The first request waits a little for the first songs.
        """
        with self._lock:
            old = time.monotonic() > self._due or self._of is not catalogue
            if old and (self._reading is None or not self._reading.is_alive()):
                self._reading = threading.Thread(target=self._read, args=(catalogue,), daemon=True)
                self._reading.start()
            first = self._reading if self._of is None else None
        if first is not None:
            first.join(self._patience)
        return self._matches

    def song(self, key: str, catalogue: Catalogue) -> LibraryTrack | None:
        """The library's track of a song of the media server, which is asked where the song is not known; or None."""
        row = self.matches(catalogue).songs.get(key, -1)
        if row in catalogue.songs:
            return catalogue.songs[row]
        if key not in self._single and self._may_ask():
            try:
                song = self._ask("getSong", id=key).get("song")
            except EarmarkError:
                return None
            if len(self._single) > _MOST_ASKED:
                self._single.clear()
            self._single[key] = _facts(song) if isinstance(song, dict) else None
        facts = self._single.get(key)
        return catalogue.find(facts) if facts else None

    def artist(self, key: str, catalogue: Catalogue) -> str:
        """The name of an artist of the media server; "" where it knows none of that id."""
        return self.matches(catalogue).artists.get(key, "")

    def _may_ask(self) -> bool:
        """Whether the server answered when it was asked last: one that does not is not asked for every song."""
        return not self.problem

    def _read(self, catalogue: Catalogue) -> None:
        try:
            found = match(self._songs(), catalogue)
        except EarmarkError as error:
            self.problem, found = str(error), None
        except Exception:  # else every call would begin a new reading
            logging.getLogger("earmark.server").exception("the songs of the media server")
            self.problem, found = "something unexpected went wrong with the media server's songs", None
        with self._lock:
            if found is not None:
                self._matches, self.problem = found, ""
            self._of, self._due = catalogue, time.monotonic() + (_GOOD_FOR if found is not None else _SOCKET_SECONDS)

    def _songs(self) -> Iterator[Mapping[str, Any]]:
        """All songs: a search for nothing gives all of them (OpenSubsonic)."""
        end = time.monotonic() + _ALL_SECONDS
        for page in range(_MOST_PAGES):
            if time.monotonic() > end:
                raise EarmarkError("the media server took too long to list its songs")
            counts = {"artistCount": 0, "albumCount": 0, "songCount": _PAGE, "songOffset": page * _PAGE}
            try:
                songs = _list(self._ask("search3", query="", **counts), "searchResult3", "song")
            except _Refused:
                if page:
                    raise
                songs = []  # Subsonic itself wants words
            yield from songs
            if not songs and page == 0:
                yield from self._songs_of_albums(end)
            if len(songs) < _PAGE:
                return

    def _songs_of_albums(self, end: float) -> Iterator[Mapping[str, Any]]:
        """All songs of a server that finds nothing where nothing is searched for: album by album."""
        for page in range(_MOST_PAGES):
            albums = _list(
                self._ask("getAlbumList2", type="alphabeticalByName", size=_PAGE, offset=page * _PAGE),
                "albumList2",
                "album",
            )
            for album in albums:
                if time.monotonic() > end:
                    raise EarmarkError("the media server took too long to list its songs")
                yield from _list(self._ask("getAlbum", id=_text(album, "id")), "album", "song")
            if len(albums) < _PAGE:
                return

    def _ask(self, method: str, **more: Any) -> Mapping[str, Any]:
        """What the server answers.

        Raises:
            EarmarkError: It does not, or not as it should.
        """
        try:
            return self._answer(method, more)
        except _Refused as error:
            private = self._secure or is_loopback(self._host)
            if self._plain or self._login.key or error.code not in _NO_TOKENS or not private:
                raise
            answer = self._answer(method, more, plain=True)
            self._plain = True  # it knows no tokens
            return answer

    def _answer(self, method: str, more: Mapping[str, Any], *, plain: bool = False) -> Mapping[str, Any]:
        login = self._login.parameters(plain=plain or self._plain)
        query = urlencode({**login, "v": "1.16.1", "c": "earmark", "f": "json", **more})
        try:
            body = json.loads(self._get(f"{self._base}/rest/{method}.view?{query}"))["subsonic-response"]
            if body["status"] == "ok":
                return dict(body)
            error = body.get("error") or {}
            refused = _Refused(f"the media server refuses {method}: {error.get('message') or error.get('code')}")
            refused.code = error.get("code")
            raise refused
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise EarmarkError(f"the media server at {self._host} does not answer: {reason}") from None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise EarmarkError(f"what the media server answers to {method} is no answer of Subsonic") from None

    def _get(self, target: str) -> bytes:
        """The body of an answer; redirections are not followed, so that the login goes nowhere else."""
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_SOCKET_SECONDS)
        end, data = time.monotonic() + _ANSWER_SECONDS, b""
        try:
            connection.request("GET", target, headers={"Accept": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise EarmarkError(f"the media server at {self._host} answers with status {response.status}")
            while block := response.read1(1 << 16):
                data += block
                if len(data) > _LARGEST or time.monotonic() > end:
                    raise EarmarkError(f"the media server at {self._host} answers too much, or too slowly")
        finally:
            connection.close()
        return data


def _list(answer: Mapping[str, Any], outer: str, inner: str) -> list[Mapping[str, Any]]:
    """The objects of a list within an answer; none where there is no such list."""
    found = answer.get(outer)
    found = found.get(inner) if isinstance(found, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _facts(song: Mapping[str, Any]) -> SongFacts:
    seconds = song.get("duration")
    return SongFacts(
        _text(song, "artist"),
        _text(song, "title"),
        _text(song, "album"),
        _text(song, "path"),
        float(seconds) if isinstance(seconds, (int, float)) and 0 < seconds < 1e6 else 0.0,
        _text(song, "musicBrainzId"),
    )


def _text(song: Mapping[str, Any], name: str) -> str:
    value = song.get(name)
    return value[:2_000] if isinstance(value, str) else str(value) if isinstance(value, int) else ""
