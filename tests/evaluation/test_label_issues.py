"""Wrong labels stand out against a model that never learnt from their artist; right ones mostly do not."""

from pathlib import Path

import numpy as np
import pytest

from earmark.datasets.core import Dataset, HeadSpec, Track
from earmark.evaluation.audit import find_label_issues

LABELS = ("a", "b", "c")


def made(seed=0, tracks=240, spread=0.6, swapped=10):
    """Three clouds of artists, some labels of which are swapped: data set, embeddings, rows that were swapped."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, tracks)
    centres = rng.normal(0, 1, (3, 16))
    embeddings = centres[truth] + spread * rng.normal(size=(tracks, 16))
    given = truth.copy()
    wrong = rng.choice(tracks, swapped, replace=False)
    given[wrong] = (truth[wrong] + rng.integers(1, 3, swapped)) % 3
    tagged = [tuple(f"is {LABELS[k]}" for k in {g}) for g in given]
    rows = tuple(
        Track(Path(f"/m/{i}"), str(i), f"artist {i // 2}", None, {"genre": LABELS[g], "tags": t, "n": 0.5})
        for i, (g, t) in enumerate(zip(given, tagged, strict=True))
    )
    heads = (
        HeadSpec("genre", "multiclass", LABELS),
        HeadSpec("tags", "multilabel", tuple(f"is {label}" for label in LABELS)),
        HeadSpec("n", "regression"),
    )
    return Dataset("made", Path("/m"), heads, rows, group_by="artist"), embeddings, set(wrong.tolist())


def test_swapped_labels_are_doubted_and_hardly_any_other():
    data, embeddings, wrong = made()
    doubts, notices = find_label_issues(data, embeddings)
    assert notices == ()
    genre = [d for d in doubts if d.head == "genre"]
    hit = {d.row for d in genre} & wrong
    assert len(hit) >= 0.6 * len(wrong)
    assert len(genre) - len(hit) <= 3
    for doubt in genre:
        assert doubt.given == data.tracks[doubt.row].labels["genre"] != doubt.predicted
        assert 0.7 <= doubt.confidence <= 1
    assert [d.confidence for d in doubts] == sorted((d.confidence for d in doubts), reverse=True)


def test_labels_of_a_multi_label_head_are_doubted_either_way():
    data, embeddings, wrong = made(spread=0.3)
    doubts = [d for d in find_label_issues(data, embeddings)[0] if d.head == "tags"]
    assert {d.row for d in doubts} & wrong
    assert any(d.given.startswith("not ") for d in doubts) or any(d.predicted.startswith("not ") for d in doubts)


def test_noise_raises_few_doubts():
    data, _, _ = made(swapped=0)
    doubts, _ = find_label_issues(data, np.random.default_rng(1).normal(size=(240, 16)))
    assert len(doubts) <= 5


def test_tracks_that_could_not_be_heard_and_heads_that_cannot_be_judged_are_passed_over():
    data, embeddings, _ = made()
    embeddings[::2] = np.nan
    assert all(doubt.row % 2 for doubt in find_label_issues(data, embeddings)[0])
    few, notices = find_label_issues(data.subset(range(4)), embeddings[:4] * 0 + 1)
    assert few == () and "were not looked at" in notices[0]


@pytest.mark.parametrize("labels", [("only",), ()])
def test_one_class_is_nothing_to_judge(labels):
    rows = tuple(Track(Path(f"/{i}"), str(i), str(i), None, {"g": labels[0] if labels else None}) for i in range(20))
    data = Dataset("one", Path("/"), (HeadSpec("g", "multiclass", labels),), rows)
    assert find_label_issues(data, np.random.default_rng(0).normal(size=(20, 4)))[0] == ()


def few(each, seed, far=1.5):
    """Two classes of so many songs, each by an artist of its own; the label of one song is swapped: data, row."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1], each)
    embeddings = far * truth[:, None] + rng.normal(size=(2 * each, 16)) * 0.6
    wrong = int(rng.integers(2 * each))
    given = truth.copy()
    given[wrong] = 1 - given[wrong]
    rows = tuple(Track(Path(f"/{i}"), str(i), f"artist {i}", None, {"genre": "ab"[k]}) for i, k in enumerate(given))
    return Dataset("few", Path("/"), (HeadSpec("genre", "multiclass", ("a", "b")),), rows), embeddings, wrong


def test_a_swapped_song_of_a_small_set_is_found_or_the_set_is_called_too_small():
    outcomes = {"found": 0, "too few": 0, "silent": 0}
    for seed in range(12):
        data, embeddings, wrong = few(6 + seed % 5, seed)
        issues, notices = find_label_issues(data, embeddings)
        found, small = any(issue.row == wrong for issue in issues), any("are too few" in line for line in notices)
        outcomes["found" if found else "too few" if small else "silent"] += 1
    assert outcomes["silent"] <= 1 and outcomes["found"] >= 8, outcomes
    data, embeddings, _ = few(5, 0, far=0.0)  # nothing sets the classes apart
    (notice,) = find_label_issues(data, embeddings)[1]
    assert notice.startswith("genre: its 10 songs are too few") and "of 10 labels that were swapped on trial" in notice


def test_labels_on_few_tracks_are_counted():
    data, embeddings, _ = made(tracks=40)
    assert any("labels are on fewer than 20 tracks" in line for line in find_label_issues(data, embeddings)[1])
