"""Spectrograms as PNG: read through PyAV, written with the standard library."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.audio.track import Clip, Facts, Plan, starts
from earmark.errors import AudioError, StorageError

__all__ = ["OpenPicture", "image_hash", "read_image", "write_image"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LUMA = np.array([0.299, 0.587, 0.114])


class OpenPicture:
    """A picture of a spectrogram as an opened track: clips are cut along time.

    Args:
        path: A PNG.
        bands: Rows that it must have.
        rate: Columns a second.

    Raises:
        AudioError: As :func:`read_image`, or a picture of another height.
    """

    def __init__(self, path: str, bands: int, rate: float) -> None:
        self._picture, self._rate = read_image(Path(path)), rate
        if self._picture.shape[1] != bands:
            rows = self._picture.shape[1]
            raise AudioError(path, "decode", f"the picture has {rows} rows; the model takes {bands}")

    @property
    def facts(self) -> Facts:
        """Its length."""
        return Facts(len(self._picture) / self._rate)

    def clips(self, plan: Plan, _sample_rate: int) -> Iterator[Clip]:
        """Spectrograms (columns, bands), spread over the picture as over a track."""
        length = round(plan.seconds * self._rate)
        count = max(1, -(-len(self._picture) // length)) if plan.count is None else plan.count
        for start in starts(len(self._picture), length, count):
            piece = self._picture[round(start) : round(start) + length]
            yield Clip(start / self._rate, (start + len(piece)) / self._rate, piece)


def read_image(path: Path) -> NDArray[np.float32]:
    """A picture of a spectrogram: time from left to right, the lowest frequency at the bottom.

    Colours become grey by ITU-R BT.601; 16 bits a pixel are kept as fractions of 8; transparency is dropped.

    Returns:
        (frames, bands) float32, 0..255, column 0 the lowest frequency.

    Raises:
        AudioError: Missing, empty, not PNG, or damaged.
    """
    return np.ascontiguousarray(_pixels(path)[::-1].T, np.float32)


def image_hash(path: Path) -> str:
    """Hash of an image's size and pixels, whatever the file around them: 32 hexadecimal digits.

    Raises:
        AudioError: As :func:`read_image`.
    """
    pixels = _pixels(path)
    head = f"image {pixels.shape[1]} x {pixels.shape[0]}\n".encode()
    return hashlib.blake2b(head + np.ascontiguousarray(pixels, "<f4").tobytes(), digest_size=16).hexdigest()


def write_image(path: Path, spectrogram: NDArray[np.generic]) -> None:
    """Write (frames, bands) of 0..255 as a grey PNG of 8 bits a pixel, the lowest frequency at the bottom.

    Raises:
        StorageError: The file cannot be written.
    """
    rows = np.ascontiguousarray(np.clip(np.rint(spectrogram), 0, 255).astype(np.uint8).T[::-1])
    height, width = rows.shape
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(filtered, 6)),
        (b"IEND", b""),
    )
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    try:
        path.write_bytes(_SIGNATURE + body)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error


def _pixels(path: Path) -> NDArray[np.float32]:
    """(rows, columns) grey 0..255 from the top."""
    import av
    from av.error import FFmpegError

    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise AudioError(path, "missing", "no such file") from error
    except OSError as error:
        raise AudioError(path, "io", f"cannot be read: {error.strerror}") from error
    if not raw:
        raise AudioError(path, "empty", "the file is empty")
    if not raw.startswith(_SIGNATURE):
        raise AudioError(path, "not-audio", "not a PNG image")
    try:
        with av.open(io.BytesIO(raw), mode="r", format="png_pipe") as container:
            return _grey(next(container.decode(video=0)))
    except (FFmpegError, StopIteration, ValueError) as error:
        raise AudioError(path, "decode", f"a damaged PNG image: {error}") from error


def _grey(frame: object) -> NDArray[np.float32]:
    import av

    assert isinstance(frame, av.VideoFrame)
    name = frame.format.name
    if name == "gray":
        return frame.to_ndarray().astype(np.float32)
    if name == "gray16be":
        return (frame.to_ndarray(format="gray16le") / 257.0).astype(np.float32)
    colours = frame.to_ndarray(format="rgb24").astype(np.float64)
    grey: NDArray[np.float32] = (colours @ _LUMA).astype(np.float32)
    return grey
