"""Labels that are perhaps one, and labels that no track teaches: both are named before anybody learns from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.datasets.core import Dataset, HeadSpec, Track, lost_in_words, spelling_notices


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Rock", "rock"),
        ("Hip Hop", "hip-hop"),
        ("HipHop", "hip_hop"),
        ("Drum  and Bass", "drum and bass"),
        ("straße", "STRASSE"),
        ("Rock", "\uff32\uff4f\uff43\uff4b"),
        ("caf\u00e9", "cafe\u0301"),
        ("Pop", "P\u200bop"),
        ("80s-Pop", "80s Pop"),
        ("lo\u2013fi", "lo-fi"),
    ],
)
def test_two_spellings_of_one_label_are_named(one: str, other: str) -> None:
    (line,) = spelling_notices({"genre": ("Jazz", one, other)})
    assert line.startswith("genre: the labels ") and repr(one) in line and repr(other) in line
    assert "give it one name everywhere" in line


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.5", "15"), ("-1", "1"), ("1980-1990", "19801990"), ("C", "C#"), ("B+", "B-"), ("Pop", "Pop2"), ("a", "á")],
)
def test_other_labels_are_not(one: str, other: str) -> None:
    assert spelling_notices({"genre": (one, other)}) == ()


def test_heads_do_not_mix_and_three_spellings_are_one_line() -> None:
    assert spelling_notices({"genre": ("Rock",), "mood": ("rock",)}) == ()
    (line,) = spelling_notices({"genre": ("ROCK", "Rock", "rock")})
    assert "'ROCK' and 'Rock' and 'rock'" in line


def test_labels_that_only_lost_tracks_have() -> None:
    labels = [("a", ("x", "y")), ("a", ("x",)), ("b", ("z",)), (None, None)]
    tracks = tuple(
        Track(Path(f"{i}.ogg"), f"{i}.ogg", "", None, {"genre": genre, "tags": tags})
        for i, (genre, tags) in enumerate(labels)
    )
    specs = (HeadSpec("genre", "multiclass", ("a", "b", "never")), HeadSpec("tags", "multilabel", ("x", "y", "z")))
    dataset = Dataset("made", Path(), specs, tracks)
    lost = dataset.lost_labels(None, [1, 3])
    assert lost == {"genre": ("b",), "tags": ("y", "z")}
    assert [head.labels for head in dataset.without_labels(lost).heads] == [("a", "never"), ("x",)]
    assert lost_in_words(dataset, lost, "are gone")[0] == "genre: the tracks of 'b' (1) are gone"
    assert dataset.lost_labels(None, range(4)) == {}
    assert dataset.lost_labels([1, 2], [1]) == {"genre": ("b",), "tags": ("z",)}
