"""What the corrections did to the honest score: measured on the files' own tags, with and without the corrections."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from earmark.app.library import LibraryRequest, opened
from earmark.events import Steps, use_case

if TYPE_CHECKING:
    from collections.abc import Generator

    from earmark.app.session import LibrarySession
    from earmark.events import Event

__all__ = ["Effect", "describe", "measure_effect", "measured_effect"]

_FACT = "effect of corrections"


@dataclass(frozen=True)
class Effect:
    """What corrections did.

    Attributes:
        heads: By head, as ``train --from-library`` tells it: ``tracks``, ``changed``, ``added``; ``figure`` ``with``
            and ``without`` corrections, ``difference``, ``ci95``, ``p``, ``test_tracks``; and ``note``.
        measured: When, seconds since 1970.
        current: Whether corrections are still those that it was measured with.
    """

    heads: Mapping[str, Mapping[str, Any]]
    measured: float
    current: bool


def describe(effect: Effect) -> dict[str, Any]:
    """For machines."""
    return asdict(effect)


@use_case
def measure_effect(request: LibraryRequest) -> Steps[Effect]:
    """Measure it, and keep it in the library.

    Two heads are trained on the genre tags of the library's songs by their stored embeddings, one with the corrections
    and one without, and both are scored on the same songs of artists that neither knows.

    Raises:
        EarmarkError: There are no corrections, or too few tags to score on.
    """
    from earmark.app.train import TrainRequest, train

    with opened(request.library) as library:
        version = library.corrections_version()
    with tempfile.TemporaryDirectory(prefix="earmark-", ignore_cleanup_errors=True) as folder:
        output = str(Path(folder) / "with")
        run = train(TrainRequest(output=output, library=request.library, from_tags=True, from_library=True))
        with closing(cast("Generator[Event]", iter(run))) as events:
            yield from events
    effect = Effect(run.result.corrections or {}, time.time(), current=True)
    with opened(request.library, write=True) as library, library.change():
        library.set_fact(_FACT, {"heads": effect.heads, "measured": effect.measured, "version": version})
    return effect


@use_case
def measured_effect(request: LibraryRequest, session: LibrarySession | None = None) -> Steps[Effect | None]:
    """What was measured last; None where nothing was."""
    yield from ()
    with opened(request.library, session=session) as library:
        known = library.fact(_FACT)
        if known is None:
            return None
        return Effect(known["heads"], known["measured"], current=known["version"] == library.corrections_version())
