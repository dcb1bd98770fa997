"""A model folder of format 1 becomes one of format 2: its ONNX graph is cut at the embedding, its heads become arrays.

In format 1 the heads were a part of ``model.onnx``. Their layers are taken from ``weights.safetensors``, and what they
compute is compared with the old graph before anything is written.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.features.frontend import Frontend
from earmark.inference.scores import probabilities, raw_scores
from earmark.models.card import FORMAT, NETWORK, Card, card_from, card_json, read_card
from earmark.models.network import Dense, HeadWeights, run_network, widened, write_heads
from earmark.models.writer import ModelFolderWriter, seal
from earmark.storage import write_file
from earmark.training.module import TOLERANCE, plain_graph, read_weights

__all__ = ["convert", "upgrade_model"]

State = Mapping[str, NDArray[Any]]

_EPSILON = 1e-5  # of PyTorch's batch norm
_LAYER = "layer:"


def upgrade_model(folder: Path) -> Card:
    """Put a folder of format 1 in its place in format 2; one of format 2 is left as it is.

    Raises:
        ModelError: As :func:`convert`; or the folder holds what does not belong to a model.
        StorageError: It cannot be written, or another run is writing there.
    """
    with ModelFolderWriter.open(folder, {"upgrade": folder.name}, overwrite=True) as writer:
        if card_json(writer.out).get("format") == FORMAT:
            return read_card(writer.out)
        card, model, heads = convert(writer.out)
        for file in writer.folder.iterdir():
            file.unlink()
        for name in card.files:
            if (writer.out / name).is_file():
                shutil.copyfile(writer.out / name, writer.folder / name)
        write_file(writer.folder / NETWORK, model)
        write_heads(heads, writer.folder)
        card = seal(writer.folder, card)
        writer.complete()
        return card


def convert(folder: Path) -> tuple[Card, bytes, dict[str, HeadWeights]]:
    """What a folder of format 1 is in format 2; the folder stays as it is.

    Returns:
        The card, ``model.onnx`` and the heads' arrays.

    Raises:
        ModelError: No model of format 1, or one whose heads cannot be taken out of it.
    """
    facts = card_json(folder)
    if facts.get("format") != 1:
        raise ModelError(f"{folder}: a model folder of format {facts.get('format')}: only format 1 can be upgraded")
    if isinstance(facts.get("frontend"), dict):  # keys that format 1 came to know later had these values
        facts["frontend"] = dataclasses.asdict(Frontend()) | facts["frontend"]
    card = card_from(facts | {"format": FORMAT}, folder / "card.json")
    file = folder / NETWORK
    try:
        old = file.read_bytes()
        graph = onnx.load_from_string(old)
    except Exception as error:  # protobuf's own classes
        raise ModelError(f"{file}: damaged: {' '.join(str(error).split())}") from error
    weights = read_weights(folder)
    mean = facts.get("recipe", {}).get("heads", {}).get("mean", "mean-log")
    heads = {head.name: _head(head.name, weights, "probabilities" if mean == "mean" else "logits")
             for head in card.heads}  # fmt: skip
    model = plain_graph(_cut(graph, [head.name for head in card.heads]))
    card = replace(card, heads=tuple(heads[head.name].described(head) for head in card.heads))
    _compare(card, old, model, heads)
    return card, model, heads


def _cut(graph: Any, heads: Sequence[str]) -> Any:
    """The graph up to the embedding and the layers of the backbone."""
    kept = [
        output
        for output in graph.graph.output
        if output.name == "embedding"
        or (output.name.startswith(_LAYER) and output.name.removeprefix(_LAYER) not in heads)
    ]
    needed, nodes = {output.name for output in kept}, []
    for node in reversed(graph.graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed |= set(node.input)
    weights = [weight for weight in graph.graph.initializer if weight.name in needed]
    body = onnx.helper.make_graph(nodes[::-1], graph.graph.name or "earmark", list(graph.graph.input), kept, weights)
    built = onnx.helper.make_model(body, opset_imports=list(graph.opset_import), ir_version=graph.ir_version)
    built.functions.extend(graph.functions)
    return built


def _head(name: str, weights: State, mean: Literal["logits", "probabilities"]) -> HeadWeights:
    prefix = f"heads.{name}."
    state = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    if not state:
        raise ModelError(f"weights.safetensors holds nothing of the head {name!r}: the model cannot be upgraded")
    try:
        return _weights(state, mean)
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(f"weights.safetensors: the head {name!r} is of an unknown form: {error}") from error


def _weights(state: State, mean: Literal["logits", "probabilities"]) -> HeadWeights:
    if "added.weight" in state:  # an extended model: rows on top of the head as it was
        before = {key.removeprefix("before."): value for key, value in state.items() if key.startswith("before.")}
        old = _weights(before, mean)
        count = len(_last(old).bias) + (0 if old.added is None else len(old.added.bias))
        return widened(old, state["added.weight"][count:], state["added.bias"][count:])
    members = sorted({int(found[1]) for key in state if (found := re.match(r"members\.(\d+)\.", key))})
    if not members:
        return HeadWeights((_steps(state),))
    parts = [{key.removeprefix(f"members.{number}."): value for key, value in state.items()
              if key.startswith(f"members.{number}.")} for number in members]  # fmt: skip
    return HeadWeights(tuple(_steps(part) for part in parts), mean)


def _last(head: HeadWeights) -> Dense:
    return head.members[0][-1]


def _steps(state: State) -> tuple[Dense, ...]:
    """Layers of one classifier: prototypes, one linear layer, or a sequence with batch norm and ReLU between."""
    if "prototypes" in state:
        sharpness, prototypes = state["sharpness"], state["prototypes"]
        weight = 2 * sharpness * prototypes / state["scale"]
        return (Dense(weight, state["bias"] - sharpness * (prototypes**2).sum(1) - weight @ state["centre"]),)
    if "weight" in state:
        return (Dense(state["weight"], state["bias"]),)
    places = sorted({int(key.split(".")[0]) for key in state})
    steps: list[Dense] = []
    for place in places:
        own = {key.split(".", 1)[1]: value for key, value in state.items() if int(key.split(".")[0]) == place}
        if "running_mean" in own:
            last = steps.pop()
            gain = own["weight"] / np.sqrt(own["running_var"].astype(np.float64) + _EPSILON)
            bias = (last.bias - own["running_mean"]) * gain + own["bias"]
            steps.append(Dense((last.weight * gain[:, None]).astype(np.float32), bias.astype(np.float32)))
        else:
            steps.append(Dense(own["weight"], own["bias"]))
    return (*(replace(step, activation="relu") for step in steps[:-1]), steps[-1])


def _compare(card: Card, old: bytes, new: bytes, heads: Mapping[str, HeadWeights]) -> None:
    """The old graph's probabilities and the new ones must agree on clips of noise."""
    clips = np.random.default_rng(0).normal(-40, 20, (2, *card.clip_shape)).astype(np.float32)
    before = run_network(old, clips, ["embedding", *(head.name for head in card.heads)])
    embedding = run_network(new, clips, ["embedding"])[0]
    after = raw_scores(card.heads, heads, {"embedding": embedding})
    for head, theirs in zip(card.heads, before[1:], strict=True):
        ours = probabilities(after[head.name], head)
        difference = float(np.abs(ours - probabilities(theirs, head)).max(initial=0))
        if not difference <= TOLERANCE:
            raise ModelError(f"the head {head.name!r} would give other scores ({difference:.2g}): it is not upgraded")
