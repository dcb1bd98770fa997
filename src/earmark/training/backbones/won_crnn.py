"""CRNN: Choi et al. 2017, "Convolutional recurrent neural networks for music classification", of Won et al. 2020."""

from __future__ import annotations

import torch
from torch import nn

from earmark.training.backbones import Backbone, register
from earmark.training.backbones.won_parts import ConvPool, WonMel

__all__ = ["WonCrnn", "won_crnn"]

FRAMES_A_STEP = 96


class WonCrnn(Backbone):
    """Four 3 x 3 convolutions, then two GRU layers over time; the embedding is the GRU's last step."""

    features = 32

    def __init__(self, tags: int = 50) -> None:
        super().__init__()
        self.spec = WonMel()
        self.spec_bn = nn.BatchNorm2d(1)
        self.layer1 = ConvPool(1, 64, (2, 2))
        self.layer2 = ConvPool(64, 128, (3, 3))
        self.layer3 = ConvPool(128, 128, (4, 4))
        self.layer4 = ConvPool(128, 128, (4, 4))
        self.layer5 = nn.GRU(128, 32, 2, batch_first=True)
        self.dense = nn.Linear(32, tags)

    def series(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, 96) dB to (batch, frames / 96, 160): 128 of the convolutions, then 32 of the GRU."""
        maps = self.spec_bn(spectrograms.transpose(1, 2)[:, None])
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = layer(maps)
        steps = maps[:, :, 0].transpose(1, 2).float()
        recurrent, _ = self.layer5(steps)
        return torch.cat([steps, recurrent], 2)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, 96) dB to (batch, 32)."""
        return self.series(spectrograms)[:, -1, 128:]


@register
def won_crnn(frames: int, bands: int, tags: int = 50) -> WonCrnn:
    """CRNN of Won et al. 2020; 96 bands, at least 96 frames (1.54 s)."""
    if bands != 96 or frames < FRAMES_A_STEP:
        raise ValueError(f"needs 96 bands and at least {FRAMES_A_STEP} frames, not {bands} and {frames}")
    return WonCrnn(tags)
