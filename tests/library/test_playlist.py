"""Playlists: what was wished for, in an order that flows, in a file that players read."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from earmark.analyses.facts import Key, Tempo
from earmark.app.playlist import refresh_playlists
from earmark.app.search import SimilarRequest, similar
from earmark.errors import EarmarkError, StorageError, UnknownName
from earmark.events import Notice
from earmark.library.export import m3u_text
from earmark.library.harmony import Harmony, clashes, step_costs
from earmark.library.options import PlaylistOptions
from earmark.library.playlist import flow, harmony_of, make_playlist, walk_between
from earmark.library.records import LibraryTrack, direction
from earmark.library.similar import find_seed
from earmark.library.store import Library, Stamp
from earmark.storage import write_file
from made_library import GENRES, MOODS, made_library

TAGS = ("artist", "title", "album", "year", "genre")


def group_of(track: LibraryTrack) -> int:
    return (int(Path(track.path).stem) - 1) % 5


def length(order: list[int], vectors: np.ndarray) -> float:
    return float(sum(1 - vectors[a] @ vectors[b] for a, b in itertools.pairwise(order)))


def test_flow_takes_small_steps() -> None:
    rng = np.random.default_rng(0)
    vectors = direction(rng.standard_normal((60, 3)).astype("f4"))
    order = flow(vectors, [""] * 60, 5)
    assert sorted(order) == list(range(60))
    assert length(order, vectors) < 0.35 * length(list(rng.permutation(60)), vectors)
    ends = flow(vectors, [""] * 60, 5, first=4, last=9)
    assert (ends[0], ends[-1]) == (4, 9) and sorted(ends) == list(range(60))


def test_flow_keeps_artists_apart() -> None:
    rng = np.random.default_rng(0)
    vectors = direction(rng.standard_normal((40, 3)).astype("f4"))
    artists = [f"a{number % 8}" for number in range(40)]
    order = flow(vectors, artists, 4)
    for place in range(40):
        recent = [artists[song] for song in order[max(0, place - 4) : place]]
        assert artists[order[place]] not in recent
    assert sorted(flow(vectors, ["one"] * 40, 4)) == list(range(40)), "what cannot be is no error"


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_flow_of_few(count: int) -> None:
    vectors = direction(np.random.default_rng(0).standard_normal((count, 3)).astype("f4"))
    assert sorted(flow(vectors, [""] * count, 5)) == list(range(count))


def test_words(tmp_path: Path) -> None:
    with made_library(tmp_path, 300) as (library, model):
        wish = PlaylistOptions(genres=("rock", "JAZZ"), moods=("Happy", "sad"), without=("sad",), minutes=30)
        tracks = make_playlist(library, model, wish)
        assert {group_of(track) for track in tracks} == {0}
        seconds = sum(track.seconds for track in tracks)
        assert 30 * 60 <= seconds < 30 * 60 + 300
        artists = [track.artist for track in tracks]
        for place in range(len(artists)):
            assert artists[place] not in artists[max(0, place - 5) : place]
        tagged = make_playlist(library, model, PlaylistOptions(tags=("Metal", "dark"), minutes=10))
        assert {group_of(track) for track in tagged} == {4}


def test_seeds_and_clusters(tmp_path: Path) -> None:
    with made_library(tmp_path, 300) as (library, model):
        seed = library.tracks()[12].path
        tracks = make_playlist(library, model, PlaylistOptions(seeds=(seed,), minutes=40))
        assert tracks[0].path == seed and [track.path for track in tracks].count(seed) == 1
        assert {group_of(track) for track in tracks} == {2}
        name = f"{MOODS[3]} {GENRES[3]}"
        clustered = make_playlist(library, model, PlaylistOptions(cluster=name, minutes=40))
        assert {group_of(track) for track in clustered} == {3}


def test_what_nothing_meets_is_told_in_one_line(tmp_path: Path) -> None:
    with made_library(tmp_path, 50) as (library, model):
        with pytest.raises(
            EarmarkError, match=r"no song has all that is asked for \(genre Rock: 10, mood sad: 10\)"
        ) as told:
            make_playlist(library, model, PlaylistOptions(genres=("Rock",), moods=("sad",)))
        assert "\n" not in str(told.value)
        with pytest.raises(UnknownName, match="did you mean 'Rock'"):
            make_playlist(library, model, PlaylistOptions(genres=("Rok",)))
        with pytest.raises(UnknownName, match="unknown mood 'Rock'"):
            make_playlist(library, model, PlaylistOptions(moods=("Rock",)))


def test_corrections_count(tmp_path: Path) -> None:
    with made_library(tmp_path, 20) as (library, model):
        track = library.tracks()[0]
        assert track.audio is not None
        library.set_label(track.audio, "genre", "Polka")
        assert [one.path for one in make_playlist(library, model, PlaylistOptions(genres=("polka",)))] == [track.path]
        rock = make_playlist(library, model, PlaylistOptions(genres=("rock",)))
        assert track.path not in [one.path for one in rock]


def test_energy(tmp_path: Path) -> None:
    with made_library(tmp_path, 100) as (library, model):
        energy = dict(zip(*(part.tolist() for part in library.numbers(model, model.head("energy"))), strict=True))
        for low, high in ((0.6, 0.9), (None, 0.2), (0.9, None)):
            wish = PlaylistOptions(energy_min=low, energy_max=high, minutes=1e4)
            found = {energy[track.audio or 0] for track in make_playlist(library, model, wish)}
            asked = {value for value in energy.values() if (low or 0) <= value <= (high or 1)}
            assert found == asked and 0 < len(found) < 100
        with pytest.raises(EarmarkError, match=r"energy 0.9 to 0.2: expected two numbers from 0 to 1"):
            make_playlist(library, model, PlaylistOptions(energy_min=0.9, energy_max=0.2))
        with pytest.raises(EarmarkError, match="gives songs no energy"):
            make_playlist(library, replace(model, heads=model.heads[:2]), PlaylistOptions(energy_min=0.9))


def test_kept_playlists(tmp_path: Path) -> None:
    """Names are told apart without case, seeds follow their files, and what vanished comes back with its place."""
    with made_library(tmp_path, 20) as (library, _):
        first, second = library.tracks()[:2]
        wish = PlaylistOptions(seeds=(first.path, "/elsewhere.mp3"), genres=("Rock",), energy_max=0.5)
        evening = library.put_playlist(" evening  walk", [second.id, first.id], wish, model="made")
        assert library.put_playlist("EVENING walk", [second.id, first.id], wish, model="made") == evening
        kept = library.playlist("Evening Walk")
        assert (kept.id, kept.tracks, kept.model, kept.wish) == (evening, 2, "made", wish)
        assert kept.seconds == first.seconds + second.seconds
        with library.change():
            library.move_track(first.id, "/moved.mp3", Stamp("1", "1", 1, 1))
            library.mark_vanished(second.id)
        moved = library.playlist(evening)
        assert moved.wish is not None and moved.wish.seeds == ("/moved.mp3", "/elsewhere.mp3")
        assert [track.id for track in library.playlist_tracks(evening)] == [first.id] and moved.tracks == 1
        with library.change():
            library.move_track(second.id, second.path, Stamp("1", "2", 2, 2))
        assert [track.id for track in library.playlist_tracks(evening)] == [second.id, first.id]
        other = library.put_playlist("by hand", [first.id, first.id])
        assert library.playlist(other).wish is None and library.playlist(other).tracks == 2
        with pytest.raises(EarmarkError, match="another playlist has this name"):
            library.put_playlist("by hand", [], playlist=evening)
        with pytest.raises(EarmarkError, match="needs a name"):
            library.put_playlist("  ", [])
        library.drop_playlist(evening)
        assert [one.name for one in library.playlists()] == ["by hand"]
        with pytest.raises(UnknownName, match="unknown playlist 'evening walk'"):
            library.playlist("evening walk")


def test_a_playlist_that_changes_while_songs_are_chosen_anew_stays_changed(tmp_path: Path) -> None:
    """A person renames one, deletes one and changes the wish of one during a scan: nothing of the old comes back."""
    with made_library(tmp_path, 300) as (library, _):
        rows, wish = [library.tracks()[0].id], PlaylistOptions(minutes=30)
        library.put_playlist("a", rows, PlaylistOptions(minutes=30, energy_min=2.0))  # which no song meets
        gone, renamed, other, same = (library.put_playlist(name, rows, wish) for name in "bcde")
        run = refresh_playlists(library)
        assert isinstance(next(run), Notice)
        library.drop_playlist(gone)
        library.put_playlist("night", rows, wish, playlist=renamed)
        library.put_playlist("d", rows, PlaylistOptions(minutes=5), playlist=other)
        with pytest.raises(StopIteration, match="2"):
            next(run)
        assert [one.name for one in library.playlists()] == ["a", "d", "e", "night"]
        assert all(library.playlist(one).tracks > 1 for one in (renamed, same))
        assert library.playlist(other).tracks == 1 and library.playlist(other).wish == PlaylistOptions(minutes=5)


def test_a_walk_from_one_to_another(tmp_path: Path) -> None:
    with made_library(tmp_path, 300) as (library, model):
        start, end = (find_seed(library, model, track.path) for track in library.tracks()[:2])
        tracks = walk_between(library, model, start, end, 12)
        assert (tracks[0].path, tracks[-1].path) == (start.path, end.path)
        assert len({track.path for track in tracks}) == 12
        first = [place for place, track in enumerate(tracks) if group_of(track) == 0]
        last = [place for place, track in enumerate(tracks) if group_of(track) == 1]
        assert max(first) < min(last), "it leaves the one cloud and comes to the other"
        assert len(walk_between(library, model, start, end, 2)) == 2


def give_features(library: Library, keys: str = "8A 9A 8B 2A 3B 12A") -> dict[int, tuple[float, str]]:
    """Tempi from 80 to 139, and keys in turn; every seventh song has neither."""
    given = {}
    with library.change():
        for place, track in enumerate(library.tracks()):
            assert track.audio is not None
            tempo, camelot = 80.0 + place % 60, keys.split()[place % len(keys.split())]
            known = place % 7 != 6
            given[track.audio] = (tempo, camelot) if known else (0.0, "")
            features = {"tempo": Tempo(tempo, 0.9), "key": Key("A minor", camelot, 0.9)}
            library.put_features(track.audio, features if known else {"tempo": Tempo(), "key": Key()})
    return given


def test_songs_of_a_tempo(tmp_path: Path) -> None:
    with made_library(tmp_path, 300) as (library, model):
        with pytest.raises(EarmarkError, match="no song of the library has a tempo yet; `earmark scan --features`"):
            make_playlist(library, model, PlaylistOptions(tempo_min=118))
        given = give_features(library)
        for low, high in ((118, 126), (130, None), (None, 90)):
            found = make_playlist(library, model, PlaylistOptions(tempo_min=low, tempo_max=high, minutes=1e5))
            asked = {one for one, (tempo, _) in given.items() if tempo and (low or 0) <= tempo <= (high or 999)}
            assert {track.audio for track in found} == asked
        with pytest.raises(EarmarkError, match="tempo 126 to 118: expected two numbers of beats a minute"):
            make_playlist(library, model, PlaylistOptions(tempo_min=126, tempo_max=118))


def test_neighbours_in_keys_that_go_together(tmp_path: Path) -> None:
    with made_library(tmp_path, 300) as (library, model):
        with pytest.raises(EarmarkError, match="no song of the library has a key yet"):
            make_playlist(library, model, PlaylistOptions(key_compatible=True))
        given = give_features(library)
        plain = make_playlist(library, model, PlaylistOptions(minutes=60))
        tracks = make_playlist(library, model, PlaylistOptions(key_compatible=True, minutes=60))
        assert not clashes(harmony_of(library, tracks, ()).key)
        assert clashes(harmony_of(library, plain, ()).key)
        seed = next(track for track in library.tracks() if given[track.audio or 0][1] == "2A")
        near = make_playlist(library, model, PlaylistOptions(seeds=(seed.path,), key_compatible=True, minutes=30))
        assert near[0].path == seed.path and len(near) > 3 and not clashes(harmony_of(library, near, ()).key)
        assert {given[track.audio or 0][1] for track in near} <= {"2A", "3B", "12A"}
        lost = next(track for track in library.tracks() if not given[track.audio or 0][1])
        with pytest.raises(EarmarkError, match="its key is not known"):
            make_playlist(library, model, PlaylistOptions(seeds=(lost.path,), key_compatible=True))


def test_tempo_and_key_make_an_order_flow(tmp_path: Path) -> None:
    """Of songs that sound alike those follow one another whose tempo is near."""
    vectors, artists = direction(np.ones((12, 4), np.float32)), [""] * 12
    tempo = np.random.default_rng(0).permutation(12) * 5 + 90.0
    harmony = Harmony(tempo, np.full(12, -1))
    order = flow(vectors, artists, 0, costs=step_costs(harmony, harmony))
    steps = np.abs(np.diff(tempo[order]))
    assert steps.sum() <= 2 * (tempo.max() - tempo.min()) and np.abs(np.diff(tempo)).sum() > 3 * steps.sum()


def test_a_walk_in_keys_that_go_together(tmp_path: Path) -> None:
    with made_library(tmp_path, 300) as (library, model):
        given = give_features(library, "8A 9A 8B 9B")
        start, end = (find_seed(library, model, track.path) for track in library.tracks()[:2])
        tracks = walk_between(library, model, start, end, 12, key_compatible=True)
        assert all(given[track.audio or 0][1] for track in tracks)
        assert not clashes(harmony_of(library, tracks, ()).key)


def test_a_file_that_the_library_does_not_know_has_a_key_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins a playlist of songs that go with it, and its steps in a path are judged by its own key."""
    with made_library(tmp_path, 300) as (library, model):
        give_features(library)
        known = find_seed(library, model, library.tracks()[0].path)
        outside = replace(known, path="/elsewhere.wav", audio=None, track=None, features={"key": Key("", "9A", 0.9)})
        monkeypatch.setattr("earmark.library.playlist.find_seed", lambda *_: outside)
        monkeypatch.setattr("earmark.library.opening.tags_of", lambda _: dict.fromkeys(TAGS, ""))
        found = make_playlist(library, model, PlaylistOptions(seeds=("/elsewhere.wav",), key_compatible=True))
        assert found[0].path == "/elsewhere.wav" and len(found) > 5
        assert not clashes(harmony_of(library, found, [outside]).key)


def test_similar_songs_in_the_same_key(tmp_path: Path) -> None:
    with made_library(tmp_path, 300) as (library, _):
        given = give_features(library)
        tracks = {camelot: track.path for track in library.tracks() if (camelot := given[track.audio or 0][1])}
        lost = next(track.path for track in library.tracks() if not given[track.audio or 0][1])
        file = str(library.file)
    found = similar(SimilarRequest(library=file, track=tracks["3B"], same_key=True)).wait()
    assert len(found) == 10 and {given[one.track.audio or 0][1] for one in found} == {"3B"}
    with pytest.raises(EarmarkError, match="its key is not known"):
        similar(SimilarRequest(library=file, track=lost, same_key=True)).wait()


def test_a_walk_in_a_small_library(tmp_path: Path) -> None:
    with made_library(tmp_path, 4) as (library, model):
        start, end = (find_seed(library, model, track.path) for track in library.tracks()[:2])
        assert len(walk_between(library, model, start, end, 10)) == 4
        assert [track.path for track in walk_between(library, model, start, start, 3)][::2] == [start.path, start.path]


def track(path: str, **more: object) -> LibraryTrack:
    return LibraryTrack(1, path, 1, 1, 1, "", 61.6, **more)  # type: ignore[arg-type]


def read_m3u(file: Path) -> list[Path]:
    """As a player does: lines, without comments, relative to the file; URIs."""
    found = []
    for line in file.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name = unquote(urlsplit(line).path, errors="surrogateescape") if line.startswith("file://") else line
            found.append(file.parent / name)
    return found


NAMES = (
    "plain.mp3", "with space.mp3", "#1 hit.mp3", "ümlaut ö.mp3", "new\nline.mp3", "http:odd.mp3", "100%.mp3",
    " lead.mp3", "\u2028odd.mp3", os.fsdecode(b"caf\xe9.mp3"),
)  # fmt: skip


def test_names_survive(tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    files = [music / name for name in NAMES]
    for file in files:
        file.touch()
    target = tmp_path / "lists" / "mine.m3u8"
    target.parent.mkdir()
    write_file(target, m3u_text([track(str(file)) for file in files], target.parent))
    text = target.read_text("utf-8")
    assert text.startswith("#EXTM3U\n#EXTINF:62,plain\n../music/plain.mp3\n")
    assert read_m3u(target)[0].resolve() == files[0]
    for found, file in zip(read_m3u(target), files, strict=True):
        assert found.resolve().samefile(file), file


def test_titles() -> None:
    lines = m3u_text([track("/a/b.mp3", artist="A\nB", title="C")], Path("/a")).splitlines()
    assert lines[1:] == ["#EXTINF:62,A B - C", "b.mp3"]
    assert m3u_text([track("/a/#b.mp3")], Path("/a")).splitlines()[2] == "./#b.mp3"
    assert m3u_text([track("/a/b.mp3")], None).splitlines()[2] == "/a/b.mp3"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is a folder"):
        write_file(tmp_path, "x")
    with pytest.raises(StorageError, match="cannot write there"):
        write_file(tmp_path / "missing" / "x.m3u8", "x")
    write_file(tmp_path / "x", "one")
    write_file(tmp_path / "x", "two")
    assert (tmp_path / "x").read_text() == "two" and [one.name for one in tmp_path.iterdir()] == ["x"]


def test_nothing_in_a_playlist_steers(tmp_path: Path) -> None:
    """A title or a name may turn a line around, move a cursor, or begin a line of its own; long ones are cut."""
    evil = track(
        "/a/x\u202e3pm.exe\x1b[2J\nhttp_evil.mp3", artist="A\u2066", title="T\x9b\r\n#EXTINF:0," + "x" * 10_000
    )
    text = m3u_text([evil, track("/a/\u3000caf\u00e9 \U0001f3b5.mp3")], Path("/a"))
    assert len(text.splitlines()) == len(text.split("\n")) - 1 == 5 and len(text) < 1_500
    assert all(one.isprintable() or one in "\n\u3000" for one in text)
    assert text.splitlines()[2] == "file:///a/x%E2%80%AE3pm.exe%1B%5B2J%0Ahttp_evil.mp3"
    assert text.splitlines()[4] == "\u3000caf\u00e9 \U0001f3b5.mp3", "what is plain stays"
