"""The audio of a file before and after: the proof that a change of tags left it alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

from earmark.engine.base import Alive, Each, Engine
from earmark.filetags.outcomes import Refusal
from earmark.inference.records import Failure
from earmark.tags.read import Reader

__all__ = ["must_sound_the_same"]


def must_sound_the_same(old: Path, new: Path, engine: Engine) -> None:
    """Compare what the containers hand out to decoders; where that cannot tell, what the decoders make of it.

    Raises:
        Refusal: ``audio``, it differs, or none comes out of the file.
    """
    (result,) = engine.map(Each(_same, lively=True), [(old, new)])
    if isinstance(result, Failure):
        raise Refusal("audio", f"its audio cannot be read, so it could not be checked: {result.message}")
    if not result.value:
        raise Refusal("audio", "its audio would not stay as it is")


def _same(pair: tuple[Path, Path], alive: Alive) -> bool:
    old, new = pair
    packets = _packets(old)
    if packets and packets == _packets(new):
        return True
    # No packets come out of some files that libsndfile reads; the last one of an APE ends with the file, tags and all.
    return _samples(old, alive) == _samples(new, alive)


def _packets(path: Path) -> str:
    """A hash of every packet of every stream (its bytes and its time) and of what decoders get before them.

    Nothing is decoded, so that it costs little more than reading. Empty where no audio comes out to the very end.
    """
    import av

    av.logging.set_level(None)
    digest, packets = hashlib.sha256(), 0
    try:
        # A file object and no protocols: a file's name or content never makes FFmpeg open anything else.
        options = {"protocol_whitelist": ""}
        with Reader(path) as handle, av.open(handle, "r", options=options, metadata_errors="ignore") as container:
            for stream in container.streams:
                context = stream.codec_context
                setup = (context.name, bytes(context.extradata or b"")) if context else ()
                digest.update(repr((stream.type, setup)).encode())
            for packet in container.demux():
                if packet.size:
                    digest.update(f"{packet.stream_index} {packet.pts} {packet.dts} {packet.size} ".encode())
                    digest.update(bytes(packet))
                    packets += packet.stream.type == "audio"
    except (av.error.FFmpegError, ValueError, EOFError):
        return ""
    return digest.hexdigest() if packets else ""


def _samples(path: Path, alive: Alive) -> str:
    """A hash of the decoded audio."""
    from earmark.audio.track import open_track

    digest = hashlib.sha256()
    with open_track(path, alive=alive) as source:
        for block in source.blocks(0.0, None):
            digest.update(block.tobytes())
        digest.update(f"{source.rate} {source.damaged}".encode())
    return digest.hexdigest()
