"""A changed copy takes a file's place, so that at every moment there is the old file or the new one.

Before that it is proved that the audio is the same, and that the bytes of the old file can be made again of the new
one: the way back is what to copy from the new file, and the bytes that only the old one had.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import itertools
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from earmark.engine.base import Alive, Each, Engine
from earmark.filetags.policy import Refusal
from earmark.inference.records import Failure
from earmark.storage import replace_file
from earmark.tags.read import Reader

__all__ = [
    "BLOCK",
    "Step",
    "copy_and_hash",
    "copy_beside",
    "facts_of",
    "hold",
    "must_be_inside",
    "must_sound_the_same",
    "new_copy",
    "put_in_place",
    "real_file",
    "rebuild",
    "refusal_of",
    "sha256_of",
    "way_back",
]

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


_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_LOCKED = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.ETXTBSY)


def real_file(path: str) -> Path:
    """The file that a path means, through symbolic links.

    Raises:
        Refusal: It is not there, is no file, or has a second name that a change would part from it.
    """
    try:
        real = Path(os.path.realpath(path, strict=True))
        facts = real.stat()
    except (OSError, ValueError) as error:
        raise refusal_of(error) from error
    if not stat.S_ISREG(facts.st_mode):
        raise Refusal("format", "not a file")
    if facts.st_nlink > 1:
        names = f"{facts.st_nlink} names"
        raise Refusal("links", f"the file has {names} (hard links), and a change would part them; make it a copy first")
    return real


def must_be_inside(path: str, real: Path, roots: Sequence[str]) -> None:
    """A link may lead to another place of the scanned folders, but not out of them.

    Raises:
        Refusal: ``links``, where it does.
    """
    if not roots or Path(os.path.abspath(path)) == real:  # noqa: PTH100 - follows no link
        return
    if not any(real.is_relative_to(os.path.realpath(root)) for root in roots):
        raise Refusal("links", f"a link out of the scanned folders, to {real}; --follow-links changes that file")


def facts_of(file: Path) -> os.stat_result:
    """Its facts now.

    Raises:
        Refusal: It is not there.
    """
    try:
        return file.stat()
    except OSError as error:
        raise refusal_of(error) from error


@contextmanager
def hold(file: Path) -> Iterator[BinaryIO]:
    """The file, open and locked against other programs as far as they ask; its content is not touched.

    Raises:
        Refusal: ``permission`` where it is read-only, ``locked`` where another program holds it.
    """
    try:
        if not file.stat().st_mode & 0o222:
            raise Refusal("permission", "the file is read-only")  # also for root, who may write all the same
        handle = file.open("r+b", buffering=0)
    except OSError as error:
        raise refusal_of(error) from error
    with handle:
        _lock(handle.fileno())
        yield handle


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":  # there, who has a file open keeps it from being replaced
        return
    import fcntl

    for lock in (fcntl.flock, fcntl.lockf):
        try:
            lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _LOCKED:
                raise Refusal("locked", "another program holds a lock on it") from error
            # some network disks know no locks


def copy_beside(file: Path) -> Path:
    """Where a file's changed copy is made; the same at every run, so that a killed run's rest is found again."""
    name = hashlib.blake2b(os.fsencode(file), digest_size=6).hexdigest()
    return file.with_name(f".earmark-{name}.tmp")


def new_copy(copy: Path) -> BinaryIO:
    """Open the copy for writing, in place of a killed run's; nobody else may read it before it has its rights."""
    copy.unlink(missing_ok=True)
    copy.touch(mode=0o600, exist_ok=False)
    return copy.open("wb")


def put_in_place(copy: Path, handle: BinaryIO, file: Path, facts: os.stat_result, modified: int | None) -> None:
    """Replace ``file``, which is held, by ``copy``: same owner, rights and extended attributes.

    Args:
        copy: Written, but perhaps not yet on the disk.
        handle: Of the file.
        file: Is replaced.
        facts: The file's, before anything was read of it.
        modified: The time of modification that it gets, in nanoseconds; now, where None.

    Raises:
        Refusal: The file was changed meanwhile, or the system refuses.
    """
    try:
        _same_outside(file, copy, facts, modified)
        if _identity(file.stat()) != _identity(facts):
            raise Refusal("changed", "the file was changed by another program just now")
        if os.name == "nt":
            handle.close()
        replace_file(copy, file)
    except OSError as error:
        raise refusal_of(error, replacing=True) from error


def _same_outside(file: Path, copy: Path, facts: os.stat_result, modified: int | None) -> None:
    made = copy.stat()
    if hasattr(os, "chown") and (made.st_uid, made.st_gid) != (facts.st_uid, facts.st_gid):
        try:
            os.chown(copy, facts.st_uid, facts.st_gid)
        except PermissionError as error:
            raise Refusal("permission", "the file belongs to somebody else, and would be yours after it") from error
    with copy.open("r+b") as handle:
        os.fsync(handle.fileno())
    shutil.copystat(file, copy)
    os.utime(copy, ns=(facts.st_atime_ns, time.time_ns() if modified is None else modified))


def _identity(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def refusal_of(error: OSError | ValueError, *, replacing: bool = False) -> Refusal:
    """What the system says, as a refusal."""
    code = error.errno if isinstance(error, OSError) else errno.ENOENT
    if code in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return Refusal("missing", "no such file")
    if code in _READ_ONLY:
        if getattr(error, "winerror", None) in (32, 33):
            return Refusal("locked", "another program has it open")
        return Refusal("permission", "its folder does not let it be replaced" if replacing else _no_right(error))
    if code == errno.ETXTBSY:
        return Refusal("locked", "another program has it open")
    if code in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return Refusal("io", "the disk is full")
    return Refusal("io", f"the system refuses: {getattr(error, 'strerror', None) or error}")


def _no_right(error: OSError | ValueError) -> str:
    return "the disk is read-only" if getattr(error, "errno", 0) == errno.EROFS else "no permission to change it"
