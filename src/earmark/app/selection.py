"""What a request names: which models, which files, whose names of labels."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from earmark.analyses.facts import choose
from earmark.audio.files import Entry, walk
from earmark.errors import EarmarkError, ModelError
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction
from earmark.models.device import Device

if TYPE_CHECKING:
    from earmark.engine import Engine
    from earmark.inference.options import LabelTable
    from earmark.models.card import Card

__all__ = [
    "EngineOptions",
    "Files",
    "Models",
    "chosen_features",
    "find_files",
    "find_models",
    "for_songs",
    "label_table",
    "one_model",
    "opened_engine",
    "predict",
    "settings_of",
]


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Who does the work.

    Attributes:
        jobs: Files at a time; as many as there are cores, or CPUs of a cluster, where None.
        engine: ``local`` processes, or a cluster of ``ray``.
        address: Of the cluster; see :class:`earmark.engine.cluster.RayEngine`.
        device: What networks run on; ``auto`` takes a GPU where there is one that works.
    """

    jobs: int | None = None
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    device: Device = "auto"


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
class Files:
    """The files that get a record, in order, and how many were met that do not."""

    entries: tuple[Entry, ...]
    others: int

    @property
    def paths(self) -> list[str]:
        """One a record."""
        return [entry.path for entry in self.entries]


def find_models(text: str) -> Models:
    """The models that one argument names, which must take audio.

    Raises:
        EarmarkError: One of them is not there or damaged, or they do not fit together.
    """
    from earmark.inference.ensemble import joint_card
    from earmark.models import registry
    from earmark.models.card import read_card

    folders = registry.find_models(text)
    cards = [read_card(folder) for folder in folders]
    for folder, card in zip(folders, cards, strict=True):
        if card.frontend is None or card.frontend.kind == "image":
            raise ModelError(f"{folder}: the model {card.id} was trained on images and takes no audio")
    return Models(folders, joint_card(cards), "+".join(card.digest for card in cards))


def one_model(text: str) -> Models:
    """One model, for its embeddings.

    Raises:
        EarmarkError: It is not there or damaged, or there are several.
    """
    models = find_models(text)
    if len(models.folders) > 1:
        raise EarmarkError(f"{text}: embeddings of several models do not mix; give one model")
    return models


def label_table(file: str | None, card: Card) -> LabelTable:
    """The user's own names of labels, from a file; none where there is no file."""
    from earmark.inference.labels import read_labels

    return read_labels(Path(file), card) if file else {}


def find_files(paths: Sequence[str], exclude: Sequence[str] = ()) -> Files:
    """The files meant, without those that a pattern of ``exclude`` names.

    Raises:
        EarmarkError: There is none.
    """
    entries, others = [], 0
    for entry in walk(paths, exclude):
        if entry.audio:
            entries.append(entry)
        else:
            others += 1
    if not entries:
        where = ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
        met = f"; {others} other {'file is' if others == 1 else 'files are'} there" if others else ""
        raise EarmarkError(f"no audio file in {where}{met}")
    return Files(tuple(entries), others)


@contextmanager
def opened_engine(engine: Engine | None, options: EngineOptions | None = None) -> Iterator[Engine]:
    """The engine that a use case was given, or else one of its own, for as long as the case takes.

    Raises:
        EarmarkError: There is no Ray, or no cluster at the address.
    """
    if engine is not None:
        yield engine
        return
    options, preload = options or EngineOptions(), "earmark.inference.tagger"
    own: Engine
    if options.engine == "ray":
        from earmark.engine.cluster import RayEngine

        own = RayEngine(options.address, options.jobs, preload=preload, device=options.device)
    elif options.address:
        raise EarmarkError("--address is for --engine ray")
    else:
        from earmark.engine import LocalEngine

        own = LocalEngine(options.jobs, preload=preload, device=options.device)
    with own:
        yield own


def for_songs(device: Device) -> Device:
    """What runs networks over a data set's songs where PyTorch trains on a device: ONNX Runtime may have none."""
    return "cpu" if device == "cpu" else "auto"


def predict(
    engine: Engine, models: Models, entries: Sequence[Entry], options: HearingOptions
) -> Generator[Prediction | Failure]:
    """One result an entry, in their order. Closing the iterator ends the work."""
    from earmark.engine import Analyse, analyse

    paths = (entry.path for entry in entries if entry.error is None)
    with closing(analyse(engine, Analyse.of(models.folders, options, models.digest), paths)) as predictions:
        for entry in entries:
            yield Failure.of(entry.error) if entry.error is not None else _vanished(next(predictions))


def chosen_features(every: bool, only: Sequence[str]) -> tuple[str, ...]:
    """The features that are asked for: those named, else all, else none (UnknownName)."""
    return choose(only or None) if only or every else ()


def settings_of(models: Models, options: HearingOptions) -> dict[str, Any]:
    """What two runs must share so that one can go on where the other stopped."""
    import earmark

    return {
        "earmark": earmark.__version__,
        "model": f"{models.card.id} {models.digest}",
        "excerpt": options.excerpt,
        "taggram": options.taggram,
        "why": options.why,
        "features": list(options.features),
        "embedding": options.embedding,
        "layer": options.layer,
        "labels": {head: dict(names) for head, names in options.labels.items()},
    }


def _vanished(result: Prediction | Failure) -> Prediction | Failure:
    """The walk has seen the file: what is missing now went away meanwhile."""
    if isinstance(result, Failure) and result.kind == "missing":
        return Failure(result.path, "vanished", "the file went away while Earmark was at work")
    return result
