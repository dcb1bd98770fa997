"""Several models as one: the mean of what they say, on the heads that they share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import earmark
from earmark import HearingOptions, Prediction
from earmark.errors import ModelError
from earmark.inference.ensemble import combine, joint_card
from earmark.models.card import Card, HeadCard, read_card
from earmark.recipe import ClipPlan
from engine_tasks import predict_files
from made import HEADS, make_model
from sounds import melody, write

OPTIONS = HearingOptions(taggram=True)


def test_the_mean_of_two(tmp_path: Path) -> None:
    """Labels are matched by name: the second model has them in another order, and a head of its own."""
    turned = HeadCard("genre", "multiclass", ("Pop", "Rock", "Jazz"), threshold=0.5)
    models = [
        make_model(tmp_path / "one", seed=1, name="one"),
        make_model(tmp_path / "two", (HeadCard("mood", "multiclass", ("sad", "happy")), turned), seed=2, name="two"),
    ]
    path = str(write(tmp_path / "a.wav", melody(9, 8000), 8000))
    (both,) = predict_files(models, [path], workers=1, options=OPTIONS)
    assert isinstance(both, Prediction)
    assert list(both.heads) == ["genre"]
    assert both.model == "one@1+two@1"
    first, second = (earmark.load_model(model).predict(path, options=OPTIONS).heads["genre"] for model in models)
    for label in ("Rock", "Jazz", "Pop"):
        expected = (first.scores[label] + second.scores[label]) / 2
        assert both.heads["genre"].scores[label] == pytest.approx(expected, abs=1e-4)
        assert both.heads["genre"].taggram.scores[label][0] == pytest.approx(
            (first.taggram.scores[label][0] + second.taggram.scores[label][0]) / 2, abs=1e-4
        )


def test_one_model_is_itself(tiny_model: Path) -> None:
    card = read_card(tiny_model)
    assert joint_card([card]) == card


def test_a_model_with_itself_changes_nothing(tiny_model: Path, tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.wav", melody(9, 8000), 8000))
    (alone,) = predict_files([tiny_model], [path], workers=1)
    (twice,) = predict_files([tiny_model, tiny_model], [path], workers=1)
    assert isinstance(alone, Prediction)
    assert isinstance(twice, Prediction)
    assert twice.heads == alone.heads


@pytest.mark.parametrize("warning", ["silence", "noise"])
def test_two_models_name_no_label_of_what_is_no_song(tiny_model: Path, warning: str) -> None:
    said = earmark.load_model(tiny_model).predict(melody(5, 22050), sample_rate=22050)
    both = combine([replace(said, warning=warning)] * 2, joint_card([read_card(tiny_model)] * 2))
    assert not any(head.label or head.labels for head in both.heads.values())


def test_nothing_in_common(tmp_path: Path) -> None:
    one = read_card(make_model(tmp_path / "one", HEADS[:1]))
    other = read_card(make_model(tmp_path / "two", HEADS[1:]))
    with pytest.raises(ModelError, match="no head with the same labels"):
        joint_card([one, other])
    with pytest.raises(ModelError, match="no head with the same labels"):
        list(predict_files([tmp_path / "one", tmp_path / "two"], ["a.wav"], workers=1))


def test_trees_and_thresholds_of_several_models() -> None:
    """Thresholds are averaged name by name; a tree holds where all models have the same."""
    one = HeadCard("genre", "multiclass", ("Rock", "Punk", "Jazz"), threshold=0.6, parents={"Punk": "Rock"})
    card = Card("a", "1", "made", None, ClipPlan(), (one,), 2)
    same = replace(card, heads=(replace(one, threshold=0.4, thresholds={"Punk": 0.9}),))
    joint = joint_card([card, same]).head("genre")
    assert joint.parents == one.parents
    assert [joint.threshold_of(name) for name in joint.names] == pytest.approx([0.5, 0.75, 0.5])
    other = replace(card, heads=(replace(one, parents={"Jazz": "Punk"}),))
    assert joint_card([card, other]).head("genre").parents == {}
