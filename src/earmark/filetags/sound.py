"""The audio of a file as its container hands it out: the proof that a change of tags left it alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

from earmark.filetags.outcomes import Refusal

__all__ = ["audio_digest"]


def audio_digest(path: Path) -> str:
    """SHA-256 over every packet of every stream (its bytes and its time) and what the decoder is told beforehand.

    Nothing is decoded, so that it costs little more than reading. What decoders get is equal, so what they give is.

    Raises:
        Refusal: ``audio``, no packet comes out of the file.
    """
    import av

    av.logging.set_level(None)
    digest, packets = hashlib.sha256(), 0
    try:
        # A file object and no protocols: a file's name or content never makes FFmpeg open anything else.
        with path.open("rb") as handle:
            options = {"protocol_whitelist": ""}
            with av.open(handle, "r", options=options, metadata_errors="ignore") as container:
                for stream in container.streams:
                    context = stream.codec_context
                    told = (stream.type, context.name, bytes(context.extradata or b"")) if context else (stream.type,)
                    digest.update(repr(told).encode())
                for packet in container.demux():
                    if packet.size:
                        digest.update(f"{packet.stream_index} {packet.pts} {packet.dts} {packet.size} ".encode())
                        digest.update(bytes(packet))
                        packets += packet.stream.type == "audio"
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        if not packets:
            raise Refusal("audio", f"its audio cannot be read, so it could not be checked: {error}") from error
        digest.update(f"broke off: {type(error).__name__}".encode())
    if not packets:
        raise Refusal("audio", "no audio comes out of it, so it could not be checked")
    return digest.hexdigest()
