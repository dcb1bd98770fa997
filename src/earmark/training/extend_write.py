"""The folder of a model that gained classes: the old one's files with wider heads, and the new songs remembered."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from earmark.datasets.splits import load_split
from earmark.errors import StorageError
from earmark.inference.tagger import Tagger
from earmark.models.card import NETWORK, Card, HeadCard
from earmark.models.heads import HeadWeights, widened, write_heads
from earmark.models.writer import seal
from earmark.storage import plain_reason
from earmark.training.exemplars import Exemplars
from earmark.training.finish import model_card_text
from earmark.training.linear import Linear
from earmark.training.module import WEIGHTS, read_weights, write_weights

__all__ = ["GainedHead", "write_extended"]


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
    lines = [f"{digest}\t{side}\n" for digest, side in ({**new, **known} | _learnt(new)).items()]
    (part / "split.tsv").write_text("content_hash\tpart\n" + "".join(lines), "utf-8", newline="\n")


def _learnt(new: Mapping[str, str]) -> dict[str, str]:
    """What was learnt from now counts as such, whatever it was before."""
    return {digest: side for digest, side in new.items() if side == "train"}
