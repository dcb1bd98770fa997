"""Where a network is trained: GPU or CPU, in which precision, and the process's memory meanwhile."""

from __future__ import annotations

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext, suppress

import torch

from earmark.errors import RecipeError
from earmark.recipe import Training
from earmark.training.job import Device

__all__ = ["autocast", "find_device", "keep_freed_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of glibc's mallopt
_ALL = 2**31 - 1


def find_device(name: Device) -> torch.device:
    """The device that is asked for; ``auto`` takes a GPU where there is one.

    Raises:
        RecipeError: ``cuda``, but PyTorch finds no GPU.
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        why = "PyTorch was installed without CUDA" if torch.version.cuda is None else "PyTorch finds no GPU"
        raise RecipeError(f"--device cuda: {why} on this machine; leave it out to train on the CPU")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def autocast(plan: Training, device: torch.device) -> AbstractContextManager[object]:
    """bf16 where the processor multiplies it in hardware (AMX, GPUs); elsewhere it would only be slower."""
    if plan.mixed_precision and _has_bf16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def keep_freed_memory() -> None:
    """Ask glibc not to return large blocks to the system; elsewhere nothing happens.

    Maps of a hundred megabytes come and go in every step. Returned and taken again, each page is cleared by the
    system anew, which costs a convolutional network on a CPU up to 45 % of its time.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):  # another C library
        glibc = ctypes.CDLL(None)
        for option, value in ((_MMAP_THRESHOLD, 2**30), (_TRIM_THRESHOLD, _ALL), (_TOP_PAD, 2**26)):
            glibc.mallopt(option, value)
