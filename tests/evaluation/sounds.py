"""Made music: random chords and noises that change a few times a second."""

import numpy as np


def music(seed, seconds, rate=8000):
    """(samples,) float32 at 8 kHz."""
    rng = np.random.default_rng([seed, 99])
    pieces, left = [], int(seconds * rate)
    while left > 0:
        size = min(left, int(rng.uniform(0.1, 0.5) * rate))
        t = np.arange(size) / rate
        tones = sum(
            rng.uniform(0.1, 1) * np.sin(2 * np.pi * 220 * 2 ** (rng.integers(0, 40) / 12) * t + rng.uniform(0, 6))
            for _ in range(4)
        )
        noise = np.convolve(rng.normal(0, 1, size), rng.normal(0, 0.3, 16), "same")
        pieces.append((tones + rng.uniform(0, 1) * noise) * np.exp(-t * rng.uniform(0, 4)))
        left -= size
    wave = np.concatenate(pieces)
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)
