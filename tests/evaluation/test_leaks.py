"""An artist or a recording in two parts of a split is named; where there is no split there is nothing to leak."""

from pathlib import Path

from earmark.datasets.core import Dataset, Track
from earmark.evaluation.duplicates import Duplicate, Leak, find_leaks


def made(groups, parts, group_by="artist"):
    tracks = tuple(
        Track(Path(f"/m/{i}.mp3"), f"{i}.mp3", group, part, {})
        for i, (group, part) in enumerate(zip(groups, parts, strict=True))
    )
    return Dataset("made", Path("/m"), (), tracks, group_by=group_by, has_split=True)


PARTS = ["train", "test", "train", "valid", None]


def test_groups_on_two_sides():
    data = made(["a", "a", "b", "c", "b"], PARTS)
    assert find_leaks(data, []) == (Leak("a", ("train", "test")),)
    assert find_leaks(made(["a", "a", "a", "a", "a"], PARTS), [])[0].parts == ("train", "valid", "test")


def test_tracks_that_are_groups_by_themselves_leak_only_as_copies():
    data = made(["a", "b", "c", "d", "e"], PARTS, "track")
    pairs = [Duplicate(0, 1, "exact", 1.0), Duplicate(0, 2, "near", 0.8), Duplicate(1, 4, "near", 0.8)]
    assert find_leaks(data, pairs) == (Leak("0.mp3", ("train", "test"), (0, 1)),)
    assert find_leaks(made(["a"] * 5, [None] * 5), pairs) == ()
