"""Splits: no artist in two parts, labels spread evenly, one draw everywhere; and what cannot be learnt is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.datasets import load_dataset
from earmark.datasets.core import Dataset, HeadSpec, Track, check_trainable
from earmark.datasets.splits import (
    Split,
    apply_split,
    folds,
    group_hash,
    load_groups,
    load_split,
    named_groups,
    save_split,
    shortened,
    split,
)
from earmark.errors import DatasetError, StorageError, UnknownName
from earmark.recipe import SplitPlan


def made(rows, labels=("a", "b"), task="multiclass", group_by="artist"):
    """A data set of (group, label, part) rows."""
    tracks = tuple(
        Track(Path(f"{i}.ogg"), f"{i}.ogg", group, part, {"genre": label})
        for i, (group, label, part) in enumerate(rows)
    )
    has_split = any(track.part for track in tracks)
    return Dataset("made", Path(), (HeadSpec("genre", task, labels),), tracks, group_by, has_split=has_split)


def groups(dataset, rows):
    return {dataset.tracks[int(row)].group for row in rows}


def disjoint(*parts):
    return sum(len(part) for part in parts) == len(set().union(*map(set, parts)))


ROWS = st.lists(
    st.tuples(st.integers(0, 30).map(str), st.sampled_from(["a", "b", None]), st.none()), min_size=3, max_size=120
)


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(0, 3))
def test_no_artist_is_on_two_sides(rows, seed):
    """Whatever the artists and labels: parts share no artist, and every track is in one part."""
    dataset = made(rows)
    if len(groups(dataset, range(len(rows)))) < 3:
        with pytest.raises(DatasetError, match="cannot be divided into 3 parts"):
            split(dataset, SplitPlan(), seed, "genre")
        return
    found = split(dataset, SplitPlan(), seed, "genre")
    parts = (found.train, found.valid, found.test)
    assert disjoint(*parts) and sum(map(len, parts)) == len(rows)
    assert disjoint(*(groups(dataset, part) for part in parts))
    for fold in folds(dataset, 3, seed, "genre", valid=0.0):
        assert disjoint(groups(dataset, fold.train), groups(dataset, fold.test))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 5), st.integers(0, 5), st.integers(4, 30))
def test_folds_test_every_track_once(k, seed, artists):
    dataset = made([(str(i % artists), "ab"[i % 2], None) for i in range(60)])
    if artists < k:
        with pytest.raises(DatasetError):
            folds(dataset, k, seed)
        return
    found = folds(dataset, k, seed, "genre", valid=0.1 if artists > 2 * k else 0.0)
    assert sorted(np.concatenate([fold.test for fold in found])) == list(range(60))
    for fold in found:
        assert disjoint(*(groups(dataset, part) for part in (fold.train, fold.valid, fold.test)))


def test_labels_are_spread_evenly():
    """With one song an artist each part has its share of each label, to the song."""
    dataset = made([(str(i), "a" if i < 150 else "b", None) for i in range(200)])
    found = split(dataset, SplitPlan(0.8, 0.1, 0.1), 0, "genre")
    for rows, a, b in ((found.train, 120, 40), (found.valid, 15, 5), (found.test, 15, 5)):
        assert Counter(dataset.tracks[i].labels["genre"] for i in rows) == {"a": a, "b": b}
    many = made([(str(i), ("a",) * (i % 2 == 0) + ("b",) * (i % 5 == 0), None) for i in range(200)], task="multilabel")
    means = [many.targets("genre")[part].mean(0) for part in (lambda s: (s.train, s.test))(split(many, SplitPlan(), 0))]
    np.testing.assert_allclose(means[0], means[1], atol=0.06)
    numbers = made([(str(i), float(i), None) for i in range(100)], (), "regression")
    assert abs(split(numbers, SplitPlan(), 0).test.mean() - 49.5) < 12


def test_a_rare_class_is_on_every_side():
    """Three artists are enough for a class to be learnt, chosen by and judged."""
    rows = [(f"big {i}", "a", None) for i in range(40)] + [("x", "b", None)] * 3 + [("y", "b", None), ("z", "b", None)]
    dataset = made(rows)
    for seed in range(5):
        found = split(dataset, SplitPlan(), seed, "genre")
        assert all("b" in {rows[i][1] for i in part} for part in (found.train, found.valid, found.test))


def test_draws_are_seeded_and_never_change():
    """The very rows are part of the format: another platform or version must draw the same."""
    dataset = made([(str(i // 2), "ab"[i % 3 == 0], None) for i in range(40)])
    first = split(dataset, SplitPlan(), 7, "genre")
    assert (
        first.parts()
        == split(dataset, SplitPlan(), 7, "genre").parts()
        != split(dataset, SplitPlan(), 8, "genre").parts()
    )
    assert (first.valid.tolist(), first.test.tolist()) == (VALID, TEST)


VALID, TEST = [4, 5, 26, 27], [20, 21, 22, 23]


def test_the_data_sets_own_split_counts():
    """Valid is for evaluation where there is no test, and early stopping takes its own part of train."""
    rows = [(str(i), "ab"[i % 2], "train" if i < 40 else "valid" if i < 50 else None) for i in range(60)]
    dataset = made(rows)
    found = split(dataset, SplitPlan(), 0, "genre")
    assert found.test.tolist() == list(range(40, 50)) and len(found.valid) == 4 and len(found.train) == 36
    assert disjoint(found.train, found.valid, found.test) and max(found.train) < 40
    assert "valid part is for evaluation" in found.notices[0] and "early stopping" in found.notices[1]
    assert sum(len(fold.test) for fold in folds(dataset, 2)) == 50, "unused tracks stay unused"
    whole = made([(str(i), "ab"[i % 2], ("train", "valid", "test")[i % 3]) for i in range(30)])
    assert split(whole, SplitPlan(), 0).test.tolist() == list(range(2, 30, 3))
    shared = made([("same", "a", "train"), ("same", "b", "test"), ("x", "a", "valid"), ("y", "b", "train")])
    assert "1 artists in two parts, as 'same'" in split(shared, SplitPlan(), 0).notices[0]
    only = made([(str(i), "ab"[i % 2], "test") for i in range(4)])
    assert len(split(only, SplitPlan(), 0).test) == 4, "a data set to be judged on only"


def test_a_shortened_training_part_keeps_artists_whole_and_labels_even():
    """A point of a learning curve: fewer songs to learn from, the same to be judged by."""
    dataset = made([(str(i // 4), "ab"[i // 4 % 2], None) for i in range(160)])
    parts = split(dataset, SplitPlan(), 0)
    half = shortened(dataset, parts, 0.5)
    assert half.valid is parts.valid and half.test is parts.test and set(half.train) < set(parts.train)
    assert len(half.train) == pytest.approx(len(parts.train) / 2, abs=4)
    assert not groups(dataset, half.train) & groups(dataset, np.setdiff1d(parts.train, half.train))
    counts = dataset.counts("genre", half.train)
    assert abs(counts["a"] - counts["b"]) <= 4
    assert any("training.train_size = 0.5" in line for line in half.notices)
    assert shortened(dataset, parts, 1.0) is parts
    one = Split(np.arange(4), np.zeros(0, np.intp), np.arange(4, 8))
    with pytest.raises(DatasetError, match="1 artist cannot be divided"):
        shortened(dataset, one, 0.5)


def test_balanced_parts_have_equally_many_tracks_a_label():
    """S1's parts: as many songs of the rare label as of the frequent one, and the artists still apart."""
    rows = [(str(i // 2), "a" if i < 160 else "b", None) for i in range(200)]
    dataset = made(rows)
    found = split(dataset, SplitPlan(0.8, 0.1, 0.1, balanced=True), 0, "genre")
    for part in (found.valid, found.test):
        counts = Counter(rows[i][1] for i in part)
        assert counts["a"] == counts["b"] == 10
    assert disjoint(*(groups(dataset, part) for part in (found.train, found.valid, found.test)))
    with pytest.raises(DatasetError, match=r"balanced needs one multi-class head"):
        split(made([("x", 1.0, None)], (), "regression"), SplitPlan(balanced=True), 0)
    with pytest.raises(DatasetError, match="no balanced test part: too few artists of"):
        split(made([("x", "ab"[i % 2], None) for i in range(20)]), SplitPlan(balanced=True), 0)


@pytest.mark.parametrize("seed", range(4))
def test_balanced_parts_of_several_heads(seed):
    """All multi-class heads together, as even as they get; or the first alone; tracks that one does not label train."""
    rng = np.random.default_rng(seed)
    rows = [(str(i // 2), "abc"[i % 3], "xy"[int(rng.random() < 0.25)] if i % 5 else None) for i in range(300)]
    tracks = tuple(Track(Path(f"{i}"), f"{i}", group, None, {"genre": one, "mood": two, "energy": i / 300.0})
                   for i, (group, one, two) in enumerate(rows))  # fmt: skip
    heads = (HeadSpec("genre", "multiclass", ("a", "b", "c", "nobody")), HeadSpec("mood", "multiclass", ("x", "y")))
    dataset = Dataset("made", Path(), (*heads, HeadSpec("energy", "regression")), tracks, "artist")
    both = split(dataset, SplitPlan(0.8, 0.1, 0.1, balanced=True), seed)
    first = split(dataset, SplitPlan(0.8, 0.1, 0.1, balanced="first"), seed)
    assert disjoint(*(groups(dataset, part) for part in (both.train, both.valid, both.test)))
    for found, names in ((both, ("genre", "mood")), (first, ("genre",))):
        for part in (found.valid, found.test):
            for name in names:
                counts = np.array(list(dataset.counts(name, part).values()))
                assert np.ptp(counts) <= (1 if len(names) == 2 else 0) and counts.min() >= 5, (name, counts)
    assert all(tracks[int(row)].labels["mood"] for row in (*both.valid, *both.test))
    apart = tuple(
        replace(t, labels={**t.labels, "mood": None} if i % 2 else {"mood": "x"}) for i, t in enumerate(tracks)
    )
    with pytest.raises(
        DatasetError, match=r"no track has a label of each of the heads 'genre' and 'mood'.*balanced=first"
    ):
        split(replace(dataset, tracks=apart), SplitPlan(balanced="all"), seed)


def test_a_head_that_balanced_parts_cannot_score_is_named():
    """Songs have a genre or a number, never both: parts that are balanced by genre say nothing of the number."""
    tracks = tuple(
        Track(Path(f"{i}"), f"{i}", str(i // 2), None, {"genre": "ab"[i % 2]} if i < 60 else {"energy": i / 99})
        for i in range(100)
    )
    heads = (HeadSpec("genre", "multiclass", ("a", "b")), HeadSpec("energy", "regression"))
    dataset = Dataset("made", Path(), heads, tracks, "artist")
    notices = split(dataset, SplitPlan(0.8, 0.1, 0.1, balanced=True), 0).notices
    for part in ("valid", "test"):
        assert any(
            f"balanced {part} part has a label of 'energy'" in one and "balanced=false" in one for one in notices
        )
    assert not any("has a label of" in one for one in split(dataset, SplitPlan(0.8, 0.1, 0.1), 0).notices)


def test_splits_are_saved_by_content(tmp_path):
    """A saved split finds the same recordings again in another order, and says which are new."""
    dataset = made([(str(i), "ab"[i % 2], None) for i in range(30)])
    hashes = [f"{i:032x}" for i in range(30)]
    found = split(dataset, SplitPlan(), 0)
    save_split(tmp_path / "split.tsv", found, hashes)
    assert (tmp_path / "split.tsv").read_text().startswith("content_hash\tpart\n" + "0" * 32)
    parts = load_split(tmp_path / "split.tsv")
    again = apply_split(dataset, parts, hashes)
    assert again.parts() == found.parts() and not again.notices
    turned = apply_split(dataset, parts, ["new", *hashes[:0:-1]])
    assert "1 of 30 tracks are not in the saved split" in turned.notices[0]
    assert sorted(hashes[30 - i] for i in turned.test if i) == sorted(hashes[i] for i in found.test if i)
    (tmp_path / "split.tsv").write_text("content_hash\tpart\nx\tdev\n")
    with pytest.raises(DatasetError, match=r"split.tsv:2: part 'dev' is none of"):
        load_split(tmp_path / "split.tsv")
    with pytest.raises(StorageError, match="is a folder, not a file"):
        save_split(tmp_path, found, hashes)


def test_unknown_heads_and_fold_counts():
    dataset = made([(str(i), "a", None) for i in range(9)])
    with pytest.raises(UnknownName, match="unknown head 'gerne'; did you mean 'genre'"):
        split(dataset, SplitPlan(), 0, "gerne")
    with pytest.raises(DatasetError, match="1 folds: at least 2"):
        folds(dataset, 1)


BAD = {
    "one class": ([("x", "a", None), ("y", "a", None)], r"head 'genre': one class only \('a'\)"),
    "a class with one song": (
        [("x", "a", None), ("y", "a", None), ("z", "b", None)],
        r"class 'b' has one track only \(2.ogg\).*--exclude genre=b",
    ),
    "an artist who owns a class": (
        [("x", "a", None), ("y", "a", None), ("z", "b", None), ("z", "b", None)],
        r"class 'b' is all by one artist \('z', 2 tracks\).*--exclude genre=b",
    ),
    "one class in use": ([("x", "a", "train"), ("y", "a", "test"), ("z", "b", None)], "one class only"),
    "nothing to learn from": ([("x", "a", "test"), ("y", "b", "test")], "no train part"),
    "no labels": ([("x", None, None)], "no track has a label of head 'genre'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_learnt_is_refused(case):
    """Before hours are spent, with the class and the track in the message."""
    rows, message = BAD[case]
    with pytest.raises(DatasetError, match=message):
        check_trainable(made(rows))


def test_what_can_be_learnt_but_badly_is_said():
    rows = [("x", "a", None), ("y", "a", None), ("z", "b", None), ("z", "b", None)]
    assert "all by one artist" in check_trainable(made(rows), one_artist=True)[0]
    assert check_trainable(made(rows, ("a", "b", "c")), one_artist=True)[0] == "genre: no track has the label 'c'"
    tags = made([("x", ("a", "b"), None), ("y", ("a",), None)], task="multilabel")
    assert "1 labels are on all tracks or on none, as 'a'" in check_trainable(tags)[0]
    with pytest.raises(DatasetError, match="every label is on all tracks or on none"):
        check_trainable(made([("x", ("a", "b"), None)], task="multilabel"))
    with pytest.raises(DatasetError, match="every label is too rare"):
        check_trainable(made([("x", ("a",), None)], (), "multilabel"))
    with pytest.raises(DatasetError, match="same number for every track"):
        check_trainable(made([("x", 1.0, None), ("y", 1.0, None)], (), "regression"))
    with pytest.raises(UnknownName):
        check_trainable(made(rows), ["gerne"])


@pytest.mark.parametrize("name", ["moods900", "emotify400", "emotify400/audio", "gtzan-spectrograms"])
def test_real_splits_keep_artists_apart(name, shared):
    """On real artists: disjoint parts near their sizes, every class of every multi-class head in every part."""
    dataset = load_dataset(shared / "data" / name, training=True)
    for spec in dataset.heads:
        found = split(dataset, SplitPlan(), 1, spec.name)
        parts = (found.train, found.valid, found.test)
        assert disjoint(*(groups(dataset, part) for part in parts))
        assert dataset.has_split or 0.06 < len(found.test) / len(dataset.tracks) < 0.15
        if spec.task == "multiclass":
            targets = dataset.targets(spec.name)
            assert all(len(np.unique(targets[part])) == len(spec.labels) for part in parts)
    assert check_trainable(dataset) == ()


def test_artists_are_kept_as_hashes_that_no_spelling_changes(tmp_path):
    names = ["The Beatles", "Björk", "AC/DC", "track: a/b.wav"]
    rows = np.arange(4)
    data = Dataset("d", tmp_path, (), tuple(
        Track(tmp_path / str(i), str(i), name, None, {}) for i, name in enumerate(names)), "artist")  # fmt: skip
    salt = save_split(tmp_path / "split.tsv", Split(rows[:2], rows[2:3], rows[3:]), list("abcd"), named_groups(data))
    found = load_groups(tmp_path / "split.tsv")
    assert set(found) == set("abc") and set(load_groups(tmp_path / "split.tsv", ("train",))) == {"a", "b"}
    for digest, spelling in (
        ("a", "BEATLES"),
        ("a", "Beatles, The"),
        ("b", "  bjork "),
        ("b", "Bjo\u0308rk"),
        ("c", "ac/dc"),
    ):
        assert found[digest] == group_hash(spelling, salt)
    assert group_hash("Beatle", salt) != found["a"] != group_hash("The Beatles", "another salt")
    assert group_hash("", salt) == group_hash("Björk", "") == ""
    assert load_split(tmp_path / "split.tsv")["c"] == "valid"
    assert save_split(tmp_path / "plain.tsv", Split(rows[:2], rows[2:3], rows[3:]), list("abcd")) == ""
    assert load_groups(tmp_path / "plain.tsv") == {}
