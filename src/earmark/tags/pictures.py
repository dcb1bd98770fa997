"""The picture that a file carries: what kind it is, told by its own bytes, and the bytes, unchanged."""

from __future__ import annotations

from pathlib import Path

from earmark.tags.read import Reader

__all__ = ["LARGEST", "read_picture"]

LARGEST = 10_000_000
"""Bytes of a picture; a larger one is none."""

_KINDS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
)
_NOTHING_ELSE = {"protocol_whitelist": "", "analyzeduration": "1"}  # a file never makes FFmpeg open anything else
_MOST_PACKETS = 64  # pictures come before the audio


def read_picture(path: Path) -> tuple[str, bytes] | None:
    """The media type and bytes of a file's first picture, the front cover where that is marked; None without one.

    Only JPEG, PNG, GIF, WebP and BMP, whatever the tag calls them. A damaged file has none: it is never worth an error.
    """
    import av

    av.logging.set_level(None)
    try:
        with (
            path.open("rb") as file,
            Reader(file.fileno(), closefd=False) as handle,
            av.open(handle, mode="r", options=_NOTHING_ELSE, metadata_errors="replace") as box,
        ):
            still = [one for one in box.streams.video if one.disposition & av.stream.Disposition.attached_pic]
            still.sort(key=lambda one: "front" not in one.metadata.get("comment", "").lower())
            for stream in still:
                for _, packet in zip(range(_MOST_PACKETS), box.demux(stream), strict=False):
                    if packet.size:
                        return _known(bytes(packet)) if packet.size <= LARGEST else None
    except (av.error.FFmpegError, ValueError, EOFError, OSError):
        return None
    return None


def _known(data: bytes) -> tuple[str, bytes] | None:
    kind = next((kind for begin, kind in _KINDS if data.startswith(begin)), None)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "image/webp"
    return (kind, data) if kind else None
