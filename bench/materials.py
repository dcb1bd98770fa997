"""What is measured: whole songs, the same at 320 kbit/s, a three-hour file, and the model."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from earmark.errors import EarmarkError
from earmark.models.registry import find_model

__all__ = ["at_320", "model_folder", "songs", "three_hours"]


def songs(shared: Path) -> list[Path]:
    """The whole songs of the shared data."""
    found = sorted((shared / "data" / "full-songs").glob("* - *"))
    if not found:
        raise SystemExit(
            f"{shared / 'data' / 'full-songs'}: no songs there; --shared names the folder of music to measure on"
        )
    return found


def at_320(song: Path, folder: Path) -> Path:
    """The song as an mp3 of 320 kbit/s."""
    target = folder / f"{song.stem} (320).mp3"
    with av.open(str(song)) as source, av.open(str(target), "w") as sink:
        stream = sink.add_stream("libmp3lame", rate=44100, layout="stereo")
        stream.bit_rate = 320_000
        resampler = av.AudioResampler("s16p", "stereo", 44100)
        for frame in source.decode(audio=0):
            for piece in resampler.resample(frame):
                sink.mux(stream.encode(piece))
        sink.mux(stream.encode(None))
    return target


def three_hours(shared: Path, folder: Path) -> Path:
    """An mp3 song's frames again and again: a stream of constant bit rate may be strung together."""
    song = next(file for file in songs(shared) if file.suffix == ".mp3").read_bytes()
    begin = 0
    if song.startswith(b"ID3"):
        begin = 10 + sum(byte << shift for byte, shift in zip(song[6:10], (21, 14, 7, 0), strict=True))
    end = -128 if song[-128:-125] == b"TAG" else len(song)
    target = folder / "three hours.mp3"
    with target.open("wb") as file:
        for _ in range(53):
            file.write(song[begin:end])
    return target


def model_folder(folder: Path) -> Path:
    """The bundled model; where there is none yet, a network of the same kind with random weights."""
    try:
        return find_model("default")
    except EarmarkError:
        return _random_model(folder / "random")


def _random_model(folder: Path) -> Path:
    from torch import nn

    from earmark.features.frontend import Frontend
    from earmark.models.card import Card, HeadCard, write_card
    from earmark.models.network import write_heads
    from earmark.recipe import ClipPlan
    from earmark.training.backbones import build
    from earmark.training.module import TaggerModule, write_network

    frontend, plan = Frontend(), ClipPlan()
    frames = frontend.frames(round(plan.seconds * frontend.sample_rate))
    backbone = build("patch-residual", frames, frontend.bands)
    head = HeadCard("genre", "multiclass", tuple("ABCDEFGH"))
    module = TaggerModule(backbone, {"genre": nn.Linear(backbone.features, 8)})
    folder.mkdir()
    clips = np.random.default_rng(0).normal(-40, 20, (2, frames, frontend.bands)).astype(np.float32)
    write_heads(write_network(module, folder, clips, any_length=True), folder)
    write_card(Card("random", "0", "patch-residual", frontend, plan, (head,), backbone.features), folder)
    return folder
