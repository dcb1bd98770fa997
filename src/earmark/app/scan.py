"""Scan folders into the library; again: only what changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.app.library import opened
from earmark.app.playlist import refresh_playlists
from earmark.app.selection import EngineOptions, chosen_features, label_table, one_model, opened_engine
from earmark.errors import EarmarkError
from earmark.events import Notice, Steps, use_case

if TYPE_CHECKING:
    from earmark.engine import Engine
    from earmark.library.records import LibraryModel
    from earmark.library.store import Library

__all__ = ["ScanRequest", "ScanResult", "scan"]


@dataclass(frozen=True, kw_only=True)
class ScanRequest(EngineOptions):
    """What to scan, and how.

    Attributes:
        folders: Of music; all that were scanned before where there are none.
        library: The library's file; the one in the user's data folder where None.
        model: A model folder or name.
        layer: This layer of the network gives the embeddings, instead of its last.
        labels: A file with the user's own names of labels.
        force: Analyse unchanged files again.
        exclude: Patterns of files that are left out.
        features: Whether songs get tempo, key, loudness and further numbers, where they have none yet.
        only_features: These of them alone, by name.
    """

    folders: tuple[str, ...] = ()
    library: str | None = None
    model: str = "default"
    layer: str | None = None
    labels: str | None = None
    force: bool = False
    exclude: tuple[str, ...] = ()
    features: bool = False
    only_features: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScanResult:
    """What became of the files.

    Attributes:
        file: The library.
        analysed: Tracks that the model analysed now.
        known: Tracks whose audio was known, under another name or with other tags.
        unchanged: Tracks that were not opened, or in which nothing that counts had changed.
        scored: Tracks that got scores of new heads by stored embeddings.
        moved: Tracks found under another name; they are among ``known`` or ``unchanged``.
        measured: Recordings that got features.
        vanished: Tracks newly marked as not there any more.
        failed: Files that could not be analysed now, by kind.
        unplugged: Tracks below a folder that cannot be seen just now; nothing is changed about them.
        tracks: That the library holds now.
        silent: Of them, those without any sound.
        failures: Files of the library that could not be analysed, ever.
        seconds: That the scan took.
    """

    file: Path
    analysed: int
    known: int
    unchanged: int
    scored: int
    moved: int
    measured: int
    vanished: int
    failed: Mapping[str, int]
    unplugged: int
    tracks: int
    silent: int
    failures: int
    seconds: float


@use_case
def scan(request: ScanRequest, engine: Engine | None = None) -> Steps[ScanResult]:
    """Scan; what is done when it is stopped is in the library, and the next scan goes on.

    Args:
        request: What to scan.
        engine: Does the work; one of ``request.jobs`` workers where None.

    Yields:
        The path of each file that was opened, and is in the library now.

    Raises:
        EarmarkError: The library, the model or a folder cannot be used, or another scan is at work.
    """
    from earmark.library.options import ScanOptions
    from earmark.library.scan import only_one, real_root, scan_folders
    from earmark.library.vectors import keep_index

    model, start = _model(request), time.monotonic()
    features = chosen_features(request.features, request.only_features)
    options = ScanOptions(force=request.force, exclude=request.exclude, features=features)
    named = list(dict.fromkeys(map(real_root, request.folders)))
    with (
        opened(request.library, write=True, make=True) as library,
        only_one(library.file),
        opened_engine(engine, request) as workers,
    ):
        roots = named or (yield from _known_roots(library))
        done = yield from scan_folders(library, roots, model, workers, options)
        yield from keep_index(library, done.model, scanning=True)
        yield from map(Notice, workers.notices)
        if done.analysed or done.known or done.scored or done.moved or done.measured or done.vanished:
            yield from refresh_playlists(library, workers)
        held = library.facts()
        return ScanResult(
            library.file,
            done.analysed,
            done.known,
            done.unchanged,
            done.scored,
            done.moved,
            done.measured,
            done.vanished,
            dict(sorted(done.failed.items())),
            done.unplugged,
            held.tracks,
            held.silent,
            held.failures,
            time.monotonic() - start,
        )


def _model(request: ScanRequest) -> LibraryModel:
    from earmark.library.records import LibraryModel

    models = one_model(request.model)
    labels = label_table(request.labels, models.card)
    model = LibraryModel.of(models.folders[0], models.card, request.layer or "", labels)
    if request.layer is None:
        return model
    from earmark.inference.tagger import load_model

    tagger = load_model(models.folders[0], "cpu")  # for the layer's name and width
    # A head's hidden layer is made by the head, so that a model of other heads does not share it.
    shared = model.backbone if request.layer in tagger.network.layers else ""
    return replace(model, dimensions=tagger.dimensions(request.layer), backbone=shared)


def _known_roots(library: Library) -> Steps[list[str]]:
    """All folders scanned before that can be seen; one that is not there changes nothing."""
    known = library.roots()
    if not known:
        raise EarmarkError("nothing was scanned before: name a folder, `earmark scan FOLDER`")
    found = [root for root in known if Path(root).exists()]
    for root in known:
        if root not in found:
            yield Notice(f"{root} is not there just now; its songs stay as they are.")
    if not found:
        raise EarmarkError("none of the scanned folders is there just now; nothing is changed")
    return found
