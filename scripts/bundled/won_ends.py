"""The waveform's end of Won et al. 2020's networks, as published: mel spectrogram inside the model; then 50 tags."""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["HOP", "SAMPLE_RATE", "TAGS", "WonMel"]

SAMPLE_RATE, N_FFT, HOP, BANDS = 16000, 512, 256, 96
TAGS = 50


def _htk_triangles(bins: int, bands: int, f_max: float) -> torch.Tensor:
    """Triangular filters (bins, bands), evenly spaced on the HTK mel scale, peaks of 1."""
    frequency = torch.linspace(0.0, f_max, bins)
    mel = torch.linspace(0.0, 2595.0 * math.log10(1.0 + f_max / 700.0), bands + 2)
    edges = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    rise = (frequency[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[None, 2:] - frequency[:, None]) / (edges[2:] - edges[1:-1])
    return torch.minimum(rise, fall).clamp(min=0.0)


class _Window(nn.Module):
    window: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(N_FFT))


class _Filters(nn.Module):
    fb: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fb", _htk_triangles(N_FFT // 2 + 1, BANDS, SAMPLE_RATE / 2))


class WonMel(nn.Module):
    """16 kHz waveforms (batch, samples) to mel spectrograms in dB (batch, frames, 96), with the published buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram = _Window()
        self.mel_scale = _Filters()

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Power spectrum (reflected at both ends) through the filters, 10 log10, floor 1e-10."""
        window = self.spectrogram.window
        spectrum = torch.stft(
            waveforms, N_FFT, HOP, window=window, center=True, pad_mode="reflect", return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()
        mel = power.transpose(1, 2) @ self.mel_scale.fb
        return 10.0 * torch.log10(mel.clamp(min=1e-10))
