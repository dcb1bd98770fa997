"""``models``, ``recipes`` and ``doctor`` tell what there is, for people and for machines."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from commands import Earmark
from earmark.cli.commands import doctor
from earmark.models import registry as models
from earmark.recipe import list_recipes


def test_models_by_name_with_their_heads(
    tiny_model: Path, earmark: Earmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "data_folder", lambda: tmp_path)
    shutil.copytree(tiny_model, tmp_path / "models" / "mine")
    (tmp_path / "models" / "broken").mkdir()
    (tmp_path / "models" / "broken" / "card.json").write_text("{")
    found = {fact["name"]: fact for fact in earmark("models", "-f", "json").json}
    assert found["mine"]["model"] == "tiny@1" and found["mine"]["heads"]["genre"]["labels"] == ["Rock", "Jazz", "Pop"]
    assert "damaged" in found["broken"]["error"]
    table = earmark("models", "-f", "table").out
    assert "genre (3), tags (2), energy (a number)" in table and str(tmp_path / "models") in table


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe as people write one."""
    file = tmp_path / "mine.toml"
    file.write_text('# notes\nname = "mine"\nabout = "about it"\nsource = "a paper"\n[backbone]\nname = "won-fcn"\n')
    return file


def test_recipes_show_prints_what_was_written(recipes: Path, earmark: Earmark) -> None:
    said = earmark("recipes", "show", recipes)
    assert said.code == 0 and said.out == recipes.read_text()
    assert earmark("recipes", "show", recipes, "-f", "json").json["backbone"] == {"name": "won-fcn"}
    assert earmark("recipes", "show").code == 1
    assert earmark("recipes", "show", "no-such").code == 1
    recipes.write_text('name = "mine"\n')
    assert earmark("recipes", "show", recipes).code == 1


def test_recipes_are_listed(earmark: Earmark) -> None:
    try:
        names = list_recipes()
    except FileNotFoundError:
        names = ()
    if not names:
        pytest.skip("no recipe comes with this checkout yet")
    said = earmark("recipes", "-f", "json").json
    assert [fact["name"] for fact in said] == list(names)
    assert all(set(fact) == {"name", "about", "source", "parameters"} for fact in said)
    assert names[0] in earmark("recipes", "-f", "table").out


def test_doctor_tells_what_works(
    tiny_model: Path, earmark: Earmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "data_folder", lambda: tmp_path)
    shutil.copytree(tiny_model, tmp_path / "models" / "default", dirs_exist_ok=True)
    monkeypatch.setattr(doctor, "_EXTRAS", {"tags": {"no_such_library": ""}, "index": {"wave": "print('{}')"}})
    monkeypatch.setattr(doctor, "_PURPOSES", {"tags": "writing", "index": "searching"})
    monkeypatch.setitem(doctor._CODES, "json", "raise SystemExit(3)")
    said = earmark("doctor", "-f", "json")
    facts = said.json
    assert said.code == 1 and not facts["works"], "one library is broken"
    assert facts["libraries"]["json"] == {"works": False, "why": "broken: exit status 3"}
    assert facts["libraries"]["soundfile"]["works"] and facts["libraries"]["av"]["works"]
    assert facts["decoders"]["flac"] == ["soundfile", "PyAV"] and facts["decoders"]["aac (m4a)"] == ["PyAV"]
    assert facts["extras"]["tags"]["install"] == "pip install 'earmark[tags]'"
    assert facts["model"]["works"]
    assert any("writing: pip install" in line for line in facts["advice"])
    table = earmark("doctor", "-f", "table").out
    assert "reads flac" in table and sys.version.split()[0] in table
