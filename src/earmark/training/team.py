"""The workers that train one network together: each takes its share of every batch, all keep the same weights.

Gradients, losses and the statistics of batch norm are those of the whole batch, so that the number of workers changes
nothing but rounding, and what dropout leaves out. A process alone is a team of one, which exchanges nothing.
"""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from earmark.engine.local import Lost

__all__ = ["LinkedTeam", "Team", "share_batch_norm"]

T = TypeVar("T")

_MEETING = timedelta(minutes=2)
_PATIENCE = timedelta(minutes=10)
"""For the slowest worker; one that is lost is noticed at once, by its connection."""


class Team:
    """This process alone; also what a worker asks of its team.

    Attributes:
        rank: Of this worker, from 0.
        size: Workers.
    """

    rank = 0
    size = 1

    def mine(self, count: int) -> slice:
        """This worker's share of so many items in a row: shares differ by one item at most."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def add(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put the sum over all workers in place of each tensor."""

    def stack(self, tensor: torch.Tensor) -> torch.Tensor:
        """(workers, ...) the tensors of all workers, in their order."""
        return tensor[None]

    def gather(self, value: T) -> list[T]:
        """The values of all workers, in their order."""
        return [value]

    def agree(self, draw: Callable[[], T]) -> T:
        """What the first worker draws."""
        return draw()


class LinkedTeam(Team):
    """Workers in several processes, over sockets (gloo) or between GPUs (nccl).

    Args:
        rank: Of this worker.
        size: Workers.
        address: At which the first one listens, for the others to find each other.
        host: This machine's address: nothing listens at any other.
        device: Where the tensors are.
        door: The first worker's listening socket.

    Raises:
        Lost: A worker is lost, now or in any exchange.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        address: tuple[str, int],
        host: str,
        device: torch.device,
        door: socket.socket | None = None,
    ) -> None:
        self.rank, self.size = rank, size
        dist: Any = torch.distributed
        listening = {} if door is None else {"master_listen_fd": door.detach()}
        try:
            store = dist.TCPStore(*address, size, door is not None, _MEETING, False, **listening)
        except RuntimeError as error:
            raise Lost(f"no worker answers at {address[0]}:{address[1]}", started=False) from error
        options = dist.ProcessGroupGloo._Options()
        options._devices = [dist.ProcessGroupGloo.create_device(hostname=host)]
        options._timeout = _PATIENCE
        self._group = self._tensors = dist.ProcessGroupGloo(dist.PrefixStore("cpu", store), rank, size, options)
        if device.type == "cuda":
            self._tensors = dist.ProcessGroupNCCL(
                dist.PrefixStore("gpu", store), rank, size, dist.ProcessGroupNCCL.Options()
            )

    def add(self, tensors: Sequence[torch.Tensor]) -> None:
        """As of a team, in one exchange."""
        flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
        _done(lambda: self._tensors.allreduce([flat]))
        for tensor, total in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.detach().copy_(total.view(tensor.shape))

    def stack(self, tensor: torch.Tensor) -> torch.Tensor:
        """As of a team."""
        return self._stacked(tensor, self._tensors)

    def gather(self, value: T) -> list[T]:
        """As of a team; values that can be pickled."""
        own = torch.from_numpy(np.frombuffer(pickle.dumps(value), np.uint8).copy())
        lengths = self._stacked(torch.tensor([len(own)]), self._group).flatten().tolist()
        padded = functional.pad(own, (0, max(lengths) - len(own)))
        return [
            pickle.loads(row[:length].numpy().tobytes())
            for row, length in zip(self._stacked(padded, self._group), lengths, strict=True)
        ]

    def agree(self, draw: Callable[[], T]) -> T:
        """As of a team; a value that can be pickled."""
        return self.gather(draw() if self.rank == 0 else None)[0]  # type: ignore[return-value]

    def _stacked(self, tensor: torch.Tensor, group: Any) -> torch.Tensor:
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        _done(lambda: group.allgather([found], [tensor.contiguous()]))
        return torch.stack(found)


def _done(begin: Callable[[], Any]) -> None:
    """Wait for an exchange.

    Raises:
        Lost: A worker is no more.
    """
    try:
        begin().wait()
    except RuntimeError as error:
        raise Lost("a worker of the team was lost", started=False) from error


def share_batch_norm(module: nn.Module, team: Team) -> None:
    """Have batch norm, while it learns, take mean and variance of the whole team's clips.

    PyTorch's own (``SyncBatchNorm``) is for GPUs alone. With each worker's own statistics the result would depend on
    the number of workers, and a share of one clip could not be learnt from at all.
    """
    for norm in module.modules():
        if isinstance(norm, _BatchNorm):
            norm.forward = _SharedNorm(norm, team)  # type: ignore[assignment,method-assign]


class _SharedNorm:
    """Batch norm's ``forward``: its own while it does not learn."""

    def __init__(self, norm: _BatchNorm, team: Team) -> None:
        self._norm, self._team, self._plain = norm, team, norm.forward

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        norm = self._norm
        if not norm.training:
            plain: torch.Tensor = self._plain(maps)
            return plain
        count, mean, variance = _statistics(maps, self._team)
        if norm.track_running_stats and norm.running_mean is not None and norm.running_var is not None:
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked.add_(1)
            share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            norm.running_mean.lerp_(mean, share)
            norm.running_var.lerp_(variance * (count / max(count - 1, 1)), share)
        weight = torch.ones_like(mean) if norm.weight is None else norm.weight
        bias = torch.zeros_like(mean) if norm.bias is None else norm.bias
        normed: torch.Tensor = _Normalise.apply(maps, weight, bias, mean, variance, count, norm.eps, self._team)  # type: ignore[no-untyped-call]
        return normed


def _statistics(maps: torch.Tensor, team: Team) -> tuple[float, torch.Tensor, torch.Tensor]:
    """How many numbers a channel has in the whole batch, and (channels,) their means and variances."""
    with torch.no_grad():
        variance, mean = torch.var_mean(maps.float(), [0, *range(2, maps.ndim)], correction=0)
        count = maps.numel() / maps.shape[1]
        every = team.stack(torch.cat([mean.new_tensor([count]), mean, variance]))
        counts, (means, variances) = every[:, :1], every[:, 1:].chunk(2, 1)
        share = counts / counts.sum()
        mean = (share * means).sum(0)
        return float(counts.sum()), mean, (share * (variances + (means - mean).square())).sum(0)


class _Normalise(torch.autograd.Function):
    """Batch norm by given statistics, which are those of the batch: its gradient passes through them too."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> torch.Tensor:
        """(batch, channels, ...) of shares of the batch to the same shape."""
        maps, weight, bias, mean, variance, ctx.count, ctx.eps, ctx.team = given
        ctx.save_for_backward(maps, weight, mean, variance)
        return functional.batch_norm(maps, mean, variance, weight, bias, False, 0.0, ctx.eps)

    @staticmethod
    def backward(ctx: Any, *passed: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of the maps, and this share's part of weight's and bias's."""
        maps, weight, mean, variance = ctx.saved_tensors
        found, scale, shift = torch.ops.aten.native_batch_norm_backward(
            passed[0], maps, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack([scale, shift])
        ctx.team.add([sums])
        inverse = (variance + ctx.eps).rsqrt()
        shape = (1, -1, *[1] * (maps.ndim - 2))
        slope = (weight * inverse.square() * sums[0] / ctx.count).view(shape)
        offset = (weight * inverse * sums[1] / ctx.count).view(shape)
        found = found - ((maps - mean.view(shape)) * slope + offset).to(found.dtype)
        return found, scale, shift, None, None, None, None, None
