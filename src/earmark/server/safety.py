"""Who may ask, and how much: every request passes here before anything else sees it, every answer afterwards.

The server may change files and play private music, and any web page that a browser opens can send it requests. So the
name that was asked for must be ours (else a foreign name was made to lead here: DNS rebinding), what asks must be our
own page or no page at all, and answers run no script but ours and are of no use inside another page.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import secrets
import socket
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.server.problems import Problem, answer_of, problem

if TYPE_CHECKING:
    from earmark.server.application import ServerOptions

__all__ = ["COOKIE", "LARGE", "Rules", "Safety", "is_loopback", "nonce_of", "policies", "same"]

COOKIE = "earmark"
"""Holds the proof that the token was given."""

LARGE = "/v1/predict"
"""The one path that takes uploads."""

_SMALL = 1_000_000  # bytes of any other body
_ENVELOPE = 100_000  # bytes of an upload that are not the file
_OWN_KEYS = ("/rest/", "/api/")  # open by keys of their own
_WRONG_KEY_SECONDS = 0.3
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::")
_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}';"
    " img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; font-src 'self'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
_LOGIN = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Earmark</title><style nonce="{nonce}">:root {{ color-scheme: light dark }} body {{ font: 1rem/1.5 system-ui,
sans-serif; max-width: 24rem; margin: 15vh auto; padding: 0 1rem }} input, button {{ font: inherit; padding: .4rem }}
</style><h1>Earmark</h1><form method="post" action="/login"><label for="token">The token that the server was started
with</label><p><input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Log in</button></p></form></html>"""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    try:
        return host in _LOOPBACK or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def same(given: str, right: str | None) -> bool:
    """Whether what was given is the secret, compared in constant time; no secret is no way in."""
    return bool(right) and hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), str(right).encode("utf-8", "surrogatepass")
    )


def nonce_of(request: Request) -> str:
    """The nonce that scripts and styles of this answer carry."""
    return str(request.scope["earmark.nonce"])


@dataclass(frozen=True)
class Rules:
    """What is let in.

    Attributes:
        names: That the server may be asked for, in lower case.
        addresses: Whether any IP address will do: nobody can make one lead elsewhere.
        port: That the server may be asked for.
        token: That a request must carry; None asks for none.
        max_upload: Bytes of an upload.
    """

    names: frozenset[str]
    addresses: bool
    port: int
    token: str | None = field(repr=False)
    max_upload: int

    @classmethod
    def of(cls, options: ServerOptions) -> Rules:
        """The rules of a server."""
        everywhere = options.host in _EVERYWHERE
        own = {socket.gethostname(), f"{socket.gethostname()}.local"} if everywhere else {options.host.strip("[]")}
        names = frozenset(one.lower() for one in (*_LOOPBACK, *own))
        return cls(names, everywhere, options.port, options.token, options.max_upload)

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name, colon, port = host.rpartition(":")
        if not colon or port.endswith("]"):
            name, port = host, "80"
        if port != str(self.port):
            return False
        name = name.lower().removeprefix("[").removesuffix("]") if name.startswith("[") else name.lower()
        return name in self.names or (self.addresses and _is_address(name))

    @property
    def proof(self) -> str:
        """What the cookie holds: the token cannot be read from it."""
        return hmac.digest((self.token or "").encode(), b"earmark cookie", hashlib.sha256).hex()

    def accepts(self, headers: Headers) -> bool:
        """Whether a request carries the token, or the cookie that it was exchanged for."""
        if self.token is None:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and same(given.strip(), self.token):
            return True
        return same(_cookie(headers), self.proof)

    def limit(self, path: str) -> int:
        """Bytes of a body."""
        return self.max_upload + _ENVELOPE if path == LARGE else _SMALL


class Safety:
    """The middleware; see the module.

    Args:
        app: What is guarded.
        rules: What is let in.
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, head=scope["method"] == "HEAD")
        inner = dict(scope) | {"earmark.nonce": answer.nonce}
        if answer.head:
            inner["method"] = "GET"
        body = _Body(receive, self.rules.limit(scope["path"]))
        try:
            refusal = await self._refusal(Request(inner, body.receive))
            await (refusal or self.app)(inner, body.receive, answer.send)
        except HTTPException as error:  # of a body that is read here, before the application: it answers its own
            await answer_of(Request(inner), error)(inner, body.receive, answer.send)
        except Exception:
            if answer.complete or body.gone:  # a HEAD that has what it asked for, or nobody there to answer
                return
            logging.getLogger("earmark.server").exception("%s %s", scope["method"], scope["path"])
            if answer.begun:
                raise
            wrong = problem(500, "Something unexpected went wrong; the server's standard error tells more.")
            await wrong(inner, body.receive, answer.send)

    async def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that is not let in; None where it is."""
        headers = request.headers
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.rules.knows(hosts[0]):
            return problem(403, "This name does not lead to this server by right: use the address it printed.", "host")
        if not _is_own(headers, hosts[0]):
            return problem(403, "Another web page asked for this: only the server's own page may.", "origin")
        announced = headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self.rules.limit(request.url.path):
            return answer_of(request, _too_large(self.rules.limit(request.url.path)))
        path = request.url.path
        if path == "/login" and request.method == "POST":
            return await self._login(request)
        if path.startswith(_OWN_KEYS) or self.rules.accepts(headers):
            return None
        if headers.get("authorization") or _cookie(headers):
            await asyncio.sleep(_WRONG_KEY_SECONDS)
        return _unknown(request)

    async def _login(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=4) as form:
            given = form.get("token")
        if self.rules.token is not None and not same(str(given), self.rules.token):
            await asyncio.sleep(_WRONG_KEY_SECONDS)
            return _unknown(request)
        answer = Response(status_code=303, headers={"Location": "/"})
        answer.set_cookie(COOKIE, self.rules.proof, httponly=True, samesite="strict")
        return answer


def policies(nonce: str) -> dict[str, str]:
    """The headers of every answer; ``nonce`` is what its own scripts and styles carry."""
    return {
        "Content-Security-Policy": _POLICY.format(nonce=nonce),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


class _Answer:
    """Sends an answer with the headers that every one has, and without a body where only its head was asked for."""

    def __init__(self, send: Send, *, head: bool) -> None:
        self._send, self.head = send, head
        self.nonce = secrets.token_urlsafe(16)
        self.begun = self.complete = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            for name, value in policies(self.nonce).items():
                headers[name] = value
            message = dict(message) | {"headers": headers.raw}
        elif self.head:
            if not self.complete:
                self.complete = True
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            raise _Enough
        await self._send(message)


class _Enough(Exception):
    """Ends an answer whose head was all that was asked for."""


class _Body:
    """Receives a body that may be of so many bytes, whatever it announced."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit = receive, limit
        self._bytes, self.gone = 0, False

    async def receive(self) -> Message:
        message = await self._receive()
        self.gone |= message["type"] == "http.disconnect"
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._limit:
            raise _too_large(self._limit)
        return message


def _too_large(limit: int) -> Problem:
    """A body that is too large; what is left of it is not read."""
    detail = f"The request's body is larger than {limit:,} bytes, which is the most that is taken here."
    return Problem(413, detail, "too-large", {"Connection": "close"})


def _is_own(headers: Headers, host: str) -> bool:
    """Whether no other web page asks: browsers say which one does."""
    site = headers.get("sec-fetch-site")
    ours = {f"http://{host}".lower()} | (
        {"null"} if site == "same-origin" else set()
    )  # null: of a form without referrer
    return site in (None, "none", "same-origin") and {one.lower() for one in headers.getlist("origin")} <= ours


def _unknown(request: Request) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_LOGIN.format(nonce=nonce_of(request)), 401)
    return problem(
        401, "The server asks for its token: Authorization: Bearer TOKEN.", "token", {"WWW-Authenticate": "Bearer"}
    )


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
