"""What is measured: whole songs in five formats, a three-hour file, and the model."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile

__all__ = ["as_format", "random_model", "songs", "three_hours"]


def songs(shared: Path) -> list[Path]:
    """The whole songs of the shared data."""
    found = sorted((shared / "data" / "full-songs").glob("* - *"))
    if not found:
        raise SystemExit(
            f"{shared / 'data' / 'full-songs'}: no songs there; --shared names the folder of music to measure on"
        )
    return found


def as_format(song: Path, suffix: str, folder: Path) -> Path:
    """The song as mp3, ogg (Vorbis), flac, opus or m4a (AAC); itself where it is one."""
    if song.suffix == suffix:
        return song
    target = folder / f"{song.stem}{suffix}"
    sound, rate = soundfile.read(song, dtype="float32", always_2d=True)
    if suffix != ".m4a":
        form, codec = {
            ".mp3": ("MP3", None),
            ".flac": ("FLAC", None),
            ".ogg": ("OGG", "VORBIS"),
            ".opus": ("OGG", "OPUS"),
        }[suffix]
        rate = 48_000 if codec == "OPUS" else rate  # played 9 % faster: Opus has no 44.1 kHz
        with soundfile.SoundFile(target, "w", rate, sound.shape[1], codec, format=form) as file:
            for start in range(0, len(sound), rate):  # libsndfile's Vorbis overflows its stack on a whole song
                file.write(sound[start : start + rate])
        return target
    with av.open(str(target), "w") as sink:
        stream = sink.add_stream("aac", rate=rate, layout="stereo")
        stream.bit_rate = 192_000
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T), "fltp", "stereo")
        frame.sample_rate = rate
        sink.mux(stream.encode(frame))
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


def random_model(name: str, folder: Path) -> Path:
    """A model of a recipe with random weights: as fast as a trained one."""
    from torch import nn

    from earmark.models.card import Card, HeadCard, write_card
    from earmark.models.network import write_heads
    from earmark.recipe import load_recipe
    from earmark.training.backbones import build
    from earmark.training.module import TaggerModule, write_network

    recipe = load_recipe(name)
    frontend, plan, options = recipe.frontend, recipe.clip, dict(recipe.backbone.options)
    frames = frontend.frames(round(plan.seconds * frontend.sample_rate))
    backbone = build(recipe.backbone.name, frames, frontend.bands, options)
    head = HeadCard("genre", "multiclass", tuple("ABCDEFGH"))
    module = TaggerModule(backbone, {"genre": nn.Linear(backbone.features, 8)})
    target = folder / name
    target.mkdir()
    clips = np.random.default_rng(0).normal(-40, 20, (2, frames, frontend.bands)).astype(np.float32)
    write_heads(write_network(module, target, clips), target)
    about = {"backbone": {"name": recipe.backbone.name, "options": options}}
    card = Card(name, "0", recipe.backbone.name, frontend, plan, (head,), backbone.features, recipe=about)
    write_card(card, target)
    return target
