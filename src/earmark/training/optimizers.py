"""Optimiser, learning rate and precision, as a recipe names them."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from earmark.errors import RecipeError
from earmark.recipe import Training
from earmark.training.module import TaggerModule
from earmark.training.options import Device

__all__ = ["autocast", "find_device", "make_optimizer", "rate_at"]


def find_device(wanted: Device) -> torch.device:
    """The device that is asked for; ``auto`` takes a GPU where there is one.

    Raises:
        RecipeError: ``cuda``, but PyTorch finds no GPU.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        why = "PyTorch was installed without CUDA" if torch.version.cuda is None else "PyTorch finds no GPU"
        raise RecipeError(f"--device cuda: {why} on this machine; leave it out to train on the CPU")
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def make_optimizer(module: TaggerModule, plan: Training, frozen: bool) -> torch.optim.Optimizer:
    """The optimiser of a module; a frozen backbone has no part in it.

    Weight decay is for matrices and kernels; AdamW decouples it, the others have it as L2.
    """
    if frozen:
        module.backbone.requires_grad_(False)
    learning = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": plan.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if plan.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=plan.momentum)
    kind = torch.optim.AdamW if plan.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=plan.learning_rate)


def rate_at(plan: Training, rate: float, epochs: float) -> float:
    """The learning rate after so many epochs, from the ``rate`` that holds (a plateau may have halved it)."""
    if plan.schedule != "cosine":
        return rate
    return rate * 0.5 * (1 + math.cos(math.pi * epochs / plan.epochs))


def autocast(plan: Training, device: torch.device) -> AbstractContextManager[object]:
    """bf16 where the processor multiplies it in hardware (AMX, GPUs); elsewhere it would only be slower."""
    if plan.mixed_precision and _has_bf16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
