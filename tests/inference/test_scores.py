"""Raw scores to calibrated ones: known values, order, thresholds, rounding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from earmark.inference.answers import answer, answers
from earmark.inference.scores import pool, probabilities, taggram, track_probabilities
from earmark.models.card import HeadCard

GENRE = HeadCard("genre", "multiclass", ("Rock", "Jazz"), temperature=2.0, threshold=0.6)
TAGS = HeadCard("tags", "multilabel", ("guitar", "piano", "voice"), thresholds={"guitar": 0.2})
ENERGY = HeadCard("energy", "regression")


def test_probabilities() -> None:
    """Softmax and sigmoid of logits over temperature; numbers pass through; nothing overflows."""
    assert_allclose(probabilities(np.float32([[2 * np.log(3), 0]]), GENRE), [[0.75, 0.25]], atol=1e-7)
    assert_allclose(probabilities(np.float32([[0, np.log(3), -np.log(3)]]), TAGS), [[0.5, 0.75, 0.25]], atol=1e-7)
    assert_allclose(probabilities(np.float32([[0.3]]), ENERGY), [[0.3]], atol=1e-7)
    for head in (GENRE, TAGS):
        extreme = np.full((1, len(head.labels)), -1e4, np.float32)
        extreme[0, 0] = 1e4
        assert_allclose(probabilities(extreme, head), [[1, *[0] * (len(head.labels) - 1)]])


def test_pooling() -> None:
    clips = np.array([[0.9, 0.1], [0.5, 0.5]])
    assert_allclose(pool(clips, "mean", "multiclass"), [0.7, 0.3])
    geometric = np.sqrt([0.45, 0.05])
    assert_allclose(pool(clips, "mean-log", "multiclass"), geometric / geometric.sum())
    assert_allclose(pool(clips, "mean-log", "multilabel"), geometric)
    assert_allclose(pool(np.array([[-1.0], [3.0]]), "mean-log", "regression"), [1])
    assert np.isfinite(pool(np.array([[1.0, 0.0]]), "mean-log", "multiclass")).all()


def test_answers() -> None:
    sure, unsure = answer(GENRE, [0.3, 0.7]), answer(GENRE, [0.45, 0.55])
    assert (sure.label, sure.confidence) == ("Jazz", 0.7)
    assert (unsure.label, unsure.confidence, unsure.best) == (None, 0.55, "Jazz")
    assert answer(GENRE, [0.6, 0.6]).label == "Rock", "ties go to the label that stands first"
    assert answer(TAGS, [0.2, 0.4, 0.5]).labels == ("voice", "guitar")
    assert answer(ENERGY, [0.123456]).value == 0.1235
    assert answer(TAGS, [0.123456, 0, 1]).scores["guitar"] == 0.1235


def test_the_threshold_holds_for_what_is_shown() -> None:
    """A confidence that is shown as 0.6 is not below a threshold of 0.6."""
    assert answer(GENRE, [0.59996, 0.40004]).label == "Rock"


def test_taggrams() -> None:
    over_time = taggram(GENRE, [(0, 3), (3, 6.00049)], np.array([[0.7, 0.3], [0.2, 0.8]]))
    assert over_time.to_dict() == {
        "start": [0, 3],
        "end": [3, 6.0],
        "scores": {"Rock": [0.7, 0.2], "Jazz": [0.3, 0.8]},
    }
    assert list(taggram(ENERGY, [(0, 3)], np.array([[0.5]])).scores) == ["energy"]


def test_labels_must_fit() -> None:
    with pytest.raises(ValueError, match="zip"):
        answer(GENRE, [1.0])


TREE = HeadCard("genre", "multiclass", ("Rock", "Punk", "Metal", "Pop"), threshold=0.6,
                thresholds={"Rock": 0.7, "Guitar": 0.9},
                parents={"Punk": "Rock", "Metal": "Rock", "Rock": "Guitar"})  # fmt: skip
GENRES = HeadCard("genres", "multilabel", ("Pop", "Metal", "Punk", "Rock"), thresholds={"Pop": 0.3}, includes="genre")


@pytest.mark.parametrize(
    ("scores", "label", "confidence"),
    [
        ([0.1, 0.6, 0.1, 0.2], "Punk", 0.6),
        ([0.1, 0.5, 0.1, 0.3], "Rock", 0.7),  # the sum of what is at or below it
        ([0.1, 0.44, 0.15, 0.31], None, 0.44),
        ([0.4, 0.2, 0.15, 0.25], "Rock", 0.75),  # a label that is a node too
        ([0.2, 0.25, 0.15, 0.4], None, 0.4),  # the best label decides where to step up
        ([0.0, 0.0, 0.35, 0.65], "Pop", 0.65),
    ],
)
def test_an_answer_steps_up_in_the_tree(scores: list[float], label: str | None, confidence: float) -> None:
    found = answer(TREE, scores)
    assert (found.label, found.confidence) == (label, confidence)
    assert list(found.scores.values()) == scores
    assert bool(found.guesses) == (label is None)


def test_a_node_has_a_threshold_of_its_own() -> None:
    low = replace(TREE, thresholds={"Rock": 1.0, "Guitar": 0.5})
    assert (answer(low, [0.3, 0.3, 0.1, 0.3]).label, answer(low, [0.3, 0.3, 0.1, 0.3]).confidence) == ("Guitar", 0.7)


def test_guesses_where_nothing_is_named() -> None:
    """Three at most, best first, none below a tenth; in the record only where there are some."""
    assert answer(TREE, [0.1, 0.31, 0.3, 0.29]).guesses == ()  # Rock is named
    assert answer(replace(TREE, parents={}), [0.12, 0.2, 0.27, 0.41]).guesses == (
        ("Pop", 0.41), ("Metal", 0.27), ("Punk", 0.2))  # fmt: skip
    assert answer(GENRE, [0.55, 0.09]).to_dict()["guesses"] == [["Rock", 0.55]]
    assert answer(TAGS, [0.1, 0.4, 0.05]).to_dict()["guesses"] == [["piano", 0.4], ["guitar", 0.1]]
    assert "guesses" not in answer(TAGS, [0.2, 0.4, 0.05]).to_dict()
    assert "guesses" not in answer(TAGS, [0.0, 0.0, 0.0]).to_dict()


@pytest.mark.parametrize(
    ("genre", "labels"),
    [
        ([0.1, 0.6, 0.1, 0.2], ("Pop", "Punk")),
        ([0.1, 0.5, 0.1, 0.3], ("Pop", "Rock")),
        ([0.1, 0.4, 0.1, 0.4], ("Pop",)),
    ],
)
def test_a_head_names_what_the_head_it_includes_names(genre: list[float], labels: tuple[str, ...]) -> None:
    found = answers((TREE, GENRES), {"genre": genre, "genres": [0.45, 0.1, 0.2, 0.3]})
    assert found["genres"].labels == labels
    unsure = answers((TREE, replace(GENRES, thresholds={})), {"genre": genre, "genres": [0.45, 0.1, 0.2, 0.3]})
    assert unsure["genres"].labels == labels[1:]
    assert bool(unsure["genres"].guesses) != bool(labels[1:])


def test_of_a_node_that_is_no_label_the_best_leaf_is_included() -> None:
    guitar = replace(TREE, thresholds={"Rock": 1.0, "Guitar": 0.5})
    found = answers((guitar, GENRES), {"genre": [0.2, 0.3, 0.2, 0.3], "genres": [0, 0.1, 0.2, 0.1]})
    assert (found["genre"].label, found["genres"].labels) == ("Guitar", ("Punk",))


def test_heads_of_the_same_raw_scores_have_the_same_best_label_pooled_before_they_are_calibrated() -> None:
    """Clips that disagree: the mean of softmaxes and the mean of sigmoids have other best labels, these have not."""
    raw = np.random.default_rng(0).normal(0, 4, (200, 5, 4))
    one, many = replace(TREE, pooling="logits"), replace(GENRES, pooling="logits", temperature=2.0)
    best = [[track_probabilities(clips, head, "mean").argmax() for clips in raw] for head in (one, many)]
    assert best[0] == best[1]
    plain = [
        [track_probabilities(clips, replace(h, pooling=""), "mean").argmax() for clips in raw] for h in (one, many)
    ]
    assert plain[0] != plain[1]


def test_a_label_that_contradicts_another_head_is_neither_named_nor_guessed() -> None:
    """Whatever its score; where nothing is left to name, the next best are guessed."""
    mood = HeadCard("mood", "multiclass", ("happy", "sad", "calm"), threshold=0.5)
    against = {"gloomy": {"mood": ("happy", "calm")}, "bright": {"mood": ("sad",), "nowhere": ("x",)}}
    words = HeadCard("moods", "multilabel", ("gloomy", "bright", "soft"), contradicts=against)
    happy = answers((mood, words), {"mood": [0.3, 0.4, 0.3], "moods": [0.9, 0.6, 0.2]})["moods"]
    assert (happy.labels, happy.scores["gloomy"]) == (("bright",), 0.9)
    alone = answers((mood, words), {"mood": [0.4, 0.4, 0.2], "moods": [0.9, 0.4, 0.2]})["moods"]
    assert (alone.labels, alone.guesses) == ((), (("bright", 0.4), ("soft", 0.2)))
    sad = answers((mood, words), {"mood": [0.2, 0.6, 0.2], "moods": [0.9, 0.6, 0.2]})["moods"]
    assert sad.labels == ("gloomy",)
    assert answers((words,), {"moods": [0.9, 0.6, 0.2]})["moods"].labels == ("gloomy", "bright"), (
        "without the other head"
    )


def test_what_several_heads_above_find_likely_is_the_highest_of_their_labels() -> None:
    voice = HeadCard("voice", "multilabel", ("male", "female"))
    tags = HeadCard("tags", "multilabel", ("women",), contradicts={"women": {"voice": ("male",)}})
    assert answers((voice, tags), {"voice": [0.6, 0.7], "tags": [0.9]})["tags"].labels == ()
    assert answers((voice, tags), {"voice": [0.5, 0.7], "tags": [0.9]})["tags"].labels == ("women",)


def test_a_part_is_named_with_its_whole() -> None:
    guitars = HeadCard(
        "instruments", "multilabel", ("guitar", "piano", "electric guitar"), implies={"electric guitar": "guitar"}
    )
    assert answer(guitars, [0.4, 0.3, 0.8]).labels == ("electric guitar", "guitar")
    assert answer(guitars, [0.8, 0.3, 0.4]).labels == ("guitar",)
    assert answer(guitars, [0.4, 0.3, 0.4]).labels == ()
