"""What is advised follows from the paired tests; what a node stands for from its songs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.datasets.core import Dataset, HeadSpec, Track
from earmark.evaluation.comparison import Comparison, Row, advise, explain_nodes
from earmark.pages.comparison import comparison_page, write_comparison


def row(name: str, accuracy: float, parameters: int, **more: Any) -> Row:
    figures = {"task": "multiclass", "accuracy": accuracy, "accuracy_ci95": [accuracy - 0.1, accuracy + 0.1]}
    figures |= {"train_accuracy": 1.0, "valid_accuracy": 0.7, "labels": ["a", "b"], "confusion": [[3, 1], [0, 4]]}
    return Row(name=name, recipe=name, heads={"genre": figures}, parameters=parameters, **more)


def test_of(a: str, b: str, p: float) -> dict[str, Any]:
    return {"a": a, "b": b, "head": "genre", "difference": 0.1, "ci95": [0.0, 0.2], "p": p}


test_of.__test__ = False  # type: ignore[attr-defined]


def test_the_smallest_within_noise_of_the_best_is_advised():
    rows = [row("large", 0.80, 9000), row("middle", 0.78, 500), row("small", 0.5, 10)]
    paired = [test_of("large", "middle", 0.4), test_of("large", "small", 0.001), test_of("middle", "small", 0.01)]
    said = advise(rows, paired)
    assert said.startswith("Take middle (500 parameters") and "large (9,000" in said and "p = 0.40" in said


@pytest.mark.parametrize(
    ("rows", "paired", "told"),
    [
        ([row("a", 0.9, 90), row("b", 0.2, 9)], [test_of("a", "b", 0.01)], "Take a (90"),
        ([row("a", 0.9, 9), row("b", 0.8, 90)], [test_of("a", "b", 0.5)], "no other is smaller"),
        ([row("a", 0.9, 9)], [], "nothing to choose from"),
        ([Row(name="a", recipe="a", error="broken")], [], "No recipe could be trained"),
    ],
)
def test_other_cases_are_said_plainly(rows: list[Row], paired: list[dict[str, Any]], told: str):
    assert told in advise(rows, paired)


@pytest.mark.parametrize(("accuracy", "p", "told"), [
    (0.5, 0.01, "measurably better than svm"), (0.5, 0.4, "cannot be told from svm"), (0.95, 0.4, "is no worse"),
])  # fmt: skip
def test_what_no_network_reaches_is_said_beside(accuracy: float, p: float, told: str):
    assert told in advise([row("a", 0.9, 9)], [test_of("a", "svm", p)], row("svm", accuracy, 0))


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
    found = Comparison(dataset="d", part="test", group_by="artist", rows=(evil, broken), advice="Take it.")
    page = comparison_page(found)
    assert (
        page.count("<script>") == 1
        and "&lt;script&gt;" in page
        and "the clip is too short" in page
        and "Take it." in page
        and "a note" in page
    )
    assert write_comparison(found, tmp_path / "r").is_file() and (tmp_path / "r" / "comparison.json").is_file()
