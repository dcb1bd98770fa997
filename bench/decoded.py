"""Pure decoding of the seconds that ``tag`` takes of a song, for ``bench/speed.py``: open, seek and decode.

Reads one path a line and answers each with its processor seconds: ``decoded.py MODEL``.
"""

from __future__ import annotations

import sys
from functools import lru_cache

import av
import soundfile

from earmark.audio.track import open_track, starts
from earmark.models.card import read_card
from earmark.models.registry import find_model
from measure import EXCERPT, serve

_PREROLL = 0.2  # seconds before a stretch of AAC, without which its first samples are wrong


@lru_cache
def places(path: str, seconds: float) -> tuple[float, ...]:
    """Where the clips of a track begin; looked for once, so that it is not in the time."""
    with open_track(path) as track:
        lead = track.lead()
        return tuple(lead + s for s in starts(track.seconds - lead, seconds, max(1, round(EXCERPT / seconds))))


def by_libsndfile(path: str, begins: tuple[float, ...], seconds: float) -> None:
    """What libsndfile reads."""
    with soundfile.SoundFile(path) as file:
        for begin in begins:
            file.seek(round(begin * file.samplerate))
            file.read(round(seconds * file.samplerate), "float32")


def by_ffmpeg(path: str, begins: tuple[float, ...], seconds: float) -> None:
    """What only FFmpeg's libraries read."""
    with av.open(path) as container:
        stream = container.streams.audio[0]
        for begin in begins:
            container.seek(int((begin - _PREROLL) / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                frame.to_ndarray()
                if frame.time + frame.samples / frame.sample_rate >= begin + seconds:
                    break


def main() -> None:
    """Serve."""
    seconds = read_card(find_model(sys.argv[1])).clip.seconds

    def decode(path: str) -> None:
        (by_ffmpeg if path.endswith(".m4a") else by_libsndfile)(path, places(path, seconds), seconds)

    serve(decode, before=lambda path: places(path, seconds))


if __name__ == "__main__":
    main()
