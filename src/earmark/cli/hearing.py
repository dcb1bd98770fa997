"""What ``tag`` and ``embed`` share: which models, which files, how to hear, and what is said at the end."""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from earmark.audio.files import Entry, walk
from earmark.cli.console import plain
from earmark.cli.progress import duration, rate
from earmark.errors import EarmarkError, ModelError, StorageError
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction

if TYPE_CHECKING:
    from earmark.models.card import Card

__all__ = [
    "Models",
    "Tally",
    "Wanted",
    "add_hearing",
    "add_jobs",
    "hasher",
    "hear",
    "models_of",
    "settings_of",
    "wanted",
]


@dataclass(frozen=True, slots=True)
class Models:
    """The models that are asked; several are an ensemble.

    Attributes:
        folders: Where they are.
        card: Of the one, or of all together.
        digest: Tells apart models of the same name and version.
    """

    folders: tuple[Path, ...]
    card: Card
    digest: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """The files that get a record, in order, and how many were met that do not."""

    entries: list[Entry]
    others: int


@dataclass(slots=True)
class Tally:
    """What became of the files."""

    heard: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a record as it is written."""
        if "error" in record:
            self.failed[record["error"]["kind"]] += 1
        else:
            self.heard += 1

    @property
    def exit_code(self) -> int:
        """3 where some records are errors."""
        return 3 if self.failed else 0

    def tell(self, verb: str, others: int, kept: int, seconds: float) -> None:
        """Say it on standard error; ``kept`` records are an earlier run's work."""
        done = self.heard + self.failed.total()
        fresh = done - kept
        told = f"{verb} {_songs(self.heard)}"
        if kept:
            told += f", {kept} of the {done} records by an earlier run"
        if fresh and self.heard:
            told += f" in {duration(seconds)} ({rate(fresh, seconds)})"
        print(told, file=sys.stderr)
        if self.failed:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.failed.items()))
            print(f"{self.failed.total()} could not be heard: {kinds}", file=sys.stderr)
        if others:
            print(f"{others} other {'file is' if others == 1 else 'files are'} not audio", file=sys.stderr)


def _songs(count: int) -> str:
    return f"{count} {'song' if count == 1 else 'songs'}"


def add_hearing(parser: argparse.ArgumentParser, models: str = "a model folder or a name; A,B is an ensemble") -> None:
    """Declare what both verbs take."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="audio files, or folders of them")
    parser.add_argument("-m", "--model", default="default", metavar="MODEL", help=f"{models} (default: %(default)s)")
    add_jobs(parser)
    parser.add_argument(
        "--excerpt", type=_excerpt, metavar="SECONDS|whole", help="how much of a song is heard (default: as the model)"
    )


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Declare ``-j``."""
    parser.add_argument("-j", "--jobs", type=_jobs, metavar="N", help="files heard at a time (default: all cores)")


def _jobs(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _excerpt(text: str) -> float | Literal["whole"]:
    if text == "whole":
        return "whole"
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of seconds nor 'whole'")
    return seconds


def hasher() -> Callable[[Path], str]:
    """Content hashes of files, remembered in the cache; where that cannot be written they are found anew."""
    from earmark.datasets.contents import FileIndex, content_hash

    try:
        return FileIndex.open().content_hash
    except StorageError as error:
        print(f"{plain(str(error))}; going on without it", file=sys.stderr)
        return content_hash


def models_of(text: str) -> Models:
    """The models that ``-m`` names.

    Raises:
        EarmarkError: One of them is not there or damaged, or they do not fit together.
    """
    import hashlib

    from earmark.inference.ensemble import joint_card
    from earmark.models.card import read_card
    from earmark.models.folder import find_model

    names = [text] if Path(text).is_dir() else [name.strip() for name in text.split(",")]
    if "" in names:
        raise ModelError(f"-m {text}: a model's name is missing")
    folders = tuple(find_model(name) for name in names)
    cards = [read_card(folder) for folder in folders]
    for folder, card in zip(folders, cards, strict=True):
        if card.frontend is None or card.frontend.kind == "image":
            raise ModelError(f"{folder}: the model {card.id} was trained on images and takes no audio")
    digest = hashlib.sha256(b"".join((folder / "card.json").read_bytes() for folder in folders))
    return Models(folders, joint_card(cards), digest.hexdigest()[:16])


def wanted(paths: Sequence[str]) -> Wanted:
    """The files meant.

    Raises:
        EarmarkError: There is none.
    """
    entries, others = [], 0
    for entry in walk(paths):
        if entry.audio:
            entries.append(entry)
        else:
            others += 1
    if not entries:
        where = ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
        met = f"; {others} other {'file is' if others == 1 else 'files are'} there" if others else ""
        raise EarmarkError(f"no audio file in {plain(where)}{met}")
    return Wanted(entries, others)


def settings_of(models: Models, options: HearingOptions) -> dict[str, Any]:
    """What two runs must share so that one can go on where the other stopped."""
    import earmark

    return {
        "earmark": earmark.__version__,
        "model": f"{models.card.id} {models.digest}",
        "excerpt": options.excerpt,
        "taggram": options.taggram,
        "embedding": options.embedding,
        "layer": options.layer,
        "labels": {head: dict(names) for head, names in options.labels.items()},
    }


def hear(
    models: Models, entries: Sequence[Entry], options: HearingOptions, jobs: int | None
) -> Generator[Prediction | Failure]:
    """One result an entry, in their order. Closing the iterator ends the workers."""
    from earmark.engine.local import predict_files

    paths = (entry.path for entry in entries if entry.error is None)
    workers = min(jobs, len(entries)) if jobs else None
    predictions = predict_files(models.folders, paths, workers=workers, options=options)
    with closing(cast("Generator[Prediction | Failure]", predictions)):
        for entry in entries:
            if entry.error is not None:
                yield Failure.of(entry.error)
                continue
            result = next(predictions, None)
            if result is None:
                raise EarmarkError("the workers ended before the last file; run again with EARMARK_DEBUG=1")
            yield _vanished(result)


def _vanished(result: Prediction | Failure) -> Prediction | Failure:
    """The walk has seen the file: what is missing now went away meanwhile."""
    if isinstance(result, Failure) and result.kind == "missing":
        return Failure(result.path, "vanished", "the file went away while Earmark was at work")
    return result
