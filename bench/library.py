"""The library at 1,000, 100,000 and 1,000,000 tracks: and scan beside tag (``--music``).

Embeddings (256 numbers), scores and names are made. Times are of the work itself in a process of its own, with reading
what it needs from the file; memory is the process's largest. Ends with a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
DIMENSIONS = 256
FAILED = "failed: "
CLOCK = [time.perf_counter]
"""What times are taken by; processor time where asked."""


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,100000,1000000")
    parser.add_argument("--music", type=Path, help="a folder of music, for scan beside tag")
    parser.add_argument("--model", default="default")
    parser.add_argument("--files", type=int, default=10_000, help="unchanged files of the second scan; 0 leaves it out")
    parser.add_argument("--work", type=Path, help="folder for the made libraries (default: a temporary one)")
    parser.add_argument("--from-tags", action="store_true", help="train on the tags of 20,000 scanned songs")
    parser.add_argument("--one", nargs=2, metavar=("JOB", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--processor", action="store_true", help="processor time, where other jobs run: not wall time")
    args = parser.parse_args()
    if args.processor:
        CLOCK[0] = time.process_time
    if args.one:
        print(json.dumps((JOBS | {"from-tags": from_tags})[args.one[0]](Path(args.one[1]))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = args.work or Path(name)
        sizes = [int(size) for size in args.sizes.split(",") if size]
        rows = table(folder, sizes, ["--processor"] if args.processor else []) if sizes else []
        if rows:
            print("\n".join(rows), flush=True)
        if args.from_tags:
            command = [sys.executable, __file__, "--one", "from-tags", str(folder / "tags.db")]
            print(subprocess.run(command, capture_output=True, text=True, check=True).stdout, flush=True)
        if args.files:
            print("\n".join(second_scan(folder, args.files, args.model)), flush=True)
        if args.music:
            print("\n".join(scan_beside_tag(folder, args.music, args.model)), flush=True)
    if any(FAILED in row for row in rows):
        sys.exit("a job failed: see the table")


def table(folder: Path, sizes: list[int], options: list[str]) -> list[str]:
    """Rows a job, columns a size."""
    lines = ["| | " + " | ".join(f"{size:,} tracks" for size in sizes) + " |", "|---|" + "---|" * len(sizes)]
    cells: dict[str, list[str]] = {}
    for size in sizes:
        file = folder / f"{size}.db"
        if not file.exists():
            make(file, size)
        cells.setdefault("file", []).append(f"{file.stat().st_size / 1e6:,.0f} MB")
        for job in JOBS:
            command = [sys.executable, __file__, *options, "--one", job, str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                cells.setdefault(job, []).append(f"{FAILED}{done.stderr.strip().splitlines()[-1][:60]}")
                continue
            for what, value in json.loads(done.stdout.strip().splitlines()[-1]).items():
                cells.setdefault(what, []).append(value)
    return lines + [f"| {what} | {' | '.join(values)} |" for what, values in cells.items()]


def make(file: Path, size: int) -> None:
    """A library of made tracks in fifty clouds."""
    from earmark.library.store import open_library
    from made_library import fill

    with open_library(file, make=True) as library:
        fill(library, size, groups=50, dimensions=DIMENSIONS)
        library.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _timed(work: Callable[[], object]) -> float:
    start = CLOCK[0]()
    work()
    return CLOCK[0]() - start


def _memory() -> str:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{kilobytes / (1024 * 1024 if sys.platform == 'darwin' else 1024):,.0f} MB"


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def similar(file: Path) -> dict[str, str]:
    """Search in memory, and the whole answer of a process that has just started."""
    from earmark.library.similar import find_seed, similar_to
    from earmark.library.store import open_library
    from earmark.library.vectors import read_vectors

    with open_library(file, write=False) as library:
        model = library.model()
        start = CLOCK[0]()
        vectors = read_vectors(library, model)
        reading = CLOCK[0]() - start
        queries = vectors.of(vectors.audio[:: max(1, len(vectors) // 20)][:20])
        exact = median(_timed(lambda query=query: vectors.nearest(query, 60)) for query in queries)
        seeds = [find_seed(library, model, f"/music/0000/{number:07d}.mp3") for number in range(7, 107, 10)]
        whole = median(_timed(lambda seed=seed: similar_to(library, model, seed, 10, 2)) for seed in seeds)
    return {
        "opening the index, or reading all embeddings": _shown(reading),
        "nearest 60 (from 50,000 on not exact)": _shown(exact),
        "similar, with reasons": _shown(whole),
        "memory of similar": _memory(),
    }


def index(file: Path) -> dict[str, str]:
    """Making the index, taking a thousand new songs over, and what its lists miss."""
    from earmark.events import Run
    from earmark.library.store import open_library
    from earmark.library.vectors import in_memory, index_file, keep_index, read_vectors

    with open_library(file) as library:
        model = library.model()
        index_file(library, model).unlink(missing_ok=True)
        making = _timed(lambda: Run(keep_index(library, model)).wait())
        memory = _memory()
        if not index_file(library, model).exists():
            return dict.fromkeys(("index", "memory of making it", "1,000 more songs", "recall at 10"), "none")
        with library.change():
            every = len(read_vectors(library, model)) // 1000
            library.rows("UPDATE embeddings SET vector = vector WHERE audio % ? = 0", (every,))
        more = _timed(lambda: Run(keep_index(library, model)).wait())
        found, plain = read_vectors(library, model), in_memory(library, model)
        hits = [
            len(set(found.nearest(query, 10)[0].tolist()) & set(plain.nearest(query, 10)[0].tolist()))
            for query in plain.matrix[:: len(plain) // 200]
        ]
    return {
        "index": f"{_shown(making)}, {index_file(library, model).stat().st_size / 1e6:,.0f} MB",
        "memory of making it": memory,
        "1,000 more songs": _shown(more),
        "recall at 10": f"{sum(hits) / len(hits) / 10:.3f}",
    }


def process(file: Path) -> dict[str, str]:
    """``earmark similar`` from start to end, and one that does nothing."""

    def run(*arguments: object) -> float:
        command = [sys.executable, "-m", "earmark", *map(str, arguments)]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return used if CLOCK[0] is time.process_time else time.perf_counter() - start

    song = "/music/0000/0000077.mp3"
    whole = median(run("similar", song, "--library", file) for _ in range(7))
    empty = median(run("similar", song, "--library", file.with_name("none")) for _ in range(7))
    return {"`earmark similar`, the whole process": _shown(whole), "of that, start and imports": _shown(empty)}


def cluster(file: Path) -> dict[str, str]:
    """Clusters by the data, and joining."""
    from earmark.library.cluster import cluster_tracks
    from earmark.library.store import open_library

    with open_library(file) as library:
        model = library.model()
        found = 0

        def work() -> None:
            nonlocal found
            found = len(cluster_tracks(library, model, rebuild=True).clusters)

        seconds = _timed(work)
        return {"cluster": f"{_shown(seconds)} ({found} found)", "memory of cluster": _memory()}


def playlist(file: Path) -> dict[str, str]:
    """An hour by words, and a walk of twenty."""
    from earmark.library.options import PlaylistOptions
    from earmark.library.playlist import make_playlist, walk_between
    from earmark.library.store import open_library

    with open_library(file, write=False) as library:
        model = library.model()
        words = _timed(lambda: make_playlist(library, model, PlaylistOptions(genres=("Rock",), without=("sad",))))
        ends = ("/music/0000/0000007.mp3", "/music/0000/0000009.mp3")
        walk = _timed(lambda: walk_between(library, model, *ends, 20))
    return {"playlist": _shown(words), "path": _shown(walk), "memory of playlist": _memory()}


def find(file: Path) -> dict[str, str]:
    """Searches in words, in a process that has read the names and in one that has not."""
    from earmark.library.find import Search, best_hits
    from earmark.library.store import open_library

    queries = ("calm rock, not sad", "fröhlicher Jazz", "artist 77", "song 12345 energetic", "clam metal -tense")

    def one(search: Search, words: str) -> None:
        query = search.understand(words)
        best_hits(library, query, search.rank(query), 10)

    with open_library(file, write=False) as library:
        model = library.model()
        first = median(_timed(lambda words=words: one(Search(library, model), words)) for words in queries)
        search = Search(library, model)
        for words in queries:
            one(search, words)
        again = median(_timed(lambda words=words: one(search, words)) for words in queries * 5)
    return {"find, the first search": _shown(first), "find, p50": _shown(again), "memory of find": _memory()}


def map_(file: Path) -> dict[str, str]:
    """The layout by PCA, and the page."""
    from earmark.library import layout
    from earmark.library.layout import map_data
    from earmark.library.store import open_library
    from earmark.pages.map import map_page

    layout.has_tsne = lambda: False
    with open_library(file) as library:
        model = library.model()
        start = CLOCK[0]()
        placed = layout.lay_out(library, model, rebuild=True)
        placing = CLOCK[0]() - start
        start = CLOCK[0]()
        page = map_page(map_data(library, model, placed))
        drawing = CLOCK[0]() - start
    file.with_suffix(".html").write_text(page, "utf-8", newline="\n")
    return {
        "map: places (PCA)": _shown(placing),
        "map: page": f"{_shown(drawing)}, {len(page) / 1e6:,.1f} MB",
        "memory of map": _memory(),
    }


def from_tags(file: Path) -> dict[str, str]:
    """Training on the genre tags of 20,000 scanned songs, in a library made under that name (``--from-tags``)."""
    from earmark.app.train import TrainRequest, train
    from earmark.engine import InlineEngine
    from earmark.library.records import LibraryModel
    from earmark.library.store import open_library
    from earmark.models.card import read_card
    from earmark.models.registry import find_model
    from made_library import fill_tagged

    folder = find_model("default")
    with open_library(file, make=True) as library:
        fill_tagged(library, LibraryModel.of(folder, read_card(folder)), 20_000)
    request = TrainRequest(from_tags=True, library=str(file), output=str(file.with_suffix(".model")))
    seconds = _timed(train(request, InlineEngine()).wait)
    return {"train --from-tags": _shown(seconds), "memory of train --from-tags": _memory()}


JOBS: dict[str, Callable[[Path], dict[str, str]]] = {
    "index": index,
    "process": process,
    "similar": similar,
    "cluster": cluster,
    "playlist": playlist,
    "find": find,
    "map": map_,
}


def second_scan(folder: Path, files: int, model: str) -> list[str]:
    """Files that were all heard before: as many as asked, made of one short sound under many names."""
    import numpy as np
    import soundfile

    music = folder / "many"
    (music / "000").mkdir(parents=True)
    rng = np.random.default_rng(0)
    first = music / "000" / "0.wav"
    soundfile.write(first, 0.1 * rng.standard_normal(2205), 22050)
    for number in range(1, files):
        target = music / f"{number // 500:03d}" / f"{number}.wav"
        target.parent.mkdir(exist_ok=True)
        os.link(first, target)
    library = folder / "many.db"
    _earmark("scan", music / "000", "--library", library, "-m", model, "-j", "1")
    first_time = _earmark("scan", music, "--library", library, "-m", model)
    again = _earmark("scan", music, "--library", library, "-m", model)
    shutil.rmtree(music)
    return [
        "",
        f"Second scan of {files:,} unchanged files: {again:.1f} s (as new names of a known file: {first_time:.1f} s).",
    ]


def scan_beside_tag(folder: Path, music: Path, model: str) -> list[str]:
    """Songs a second of both, in turns."""
    songs = sum(1 for file in music.rglob("*") if file.is_file())
    tag, scan = [], []
    for number in range(3):
        tag.append(_earmark("tag", music, "-m", model, "-o", folder / f"{number}.jsonl"))
        scan.append(_earmark("scan", music, "-m", model, "--library", folder / f"scan{number}.db"))
    ratio = median(t / s for t, s in zip(tag, scan, strict=True))
    return [
        "",
        f"{songs} files: tag {median(tag):.1f} s, scan {median(scan):.1f} s; scan runs at {ratio:.0%} of tag's speed.",
    ]


def _earmark(*arguments: object) -> float:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "earmark", *map(str, arguments)]
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
