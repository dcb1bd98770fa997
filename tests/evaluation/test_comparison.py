"""What is advised follows from the paired tests; what a node stands for from its songs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from earmark.datasets.core import Dataset, HeadSpec, Track
from earmark.evaluation.comparison import Advice, Comparison, Row, advise, explain_nodes, pair_up
from earmark.evaluation.scores import ModelPredictions
from earmark.models.card import HeadCard
from earmark.pages.comparison import comparison_page, write_comparison
from evaluation.fakes import GENRES, card, dataset, multiclass, prediction


def row(name: str, accuracy: float, parameters: int, tracks: int = 100, **more: Any) -> Row:
    figures = {"task": "multiclass", "accuracy": accuracy, "accuracy_ci95": [accuracy - 0.1, accuracy + 0.1]}
    figures |= {"train_accuracy": 1.0, "valid_accuracy": 0.7, "labels": ["a", "b"], "confusion": [[3, 1], [0, 4]]}
    return Row(name=name, recipe=name, heads={"genre": figures | {"tracks": tracks}}, parameters=parameters, **more)


def test_of(a: str, b: str, low: float, high: float, difference: float | None = None) -> dict[str, Any]:
    middle = (low + high) / 2 if difference is None else difference
    return {"a": a, "b": b, "head": "genre", "difference": middle, "ci95": [low, high], "p": 0.5}


test_of.__test__ = False  # type: ignore[attr-defined]


def test_the_smallest_that_is_shown_to_be_no_worse_is_advised():
    rows = [row("large", 0.80, 9000), row("middle", 0.79, 500), row("small", 0.5, 10)]
    paired = [test_of("large", "middle", -0.02, 0.04), test_of("small", "large", -0.4, -0.2)]
    found = advise(rows, paired)
    assert (found.advised, found.songs_needed, found.margin) == ("middle", 0, 0.05)
    assert found.text.startswith("Take middle (500 parameters") and "at most 4 points" in found.text
    assert advise(rows, paired, margin=0.03).advised == "large"


def test_not_significant_is_not_equal():
    """Nine songs tell nothing from anything: the best by score, and how many more songs would tell."""
    rows = [row("transfer", 1.0, 9000, 9), row("multi-output", 0.444, 10, 9)]
    svm = row("SVM", 0.778, 0, 9)
    found = advise(
        rows, [test_of("transfer", "multi-output", -0.1, 0.9, 0.556), test_of("transfer", "SVM", -0.2, 0.6, 0.222)], svm
    )
    assert found.advised == "transfer" and found.songs_needed and found.songs_needed < 50
    assert f"cannot be told from 9 songs: about {found.songs_needed} more would tell" in found.text
    alike = advise([row("a", 0.9, 9), row("b", 0.9 - 1e-9, 5)], [test_of("a", "b", -0.2, 0.2)])
    assert (alike.advised, alike.songs_needed) == ("a", 1500)  # 0.2 / 0.05 = 4 times narrower: 16 times as many


def test_nothing_below_the_baseline_is_advised():
    rows, svm = [row("a", 0.7, 90), row("b", 0.69, 9)], row("svm", 0.8, 0)
    alike = [test_of("a", "b", -0.01, 0.02), test_of("a", "svm", -0.3, 0.1)]
    found = advise(rows, alike, svm)
    assert found.advised is None and found.text.startswith("Take none of them: svm (0.800) scores more")
    found = advise(rows, alike, row("svm", 0.695, 0))
    assert found.advised == "a"  # b is shown to be as good as a, but is below the baseline


@pytest.mark.parametrize(
    ("rows", "paired", "told", "advised"),
    [
        ([row("a", 0.9, 90), row("b", 0.2, 9)], [test_of("a", "b", 0.5, 0.9)], "Take a (90", "a"),
        ([row("a", 0.9, 9), row("b", 0.8, 90)], [test_of("a", "b", -0.1, 0.3)], "no other is smaller", "a"),
        ([row("a", 0.9, 9)], [], "nothing to choose from", "a"),
        ([Row(name="a", recipe="a", error="broken")], [], "No recipe could be trained", None),
    ],
)
def test_other_cases_are_said_plainly(rows: list[Row], paired: list[dict[str, Any]], told: str, advised: str | None):
    found = advise(rows, paired)
    assert told in found.text and found.advised == advised


def test_songs_of_one_artist_decide_nothing_however_many():
    test = {"a": "a", "b": "b", "head": "genre", "difference": 0.0, "ci95": None, "p": 1.0}
    found = advise([row("a", 0.9, 90), row("b", 0.89, 9)], [test])
    assert found.advised == "a" and found.songs_needed is None and "of one artist" in found.text


@pytest.mark.parametrize(("low", "high", "told"), [
    (0.1, 0.7, "measurably better than svm"), (-0.1, 0.9, "cannot be told from svm (0.500): about"),
])  # fmt: skip
def test_what_no_network_reaches_is_said_beside(low: float, high: float, told: str):
    assert told in advise([row("a", 0.9, 9)], [test_of("a", "svm", low, high, 0.4)], row("svm", 0.5, 0)).text


def trained(answers: dict[str, NDArray[np.bool_]], each: int) -> Advice:
    """The advice on models whose right answers are given; the first one is the largest."""
    songs = len(next(iter(answers.values())))
    head = HeadCard("genre", "multiclass", GENRES)
    data = dataset([HeadSpec("genre", "multiclass", GENRES)], [{"genre": "rock"}] * songs,
                   groups=[f"artist {i // each}" for i in range(songs)])  # fmt: skip
    models, rows = {}, []
    for number, (name, right) in enumerate(answers.items()):
        scores = np.where(right[:, None], [0.1, 0.1, 0.1, 0.7], [0.7, 0.1, 0.1, 0.1])
        results = [prediction(t, {"genre": multiclass(head, p)}) for t, p in zip(data.tracks, scores, strict=True)]
        models[name] = ModelPredictions(card(head, name=name), results)
        rows.append(row(name, float(right.mean()), 1000 - number, songs))
    return advise(rows, pair_up(models, data, resamples=100))


def test_a_model_that_is_much_worse_is_hardly_ever_advised_and_an_equal_one_is_with_enough_songs():
    rng, wrong, right = np.random.default_rng(0), 0, 0
    for _ in range(60):
        level = rng.random(9)
        wrong += trained({"large": level < 0.9, "small": rng.random(9) < 0.6}, 1).advised == "small"
    for _ in range(10):
        level = rng.random(400)
        right += trained({"large": level < 0.9, "small": level + rng.normal(0, 0.01, 400) < 0.9}, 2).advised == "small"
    assert wrong <= 6  # chance alone scores the small one above the large one now and then
    assert right >= 9


def songs(count: int) -> Dataset:
    tracks = tuple(
        Track(Path(f"{i}.wav"), f"{i}.wav", str(i), None, {"genre": "ab"[i % 2], "energy": i / count})
        for i in range(count)
    )
    return Dataset(
        "made", Path(), (HeadSpec("genre", "multiclass", ("a", "b")), HeadSpec("energy", "regression")), tracks
    )


def test_a_node_stands_for_what_it_goes_with():
    """Node 0 fires on b, node 1 falls with energy, node 2 is dead; a song that was not heard does not count."""
    index = np.arange(40)
    vectors = np.stack([index % 2, -index / 40, np.zeros(40)], 1).astype(np.float32)
    vectors[7] = np.nan
    nodes = explain_nodes(vectors, songs(40))
    assert nodes[0].labels[0] == ("genre: a", -1.0) or nodes[0].labels[0] == ("genre: b", 1.0)
    assert nodes[1].labels[0] == ("energy", -1.0) and nodes[1].songs[0] == ("0.wav", 0.0)
    assert nodes[2].labels == () and "7.wav" not in dict(nodes[2].songs)


def test_the_page_holds_all_rows_and_nothing_of_a_name_breaks_it(tmp_path: Path):
    evil = row("<script>alert(1)</script>", 0.5, 10, notes=("a note",))
    broken = Row(name="x", recipe="bbnn", error="the clip is too short")
    found = Comparison(dataset="d", part="test", group_by="artist", rows=(evil, broken), advice=Advice("Take it."))
    page = comparison_page(found)
    assert (
        page.count("<script>") == 1
        and "&lt;script&gt;" in page
        and "the clip is too short" in page
        and "Take it." in page
        and "a note" in page
    )
    assert write_comparison(found, tmp_path / "r").is_file() and (tmp_path / "r" / "comparison.json").is_file()
