"""FCN: Choi et al. 2016, "Automatic tagging using deep convolutional neural networks", of Won et al. 2020."""

from __future__ import annotations

import torch
from torch import nn

from earmark.training.backbones import Backbone, register
from earmark.training.backbones.won_parts import ConvPool, WonMel

__all__ = ["WonFcn", "won_fcn"]

FRAMES_A_STEP = 320


class WonFcn(Backbone):
    """Five 3 x 3 convolutions with large max pooling.

    ``spec`` (waveform to dB) and ``dense`` (embedding to 50 tags) are the published ones; ``forward`` starts from the
    spectrogram and ends at the embedding, the maximum over time of :meth:`series`.
    """

    features = 64

    def __init__(self, tags: int = 50) -> None:
        super().__init__()
        self.spec = WonMel()
        self.spec_bn = nn.BatchNorm2d(1)
        self.layer1 = ConvPool(1, 64, (2, 4))
        self.layer2 = ConvPool(64, 128, (2, 4))
        self.layer3 = ConvPool(128, 128, (2, 4))
        self.layer4 = ConvPool(128, 128, (3, 5))
        self.layer5 = ConvPool(128, 64, (4, 1))
        self.dense = nn.Linear(64, tags)

    def series(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, 96) dB to (batch, frames / 320, 64): the last layer before its pooling over time."""
        maps = self.spec_bn(spectrograms.transpose(1, 2)[:, None])
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4, self.layer5):
            maps = layer(maps)
        steps: torch.Tensor = maps[:, :, 0].transpose(1, 2)
        return steps

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, 96) dB to (batch, 64)."""
        return self.series(spectrograms).amax(1)


@register
def won_fcn(frames: int, bands: int, tags: int = 50) -> WonFcn:
    """FCN of Won et al. 2020; 96 bands, at least 320 frames (5.12 s)."""
    if bands != 96 or frames < FRAMES_A_STEP:
        raise ValueError(f"needs 96 bands and at least {FRAMES_A_STEP} frames, not {bands} and {frames}")
    return WonFcn(tags)
