"""A use case in a process of its own: a server that is asked to train keeps its memory, and may itself be killed.

The child gets the request as a pickle on its standard input and sends events back on a private copy of its standard
output; it ends, as on Ctrl-C, when its standard input is closed: what is done by then is kept.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import earmark
from earmark.errors import Cancelled, EarmarkError
from earmark.events import Event, Notice, Progress, Run, Steps, use_case

__all__ = ["in_child", "main"]

_LOOK = 0.5  # seconds until it is looked whether the work is wanted still
_NICER = 5  # who waits for an answer of the server goes first
_LAST_WORDS = 20.0  # seconds that a child gets to end by itself


@use_case
def in_child(work: Callable[[Any], Run[Any]], request: Any, describe: Callable[[Any], Any]) -> Steps[Any]:
    """Run a use case in a new process, with its progress and its notices.

    Args:
        work: The use case: a function of a module.
        request: What it is asked.
        describe: Makes of its result what comes back; runs in the child, and is a function of a module, too.

    Raises:
        EarmarkError: What the work raises, or the process died.
    """
    last = Progress(0, stage="starting", unit="steps")
    yield last
    child = _Child((work, request, describe))
    try:
        while True:
            try:
                kind, content = child.messages.get(timeout=_LOOK)
            except queue.Empty:
                yield last  # who follows may cancel here
                continue
            if kind == "event":
                last = content if isinstance(content, Progress) else last
                yield content
            elif kind == "result":
                return content
            else:
                raise content
    finally:
        child.end()


class _Child:
    """The process, and what comes from it: pairs of kind and content."""

    def __init__(self, asked: tuple[Any, ...]) -> None:
        package = str(Path(earmark.__file__).parent.parent)
        code = f"import sys; sys.path.insert(0, {package!r}); from earmark.app.child import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],  # -P: modules in the user's current folder are not ours to import
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("EARMARK_DEBUG") else subprocess.DEVNULL,
        )
        self.messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        assert self._process.stdin is not None
        with suppress(OSError):  # it died: the reader says so
            pickle.dump(asked, self._process.stdin)
            self._process.stdin.flush()
        threading.Thread(target=self._read, name="earmark-child", daemon=True).start()

    def end(self) -> None:
        """Let it end by itself, and if it does not, end it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with stream:
            try:
                while True:
                    self.messages.put(pickle.load(stream))
            except (EOFError, OSError, pickle.UnpicklingError):
                code = self._process.wait()
                why = f"by signal {-code}" if code < 0 else f"with code {code}"
                lost = EarmarkError(f"the process that did the work ended {why}, perhaps for want of memory; try again")
                self.messages.put(("error", lost))
            except Exception as error:  # whatever a pickle's own classes raise
                why = " ".join(str(error).split()) or type(error).__name__
                unread = EarmarkError(f"what the process that does the work sends cannot be read ({why}); try again")
                self.messages.put(("error", unread))


def main() -> None:
    """Do what standard input asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks ends us by closing our input
    if hasattr(os, "nice"):
        os.nice(_NICER)
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def send(kind: str, content: Any) -> None:
        message = pickle.dumps((kind, content))
        try:
            stream.write(message)
            stream.flush()
        except OSError:
            os._exit(0)  # nobody reads any more

    work, request, describe = pickle.load(sys.stdin.buffer)
    run: Run[Any] = work(request)
    threading.Thread(target=_cancel_at_end, args=(run,), daemon=True).start()
    try:
        for event in run:
            if isinstance(event, Progress | Notice):
                send("event", _plain(event))
        send("result", describe(run.result))
    except Cancelled as error:
        send("error", error)
    except EarmarkError as error:
        send("error", error)
    except Exception as error:
        send("error", EarmarkError(f"something unexpected went wrong: {' '.join(str(error).split())}"))


def _plain(event: Event) -> Event:
    """An event without arrays of a library that the other end would have to import."""
    if isinstance(event, Progress):
        facts = {str(name): float(value) for name, value in event.facts.items()}
        return Progress(event.done, event.total, event.stage, event.unit, facts)
    return event


def _cancel_at_end(run: Run[Any]) -> None:
    """Cancel the work when the other end closes our input: it wants no more, or is no more."""
    sys.stdin.buffer.read()
    run.cancel()


if __name__ == "__main__":
    main()
