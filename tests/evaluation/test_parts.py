"""No track that a model was trained on is scored unless somebody insists, and then it is said."""

import pytest

from earmark.datasets.core import HeadSpec
from earmark.errors import DatasetError, UnknownName
from earmark.evaluation.evaluate import choose_tracks
from evaluation.fakes import dataset

HEAD = HeadSpec("genre", "multiclass", ("a", "b"))


def tracks(parts=None, count=6):
    return dataset([HEAD], [{"genre": "a"}] * count, parts=parts)


HASHES = list("uvwxyz")
SPLIT = {"u": "train", "v": "train", "w": "valid", "x": "test", "y": "test"}


def test_where_the_data_set_assigns_nothing_the_models_split_counts():
    chosen = choose_tracks(tracks(), "test", HASHES, [SPLIT])
    assert (chosen.rows, chosen.part, chosen.left_out) == ((3, 4, 5), "test", 3)
    assert choose_tracks(tracks(), "all", HASHES, [SPLIT]).rows == (3, 4, 5)
    valid = choose_tracks(tracks(), "valid", HASHES, [SPLIT])
    assert (valid.rows, valid.part, valid.left_out) == ((2,), "valid", 0)


def test_the_data_sets_own_parts_come_first_and_training_tracks_among_them_are_left_out():
    parts = ["train", "train", "test", "test", "test", None]
    chosen = choose_tracks(tracks(parts), "test", HASHES, [SPLIT])
    assert (chosen.rows, chosen.part, chosen.left_out) == ((3, 4), "test", 1)
    assert choose_tracks(tracks(parts), "all", HASHES, [{}]).rows == tuple(range(6))


def test_without_test_rows_the_valid_rows_are_scored():
    chosen = choose_tracks(tracks(["train"] * 4 + ["valid"] * 2), "test", HASHES, [SPLIT])
    assert (chosen.rows, chosen.part) == ((4, 5), "valid")
    assert "no test rows" in chosen.notices[0]


def test_a_model_that_knows_none_of_them_is_scored_on_all():
    assert choose_tracks(tracks(), "test", [None] * 6, [{}]).part == "all"
    assert choose_tracks(tracks(), "test", HASHES, [{"other": "train"}]).left_out == 0


def test_training_tracks_of_any_model_are_left_out():
    assert choose_tracks(tracks(), "test", HASHES, [SPLIT, {"x": "train"}]).rows == (4, 5)


def test_nothing_left_is_refused_unless_allowed():
    everything = dict.fromkeys(HASHES, "train")
    with pytest.raises(DatasetError, match=r"trained on all 6 tracks.*--allow-training-tracks"):
        choose_tracks(tracks(), "test", HASHES, [everything])
    with pytest.raises(DatasetError, match="trained on all 2"):
        choose_tracks(tracks(), "train", HASHES, [SPLIT])
    chosen = choose_tracks(tracks(), "test", HASHES, [everything], allow_training_tracks=True)
    assert len(chosen.rows) == 6 and chosen.left_out == 0
    assert "6 of the 6 tracks scored" in chosen.notices[0]


def test_an_empty_or_unknown_part_is_an_error():
    with pytest.raises(UnknownName, match="did you mean 'test'"):
        choose_tracks(tracks(), "tset", HASHES, [{}])
    with pytest.raises(DatasetError, match="'train' has no tracks"):
        choose_tracks(tracks(["test"] * 6), "train", HASHES, [{}])
    with pytest.raises(DatasetError, match="'valid' has no tracks"):
        choose_tracks(tracks(), "valid", HASHES, [{}])
