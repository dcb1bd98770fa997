"""EfficientAT: Schmid et al. 2023, "Efficient large-scale audio tagging via transformer-to-CNN knowledge distillation".

A MobileNetV3-Large (Howard et al. 2019) of another width on a log-mel spectrogram of 32 kHz audio.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from earmark.training.backbones import Backbone

__all__ = ["SAMPLE_RATE", "EfficientAt", "EfficientAtMel"]

SAMPLE_RATE, N_FFT, WINDOW, HOP, BANDS = 32000, 1024, 800, 320, 128

# kernel, expanded channels, output channels, squeeze-and-excitation, hard swish (else ReLU), stride; at width 1
_BLOCKS: tuple[tuple[int, int, int, bool, bool, int], ...] = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)


def _multiple_of_eight(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _kaldi_triangles(bands: int, f_min: float, f_max: float) -> torch.Tensor:
    """Filters (bands, bins) that are triangles on Kaldi's mel scale; the bin of the Nyquist frequency is left out."""
    frequency = torch.arange(N_FFT // 2, dtype=torch.float64) * (SAMPLE_RATE / N_FFT)
    mel = 1127.0 * torch.log(1.0 + frequency / 700.0)
    low, high = (1127.0 * math.log(1.0 + f / 700.0) for f in (f_min, f_max))
    step = (high - low) / (bands + 1)
    left = low + step * torch.arange(bands, dtype=torch.float64)[:, None]
    triangles = torch.minimum((mel - left) / step, (left + 2 * step - mel) / step).clamp(min=0.0)
    return torch.nn.functional.pad(triangles, (0, 1)).float()


class EfficientAtMel(nn.Module):
    """32 kHz waveforms (batch, samples) to log-mel spectrograms (batch, frames, 128), as at the authors' evaluation."""

    window: torch.Tensor
    filters: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW, periodic=False), persistent=False)
        self.register_buffer("filters", _kaldi_triangles(BANDS, 0.0, 15000.0), persistent=False)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Pre-emphasis, power spectrum, mel, logarithm, scaled to about -1..1."""
        sharpened = waveforms[:, 1:] - 0.97 * waveforms[:, :-1]
        spectrum = torch.stft(sharpened, N_FFT, HOP, WINDOW, window=self.window, center=True, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        mel = power.transpose(1, 2) @ self.filters.T
        return (torch.log(mel + 1e-5) + 4.5) / 5.0


class _Excitation(nn.Module):
    """Squeeze and excitation (Hu et al. 2018) over channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = _multiple_of_eight(channels // 4)
        self.fc1 = nn.Linear(channels, inner)
        self.fc2 = nn.Linear(inner, channels)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Each channel of (batch, channels, bands, frames) times a number from 0 to 1."""
        gate = torch.sigmoid(self.fc2(torch.relu(self.fc1(maps.mean((2, 3))))))
        return maps * gate[:, :, None, None]


class _Concurrent(nn.Module):
    """Keeps the published names; here the channels are the only dimension that is excited."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([_Excitation(channels)])

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Shape unchanged."""
        excited: torch.Tensor = self.conc_se_layers[0](maps)
        return excited


def _conv(inputs: int, outputs: int, kernel: int, stride: int, groups: int, activation: nn.Module | None) -> nn.Module:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=0.001, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([activation] if activation else []))


class _InvertedResidual(nn.Module):
    """Expand by 1 x 1, depthwise convolution, excite, project by 1 x 1; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, block: tuple[int, int, int, bool, bool, int], width: float) -> None:
        super().__init__()
        kernel, _, _, excite, swish, stride = block
        expanded = _multiple_of_eight(block[1] * width)
        activation = nn.Hardswish if swish else nn.ReLU
        layers: list[nn.Module] = []
        if expanded != inputs:
            layers.append(_conv(inputs, expanded, 1, 1, 1, activation()))
        layers.append(_conv(expanded, expanded, kernel, stride, expanded, activation()))
        if excite:
            layers.append(_Concurrent(expanded))
        layers.append(_conv(expanded, outputs, 1, 1, 1, None))
        self.block = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, bands, frames) to (batch, outputs, bands / stride, frames / stride)."""
        changed: torch.Tensor = self.block(maps)
        return changed + maps if self.shortcut else changed


class EfficientAt(Backbone):
    """MobileNetV3-Large; the embedding is the mean of the last feature map over bands and frames."""

    published_prefixes: ClassVar[Mapping[str, str]] = {"features.": "body."}

    def __init__(self, width: float = 0.4, classes: int = 527) -> None:
        super().__init__()
        channels = _multiple_of_eight(16 * width)
        layers: list[nn.Module] = [_conv(1, channels, 3, 2, 1, nn.Hardswish())]
        for block in _BLOCKS:
            outputs = _multiple_of_eight(block[2] * width)
            layers.append(_InvertedResidual(channels, outputs, block, width))
            channels = outputs
        self.features = 6 * channels
        layers.append(_conv(channels, self.features, 1, 1, 1, nn.Hardswish()))
        self.body = nn.Sequential(*layers)
        hidden = _multiple_of_eight(1280 * width)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.features, hidden), nn.Hardswish(), nn.Dropout(0.2),
            nn.Linear(hidden, classes),
        )  # fmt: skip

    def series(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, 128) to (batch, frames / 32, features): the last feature map, its mean over bands."""
        maps: torch.Tensor = self.body(spectrograms.transpose(1, 2)[:, None])
        return maps.mean(2).transpose(1, 2)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, 128) to (batch, features)."""
        return self.series(spectrograms).mean(1)
