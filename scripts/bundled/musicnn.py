"""musicnn and VGG of their authors (Pons and Serra 2019, ISC licence), as published: arrays under TensorFlow's names.

16 kHz mono; patches of 187 frames (3 s) of librosa's mel spectrogram, log10(1 + 10000 x). musicnn has tall filters for
timbre and long ones for rhythm, three dense layers with residuals over time, then maximum and mean of each channel; VGG
has five layers of 3 x 3 filters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import nn
from torch.nn import functional

from earmark.errors import ModelError
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram

__all__ = ["FEATURES", "FRAMES", "HOP", "SAMPLE_RATE", "PonsMusicnn", "PonsVgg", "load_musicnn", "load_vgg", "patches"]

Array = NDArray[np.float32]
SAMPLE_RATE, HOP, FRAMES, FEATURES = 16_000, 256, 187, 200
_TIMBRE, _TIME = (38, 67), (128, 64, 32)  # bands and frames that the filters of the front end span
_FRONTEND = Frontend(n_fft=512, win_length=512, hop_length=HOP, f_min=0.0, f_max=8000.0, floor=1e-30)


def patches(waveform: Array) -> Array:
    """(samples,) at 16 kHz to (patches, 187, 96): end to end, the rest dropped unless it is all (then repeated)."""
    power = 10.0 ** (spectrogram(waveform, _FRONTEND).astype(np.float64) / 10)
    scaled = np.log10(1 + 10_000 * power).astype(np.float32)
    whole = len(scaled) // FRAMES * FRAMES
    return (scaled[:whole] if whole else np.resize(scaled, (FRAMES, 96))).reshape(-1, FRAMES, 96)


class _Block(nn.Module):
    """Convolution, ReLU, then batch norm with epsilon 1e-3: TensorFlow's order in this network."""

    def __init__(self, filters: int, height: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, filters, (height, width))
        self.norm = nn.BatchNorm2d(filters, eps=1e-3)

    def finish(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, frames, filters) of the convolution without its bias to (batch, filters, frames)."""
        norm, bias = self.norm, self.conv.bias
        assert bias is not None
        biased = functional.relu(maps.float() + bias).mT
        return functional.batch_norm(biased, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


def _largest(blocks: Sequence[_Block], x: torch.Tensor) -> torch.Tensor:
    """Blocks of one width on (batch, frames, bands), the largest of the bands taken: (batch, filters, frames).

    One product of matrices a patch, half the time of the convolutions. Only monotone steps lie between the convolution
    and the largest value, falling ones where the norm's weight is negative: so it is taken first, with that sign.
    """
    height = max(block.conv.weight.shape[2] for block in blocks)
    kernels = []
    for block in blocks:
        kernel = block.conv.weight[:, 0] * block.norm.weight.sign()[:, None, None]
        before = (height - 1) // 2 - (kernel.shape[1] - 1) // 2  # zeros before and after in time, as 'same' has them
        kernels.append(functional.pad(kernel, (0, 0, before, height - before - kernel.shape[1])).flatten(1))
    kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    weight = torch.cat(kernels).to(kind)
    padded = functional.pad(x.to(kind), (0, 0, (height - 1) // 2, height // 2))
    width = blocks[0].conv.weight.shape[3]
    found = [functional.linear(p.unfold(0, height, 1).unfold(1, width, 1).flatten(2), weight).amax(1) for p in padded]
    parts = torch.split(torch.stack(found), [len(block.norm.weight) for block in blocks], 2)
    signed = [part * block.norm.weight.sign() for block, part in zip(blocks, parts, strict=True)]
    return torch.cat([block.finish(part) for block, part in zip(blocks, signed, strict=True)], 1)


def _blocks(layers: nn.ModuleList) -> list[_Block]:
    return [layer for layer in layers if isinstance(layer, _Block)]


class PonsMusicnn(nn.Module):
    """Patches (batch, 187, 96) to the penultimate layer (batch, 200); :attr:`tags` makes logits of it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1, eps=1e-3)
        self.timbre = nn.ModuleList(_Block(204, 7, width) for width in _TIMBRE)
        self.time = nn.ModuleList(_Block(51, height, 1) for height in _TIME)
        self.middle = nn.ModuleList(_Block(64, 7, width) for width in (561, 64, 64))
        self.pooled = nn.BatchNorm1d(1506, eps=1e-3)
        self.dense, self.dense_norm = nn.Linear(1506, FEATURES), nn.BatchNorm1d(FEATURES, eps=1e-3)
        self.tags = nn.Linear(FEATURES, 50)

    def _front(self) -> tuple[list[_Block], ...]:
        """Blocks of one width each."""
        first, second = _blocks(self.timbre)
        return [first], [second], _blocks(self.time)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Penultimate layer: after ReLU and batch norm."""
        x = self.norm(mel[:, None])[:, 0]
        front = torch.cat([_largest(blocks, x) for blocks in self._front()], 1)
        kept, carried = [front], front
        for number, block in enumerate(_blocks(self.middle)):
            out = block.finish(functional.conv1d(carried, block.conv.weight[:, 0].transpose(1, 2), padding=3).mT)
            carried = out + carried if number else out
            kept.append(carried)
        series = torch.cat(kept, 1)
        pooled = torch.stack([series.amax(2), series.mean(2)], 2).flatten(1)
        penultimate: torch.Tensor = self.dense_norm(functional.relu(self.dense(self.pooled(pooled))))
        return penultimate


class PonsVgg(nn.Module):
    """Patches (batch, 187, 96) to the last pooled maps (batch, 256); :attr:`tags` makes logits of them."""

    features = 256
    _pools = (((4, 1), 2), ((2, 2), 2), ((2, 2), 2), ((2, 2), 2), ((4, 4), 4))

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1, eps=1e-3)
        self.convs = nn.ModuleList(nn.Conv2d(128 if n else 1, 128, 3, padding=1) for n in range(5))
        self.norms = nn.ModuleList(nn.BatchNorm2d(128, eps=1e-3) for _ in range(5))
        self.tags = nn.Linear(self.features, 50)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Convolution, ReLU, batch norm, pooling, five times; flattened as TensorFlow does: time, bands, channels."""
        x = self.norm(mel[:, None])
        for conv, norm, (size, stride) in zip(self.convs, self.norms, self._pools, strict=True):
            x = functional.max_pool2d(norm(functional.relu(conv(x))), size, stride)
        maps: torch.Tensor = x.permute(0, 2, 3, 1).flatten(1)
        return maps


def load_musicnn(file: Path) -> PonsMusicnn:
    """The network with the published arrays.

    Raises:
        ModelError: The file is missing, damaged, or another network's.
    """
    network = PonsMusicnn()

    def copy(arrays: Mapping[str, Array]) -> None:
        blocks = [*network.timbre, *network.time, *network.middle]
        for number, block in enumerate(blocks):
            _copy(arrays, f"conv2d{_suffix(number)}", block.conv, (3, 2, 0, 1))
        for number, norm in enumerate([network.norm, *(b.norm for b in blocks), network.pooled, network.dense_norm]):
            _copy_norm(arrays, f"batch_normalization{_suffix(number)}", norm)
        _copy(arrays, "dense", network.dense, (1, 0))
        _copy(arrays, "dense_1", network.tags, (1, 0))

    _fill(network, file, "musicnn", copy)
    return network


def load_vgg(file: Path) -> PonsVgg:
    """The network with the published arrays; errors as :func:`load_musicnn`."""
    network = PonsVgg()

    def copy(arrays: Mapping[str, Array]) -> None:
        for number, conv in enumerate(network.convs, 1):
            assert isinstance(conv, nn.Conv2d)
            _copy(arrays, f"{number}CNN", conv, (3, 2, 0, 1))
        for number, norm in enumerate([network.norm, *network.norms]):
            assert isinstance(norm, nn.BatchNorm2d)
            _copy_norm(arrays, f"batch_normalization{_suffix(number)}", norm)
        _copy(arrays, "dense", network.tags, (1, 0))

    _fill(network, file, "VGG", copy)
    return network


def _fill(network: nn.Module, file: Path, name: str, copy: Callable[[Mapping[str, Array]], None]) -> None:
    """Copy a file's arrays into a network and make it ready to be run."""
    try:
        with torch.no_grad():
            copy(load_file(file))
            for weights in network.parameters():  # denormal weights cost many times the arithmetic and change nothing
                weights[weights.abs() < 1e-30] = 0.0
    except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
        raise ModelError(f"{file} does not hold the arrays of {name}: {error}") from error
    network.eval()


def _suffix(number: int) -> str:
    return f"_{number}" if number else ""


def _copy(arrays: Mapping[str, Array], name: str, layer: nn.Conv2d | nn.Linear, order: tuple[int, ...]) -> None:
    layer.weight.copy_(torch.from_numpy(arrays[f"{name}/kernel"].transpose(order).copy()))
    assert layer.bias is not None
    layer.bias.copy_(torch.from_numpy(arrays[f"{name}/bias"]))


def _copy_norm(arrays: Mapping[str, Array], name: str, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    names = {
        "gamma": norm.weight,
        "beta": norm.bias,
        "moving_mean": norm.running_mean,
        "moving_variance": norm.running_var,
    }
    for theirs, ours in names.items():
        assert ours is not None
        ours.copy_(torch.from_numpy(arrays[f"{name}/{theirs}"]))
