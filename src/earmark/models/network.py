"""The network of a model folder: spectrograms of clips to embedding and raw head scores, by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.models.card import Card
from earmark.models.folder import check_files
from earmark.offline import onnxruntime

__all__ = ["Network"]

Array = NDArray[np.float32]


class Network:
    """The ONNX part of a model. Loading executes no code.

    Attributes:
        card: What the model says of itself.
        layers: Names that :meth:`run` can give besides ``embedding`` and the heads (without ``layer:``).
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Load a model folder.

        Args:
            folder: The model folder.
            threads: Of ONNX Runtime. One, so that scores do not depend on the machine.

        Raises:
            ModelError: A file is missing or damaged, or the network does not have the outputs that the card names.
        """
        ort = onnxruntime()

        self.card: Card = check_files(folder, "model.onnx")
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 4
        options.enable_cpu_mem_arena = False  # the arena keeps the largest track's memory for good
        try:
            self._session = ort.InferenceSession(
                (folder / "model.onnx").read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own classes all derive straight from Exception
            raise ModelError(f"{folder / 'model.onnx'}: damaged: ONNX Runtime cannot load it") from error
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        for head in self.card.heads:
            width = len(head.labels) or 1
            if head.name not in outputs or outputs[head.name][-1] != width:
                raise ModelError(f"{folder}: card.json and model.onnx disagree about the head {head.name!r}")
        if "embedding" not in outputs:
            raise ModelError(f"{folder}: model.onnx has no output 'embedding'")
        self.layers = tuple(name.removeprefix("layer:") for name in outputs if name.startswith("layer:"))

    def run(self, spectrograms: Array, outputs: list[str]) -> dict[str, Array]:
        """Run the network.

        Args:
            spectrograms: (clips, frames, bands) float32.
            outputs: Names: ``embedding``, heads, ``layer:NAME``.

        Returns:
            By name: (clips, dimensions) float32; a head's are raw scores (logits), before calibration.
        """
        results = self._session.run(outputs, {"spectrogram": np.ascontiguousarray(spectrograms, np.float32)})
        return dict(zip(outputs, results, strict=True))
