"""The library in numbers: how many songs of each genre, mood, decade, energy and length; and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from earmark.app.library import LibraryRequest, chosen_model, opened
from earmark.events import Steps, use_case

if TYPE_CHECKING:
    from earmark.app.session import LibrarySession
    from earmark.library.labels import LabelProbabilities

__all__ = ["Bar", "Statistics", "count_library"]

_STEPS = 10
_MINUTES = (1, 2, 3, 4, 5, 6, 8, 10, 15, 30, 60)


@dataclass(frozen=True, slots=True)
class Bar:
    """How many songs have something."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """A library in numbers.

    Attributes:
        tracks: Files that are there and could be analysed.
        seconds: Their length.
        copies: Files beyond the first of each recording.
        vanished: Files that are not there any more.
        silent: Tracks that are no music.
        genres: Songs by what they are called, the commonest first; where the model is not sure, by its best guess.
        moods: The same.
        decades: Files by the year in their tags, the earliest first; without a year they are not counted.
        years: The same by year.
        energy: Songs by energy, in tenths from 0 to 1.
        minutes: Files by length: under so many minutes ("< 3"), the last at least so many.
        failures: Files that could not be analysed, by kind.
        corrections: Labels of the user's own.
    """

    tracks: int
    seconds: float
    copies: int
    vanished: int
    silent: int
    genres: tuple[Bar, ...]
    moods: tuple[Bar, ...]
    decades: tuple[Bar, ...]
    years: tuple[Bar, ...]
    energy: tuple[Bar, ...]
    minutes: tuple[Bar, ...]
    failures: tuple[Bar, ...]
    corrections: int


@use_case
def count_library(request: LibraryRequest, session: LibrarySession | None = None) -> Steps[Statistics]:
    """Count.

    Raises:
        EarmarkError: There is no library, or it is empty.
    """
    from earmark.library.labels import GENRE, MOOD, LabelProbabilities
    from earmark.library.vectors import read_vectors

    with opened(request.library, session=session) as library:
        model = yield from chosen_model(library, request.model)
        facts, labels = library.facts(), LabelProbabilities(library, model, read_vectors(library, model).audio)
        years = Counter(library.count_years())
        decades: Counter[str] = Counter()
        for year, count in years.items():
            decades[f"{year[:3]}0s"] += count
        return Statistics(
            facts.tracks,
            round(facts.seconds, 1),
            facts.copies,
            facts.vanished,
            facts.silent,
            _named(labels, GENRE),
            _named(labels, MOOD),
            _bars(sorted(decades.items())),
            _bars(sorted(years.items())),
            _energy(labels),
            _minutes(library.count_minutes(_MINUTES)),
            _bars(Counter(one.error or "" for one in library.failures()).most_common()),
            sum(len(one) for one in library.labels().values()),
        )


def _named(labels: LabelProbabilities, kinds: tuple[str, ...]) -> tuple[Bar, ...]:
    from earmark.library.labels import main_head

    head = main_head(labels.heads.values(), kinds)
    if head is None:
        return ()
    return _bars(Counter(name for name in labels.best(head.name)[0] if name is not None).most_common())


def _energy(labels: LabelProbabilities) -> tuple[Bar, ...]:
    import numpy as np

    if "energy" not in labels.heads or labels.heads["energy"].task != "regression":
        return ()
    steps = np.clip(np.nan_to_num(labels.numbers("energy")) * _STEPS, 0, _STEPS - 1).astype(int)
    counts = np.bincount(steps, minlength=_STEPS).tolist()
    return tuple(Bar(f"{step / _STEPS:.1f}", count) for step, count in enumerate(counts))


def _minutes(counts: list[int]) -> tuple[Bar, ...]:
    names = [*(f"< {minutes}" for minutes in _MINUTES), f"≥ {_MINUTES[-1]}"]
    return _bars(zip(names, counts, strict=True))


def _bars(counts: Iterable[tuple[str, int]]) -> tuple[Bar, ...]:
    return tuple(Bar(name, count) for name, count in counts)
