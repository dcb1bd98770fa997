"""What shall stand in a file, by policy, heads and confidence."""

from __future__ import annotations

import json

import pytest

from earmark.errors import EarmarkError
from earmark.filetags.fields import Fields
from earmark.filetags.policy import Wish, field_of, wanted
from earmark.inference.records import HeadPrediction, Prediction
from made_tagged import HEADS

SAID = Prediction("a.mp3", 1.0, "made@1", HEADS)


def test_empty_fills_only_what_is_empty() -> None:
    found = wanted(SAID, Fields(genre=("Polka",)), Wish())
    assert (found.genre, found.mood) == (("Polka",), ("happy",))
    full = Fields(("Polka",), ("grim",))
    assert wanted(SAID, full, Wish()) == full  # and adds no scores where it writes nothing


def test_merge_adds_what_is_not_there_in_whatever_case() -> None:
    wish = Wish("merge", ("genre", "genres", "mood"))
    assert wanted(SAID, Fields(("Polka; röck",), ("HAPPY",)), wish).genre == ("Polka; röck", "Rock", "Indie")
    there = Fields(("Röck", "rock/indie"), ("happy",))
    assert wanted(SAID, there, wish) == there


def test_overwrite_replaces_and_says_nothing_where_the_model_does_not() -> None:
    found = wanted(SAID, Fields(("Polka",), ("grim",), ("{}",)), Wish("overwrite"))
    assert (found.genre, found.mood) == (("Röck",), ("happy",))
    assert wanted(SAID, found, Wish("overwrite")) == found
    unsure = Prediction("a", 1.0, "m", {"genre": HeadPrediction("multiclass", None, 0.3, scores={"Rock": 0.3})})
    kept = Fields(("Polka",), ("grim",))
    assert wanted(unsure, kept, Wish("overwrite")) == kept


def test_confidence_and_heads() -> None:
    assert wanted(SAID, Fields(), Wish(min_confidence=0.7)).mood == ()
    assert wanted(SAID, Fields(), Wish(min_confidence=0.7)).genre == ("Röck",)
    assert wanted(SAID, Fields(), Wish(heads=("genres",), min_confidence=0.6)).genre == ("Rock",)
    assert wanted(SAID, Fields(), Wish(min_confidence=0.9)) == Fields()


def test_scores_are_compact_json_best_first() -> None:
    (text,) = wanted(SAID, Fields(), Wish(heads=("genre", "genres"))).scores
    assert text == '{"model":"made@1","genre":{"Röck":0.83,"Jazz":0.17},"genres":{"Rock":0.9,"Indie":0.5}}'
    assert json.loads(text)["model"] == "made@1"


def test_heads_without_a_field_are_refused() -> None:
    assert [field_of(head) for head in ("Genre", "genres", "mood", "emotions", "style")] == [
        *("genre", "genre", "mood", "mood", "genre")
    ]
    with pytest.raises(EarmarkError, match="the head 'energy' has no field that players read; genre, "):
        field_of("energy")
