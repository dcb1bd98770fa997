"""Embeddings to search in: in memory, or those of a large library in an index beside its file.

The index (``library.db.1.index``: of the first backbone) has float16 vectors in inverted lists (Jegou et al. 2011).
It is mapped, not read: a search reads the lists whose centres are nearest. It is never changed, only written anew,
whole or not at all. What has changed since, as the library counts, is laid over it; of much, an index is written that
takes it over with the same centres. A damaged one, or one of another library or another time, is made anew.
"""

from __future__ import annotations

import json
import mmap
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from earmark.errors import StorageError
from earmark.events import Notice, Progress, Steps
from earmark.library.kmeans import assign, settle
from earmark.library.records import LibraryModel, direction
from earmark.library.store import Library
from earmark.storage import lock, write_file

__all__ = [
    "INDEX_FROM",
    "LISTS_FROM",
    "Vectors",
    "in_memory",
    "index_file",
    "keep_index",
    "large_vectors",
    "read_vectors",
]

Array = NDArray[np.float32]
Halves = NDArray[np.float16]
Rows = NDArray[np.int64]
V = TypeVar("V")

INDEX_FROM = 20_000
"""From so many recordings on a library has an index beside it; fewer are read as quickly."""

LISTS_FROM = 50_000
"""From so many on a search reads a part of them; below it is exact."""

_PROBED = 16, 1 / 64  # lists that a search reads at least, and such a share of all
_DEEP = 16  # times as many vectors as are asked for, at least
_BEHIND = 500  # changes that are laid over an index; of more, a new one is written
_GROWN = 2  # times the vectors that its centres were found from: then they are found anew
_TRAINED = 40  # vectors a centre that it is found from
_ROUNDS = 8
_TOGETHER = 16  # queries answered at once
_BLOCK = 32_768  # vectors worked on at a time
_HEAD, _PAGE = 512, 4096  # bytes


class _Damaged(Exception):
    """An index holds what was not written to it."""


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """An index, mapped.

    Attributes:
        audio: (n,) rows of the library's audio, ascending.
        place: (n,) where the vector of each stands.
        row: (n,) the other way round: whose vector stands there, as a place in ``audio``.
        vectors: (n, dimensions) float16, list after list.
        bounds: (lists + 1,) where each list begins.
        centers: (lists, dimensions).
        sums: (lists,) CRC-32 of each list's bytes.
        change: The library's last change of embeddings that is in it, and its mark.
        trained: How many vectors there were when the centres were found.
        checked: (lists,) which lists were found to be as they were written.
        mapped: The file.
        file: Where it is.
    """

    audio: Rows
    place: NDArray[np.int32]
    row: NDArray[np.int32]
    vectors: Halves
    bounds: Rows
    centers: Array
    sums: NDArray[np.uint32]
    change: tuple[int, int]
    trained: int
    checked: NDArray[np.bool_]
    mapped: mmap.mmap | bytes
    file: Path

    def near(self, target: Array, count: int, sizes: Rows) -> tuple[Rows, Array]:
        """Audio of the lists nearest to a direction, and its cosines: many more than ``count``, where there are.

        ``sizes``, (lists,), is how much of each list counts.
        """
        lists = len(self.centers)
        order = np.argsort((self.centers * self.centers).sum(axis=1) / 2 - self.centers @ target, kind="stable")
        least = max(_PROBED[0], int(lists * _PROBED[1]))
        enough = int(np.searchsorted(np.cumsum(sizes[order]), _DEEP * count)) + 1
        probed = np.sort(order[: max(least, enough)])
        self.check(probed)
        audio, cosine = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for one in probed.tolist():
            for part in _parts(self.bounds[one], self.bounds[one + 1]):
                audio.append(self.audio[self.row[part]])
                cosine.append(self.vectors[part].astype(np.float32) @ target)
        return np.concatenate(audio), np.concatenate(cosine)

    def of(self, audio: Rows) -> Array:
        """(k, dimensions) of some of its audio (_Damaged)."""
        place, lists = self.standing(audio)
        self.check(np.asarray(sorted(set(lists.tolist())), np.int64))
        return self.vectors[place].astype(np.float32)

    def standing(self, audio: Rows) -> tuple[NDArray[np.int32], Rows]:
        """Where the vectors of some of its audio stand, (k,), and in which lists, (k,)."""
        place = self.place[np.searchsorted(self.audio, audio)]
        return place, np.searchsorted(self.bounds, place, "right") - 1

    def check(self, lists: NDArray[np.integer[Any]]) -> None:
        """Compare lists, each once, with what was written (_Damaged)."""
        for one in lists[~self.checked[lists]].tolist():
            if zlib.crc32(self.vectors[self.bounds[one] : self.bounds[one + 1]].data) != self.sums[one]:
                with suppress(OSError):
                    self.file.unlink()  # nobody else is to use it
                raise _Damaged(f"{self.file}: list {one}")
            self.checked[one] = True

    def let_go(self) -> None:
        """Give the memory of what was read back, where the system can: a walk through all would add up."""
        if isinstance(self.mapped, mmap.mmap):
            with suppress(AttributeError, OSError):
                self.mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(slots=True, eq=False)
class _Query:
    """A vector to compare with all, and what comes of it."""

    target: Array
    cosines: Array | None = None


@dataclass(eq=False)
class Vectors:
    """Embeddings to search in: some in memory, and those of an index but for some.

    Attributes:
        held: (m,) rows of the library's audio that is in memory, ascending.
        matrix: (m, dimensions) float32, each row of length 1.
        index: The index, or None.
        gone: Audio of the index that is not to be found there, ascending.
        whole: Gives the embeddings of some audio, should the index turn out to be damaged.
    """

    held: Rows
    matrix: Array
    index: Index | None = None
    gone: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    whole: Callable[[Rows], tuple[Rows, Array]] | None = None
    _instead: Vectors | None = None
    _queries: list[_Query] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def audio(self) -> Rows:
        """All audio, (n,) ascending."""
        if self.index is None:
            return self.held
        left = np.delete(self.index.audio, np.searchsorted(self.index.audio, self.gone))
        return np.insert(left, np.searchsorted(left, self.held), self.held)

    @cached_property
    def _sizes(self) -> Rows:
        """(lists,) how much of each list of the index is to be found: much may have vanished."""
        assert self.index is not None
        gone = np.bincount(self.index.standing(self.gone)[1], minlength=len(self.index.centers))
        return np.diff(self.index.bounds) - gone

    @property
    def damaged(self) -> bool:
        """Whether the index turned out to be damaged; what was asked is answered without it."""
        return self._instead is not None

    def __len__(self) -> int:
        return len(self.held) + (0 if self.index is None else len(self.index.audio) - len(self.gone))

    def known(self, audio: Sequence[int]) -> Rows:
        """Those of some audio that are among these, in their order."""
        return _inside(np.asarray(audio, np.int64), self.audio)

    def among(self, audio: Rows) -> Vectors:
        """Those of some audio alone, ascending, in memory."""
        known = self.known(audio.tolist())
        return Vectors(known, self.of(known))

    def nearest(self, query: Array, count: int) -> tuple[Rows, Array]:
        """The audio nearest to a vector, nearest first; ties go to the audio that comes first.

        Args:
            query: (dimensions,) of any length.
            count: So many at most.

        Returns:
            Rows of audio, and distances: 1 - cosine, 0..2.
        """
        target = direction(query)

        def search() -> tuple[Rows, Array]:
            audio, cosine = self.held, self._cosines(target) if len(self.held) else np.zeros(0, np.float32)
            if self.index is None:
                return audio, cosine
            found, near = self.index.near(target, count, self._sizes)
            kept = ~np.isin(found, self.gone) if len(self.gone) else slice(None)
            return np.concatenate([found[kept], audio]), np.concatenate([near[kept], cosine])

        return self._sound(lambda: _best(*search(), count), lambda other: other.nearest(query, count))

    def of(self, audio: Rows) -> Array:
        """(k, dimensions) float32 of some of the audio."""
        return self._sound(lambda: self._of(audio), lambda other: other.of(audio))

    def _of(self, audio: Rows) -> Array:
        found = np.empty((len(audio), self.matrix.shape[1]), np.float32)
        place = np.minimum(np.searchsorted(self.held, audio), max(0, len(self.held) - 1))
        inside = self.held[place] == audio if len(self.held) else np.zeros(len(audio), bool)
        found[inside] = self.matrix[place[inside]]
        if self.index is not None and not inside.all():
            found[~inside] = self.index.of(audio[~inside])
        return found

    def blocks(self) -> Iterator[tuple[Rows, Array]]:
        """All vectors, in an order of no meaning: places in :attr:`audio`, and (k, dimensions) float32."""
        if self.index is not None and self._sound(self._checked, lambda _: False):
            for part in _parts(0, len(self.index.audio)):
                audio, vectors = self.index.audio[self.index.row[part]], self.index.vectors[part].astype(np.float32)
                kept = ~np.isin(audio, self.gone) if len(self.gone) else slice(None)
                yield np.searchsorted(self.audio, audio[kept]), vectors[kept]
                self.index.let_go()
        if self._instead is not None:
            yield from self._instead.blocks()
            return
        for part in _parts(0, len(self.held)):
            yield np.searchsorted(self.audio, self.held[part]), self.matrix[part]

    def closest(self, targets: Array) -> Array:
        """(n,) the greatest cosine of each vector with one of the targets, (k, dimensions) of length 1."""
        found = np.empty(len(self), np.float32)
        for rows, block in self.blocks():
            found[rows] = (block @ targets.T).max(axis=1)
        return found

    def _checked(self) -> bool:
        assert self.index is not None
        for one in range(len(self.index.centers)):
            self.index.check(np.asarray([one]))
            self.index.let_go()
        return True

    def _cosines(self, target: Array) -> Array:
        """(m,) of one query with those in memory. Queries that come from other threads meanwhile are answered together.

        Reading the matrix takes longer than multiplying: several queries at once cost little more than one.
        """
        query = _Query(target)
        self._queries.append(query)
        with self._lock:
            while query.cosines is None:
                together = self._queries[:_TOGETHER]
                del self._queries[: len(together)]
                if len(together) == 1:
                    together[0].cosines = self.matrix @ together[0].target
                    continue
                found = self.matrix @ np.stack([one.target for one in together], axis=1)
                for one, cosines in zip(together, found.T, strict=True):
                    one.cosines = cosines
        return query.cosines

    def _sound(self, ask: Callable[[], V], otherwise: Callable[[Vectors], V]) -> V:
        """What the index answers; where that is damaged, what the library itself does."""
        if self._instead is None:
            try:
                return ask()
            except _Damaged:
                assert self.whole is not None
                there, vectors = self.whole(self.audio)
                matrix = np.zeros((len(self.audio), vectors.shape[1]), np.float32)  # what is gone is near nothing
                matrix[np.searchsorted(self.audio, there)] = vectors
                self._instead = Vectors(self.audio, matrix)
        return otherwise(self._instead)


def _parts(start: int, end: int) -> Iterator[slice]:
    return (slice(at, min(at + _BLOCK, end)) for at in range(int(start), int(end), _BLOCK))


def _best(audio: Rows, cosine: Array, count: int) -> tuple[Rows, Array]:
    count = min(count, len(cosine))
    if not count:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    best = np.arange(len(cosine))
    if count < len(cosine):
        least = np.partition(cosine, len(cosine) - count)[len(cosine) - count]
        better, even = np.flatnonzero(cosine > least), np.flatnonzero(cosine == least)
        best = np.concatenate([better, even[np.argsort(audio[even], kind="stable")][: count - len(better)]])
    best = best[np.lexsort((audio[best], -cosine[best]))]
    return audio[best], np.maximum(0, 1 - cosine[best])


def index_file(library: Library, model: LibraryModel) -> Path:
    """Where the index of a model's embeddings is, if there is one."""
    return library.file.with_name(f"{library.file.name}.{model.backbone_key}.index")


def read_vectors(library: Library, model: LibraryModel) -> Vectors:
    """All songs that a model analysed and that are still there: by the index, where there is one of this library."""
    return library.remember(
        ("vectors", model.key), lambda: _by_index(library, model, None) or in_memory(library, model)
    )


def in_memory(library: Library, model: LibraryModel) -> Vectors:
    """All of them, read."""
    return Vectors(*library.embeddings(model))


def large_vectors(library: Library, model: LibraryModel, before: Vectors | None) -> Vectors | None:
    """Those of a library that is too large for exact search, by its index: that which there is, or that of before."""
    if library.embeddings_at_most() < LISTS_FROM:
        return None
    return _by_index(library, model, None if before is None or before.damaged else before.index)


def _by_index(library: Library, model: LibraryModel, before: Index | None) -> Vectors | None:
    index = before
    with suppress(_Damaged, FileNotFoundError):
        index = _opened(index_file(library, model))
    for one in (index, before):  # what is read of the library may be older than the file
        if one is not None and (behind := library.changed_since(model, *one.change)) is not None:
            return _laid_over(library, model, one, behind)
    return None


def _laid_over(library: Library, model: LibraryModel, index: Index, behind: Rows) -> Vectors:
    """An index with what has changed since, and without what is no song or not there any more."""
    hidden = library.no_songs(model)
    held, matrix = library.embeddings_of(model, np.setdiff1d(behind, hidden, assume_unique=True))
    # Sets, and not NumPy's: at its first search of one, it imports its masked arrays.
    gone = _inside(np.asarray(sorted({*behind.tolist(), *hidden.tolist()}), np.int64), index.audio)
    return Vectors(held, matrix, index, gone, lambda audio: library.embeddings_of(model, audio))


def keep_index(library: Library, model: LibraryModel, *, scanning: bool = False) -> Steps[None]:
    """Make the index of a library that is large enough for one, or bring it up to date where it lacks much.

    Where it cannot be written, searches read all embeddings, as in a small library.

    Args:
        library: As it is in the file; a snapshot has what it needs.
        model: Whose embeddings are indexed.
        scanning: Whether new songs are what everybody expects, so that nothing is told of them.
    """
    last = None if library.embeddings_at_most() < INDEX_FROM else library.last_change(model)
    if last is None or library.is_snapshot or not os.access(library.file.parent, os.W_OK):
        return
    file, index, behind = index_file(library, model), None, None
    why = "The library has no index yet; it is made now, so that searches need not read all songs."
    used: Vectors | None = library.remembered(("vectors", model.key))
    try:
        index = _opened(file)
        behind = library.changed_since(model, *index.change)
        why = "The index of the library belonged to another state of it, and is made anew."
    except _Damaged:
        why = "The index of the library was damaged, and is made anew."
    except FileNotFoundError:
        if used is not None and used.damaged:
            why = "The index of the library was damaged, and is made anew."
    if behind is not None:
        if len(behind) <= _BEHIND:
            return
        why = f"The index of the library lacked {len(behind):,} songs, and is brought up to date."
    with suppress(StorageError), lock(file, f"{file} is being written"):  # who finds it so searches without
        if not scanning or why.endswith("anew."):
            yield Notice(why)
        if index is not None and behind is not None and len(index.audio) + len(behind) < _GROWN * index.trained:
            _update(library, model, file, index, behind, last)
            if library.writable:
                with library.change():  # the index before this one may still be in use
                    library.forget_changes(model, index.change[0])
        else:
            yield from _make(library, model, file, last)


def _make(library: Library, model: LibraryModel, file: Path, last: tuple[int, int]) -> Steps[None]:
    """Read all embeddings, and sort them into lists."""
    most, done = library.embeddings_at_most(), 0
    audio, vectors = np.empty(most, np.int64), np.empty((most, model.dimensions), np.float16)
    for rows, block in library.embedding_blocks(model, _BLOCK):
        end = min(done + len(rows), most)
        audio[done:end], vectors[done:end] = rows[: end - done], block[: end - done]
        done = end
        yield Progress(done, most, "indexing")
    count = 1 if done < LISTS_FROM else 2 ** round(np.log2(done) / 2)
    audio, vectors, centers = audio[:done], vectors[:done], np.zeros((1, model.dimensions), np.float32)
    if count > 1:
        rng = np.random.default_rng(0)
        some = vectors[np.sort(rng.choice(done, min(done, _TRAINED * count), replace=False))].astype(np.float32)
        centers = settle(some, some[np.sort(rng.choice(len(some), count, replace=False))], _ROUNDS)
    near = np.zeros(done, np.int32)
    for start in range(0, done if count > 1 else 0, _BLOCK):
        near[start : start + _BLOCK] = assign(vectors[start : start + _BLOCK].astype(np.float32), centers)[0]
        yield Progress(start, done, "indexing")
    _write(file, (last, done, centers), audio, near, vectors.__getitem__)


def _update(library: Library, model: LibraryModel, file: Path, old: Index, behind: Rows, last: tuple[int, int]) -> None:
    """The vectors of an index but for those that have changed, and those that have, by the same centres."""
    fresh, vectors = library.embeddings_of(model, behind)
    kept = np.flatnonzero(~np.isin(old.audio[old.row], behind))
    near = np.repeat(np.arange(len(old.centers), dtype=np.int32), np.diff(old.bounds))[kept]
    near = np.concatenate([near, assign(vectors, old.centers)[0].astype(np.int32)])

    def take(rows: Rows) -> Halves:
        new = rows >= len(kept)
        found = np.empty((len(rows), vectors.shape[1]), np.float16)
        found[~new], found[new] = old.vectors[kept[rows[~new]]], vectors[rows[new] - len(kept)]
        return found

    _write(file, (last, old.trained, old.centers), np.concatenate([old.audio[old.row[kept]], fresh]), near, take)


def _write(
    file: Path,
    facts: tuple[tuple[int, int], int, Array],
    audio: Rows,
    near: NDArray[np.int32],
    take: Callable[[Rows], Halves],
) -> None:
    """Write an index of vectors, of which ``take`` gives some."""
    change, trained, centers = facts
    order, ranked = np.lexsort((audio, near)), np.argsort(audio)
    row = _inverse(ranked)[order]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(near, minlength=len(centers)))])
    head = {"earmark index": 1, "change": change, "trained": trained, "rows": len(audio), "lists": len(centers)}
    tables = json.dumps({**head, "dimensions": centers.shape[1]}).encode().ljust(_HEAD - 8)
    parts = (centers.astype("<f4"), bounds.astype("<i8"), audio[ranked].astype("<i8"), _inverse(row), row)
    tables += b"".join(part.tobytes() for part in parts)
    tables += bytes(-(len(tables) + 8) % _PAGE)

    def pieces() -> Iterator[bytes]:
        yield b"%08x" % zlib.crc32(tables) + tables
        sums = np.zeros(len(centers), "<u4")
        for one in range(len(centers)):
            for start in range(bounds[one], bounds[one + 1], _BLOCK):
                piece = take(order[start : min(start + _BLOCK, bounds[one + 1])]).astype("<f2").tobytes()
                sums[one] = zlib.crc32(piece, int(sums[one]))
                yield piece
        yield sums.tobytes() + np.uint32(zlib.crc32(sums.tobytes())).tobytes()

    write_file(file, pieces(), part=file.with_name(file.name + ".part"))


def _mapped(stream: BinaryIO) -> mmap.mmap | bytes:
    if os.name == "nt":  # which does not let a file be replaced while it is mapped
        return stream.read()
    return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _inside(some: Rows, audio: Rows) -> Rows:
    """Those of some audio that are among many, which are ascending."""
    place = np.searchsorted(audio, some)
    place[place == len(audio)] = 0
    return some[audio[place] == some] if len(audio) else some[:0]


def _inverse(order: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Where each number stands in an order of all of them."""
    found = np.empty(len(order), "<i4")
    found[order] = np.arange(len(order))
    return found


def _opened(file: Path) -> Index:
    """An index, its tables read and compared with what was written (_Damaged; FileNotFoundError)."""
    try:
        with file.open("rb") as stream:
            mapped = _mapped(stream)
        head = json.loads(mapped[8:_HEAD])
        rows, lists, dimensions = (int(head[key]) for key in ("rows", "lists", "dimensions"))
        kinds = (("<f4", lists * dimensions), ("<i8", lists + 1), ("<i8", rows), ("<i4", rows), ("<i4", rows))
        at, parts = _HEAD, list[Any]()
        for kind, count in kinds:
            parts.append(np.frombuffer(mapped, kind, count, at))
            at += parts[-1].nbytes
        at += -at % _PAGE
        vectors = np.frombuffer(mapped, "<f2", rows * dimensions, at).reshape(rows, dimensions)
        end = at + vectors.nbytes
        sums = np.frombuffer(mapped, "<u4", lists, end)
        whole = len(mapped) == end + 4 * lists + 4 and int(mapped[:8], 16) == zlib.crc32(memoryview(mapped)[8:at])
        if not whole or int.from_bytes(mapped[-4:], "little") != zlib.crc32(sums.tobytes()):
            raise _Damaged(str(file))
        centers, bounds, audio, place, row = parts
        change = (int(head["change"][0]), int(head["change"][1]))
        facts = (change, int(head["trained"]), np.zeros(lists, bool))
        return Index(audio, place, row, vectors, bounds, centers.reshape(lists, -1), sums, *facts, mapped, file)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise _Damaged(str(file)) from error
