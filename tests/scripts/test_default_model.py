"""The bundled model: what its heads learn from, and that it hears the same song alike however the file is wrapped."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from scripts.bundled.heads import fold_of, join
from scripts.bundled.labels import GENRE, labelled_heads, targets

from earmark.audio.track import load
from earmark.datasets import load_dataset
from earmark.datasets.core import Track
from earmark.engine import predict_all
from earmark.inference.records import Prediction
from earmark.inference.tagger import load_model
from sounds import write


def _heads():
    return {head.name: head for head in labelled_heads(["Calm", "Fiery"])}


def _track(**labels: object) -> Track:
    return Track(Path("a.wav"), "a.wav", "artist", None, labels)  # type: ignore[arg-type]


def test_pop_rock_may_be_three_genres_and_jazz_is_one():
    head = _heads()["genre"]
    vague, sure, none = targets(
        head, "moods900", [_track(genres=("Pop/Rock",)), _track(genres=("Jazz",)), _track(genres=("Holiday",))]
    )
    assert {label for label, mark in zip(head.labels, vague, strict=True) if mark} == {"Pop", "Rock", "Metal"}
    assert [label for label, mark in zip(head.labels, sure, strict=True) if mark] == ["Jazz"]
    assert np.isnan(none).all()


def test_names_of_the_corpora_are_aliases_of_one_label_each():
    for head in _heads().values():
        names = [name.lower() for own in head.aliases.values() for name in own]
        assert len(names) == len(set(names)), head.name
    assert "rap" in _heads()["genre"].aliases["Hip-Hop"]
    assert 18 <= len(GENRE) <= 22


def test_a_corpus_of_one_genre_a_track_does_not_say_that_companions_are_absent():
    head = _heads()["genres"]
    row = dict(zip(head.labels, targets(head, "gtzan-short", [_track(genre="blues")])[0], strict=True))
    assert row["Blues"] == 1
    assert row["Jazz"] == 0
    assert np.isnan(row["Vocal"])


def test_mood_comes_from_raters_or_from_what_a_quadrant_allows():
    head = _heads()["mood"]
    rows = targets(head, "x", [_track(mood="neutral"), _track(quadrant="Q1"), _track(quadrant="Q2")])
    np.testing.assert_array_equal(rows, [[0, 1, 0], [0, 0, 1], [1, 1, 0]])


def test_folds_keep_an_artist_together_and_are_about_equal():
    groups = [f"artist {i // 3}" for i in range(600)]
    fold = fold_of(groups)
    assert (fold.reshape(-1, 3) == fold[::3, None]).all()
    assert np.bincount(fold).min() > 80


def test_the_corpora_join_without_losing_a_track(shared: Path):
    names = [f"tag{i}" for i in range(5)]
    count = sum(len(load_dataset(shared / "data" / n).tracks) for n in ("moods900", "emotify400", "gtzan-short"))
    corpus = join(shared / "data", names, np.full((count, 5), 0.1, np.float32))
    assert len(corpus.dataset.tracks) == count
    assert corpus.dataset.group_by == "artist"
    for spec in corpus.dataset.heads:
        assert corpus.learnt[spec.name].shape == (count, len(spec.labels))


def _wrapped(folder: Path, name: str, sound: np.ndarray) -> dict[str, Path]:
    """The same song in other wrappings; ``sound`` is mono at 48 kHz."""

    def mp3(tag: str, level: float) -> Path:
        path = folder / f"{name}-{tag}.mp3"
        settings = {"compression_level": level, "bitrate_mode": "CONSTANT"}
        soundfile.write(path, np.stack([sound, sound], 1), 48000, **settings)
        return path

    return {
        "64 kbit/s": mp3("64", 0.888),
        "320 kbit/s": mp3("320", 0.0),
        "stereo": write(folder / f"{name}-s.wav", np.stack([sound, sound], 1), 48000),
        "22 kHz": write(folder / f"{name}-22.wav", soxr.resample(sound, 48000, 22050), 22050),
        "+6 dB": write(folder / f"{name}-l.wav", 2 * sound, 48000, "FLOAT"),
        "-6 dB": write(folder / f"{name}-q.wav", 0.5 * sound, 48000, "FLOAT"),
        "silence": write(folder / f"{name}-z.wav", np.concatenate([np.zeros(5 * 48000, np.float32), sound]), 48000),
    }


@pytest.mark.slow
def test_the_same_song_gets_the_same_answer_however_it_is_wrapped(shared: Path, tmp_path: Path):
    """Best genre and best mood of every eighth song of moods900, against the file as it is."""
    tagger = load_model()
    agree: dict[tuple[str, str], list[bool]] = {}
    for number, track in enumerate(load_dataset(shared / "data" / "moods900").tracks[::8]):
        files = {"plain": track.path, **_wrapped(tmp_path, str(number), load(track.path, 48000))}
        said = dict(zip(files, predict_all(tagger, files.values(), workers=1), strict=True))
        for head in ("genre", "mood"):
            best = {kind: p.heads[head].best for kind, p in said.items() if isinstance(p, Prediction)}
            assert len(best) == len(files)
            for kind in files:
                agree.setdefault((head, kind), []).append(best[kind] == best["plain"])
        for file in tmp_path.glob(f"{number}-*"):
            file.unlink()
    shares = {kind: round(float(np.mean(found)), 3) for kind, found in agree.items()}
    print(shares)
    assert min(shares.values()) >= 0.95, shares
