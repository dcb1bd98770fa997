"""One split for all, failures as rows, sweeps that never touch the test part, and a call that goes on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import lessons
from earmark.datasets import load_dataset
from earmark.datasets.core import Dataset
from earmark.datasets.splits import load_split
from earmark.engine import InlineEngine
from earmark.errors import RecipeError, UnknownName
from earmark.evaluation.comparison import Comparison
from earmark.events import Notice, Run
from earmark.pages.comparison import write_comparison
from earmark.training.compare import ComparePlan, compare, variants


def run_compare(dataset: Dataset, plan: ComparePlan, folder: Path) -> Comparison:
    return Run(compare(dataset, plan, folder, InlineEngine())).wait()


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lessons.make_songs(tmp_path_factory.mktemp("data") / "songs")


@pytest.fixture
def toml(tmp_path: Path) -> str:
    return str(lessons.recipe_file(tmp_path / "tiny.toml"))


def test_two_recipes_are_judged_by_the_same_songs_and_one_that_fails_is_a_row(songs: Path, toml: str, tmp_path: Path):
    other = Path(toml).with_name("other.toml")
    other.write_text(Path(toml).read_text().replace('name = "time-axis"', 'name = "choi-fcn"'))
    plan = ComparePlan(recipes=(toml, str(other)), settings=("training.epochs=3",))
    run = Run(compare(load_dataset(songs), plan, tmp_path / "out", InlineEngine()))
    told = [event.message for event in run if isinstance(event, Notice)]
    found = run.result
    good, bad = found.rows
    assert told == [f"Training 1 of 2: {toml} training.epochs=3.", f"Training 2 of 2: {other} training.epochs=3."]
    assert bad.error and "choi-fcn" in bad.error and not bad.heads
    genre = good.heads["genre"]
    assert genre["accuracy"] is not None and genre["train_accuracy"] is not None and genre["valid_accuracy_ci95"]
    assert good.parameters and good.gflop and good.songs_per_second and good.train_seconds and len(good.history) == 3
    assert found.part == "test" and found.advice.text.startswith("Only ") and found.advice.advised == good.title
    assert found.baseline is not None and found.baseline.heads["genre"]["accuracy"] > 0.8
    assert [(test["a"], test["b"]) for test in found.paired] == [(good.title, "MFCC statistics + SVM")]
    assert "MFCC statistics" in found.advice.text
    begun = time.monotonic()
    again = run_compare(load_dataset(songs), plan, tmp_path / "out")
    assert again.rows[0].train_seconds == good.train_seconds and again.rows[0].heads == good.heads
    assert time.monotonic() - begun < 60


def test_the_leaking_score_stands_beside_and_is_made_once(toml: str, tmp_path: Path):
    songs = lessons.make_songs(tmp_path / "songs", seconds=3.0)
    plan = ComparePlan(recipes=(toml,), settings=("training.epochs=2", "training.clips_per_track=9"), naive=True)
    run = Run(compare(load_dataset(songs), plan, tmp_path / "out", InlineEngine()))
    told = [event.message for event in run if isinstance(event, Notice)]
    found = run.result
    (row,) = found.rows
    assert told[1:] == [f"Training 1 of 1 on clips split at random: {row.title}."]
    (file,) = (tmp_path / "out/models").glob("*.naive.json")
    written = file.stat().st_mtime_ns
    assert row.naive["genre"]["tracks"] == 6  # clips of the test part: a tenth of three of each of 20 songs
    assert row.to_dict()["naive"]["genre"]["accuracy_ci95"]
    assert "): trained and tested on clips split at random" in write_comparison(found, tmp_path / "out").read_text(
        "utf-8"
    )
    assert run_compare(load_dataset(songs), plan, tmp_path / "out").rows[0].naive == row.naive
    assert file.stat().st_mtime_ns == written
    file.write_text(file.read_text("utf-8").replace('"model": "', '"model": "another '), "utf-8")
    run_compare(load_dataset(songs), plan, tmp_path / "out")
    assert "another" not in file.read_text("utf-8")  # a model trained anew is scored anew


def test_a_leaking_score_that_fails_costs_a_row_nothing_else(songs: Path, toml: str, tmp_path: Path, monkeypatch):
    """It is said why; the device that was asked for is that of the second training, too."""
    devices = []

    def fails(dataset, recipe, out, options, engine):
        devices.append(options.device)
        raise RuntimeError("no room\nfor that")

    monkeypatch.setattr("earmark.training.naive.train_model", fails)
    plan = ComparePlan(recipes=(toml,), settings=("training.epochs=2",), naive=True, device="cpu")
    found = run_compare(load_dataset(songs), plan, tmp_path / "out")
    (row,) = found.rows
    assert devices == ["cpu"] and not row.naive
    assert row.error is None and row.score is not None and row.title in found.advice.text
    assert f"{row.title} has no score of the random split: RuntimeError: no room for that" in found.notices


def test_a_sweep_is_chosen_by_validation_and_only_the_winner_meets_the_test_part(
    songs: Path, toml: str, tmp_path: Path
):
    plan = ComparePlan(
        recipes=(toml,), settings=("training.epochs=2",), sweep={"training.learning_rate": ("1e-2", "1e-9")}
    )
    found = run_compare(load_dataset(songs), plan, tmp_path / "out")
    assert [row.settings["training.learning_rate"] for row in found.rows] == ["1e-2", "1e-9"]
    assert [row.chosen for row in found.rows] == [True, False]
    assert "accuracy" in found.rows[0].heads["genre"] and "accuracy" not in found.rows[1].heads["genre"]
    for row in found.rows:
        assert set(load_split(tmp_path / "out/models" / row.name / "split.tsv").values()) == {"train", "valid"}
    assert any("tried: training.learning_rate (1e-2, 1e-9)" in notice for notice in found.notices)


def test_a_setting_can_be_for_one_recipe_alone():
    plan = ComparePlan(
        recipes=("bbnn", "vggish"), settings=("training.epochs=3", "bbnn:training.epochs=2", "vggish:heads.dropout=0.1")
    )
    bbnn, vggish = variants(plan)
    assert bbnn.table == {"training.epochs": "2"}
    assert vggish.table == {"training.epochs": "3", "heads.dropout": "0.1"}
    with pytest.raises(UnknownName, match="did you mean 'bbnn'"):
        variants(ComparePlan(recipes=("bbnn",), settings=("bbn:training.epochs=2",)))


def test_the_same_settings_in_another_order_or_spelling_are_the_same_model():
    """Otherwise a comparison that goes on would train it again."""
    asked = [
        ("training.learning_rate=0.01", "training.epochs=3"),
        ("training.epochs=3", "training.learning_rate=1e-2"),
        ("training.epochs=4", "training.learning_rate=1e-2"),
    ]
    one, same, other = (variants(ComparePlan(recipes=("bbnn",), settings=settings))[0].name for settings in asked)
    assert one == same != other


def test_what_is_asked_for_is_checked_before_anything_is_read(toml: str):
    with pytest.raises(UnknownName, match="did you mean 'bbnn'"):
        variants(ComparePlan(recipes=("bbn",)))
    with pytest.raises(RecipeError, match=r"did you mean training\.epochs"):
        variants(ComparePlan(recipes=("bbnn",), sweep={"training.epoch": ("1", "2")}))
    with pytest.raises(RecipeError, match="named twice"):
        variants(ComparePlan(recipes=("bbnn", "bbnn")))
    swept = variants(ComparePlan(recipes=("bbnn", toml), sweep={"heads.dropout": ("0.1", "0.2")}))
    assert len(swept) == len({variant.name for variant in swept}) == 4


def test_nodes_of_a_small_layer_are_explained_and_can_be_embedded(songs: Path, toml: str, tmp_path: Path):
    """S1's vectors: a head's hidden layer is an output of the network that bears the head's name."""
    from earmark.inference.options import HearingOptions
    from earmark.inference.tagger import load_model

    plan = ComparePlan(recipes=(toml,), settings=("training.epochs=2", "heads.hidden=[15]"))
    (row,) = run_compare(load_dataset(songs), plan, tmp_path / "out").rows
    assert list(row.nodes) == ["genre"] and len(row.nodes["genre"]) == 15
    assert any(node.labels and abs(node.labels[0][1]) > 0.5 for node in row.nodes["genre"])
    tagger = load_model(tmp_path / "out/models" / row.name)
    options = HearingOptions(embedding=True, layer="genre")
    assert tagger.predict(songs / "tone" / "00.wav", options=options).embedding.shape == (15,)
    with pytest.raises(UnknownName, match="unknown layer 'gener'; did you mean 'genre'"):
        tagger.predict(songs / "tone" / "00.wav", options=HearingOptions(embedding=True, layer="gener"))


def test_slices_are_cut_from_pictures(tmp_path: Path):
    """PNG spectrograms in the place of drawn ones: the clip stays as long as the recipe's."""
    from earmark.recipe import load_recipe
    from earmark.training.draws import picture_recipe

    pictures = load_dataset(lessons.make_pictures(tmp_path / "pictures", tracks=2, size=(300, 128)))
    assert picture_recipe(load_recipe("slices-best"), pictures).clip.seconds == 128
    assert picture_recipe(load_recipe("bbnn"), pictures).clip.seconds == 300
