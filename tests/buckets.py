"""An S3 server for tests: a bucket in memory, on loopback."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest


@contextmanager
def bucket(patch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """Objects by ``BUCKET/KEY``; ``s3://`` means this server meanwhile, also for processes that are started."""
    objects: dict[str, bytes] = {}
    uploads: dict[str, dict[int, bytes]] = {}
    handler = type("Handler", (_Handler,), {"objects": objects, "uploads": uploads})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "tests")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    patch.setenv("AWS_REGION", "us-east-1")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    try:
        yield objects
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    uploads: dict[str, dict[int, bytes]]

    def _asked(self) -> tuple[str, dict[str, str], bytes]:
        url = urlsplit(self.path)
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "aws-chunked":
            body = _unchunked(body)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        return unquote(url.path).lstrip("/"), query, body

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _answer(self, code: int, body: bytes = b"", **headers: Any) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        key, _, _ = self._asked()
        if key in self.objects:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.objects[key])))
            self.end_headers()
        else:
            self._answer(200 if "/" not in key else 404)

    def do_GET(self) -> None:
        key, query, _ = self._asked()
        if "list-type" in query or "/" not in key:
            self._answer(200, self._listing(key.strip("/"), query), Content_Type="application/xml")
            return
        if key not in self.objects:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        content = self.objects[key]
        wanted = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted:
            start, end = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            part = content[start : end + 1]
            self._answer(206, part, Content_Range=f"bytes {start}-{end}/{len(content)}")
        else:
            self._answer(200, content)

    def _listing(self, bucket: str, query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        keys = sorted(key.removeprefix(f"{bucket}/") for key in self.objects if key.startswith(f"{bucket}/"))
        keys = [key for key in keys if key.startswith(prefix)]
        folders: list[str] = []
        if delimiter:
            inner = {key: key[len(prefix) :].partition(delimiter) for key in keys}
            folders = sorted({prefix + first + delimiter for first, found, _ in inner.values() if found})
            keys = [key for key in keys if not inner[key][1]]
        shown = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[f'{bucket}/{key}'])}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in keys
        )
        shown += "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders)
        text = f"<ListBucketResult><Name>{bucket}</Name><KeyCount>{len(keys) + len(folders)}</KeyCount>{shown}"
        return (text + "<IsTruncated>false</IsTruncated></ListBucketResult>").encode()

    def do_PUT(self) -> None:
        key, query, body = self._asked()
        if "partNumber" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = body
        else:
            self.objects[key] = body
        self._answer(200, ETag='"0"')

    def do_POST(self) -> None:
        key, query, body = self._asked()
        if "uploads" in query:
            name = str(len(self.uploads))
            self.uploads[name] = {}
            text = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
            self._answer(200, text.encode())
        elif "uploadId" in query:
            self.objects[key] = b"".join(part for _, part in sorted(self.uploads[query["uploadId"]].items()))
            self._answer(200, b"<CompleteMultipartUploadResult><ETag>0</ETag></CompleteMultipartUploadResult>")
        else:  # DeleteObjects
            for name in re.findall(rb"<Key>(.*?)</Key>", body):
                self.objects.pop(f"{key}/{name.decode()}", None)
            self._answer(200, b"<DeleteResult></DeleteResult>")

    def do_DELETE(self) -> None:
        key, _, _ = self._asked()
        self.objects.pop(key, None)
        self._answer(204)

    def log_message(self, *_: Any) -> None:
        pass


def _unchunked(body: bytes) -> bytes:
    found = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            break
        found, body = found + body[:length], body[length + 2 :]
    return found
