"""Libraries without music: embeddings, scores and names that are made, as many as are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.inference.records import ClipEmbeddings, HeadPrediction, Prediction
from earmark.library.records import LibraryModel, direction
from earmark.library.store import Library, Stamp, open_library
from earmark.models.card import HeadCard

GENRES = ("Rock", "Jazz", "Pop", "Folk", "Metal")
MOODS = ("happy", "sad", "calm", "tense", "dark", "bright")
HEADS = (
    HeadCard("genre", "multiclass", GENRES, threshold=0.4),
    HeadCard("moods", "multilabel", MOODS, thresholds=dict.fromkeys(MOODS, 0.5)),
    HeadCard("energy", "regression"),
)
MODEL = LibraryModel(0, "made@1", "abc", "", "/nowhere", 64, HEADS)
_CHUNK = 20_000


def fill(
    library: Library,
    count: int,
    groups: int = 5,
    dimensions: int = 64,
    seed: int = 0,
    *,
    model: LibraryModel | None = None,
    clips: int = 0,
) -> LibraryModel:
    """Tracks in ``groups`` clouds; the cloud says a label of each head, and every tenth track is another artist's.

    ``model`` is that of a real folder, in place of a made one; a track has so many ``clips``.
    """
    rng = np.random.default_rng(seed)
    model = model or LibraryModel(0, "made@1", "abc", "", "/nowhere", dimensions, HEADS)
    centers = rng.standard_normal((groups, model.dimensions)).astype(np.float32)
    with library.change():
        model = library.add_model(model)
        for start in range(0, count, _CHUNK):
            numbers = np.arange(start, min(count, start + _CHUNK))
            _add(library, model, numbers, centers, rng, clips)
        library.remember_roots(["/music"])
    return model


def _add(
    library: Library,
    model: LibraryModel,
    numbers: NDArray[np.int64],
    centers: NDArray[np.float32],
    rng: np.random.Generator,
    clips: int,
) -> None:
    group = numbers % len(centers)
    noise = rng.standard_normal((len(numbers), centers.shape[1])).astype(np.float32)
    vectors = direction(centers[group] + 0.6 * noise).astype("<f2")
    heads = [head for head in model.heads if head.labels]
    scores = rng.random((len(numbers), sum(len(head.labels) for head in heads))) * 0.3
    place = 0
    for head in heads:
        low, span = (0.5, 0.4) if head.task == "multiclass" else (0.6, 0.3)
        scores[np.arange(len(numbers)), place + group % len(head.labels)] = low + span * rng.random(len(numbers))
        place += len(head.labels)
    packed = np.rint(scores * 10_000).astype("<u2")
    energy = rng.random((len(numbers), len(model.heads) - len(heads))).round(4).astype("<f8")
    keys = (numbers + 1).tolist()
    db = library.db
    db.executemany(
        "INSERT INTO audio (id, hash, seconds) VALUES (?, ?, ?)",
        ((key, f"{key:032x}", 180.0 + key % 120) for key in keys),
    )
    db.executemany(
        "INSERT INTO tracks (id, path, device, inode, size, modified, audio, artist, title, album, year, genre)"
        " VALUES (?, ?, '1', ?, ?, ?, ?, ?, ?, '', '2001', '')",
        (
            (
                key,
                f"/music/{key // 1000:04d}/{key:07d}.mp3",
                str(key),
                key,
                key,
                key,
                f"Artist {key // 10}",
                f"Song {key}",
            )
            for key in keys
        ),
    )
    rows = zip(keys, packed, energy, vectors, strict=True)
    results, embeddings = [], []
    for key, row, number, vector in rows:
        results.append((model.key, key, row.tobytes(), number.tobytes(), None, 0.0))
        embeddings.append((model.backbone_key, key, vector.tobytes()))
    db.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)", results)
    db.executemany("INSERT INTO embeddings VALUES (?, ?, ?)", embeddings)
    if clips:
        times = np.stack([np.arange(clips) * 10.0, np.arange(clips) * 10.0 + 3], 1).astype("<f4").tobytes()
        near = (vectors[:, None] + 0.03 * rng.standard_normal((len(numbers), clips, vectors.shape[1]))).astype("<f2")
        rows = ((model.backbone_key, key, times, one.tobytes()) for key, one in zip(keys, near, strict=True))
        db.executemany("INSERT INTO clips (backbone, audio, times, vectors) VALUES (?, ?, ?, ?)", rows)


def fill_tagged(
    library: Library, model: LibraryModel, count: int, labels: int = 20, clips: int = 10, seed: int = 0
) -> None:
    """Scanned songs with genre tags in several spellings and a tenth without, of made clip embeddings alone.

    A genre is a direction, an artist (ten songs) another, and every clip has noise; ``model`` is that of a real folder.
    """
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((labels, model.dimensions)).astype(np.float32)
    artist = np.zeros(model.dimensions, np.float32)
    with library.change():
        model = library.add_model(model)
        for key in range(1, count + 1):
            genre = (key // 10) % labels
            if key % 10 == 0:
                artist = rng.standard_normal(model.dimensions).astype(np.float32)
            noise = rng.standard_normal((clips, model.dimensions)).astype(np.float32)
            vectors = centers[genre] + 3 * artist + 2.5 * noise.mean(0) + noise
            times = np.stack([np.arange(clips) * 3.0, np.arange(clips) * 3.0 + 3], 1)
            prediction = Prediction(
                "", 180.0, model.name, _blank(model), vectors.mean(0), None, ClipEmbeddings(times, vectors)
            )
            audio = library.add_audio(f"2-{key:032x}", 180.0)
            library.add_result(model, prediction, audio)
            text = "" if key % 10 == 5 else (f"Genre {genre}", f"genre-{genre}", f"Genre {genre}")[key % 3]
            facts = {"artist": f"Artist {key // 10}", "title": f"Song {key}", "album": "", "year": "", "genre": text}
            library.put_track(None, f"/music/{key // 1000}/{key}.mp3", Stamp("1", str(key), key, key), audio, facts)


def _blank(model: LibraryModel) -> dict[str, HeadPrediction]:
    return {
        head.name: HeadPrediction(head.task, scores=dict.fromkeys(head.labels, 0.1), value=0.0) for head in model.heads
    }


@contextmanager
def made_library(folder: Path, count: int = 100, groups: int = 5) -> Iterator[tuple[Library, LibraryModel]]:
    """An open library of made tracks."""
    with open_library(folder / "made.db", make=True) as library:
        yield library, fill(library, count, groups)
