"""A worker process: hears one file at a time, so that a decoder that crashes or hangs takes only that file with it.

It speaks pickles with the process that started it (:mod:`earmark.engine.local`): over its standard input come the
setting-up and then one path at a time; over a private copy of its standard output go answers. Decoders may print what
they like on the real one.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from earmark.errors import AudioError, EarmarkError
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction

__all__ = ["main"]


def main() -> None:
    """Serve the process at the other end of standard input until it closes it."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    questions: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, questions), daemon=True).start()
    models, options = questions.get()
    try:
        hear = _hearer(models, options, lambda: _send(answers, ("alive", None)))
        _send(answers, ("ready", None))
        while True:
            _send(answers, ("done", _guarded(hear, questions.get())))
    except EarmarkError as error:  # about the model or what is asked of it: the same for every file
        _send(answers, ("refused", (type(error).__name__, str(error))))


def _listen(stream: IO[bytes], questions: queue.Queue[Any]) -> None:
    """Queue what comes in; when the other end is gone, end at once, whatever a decoder is doing."""
    try:
        while True:
            questions.put(pickle.load(stream))
    except (EOFError, OSError, pickle.UnpicklingError):
        os._exit(0)


def _send(stream: IO[bytes], message: tuple[str, Any]) -> None:
    try:
        pickle.dump(message, stream)
        stream.flush()
    except OSError:
        os._exit(0)


def _hearer(models: list[Path], options: HearingOptions, alive: Callable[[], None]) -> Callable[[str], Prediction]:
    from dataclasses import replace

    from earmark.inference.ensemble import combine, joint_card
    from earmark.inference.labels import relabel
    from earmark.inference.tagger import load_model

    taggers = [load_model(model) for model in models]
    for tagger in taggers:
        tagger.check_layer(options.layer)  # loads the network now, so that what is wrong is said now
    if len(taggers) == 1:
        return lambda path: taggers[0].predict(path, options=options, progress=alive)
    card, plain = joint_card([tagger.card for tagger in taggers]), replace(options, labels={})

    def together(path: str) -> Prediction:
        said = [tagger.predict(path, options=plain, progress=alive) for tagger in taggers]
        return relabel(combine(said, card), card, options.labels)

    return together


def _guarded(hear: Callable[[str], Prediction], path: str) -> Prediction | Failure:
    try:
        return hear(path)
    except AudioError as error:
        return Failure(path, error.kind, error.message)
    except OSError as error:
        from earmark.audio.decode import failure_kind

        return Failure(path, failure_kind(error), error.strerror or str(error))
    except MemoryError:
        return Failure(path, "crash", "out of memory")
    except EarmarkError:
        raise
    except Exception as error:  # a fault of ours must not take the run with it; the record names it
        if os.environ.get("EARMARK_DEBUG"):
            raise
        return Failure(path, "crash", f"{type(error).__name__}: {error}"[:300])


if __name__ == "__main__":
    main()
