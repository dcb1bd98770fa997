"""Tags become labels only where unrelated taggers agree, whatever each one's own prior."""

from pathlib import Path

import numpy as np
import pytest
from scripts.bundled.agreement import (
    GENRES,
    HEADS,
    INSTRUMENTS,
    NAMED,
    VOICE,
    evidence,
    label_names,
    tag_scores,
    verdicts_of,
    worth,
)
from scripts.bundled.taggers import TAGGERS, labels_of

from earmark.datasets.core import Track

TRACKS = 200


@pytest.fixture
def labels(shared: Path) -> dict[str, tuple[str, ...]]:
    return {name: labels_of(name, shared / "weights") for name in TAGGERS}


def invented(labels: dict[str, tuple[str, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Each tagger's own random word for each tag."""
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(0.01, 0.3, (TRACKS, len(tags))).astype(np.float32) for name, tags in labels.items()}


def everybody_says(found, labels, vocabularies, tags, tracks, probability) -> None:
    for name, table in found.items():
        for tag in tags if TAGGERS[name].vocabulary in vocabularies else ():
            if tag in labels[name]:
                table[tracks, labels[name].index(tag)] = probability


def column(found, labels, head: str, label: str) -> np.ndarray:
    scores = tag_scores(found, labels)
    names, targets = verdicts_of(scores)(scores)[head]
    return targets[:, names.index(label)]


def test_one_vocabulary_alone_makes_no_label(labels) -> None:
    found = invented(labels)
    everybody_says(found, labels, ["MagnaTagATune"], ["piano"], slice(0, 20), 0.9)
    everybody_says(found, labels, ["AudioSet"], ["Piano"], slice(0, 20), 0.0001)
    assert np.isnan(column(found, labels, "instruments", "piano")[:20]).all()
    everybody_says(found, labels, ["AudioSet"], ["Piano"], slice(0, 20), 0.9)
    assert (column(found, labels, "instruments", "piano")[:20] == 1).all()


def test_a_taggers_own_prior_changes_nothing(labels) -> None:
    found = invented(labels)
    before = column(found, labels, "instruments", "flute")
    for name in ("efficientat-mn04", "yamnet"):  # log-odds two lower throughout: rarer in its own corpus
        odds = found[name] / (1 - found[name]) * np.exp(-2.0)
        found[name] = (odds / (1 + odds)).astype(np.float32)
    np.testing.assert_array_equal(before, column(found, labels, "instruments", "flute"))


def test_voice_never_contradicts_itself(labels) -> None:
    scores = tag_scores(invented(labels), labels)
    names, targets = verdicts_of(scores)(scores)["voice"]
    of = {name: targets[:, place] for place, name in enumerate(names)}
    np.testing.assert_array_equal(of["instrumental"], 1 - of["vocal"])
    for label in ("male", "female", "rap", "choir"):
        assert (of[label][of["vocal"] == 0] == 0).all()
    assert not ((of["male"] == 1) & (of["female"] == 1)).any()
    assert np.isnan(of["male"][np.isnan(of["vocal"])]).all()


@pytest.mark.parametrize("table", [INSTRUMENTS, VOICE, GENRES, NAMED])
def test_every_name_of_the_tables_is_a_tag_and_every_label_has_two_views(labels, table) -> None:
    known = {}
    for name, tags in labels.items():
        known.setdefault(TAGGERS[name].vocabulary, set()).update(tags)
    for label, tag in table.items():
        assert len(tag.tags) >= (1 if tag.by_network else 2), label
        for names in (tag.tags, tag.against):
            for vocabulary, wanted in names.items():
                assert set(wanted) <= known[vocabulary], label


def test_an_echo_of_another_instrument_is_unknown(labels) -> None:
    """Two tracks that both networks of AudioSet call brass: on one, a saxophone stands far above it."""
    found = invented(labels)
    brass, saxophone = ["Brass instrument"], ["Saxophone"]
    everybody_says(found, labels, ["AudioSet"], brass, slice(0, 2), 0.9)
    everybody_says(found, labels, ["AudioSet"], saxophone, slice(0, 1), 0.999)
    assert np.isnan(column(found, labels, "instruments", "brass")[0])
    assert column(found, labels, "instruments", "brass")[1] == 1
    assert column(found, labels, "instruments", "saxophone")[0] == 1


def test_labels_without_evidence_are_looked_at_and_left_out(labels) -> None:
    scores = tag_scores(invented(labels), labels)
    targets = verdicts_of(scores)(scores)
    for head in HEADS:
        assert targets[head][0] == label_names(head)
        assert targets[head][1].shape == (TRACKS, len(label_names(head)))
    assert "sitar" in scores["instruments"]
    assert "sitar" not in label_names("instruments")


def test_evidence_counts_songs_artists_and_agreement(labels, tmp_path: Path) -> None:
    found = invented(labels)
    everybody_says(found, labels, ["MagnaTagATune", "AudioSet"], ["flute", "Flute"], slice(0, 10), 0.95)
    tracks = [Track(tmp_path / str(row), str(row), f"artist {row // 2}", None, {}) for row in range(TRACKS)]
    grounds = evidence(tag_scores(found, labels), tracks)["instruments"]
    assert (grounds["flute"].songs, grounds["flute"].artists) == (10, 5)
    assert grounds["flute"].kappa > 0.95
    assert abs(grounds["cello"].kappa) < 0.3


def test_the_taggers_word_is_worth_what_people_say_of_the_same_tracks(labels, tmp_path: Path) -> None:
    """Both name jazz on 24 tracks (its share), of which people call 18 so; people call 10 others so that none names."""
    found = invented(labels)
    everybody_says(found, labels, ["Million Song Dataset", "AudioSet"], ["jazz", "Jazz"], slice(0, 24), 0.95)
    for table in found.values():  # too short for any tagger
        table[-1] = np.nan
    given = ["jazz" if row < 18 or 24 <= row < 34 else "pop" for row in range(TRACKS - 1)] + ["jazz"]
    tracks = [Track(tmp_path / str(row), str(row), "", None, {"genre": name}) for row, name in enumerate(given)]
    of = worth(tag_scores(found, labels), tracks)
    jazz = of["Jazz"]
    assert jazz.yes == pytest.approx(18 / 24)
    assert jazz.found == pytest.approx(18 / 28)
    assert jazz.alone == pytest.approx(18 / 24)
    assert 0 < jazz.no < 0.1
    assert np.isnan(of["Hip-Hop"].found), "nobody calls a track so"
