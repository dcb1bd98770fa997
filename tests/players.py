"""What tests of the doors to players share: a library of real music, and a media server that is made up."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from earmark.app.scan import ScanRequest, scan
from earmark.engine import InlineEngine
from serving import Collection

KEY, PASSWORD = "key-of-the-door-7Qx", "sesame-of-the-door"
WITH_PICTURE = "awkward/music-metadata/test/samples/MusicBrainz-Picard-tags.flac"


def real_library(shared: Path, folder: Path, model: Path, count: int = 10) -> Collection:
    """Songs of real music in folders of their own, one with a picture, scanned."""
    songs = sorted((shared / "data/moods900/audio").glob("*.opus"))[:count]
    for song in songs:
        target = folder / "music" / song.stem[-3:] / song.name
        target.parent.mkdir(parents=True)
        shutil.copyfile(song, target)
    target = folder / "music" / "Beth Hart" / "Fire on the Floor" / "01.flac"
    target.parent.mkdir(parents=True)
    shutil.copyfile(shared / "data" / WITH_PICTURE, target)
    file = folder / "library.db"
    scan(ScanRequest(folders=(str(folder / "music"),), library=str(file), model=str(model)), InlineEngine()).wait()
    return Collection(folder / "music", file, model)


@dataclass
class FakeServer:
    """A Subsonic server that knows songs.

    Attributes:
        songs: As ``Child``.
        mode: ``right``; ``no-empty`` (finds nothing for nothing), ``needs-words``, ``no-tokens``, ``slow``, ``drip``,
            ``broken``, ``html``, ``empty``, ``odd`` (JSON of other shapes), ``refuse``, ``elsewhere`` (redirects),
            ``endless``.
        asked: Methods and their parameters.
        url: Where it is.
    """

    songs: list[dict[str, Any]]
    mode: str = "right"
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, given: dict[str, str]) -> dict[str, Any]:
        """The facts of an answer."""
        if method == "getSong":
            return {"song": next(song for song in self.songs if song["id"] == given["id"])}
        if method == "search3":
            if self.mode == "needs-words" and not given["query"]:
                raise LookupError("query")
            start = int(given["songOffset"])
            found = [] if self.mode == "no-empty" else self.songs
            return {"searchResult3": {"song": found[start : start + int(given["songCount"])]}}
        if method == "getAlbumList2":
            return {"albumList2": {"album": [] if int(given["offset"]) else [{"id": "all"}]}}
        if method == "getAlbum":
            return {"album": {"id": "all", "song": self.songs}}
        raise LookupError(method)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        given = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        method = parts.path.rpartition("/")[2].removesuffix(".view")
        self.fake.asked.append((method, given))
        with suppress(OSError):  # whoever asked has gone
            self._answer(method, given)

    def _answer(self, method: str, given: dict[str, str]) -> None:
        if self.fake.mode == "slow":
            time.sleep(3)
        if self.fake.mode == "elsewhere":
            self.send_response(302)
            self.send_header("Location", self.fake.url + "/other" + self.path)
            self.end_headers()
            return
        if self.fake.mode == "broken":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
            return
        self.send_response(500 if self.fake.mode == "html" else 200)
        self.end_headers()
        self.wfile.write(self._body(method, given))
        while self.fake.mode in ("drip", "endless"):
            self.wfile.write(b" " * (1 if self.fake.mode == "drip" else 1 << 20))
            time.sleep(0.05 if self.fake.mode == "drip" else 0)

    def _body(self, method: str, given: dict[str, str]) -> bytes:
        if self.fake.mode == "empty":
            return b""
        if self.fake.mode == "html":
            return b"<html>"
        if self.fake.mode == "odd":
            return b'{"subsonic-response": {"status": "ok", "searchResult3": [1, {"song": 3}], "song": "x"}}'
        if self.fake.mode == "refuse":
            body: dict[str, Any] = {"status": "failed", "error": {"code": 40, "message": "Wrong username or password"}}
        elif self.fake.mode == "no-tokens" and "p" not in given:
            body = {"status": "failed", "error": {"code": 10, "message": "A required parameter is missing."}}
        else:
            try:
                body = {"status": "ok", **self.fake.answer(method, given)}
            except (LookupError, StopIteration):
                body = {"status": "failed", "error": {"code": 70}}
        return json.dumps({"subsonic-response": body}).encode()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def fake_server(songs: list[dict[str, Any]], mode: str = "right") -> Iterator[FakeServer]:
    """A Subsonic server on loopback that behaves as ``mode`` says."""
    fake = FakeServer(songs, mode)

    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": fake}))
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()


def children_of(collection: Collection) -> list[dict[str, Any]]:
    """The songs of a library as a media server would have them, with ids of its own."""
    from earmark.app.catalogue import title_of
    from earmark.library.store import open_library

    with open_library(collection.file, write=False) as library:
        tracks = library.tracks()
    return [
        {
            "id": f"nd-{track.id:04d}",
            "title": title_of(track),
            "artist": track.artist,
            "artistId": "nd-artist-" + track.artist.encode().hex(),
            "album": track.album,
            "path": Path(track.path).relative_to(collection.music).as_posix(),
            "duration": round(track.seconds),
        }
        for track in tracks
    ]
