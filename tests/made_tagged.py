"""Songs of every kind that tags are written into, made here, and predictions to write."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from mutagen.apev2 import APEv2
from mutagen.flac import FLAC
from mutagen.id3 import COMM, ID3, TCON, TPE1, TXXX

from earmark.analyses.facts import Feature, Key, Loudness, Score, Tempo
from earmark.events import Event, Record
from earmark.filetags.journal import Journal
from earmark.filetags.policy import FilePrediction, Outcome, WriteOptions
from earmark.filetags.write import write_tags
from earmark.inference.records import HeadPrediction, Prediction

BY_SOUNDFILE = ("wav", "aiff", "flac", "mp3", "ogg", "opus")
BY_PYAV = {"m4a": ("ipod", "aac"), "wma": ("asf", "wmav2"), "wv": ("wv", "wavpack"), "tta": ("tta", "tta")}
KINDS = (*BY_SOUNDFILE, *BY_PYAV)

HEADS = {
    "genre": HeadPrediction("multiclass", "Röck", 0.83, scores={"Röck": 0.83, "Jazz": 0.17}),
    "mood": HeadPrediction("multiclass", "happy", 0.6, scores={"happy": 0.6, "sad": 0.4}),
    "genres": HeadPrediction("multilabel", labels=("Rock", "Indie"), scores={"Rock": 0.9, "Indie": 0.5, "Pop": 0.001}),
    "energy": HeadPrediction("regression", value=0.5),
}

FEATURES: dict[str, Feature] = {
    "tempo": Tempo(120.7, 0.6, 60.3),
    "key": Key("F# minor", "11A", 0.5),
    "loudness": Loudness(-9.8, -0.3, -8.2),
    "energy": Score(0.5),
}


def make_song(path: Path, seconds: float = 1.0) -> Path:
    """A song of the kind that the ending says; its noise differs from path to path."""
    rate, seed = 48000, int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:4], "big")
    samples = np.random.default_rng(seed).uniform(-0.3, 0.3, int(rate * seconds)).astype(np.float32)
    kind = path.suffix[1:]
    if kind in BY_SOUNDFILE:
        options = {"opus": {"format": "OGG", "subtype": "OPUS"}}.get(kind, {})
        soundfile.write(path, samples, rate, **options)
        return path
    container, codec = BY_PYAV[kind]
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.layout, stream.bit_rate = "mono", 64_000
        form = stream.codec_context.codec.audio_formats[0].name
        whole = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
        whole.sample_rate = rate
        frames = av.AudioResampler(form, "mono", rate, frame_size=stream.codec_context.frame_size or 4096)
        for frame in [*frames.resample(whole), *frames.resample(None)]:
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


V1 = b"TAG" + b"Title".ljust(30, b"\0") + b"Artist".ljust(30, b"\0") + b"Album".ljust(30, b"\0") + b"1999"
V1 += b"old".ljust(28, b"\0") + b"\0\7" + b"\x4b"  # Polka
INFO = {"IART": "Artist", "INAM": "Title", "IGNR": "Polka", "ICMT": "old"}


def add_ape(song: Path) -> None:
    tags = APEv2()
    tags["Genre"], tags["Artist"], tags["Comment"] = "Polka", "Artist", "old"
    tags.save(song)


def add_front(song: Path, version: int = 4) -> None:
    tags = ID3()
    for frame in (TCON(3, ["Polka"]), TPE1(3, ["Artist"]), COMM(3, "deu", "", ["old"]), TXXX(3, "Mine", ["kept"])):
        tags.add(frame)
    tags.save(song.with_name("tag"), v2_version=version)
    song.write_bytes(song.with_name("tag").read_bytes() + song.read_bytes())


def add_v1(song: Path) -> None:
    song.write_bytes(song.read_bytes() + V1)


def add_vorbis(song: Path) -> None:
    tags = FLAC(song)
    tags["genre"], tags["artist"], tags["comment"] = "Polka", "Artist", "old"
    tags.save()


def add_info(song: Path) -> None:
    texts = {name: text.encode() + b"\0" for name, text in INFO.items()}
    body = b"INFO" + b"".join(
        name.encode() + len(raw).to_bytes(4, "little") + raw + b"\0" * (len(raw) % 2) for name, raw in texts.items()
    )
    whole = song.read_bytes()[8:] + b"LIST" + len(body).to_bytes(4, "little") + body
    song.write_bytes(b"RIFF" + len(whole).to_bytes(4, "little") + whole)


def known(paths: Iterable[Path], **more: Any) -> list[FilePrediction]:
    return [FilePrediction(Prediction(str(path), 1.0, "made@1", HEADS, features=FEATURES), **more) for path in paths]


def written(folder: Path, paths: Sequence[Path], options: WriteOptions | None = None) -> tuple[Journal, list[Outcome]]:
    """Write into files with a journal in ``folder``."""
    journal = Journal.new(folder, policy="test")
    outcomes = outcomes_of(write_tags(known(paths), options or WriteOptions(), journal))
    journal.close()
    return journal, outcomes


def outcomes_of(steps: Iterable[Event]) -> list[Outcome]:
    return [event.value for event in steps if isinstance(event, Record)]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
