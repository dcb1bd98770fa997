"""What corrections did to the honest score, measured on the tags of a library's files and kept in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.app.effect import measure_effect, measured_effect
from earmark.app.library import LibraryRequest
from earmark.library.records import LibraryModel
from earmark.library.store import open_library
from earmark.models.card import read_card
from earmark.models.registry import find_model
from made_library import fill_tagged


@pytest.mark.slow
def test_measured_on_the_tags_of_the_files(tmp_path: Path) -> None:
    """By stored embeddings alone: the files need only be there. It is current until a correction changes."""
    pytest.importorskip("torch")
    folder, request = find_model("default"), LibraryRequest(library=str(tmp_path / "a.db"))
    with open_library(tmp_path / "a.db", make=True) as library:
        fill_tagged(library, LibraryModel.of(folder, read_card(folder)), 400, labels=5, clips=4)
        with library.change():
            library.rows("UPDATE tracks SET path = ? || path", (str(tmp_path),))
        for track in library.tracks():
            Path(track.path).parent.mkdir(parents=True, exist_ok=True)
            Path(track.path).touch()
        for track in library.tracks()[:60]:
            library.set_label(track.audio or 0, "genre", f"Genre {track.id // 10 % 5}")
    assert measured_effect(request).wait() is None
    found = measure_effect(request).wait()
    genre = found.heads["genre"]
    assert (genre["tracks"], genre["added"], genre["note"]) == (60, 6, None) and genre["test_tracks"] > 20
    assert abs(genre["with"] - genre["without"] - genre["difference"]) < 1e-3
    assert measured_effect(request).wait() == found
    with open_library(tmp_path / "a.db") as library:
        library.set_label(1, "genre", None)
    after = measured_effect(request).wait()
    assert after is not None and not after.current
