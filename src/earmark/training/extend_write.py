"""The folder of a model that gained classes: the old one's files with wider heads, and the new songs remembered."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.splits import load_split
from earmark.errors import StorageError
from earmark.models.card import Card, HeadCard, write_card
from earmark.models.folder import sha256
from earmark.training.exemplars import Exemplars
from earmark.training.graft import read_graph, widen_head, write_graph
from earmark.training.linear import Linear
from earmark.training.readme import model_card_text
from earmark.training.weights import WEIGHTS, read_weights, write_weights

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


def write_extended(old: Path, card: Card, heads: Sequence[GainedHead], exemplars: Exemplars, out: Path) -> None:
    """Write the new model folder beside its place and put it there when it is whole.

    Args:
        old: The old model's folder.
        card: The new card, but for its files.
        heads: What changed.
        exemplars: Old and new ones.
        out: The new folder, which does not exist.

    Raises:
        StorageError: It cannot be written.
    """
    part = out.with_name(out.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        graph = read_graph(old)
        for head in heads:
            weight, bias = head.linear.weight.astype(np.float32), head.linear.bias.astype(np.float32)
            graph = widen_head(graph, head.card.name, weight, bias)
        write_graph(graph, part)
        _write_weights(old, part, heads)
        _write_split(old, part, exemplars)
        exemplars.save(part)
        for name in ("history.csv", "curves.svg"):
            if (old / name).is_file():
                shutil.copyfile(old / name, part / name)
        text = model_card_text(card, (part / "history.csv").is_file())
        (part / "README.md").write_text(text, "utf-8", newline="\n")
        files = {file.name: sha256(file) for file in sorted(part.iterdir())}
        write_card(replace(card, files=files), part)
        part.replace(out)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise StorageError(f"{out}: cannot be written: {error.strerror}") from error


def _write_weights(old: Path, part: Path, heads: Sequence[GainedHead]) -> None:
    """The old weights; those of a wider head lie under ``before``, what is added to it beside them."""
    state: dict[str, NDArray[np.float32]] = {}
    if (old / WEIGHTS).is_file():
        state = read_weights(old)
    for head in heads:
        prefix = f"heads.{head.card.name}."
        state = {
            f"{prefix}before.{name.removeprefix(prefix)}" if name.startswith(prefix) else name: value
            for name, value in state.items()
        }
        state[f"{prefix}added.weight"] = head.linear.weight.astype(np.float32)
        state[f"{prefix}added.bias"] = head.linear.bias.astype(np.float32)
    write_weights(state, part)


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
