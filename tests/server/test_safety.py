"""What an attacker in a browser of the same machine tries, and what every answer carries."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from serving import URL, Collection, client_of, served

HEADERS = ("x-content-type-options", "referrer-policy", "cross-origin-resource-policy", "content-security-policy")
FOREIGN_HOSTS = [
    "evil.example", "evil.example:8765", "localhost.evil.example:8765", "127.0.0.1.evil.example:8765",
    "localhost", "127.0.0.1:80", "localhost:8765.evil.example", "127.0.0.2:8765", "[::2]:8765", "192.168.0.7:8765",
    "localhost:8765@evil.example", "evil.example#localhost:8765", "localhost.:8765", "",
    "0x7f.1:8765", "2130706433:8765",
]  # fmt: skip
FOREIGN_ORIGINS = [
    "http://evil.example", "https://127.0.0.1:8765", "http://127.0.0.1:9999", "http://127.0.0.1", "null",
    "http://localhost:8765", "http://127.0.0.1:8765.evil.example", "file://", "",
]  # fmt: skip


def safe(answer: httpx.Response) -> None:
    """What must stand in every answer: one policy, without anything unsafe."""
    policies = answer.headers.get_list("content-security-policy")
    assert len(policies) == 1
    assert "unsafe" not in policies[0] and "default-src 'none'" in policies[0] and "*" not in policies[0]
    assert re.search(r"script-src 'self' 'nonce-[\w-]{20,}'", policies[0])
    for part in ("frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
        assert part in policies[0]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/v1", "/v1/tracks/1/audio", "/v1/none", "/none", "/v1/jobs/1", "/openapi.json"])
def test_every_answer_carries_the_policy(reader: TestClient, method: str, path: str) -> None:
    answer = reader.request(method, path)
    safe(answer)
    if method == "HEAD":
        assert answer.content == b""
    elif answer.status_code >= 400 and path != "/":
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


def test_head_is_get_without_its_body(reader: TestClient) -> None:
    for path in ("/v1", "/v1/tracks", "/v1/tracks/1", "/none"):
        head, get = reader.head(path), reader.get(path)
        assert head.status_code == get.status_code
        assert head.headers["content-type"] == get.headers["content-type"]


def test_the_nonce_is_another_each_time(reader: TestClient) -> None:
    assert len({reader.get("/v1").headers["content-security-policy"] for _ in range(5)}) == 5


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("path", ["/", "/v1/tracks", "/rest/ping", "/api/health", "/login"])
def test_a_foreign_name_gets_nothing(reader: TestClient, host: str, path: str) -> None:
    """A name that a stranger made to lead to this machine (DNS rebinding)."""
    answer = reader.get(path, headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["kind"] == "host"
    safe(answer)


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1:8765", "[::1]:8765", "LOCALHOST:8765"])
def test_our_own_names(reader: TestClient, host: str) -> None:
    answer = reader.get("/v1", headers={"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 200


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_another_page_gets_nothing(reader: TestClient, origin: str, method: str) -> None:
    answer = reader.request(method, "/v1/jobs", headers={"Origin": origin})
    assert answer.status_code == 403 and answer.json()["kind"] == "origin"
    safe(answer)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_what_the_browser_says_of_the_asker_counts(reader: TestClient, site: str) -> None:
    assert reader.get("/v1/tracks", headers={"Sec-Fetch-Site": site}).status_code == 403
    both = {"Sec-Fetch-Site": site, "Origin": URL}
    assert reader.post("/v1/jobs", json={"kind": "scan"}, headers=both).status_code == 403


def test_a_form_of_another_page_does_nothing(reader: TestClient) -> None:
    """What a page can send without asking first: a form, or text that is JSON."""
    job = '{"kind": "scan"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        headers = {"Origin": "http://evil.example", "Content-Type": kind}
        assert reader.post("/v1/jobs", content=job, headers=headers).status_code == 403
        assert reader.post("/v1/jobs", content=job, headers={"Content-Type": kind}).status_code == 422
    assert reader.get("/v1/jobs").json() == {"jobs": []}


@pytest.mark.parametrize("path", ["/etc/passwd", "/../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/static/../safety.py",
                                  "/static/..%2fsafety.py", "/static/%2e%2e/safety.py", "/static//etc/passwd",
                                  "/static/..\\safety.py", "/vendor/../npm.py",
                                  "/static/%00", "/docs/../../x", "/v1/models/..%2f..%2fetc", "/v1/models/%2fetc",
                                  "/v1/playlists/..%2fx.m3u8", "/v1/jobs/..%2f1/events"])  # fmt: skip
def test_no_path_reaches_the_disk(reader: TestClient, path: str) -> None:
    answer = reader.get(path)
    assert answer.status_code in (404, 405, 422), (path, answer.text[:200])
    assert b"root:" not in answer.content and b"import" not in answer.content
    safe(answer)


def test_something_unexpected_is_told_to_nobody(reader: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a secret at /home/me")

    service = reader.app.state.service  # type: ignore[attr-defined]
    monkeypatch.setattr(service.jobs, "all", fails)
    answer = reader.get("/v1/jobs")
    assert answer.status_code == 500 and "secret" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    safe(answer)


@pytest.fixture(scope="module")
def guarded(songs: Collection) -> Iterator[TestClient]:
    """An application that others can reach: it demands its token."""
    with client_of(replace(songs.options, host="0.0.0.0", token="correct horse")) as client:
        yield client


def test_a_token_is_needed(guarded: TestClient) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic Y29ycmVjdCBob3JzZQ=="},
                    {"Cookie": "earmark=correct horse"}, {"Cookie": "earmark="}):  # fmt: skip
        for path in ("/", "/v1", "/v1/tracks", "/static/main.js", "/openapi.json", "/docs"):
            answer = guarded.get(path, headers=headers)
            assert answer.status_code == 401, (path, headers)
            safe(answer)
    assert guarded.get("/v1", headers={"Authorization": "Bearer correct horse"}).status_code == 200


def test_logging_in_gives_a_cookie(guarded: TestClient) -> None:
    page = guarded.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 401 and '<form method="post" action="/login">' in page.text
    nonce = re.search(r"nonce-([\w-]+)", page.headers["content-security-policy"])
    assert nonce and f'<style nonce="{nonce[1]}">' in page.text
    assert guarded.post("/login", data={"token": "wrong"}).status_code == 401
    assert guarded.post("/login", data={"token": "correct horse"}, headers={"Origin": "null"}).status_code == 403
    own = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}  # as browsers say it where there is no referrer
    answer = guarded.post("/login", data={"token": "correct horse"}, headers=own, follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "correct" not in cookie
    assert guarded.get("/v1").status_code == 200
    guarded.cookies.clear()
    assert guarded.get("/v1").status_code == 401


FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n'


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data", b"token", 400),
        (FORM, b"--y\r\n", 400),
        ("application/x-www-form-urlencoded", b"a=1&b=1&c=1&d=1&e=1", 400),
        (f"{FORM}; charset=utf-7", PART + b"+2AA-\r\n--x--\r\n", 401),
    ],
)
def test_a_login_that_is_no_form(guarded: TestClient, kind: str, body: bytes, status: int) -> None:
    """Whoever has no token yet cannot make the server stumble, and fill its log, by what they send in its place."""
    answer = guarded.post("/login", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    safe(answer)


def test_a_login_without_an_end_is_refused(guarded: TestClient) -> None:
    answer = guarded.post("/login", content=(bytes(100_000) for _ in range(11)))
    assert answer.status_code == 401, "what is no form is not read"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = guarded.post("/login", content=(b"x" * 100_000 for _ in range(11)), headers=form)
    assert answer.status_code == 413 and answer.json()["kind"] == "too-large"
    announced = guarded.post("/login", content=b"x" * 1_100_000, headers=form)
    assert announced.json() == answer.json(), "one sentence, whether the body says how large it is or not"
    safe(answer)


@pytest.mark.parametrize("path", ["/login", "/login/", "/loginX", "/login/../v1", "/login/none", "/restX", "/apiX"])
def test_nothing_but_the_form_goes_to_the_login(guarded: TestClient, path: str) -> None:
    """No other path that begins so, and no other method, comes in without the token."""
    assert guarded.get(path).status_code == 401
    assert guarded.put(path).status_code == 401


def test_another_hosts_names(guarded: TestClient) -> None:
    """Addresses lead where they say, names of others do not."""
    token = {"Authorization": "Bearer correct horse"}
    for host, status in ((f"{socket.gethostname()}:8765", 200), ("192.168.0.7:8765", 200), ("evil.example:8765", 403)):
        assert guarded.get("/v1", headers=token | {"Host": host}).status_code == status, host


def raw(url: str, request: bytes, more: bytes = b"", wait: float = 10) -> bytes:
    """What a server answers to bytes that no client would send."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname or "", place.port or 0), wait) as connection:
        connection.sendall(request.replace(b"HOST", place.netloc.encode()))
        if more:
            connection.sendall(more)
            connection.shutdown(socket.SHUT_WR)
        found = b""
        while piece := connection.recv(65536):
            found += piece
            if b"\r\n\r\n" in found and found.startswith(b"HTTP/1.1 413"):
                break
    return found


def test_over_real_sockets(songs: Collection) -> None:
    """Two gigabytes announced, a body without end, an upload cut off: refused at once, and the server lives on."""
    with served("--library", songs.file, "-m", songs.model, "-j", 1) as (process, url):
        head = b"POST /v1/predict HTTP/1.1\r\nHost: HOST\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        for length in (b"2147483648", b"9" * 30):
            answer = raw(url, head + b"Content-Length: " + length + b"\r\n\r\n")
            assert answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400")) and b"default-src 'none'" in answer
        for strange in (b"Host: evil.example\r\n", b""):
            answer = raw(url, b"GET /v1 HTTP/1.1\r\n" + strange + b"Connection: close\r\n\r\n")
            assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
        twice = raw(url, b"GET /v1 HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert twice.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
        chunked = b"POST /v1/jobs HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n"
        chunked += b"Transfer-Encoding: chunked\r\n\r\n"
        answer = raw(url, chunked + (b"186A0\r\n" + b" " * 100_000 + b"\r\n") * 11)
        assert answer.startswith(b"HTTP/1.1 413") and b"default-src 'none'" in answer
        part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
        assert raw(url, head + b"Content-Length: 100000\r\n\r\n", part + bytes(5000)) == b""
        for _ in range(3):
            assert httpx.get(f"{url}/v1").status_code == 200
        assert process.poll() is None


def test_nothing_of_the_environment_makes_it_report(monkeypatch: Any, songs: Collection) -> None:
    """FastAPI can send traces to a collector that the environment names; this one does not."""
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9/")
    with client_of(songs.options) as client:
        assert client.get("/v1").status_code == 200
