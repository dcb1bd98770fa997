"""A head's figures stand under the names of the design, are those of the metrics, and survive odd data."""

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from earmark.datasets.core import HeadSpec
from earmark.evaluation.scores import ModelPredictions, answers_of, compare_answers, score_head
from earmark.models.card import HeadCard
from evaluation.fakes import card, dataset, genre_model, multilabel, number, prediction

TAGS = ("guitar", "voice", "flute", "never")


def tags(seed=0, tracks=80, skill=1.0):
    rng = np.random.default_rng(seed)
    truth = np.random.default_rng(5).random((tracks, 4)) < [0.5, 0.3, 0.1, 0.0]
    head = HeadCard("tags", "multilabel", TAGS)
    data = dataset(
        [HeadSpec("tags", "multilabel", TAGS)],
        [{"tags": tuple(np.array(TAGS)[row])} for row in truth],
        groups=[f"artist {i // 4}" for i in range(tracks)],
    )
    scores = (1 / (1 + np.exp(-(rng.normal(size=truth.shape) + skill * (truth - 0.5))))).round(4)
    results = [prediction(t, {"tags": multilabel(head, p)}) for t, p in zip(data.tracks, scores, strict=True)]
    return answers_of([ModelPredictions(card(head), results)], data, "tags"), truth, scores


def test_multiclass_keys_are_those_of_the_design():
    facts, data, results = genre_model(scores={"genre": {"train_accuracy": 0.97, "accuracy": 0.8}}, threshold=0.5)
    found = score_head(answers_of([ModelPredictions(facts, results)], data, "genre"), 200)
    assert list(found)[:12] == [
        "task", "tracks", "accuracy", "accuracy_ci95", "macro_f1", "macro_f1_ci95", "ece", "ece_limit", "coverage",
        "precision", "train_accuracy", "labels",
    ]  # fmt: skip
    table = np.array(found["confusion"])
    assert table.sum() == found["tracks"] == 120
    assert found["accuracy"] == pytest.approx(np.trace(table) / 120, abs=1e-4)
    assert found["accuracy_ci95"][0] < found["accuracy"] < found["accuracy_ci95"][1]
    assert found["train_accuracy"] == 0.97
    assert 0 < found["coverage"] < 1 and found["precision"] > found["accuracy"]
    np.testing.assert_array_equal(table.sum(1), [found["per_label"][k]["tracks"] for k in found["labels"]])
    for row in found["per_label"].values():
        assert row["recall_ci95"][0] <= row["recall"] <= row["recall_ci95"][1]
    json.dumps(found, allow_nan=False)


def test_rows_of_the_confusion_table_are_the_truth():
    facts, data, results = genre_model(skill=9.0, tracks=4)
    wrong = dataset(data.heads, [{"genre": "rock"}] * 4)
    found = score_head(answers_of([ModelPredictions(facts, results)], wrong, "genre"), 0)
    assert sum(found["confusion"][3]) == 4


def test_multilabel_figures_are_those_of_scikit_learn_and_a_label_without_positives_is_left_out():
    answers, truth, scores = tags()
    found = score_head(answers, 200)
    assert found["labels_not_scored"] == ["never"]
    areas = [roc_auc_score(truth[:, i], scores[:, i]) for i in range(3)]
    assert found["roc_auc_macro"] == pytest.approx(np.mean(areas), abs=1e-4)
    precisions = [average_precision_score(truth[:, i], scores[:, i]) for i in range(3)]
    assert found["pr_auc_macro"] == pytest.approx(np.mean(precisions), abs=1e-4)
    assert found["roc_auc_macro_ci95"][0] < found["roc_auc_macro"] < found["roc_auc_macro_ci95"][1]
    assert found["per_label"]["guitar"]["tracks"] == truth[:, 0].sum()
    assert found["per_label"]["never"] == {
        "roc_auc": None, "roc_auc_ci95": None, "pr_auc": None, "f1": pytest.approx(0, abs=0.5), "tracks": 0,
    }  # fmt: skip
    assert found["label_accuracy_of_no"] == pytest.approx(1 - truth.mean(), abs=1e-4)
    json.dumps(found, allow_nan=False)


def test_regression_figures():
    rng = np.random.default_rng(0)
    truth = rng.random(60)
    guess = truth + rng.normal(0, 0.1, 60)
    data = dataset([HeadSpec("energy", "regression")], [{"energy": float(v)} for v in truth] + [{"energy": None}])
    results = [prediction(t, {"energy": number(v)}) for t, v in zip(data.tracks, [*guess, 9.0], strict=True)]
    found = score_head(
        answers_of([ModelPredictions(card(HeadCard("energy", "regression")), results)], data, "energy"), 200
    )
    assert found["tracks"] == 60
    assert found["r2_ci95"][0] < found["r2"] < found["r2_ci95"][1]
    assert found["mae"] == pytest.approx(np.abs(truth - guess).mean(), abs=1e-4)


def test_a_head_without_a_track_has_no_figures_but_does_not_fall():
    facts, data, results = genre_model(tracks=2)
    empty = dataset(data.heads, [{"genre": None}, {"genre": None}])
    found = score_head(answers_of([ModelPredictions(facts, results)], empty, "genre"))
    assert found["tracks"] == 0 and found["accuracy"] is None and found["accuracy_ci95"] is None
    json.dumps(found, allow_nan=False)


def test_paired_test_of_each_task():
    facts, data, strong = genre_model(skill=3.0)
    weak = genre_model(skill=1.0, seed=4)[2]
    good, bad = (answers_of([ModelPredictions(facts, r)], data, "genre") for r in (strong, weak))
    found = compare_answers(good, bad, 200)
    accuracies = [score_head(a, 0)["accuracy"] for a in (good, bad)]
    assert found.difference == pytest.approx(accuracies[0] - accuracies[1], abs=2e-4)
    assert found.p < 0.01 and found.ci95[0] > 0
    assert compare_answers(bad, good, 200).difference == pytest.approx(-found.difference)
    sharp, blunt = tags(skill=3.0)[0], tags(seed=1, skill=0.0)[0]
    areas = compare_answers(sharp, blunt, 200)
    assert areas.p < 0.01 and areas.difference > 0.2
    with pytest.raises(ValueError, match="same tracks"):
        compare_answers(good, sharp)


def test_paired_test_of_numbers():
    rng = np.random.default_rng(0)
    truth = rng.random(60)
    data = dataset([HeadSpec("energy", "regression")], [{"energy": float(v)} for v in truth])
    facts = card(HeadCard("energy", "regression"))

    def heard(noise):
        results = [
            prediction(t, {"energy": number(v + noise * rng.normal())}) for t, v in zip(data.tracks, truth, strict=True)
        ]
        return answers_of([ModelPredictions(facts, results)], data, "energy")

    found = compare_answers(heard(0.05), heard(0.5), 200)
    assert found.difference > 0 and found.p < 0.01
