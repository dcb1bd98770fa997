"""Review: the most useful questions first; answers become labels to train on."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.errors import DatasetError, UnknownName
from earmark.library.review import library_dataset, questions, reviewed_heads
from earmark.library.store import open_library
from made_library import made_library
from sounds_of_library import scanned


def test_contradictions_before_close_calls(tmp_path: Path) -> None:
    with made_library(tmp_path, 20) as (library, model):
        with library.change():
            library.db.execute("UPDATE tracks SET genre = 'folk;Other' WHERE id = 3")  # heard as Pop
            library.db.execute("UPDATE tracks SET genre = 'Pop' WHERE id = 8")  # heard as Pop
            library.db.execute("UPDATE tracks SET path = '/music/Metal/x/5.mp3' WHERE id = 4")  # heard as Folk
            library.db.execute("UPDATE tracks SET path = '/music/Unknown/x/6.mp3' WHERE id = 6")
        heads = reviewed_heads(model)
        found = questions(library, model, heads, 50)
        first = {one.track.id: one for one in found if one.why == "disagrees"}
        assert set(first) == {3, 4} and {one.track.id for one in found[:2]} == {3, 4}
        assert (first[3].predicted, first[3].own, first[4].own) == ("Pop", "Folk", "Metal")
        assert found[0].confidence >= found[1].confidence
        assert first[3].options[0][0] == "Pop" and "Folk" in dict(first[3].options)
        unsure = [one for one in found if one.why == "unsure"]
        margins = [one.options[0][1] - one.options[1][1] for one in unsure]
        assert margins == sorted(margins)
        library.set_label(3, "genre", "Folk")
        assert 3 not in {one.track.id for one in questions(library, model, heads, 50)}, "not asked twice"
        assert [head.name for head in heads] == ["genre"]
        with pytest.raises(UnknownName, match="genre"):
            reviewed_heads(model, "genres")


def test_labels_are_a_data_set(tmp_path: Path, tiny_model: Path) -> None:
    with open_library(tmp_path / "a.db", make=True) as library:
        scanned(library, tiny_model, tmp_path / "music", count=4)
        with pytest.raises(DatasetError, match="no labels of yours; `earmark review`"):
            library_dataset(library)
        audio = [track.audio for track in library.tracks()]
        library.set_label(audio[0] or 0, "genre", "Polka")
        library.set_label(audio[1] or 0, "genre", "Waltz")
        library.set_label(audio[1] or 0, "moods", ("calm",))
        library.set_label(audio[3] or 0, "genre", "Waltz")
        dataset = library_dataset(library)
        assert [(head.name, head.task, head.labels) for head in dataset.heads] == [
            ("genre", "multiclass", ("Polka", "Waltz")),
            ("moods", "multilabel", ("calm",)),
        ]
        assert [track.name for track in dataset.tracks] == ["0.wav", "1.wav", "3.wav"]
        assert [track.group for track in dataset.tracks] == ["Artist 0", "Artist 0", "Artist 1"]
        assert dataset.tracks[1].labels == {"genre": "Waltz", "moods": ("calm",)}
        assert dataset.tracks[0].labels["moods"] is None
        (tmp_path / "music" / "3.wav").unlink()
        assert len(library_dataset(library, ["genre"]).tracks) == 2
        with pytest.raises(DatasetError, match="for energy"):
            library_dataset(library, ["energy"])
