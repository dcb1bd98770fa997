"""Similar tracks: near ones, each once, with a reason; and searching quickly enough."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.errors import EarmarkError, ModelError
from earmark.library.records import LibraryModel, direction
from earmark.library.similar import common_names, find_seed, similar_to
from earmark.library.store import Library, open_library
from earmark.library.vectors import Vectors, read_vectors
from earmark.paths import data_folder
from made_library import made_library
from sounds_of_library import make_songs, scanned

Made = tuple[Library, LibraryModel]


def seed_path(library: Library, number: int) -> str:
    return library.tracks()[number].path


def test_the_nearest_first_and_never_the_seed(tmp_path: Path) -> None:
    with made_library(tmp_path, 100) as (library, model):
        path = seed_path(library, 7)
        found = similar_to(library, model, find_seed(library, model, path), 12)
        assert len(found) == 12
        assert path not in [one.track.path for one in found]
        distances = [one.distance for one in found]
        assert distances == sorted(distances)
        vectors = read_vectors(library, model)
        exact = np.sort(1 - vectors.matrix @ vectors.matrix[7])[1:13]
        assert np.allclose(distances, exact, atol=1e-3)
        numbers = [int(Path(one.track.path).stem) - 1 for one in found]
        assert {number % 5 for number in numbers} == {7 % 5}, "the cloud that the seed is in"
        assert found[0].why.startswith("both ")
        assert "Pop" in found[0].why and "calm" in found[0].why


def test_at_most_so_many_of_one_artist(tmp_path: Path) -> None:
    with made_library(tmp_path, 100, groups=1) as (library, model):
        seed = find_seed(library, model, seed_path(library, 0))
        found = similar_to(library, model, seed, 20, per_artist=2)
        artists = [one.track.artist for one in found]
        assert len(found) == 20 and max(map(artists.count, artists)) == 2


def test_the_whole_library_if_asked(tmp_path: Path) -> None:
    with made_library(tmp_path, 30) as (library, model):
        seed = find_seed(library, model, seed_path(library, 0))
        assert len(similar_to(library, model, seed, 500)) == 29


def test_queries_of_many_threads_are_answered_together() -> None:
    """Each gets its own answer."""
    rng = np.random.default_rng(0)
    matrix = direction(rng.standard_normal((2_000, 32)).astype("f4"))
    vectors = Vectors(np.arange(2_000), matrix)
    found: dict[int, int] = {}

    def ask(row: int) -> None:
        rows, distances = vectors.nearest(matrix[row], 3)
        assert len(rows) == 3 and abs(distances[0]) < 1e-5
        found[row] = int(rows[0])

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(0, 2_000, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {row: row for row in range(0, 2_000, 20)}


def test_copies_are_one_answer(tmp_path: Path) -> None:
    """Other files of the same audio, and other editions of the same song."""
    with made_library(tmp_path, 40) as (library, model):
        path = seed_path(library, 0)
        nearest = similar_to(library, model, find_seed(library, model, path), 2)
        first, second = nearest
        with library.change():
            library.db.execute(
                "INSERT INTO tracks (path, device, inode, size, modified, audio)"
                " VALUES ('/music/copy.mp3', '', '', 1, 1, ?)",
                (first.track.audio,),
            )
            library.db.execute(
                "UPDATE tracks SET artist = ?, title = upper(?) WHERE id = ?",
                (first.track.artist, first.track.title, second.track.id),
            )
        found = similar_to(library, model, find_seed(library, model, path), 5)
        assert len(found) == 5
        assert {one.path for one in (*found[0].copies, found[0].track)} == {
            first.track.path,
            "/music/copy.mp3",
            second.track.path,
        }


def test_another_edition_of_the_seed_is_not_an_answer(tmp_path: Path) -> None:
    with made_library(tmp_path, 40) as (library, model):
        seed = find_seed(library, model, seed_path(library, 0))
        other = similar_to(library, model, seed, 1)[0].track
        assert seed.track is not None
        with library.change():
            library.db.execute("UPDATE tracks SET artist = 'artist  0', title = 'SONG 1' WHERE id = ?", (other.id,))
        assert (seed.track.artist, seed.track.title) == ("Artist 0", "Song 1")
        assert other.path not in [one.track.path for one in similar_to(library, model, seed, 39)]


def test_real_sound(tmp_path: Path, tiny_model: Path) -> None:
    """From the file: seconds that match, a seed that the library does not have, one that it has under another name."""
    music = tmp_path / "music"
    with open_library(tmp_path / "a.db", make=True) as library:
        model = scanned(library, tiny_model, music, count=5)
        path = str(music / "2.wav")
        seed = find_seed(library, model, path)
        found = similar_to(library, model, seed, 3)
        assert len(found) == 3 and found[0].seconds is not None and found[0].seed_seconds is not None
        start, end = found[0].seconds
        assert 0 <= start < end <= found[0].track.seconds + 0.1
        shutil.copy(path, tmp_path / "elsewhere.wav")
        again = find_seed(library, model, str(tmp_path / "elsewhere.wav"))
        assert again.track is None and again.audio == seed.audio
        assert [one.track.path for one in similar_to(library, model, again, 3)] == [one.track.path for one in found]
        with pytest.raises(EarmarkError, match="neither a track of the library nor a file"):
            find_seed(library, model, str(tmp_path / "nothing.mp3"))
        with library.change():
            library.db.execute("UPDATE clips SET vectors = zeroblob(length(vectors)) WHERE audio = ?", (seed.audio,))
        nowhere = similar_to(library, model, find_seed(library, model, path), 3)
        assert {one.seconds for one in nowhere} == {None}, "a clip without a direction is like nothing"


def test_exact_search_at_100_000() -> None:
    rng = np.random.default_rng(0)
    matrix = direction(rng.standard_normal((100_000, 256)).astype(np.float32))
    vectors = Vectors(np.arange(100_000), matrix)
    seconds = []
    for query in matrix[:9]:
        start = time.process_time()
        rows, distances = vectors.nearest(query, 20)
        seconds.append(time.process_time() - start)
        assert len(rows) == 20 and distances[0] < 1e-5
    assert min(seconds) < 0.1, "10 ms of the processor"


def test_ties_go_to_the_first() -> None:
    matrix = direction(np.tile(np.eye(3, dtype=np.float32), (4, 1)))
    rows, _ = Vectors(np.arange(12), matrix).nearest(np.asarray([1, 0, 0], np.float32), 4)
    assert rows.tolist() == [0, 3, 6, 9]


def test_ties_at_the_end_go_to_the_first_too() -> None:
    """So that a longer list begins with the shorter one."""
    matrix = direction(np.repeat(np.eye(2, dtype=np.float32), 500, axis=0))
    vectors = Vectors(np.arange(1000), matrix)
    for count in (1, 10, 499, 600):
        rows, _ = vectors.nearest(np.asarray([1, 0], np.float32), count)
        assert rows.tolist() == list(range(count))


def test_a_song_is_one_answer_though_distances_differ_in_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside others' queries a product of matrices answers, whose rounding, and so whose order, is another."""
    whole, calls = Vectors.nearest, []

    def other_order(self: Vectors, query: Any, count: int) -> Any:
        rows, distances = whole(self, query, count)
        calls.append(count)
        return (np.roll(rows, 250), distances) if len(calls) > 1 else (rows, distances)

    with made_library(tmp_path, 400) as (library, model):
        seed = find_seed(library, model, seed_path(library, 0))
        monkeypatch.setattr(Vectors, "nearest", other_order)
        found = similar_to(library, model, seed, 60, per_artist=1)
        assert len(calls) > 1
        audio = [track.audio for one in found for track in (one.track, *one.copies)]
        assert len(audio) == len(set(audio))


def test_reasons_of_a_library_of_which_the_model_knows_next_to_nothing(tmp_path: Path) -> None:
    """None of the tracks that are looked at to count names has a result: as while a second model's scan begins."""
    with made_library(tmp_path, 30) as (library, model):
        with library.change():
            library.rows("DELETE FROM results WHERE audio > 1")
        assert library.sample_steps(model, 15).shape == (0, 11)
        with library.change():
            library.rows("DELETE FROM results")
        assert common_names(library, model) == {}


def test_a_model_is_found_wherever_it_is_installed(tmp_path: Path, tiny_model: Path) -> None:
    """After an upgrade of Python the bundled model lies in another folder: it is known by its digest."""
    shutil.copytree(tiny_model, tmp_path / "old python" / "tiny")
    outside = make_songs(tmp_path / "outside", 1, seconds=2) / "0.wav"
    with open_library(tmp_path / "a.db", make=True) as library:
        model = scanned(library, tmp_path / "old python" / "tiny", tmp_path / "music", count=3)
        (tmp_path / "old python").rename(tmp_path / "gone")
        with pytest.raises(ModelError, match=r"tiny@1 .* is neither installed nor at"):
            find_seed(library, model, str(outside))
        shutil.copytree(tiny_model, data_folder() / "models" / "mine")
        assert len(similar_to(library, model, find_seed(library, model, str(outside)))) == 3
        card = json.loads((data_folder() / "models" / "mine" / "card.json").read_text())
        card["heads"][0]["temperature"] = 9.0
        (data_folder() / "models" / "mine" / "card.json").write_text(json.dumps(card))
        with pytest.raises(ModelError, match="neither installed"):
            find_seed(library, model, str(outside))
