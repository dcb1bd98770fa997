"""What features cost beside plain tagging: CPU time of one process, the same songs in turn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from earmark.analyses.facts import ANALYSES
from earmark.inference.options import HearingOptions
from earmark.inference.tagger import load_model
from features import Settings
from loud import paths

ROUNDS = 7
CHOICES = {
    "nothing else": (),
    "tempo": ("tempo",),
    "key": ("key",),
    "all but loudness": tuple(name for name in ANALYSES if name != "loudness"),
    "all, loudness of the whole track too": tuple(ANALYSES),
}


def songs(settings: Settings) -> Iterator[tuple[str, Path]]:
    """The whole songs as they are, and as FLAC and Opus."""
    for kind, path in paths(settings.shared):
        if kind != "whole songs":
            continue
        yield path.suffix[1:], path
        sound, rate = soundfile.read(path, dtype="float32")
        settings.work.mkdir(parents=True, exist_ok=True)
        for suffix, subtype in ((".flac", "PCM_16"), (".opus", "OPUS")):
            copy = settings.work / f"{path.stem}{suffix}"
            if not copy.exists():
                form, short = ("OGG", sound[: len(sound) // 2 * 2]) if subtype == "OPUS" else ("FLAC", sound)
                soundfile.write(copy, short, 48_000 if subtype == "OPUS" else rate, subtype, format=form)
            yield suffix[1:], copy


def section(settings: Settings) -> list[str]:
    """The part of the page."""
    tagger = load_model()
    about = (
        "CPU time of one process that tags a song of 3 minutes from its default excerpts, with other features in turn:"
    )
    lines = [about, "", f"| file | {' | '.join(CHOICES)} |", "|---|" + "---|" * len(CHOICES)]
    ratios = []
    for kind, path in songs(settings):
        spent = np.zeros((ROUNDS, len(CHOICES)))
        for row in spent:
            for place, names in enumerate(CHOICES.values()):
                begun = time.process_time()
                tagger.predict(path, options=HearingOptions(features=names))
                row[place] = time.process_time() - begun
        best = np.median(spent[1:], axis=0)
        ratios.append(best / best[0])
        cells = [f"{1000 * best[0]:.0f} ms", *(f"{ratio:.2f} x" for ratio in ratios[-1][1:])]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    middle = " | ".join(f"{ratio:.2f} x" for ratio in np.exp(np.log(ratios).mean(axis=0))[1:])
    return [*lines, f"| all | | {middle} |"]
