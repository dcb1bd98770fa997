"""A model's card survives writing and reading, and what is wrong with one is said in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from earmark.errors import ModelError
from earmark.models.card import FORMAT, Card, HeadCard, read_card, write_card


def test_there_and_back(tiny_model: Path, tmp_path: Path) -> None:
    card = read_card(tiny_model)
    rich = replace(
        card,
        data=("a corpus",),
        scores={"genre": {"accuracy": 0.5}},
        notes=("weak on jazz",),
        heads=(HeadCard("genre", "multiclass", ("Rock", "Ünï"), 1.5, 0.4, aliases={"Rock": ("rock'n'roll",)}),),
    )
    write_card(rich, tmp_path)
    assert read_card(tmp_path) == rich
    assert rich.id == "tiny@1"
    assert rich.head("genre").temperature == 1.5
    with pytest.raises(KeyError):
        rich.head("mood")


def test_a_model_of_unknown_pictures_has_no_frontend(tiny_model: Path, tmp_path: Path) -> None:
    write_card(replace(read_card(tiny_model), frontend=None), tmp_path)
    assert read_card(tmp_path).frontend is None


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_card(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_refusals(tiny_model: Path, tmp_path: Path) -> None:
    assert "no such model folder" in refusal(tmp_path / "nowhere")
    assert "card.json is missing" in refusal(tmp_path)
    card = tmp_path / "card.json"
    for text in ("", "{", "[]", "{}", '"card"', '{"format": "1"}', "\x00\x01"):
        card.write_text(text)
        assert "damaged" in refusal(tmp_path)
    card.write_bytes(b"\xff\xfe{}")
    assert "damaged" in refusal(tmp_path)
    facts = json.loads((tiny_model / "card.json").read_text())
    card.write_text(json.dumps(facts | {"format": FORMAT + 1, "something": "new"}))
    assert "newer than this Earmark" in refusal(tmp_path)
    for key in ("heads", "clip", "name", "data"):
        card.write_text(json.dumps({k: v for k, v in facts.items() if k != key}))
        assert "damaged" in refusal(tmp_path)
    for key, value in (("heads", 3), ("heads", [{"name": "genre"}]), ("clip", {"hours": 1}), ("frontend", [])):
        card.write_text(json.dumps(facts | {key: value}))
        assert "damaged" in refusal(tmp_path)


def test_the_card_is_text_for_people(tiny_model: Path) -> None:
    text = (tiny_model / "card.json").read_text("utf-8")
    assert text.endswith("\n")
    assert json.loads(text)["format"] == FORMAT
    assert isinstance(read_card(tiny_model), Card)
