"""Learning curves survive a round trip, with any song's name, and a damaged file is one clear error."""

import math

import pytest

from earmark.errors import ModelError
from earmark.evaluation.history import COLUMNS, Epoch, draw_curves, explain_scores, read_history, write_history


def test_round_trip_with_hostile_names(tmp_path):
    moved = (('a;b:c%3B, "d"\n.mp3', 1.25), ("é\udcff.ogg", -0.5))
    epochs = (Epoch(epoch=1, train_loss=2.5, seconds=3.0), Epoch(epoch=2, valid_loss=1e-7, moved=moved))
    write_history(tmp_path / "history.csv", epochs)
    first, second = read_history(tmp_path / "history.csv")
    assert second.moved == moved and second.valid_loss == 1e-7
    assert first.train_loss == 2.5 and math.isnan(first.valid_loss) and first.moved == ()
    assert (tmp_path / "history.csv").read_bytes().split(b"\n")[0].decode().split(",") == list(COLUMNS)


def test_validation_above_training_is_explained_where_it_happens():
    """S4 met it: dropout is off in validation, and on while the training clips are scored."""
    above = [Epoch(epoch=i, train_score=0.5, valid_score=0.6 - 0.2 * (i == 1)) for i in range(1, 5)]
    said = explain_scores(above, 0.3, ["pitch", "noise", "pitch"])
    assert "above the training score in 3 of 4 epochs" in said and "30% of the numbers dropped" in said
    assert "changed by pitch, noise" in said and "with dropout off" in said
    assert "dropout" not in explain_scores(above, 0.0, [])
    assert explain_scores([Epoch(epoch=1, train_score=0.7, valid_score=0.6), Epoch(epoch=2)], 0.3, []) == ""
    drawn = draw_curves(above)
    assert "training score" in drawn and "validation score" in drawn and "not measured" in drawn, "no losses here"


def test_no_file_is_no_history(tmp_path):
    assert read_history(tmp_path / "history.csv") == ()


def test_a_damaged_file_names_its_line(tmp_path):
    file = tmp_path / "history.csv"
    file.write_text("epoch,valid_loss\n1,0.5\ntwo,0.4\n")
    with pytest.raises(ModelError, match="line 3"):
        read_history(file)
    file.write_text("")
    assert read_history(file) == ()
