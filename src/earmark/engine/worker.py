"""A worker process: does one item after the other, so that a decoder that crashes or hangs takes only its file along.

It speaks pickles with the process that started it (:mod:`earmark.engine.local`): over its standard input come tasks
and items; over a private copy of its standard output go values. Decoders may print what they like on the real one.
"""

from __future__ import annotations

import importlib
import os
import pickle
import queue
import signal
import sys
import threading
import time
from typing import IO, Any

from earmark.engine.base import Started
from earmark.errors import EarmarkError
from earmark.models.device import may_use_gpu

__all__ = ["main"]

Request = tuple[int, bytes | None, bytes]
"""A task's key, the task where it is not started yet, and a list of items; pickled."""

_BETWEEN = 0.1  # seconds between two signs of life, at least


def main(preload: str = "") -> None:
    """Serve the process at the other end of standard input until it closes it.

    Args:
        preload: A module to import while nothing is asked yet.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks ends its workers itself
    sender = _Sender(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    if may_use_gpu():
        _pass_on_notices(sender)
    started = Started(sender.alive)
    if preload:
        importlib.import_module(preload)
    while True:
        try:
            sender.send("done", _answer(started, sender, *requests.get()))
        except EarmarkError as error:
            sender.send("refused", error)


def _answer(started: Started, sender: _Sender, key: int, pickled: bytes | None, items: bytes) -> list[Any]:
    work = started.get(key) if pickled is None else started.start(key, pickled)
    assert work is not None, "the other end knows which tasks are kept"
    if pickled is not None:
        sender.send("ready", None)
    return work(pickle.loads(items))


class _Sender:
    """The way back, which signs of life go too."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._last = 0.0

    def send(self, kind: str, content: Any) -> None:
        """Send a message as a whole; end where nobody reads any more."""
        try:
            message = pickle.dumps((kind, content))
        except Exception as error:
            message = pickle.dumps(("refused", EarmarkError(f"A value cannot leave its worker: {error}")))
        try:
            self._stream.write(message)
            self._stream.flush()
        except OSError:
            os._exit(0)

    def alive(self) -> None:
        """Say that the item is being worked on, but not too often."""
        if time.monotonic() - self._last > _BETWEEN:
            self._last = time.monotonic()
            self.send("alive", None)


def _pass_on_notices(sender: _Sender) -> None:
    """What a network logs of the device that it runs on goes to whoever asks."""
    import logging  # not where there is nothing to say: it takes a while

    def pass_on(record: logging.LogRecord) -> bool:
        sender.send("notice", record.getMessage())
        return False

    logger = logging.getLogger("earmark.models.network")
    logger.setLevel(logging.INFO)
    logger.addFilter(pass_on)


def _listen(stream: IO[bytes], requests: queue.SimpleQueue[Request]) -> None:
    """Queue what comes in; when the other end is gone, end at once, whatever a decoder is doing."""
    try:
        while True:
            requests.put(pickle.load(stream))
    except (EOFError, OSError, pickle.UnpicklingError):
        os._exit(0)


if __name__ == "__main__":
    main()
