"""The Python interface refuses what cannot be meant at once, with a remedy, and offers all that it has."""

from pathlib import Path

import pytest

import earmark
from earmark import errors


def test_every_error_is_exported() -> None:
    ours = {name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)}
    assert ours <= set(earmark.__all__)


def test_names_show_before_they_are_used() -> None:
    assert {"Library", "load_dataset", "train", "evaluate", "StorageError"} <= set(dir(earmark))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        earmark.nonsense  # noqa: B018


def test_one_path_is_not_several(tiny_model: Path, tone: Path) -> None:
    tagger = earmark.load_model(tiny_model)
    for one in (str(tone), tone):
        with pytest.raises(TypeError, match=r"expected several files.*write predict_all\(tagger, \["):
            earmark.predict_all(tagger, one)
    with pytest.raises(ValueError, match="at least one is needed"):
        earmark.predict_all(tagger, [tone], workers=0)


def test_a_name_is_no_tagger() -> None:
    with pytest.raises(TypeError, match=r"write predict_all\(load_model\('default'\)"):
        earmark.predict_all("default", [])  # type: ignore[arg-type]


def test_options_are_checked_as_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownName, match="did you mean 'epochs'"):
        earmark.train(tmp_path, tmp_path / "m", epoch=3)
    with pytest.raises(errors.UnknownName, match="did you mean 'split'"):
        earmark.evaluate("default", tmp_path, spilt="all")
    for wrong in ({"excerpt": 0}, {"excerpt": float("nan")}, {"excerpt": "half"}, {"timeout": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            earmark.HearingOptions(**wrong)  # type: ignore[arg-type]


def test_values_print_shortly(tiny_model: Path, tone: Path) -> None:
    tagger = earmark.load_model(tiny_model)
    assert repr(tagger).startswith("Tagger(") and len(repr(tagger)) < 200
    prediction = tagger.predict(tone)
    assert repr(prediction).startswith("Prediction('") and len(repr(prediction)) < 300
