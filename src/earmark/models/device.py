"""What networks run on: the processor, or a GPU where scores stay the same within .001 (ADR 27).

Needs neither NumPy nor ONNX Runtime, so that whoever hands out work can ask at no cost.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Literal, get_args

from earmark.errors import EarmarkError

__all__ = ["CPU", "CUDA", "VARIABLE", "Device", "asked", "choose", "may_use_gpu"]

Device = Literal["auto", "cpu", "cuda"]

VARIABLE = "EARMARK_DEVICE"
"""The environment variable that says what ``auto`` means; with it the processes that work are told."""

CPU = "CPUExecutionProvider"
CUDA = (
    "CUDAExecutionProvider",
    {
        "use_tf32": "0",  # TF32 keeps 10 bits of each number: scores would differ in the third decimal
        "cudnn_conv_algo_search": "HEURISTIC",  # by the shape; EXHAUSTIVE is a race, which another may win next time
        "arena_extend_strategy": "kSameAsRequested",  # every worker has a part of the GPU
    },
)
"""What ONNX Runtime calls the GPU, and the settings by which it computes as the processor does."""


def asked(device: Device = "auto") -> Device:
    """The device that is asked for: ``auto`` is what ``EARMARK_DEVICE`` says, where it says something.

    Raises:
        EarmarkError: It says something else than a device.
    """
    named = os.environ.get(VARIABLE) or "auto"
    if device != "auto" or named == "auto":
        return device
    for known in get_args(Device):
        if named == known:
            return known  # type: ignore[no-any-return]
    raise EarmarkError(f"{VARIABLE}={named}: must be one of {', '.join(get_args(Device))}")


def choose(device: Device = "auto") -> Literal["cpu", "cuda"]:
    """What a network is to run on, by the files of ONNX Runtime: it names providers that cannot be used, and not all.

    Only CUDA is taken: CoreML and TensorRT compute in less than float32, others were never compared.

    Raises:
        EarmarkError: ``cuda`` is asked for by name, and ONNX Runtime came without; or as :func:`asked`.
    """
    device = asked(device)
    if device == "cpu" or (device == "auto" and not _has_cuda()):
        return "cpu"
    if _has_cuda():
        return "cuda"
    raise EarmarkError(
        "--device cuda: the ONNX Runtime that is installed has no CUDA; install the one that has "
        "(pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'), or leave --device out"
    )


def may_use_gpu(device: Device = "auto") -> bool:
    """Whether work on this machine may run on a GPU: it is asked for by name, or the files of CUDA are there.

    Raises:
        EarmarkError: As :func:`asked`.
    """
    return asked(device) == "cuda" or choose(device) == "cuda"


@cache
def _has_cuda() -> bool:
    """Whether ONNX Runtime came with CUDA, by its files: importing it takes long."""
    found = PathFinder.find_spec("onnxruntime")
    places = (found.submodule_search_locations or []) if found else []
    return any(any(Path(place, "capi").glob("*onnxruntime_providers_cuda*")) for place in places)
