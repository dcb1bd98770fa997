"""Data sets: tracks with labels, read from folders, tables, spectrogram images or published corpora."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

from earmark.audio.files import matcher
from earmark.datasets.core import Dataset, HeadSpec, Track
from earmark.datasets.reading import (
    list_readers,
    own_heads,
    own_split,
    read_manifest,
    reader_module,
    refuse_corpus,
    run_reader,
)
from earmark.errors import DatasetError, UnknownName

__all__ = ["Dataset", "HeadSpec", "Track", "list_readers", "load_dataset", "without_files", "without_label"]


def load_dataset(path: str | Path, *, heads: Sequence[str] | None = None, training: bool = False) -> Dataset:
    """Read a data set: a folder with ``dataset.toml`` (or that file itself), or a folder of class folders.

    Args:
        path: The folder.
        heads: Only these, in this order; all of them if not given.
        training: Whether rare labels (``min_tracks``) are left out of the vocabulary, which counts at training only.

    Raises:
        DatasetError: The data set cannot be read; names file, line or key.
        UnknownName: A head that it does not have.
    """
    path = Path(path)
    manifest = path if path.suffix.lower() == ".toml" and path.is_file() else path / "dataset.toml"
    if manifest.is_file():
        dataset, options = _described(manifest)
    elif path.is_dir():
        refuse_corpus(path)
        dataset, options = run_reader("folder", path, {}, str(path)), {}
    else:
        what = "a file, not a folder with class folders or a dataset.toml" if path.exists() else "no such folder"
        raise DatasetError(f"{path}: {what}")
    if training:
        dataset = _without_rare(dataset, options)
    return dataset if heads is None else _only(dataset, heads)


def without_files(dataset: Dataset, exclude: Sequence[str]) -> Dataset:
    """The data set without the files that patterns name (those of ``tag --exclude``), and labels that only they had.

    Raises:
        DatasetError: No track is left.
    """
    if not exclude:
        return dataset
    leaves_out = matcher(exclude)
    kept = [row for row, track in enumerate(dataset.tracks) if not leaves_out(dataset.root, track.path)]
    if not kept:
        raise DatasetError(f"{dataset.name}: the patterns {', '.join(exclude)} leave no track")
    notice = f"{len(dataset.tracks) - len(kept)} files are left out by {', '.join(exclude)}."
    dataset = dataset.without_labels(dataset.lost_labels(None, kept))
    return replace(dataset.subset(kept), notices=(*dataset.notices, notice))


def without_label(dataset: Dataset, head: str, label: str) -> Dataset:
    """The data set without one label: it leaves the vocabulary, and tracks of it (multi-class) leave the data set.

    Raises:
        UnknownName: No such head, or no such label.
    """
    if head not in {spec.name for spec in dataset.heads}:
        raise UnknownName("head", head, [spec.name for spec in dataset.heads])
    if label not in dataset.head(head).labels:
        raise UnknownName(f"label of head {head!r}", label, dataset.head(head).labels)
    tracks = tuple(track for track in dataset.tracks if track.labels.get(head) != label)
    return replace(dataset.without_labels({head: (label,)}), tracks=tracks)


def _described(manifest: Path) -> tuple[Dataset, Mapping[str, Any]]:
    table = read_manifest(manifest)
    where = str(manifest)
    common = {key: table.pop(key) for key in ("name", "path", "licence", "citation", "reader") if key in table}
    for key, value in common.items():
        if not isinstance(value, str):
            raise DatasetError(f"{where}: {key} = {value!r}: must be text")
    if "reader" in common and "table" in table and common["reader"] != "table":
        raise DatasetError(f"{where}: reader and table exclude each other")
    if "reader" not in common and "table" not in table:
        known = [key for key in table if key.casefold() in ("tabel", "tables", "file", "csv", "tsv", "readers")]
        hint = f"; did you mean table by {known[0]!r}?" if known else ""
        raise DatasetError(f"{where}: neither table nor reader is given{hint}")
    reader = common.get("reader", "table")
    root = manifest.parent / common.get("path", "")
    if not root.is_dir():
        raise DatasetError(f"{where}: path = {common.get('path')!r}: no such folder")
    module = reader_module(reader, where)
    own = _own_of(table, module, where) if module.CITATION else {}
    dataset = run_reader(reader, root, {key: value for key, value in table.items() if key not in own}, where)
    if "split" in own:
        dataset = own_split(dataset, own["split"], where)
    if "heads" in own:
        dataset = own_heads(dataset, own["heads"], where)
    return replace(
        dataset,
        name=common.get("name", reader if module.CITATION else dataset.name),
        licence=common.get("licence", module.LICENCE),
        citation=common.get("citation", module.CITATION),
    ), table


def _own_of(table: Mapping[str, Any], module: ModuleType, where: str) -> dict[str, Any]:
    """The keys of a dataset.toml that every published corpus knows and its reader does not."""
    found = {}
    if "heads" in table:
        found["heads"] = table["heads"]
        if not isinstance(found["heads"], Mapping):
            raise DatasetError(f"{where}: heads must be tables: [heads.NAME]")
    split, known = table.get("split"), signature(module.load).parameters.get("split")
    if split is not None and (known is None or (isinstance(split, str) and isinstance(known.default, int))):
        found["split"] = split
    return found


def _without_rare(dataset: Dataset, options: Mapping[str, Any]) -> Dataset:
    rare: dict[str, list[str]] = {}
    notices = list(dataset.notices)
    for spec in dataset.heads:
        minimum, counts = options.get("heads", {}).get(spec.name, {}).get("min_tracks", 0), dataset.counts(spec.name)
        rare[spec.name] = [label for label in spec.labels if counts[label] < minimum]
        if rare[spec.name]:
            few = f"{len(rare[spec.name])} of {len(spec.labels)} labels have fewer than {minimum} tracks"
            notices.append(f"{spec.name}: {few}: left out")
    return replace(dataset.without_labels(rare), notices=tuple(notices))


def _only(dataset: Dataset, heads: Sequence[str]) -> Dataset:
    known = {spec.name: spec for spec in dataset.heads}
    for name in heads:
        if name not in known:
            raise UnknownName("head", name, known)
    if not heads:
        raise DatasetError(f"{dataset.name}: no head is chosen; it has: {', '.join(known)}")
    return replace(dataset, heads=tuple(known[name] for name in dict.fromkeys(heads)))
