"""What is to be added to a model: songs with labels that one of its heads does not know yet, checked before work."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.audio.files import walk
from earmark.datasets.core import Dataset, HeadSpec, Label, Track, group_tracks
from earmark.datasets.splits import load_split
from earmark.datasets.tables import check_label
from earmark.errors import DatasetError, ModelError, StorageError, UnknownName
from earmark.inference.tagger import Tagger
from earmark.models.card import NETWORK, Card, HeadCard
from earmark.models.network import HeadWeights, widened, write_heads
from earmark.models.writer import seal
from earmark.storage import plain_reason
from earmark.tags.read import artist_and_album, read_tags
from earmark.training.exemplars import Exemplars
from earmark.training.finish import model_card_text
from earmark.training.linear import Linear
from earmark.training.module import WEIGHTS, read_weights, write_weights

__all__ = ["FEWEST", "Addition", "GainedHead", "additions_of", "songs_of_class", "truth_of", "write_extended"]

FEWEST = 5
"""Songs of a new class, below which nothing can be learned and measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Addition:
    """What one head gains.

    Attributes:
        old: The head as it is.
        new: Labels that it gains, in the data set's spelling.
        spec: The head of the data set.
    """

    old: HeadCard
    new: tuple[str, ...]
    spec: HeadSpec

    @property
    def labels(self) -> tuple[str, ...]:
        """Old and new ones, in the order of the scores."""
        return self.old.labels + self.new


def songs_of_class(folder: Path, label: str, head: str | None, card: Card) -> Dataset:
    """The songs below a folder as a data set of one class.

    Args:
        folder: Of songs; folders inside do not matter.
        label: Their class.
        head: Which head gains it; None where the model has one multiclass head, or one that is called ``genre``.
        card: Of the model.

    Raises:
        DatasetError: No songs, or a label that is none.
        UnknownName: No such head.
        ModelError: Which head is meant is not clear.
    """
    label = check_label(label, "--label")
    gaining = _head(card, head)
    files = [Path(entry.path) for entry in walk([folder]) if entry.audio and entry.error is None]
    if not files:
        raise DatasetError(f"{folder}: no audio files below this folder")
    names = [file.relative_to(folder).as_posix() if file != folder else file.name for file in files]
    makers = [artist_and_album(read_tags(file)) for file in files]
    groups, group_by, notices = group_tracks(names, [a for a, _ in makers], [b for _, b in makers])
    given: Label = label if gaining.task == "multiclass" else (label,)
    tracks = tuple(
        Track(file, name, group, None, {gaining.name: given})
        for file, name, group in zip(files, names, groups, strict=True)
    )
    spec = HeadSpec(gaining.name, gaining.task, (label,))
    return Dataset(folder.name, folder, (spec,), tracks, group_by, notices=notices)


def additions_of(dataset: Dataset, card: Card, head: str | None = None) -> tuple[Addition, ...]:
    """What each head of a model can gain from a data set.

    Args:
        dataset: With heads of the model's names.
        card: Of the model.
        head: Only this one.

    Raises:
        UnknownName: The model or the data set has no such head.
        ModelError: Nothing new in it, a number, another task, or a class of too few songs.
    """
    known = {one.name: one for one in card.heads}
    if head is not None and head not in known:
        raise UnknownName(f"head of {card.id}", head, known)
    specs = [spec for spec in dataset.heads if (spec.name == head if head else spec.name in known)]
    if not specs:
        raise UnknownName(f"head of {card.id}", head or dataset.heads[0].name, known if head is None else
                          [spec.name for spec in dataset.heads])  # fmt: skip
    found = []
    for spec in specs:
        old = known[spec.name]
        if old.task != spec.task:
            raise ModelError(f"head {spec.name!r} is {old.task} in {card.id}, but {spec.task} in {dataset.name}")
        there = {label.casefold() for label in old.labels}
        new = tuple(label for label in spec.labels if label.casefold() not in there)
        if new:
            found.append(Addition(old, new, spec))
    if not found:
        labels = [label for spec in specs for label in spec.labels]
        what = f"the class {labels[0]!r}" if len(labels) == 1 else f"all classes of {dataset.name}"
        raise ModelError(f"{card.id} knows {what} already (head {specs[0].name!r}): there is nothing to add")
    for addition in found:
        _enough(dataset, addition)
    return tuple(found)


def truth_of(dataset: Dataset, addition: Addition) -> NDArray[np.float32]:
    """Truth of the data set's tracks in the order of the extended head's labels, NaN where unknown."""
    place = {label.casefold(): number for number, label in enumerate(addition.labels)}
    columns = [place[label.casefold()] for label in addition.spec.labels]
    targets = dataset.targets(addition.spec.name)
    if targets.ndim == 1:
        known = ~np.isnan(targets)
        renamed = np.full(len(targets), np.nan, np.float32)
        renamed[known] = np.array(columns)[targets[known].astype(int)]
        return renamed
    wide = np.full((len(targets), len(place)), np.nan, np.float32)
    wide[:, columns] = targets
    return wide


def _head(card: Card, head: str | None) -> HeadCard:
    known = {one.name: one for one in card.heads}
    if head is not None and head not in known:
        raise UnknownName(f"head of {card.id}", head, known)
    choices = [one for one in card.heads if one.task == "multiclass"]
    named = [one for one in choices if one.name == "genre"]
    if head is None and len(choices) != 1 and not named:
        raise ModelError(f"{card.id} has several heads ({', '.join(known)}): say which gains the class with --head")
    chosen = known[head] if head is not None else (named or choices)[0]
    if chosen.task == "regression":
        raise ModelError(f"head {chosen.name!r} of {card.id} is a number: it has no classes to add to")
    return chosen


def _enough(dataset: Dataset, addition: Addition) -> None:
    targets = dataset.targets(addition.spec.name)
    for label in addition.new:
        number = addition.spec.labels.index(label)
        songs = int((targets == number).sum() if targets.ndim == 1 else (targets[:, number] == 1).sum())
        _refuse_few(dataset.name, label, songs)


def _refuse_few(where: str, label: str, songs: int) -> None:
    if songs < FEWEST:
        raise DatasetError(f"{where}: {songs} songs of {label!r}: at least {FEWEST} are needed, 30 to 50 are good")


def still_enough(dataset: Dataset, addition: Addition, known: Sequence[int]) -> None:
    """Refuse where too few songs of a new class could be analysed."""
    _enough(dataset.subset(list(known)), addition)


@dataclass(frozen=True, slots=True, eq=False)
class GainedHead:
    """One head with its new classes.

    Attributes:
        before: As it was.
        card: As it is: labels, temperature, thresholds.
        linear: What is added to its raw scores, zero for old labels.
    """

    before: HeadCard
    card: HeadCard
    linear: Linear

    def widened(self, heads: Mapping[str, HeadWeights]) -> HeadWeights:
        """Its arrays: the old ones and the new rows."""
        old = len(self.before.labels)
        weight, bias = (values[old:].astype(np.float32) for values in (self.linear.weight, self.linear.bias))
        return widened(heads[self.before.name], weight, bias)


def write_extended(tagger: Tagger, card: Card, heads: Sequence[GainedHead], exemplars: Exemplars, folder: Path) -> None:
    """Fill the new model's folder and seal it.

    Args:
        tagger: The old model.
        card: The new card, but for its files.
        heads: What changed.
        exemplars: Old and new ones.
        folder: An empty folder.

    Raises:
        StorageError: It cannot be written.
    """
    old = tagger.folder
    try:
        for name in (NETWORK, "history.csv", "curves.svg"):
            if (old / name).is_file():
                shutil.copyfile(old / name, folder / name)
        weights = {**tagger.heads, **{head.card.name: head.widened(tagger.heads) for head in heads}}
        write_heads(weights, folder)
        card = replace(card, heads=tuple(weights[head.name].described(head) for head in card.heads))
        _write_weights(old, folder, heads)
        _write_split(old, folder, exemplars)
        exemplars.save(folder)
        text = model_card_text(card, (folder / "history.csv").is_file())
        (folder / "README.md").write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {plain_reason(error)}") from error
    seal(folder, card)


def _write_weights(old: Path, part: Path, heads: Sequence[GainedHead]) -> None:
    """The old weights to train on, without those of the wider heads, which no training can begin with."""
    if (old / WEIGHTS).is_file():
        wider = tuple(f"heads.{head.card.name}." for head in heads)
        write_weights({name: value for name, value in read_weights(old).items() if not name.startswith(wider)}, part)


def _write_split(old: Path, part: Path, exemplars: Exemplars) -> None:
    """The old parts and those of the new songs: so ``evaluate`` knows what the model was trained on."""
    known: Mapping[str, str] = load_split(old / "split.tsv") if (old / "split.tsv").is_file() else {}
    new = {str(digest): "valid" if valid else "train" for digest, valid in
           zip(exemplars.hash, exemplars.valid, strict=True)}  # fmt: skip
    lines = [f"{digest}\t{side}\n" for digest, side in ({**new, **known} | _learned(new)).items()]
    (part / "split.tsv").write_text("content_hash\tpart\n" + "".join(lines), "utf-8", newline="\n")


def _learned(new: Mapping[str, str]) -> dict[str, str]:
    """What was learned from now counts as such, whatever it was before."""
    return {digest: side for digest, side in new.items() if side == "train"}
