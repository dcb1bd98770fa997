"""What a scan's workers do: a file's tags, its key, what a model says of it; and whether two are one recording."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from earmark.analyses.facts import Feature
from earmark.analyses.measure import Measuring
from earmark.audio.identity import same_recording
from earmark.audio.track import open_track
from earmark.engine import TOGETHER, Alive, Task
from earmark.errors import AudioError
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction
from earmark.tags.read import artist_and_album, read_tags
from earmark.text import plain_text

if TYPE_CHECKING:
    from earmark.inference.tagger import Work

__all__ = ["PASSING", "Compare", "Item", "Measure", "Open", "Opened", "Pair", "ToMeasure", "gone", "tags_of"]

PASSING = ("missing", "permission", "vanished", "io", "crash", "timeout")
"""Failures that say nothing of the file itself: it is tried again, and what is known of it still holds."""

_SAME_LENGTH = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Item:
    """A file to open.

    Attributes:
        path: Where it is.
        work: ``analyse`` it, unless it holds a known recording; ``again``: even then; ``identify`` it: its key and tags
            alone; or read its ``tags``.
        seconds: Of ``identify``: where the file turns out to be of another length it is analysed.
    """

    path: str
    work: Literal["analyse", "again", "identify", "tags"] = "analyse"
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """What was found in a file.

    Attributes:
        tags: What it says of itself.
        prediction: With heads where it was analysed, and with its key alone where it need not be.
        audio: Row of the known recording that it holds, or None.
        proven: Whether that was compared to the last sample.
    """

    tags: Mapping[str, str]
    prediction: Prediction | None = None
    audio: int | None = None
    proven: bool = False


@dataclass(frozen=True, slots=True)
class Open(Task[Item, Opened]):
    """Open a file, and analyse it unless it holds a recording that is known.

    Attributes:
        model: The model's folder.
        layer: That gives the embeddings; "" is the network's own.
        known: By key, the recordings (rows) that have it, each with a file that holds it, to be compared to the last
            sample; "" where there is none to compare with.
        stamp: When the model was written: a folder that was written anew is another model.
        features: That are measured beside.
    """

    batch = TOGETHER
    network = True

    model: Path
    layer: str
    known: Mapping[str, Mapping[int, str]]
    stamp: int
    features: tuple[str, ...] = ()

    def start(self, alive: Alive) -> Callable[[Sequence[Item]], list[Opened | Exception]]:
        """Load the model (ModelError, UnknownName)."""
        from earmark.inference.tagger import load_model

        tagger, layer = load_model(self.model), self.layer or None
        tagger.check_layer(layer)  # loads the network now, so that what is wrong shows now
        options = HearingOptions(embedding=True, clips=True, content_hash=True, layer=layer, features=self.features)

        def predict(path: str, known: frozenset[str]) -> Work[Prediction]:
            return tagger.predicting(path, None, replace(options, known=known), alive)

        def opened(item: Item) -> Work[Opened]:
            tags = tags_of(item.path)
            if item.work == "tags":
                return Opened(tags)
            if item.work == "identify":
                found = yield from predict(item.path, _Everything())
                if abs(found.seconds - item.seconds) < _SAME_LENGTH:
                    return Opened(tags, found)
            found = yield from predict(item.path, frozenset(() if item.work == "again" else self.known))
            if found.heads:
                return Opened(tags, found)
            for audio, other in self.known[found.content_hash or ""].items():
                if not other or _same_recording(item.path, other, alive):
                    return Opened(tags, found, audio, proven=bool(other))
            return Opened(tags, (yield from predict(item.path, frozenset())))

        return lambda items: tagger.together(map(opened, items), layer)


@dataclass(frozen=True, slots=True)
class ToMeasure:
    """A file of a known recording, and the features of it that are not known."""

    path: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure(Task[ToMeasure, Mapping[str, Feature]]):
    """Measure features that need the audio; no network is loaded or run."""

    def start(self, alive: Alive) -> Callable[[ToMeasure], Mapping[str, Feature]]:
        """Nothing to get ready."""

        def measured(item: ToMeasure) -> Mapping[str, Feature]:
            with open_track(item.path, alive=alive) as opened:
                return Measuring(item.features).results(opened, alive)

        return measured


@dataclass(frozen=True, slots=True)
class Pair:
    """A file, and files that share its key."""

    path: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compare(Task[Pair, int | None]):
    """Find the first of some files that holds the same recording: its place, or None."""

    def start(self, alive: Alive) -> Callable[[Pair], int | None]:
        """Nothing to get ready."""

        def first(pair: Pair) -> int | None:
            for place, other in enumerate(pair.others):
                if _same_recording(pair.path, other, alive):
                    return place
            return None

        return first


def gone(failure: Failure) -> Failure:
    """The scan has seen the file: what is missing now went away meanwhile."""
    if failure.kind != "missing":
        return failure
    return replace(failure, kind="vanished", message="the file went away during the scan")


class _Everything(frozenset[str]):
    """Contains every key."""

    def __contains__(self, key: object) -> bool:
        return True


def _same_recording(path: str, other: str, alive: Alive) -> bool:
    """Whether two files hold the same audio; where the other cannot be read just now, nobody knows, and no is safe."""
    try:
        return path == other or same_recording(path, other, alive)
    except AudioError as error:
        if error.path == path:
            raise
        return False


def tags_of(path: str) -> dict[str, str]:
    """What the file says of itself."""
    tags = read_tags(Path(path))
    artist, album = artist_and_album(tags)
    year = (*tags.get("year", ()), *tags.get("date", ()), "")[0]
    found = re.search(r"\d{4}", year)
    own = {
        "artist": artist,
        "title": (*tags.get("title", ()), "")[0],
        "album": album,
        "year": found[0] if found else year,
        "genre": ";".join(tags.get("genre", ())),
    }
    return {name: plain_text(text) for name, text in own.items()}
