"""The statistics behind every baseline: one length, no NaN, and SciPy's own figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import scipy.stats

from earmark.audio.images import write_image
from earmark.features.statistics import cepstral_statistics, track_statistics


@pytest.mark.parametrize("shape", [(1, 4), (2, 128), (300, 64), (5, 20)])
def test_statistics_have_one_length_and_no_nan(shape: tuple[int, int]):
    for frames in (np.random.default_rng(0).uniform(0, 255, shape), np.full(shape, 7.0)):
        found = cepstral_statistics(frames.astype(np.float32))
        assert found.shape == (240,) and np.isfinite(found).all()


def test_the_figures_are_those_of_scipy():
    frames = np.random.default_rng(0).gamma(2.0, 9.0, (200, 40)).astype(np.float32)
    cepstra = scipy.fft.dct(frames.astype(np.float64), norm="ortho", axis=1)[:, :20]
    both = np.concatenate([cepstra, np.diff(cepstra, axis=0, prepend=cepstra[:1])], axis=1)
    quantiles = np.quantile(both, [0.1, 0.5, 0.9], axis=0)
    wanted = np.concatenate([both.mean(0), both.std(0), scipy.stats.skew(both, axis=0), *quantiles])
    np.testing.assert_allclose(cepstral_statistics(frames), wanted, rtol=1e-5, atol=1e-6)


def test_files_and_pictures_have_them_too(tone: Path, tmp_path: Path):
    assert track_statistics(tone).shape == (240,)
    assert not np.array_equal(track_statistics(tone), track_statistics(tone, seconds=0.5))
    picture = np.random.default_rng(0).integers(0, 255, (40, 24)).astype(np.float32)
    write_image(tmp_path / "a.png", picture)
    np.testing.assert_allclose(track_statistics(tmp_path / "a.png"), cepstral_statistics(picture))
