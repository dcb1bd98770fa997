"""What a model folder computes: the backbone by ONNX Runtime, then the heads' arrays by NumPy, in float64.

An array of ``heads.safetensors`` is called ``HEAD/MEMBER/STEP/weight`` (outputs, inputs) or ``.../bias`` (outputs,);
rows for labels that were added later ``HEAD/added/weight`` and ``.../bias``; what a derived head is made of
``HEAD/matrix`` (labels, labels of the other head), and what a head of exclusive classes makes of these
``HEAD/matrix`` (labels, classes); how often each label goes with each of its prior head
``HEAD/prior`` (labels, labels of that head), probabilities. Half, single and double precision are allowed.
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from earmark.errors import EarmarkError, ModelError
from earmark.models.card import HEADS, NETWORK, Card, HeadCard, Step
from earmark.models.device import CPU, CUDA, Device, asked, choose
from earmark.offline import onnxruntime
from earmark.storage import write_file

__all__ = [
    "SMALLEST",
    "Dense",
    "HeadWeights",
    "Network",
    "dependent",
    "open_session",
    "read_heads",
    "read_npz",
    "run_network",
    "widened",
    "write_heads",
]

_BIGGEST_ARRAY = 4_000_000_000  # bytes of one array

_DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


def read_npz(file: Path) -> dict[str, NDArray[Any]]:
    """All arrays by name; their headers are checked before anything is read.

    Raises:
        ModelError: The file is damaged, or an array in it is not what its header says.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                _check_header(archive, entry)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _DAMAGE as error:
        raise ModelError(f"{file}: damaged: {' '.join(str(error).split())}") from error


def _check_header(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    if math.prod(shape) * dtype.itemsize > min(entry.file_size, _BIGGEST_ARRAY):
        raise ValueError(f"{entry.filename} says that it is of the shape {shape}, but holds {entry.file_size} bytes")


Array = NDArray[np.float32]

_LAYER = "layer:"

_CLIPS = 8
"""Clips a run of the network: always the same, so that scores never depend on what else is analysed."""

_GPU_CLIPS, _GPU_NUMBERS = 64, 2**20
"""On a GPU as many clips as have a million numbers, since each worker keeps what lies between layers there."""


def open_session(model: bytes, threads: int = 1, device: Literal["cpu", "cuda"] = "cpu") -> Any:
    """A session of ONNX Runtime for a graph; raises ONNX Runtime's own errors.

    Args:
        model: The graph as bytes.
        threads: One, so that results do not depend on the machine.
        device: Where.

    Raises:
        RuntimeError: The GPU that is offered cannot be used.
    """
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False  # the arena keeps the largest track's memory for good
    if device == "cpu":
        return ort.InferenceSession(model, options, providers=[CPU])
    options.use_deterministic_compute = True
    with redirect_stdout(io.StringIO()) as printed, warnings.catch_warnings(action="ignore"):
        # It prints which library is missing, and goes on.
        getattr(ort, "preload_dlls", lambda: None)()  # NVIDIA's packages from pip are on no search path
        session = ort.InferenceSession(model, options, providers=[CUDA, CPU], enable_fallback=0)
    if CUDA[0] not in session.get_providers():
        raise RuntimeError(next(iter(printed.getvalue().splitlines()), "ONNX Runtime gives no reason"))
    return session


def run_network(model: bytes, clips: Array, names: Sequence[str]) -> list[Array]:
    """Outputs of an ONNX graph for spectrograms (clips, frames, bands)."""
    inputs = {"spectrogram": np.ascontiguousarray(clips, np.float32)}
    return list(open_session(model).run(list(names), inputs))


class Network:
    """The ONNX part of a model. Loading executes no code.

    Attributes:
        layers: Names that :meth:`run` can give besides ``embedding``.
        device: What it runs on.
        batch: Clips that it takes at a time, whatever it is given.
    """

    device: Literal["cpu", "cuda"]

    def __init__(
        self, folder: Path, card: Card, needed: Mapping[str, int], threads: int = 1, device: Device = "auto"
    ) -> None:
        """Load the network of a model folder, and run it once: what is wrong with it shows now.

        Args:
            folder: The model folder.
            card: What the model says of itself.
            needed: Width of each layer that its heads read.
            threads: Of ONNX Runtime.
            device: ``auto`` takes a GPU where there is one that works.

        Raises:
            ModelError: The network cannot be loaded or run, or is not what the card says of it.
            EarmarkError: A GPU is asked for by name, and cannot be used.
        """
        self._file = folder / NETWORK
        if choose(device) == "cpu":
            self._open(card, needed, threads, "cpu")
            return
        try:
            self._open(card, needed, threads, "cuda")
        except ModelError as error:
            self._open(card, needed, threads, "cpu")  # raises where the network is to blame
            reason = " ".join(str(error.__cause__ or error).split())[:300]
            if asked(device) == "cuda":
                raise EarmarkError(
                    f"--device cuda: ONNX Runtime has CUDA, but cannot use it here ({reason}); its libraries come by "
                    "pip install 'onnxruntime-gpu[cuda,cudnn]', and --device cpu does without"
                ) from error
            _logger().warning(
                "The network ran on the processor: ONNX Runtime has CUDA, but cannot use it here (%s); "
                "`--device cpu` leaves the GPU alone.",
                reason,
            )
        else:
            _logger().info("The network ran on the GPU (CUDA).")

    def _open(self, card: Card, needed: Mapping[str, int], threads: int, device: Literal["cpu", "cuda"]) -> None:
        self.device = device
        numbers = max(1, math.prod(card.clip_shape))
        self.batch = _CLIPS if device == "cpu" else max(_CLIPS, min(_GPU_CLIPS, _GPU_NUMBERS // numbers))
        try:
            self._session = open_session(self._file.read_bytes(), threads, device)
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
            found = self._session.run(outputs, inputs) if self.device == "cpu" else self._on_gpu(outputs, inputs)
        except Exception as error:  # as above
            reason = " ".join(str(error).split())[:200]
            reason += "; fewer jobs (-j) leave more of the GPU to each" if self.device == "cuda" else ""
            shape = spectrograms.shape
            raise ModelError(f"{self._file}: cannot run on clips of the card's plan, {shape}: {reason}") from error
        for name, vectors in zip(names, found, strict=True):
            if not np.isfinite(vectors).all():
                raise ModelError(f"{self._file}: damaged: its output {name!r} is not a finite number (NaN)")
        return {name: np.asarray(vectors, np.float32) for name, vectors in zip(names, found, strict=True)}

    def _on_gpu(self, outputs: list[str], inputs: dict[str, Array]) -> list[Array]:
        """Whole batches alone, filled up with zeros: a GPU chooses how to compute by the shape."""
        parts = []
        for clips in np.split(inputs["spectrogram"], range(self.batch, len(inputs["spectrogram"]), self.batch)):
            full = np.zeros((self.batch, *clips.shape[1:]), np.float32)
            full[: len(clips)] = clips
            parts.append([vectors[: len(clips)] for vectors in self._session.run(outputs, {"spectrogram": full})])
        return [np.concatenate(vectors) for vectors in zip(*parts, strict=True)]


def _logger() -> Any:
    import logging

    return logging.getLogger(__name__)


Double = NDArray[np.float64]

SMALLEST = 1e-30
"""Probabilities below it are taken for it before a logarithm."""

_PRECISIONS = ("F16", "F32", "F64")
_BIGGEST = 500_000_000  # numbers in all heads; more is damage


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """One step: ``x @ weight.T + bias``, then the activation; weight (outputs, inputs), bias (outputs,)."""

    weight: NDArray[np.floating]
    bias: NDArray[np.floating]
    activation: Literal["none", "relu"] = "none"

    def __call__(self, vectors: Double) -> Double:
        """(clips, outputs) of (clips, inputs)."""
        result = vectors @ self.weight.T.astype(np.float64) + self.bias
        return np.maximum(result, 0.0) if self.activation == "relu" else result


@dataclass(frozen=True, slots=True, eq=False)
class HeadWeights:
    """The arrays of one head.

    Attributes:
        members: Classifiers of steps each, from the layer's vector to raw scores; none where the head is derived.
        mean: Of several members: of their ``logits`` or their ``probabilities``.
        added: Rows for the last labels, which were added later.
        matrix: (labels, labels of the other head) of a derived head; with members, (labels, classes that these score).
        prior: (labels, labels of the prior head), the probability of each label where that one is true.
    """

    members: tuple[tuple[Dense, ...], ...] = ()
    mean: Literal["logits", "probabilities"] = "logits"
    added: Dense | None = None
    matrix: NDArray[np.floating] | None = None
    prior: NDArray[np.floating] | None = None

    @classmethod
    def linear(cls, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> HeadWeights:
        """One linear layer."""
        return cls(((Dense(weight, bias),),))

    @property
    def inputs(self) -> int:
        """Width of the vector that the head reads; 0 of a derived one."""
        return self.members[0][0].weight.shape[1] if self.members else 0

    @property
    def has_hidden(self) -> bool:
        """Whether there is a hidden layer, which can stand in for the embedding; of an ensemble there is none."""
        return len(self.members) == 1 and len(self.members[0]) > 1

    def hidden(self, vectors: Double) -> Double:
        """What the last hidden layer holds (S1's 15 nodes), (clips, width), of what the head reads."""
        for step in self.members[0][:-1]:
            vectors = step(vectors)
        return vectors

    def described(self, card: HeadCard) -> HeadCard:
        """The head's card, with how its scores are computed from these arrays."""
        members = tuple(tuple(Step("dense", step.activation) for step in member) for member in self.members)
        classes = self.matrix.shape[1] if members and self.matrix is not None else 0
        added = 0 if self.added is None else len(self.added.bias)
        return replace(card, members=members, mean=self.mean, added=added, classes=classes)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """By name, as they stand in the file."""
        steps = {f"{m}/{s}": step for m, member in enumerate(self.members) for s, step in enumerate(member)}
        steps |= {} if self.added is None else {"added": self.added}
        found = {f"{name}/{place}/weight": np.asarray(step.weight) for place, step in steps.items()}
        found |= {f"{name}/{place}/bias": np.asarray(step.bias) for place, step in steps.items()}
        tables = {"matrix": self.matrix, "prior": self.prior}
        return found | {f"{name}/{key}": table for key, table in tables.items() if table is not None}


def widened(old: HeadWeights, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> HeadWeights:
    """The head with further labels: their rows (labels, inputs) and biases. Old scores stay what they are.

    Of the new labels its prior head says nothing: even odds.
    """
    if old.prior is not None:
        old = replace(old, prior=np.pad(old.prior, ((0, len(bias)), (0, 0)), constant_values=0.5))
    if len(old.members) == 1 and len(old.members[0]) == 1 and old.added is None and old.matrix is None:
        rows = old.members[0][0]
        wide = Dense(np.concatenate([rows.weight, weight]), np.concatenate([rows.bias, bias]))
        return replace(old, members=((wide,),))
    if old.added is not None:
        weight, bias = np.concatenate([old.added.weight, weight]), np.concatenate([old.added.bias, bias])
    return replace(old, added=Dense(weight, bias))


def dependent(old: HeadWeights, count: int) -> HeadWeights:
    """The arrays of a head that depends on one which gained labels: what it has of the others on average."""

    def wider(table: NDArray[np.floating] | None) -> NDArray[np.floating] | None:
        return None if table is None else np.pad(table, ((0, 0), (0, count)), mode="mean")

    return replace(old, matrix=old.matrix if old.members else wider(old.matrix), prior=wider(old.prior))


def write_heads(heads: Mapping[str, HeadWeights], folder: Path) -> None:
    """Write ``heads.safetensors`` into a model folder (StorageError where it cannot)."""
    arrays = {name: array for head, weights in heads.items() for name, array in weights.arrays(head).items()}
    write_file(folder / HEADS, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_heads(folder: Path, card: Card) -> dict[str, HeadWeights]:
    """The arrays of every head of the card, in float64; shapes are checked before anything is read.

    Raises:
        ModelError: The file is damaged, or does not hold what the card says; names the array.
    """
    file = folder / HEADS
    try:
        with safe_open(str(file), "np") as stored:
            shapes = {}
            for name in stored.keys():  # noqa: SIM118  not a dictionary
                piece = stored.get_slice(name)
                if piece.get_dtype() not in _PRECISIONS:
                    raise ModelError(f"{file}: {name}: must be of one of {', '.join(_PRECISIONS)}")
                shapes[name] = tuple(piece.get_shape())
            _check_shapes(file, card, shapes)
            arrays = {name: np.asarray(stored.get_tensor(name), np.float64) for name in shapes}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file}: damaged: {' '.join(str(error).split())}") from error
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ModelError(f"{file}: {name}: a number in it is not finite (NaN)")
    for head in card.heads:
        for name in (["prior"] if head.prior else []) + (["matrix"] if head.classes else []):
            if (abs(arrays[f"{head.name}/{name}"] - 0.5) > 0.5).any():
                raise ModelError(f"{file}: {head.name}/{name}: a number in it is no probability")
    return {head.name: _weights(head, arrays) for head in card.heads}


def _weights(head: HeadCard, arrays: Mapping[str, Double]) -> HeadWeights:
    def dense(place: str, step: Step) -> Dense:
        where = f"{head.name}/{place}"
        return Dense(arrays[f"{where}/weight"], arrays[f"{where}/bias"], step.activation)

    members = tuple(
        tuple(dense(f"{m}/{s}", step) for s, step in enumerate(member)) for m, member in enumerate(head.members)
    )
    added = dense("added", Step()) if head.added else None
    return HeadWeights(members, head.mean, added, *(arrays.get(f"{head.name}/{key}") for key in ("matrix", "prior")))


def _check_shapes(file: Path, card: Card, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if sum(int(np.prod(shape, dtype=object)) for shape in shapes.values()) > _BIGGEST:
        raise ModelError(f"{file}: its arrays are too large to be heads")
    labels = {head.name: head.width for head in card.heads}
    inputs: dict[str, int | None] = {"embedding": card.embedding}
    used = set()
    for head in card.heads:
        for name, expected in _shapes_of(head, shapes, inputs, labels):
            if name not in shapes:
                raise ModelError(f"{file}: the array {name} is missing")
            shape = shapes[name]
            if len(shape) != len(expected) or any(w not in (None, s) for w, s in zip(expected, shape, strict=True)):
                must = ", ".join("any" if width is None else str(width) for width in expected)
                raise ModelError(f"{file}: {name} has the shape {shape}; card.json says ({must})")
            used.add(name)
    for name in sorted(set(shapes) - used):
        raise ModelError(f"{file}: the array {name} belongs to no head of card.json")


def _shapes_of(
    head: HeadCard,
    shapes: Mapping[str, tuple[int, ...]],
    inputs: dict[str, int | None],
    labels: Mapping[str, int],
) -> Iterator[tuple[str, tuple[int | None, ...]]]:
    """Names and shapes of a head's arrays, None where any width fits; ``inputs`` learns the widths of layers."""
    if head.derived:
        yield f"{head.name}/matrix", (head.width, labels[head.derived])
        return
    if head.prior:
        yield f"{head.name}/prior", (head.width, labels[head.prior])
    if head.classes:
        yield f"{head.name}/matrix", (head.width - head.added, head.classes)
    for m, member in enumerate(head.members):
        width = inputs.get(head.layer)
        for s in range(len(member)):
            where = f"{head.name}/{m}/{s}"
            outputs = (head.classes or head.width - head.added) if s == len(member) - 1 else None
            yield f"{where}/weight", (outputs, width)
            width, before = shapes[f"{where}/weight"]  # which fits, or this would not go on
            yield f"{where}/bias", (width,)
            if s == 0:
                inputs.setdefault(head.layer, before)
    if head.added:
        yield f"{head.name}/added/weight", (head.added, inputs[head.layer])
        yield f"{head.name}/added/bias", (head.added,)
