"""The user's own labels: read from a list, probabilities added up, and what is wrong with a list is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import earmark
from earmark import HearingOptions
from earmark.errors import RecipeError, UnknownName
from earmark.inference.answers import answers
from earmark.inference.labels import read_labels, relabel
from earmark.inference.records import HeadPrediction, Prediction, Taggram
from earmark.models.card import Card, HeadCard
from earmark.recipe import ClipPlan
from sounds import melody, write

GENRE = HeadCard("genre", "multiclass", ("Hard Rock", "Punk", "Jazz"), threshold=0.5)
TAGS = HeadCard("tags", "multilabel", ("guitar", "e-guitar", "piano"))
CARD = Card("m", "1", "made", None, ClipPlan(), (GENRE, TAGS, HeadCard("energy", "regression")), 2)
SAID = Prediction(
    "a.mp3",
    1.0,
    "m@1",
    {
        "genre": HeadPrediction(
            "multiclass",
            None,
            0.4,
            scores={"Hard Rock": 0.3, "Punk": 0.3, "Jazz": 0.4},
            taggram=Taggram((0.0,), (1.0,), {"Hard Rock": (0.3,), "Punk": (0.3,), "Jazz": (0.4,)}),
        ),
        "tags": HeadPrediction(
            "multilabel", labels=("e-guitar", "guitar"), scores={"guitar": 0.5, "e-guitar": 0.9, "piano": 0.1}
        ),
        "energy": HeadPrediction("regression", value=0.5),
    },
)


def test_several_names_may_become_one() -> None:
    """Probabilities add up, so that what was unsure between two becomes sure; of tags the highest counts."""
    mine = relabel(SAID, CARD, {"genre": {"Hard Rock": "Rock", "Punk": "Rock"}, "tags": {"e-guitar": "guitar"}})
    genre, tags = mine.heads["genre"], mine.heads["tags"]
    assert genre.scores == {"Rock": 0.6, "Jazz": 0.4}
    assert (genre.label, genre.confidence) == ("Rock", 0.6)
    assert genre.taggram is not None
    assert genre.taggram.scores == {"Rock": (0.6,), "Jazz": (0.4,)}
    assert tags.scores == {"guitar": 0.9, "piano": 0.1}
    assert tags.labels == ("guitar",)
    assert mine.heads["energy"] == SAID.heads["energy"]


@pytest.mark.parametrize("warning", ["silence", "noise"])
def test_what_is_no_song_gets_no_label_by_other_names(warning: str) -> None:
    mine = relabel(replace(SAID, warning=warning), CARD, {"genre": {"Hard Rock": "Rock", "Punk": "Rock"}})
    assert mine.heads["genre"].label is None and mine.heads["tags"].labels == ()


def test_names_that_are_not_in_the_list_stay() -> None:
    assert relabel(SAID, CARD, {}) is SAID
    mine = relabel(SAID, CARD, {"genre": {"Jazz": "Jazzy"}, "energy": {}, "tags": {}})
    assert list(mine.heads["genre"].scores) == ["Hard Rock", "Punk", "Jazzy"]
    assert mine.heads["genre"].label is None
    assert mine.heads["tags"] == SAID.heads["tags"]


def test_rounded_probabilities_never_add_up_to_more_than_one() -> None:
    thirds = HeadPrediction("multiclass", None, 0.3334, scores={"Hard Rock": 0.3334, "Punk": 0.3334, "Jazz": 0.3334})
    said = Prediction("a", 1.0, "m@1", {"genre": thirds})
    mine = relabel(said, CARD, {"genre": dict.fromkeys(GENRE.labels, "Music")})
    assert mine.heads["genre"].scores == {"Music": 1.0}


def test_reading_a_list(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[genre]\n"Hard Rock" = "Rock"\nPunk = "Rock"\n')
    assert read_labels(file, CARD) == {"genre": {"Hard Rock": "Rock", "Punk": "Rock"}}


def test_a_list_may_use_further_names_of_a_head(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[style]\nPunk = "Noise"\nLoud = "Laut"\n[genre]\nJazz = "Swing"\n')
    head = replace(GENRE, also=("style",), parents={"Punk": "Loud"})
    assert read_labels(file, replace(CARD, heads=(head,))) == {
        "genre": {"Punk": "Noise", "Loud": "Laut", "Jazz": "Swing"}}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("[genre", RecipeError, "cannot read"),
        ("\xff", RecipeError, "cannot read"),
        ('genre = "Rock"', RecipeError, "must be a table"),
        ("[genre]\nPunk = 3", RecipeError, "must be a table"),
        ('[genre]\nPunk = " "', RecipeError, "must be a table"),
        ('[genres]\nPunk = "Rock"', UnknownName, "did you mean 'genre'"),
        ('[genre]\nPunck = "Rock"', UnknownName, "did you mean 'Punk'"),
    ],
)
def test_a_list_that_makes_no_sense(tmp_path: Path, text: str, error: type[Exception], says: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text, "latin-1")
    with pytest.raises(error, match=says) as caught:
        read_labels(file, CARD)
    assert "\n" not in str(caught.value)
    with pytest.raises(RecipeError, match="cannot read"):
        read_labels(tmp_path / "gone.toml", CARD)


def test_all_the_way_from_a_file(tiny_model: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", melody(3, 8000), 8000)
    tagger = earmark.load_model(tiny_model)
    options = HearingOptions(labels={"genre": {"Rock": "Loud", "Pop": "Loud"}})
    (mine,) = earmark.predict_all(tagger, [path], workers=1, options=options)
    assert isinstance(mine, Prediction)
    theirs = tagger.predict(path).heads["genre"].scores
    assert mine.heads["genre"].scores["Loud"] == pytest.approx(theirs["Rock"] + theirs["Pop"], abs=1e-4)


TREE = HeadCard("genre", "multiclass", ("Rock", "Punk", "Metal", "Jazz"), threshold=0.5,
                parents={"Punk": "Rock", "Metal": "Rock", "Jazz": "Quiet"})  # fmt: skip
GENRES = HeadCard("genres", "multilabel", ("Rock", "Punk", "Metal", "Jazz"), includes="genre")
FOREST = Card("m", "1", "made", None, ClipPlan(), (TREE, GENRES), 2)


def song(*scores: float) -> Prediction:
    each = dict.fromkeys(("genre", "genres"), scores)
    return Prediction("a", 1.0, "m@1", answers(FOREST.heads, each))


def test_nodes_of_a_tree_have_names_too() -> None:
    said = song(0.2, 0.3, 0.2, 0.3)
    assert said.heads["genre"].label == "Rock"
    mine = relabel(said, FOREST, {"genre": {"Rock": "Loud", "Punk": "Noise"}}).heads["genre"]
    assert (mine.label, mine.confidence) == ("Loud", 0.7)
    assert mine.scores == {"Loud": 0.2, "Noise": 0.3, "Metal": 0.2, "Jazz": 0.3}
    quiet = relabel(song(0.2, 0.2, 0.2, 0.4), FOREST, {"genre": {"Quiet": "Jazz"}}).heads["genre"]
    assert (quiet.label, quiet.guesses[0]) == (None, ("Jazz", 0.4))


def test_a_label_that_goes_into_another_branch_leaves_the_tree() -> None:
    """What is below a name in the user's words is below it in the model's."""
    mine = relabel(song(0.1, 0.3, 0.2, 0.4), FOREST, {"genre": {"Punk": "Mine", "Jazz": "Mine"}}).heads["genre"]
    assert (mine.label, mine.confidence) == ("Mine", 0.7)
    low = relabel(song(0.25, 0.2, 0.26, 0.29), FOREST, {"genre": {"Punk": "Mine", "Jazz": "Mine"}}).heads["genre"]
    assert (low.label, low.confidence) == (None, 0.49)


def test_what_became_sure_by_other_names_is_among_the_included_labels() -> None:
    said = song(0.0, 0.3, 0.32, 0.38)
    assert said.heads["genre"].label is None and said.heads["genres"].labels == ()
    mine = relabel(said, FOREST, {"genre": {"Punk": "Loud", "Metal": "Loud"}, "genres": {"Metal": "METAL"}})
    assert (mine.heads["genre"].label, mine.heads["genres"].labels) == ("Loud", ("METAL",))
    assert mine.heads["genres"].guesses == ()


def test_what_another_head_contradicts_is_not_guessed_by_other_names() -> None:
    """Nor does its score, which may be above the limit, hide the guesses."""
    against = {"gloomy": {"mood": ("happy",)}, "sad": {"mood": ("happy",)}}
    words = HeadCard("moods", "multilabel", ("gloomy", "sad", "soft", "slow"), contradicts=against)
    heads = (HeadCard("mood", "multiclass", ("happy", "calm")), words)
    found = answers(heads, {"mood": [0.7, 0.3], "moods": [0.9, 0.4, 0.3, 0.2]})
    made = replace(CARD, heads=heads)
    mine = relabel(Prediction("a", 1.0, "m@1", found), made, {"moods": {"gloomy": "dark", "soft": "tender"}})
    assert mine.heads["moods"].guesses == (("tender", 0.3), ("slow", 0.2))
    assert mine.heads["moods"].contradicted == {"dark", "sad"}
    joined = relabel(Prediction("a", 1.0, "m@1", found), made, {"moods": {"gloomy": "dark", "slow": "dark"}})
    assert joined.heads["moods"].guesses == (("soft", 0.3), ("dark", 0.2))
    assert joined.heads["moods"].contradicted == {"sad"}
    again = relabel(mine, replace(made, heads=(heads[0], replace(words, labels=tuple(mine.heads["moods"].scores)))),
                    {"moods": {"dark": "black"}})  # fmt: skip
    assert again.heads["moods"].contradicted == {"black", "sad"}
