"""Published corpora with heads and splits of one's own: what the five systems did on them can be asked for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from earmark.datasets import load_dataset
from earmark.datasets.reading import list_readers, reader_module
from earmark.datasets.splits import split
from earmark.errors import DatasetError
from earmark.recipe import load_recipe
from made_corpora import touch, write_fma, write_magnatagatune

MOOD = '[heads.mood]\ncolumn = "valence"\nbins = [0.35, 0.65]\nlabels = ["sad", "neutral", "happy"]\n'


def described(root: Path, reader: str, toml: str = "") -> Path:
    (root / "dataset.toml").write_text(f'reader = "{reader}"\n{toml}', "utf-8")
    return root


def test_numbers_of_a_corpus_become_heads_in_bins_or_as_they_are(tmp_path):
    """S1's mood is Spotify's valence cut in three; danceability and energy are numbers or bins; tracks without stay."""
    toml = MOOD + '[heads.dance]\ncolumn = "danceability"\n[heads.energy]\nbins = [0.5]\nlabels = ["low", "high"]\n'
    dataset = load_dataset(described(write_fma(tmp_path, 60, scored=40), "fma", toml))
    assert dataset.head("mood").labels == ("sad", "neutral", "happy") and dataset.head("dance").task == "regression"
    assert dataset.head("energy").labels == ("low", "high"), "in place of the corpus's own head of that name"
    assert {"genre", "genres", "valence"} < {spec.name for spec in dataset.heads}
    for track in dataset.tracks[:40]:
        valence, energy = track.labels["valence"], track.labels["energy"]
        assert track.labels["mood"] == ("sad" if valence < 0.35 else "neutral" if valence < 0.65 else "happy")
        assert energy in ("low", "high") and isinstance(track.labels["dance"], float)
    assert all(track.labels["mood"] is None for track in dataset.tracks[40:])


def test_labels_of_a_corpus_become_heads(tmp_path):
    """A tag of MagnaTagATune is a column of 0 and 1; a multi-label head keeps its task, and clips without any tag."""
    toml = (
        'top = 2\n[heads.voice]\ncolumn = "singing"\nbins = [0.5]\nlabels = ["instrumental", "sung"]\n'
        '[heads.tags]\nmin_tracks = 60\n[heads.playing]\ntask = "multilabel"\ncolumns = ["guitar", "piano"]\n'
    )
    root = write_magnatagatune(tmp_path)
    with pytest.raises(DatasetError, match=r"the corpus has no column 'singing'; it has: tags"):
        load_dataset(described(root, "magnatagatune", toml))
    whole = load_dataset(described(root, "magnatagatune", toml.replace("top = 2\n", "")), training=True)
    assert whole.head("tags").labels == ("guitar",), "rare tags are left out at training"
    assert (whole.tracks[2].labels["tags"], whole.tracks[2].labels["voice"]) == ((), "instrumental")
    assert (whole.tracks[5].labels["voice"], whole.tracks[3].labels["playing"]) == ("sung", ("guitar", "piano"))


def test_the_recipe_divides_a_corpus_where_it_is_asked_to(tmp_path):
    """S0's 90/5/5 on FMA, S4's 3/4 - 1/4 on FMA and MagnaTagATune; else the corpus's own parts; artists stay apart."""
    fma = write_fma(tmp_path / "fma", 480)
    mtt = write_magnatagatune(tmp_path / "mtt", 320)
    for root, reader, recipe, shares in (
        (fma, "fma", "slices-best", (0.9, 0.05, 0.05)),
        (fma, "fma", "vggish", (0.7, 0.05, 0.25)),
        (mtt, "magnatagatune", "vggish", (0.7, 0.05, 0.25)),
    ):
        plan = load_recipe(recipe).split
        dataset = load_dataset(described(root, reader, 'split = "recipe"\n'))
        parts = split(dataset, plan)
        sizes = [len(part) / len(dataset.tracks) for part in (parts.train, parts.valid, parts.test)]
        assert sizes == pytest.approx(shares, abs=0.02) and parts.group_by == "artist"
        groups = [{dataset.tracks[int(row)].group for row in part} for part in (parts.train, parts.valid, parts.test)]
        assert sum(map(len, groups)) == len(set().union(*groups))
        own = load_dataset(described(root, reader, 'split = "corpus"\n'))
        assert own.has_split and Counter(track.part for track in own.tracks).keys() == {"train", "valid", "test"}
        assert [t.part for t in own.tracks] == [t.part for t in load_dataset(described(root, reader)).tracks]


def test_s1s_balanced_parts_on_fma(tmp_path):
    """Genre and mood at once by the recipe's own defaults: both outputs evenly spread in validation and test."""
    dataset = load_dataset(
        described(write_fma(tmp_path, 900), "fma", f'split = "recipe"\n{MOOD}'), heads=("genre", "mood")
    )
    parts = split(dataset, load_recipe("multi-output").split)
    for part in (parts.valid, parts.test):
        for spec in dataset.heads:
            counts = np.array(list(dataset.counts(spec.name, part).values()))
            assert len(counts) == len(spec.labels) and np.ptp(counts) <= 2, (spec.name, counts)
    assert len(parts.test) > 30 and len(parts.train) > 700


@pytest.mark.parametrize(
    ("reader", "toml", "message"),
    [
        ("fma", 'split = "recipes"\n', r"split = 'recipes': must be 'corpus' or 'recipe'"),
        ("gtzan", 'split = "mine"\n', r"split = 'mine': must be 'corpus'.* or 'recipe'"),
        ("fma", MOOD.replace("[0.35, 0.65]", "[0.65, 0.35]"), r"\[heads.mood\]: bins must rise: write bins = \[0.35,"),
        ("fma", MOOD.replace('"sad", ', ""), r"2 bins cut 3 classes, but labels names 2"),
        ("fma", MOOD.replace("valence", "valance"), r"\[heads.mood\]: .* no column 'valance'; did you mean 'valence'"),
        ("fma", '[heads.Genre]\nbins = [1]\nlabels = ["a", "b"]\n', r"no column 'Genre'; did you mean 'genre'"),
        ("fma", 'heads = "mood"\n', r"heads must be tables: \[heads.NAME\]"),
        ("fma", '[heads.mood]\ncolumn = ["valence"]\n', r"column = \['valence'\]: wrong type; must be text"),
    ],
)  # fmt: skip
def test_what_is_asked_of_a_corpus_wrongly_is_one_line(reader, toml, message, tmp_path):
    root = write_fma(tmp_path, 12)
    touch(root, "genres/blues/blues.00001.au", "genres/jazz/jazz.00001.au")
    with pytest.raises(DatasetError, match=message):
        load_dataset(described(root, reader, toml))


def test_half_a_corpus_names_what_is_missing_and_what_to_do(tmp_path):
    """Tables without audio, audio without tables, one table of two, some of the folders."""
    fma = described(write_fma(tmp_path / "fma", 12), "fma", MOOD)
    (fma / "fma_metadata/echonest.csv").unlink()
    with pytest.raises(
        DatasetError, match=r"no column 'valence'; there is no echonest.csv: .*part of fma_metadata.zip"
    ):
        load_dataset(fma)
    (fma / "fma_metadata/genres.csv").unlink()
    with pytest.raises(DatasetError, match=r"found no genres.csv; expected layout: fma_metadata"):
        load_dataset(fma)
    (write_fma(tmp_path / "tables", 12) / "fma_small").rename(tmp_path / "elsewhere")
    with pytest.raises(
        DatasetError, match=r"none of the 12 listed files is here, .*put the corpus's audio there, or let path"
    ):
        load_dataset(described(tmp_path / "tables", "fma"))
    mtt = described(write_magnatagatune(tmp_path / "mtt"), "magnatagatune")
    (mtt / "clip_info_final.csv").unlink()
    with pytest.raises(DatasetError, match=r"found no clip_info_final.csv; expected layout"):
        load_dataset(mtt)
    for empty in ("fma_metadata/genres.csv", "fma_metadata/tracks.csv", "fma_metadata/echonest.csv"):
        fma = described(write_fma(tmp_path / Path(empty).stem, 12), "fma")
        (fma / empty).write_bytes(b"")
        with pytest.raises(DatasetError, match=f"{empty}: the table is empty"):
            load_dataset(fma)
    jamendo = touch(tmp_path / "jamendo", "audio/14/214.mp3", "data/splits/split-0/autotagging-train.tsv")
    for word in ("train", "validation", "test"):
        (jamendo / f"data/splits/split-0/autotagging-{word}.tsv").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"autotagging-train.tsv: the table is empty"):
        load_dataset(described(jamendo, "mtg_jamendo"))
    gtzan = described(touch(tmp_path / "gtzan", "genres/jazz/jazz.00001.au", "genres/rock/rock.00001.au"), "gtzan")
    assert {track.labels["genre"] for track in load_dataset(gtzan).tracks} == {"jazz", "rock"}
    (gtzan / "train_filtered.txt").write_text("jazz.00001\n")
    with pytest.raises(DatasetError, match=r"valid_filtered.txt: the list cannot be read: .*or let split = \"recipe\""):
        load_dataset(gtzan)
    assert not load_dataset(described(gtzan, "gtzan", 'split = "recipe"\n')).has_split


def test_a_corpus_without_dataset_toml_is_not_taken_for_class_folders(tmp_path):
    """The folders 0 to f of MagnaTagATune are no genres: the line to write is named. Class folders stay such."""
    corpora = {
        "fma": write_fma(tmp_path / "fma", 12),
        "magnatagatune": write_magnatagatune(tmp_path / "mtt"),
        "mtg_jamendo": touch(tmp_path / "mtg", "audio/14/214.mp3", "data/autotagging.tsv"),
        "gtzan": touch(tmp_path / "gtzan", "genres/blues/blues.00001.au", "genres/jazz/jazz.00001.au"),
    }
    assert set(corpora) == {name for name in list_readers() if reader_module(name).MARKS}
    for name, root in corpora.items():
        with pytest.raises(
            DatasetError, match=rf'is of the corpus {name}, .* dataset.toml with the line reader = "{name}"'
        ):
            load_dataset(root)
    assert load_dataset(corpora["gtzan"] / "genres").head("genre").labels == ("blues", "jazz")
