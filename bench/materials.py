"""What is measured: whole songs in five formats, files of hours, many short ones, and the model."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile

__all__ = ["as_format", "long_flac", "long_mp3", "many", "random_model", "songs"]


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


def long_mp3(shared: Path, folder: Path, seconds: float) -> Path:
    """An mp3 song's frames again and again: a stream of constant bit rate may be strung together."""
    found = _mp3(shared)
    song = found.read_bytes()
    begin = 0
    if song.startswith(b"ID3"):
        begin = 10 + sum(byte << shift for byte, shift in zip(song[6:10], (21, 14, 7, 0), strict=True))
    end = -128 if song[-128:-125] == b"TAG" else len(song)
    target = folder / "long.mp3"
    with target.open("wb") as file:
        for _ in range(round(seconds / soundfile.info(found).duration)):
            file.write(song[begin:end])
    return target


def long_flac(shared: Path, folder: Path, seconds: float) -> Path:
    """The same song again and again as FLAC."""
    song, rate = soundfile.read(_mp3(shared), dtype="int16")
    target = folder / "long.flac"
    with soundfile.SoundFile(target, "w", rate, song.shape[1], compression_level=0.0) as file:
        for _ in range(round(seconds * rate / len(song))):
            file.write(song)
    return target


def _mp3(shared: Path) -> Path:
    return next(file for file in songs(shared) if file.suffix == ".mp3")


def many(shared: Path, folder: Path, count: int) -> list[Path]:
    """Short files of different sound, mp3 and FLAC by turns: ten to twenty seconds of real songs."""
    music = sorted((shared / "data" / "moods900" / "audio").iterdir())
    targets = []
    for number in range(count):
        sound, rate = soundfile.read(music[number % len(music)], dtype="float32")
        begin = (number // len(music)) * rate
        targets.append(folder / f"{number:04}.{('mp3', 'flac')[number % 2]}")
        soundfile.write(targets[-1], sound[begin : begin + (10 + number % 11) * rate], rate)
    return targets


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
