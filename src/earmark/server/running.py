"""The server as it runs: a socket that is ours before anything else begins, and an end in order."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from earmark.errors import EarmarkError
from earmark.server.application import ServerOptions, create_application
from earmark.server.problems import problem
from earmark.server.safety import policies
from earmark.storage import plain_reason

__all__ = ["Server", "listen"]

_SECONDS_TO_END = 3


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes one that is free.

    Raises:
        EarmarkError: The port is taken, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        try:
            if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows lets two programs share a port otherwise
                found.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(2048)
        except BaseException:
            found.close()
            raise
    except (OSError, OverflowError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            message = (
                f"port {port} of {host} is taken by another program; choose another by --port, or end that program"
            )
            raise EarmarkError(message) from error
        why = plain_reason(error) if isinstance(error, OSError) else str(error)
        raise EarmarkError(f"cannot listen on port {port} of {host}: {why}") from error
    return found


class Protocol(H11Protocol):
    """HTTP/1.1 whose own refusals, of what is no HTTP, carry the same headers as every answer."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what could not be read as a request."""
        refusal = problem(400, msg, "http", policies("none") | {"Connection": "close"})
        head = h11.Response(status_code=400, headers=refusal.raw_headers, reason=b"Bad Request")
        for event in (head, h11.Data(data=bytes(refusal.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class Server(uvicorn.Server):
    """Serves until it is told to end by SIGINT or SIGTERM, and then ends in order.

    Args:
        options: How to serve; the port is that of the socket.
        listener: Where to serve.

    Attributes:
        url: Where the page is.
        answers: Is set once requests are answered.
    """

    def __init__(self, options: ServerOptions, listener: socket.socket) -> None:
        options = replace(options, port=listener.getsockname()[1])
        self._listener, self.answers = listener, asyncio.Event()
        host = f"[{options.host.strip('[]')}]" if ":" in options.host else options.host
        self.url = f"http://{host}:{options.port}/"
        config = uvicorn.Config(
            create_application(options),
            http=Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_SECONDS_TO_END,
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self.answers.set()

    async def run_until_told(self) -> None:
        """Serve."""
        await self.serve([self._listener])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal ends the server in order, and nothing else."""
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
