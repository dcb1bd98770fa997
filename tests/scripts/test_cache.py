"""The teachers' series are computed once: shards that are there stay; a changed copy is another sound."""

from pathlib import Path

import numpy as np
from scripts.bundled.cache import CacheDesign, Piece, cache_folder, chosen, fill, load, partner

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
    kept = chosen(data, np.array([False, True, True, False]))
    assert kept.piece.tolist() == [1, 0] and kept.copy.tolist() == [0, 1]
    np.testing.assert_array_equal(kept.series, data.series[data.seconds[0] : data.seconds[:3].sum()])
    np.testing.assert_array_equal(kept.spectrograms, data.spectrograms[data.frames[0] : data.frames[:3].sum()])
    first, changed = data.spectrograms[: data.frames[0]], data.spectrograms[data.frames[:2].sum() :]
    assert not np.array_equal(first, changed[: len(first)])


def test_a_copy_tells_which_piece_it_has_mixed_in(tmp_path: Path):
    pieces = tuple(Piece(str(tmp_path / f"{number}.wav"), 0.0, 1.0, number % 2) for number in range(40))
    mixed = [partner(CacheDesign(pieces, {}, Frontend()), index, 1)[0] for index in range(40)]
    assert all(other is None or other % 2 == index % 2 for index, other in enumerate(mixed)), "of its own pool"
    assert 10 < sum(other is not None for other in mixed) < 30, "by one chance in two"
