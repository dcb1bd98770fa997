"""Store and index at sizes that one machine holds: SQLite and the index beside it, the same as Parquet, and IVF-PQ.

Songs are made, with heads, ten clips and embeddings of the bundled model's sizes; the vectors of the last part are
mixtures of the bundled model's own examples. Times are of the processor. Figures for `docs/explanation/scale.md`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

_CLIPS = 10
_CHUNK = 20_000
_ASKED = 100  # queries
_DEEP = 200  # vectors that are compared again by their halves


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--songs", type=int, default=1_000_000, help="in SQLite and Parquet; 0 leaves them out")
    parser.add_argument("--vectors", type=int, default=4_000_000, help="in IVF-PQ; 0 leaves it out")
    parser.add_argument("--work", type=Path, help="a folder that keeps the made library (default: a temporary one)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.work) as name:
        print("| | |\n|---|---|")
        if args.songs:
            library_and_parquet((args.work or Path(name)) / f"scale-{args.songs}.db", args.songs)
        if args.vectors:
            product_quantisation(Path(name) / "vectors", args.vectors)


def tell(what: str, value: str) -> None:
    """A row of the table."""
    print(f"| {what} | {value} |", flush=True)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, and what comes of it."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def library_and_parquet(file: Path, songs: int) -> None:
    """The store, what a scan writes at its beginning and at its end, the index, and the same columns as Parquet."""
    from earmark.events import Run
    from earmark.library.records import LibraryModel
    from earmark.library.similar import find_seed, similar_to
    from earmark.library.store import open_library
    from earmark.library.vectors import index_file, keep_index
    from earmark.models.card import read_card
    from earmark.models.registry import find_model
    from made_library import fill

    folder = find_model("default")
    model = LibraryModel.of(folder, read_card(folder))
    if not file.exists():
        with open_library(file, make=True) as library:
            few = fill(library, 100, groups=50, model=model, clips=_CLIPS)
            tell("a scan writes a song, the library empty", f"{1000 * _written(library, few):.2f} ms")
        file.unlink()
        for rest in file.parent.glob(f"{file.name}-*"):
            rest.unlink()
        with open_library(file, make=True) as library:
            seconds, model = timed(lambda: fill(library, songs, groups=50, model=model, clips=_CLIPS))
            tell(f"{songs:,} songs into SQLite at once", f"{seconds:.0f} s")
            library.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    with open_library(file) as library:
        model = library.model()
        tell(
            f"SQLite, {songs:,} songs",
            f"{file.stat().st_size / 1e9:.2f} GB, {file.stat().st_size / songs:,.0f} bytes a song",
        )
        tell("a scan writes a song, the library full", f"{1000 * _written(library, model):.2f} ms")
        seconds, _ = timed(lambda: Run(keep_index(library, model)).wait())
        size = index_file(library, model).stat().st_size if index_file(library, model).exists() else 0
        tell("its index", f"{seconds:.1f} s, {size / songs:,.0f} bytes a song")
        seed = find_seed(library, model, "/music/0000/0000077.mp3")
        similar_to(library, model, seed, 10, 2)
        tell("similar", f"{1000 * timed(lambda: similar_to(library, model, seed, 10, 2))[0]:.0f} ms")
        head = next(one for one in model.heads if one.labels)
        tell(
            "the scores of one head of all songs, from SQLite", f"{timed(lambda: library.steps(model, head))[0]:.2f} s"
        )
        _as_parquet(library, model, file.with_suffix(".parquet"), songs)


def _written(library: Any, model: Any) -> float:
    """Processor seconds a song that is put in as a scan does, each in a transaction."""
    from earmark.inference.records import ClipEmbeddings, HeadPrediction, Prediction
    from earmark.library.store import Stamp

    heads = {
        one.name: HeadPrediction(one.task, scores=dict.fromkeys(one.labels, 0.1), value=0.0) for one in model.heads
    }
    vectors = np.random.default_rng(0).standard_normal((_CLIPS, model.dimensions)).astype(np.float32)
    clips = ClipEmbeddings(np.zeros((_CLIPS, 2), np.float32), vectors)
    prediction = Prediction("", 180.0, model.name, heads, vectors[0], None, clips)
    first = library.embeddings_at_most() + 1
    facts = dict.fromkeys(("artist", "title", "album", "year", "genre"), "")

    def write() -> None:
        for number in range(first, first + 500):
            with library.change():
                audio = library.add_audio(f"later {number}", 180.0)
                library.add_result(model, prediction, audio)
                library.put_track(None, f"/later/{number}.mp3", Stamp("1", "", number, number), audio, facts)

    return timed(write)[0] / 500


def _as_parquet(library: Any, model: Any, file: Path, songs: int) -> None:
    """The columns of results, embeddings and clips, 100,000 songs a row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    query = (
        "SELECT audio.id, hash, path, artist, title, scores, vector, vectors FROM audio"
        " JOIN tracks ON tracks.audio = audio.id"
        " JOIN results ON results.audio = audio.id AND results.model = ?1"
        " JOIN embeddings ON embeddings.audio = audio.id AND embeddings.backbone = ?2"
        " JOIN clips ON clips.audio = audio.id AND clips.backbone = ?2 ORDER BY audio.id"
    )
    names = ("audio", "key", "path", "artist", "title", "scores", "embedding", "clips")

    def write() -> None:
        writer, cursor = None, library.db.execute(query, (model.key, model.backbone_key))
        while rows := cursor.fetchmany(_CHUNK):
            columns = dict(zip(names, zip(*rows, strict=True), strict=True))
            table = pa.table({name: pa.array(values) for name, values in columns.items()})
            writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
            writer.write_table(table)
        if writer is not None:
            writer.close()

    seconds, _ = timed(write)
    tell("the same as Parquet", f"{seconds:.0f} s, {file.stat().st_size / songs:,.0f} bytes a song")
    seconds, _ = timed(lambda: pq.read_table(file, columns=["audio", "scores"]))
    tell("the scores of all heads of all songs, from Parquet", f"{seconds:.2f} s")
    file.unlink()


def like_songs(count: int) -> Iterator[NDArray[np.float32]]:
    """Vectors between those of the bundled model's examples, which lie as real songs do."""
    from earmark.library.records import direction
    from earmark.models.registry import find_model

    examples = np.load(find_model("default") / "exemplars.npz")
    track = examples["track"]
    order = np.argsort(track, kind="stable")
    clips = direction(examples["embedding"][order])
    starts = np.searchsorted(track[order], np.unique(track))
    lengths = np.diff([*starts, len(clips)])
    songs = direction(np.add.reduceat(clips, starts, axis=0))
    rng = np.random.default_rng(0)
    for start in range(0, count, _CHUNK):
        some = min(_CHUNK, count - start)
        one, other, third = rng.integers(0, len(songs), (3, some))
        share = rng.random((some, 1), np.float32) / 2
        of_third = [clips[starts[third] + (rng.random(some) * lengths[third]).astype(int)] for _ in range(2)]
        yield direction((1 - share) * songs[one] + share * songs[other] + 0.3 * (of_third[0] - of_third[1]))


def product_quantisation(file: Path, count: int) -> None:
    """IVF-PQ (Jegou et al. 2011) by faiss: 32 bytes a song in memory, halves on disk to compare the best again."""
    import faiss

    faiss.omp_set_num_threads(1)
    halves = np.lib.format.open_memmap(file, "w+", np.float16, (count, 256))
    start = 0
    for block in like_songs(count):
        halves[start : start + len(block)] = block
        start += len(block)
    queries = halves[:: count // _ASKED][:_ASKED].astype(np.float32)
    exact, best = np.zeros((_ASKED, 0), np.float32), np.zeros((_ASKED, 0), np.int64)
    for start in range(0, count, _CHUNK):
        near = queries @ halves[start : start + _CHUNK].astype(np.float32).T
        exact = np.concatenate([exact, near], axis=1)
        best = np.concatenate([best, np.tile(np.arange(start, start + near.shape[1]), (_ASKED, 1))], axis=1)
        kept = np.argpartition(-exact, 10, axis=1)[:, :10]
        exact, best = np.take_along_axis(exact, kept, 1), np.take_along_axis(best, kept, 1)
    lists = 2 ** round(np.log2(count) / 2)
    index = faiss.IndexIVFPQ(faiss.IndexFlatIP(256), 256, lists, 32, 8, faiss.METRIC_INNER_PRODUCT)
    sample = np.sort(np.random.default_rng(0).choice(count, min(count, 40 * lists), replace=False))
    seconds, _ = timed(lambda: index.train(halves[sample].astype(np.float32)))
    adding, _ = timed(
        lambda: [index.add(halves[at : at + _CHUNK].astype(np.float32)) for at in range(0, count, _CHUNK)]
    )
    index.nprobe = max(16, lists // 64)
    tell(
        f"IVF-PQ of {count:,} vectors",
        f"{len(faiss.serialize_index(index)) / count:.0f} bytes a song; found {seconds:.0f} s, filled {adding:.0f} s",
    )
    asking, (_, rows) = timed(lambda: index.search(queries, _DEEP))
    plain = np.mean([len(set(ours[:10]) & set(theirs)) for ours, theirs in zip(rows, best, strict=True)]) / 10

    def again() -> list[NDArray[np.int64]]:
        return [
            ours[np.argsort(-(halves[ours].astype(np.float32) @ query), kind="stable")[:10]]
            for ours, query in zip(rows, queries, strict=True)
        ]

    comparing, closer = timed(again)
    recall = np.mean([len(set(ours) & set(theirs)) for ours, theirs in zip(closer, best, strict=True)]) / 10
    tell("recall at 10", f"{plain:.3f} in {1000 * asking / _ASKED:.1f} ms")
    tell(f"the best {_DEEP} compared again", f"{recall:.3f} in {1000 * (asking + comparing) / _ASKED:.1f} ms")


if __name__ == "__main__":
    main()
