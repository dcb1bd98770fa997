"""Loudness against pyloudnorm, the true peak against the whole file at four times its rate, and what both cost."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyloudnorm
import soxr

from earmark.analyses.loudness import LoudnessMeter
from earmark.audio.track import open_track
from earmark.errors import AudioError
from features import Settings

STUDIO = 48_000  # Hz: the standard gives its filter for this rate


def paths(shared: Path) -> Iterator[tuple[str, Path]]:
    """Real files of every kind, and odd ones."""
    data = shared / "data"
    for kind, pattern, step in (
        ("whole songs", "full-songs/*.[mo][pg]*", 1), ("moods900 (Opus)", "moods900/**/*.opus", 40),
        ("emotify400 (Opus)", "emotify400/**/*.opus", 20), ("gtzan-short", "gtzan-short/**/*.opus", 25),
        ("odd files, 8-192 kHz, 1-5 channels", "awkward/**/*", 1),
    ):  # fmt: skip
        yield from ((kind, path) for path in sorted(data.glob(pattern))[::step] if path.is_file())


def compared(path: Path) -> tuple[float, ...] | None:
    """LU from pyloudnorm by the standard's filter and by its default one, and dB from the peak of the whole."""
    try:
        with open_track(path) as opened:
            blocks, rate = list(opened.frames(0, None)), opened.rate
    except AudioError:
        return None
    if not blocks or sum(map(len, blocks)) < rate or not 8_000 <= rate <= 192_000 or blocks[0].shape[1] > 5:
        return None
    meter = LoudnessMeter(rate)
    for block in blocks:
        meter.add(block)
    found, sound = meter.result(), np.nan_to_num(np.concatenate(blocks))
    if found.lufs is None or found.true_peak is None:
        return None
    whole = max(float(np.abs(sound).max()), float(np.abs(soxr.resample(sound, 1, 4, quality="VHQ")).max()))
    sound = sound[: len(sound) // round(rate / 10) * round(rate / 10)]  # pyloudnorm counts a last block that is cut off
    studio, rate = (soxr.resample(sound, rate, STUDIO), STUDIO) if rate < 44_100 else (sound, rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exact, plain = (
            pyloudnorm.Meter(rate, filter_class=name).integrated_loudness(studio) for name in ("DeMan", "K-weighting")
        )
    return found.lufs - exact, found.lufs - plain, found.true_peak - 20 * float(np.log10(whole))


def section(settings: Settings) -> list[str]:
    """The part of the page."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    for kind, path in paths(settings.shared):
        found = compared(path)
        if found:
            rows.setdefault(kind, []).append(found)
    lines = [
        "Largest difference (LU; dB) over the files that have a loudness:", "",
        "| files | n | pyloudnorm, the standard's filter | pyloudnorm, its default filter | true peak |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for kind, found in rows.items():
        worst = np.abs(found).max(axis=0)
        lines.append(f"| {kind} | {len(found)} | {worst[0]:.3f} | {worst[1]:.3f} | {worst[2]:.2f} |")
    return [*lines, "", *_costs(settings.shared)]


def _costs(shared: Path) -> Iterator[str]:
    yield from ("| song | minutes | decoding, s of CPU | loudness and true peak beside it |", "|---|---|---|---|")
    for kind, path in paths(shared):
        if kind != "whole songs":
            continue
        best = np.full(2, np.inf)
        for _ in range(5):
            with open_track(path) as opened:
                meter, spent = LoudnessMeter(opened.rate), np.zeros(2)
                begun = time.process_time()
                for block in opened.frames(0, None):
                    decoded = time.process_time()
                    meter.add(block)
                    spent += decoded - begun, time.process_time() - decoded
                    begun = time.process_time()
                meter.result()
                best = np.minimum(best, spent)
                minutes = opened.seconds / 60
        yield f"| `{path.suffix}` | {minutes:.1f} | {best[0]:.2f} | {best[1]:.2f} |"
