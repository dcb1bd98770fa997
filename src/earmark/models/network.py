"""The network of a model folder: spectrograms of clips to the embedding and named layers, by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.models.card import NETWORK, Card
from earmark.offline import onnxruntime

__all__ = ["Network", "open_session", "run_network"]

Array = NDArray[np.float32]

_LAYER = "layer:"


def open_session(model: bytes, threads: int = 1) -> Any:
    """A session of ONNX Runtime for a graph; raises ONNX Runtime's own errors.

    Args:
        model: The graph as bytes.
        threads: One, so that results do not depend on the machine.
    """
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False  # the arena keeps the largest track's memory for good
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_network(model: bytes, clips: Array, names: Sequence[str]) -> list[Array]:
    """Outputs of an ONNX graph for spectrograms (clips, frames, bands)."""
    inputs = {"spectrogram": np.ascontiguousarray(clips, np.float32)}
    return list(open_session(model).run(list(names), inputs))


class Network:
    """The ONNX part of a model. Loading executes no code.

    Attributes:
        layers: Names that :meth:`run` can give besides ``embedding``.
    """

    def __init__(self, folder: Path, card: Card, needed: Mapping[str, int], threads: int = 1) -> None:
        """Load the network of a model folder, and run it once: what is wrong with it shows now.

        Args:
            folder: The model folder.
            card: What the model says of itself.
            needed: Width of each layer that its heads read.
            threads: Of ONNX Runtime.

        Raises:
            ModelError: The network cannot be loaded or run, or is not what the card says of it.
        """
        self._file = folder / NETWORK
        try:
            self._session = open_session(self._file.read_bytes(), threads)
        except Exception as error:  # ONNX Runtime's own classes all derive straight from Exception
            raise ModelError(f"{self._file}: damaged: ONNX Runtime cannot load it") from error
        outputs = [output.name for output in self._session.get_outputs()]
        if [one.name for one in self._session.get_inputs()] != ["spectrogram"]:
            raise ModelError(f"{self._file}: it must have one input, named 'spectrogram'")
        if "embedding" not in outputs:
            raise ModelError(f"{self._file}: it has no output 'embedding'")
        self.layers = tuple(name.removeprefix(_LAYER) for name in outputs if name.startswith(_LAYER))
        widths = {"embedding": card.embedding, **needed}
        for layer in widths:
            if layer != "embedding" and layer not in self.layers:
                raise ModelError(f"{self._file}: it has no layer {layer!r}, which a head reads")
        for layer, vectors in self.run(np.zeros((1, *card.clip_shape), np.float32), list(widths)).items():
            if vectors.shape != (1, widths[layer]):
                stated = f"card.json says {widths[layer]} numbers a clip"
                raise ModelError(f"{self._file}: its output {layer!r} has the shape {vectors.shape}; {stated}")

    def run(self, spectrograms: Array, names: Sequence[str]) -> dict[str, Array]:
        """Run the network.

        Args:
            spectrograms: (clips, frames, bands) float32.
            names: ``embedding`` and names of layers.

        Returns:
            By name: (clips, dimensions) float32.

        Raises:
            ModelError: The network cannot be run on them, or answers what is not a number.
        """
        outputs = [name if name == "embedding" else _LAYER + name for name in names]
        inputs = {"spectrogram": np.ascontiguousarray(spectrograms, np.float32)}
        try:
            found = self._session.run(outputs, inputs)
        except Exception as error:  # as above
            reason = " ".join(str(error).split())[:200]
            shape = spectrograms.shape
            raise ModelError(f"{self._file}: cannot run on clips of the card's plan, {shape}: {reason}") from error
        for name, vectors in zip(names, found, strict=True):
            if not np.isfinite(vectors).all():
                raise ModelError(f"{self._file}: damaged: its output {name!r} is not a finite number (NaN)")
        return {name: np.asarray(vectors, np.float32) for name, vectors in zip(names, found, strict=True)}
