"""The difference of two files as the way back: what to copy from the new one, and the bytes that only the old one had.

Tags grow or shrink in one place of a file, and with them a few lengths and checksums elsewhere. So the old file is
compared with the new one twice, from the beginning and from the end, and the best place to change over is taken.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "Step", "copy_and_hash", "rebuild", "sha256_of", "way_back"]

Step = list[int] | str
"""``[start, length]`` copies from the new file; a text is bytes of the old one (base64)."""

BLOCK = 1 << 20  # bytes read at a time, so that an hour of FLAC costs no more memory than a minute
_GAP = 24  # so many equal bytes between two differences are cheaper kept than told apart
_ANCHOR = 64  # bytes by which a moved stretch is found

_Mask = NDArray[np.bool_]


def way_back(old: Path, new: Path, block: int = BLOCK) -> list[Step]:
    """How to make ``old`` from ``new``."""
    pair = _Pair(old, new, block)
    with pair:
        steps: list[Step] = []
        for first, last, shift in pair.stretches():
            for start, end, same in _runs(pair.differs(first, last, shift)):
                if same:
                    steps.append([first + start + shift, end - start])
                else:
                    steps.extend(pair.moved(first + start, first + end))
    return _joined(steps)


def rebuild(new: BinaryIO, steps: Sequence[Step]) -> Iterator[bytes]:
    """The old file in blocks."""
    for step in steps:
        if isinstance(step, str):
            yield base64.b64decode(step, validate=True)
            continue
        start, left = step
        new.seek(start)
        while left > 0:
            data = new.read(min(BLOCK, left))
            if not data:
                return  # shorter than it was; the hash will tell
            left -= len(data)
            yield data


def sha256_of(blocks: Iterator[bytes]) -> str:
    """SHA-256 of all blocks together, in hex."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def copy_and_hash(source: BinaryIO, target: BinaryIO) -> str:
    """Copy all of a file, and give its SHA-256."""
    source.seek(0)
    digest = hashlib.sha256()
    while data := source.read(BLOCK):
        digest.update(data)
        target.write(data)
    return digest.hexdigest()


class _Pair:
    """Two open files that are compared stretch by stretch."""

    def __init__(self, old: Path, new: Path, block: int) -> None:
        self._old, self._new, self._block = old.open("rb"), new.open("rb"), block
        self._size, self._new_size = old.stat().st_size, new.stat().st_size

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._old.close()
        self._new.close()

    def old_bytes(self, first: int, last: int) -> bytes:
        self._old.seek(first)
        return self._old.read(last - first)

    def differs(self, first: int, last: int, shift: int) -> _Mask:
        """Where old[first:last] is not what stands ``shift`` further on in the new file."""
        old = np.frombuffer(self.old_bytes(first, last), np.uint8)
        start = max(0, first + shift)
        self._new.seek(start)
        new = np.frombuffer(self._new.read(max(0, last + shift - start)), np.uint8)
        mask = np.ones(len(old), np.bool_)
        skipped = start - first - shift
        both = min(len(new), len(old) - skipped)
        if both > 0:
            np.not_equal(old[skipped : skipped + both], new[:both], out=mask[skipped : skipped + both])
        return mask

    def moved(self, first: int, last: int) -> Iterator[Step]:
        """old[first:last], which is not where it should be: a cover that stands behind a longer genre is near."""
        start = max(0, first - BLOCK)
        self._new.seek(start)
        yield from _found(self.old_bytes(first, last), self._new.read(last - start + BLOCK), start)

    def stretches(self) -> Iterator[tuple[int, int, int]]:
        """Blocks of the old file as (first, last, shift): compared from the beginning, and then from the end."""
        cut, shift = self._change_over(), self._new_size - self._size
        for start, end, by in ((0, cut, 0), (cut, self._size, shift)):
            for first in range(start, end, self._block):
                yield first, min(end, first + self._block), by

    def _change_over(self) -> int:
        """The byte from which on the two are compared from their ends: where the fewest bytes differ in all."""
        shift = self._new_size - self._size
        if shift == 0:
            return self._size
        starts = range(0, self._size, self._block)
        ends = [min(self._size, start + self._block) for start in starts]
        front = [int(self.differs(a, b, 0).sum()) for a, b in zip(starts, ends, strict=True)]
        back = [int(self.differs(a, b, shift).sum()) for a, b in zip(starts, ends, strict=True)]
        best = _cheapest(np.asarray(front), np.asarray(back)) * self._block
        first, last = max(0, best - self._block), min(self._size, best + self._block)
        return first + _cheapest(self.differs(first, last, 0), self.differs(first, last, shift))


def _cheapest(front: NDArray[np.generic], back: NDArray[np.generic]) -> int:
    """Where to change over from the costs ``front`` to the costs ``back``, so that their sum is least."""
    before = np.concatenate([[0], np.cumsum(front, dtype=np.int64)])
    after = np.concatenate([np.cumsum(back[::-1], dtype=np.int64)[::-1], [0]])
    return int(np.argmin(before + after))


def _runs(mask: _Mask) -> Iterator[tuple[int, int, bool]]:
    """(start, end, same) of the stretches that are equal and those that are not; short equal ones count as not."""
    edges = np.flatnonzero(np.diff(mask)) + 1
    bounds = [0, *edges.tolist(), len(mask)]
    merged: list[tuple[int, int, bool]] = []
    for start, end in itertools.pairwise(bounds):
        if start == end:
            continue
        same = not mask[start] and (end - start >= _GAP or len(bounds) == 2)
        if merged and merged[-1][2] == same:
            merged[-1] = (merged[-1][0], end, same)
        else:
            merged.append((start, end, same))
    yield from merged


def _found(old: bytes, new: bytes, offset: int) -> Iterator[Step]:
    """``old`` as stretches that are found somewhere in ``new``, which begins at ``offset``, and the bytes between."""
    done = at = misses = 0
    while at + _ANCHOR <= len(old):
        place = new.find(old[at : at + _ANCHOR])
        if place < 0:
            misses += 1
            at += _ANCHOR << min(6, misses // 32)  # what is not there is soon given up
            continue
        misses, back = 0, _equal(old[done:at][::-1], new[max(0, place - at + done) : place][::-1])
        length = back + _equal(old[at:], new[place : place + len(old) - at])
        if at - back > done:
            yield _literal(old[done : at - back])
        yield [offset + place - back, length]
        done = at = at - back + length
    if done < len(old):
        yield _literal(old[done:])


def _equal(one: bytes, other: bytes) -> int:
    """How many bytes the two begin with in common."""
    both = min(len(one), len(other))
    differs = np.frombuffer(one, np.uint8, both) != np.frombuffer(other, np.uint8, both)
    return int(differs.argmax()) if differs.any() else both


def _literal(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _joined(steps: list[Step]) -> list[Step]:
    """Copies that go on where the one before ends, as one."""
    joined: list[Step] = []
    for step in steps:
        last = joined[-1] if joined else None
        if isinstance(step, list) and isinstance(last, list) and last[0] + last[1] == step[0]:
            joined[-1] = [last[0], last[1] + step[1]]
        else:
            joined.append(step)
    return joined
