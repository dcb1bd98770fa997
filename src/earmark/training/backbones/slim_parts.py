"""What the slim networks share: the level taken off, and pooling over time."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Level", "TimePooling"]

FLOOR = -90.0
"""dB of silence, as :class:`earmark.features.frontend.Frontend` gives it."""
SOFTEST = -50.0
"""dB: sounds with a level below this are raised as if they had it, so that silence stays silent."""


class Level(nn.Module):
    """Every clip moved to one level, so that the same song louder or softer gives the same answer.

    The level is the mean over the bands of each band's loudest frame: clipping and silence around the music hardly
    change it. ``None`` leaves spectrograms as they are.
    """

    def __init__(self, level: float | None) -> None:
        super().__init__()
        self.level = level

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) dB to the same shape, scaled for a network: 20 dB are 1, -30 dB are 0."""
        if self.level is not None:
            found = spectrograms.amax(1, keepdim=True).mean(2, keepdim=True).clamp_min(SOFTEST)
            spectrograms = (spectrograms + (self.level - found)).clamp_min(FLOOR)
        return (spectrograms + 30.0) / 20.0


class TimePooling(nn.Module):
    """(batch, channels, steps) to (batch, features): ``mean``, ``mean-std`` or ``attention`` over the steps.

    ``attention`` weighs the steps for each of eight groups of channels (Safari et al. 2020, split into heads).
    """

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        if kind not in ("mean", "mean-std", "attention"):
            raise ValueError(f"pooling {kind!r} is none of mean, mean-std, attention")
        self.kind, self.heads = kind, 8
        self.features = channels * (2 if kind == "mean-std" else 1)
        self.scores = nn.Conv1d(channels, self.heads, 1) if kind == "attention" else nn.Identity()

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """Weighted or plain statistics over the last axis."""
        if self.kind == "attention":
            weights = torch.softmax(self.scores(steps).float(), 2)[:, :, None]
            grouped = steps.float().reshape(len(steps), self.heads, -1, steps.shape[2])
            return (weights * grouped).sum(3).flatten(1)
        steps = steps.float()
        mean = steps.mean(2)
        if self.kind == "mean":
            return mean
        spread = ((steps - mean[:, :, None]).square().mean(2) + 1e-5).sqrt()
        return torch.cat([mean, spread], 1)
