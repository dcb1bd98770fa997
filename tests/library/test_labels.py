"""Stored tracks by probability: any name of any head, renamed, merged, in a tree, corrected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.inference.answers import answers
from earmark.inference.records import Prediction
from earmark.library.cluster import cluster_tracks
from earmark.library.labels import LabelProbabilities, given_names, name_scores
from earmark.library.layout import lay_out, map_data
from earmark.library.options import PlaylistOptions
from earmark.library.playlist import make_playlist
from earmark.library.records import LibraryModel, heads_from_json, heads_to_json
from earmark.library.resident import take_snapshot
from earmark.library.review import questions
from earmark.library.similar import common_names, find_seed, predicted_names, similar_to
from earmark.library.store import Library
from earmark.models.card import HeadCard
from made_library import made_library

TREE = HeadCard("genre", "multiclass", ("Rock", "Jazz", "Pop", "Folk", "Metal"), threshold=0.6,
                thresholds={"Guitar": 0.7}, parents={"Metal": "Rock", "Rock": "Guitar", "Folk": "Guitar"})  # fmt: skip
MOODS = HeadCard("moods", "multilabel", ("happy", "sad", "calm", "tense", "dark", "bright"), also=("feelings",))
HEADS = (TREE, MOODS, HeadCard("energy", "regression"))

SCORES = np.float32([
    [0.30, 0.05, 0.10, 0.10, 0.45],  # Rock, of Metal and Rock
    [0.20, 0.10, 0.10, 0.35, 0.25],  # Guitar
    [0.20, 0.40, 0.35, 0.05, 0.00],  # not sure
    [0.10, 0.70, 0.10, 0.05, 0.05],  # Jazz
    [0.65, 0.05, 0.10, 0.10, 0.10],  # Rock
    [0.00, 0.00, 0.00, 0.00, 0.00],  # silence
])  # fmt: skip
SAID = ["Rock", "Guitar", None, "Jazz", "Rock", None]


@contextmanager
def songs(folder: Path, aliases: dict[str, dict[str, str]] | None = None) -> Iterator[tuple[Library, LibraryModel]]:
    """Six songs with the scores above, by a model with a tree."""
    with made_library(folder, 6) as (library, model):
        with library.change():
            for audio, row in enumerate(SCORES, 1):
                packed = np.rint(np.concatenate([row, [0.1, 0.4, 0.2, 0.1, 0.2, 0.1]]) * 10_000).astype("<u2")
                library.rows("UPDATE results SET scores = ? WHERE audio = ?", (packed.tobytes(), audio))
            model = library.add_model(replace(model, heads=HEADS, aliases=aliases or {}))
        yield library, model


def test_a_library_keeps_what_its_answers_need() -> None:
    assert heads_from_json(heads_to_json(HEADS)) == HEADS
    old = heads_to_json(HEADS[:1]).replace('"parents"', '"gone"')
    assert '"gone"' in old  # and a library of before the tree
    assert heads_from_json('[{"name": "a", "task": "regression", "labels": [], "threshold": 0, "thresholds": {}, '
                           '"aliases": {}}]') == (HeadCard("a", "regression"),)  # fmt: skip


def test_stored_answers_are_those_of_inference(tmp_path: Path) -> None:
    names = given_names(TREE, SCORES)
    assert [TREE.names[row.argmax()] if row.any() else None for row in names] == SAID
    for row, said in zip(SCORES[:5].tolist(), SAID, strict=False):
        assert answers((TREE,), {"genre": row})["genre"].label == said
    with songs(tmp_path) as (library, model):
        found = [p.heads["genre"] for _, p in library.predictions(model) if isinstance(p, Prediction)]
        assert [head.label for head in found[:5]] == SAID[:5]
        assert found[2].guesses == (("Jazz", 0.4), ("Pop", 0.35), ("Rock", 0.2))


def test_any_name_has_a_probability(tmp_path: Path) -> None:
    with songs(tmp_path) as (library, model):
        labels = LabelProbabilities(library, model, np.asarray([5, 1, 3]))
        assert labels.of("genre", "Rock") == pytest.approx([0.75, 0.75, 0.2])
        assert labels.of("genre", "Guitar") == pytest.approx([0.85, 0.85, 0.25])
        assert labels.of("genre", "Metal") == pytest.approx([0.1, 0.45, 0])
        assert labels.of("moods", "sad") == pytest.approx([0.4] * 3)
        assert labels.scores("genre") == pytest.approx(SCORES[[4, 0, 2]], abs=1e-6)
        assert labels.find("guitar") == [("genre", "Guitar")] and labels.find("guitar", ("mood",)) == []
        assert labels.find("SAD", ("feeling",)) == [("moods", "sad")]
        assert labels.find("polka") == []
        library.set_label(3, "genre", "Polka")
        library.set_label(5, "genre", "Metal")
        labels = LabelProbabilities(library, model, np.asarray([5, 1, 3]))
        assert labels.find("polka") == [("genre", "Polka")]
        assert labels.of("genre", "Polka").tolist() == [0, 0, 1]
        assert labels.of("genre", "Rock") == pytest.approx([1, 0.75, 0])
        assert labels.likely("genre", "Rock").tolist() == [True, True, False]
        assert labels.best("genre") == (["Metal", "Rock", "Polka"], pytest.approx([True, True, True]))
        assert len(labels.numbers("energy")) == 3


AGAINST = {"sad": {"genre": ("Rock", "Metal"), "gone": ("x",)}, "happy": {"genre": ("Jazz",)}}


def test_a_name_that_another_head_contradicts_has_no_probability(tmp_path: Path) -> None:
    """As the table of one song neither names nor guesses it: not on the map, in playlists, clusters and reasons."""
    heads = (TREE, replace(MOODS, contradicts=AGAINST, thresholds={"sad": 0.3, "calm": 0.15}), HEADS[2])
    with songs(tmp_path, {"moods": {"dark": "gloomy"}}) as (library, model):
        with library.change():
            model = library.add_model(replace(model, heads=heads))
        labels = LabelProbabilities(library, model, np.asarray([5, 1, 3, 4]))
        stored = {t.audio: p.heads["moods"] for t, p in library.predictions(model) if isinstance(p, Prediction)}
        assert [stored[n].labels for n in (5, 1, 3, 4)] == [("calm",), ("calm",), ("sad", "calm"), ("sad", "calm")]
        assert labels.of("moods", "sad") == pytest.approx([0, 0, 0.4, 0.4])
        assert labels.of("moods", "happy") == pytest.approx([0.1, 0.1, 0.1, 0])
        assert labels.of("moods", "gloomy") == pytest.approx([0.2] * 4)
        assert labels.likely("moods", "sad").tolist() == [False, False, True, True]
        assert labels.best("moods")[0] == ["calm", "calm", "sad", "sad"]
        assert labels.names("moods")[:, 1] == pytest.approx([0, 0, 0.4, 0.4])
        whole = LabelProbabilities(take_snapshot(library, model), model, labels.audio)
        assert whole.scores("moods").tolist() == labels.scores("moods").tolist()
        shares = common_names(library, model)
        assert (shares["sad"], shares["calm"]) == (pytest.approx(4 / 6), 1)
        made = make_playlist(library, model, PlaylistOptions(tags=("sad",), artist_gap=0))
        assert {track.id for track in made} == {2, 3, 4, 6}
        seed = find_seed(library, model, library.tracks()[0].path)
        assert {"sad"} & set(predicted_names(seed.prediction, labels.heads)) == set()


def test_what_one_of_two_contradicts_is_no_leaning(tmp_path: Path) -> None:
    heads = (TREE, replace(MOODS, contradicts={"sad": {"genre": ("Jazz",)}}), HEADS[2])
    with songs(tmp_path) as (library, model):
        with library.change():
            model = library.add_model(replace(model, heads=heads))
        seed = find_seed(library, model, library.tracks()[0].path)
        why = {one.track.id: one.why for one in similar_to(library, model, seed, 5)}
        assert why[4] == "both lean to Guitar" and why[3] == "both lean to sad"


def test_a_label_that_several_became_holds_where_one_of_them_does(tmp_path: Path) -> None:
    heads = (TREE, replace(MOODS, contradicts=AGAINST), HEADS[2])
    with songs(tmp_path, {"moods": {"sad": "blue", "tense": "blue"}}) as (library, model):
        with library.change():
            model = library.add_model(replace(model, heads=heads))
        labels = LabelProbabilities(library, model, np.asarray([5, 1, 3]))
        assert labels.of("moods", "blue") == pytest.approx([0.1, 0.1, 0.4])
        assert labels.scores("moods")[:, 1] == pytest.approx([0.1, 0.1, 0.4])


def test_names_of_the_user(tmp_path: Path) -> None:
    """Two labels that became one have the sum; the tree goes on in the user's words."""
    with songs(tmp_path, {"genre": {"Jazz": "Swing", "Pop": "Swing", "Guitar": "Strings"}}) as (library, model):
        labels = LabelProbabilities(library, model, np.arange(1, 7))
        assert labels.heads["genre"].labels == ("Rock", "Swing", "Folk", "Metal")
        assert labels.of("genre", "Swing") == pytest.approx([0.15, 0.2, 0.75, 0.8, 0.15, 0])
        assert labels.best("genre")[0] == ["Rock", "Strings", "Swing", "Swing", "Rock", None]


def test_of_labels_that_do_not_exclude_each_other_the_highest_counts() -> None:
    head = replace(TREE, task="multilabel", thresholds={})
    assert name_scores(head, SCORES[:1])[0] == pytest.approx([0.45, 0.05, 0.1, 0.1, 0.45, 0.45])
    assert given_names(head, SCORES[3:4]).tolist() == [[False, True, False, False, False, False]]


def test_a_playlist_has_what_is_likely_though_not_asserted(tmp_path: Path) -> None:
    def numbers(**wanted: tuple[str, ...]) -> set[int]:
        return {track.id for track in make_playlist(library, model, PlaylistOptions(**wanted, artist_gap=0))}

    with songs(tmp_path) as (library, model):
        assert numbers(genres=("rock",)) == {1, 2, 5}
        assert numbers(genres=("guitar",)) == {1, 2, 5}
        assert numbers(genres=("jazz",)) == {3, 4}
        assert numbers(genres=("metal",)) == {1}
        assert numbers(genres=("pop", "folk")) == {2, 3}
        assert numbers(tags=("guitar",), without=("metal",)) == {2, 5}
        assert numbers(moods=("sad",), genres=("jazz",)) == {3, 4}


def test_the_map_shows_names_and_paler_guesses(tmp_path: Path) -> None:
    with songs(tmp_path) as (library, model):
        genre, mood, *_ = map_data(library, model, layout := lay_out(library, model)).views
        songs_of = {int(Path(song.path).stem): row for row, song in
                    enumerate(map_data(library, model, layout).songs)}  # fmt: skip
        shown = [genre.names[genre.index[songs_of[n]]] if genre.index[songs_of[n]] >= 0 else None for n in range(1, 7)]
        assert shown == ["Rock", "Guitar", "Jazz", "Jazz", "Rock", None]
        assert [bool(genre.sure[songs_of[n]]) for n in range(1, 6)] == [True, True, False, True, True]
        assert {mood.names[k] for k in mood.index} == {"sad"} and not mood.sure.any()


def test_a_reason_may_be_a_name_above_labels(tmp_path: Path) -> None:
    with songs(tmp_path) as (library, model):
        seed = find_seed(library, model, library.tracks()[0].path)
        why = {one.track.id: one.why for one in similar_to(library, model, seed, 5)}
        assert why[5] == "both Rock, Guitar" and why[2] == "both Guitar"
        assert why[4] == "both lean to sad"


def test_clusters_are_named_by_names_of_the_tree_too(tmp_path: Path) -> None:
    with songs(tmp_path) as (library, model):
        tags = {tag for one in cluster_tracks(library, model, 2).clusters for tag in one.tags}
        assert {"Guitar", "Jazz"} & tags


def test_a_file_that_says_a_name_above_or_below_is_no_contradiction(tmp_path: Path) -> None:
    with songs(tmp_path) as (library, model):
        with library.change():
            for track, genre in ((1, "Metal"), (2, "Rock"), (4, "Folk"), (5, "Metal")):
                library.db.execute("UPDATE tracks SET genre = ? WHERE id = ?", (genre, track))
        found = {one.track.id: one.why for one in questions(library, model, [model.head("genre")], 10)}
        assert found == {3: "unsure", 4: "disagrees", 6: "unsure"}
