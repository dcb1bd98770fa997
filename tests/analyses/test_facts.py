"""Features are facts that survive the way into a record and back, and are asked for by name."""

from __future__ import annotations

import pytest

from earmark.analyses.facts import ANALYSES, KEYS, Key, Loudness, Score, Tempo, choose, feature_from, key_named, untold
from earmark.errors import UnknownName
from earmark.inference.options import HearingOptions


@pytest.mark.parametrize(
    ("name", "feature"),
    [
        ("tempo", Tempo(120.1, 0.9, 60.0)),
        ("key", Key("A minor", "8A", 0.7)),
        ("loudness", Loudness(-9.8, -0.3, -8.2)),
        ("energy", Score(0.7)),
        ("liveness", Score(0.1, estimate=True)),
    ],
)
def test_a_feature_is_the_same_after_a_record(name, feature) -> None:
    assert feature_from(name, feature.to_dict()) == feature


def test_what_is_no_music_has_no_values_but_a_loudness() -> None:
    assert untold(Tempo(120.1, 0.9, 60.0)) == Tempo()
    assert untold(Key("A minor", "8A", 0.7)) == Key()
    assert untold(Score(0.7, estimate=True)) == Score(None, estimate=True)
    assert untold(Loudness(-9.8, -0.3, -8.2)) == Loudness(-9.8, -0.3, -8.2)


def test_names_stand_in_one_order_and_unknown_ones_are_refused() -> None:
    assert choose(None) == tuple(ANALYSES) == (
        "tempo", "key", "loudness", "energy", "valence", "danceability", "acousticness", "instrumentalness",
        "speechiness", "liveness",
    )  # fmt: skip
    assert choose(["key", "tempo", "key"]) == ("tempo", "key")
    with pytest.raises(UnknownName, match=r"did you mean 'tempo'"):
        choose(["tempos"])


def test_names_of_keys() -> None:
    """Each by its name, its place on the wheel, and a fifth up is an hour further."""
    assert len({key.camelot for key in KEYS}) == len({key.value for key in KEYS}) == 24
    for key in KEYS:
        assert key_named(key.value or "") == key_named(key.camelot or "") == key_named(key.musical or "") == key
    hours = {key.value: key.camelot for key in KEYS}
    assert [hours[name] for name in ("C major", "G major", "F major", "A minor", "E minor", "G# minor")] == [
        *("8B", "9B", "7B", "8A", "9A", "1A")
    ]
    assert key_named("Bb").value == "A# major"
    for wrong in ("", "H", "13A", "0B", "A minor seventh"):
        with pytest.raises(UnknownName):
            key_named(wrong)


def test_options_know_the_names_and_their_order() -> None:
    assert HearingOptions(features=("key", "tempo", "key")).features == ("tempo", "key")
    assert HearingOptions(features="all").features == choose(None)
    with pytest.raises(UnknownName, match="tempo"):
        HearingOptions(features=("temp",))
