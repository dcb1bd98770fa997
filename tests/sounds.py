"""Sound that tests make for themselves, in many wrappings."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile

__all__ = ["encode", "melody", "sine", "write"]


def sine(seconds: float, rate: int, hertz: float = 440.0, level: float = 0.5) -> np.ndarray:
    """(samples,) float32."""
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def melody(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    """(samples,) float32: notes of a quarter of a second with overtones, each at its own pitch, so that any stretch
    can be told from any other."""
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    pitches = 220.0 * 2 ** (random.integers(0, 36, 1 + int(seconds * 4)) / 12)
    note = np.minimum((t * 4).astype(int), len(pitches) - 1)
    phase = 2 * np.pi * np.cumsum(pitches[note]) / rate
    wave = sum(np.sin(phase * k) / k for k in (1, 2, 3)) * (1 - 0.8 * (t * 4 % 1))
    return (0.25 * wave).astype(np.float32)


def write(path: Path, waveform: np.ndarray, rate: int, subtype: str | None = None, form: str | None = None) -> Path:
    """Through libsndfile; (samples,) or (samples, channels)."""
    soundfile.write(path, waveform, rate, subtype=subtype, format=form)
    return path


def encode(path: Path, waveform: np.ndarray, rate: int, codec: str, bit_rate: int = 128_000) -> Path:
    """Through FFmpeg's libraries; (samples,), (samples, 2) or (samples, 6); the container by the ending."""
    channels = 1 if waveform.ndim == 1 else waveform.shape[1]
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(waveform.reshape(-1, channels).T, np.float32),
            format="fltp",
            layout=layout,
        )
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path
