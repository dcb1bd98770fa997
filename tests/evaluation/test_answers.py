"""Labels of model and data set meet by name or alias; what does not meet is said, and never scored in silence."""

from dataclasses import replace

import numpy as np
import pytest

from earmark.datasets.core import HeadSpec
from earmark.errors import DatasetError, UnknownName
from earmark.evaluation.scores import ModelPredictions, answers_of, head_of, match_labels, score_head, shared_heads
from earmark.inference.answers import answer
from earmark.inference.records import Failure
from earmark.models.card import HeadCard
from evaluation.fakes import card, dataset, genre_model, multiclass, multilabel, prediction

SPEC = HeadSpec("genre", "multiclass", ("Hip-Hop", "Jazz", "ROCK", "Waltz"))
HEAD = HeadCard(
    "genre",
    "multiclass",
    ("jazz", "Rock", "Metal", "Rap", "Noise"),
    aliases={"Metal": ("Heavy", "rock"), "Rap": ("hip-hop",)},
)


def test_labels_match_without_case_and_by_alias():
    match = match_labels(HEAD, SPEC)
    assert match.labels == ("Hip-Hop", "Jazz", "ROCK")
    assert match.sources == (("Rap",), ("jazz",), ("Rock", "Metal"))
    assert match.model_only == ("Noise",) and match.dataset_only == ("Waltz",)
    assert (match.model_labels, match.dataset_labels) == (5, 4)


def test_the_answer_is_the_best_of_the_labels_known_to_both():
    data = dataset([SPEC], [{"genre": "ROCK"}, {"genre": "Jazz"}, {"genre": "Waltz"}, {"genre": None}])
    said = [[0.2, 0.15, 0.1, 0.05, 0.5], [0.4, 0.25, 0.2, 0.1, 0.05], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]]
    results = [prediction(t, {"genre": multiclass(HEAD, p)}) for t, p in zip(data.tracks, said, strict=True)]
    found = answers_of([ModelPredictions(card(HEAD), results)], data, "genre")
    assert found.tracks == ("000.wav", "001.wav")
    assert [found.labels[i] for i in found.guess] == ["ROCK", "ROCK"]  # Rock and Metal add up
    np.testing.assert_allclose(found.scores[0], [0.1, 0.4, 0.5])
    np.testing.assert_allclose(found.scores.sum(1), 1)
    assert found.unknown == 1


def test_of_multi_label_names_that_mean_one_the_highest_counts():
    spec = HeadSpec("tags", "multilabel", ("guitar", "voice"))
    head = HeadCard("tags", "multilabel", ("Guitar", "Electric guitar"), aliases={"Electric guitar": ("guitar",)})
    data = dataset([spec], [{"tags": ("guitar",)}, {"tags": ()}, {"tags": None}])
    results = [prediction(t, {"tags": multilabel(head, [0.3, 0.6])}) for t in data.tracks]
    found = answers_of([ModelPredictions(card(head), results)], data, "tags")
    np.testing.assert_allclose(found.scores, [[0.6], [0.6]])
    np.testing.assert_array_equal(found.truth, [[1], [0]])
    assert found.given.all() and found.match.dataset_only == ("voice",)


def test_an_ensemble_answers_by_the_mean_of_its_models():
    facts, data, first = genre_model(seed=1)
    other, _, second = genre_model(seed=2, name="other")
    alone = [answers_of([ModelPredictions(c, r)], data, "genre").scores for c, r in ((facts, first), (other, second))]
    both = answers_of([ModelPredictions(facts, first), ModelPredictions(other, second)], data, "genre")
    np.testing.assert_allclose(both.scores, np.mean(alone, 0))


def test_a_track_that_one_model_could_not_hear_is_not_scored():
    facts, data, results = genre_model(tracks=6)
    broken = [Failure(results[0].path, "decode", "broken"), *results[1:]]
    both = answers_of([ModelPredictions(facts, results), ModelPredictions(facts, broken)], data, "genre")
    assert both.tracks == tuple(t.name for t in data.tracks[1:])


def test_a_model_that_is_not_sure_gives_no_answer():
    facts, data, results = genre_model(threshold=0.6)
    found = answers_of([ModelPredictions(facts, results)], data, "genre")
    np.testing.assert_array_equal(found.given, found.scores.max(1) >= 0.6)
    both = answers_of([ModelPredictions(facts, results)] * 2, data, "genre")
    np.testing.assert_array_equal(found.given, both.given)


TREE = HeadCard("genre", "multiclass", ("Rock", "Punk", "Metal", "Jazz"), threshold=0.6, thresholds={"Loud": 0.9},
                parents={"Punk": "Rock", "Metal": "Rock", "Rock": "Loud"}, aliases={"Loud": ("noisy",)})  # fmt: skip


def test_a_label_that_a_data_set_lacks_stands_for_what_is_above_it():
    match = match_labels(TREE, HeadSpec("genre", "multiclass", ("jazz", "metal", "rock")))
    assert dict(zip(match.labels, match.sources, strict=True)) == {
        "jazz": ("Jazz",), "metal": ("Metal",), "rock": ("Rock", "Punk")}  # fmt: skip
    assert match_labels(TREE, HeadSpec("genre", "multiclass", ("Noisy",))).sources == (("Rock", "Punk", "Metal"),)


def test_an_answer_above_the_truth_is_right_and_counted_apart():
    """Three step up to Rock, one of them wrongly; one names Punk and is right; one names Rock itself; one is silent."""
    said = [
        ("Punk", [0.1, 0.45, 0.2, 0.25]),
        ("Metal", [0.1, 0.45, 0.2, 0.25]),
        ("Jazz", [0.1, 0.45, 0.2, 0.25]),
        ("Punk", [0.1, 0.7, 0.1, 0.1]),
        ("Metal", [0.5, 0.1, 0.1, 0.3]),
        ("Jazz", [0.1, 0.3, 0.1, 0.5]),
    ]
    data = dataset([HeadSpec("genre", "multiclass", TREE.labels)], [{"genre": truth} for truth, _ in said])
    results = [prediction(t, {"genre": answer(TREE, p)}) for t, (_, p) in zip(data.tracks, said, strict=True)]
    assert [r.heads["genre"].label for r in results] == ["Rock", "Rock", "Rock", "Punk", "Rock", None]
    found = answers_of([ModelPredictions(card(TREE), results)], data, "genre")
    assert found.stepped.tolist() == [True, True, True, False, False, False]
    figures = score_head(found, 0)
    assert (figures["coverage"], figures["precision"]) == (0.8333, 0.8)
    assert figures["without_step_ups"] == {"coverage": 0.3333, "precision": 1.0}
    assert figures["accuracy"] == 0.5, "of the best labels alone"
    part = score_head(found.subset([2, 3]), 0)
    assert (part["coverage"], part["precision"], part["without_step_ups"]["coverage"]) == (1.0, 0.5, 0.5)
    assert score_head(answers_of([ModelPredictions(card(TREE), results)] * 2, data, "genre"), 0) == figures


def test_a_head_is_known_by_further_names_and_by_its_labels():
    """A model's mood are quadrants; Emotify calls so what is the model's valence."""
    mood = HeadCard("mood", "multiclass", ("happy", "tense", "sad", "calm"), also=("quadrant",))
    valence = HeadCard("valence", "multiclass", ("negative", "neutral", "positive"), also=("mood",),
                       aliases={"negative": ("sad",), "positive": ("happy",)})  # fmt: skip
    facts = card(mood, valence)
    emotify = HeadSpec("mood", "multiclass", ("happy", "neutral", "sad"))
    quadrant = HeadSpec("quadrant", "multiclass", ("calm", "happy", "sad", "tense"))
    assert head_of(facts, emotify) == valence and head_of(facts, quadrant) == mood
    assert head_of(facts, HeadSpec("mood", "multiclass", quadrant.labels)) == mood
    assert head_of(facts, HeadSpec("mood", "regression")) is None
    data = dataset([emotify, quadrant], [{"mood": "sad", "quadrant": "tense"}])
    assert shared_heads([facts], data) == ("mood", "quadrant")
    assert shared_heads([facts], data, ["quadrant"]) == ("quadrant",)
    assert shared_heads([facts], data, ["valence"]) == ("mood",), "by the model's own name, too"
    said = {"mood": multiclass(mood, [0.1, 0.6, 0.2, 0.1]), "valence": multiclass(valence, [0.6, 0.3, 0.1])}
    results = [prediction(data.tracks[0], said)]
    assert answers_of([ModelPredictions(facts, results)], data, "mood").scores.tolist() == [[0.1, 0.3, 0.6]]
    assert answers_of([ModelPredictions(facts, results)], data, "quadrant").scores.tolist() == [[0.1, 0.1, 0.2, 0.6]]


def test_of_the_labels_that_are_named_so_many_are_right():
    """By the model's own word: a head that includes another names labels below their thresholds."""
    spec, head = HeadSpec("tags", "multilabel", ("a", "b")), HeadCard("tags", "multilabel", ("a", "b"))
    data = dataset([spec], [{"tags": ("a",)}, {"tags": ("b",)}, {"tags": ()}])
    said = [("a", "b"), ("b",), ()]
    results = [
        prediction(t, {"tags": replace(multilabel(head, [0.1, 0.2]), labels=labels)})
        for t, labels in zip(data.tracks, said, strict=True)
    ]
    figures = score_head(answers_of([ModelPredictions(card(head), results)], data, "tags"), 0)
    assert (figures["coverage"], figures["precision"]) == (0.6667, 0.6667)


def test_an_ensemble_names_what_it_names_when_it_tags():
    """It steps up where the models' trees are one, names what it includes, and says nothing of what is no music."""
    genres = HeadCard("genres", "multilabel", TREE.labels, includes="genre", thresholds={"Punk": 0.99})
    data = dataset([HeadSpec(h.name, h.task, h.labels) for h in (TREE, genres)],
                   [{"genre": "Metal", "genres": ("Punk",)}] * 2)  # fmt: skip
    facts = card(TREE, genres)
    one, two = (answer(TREE, p) for p in ([0.1, 0.7, 0.0, 0.2], [0.0, 0.1, 0.5, 0.4]))
    several = answer(genres, [0.1, 0.3, 0.3, 0.1])
    models = []
    for said in (one, two):
        song, speech = (prediction(t, {"genre": said, "genres": several}) for t in data.tracks)
        models.append(ModelPredictions(facts, [song, replace(speech, warning="speech").settled()]))
    found = answers_of(models, data, "genre")
    assert found.given.tolist() == [True, False] and found.stepped.tolist() == [True, False]
    assert found.covers.tolist() == [[True, True, True, False], [False] * 4]
    named = answers_of(models, data, "genres")
    assert named.given.tolist() == [[True, False, False, False], [False] * 4]


def test_heads_are_those_that_both_have():
    data = dataset([SPEC, HeadSpec("mood", "multiclass", ("sad",))], [{"genre": "Jazz"}])
    model = card(HEAD, HeadCard("mood", "regression"))
    assert shared_heads([model], data) == ("genre",)
    with pytest.raises(UnknownName, match="did you mean 'genre'"):
        shared_heads([model], data, ["genres"])
    with pytest.raises(DatasetError, match="head mood: regression in made@1 but multiclass in made-up"):
        shared_heads([model], data, ["mood"])
    with pytest.raises(DatasetError, match="no head in common: made-up has genre, mood; made@1 has tags"):
        shared_heads([card(HeadCard("tags", "multilabel", ("a",)))], data)


def test_no_label_in_common_is_an_error_that_names_both_sides():
    head = HeadCard("genre", "multiclass", ("polka",))
    data = dataset([SPEC], [{"genre": "Jazz"}])
    results = [prediction(data.tracks[0], {"genre": multiclass(head, [1.0])})]
    with pytest.raises(DatasetError, match=r"no label in common; made-up has Hip-Hop.*made@1 knows polka"):
        answers_of([ModelPredictions(card(head), results)], data, "genre")
