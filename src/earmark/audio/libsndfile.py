"""Reading through libsndfile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.audio.mpeg import music_share, states_length
from earmark.audio.source import RATES, mono, plain
from earmark.errors import AudioError

__all__ = ["Soundfile"]

Array = NDArray[np.float32]

_BLOCK_SECONDS = 10.0  # decoded at a time, so that a three-hour file costs no more memory than a three-minute one
_SMALL_BLOCK = 1024  # samples
_UNKNOWN_FORMAT = (1, 7)  # libsndfile's codes for "not my format"; 7 is what its mp3 reader says of other files
_UNKNOWN_LENGTH = 2**53


@dataclass(slots=True)
class Soundfile:
    """libsndfile: wav, aiff, flac, ogg, opus, mp3 and rarer ones; seeks are exact to the sample (Vorbis: to 10 ms)."""

    rate: int
    seconds: float
    guessed: bool
    damaged: str
    _file: Any

    def __init__(self, name: str) -> None:
        try:
            # Bytes, because a name need not be valid text; soundfile itself would refuse to encode it.
            self._file = soundfile.SoundFile(name if os.name == "nt" else os.fsencode(name))
        except (soundfile.SoundFileError, TypeError, ValueError, RuntimeError) as error:
            unknown = getattr(error, "code", 0) in _UNKNOWN_FORMAT
            raise AudioError(name, "not-audio" if unknown else "decode", plain(error)) from error
        self.rate, self.damaged = int(self._file.samplerate), ""
        frames = int(self._file.frames)
        if self.rate not in RATES or frames >= _UNKNOWN_LENGTH or not self._file.seekable():
            self._file.close()
            raise AudioError(name, "decode", f"libsndfile cannot seek in it (sample rate {self.rate} Hz)")
        self.guessed = self._file.format == "MP3" and not states_length(name)
        self.seconds = frames / self.rate * (music_share(name) if self.guessed else 1)

    def blocks(self, start: float, seconds: float | None) -> Iterator[Array]:
        """Mono blocks from ``start`` seconds on."""
        position = round(max(0.0, start) * self.rate)
        end = None if seconds is None else position + round(seconds * self.rate)
        size, sought = int(_BLOCK_SECONDS * self.rate), False
        while end is None or position < end:
            try:
                if not sought:
                    self._file.seek(position)
                block = self._file.read(size if end is None else min(size, end - position), "float32", always_2d=True)
            except (soundfile.SoundFileError, RuntimeError) as error:
                if size <= _SMALL_BLOCK:
                    self.damaged = f"decoding broke off: {plain(error)}"
                    return
                # All of a block is lost that runs into the damage: take what is before it in smaller ones.
                size, sought = max(_SMALL_BLOCK, size // 8), False
                continue
            if not len(block):
                return
            yield mono(block, axis=1)
            position, sought = position + len(block), True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
