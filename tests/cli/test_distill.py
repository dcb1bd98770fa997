"""``earmark distill``: arguments and refusals."""

from pathlib import Path

import pytest

from earmark.cli.distill import _teachers
from earmark.errors import EarmarkError


def test_teachers_are_pairs():
    assert _teachers("won-fcn=a/b.pth, yamnet=c=d.tflite") == {"won-fcn": "a/b.pth", "yamnet": "c=d.tflite"}


@pytest.mark.parametrize("text", ["won-fcn", "=file", "won-fcn=", "a=b,a=c", ""])
def test_what_is_no_pair_is_named(text: str):
    with pytest.raises(EarmarkError, match="--teachers"):
        _teachers(text)


def test_a_missing_teacher_is_one_line(tone: Path, tmp_path: Path, capsys):
    from earmark.cli import main

    code = main(["distill", str(tone), "--teachers", f"won-crnn={tmp_path}/no.pth", "-o", str(tmp_path / "m")])
    said = capsys.readouterr().err
    assert code == 1
    assert "no.pth" in said
    assert "Traceback" not in said
