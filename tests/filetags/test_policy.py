"""What shall stand in a file, by policy, heads and confidence."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from earmark.errors import EarmarkError
from earmark.filetags.policy import Policy, WriteOptions, field_of, new_values
from earmark.inference.records import HeadPrediction, Prediction
from earmark.models.card import HeadCard
from made_tagged import HEADS

MADE = Prediction("a.mp3", 1.0, "made@1", HEADS)


def made(present: dict[str, tuple[str, ...]], options: WriteOptions | None = None) -> dict[str, tuple[str, ...]]:
    return new_values(MADE, present, options or WriteOptions())


def test_empty_fills_only_what_is_empty() -> None:
    found = made({"genre": ("Polka",)})
    assert (found["genre"], found["mood"]) == (("Polka",), ("happy",))
    full = {"genre": ("Polka",), "mood": ("grim",)}
    assert made(full) == full  # and adds no scores where it writes nothing


def test_merge_adds_what_is_not_there_in_whatever_case() -> None:
    options = WriteOptions("merge", ("genre", "genres", "mood"))
    assert made({"genre": ("Polka; röck",), "mood": ("HAPPY",)}, options)["genre"] == ("Polka; röck", "Rock", "Indie")
    there = {"genre": ("Röck", "rock/indie"), "mood": ("happy",)}
    assert made(there, options) == there


def test_overwrite_replaces_and_writes_nothing_where_the_model_is_not_sure() -> None:
    found = made({"genre": ("Polka",), "mood": ("grim",), "scores": ("{}",)}, WriteOptions("overwrite"))
    assert (found["genre"], found["mood"]) == (("Röck",), ("happy",))
    assert made(found, WriteOptions("overwrite")) == found
    unsure = Prediction("a", 1.0, "m", {"genre": HeadPrediction("multiclass", None, 0.3, scores={"Rock": 0.3})})
    kept = {"genre": ("Polka",), "mood": ("grim",)}
    assert new_values(unsure, kept, WriteOptions("overwrite")) == kept


def test_confidence_and_heads() -> None:
    assert made({}, WriteOptions(min_confidence=0.7)).get("mood") is None
    assert made({}, WriteOptions(min_confidence=0.7))["genre"] == ("Röck",)
    assert made({}, WriteOptions(heads=("genres",), min_confidence=0.6))["genre"] == ("Rock",)
    assert made({}, WriteOptions(min_confidence=0.9)) == {}


def test_a_confidence_of_the_user_replaces_the_threshold_of_the_card() -> None:
    many = {f"label {i}": 0.4 - i / 100 for i in range(9)}
    heads = {
        "genre": HeadPrediction("multiclass", None, 0.3, scores={"Rock": 0.3, "Pop": 0.2}),
        "moods": HeadPrediction("multilabel", scores=many),
    }
    unsure = Prediction("a", 1.0, "m", heads)
    found = new_values(unsure, {}, WriteOptions(heads=("genre", "moods"), min_confidence=0))
    assert found["genre"] == ("Rock",) and found["mood"] == tuple(f"label {i}" for i in range(5))
    assert new_values(unsure, {}, WriteOptions(heads=("genre", "moods"))) == {}
    for warning in ("silence", "noise", "the cue sheet a.cue lists 2 tracks in this file; they count as one; silence"):
        silent = Prediction("a", 1.0, "m", heads, warning=warning)
        assert new_values(silent, {}, WriteOptions(heads=("genre", "moods"), min_confidence=0, comment=True)) == {}
    corrected = Prediction("a", 1.0, "m", {"genre": HeadPrediction("multiclass", "Skiffle", 1.0, scores={"Rock": 0.3})})
    assert new_values(corrected, {}, WriteOptions(min_confidence=0.95))["genre"] == ("Skiffle",)


def test_a_comment_sums_up_under_the_same_policies() -> None:
    def comment(*present: str, policy: Policy = "empty", heads: tuple[str, ...] = ("genre", "mood")) -> tuple[str, ...]:
        return made({"comment": present} if present else {}, WriteOptions(policy, heads, comment=True))["comment"]

    assert comment() == ("Röck / happy / energy 5",)
    assert comment(heads=("genres",)) == ("Rock, Indie / energy 5",)
    assert comment("mine") == ("mine",)
    assert comment("mine", policy="overwrite") == ("Röck / happy / energy 5",)
    assert comment("mine", policy="merge") == ("mine; Röck / happy / energy 5",)
    assert comment("mine; Röck / happy / energy 5", policy="merge") == ("mine; Röck / happy / energy 5",)
    assert "comment" not in made({})


def test_scores_are_compact_json_best_first() -> None:
    (text,) = made({}, WriteOptions(heads=("genre", "genres")))["scores"]
    assert text == '{"model":"made@1","genre":{"Röck":0.83,"Jazz":0.17},"genres":{"Rock":0.9,"Indie":0.5}}'
    assert json.loads(text)["model"] == "made@1"


def test_heads_without_a_field_are_refused() -> None:
    assert [field_of(head) for head in ("Genre", "genres", "mood", "emotions", "style")] == [
        *("genre", "genre", "mood", "mood", "genre")
    ]
    with pytest.raises(EarmarkError, match="the head 'energy' has no field that players read; genre, "):
        field_of("energy")


def test_a_confidence_steps_up_in_a_tree() -> None:
    """The best label where it reaches it, else the nearest name above that does; a correction stays as it is."""
    tree = HeadCard("genre", "multiclass", ("Rock", "Punk", "Pop"), threshold=0.9, parents={"Punk": "Rock"})
    scores = {"Rock": 0.3, "Punk": 0.4, "Pop": 0.3}
    said = Prediction("a", 1.0, "m", {"genre": HeadPrediction("multiclass", None, 0.4, scores=scores)})

    def written(least: float, said: Prediction = said) -> tuple[str, ...] | None:
        return new_values(said, {}, WriteOptions(heads=("genre",), min_confidence=least, trees={"genre": tree})).get(
            "genre"
        )

    assert (written(0.4), written(0.5), written(0.8)) == (("Punk",), ("Rock",), None)
    corrected = Prediction("a", 1.0, "m", {"genre": HeadPrediction("multiclass", "Polka", 1.0, scores=scores)})
    assert written(0.8, corrected) == ("Polka",)
    corrected = Prediction("a", 1.0, "m", {"genre": HeadPrediction("multiclass", "Rock", 1.0, scores=scores)})
    assert written(0.4, corrected) == ("Rock",)
    certain = HeadPrediction("multiclass", "Rock", 1.0, scores={"Rock": 0.4, "Punk": 0.6, "Pop": 0.0})
    assert written(0.5, Prediction("a", 1.0, "m", {"genre": certain})) == ("Punk",), "all of Rock is no correction"


def test_what_another_head_contradicts_is_not_written_at_any_confidence() -> None:
    """Unless the user says it."""
    words = HeadPrediction("multilabel", ("soft",), scores={"gloomy": 0.9, "soft": 0.6, "dark": 0.3})
    words = replace(words, contradicted=frozenset(("gloomy",)))
    options = WriteOptions(heads=("moods",), min_confidence=0.2)
    assert new_values(Prediction("a", 1.0, "m", {"moods": words}), {}, options)["mood"] == ("soft", "dark")
    users = {"moods": replace(words, labels=("gloomy",))}
    assert new_values(Prediction("a", 1.0, "m", users), {}, options)["mood"] == ("gloomy", "soft", "dark")
