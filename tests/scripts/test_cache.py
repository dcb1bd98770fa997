"""The teachers' series are computed once: shards that are there stay; a changed copy is another sound."""

from pathlib import Path

import numpy as np
from scripts.bundled.cache import CacheDesign, Piece, cache_folder, fill, load

from earmark.events import Run
from earmark.features.frontend import Frontend
from sounds import melody, write


def test_shards_are_filled_once_and_loaded_whole(tiny_model: Path, tmp_path: Path):
    songs = [str(write(tmp_path / f"{seed}.wav", melody(3.0, 32000, seed), 32000)) for seed in (0, 1)]
    pieces = tuple(Piece(path, 0.0, 30.0) for path in (*songs, str(tmp_path / "missing.wav")))
    design = CacheDesign(pieces, {"earmark": str(tiny_model)}, Frontend())
    folder = cache_folder(design, tmp_path / "cache")
    events = list(Run(fill(design, folder, [0, 1])))
    assert [(event.done, event.total) for event in events] == [(1, 2), (2, 2)]
    assert events[-1].facts["unreadable"] == 2, "the missing file, in either copy"
    assert list(Run(fill(design, folder, [0, 1]))) == []
    data = load(design, folder, [0, 1])
    assert data.piece.tolist() == [0, 1, 0, 1] and data.copy.tolist() == [0, 0, 1, 1]
    assert len(data.spectrograms) == data.frames.sum() and len(data.series) == data.seconds.sum()
    assert np.isfinite(data.series).all()
    first, changed = data.spectrograms[: data.frames[0]], data.spectrograms[data.frames[:2].sum() :]
    assert not np.array_equal(first, changed[: len(first)])
