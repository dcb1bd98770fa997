"""What Earmark answers stays what it was: scores of songs within .0001, and every verb's answer on music of our own.

A difference that is meant is recorded anew by ``make golden``, and seen in the change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import record

GOLDEN = Path(__file__).parent / "golden"


def _differences(now: Any, then: Any, where: str = "") -> list[str]:
    """Where two JSON values differ; numbers may by .0001."""
    if isinstance(then, dict) and isinstance(now, dict):
        keys = sorted(set(then) ^ set(now))
        found = [f"{where}/{key}: only {'now' if key in now else 'then'}" for key in keys]
        return found + [
            line for key in then if key in now for line in _differences(now[key], then[key], f"{where}/{key}")
        ]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [
            line for i, pair in enumerate(zip(now, then, strict=True)) for line in _differences(*pair, f"{where}/{i}")
        ]
    if isinstance(then, float) and isinstance(now, (int, float)):
        return [] if abs(now - then) <= 1.01e-4 else [f"{where}: {now}, was {then}"]
    return [] if now == then else [f"{where}: {now!r}, was {then!r}"]


def test_a_difference_is_seen() -> None:
    assert _differences({"a": [0.5, 1]}, {"a": [0.50005, 1]}) == []
    assert _differences({"a": [0.5, 1]}, {"a": [0.5003, 1], "b": 0}) == ["/b: only then", "/a/0: 0.5, was 0.5003"]


def test_twenty_songs_keep_their_scores(shared: Path) -> None:
    """The bundled model answers on real music what it answered before the house was rebuilt."""
    then = json.loads((GOLDEN / "songs.json").read_text("utf-8"))
    assert _differences(record.songs(shared / "data"), then) == []


def test_help_is_as_recorded() -> None:
    """A changed text is seen in the change."""
    python, _, then = (GOLDEN / "help.txt").read_text("utf-8").partition("\n")
    if python != f"Python {record.python()}":
        pytest.skip(f"the record is of {python}, whose argparse breaks lines elsewhere")
    assert record.helps() == then


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("golden")
    record.make_music(folder)
    return json.loads(record.dump(record.verbs(folder)))


@pytest.mark.parametrize("verb", [*record.VERBS, "vectors"])
def test_every_verb_answers_as_recorded(answers: dict[str, Any], verb: str) -> None:
    then = json.loads((GOLDEN / "verbs.json").read_text("utf-8"))
    assert _differences(answers[verb], then[verb]) == []
