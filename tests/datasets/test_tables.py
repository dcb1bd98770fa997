"""Tables: every kind of label of the design, and one clear error for everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earmark.datasets import load_dataset, without_label
from earmark.errors import DatasetError, UnknownName
from made_corpora import touch, write_table, write_tone

GENRE = '[heads.genre]\ncolumn = "genre"\n'
ROWS = [["path", "genre"], ["a.ogg", "rock"], ["b.ogg", "jazz"], ["c.ogg", ""]]


def test_every_kind_of_head_of_the_design(tmp_path):
    """The example of the design reads as it says: edges and thresholds belong above, empty cells are unlabelled."""
    toml = """
name = "example"
group = "artist"
split = "split"
licence = "CC0"
[heads.quadrant]
column = "quadrant"
[heads.genres]
column = "genres"
task = "multilabel"
separator = ";"
min_tracks = 2
[heads.mood]
column = "valence"
bins = [0.35, 0.55]
labels = ["sad", "neutral", "happy"]
[heads.emotions]
task = "multilabel"
columns = ["calmness", "tension"]
threshold = 0.4
[heads.energy]
column = "energy"
task = "regression"
"""
    rows = [
        ["path", "artist", "split", "quadrant", "genres", "valence", "calmness", "tension", "energy"],
        ["a.ogg", "A", "train", "Q1", "rock;pop", "0.35", "0.4", "0.39", "-1.5"],
        ["b.ogg", "a", "Test", "Q2", "rock", "0.55", "0", "0", ""],
        ["c.ogg", "B", "none", "", "", "", "", "1", "2"],
    ]
    dataset = load_dataset(write_table(tmp_path, rows, toml), training=True)
    assert [dataset.name, dataset.licence, dataset.group_by, dataset.has_split] == ["example", "CC0", "artist", True]
    assert [spec.name for spec in dataset.heads] == ["quadrant", "genres", "mood", "emotions", "energy"]
    a, b, c = dataset.tracks
    assert a.group == b.group != c.group, "spelling by case is one artist"
    assert [track.part for track in dataset.tracks] == ["train", "test", None]
    assert dataset.head("mood").labels == ("sad", "neutral", "happy"), "the order of the bins, not of the alphabet"
    assert [track.labels["mood"] for track in dataset.tracks] == ["neutral", "happy", None]
    assert [track.labels["emotions"] for track in dataset.tracks] == [("calmness",), (), None]
    assert [track.labels["energy"] for track in dataset.tracks] == [-1.5, None, 2.0]
    assert dataset.head("genres").labels == ("rock",), "pop has fewer than min_tracks"
    np.testing.assert_array_equal(dataset.targets("genres"), [[1], [1], [np.nan]])
    assert any("genres: 1 of 2 labels" in notice for notice in dataset.notices)
    assert any("'none'" in notice and "1 of 3" in notice for notice in dataset.notices)


def test_min_tracks_counts_at_training_only(tmp_path):
    toml = GENRE + "min_tracks = 2\n"
    root = write_table(tmp_path, [*ROWS, ["d.ogg", "rock"]], toml)
    assert load_dataset(root).head("genre").labels == ("jazz", "rock")
    assert load_dataset(root, training=True).head("genre").labels == ("rock",)


def test_heads_are_picked_by_name_and_order(tmp_path):
    root = write_table(tmp_path, ROWS, GENRE + '[heads.again]\ncolumn = "genre"\n')
    assert [spec.name for spec in load_dataset(root, heads=["again", "genre"]).heads] == ["again", "genre"]
    with pytest.raises(UnknownName, match="unknown head 'gerne'; did you mean 'genre'"):
        load_dataset(root, heads=["gerne"])
    with pytest.raises(DatasetError, match="no head is chosen"):
        load_dataset(root, heads=[])


def test_labels_from_the_files_own_tags(tmp_path):
    """``tag:genre`` reads the files; the artist column of the table still groups."""
    rows = [["path", "artist"], ["a.flac", "A"], ["b.flac", "B"]]
    root = write_table(
        tmp_path, rows, '[heads.genre]\ncolumn = "tag:genre"\n[heads.both]\ncolumn = "tag:genre"\ntask = "multilabel"\n'
    )
    write_tone(root / "a.flac", tags={"genre": "Rock; Pop"})
    write_tone(root / "b.flac")
    a, b = load_dataset(root).tracks
    assert (a.labels, b.labels) == ({"genre": "Rock; Pop", "both": ("Rock", "Pop")}, {"genre": None, "both": None})
    (root / "dataset.toml").write_text('table = "tracks.tsv"\n[heads.genre]\ncolumn = "tag:gener"\n')
    with pytest.raises(DatasetError, match="no file has the tag 'gener'; did you mean 'tag:genre'"):
        load_dataset(root)


def test_images_and_audio_do_not_mix(tmp_path):
    rows = [["path", "genre"], ["a.png", "x"], ["b.PNG", "y"]]
    assert load_dataset(write_table(tmp_path / "images", rows, GENRE)).kind == "images"
    with pytest.raises(DatasetError, match=r"tracks.tsv:4: 'c.ogg'"):
        load_dataset(write_table(tmp_path / "mixed", [*rows, ["c.ogg", "z"]], GENRE))


def test_tables_as_spreadsheets_write_them(tmp_path):
    """Semicolons for commas, a byte order mark, quotes around cells, and quotes that belong to a title."""
    touch(tmp_path, "a, b.ogg", "c.ogg")
    (tmp_path / "t.csv").write_bytes('\ufeffpath;genre\r\n"a, b.ogg";"rock"\r\nc.ogg;jazz\r\n'.encode())
    (tmp_path / "dataset.toml").write_text('table = "t.csv"\n' + GENRE)
    assert [track.labels["genre"] for track in load_dataset(tmp_path).tracks] == ["rock", "jazz"]
    rows = [["path", "genre", "title"], ["a, b.ogg", '"rock"', '"Heroes" (live)'], ["c.ogg", "jazz", '7" mix']]
    assert [t.labels["genre"] for t in load_dataset(write_table(tmp_path, rows, GENRE)).tracks] == ["rock", "jazz"]


def test_group_falls_back_to_album_then_track(tmp_path):
    """Without artists the split is weaker, and the data set says so."""
    rows = [["path", "artist", "album", "genre"], ["a.ogg", "Various Artists", "Hits", "x"], ["b.ogg", "", "hits", "y"]]
    album = load_dataset(write_table(tmp_path / "album", rows, GENRE))
    assert album.group_by == "album" and len({track.group for track in album.tracks}) == 1
    assert "grouped by album" in album.notices[0]
    track = load_dataset(write_table(tmp_path / "track", ROWS, GENRE))
    assert track.group_by == "track" and len({t.group for t in track.tracks}) == 3
    assert "grouped by track" in track.notices[0]


BAD = {
    "wrong column": (
        ROWS,
        GENRE.replace('"genre"', '"gerne"'),
        r"\[heads.genre\]: .*no column 'gerne'; did you mean 'genre'",
    ),
    "no path column": ([["file", "genre"], ["a.ogg", "x"]], GENRE, r"tracks.tsv:1: there is no column 'path'"),
    "missing file": (
        [*ROWS, ["gone.ogg", "x"], ["gone2.ogg", "x"]],
        GENRE,
        r"tracks.tsv:5: no such file: .*gone.ogg \(and 1 more",
    ),
    "duplicate path": ([*ROWS, ["./a.ogg", "x"]], GENRE, r"tracks.tsv:5: the path 'a.ogg' stands in line 2 already"),
    "empty path": ([*ROWS, ["", "x"]], GENRE, "tracks.tsv:5: the path is empty"),
    "too many cells": ([*ROWS, ["d.ogg", "x", "y"]], GENRE, "tracks.tsv:5: 3 cells, but 2 columns"),
    "two columns of one name": (
        [["path", "genre", "genre"], ["a.ogg", "x", "y"]],
        GENRE,
        "two columns are named 'genre'",
    ),
    "no rows": (ROWS[:1], GENRE, "names columns but no tracks"),
    "long label": ([*ROWS, ["d.ogg", "x" * 200]], GENRE, "tracks.tsv:5: a label of 200 characters"),
    "no label at all": ([ROWS[0], ["a.ogg", ""]], GENRE, "the column 'genre' is empty in every row"),
    "fractions as classes": (
        [ROWS[0], ["a.ogg", "1"], ["b.ogg", "0.25"]],
        GENRE,
        r"holds numbers \(0.25 in tracks.tsv:3\)",
    ),
    "text as number": (ROWS, GENRE + 'task = "regression"\n', "tracks.tsv:2: 'rock' in column 'genre' is not a number"),
    "nan as number": (
        [ROWS[0], ["a.ogg", "nan"]],
        GENRE + 'task = "regression"\n',
        "'nan' in column 'genre' is not a number",
    ),
    "unknown split words": (
        [["path", "genre", "s"], ["a.ogg", "x", "training"], ["b.ogg", "y", "dev"]],
        'split = "s"\n' + GENRE,
        r"column 's' holds 'dev', 'training', but never train, valid or test; did you mean 'valid' by 'dev'",
    ),
    "split column missing": (ROWS, 'split = "sides"\n' + GENRE, "split: .*no column 'sides'"),
    "group column missing": (ROWS, 'group = "artist"\n' + GENRE, "group: .*no column 'artist'"),
    "two heads of one name": (ROWS, GENRE + GENRE, "two heads of one name"),
    "two heads but for case": (
        ROWS,
        GENRE + GENRE.replace("heads.genre", "heads.Genre"),
        "two heads of one name: 'genre' and 'Genre'",
    ),
    "reserved head": (ROWS, GENRE.replace("heads.genre", "heads.embedding"), "cannot be named 'embedding'"),
    "unknown key": (ROWS, 'spilt = "x"\n' + GENRE, r"dataset.toml: unknown key 'spilt'; did you mean 'split'"),
    "unknown head key": (
        ROWS,
        GENRE + 'seperator = ","\n',
        r"\[heads.genre\]: unknown key 'seperator'; did you mean 'separator'",
    ),
    "wrong type": (ROWS, GENRE + 'min_tracks = "3"\n', "min_tracks = '3': wrong type; must be a whole number"),
    "wrong type of table": (ROWS, "split = 3\n" + GENRE, "split = 3: must be text"),
    "unknown task": (ROWS, GENRE + 'task = "multi-label"\n', "task = 'multi-label'; did you mean 'multilabel'"),
    "bins and labels": (
        ROWS,
        GENRE + 'bins = [1, 2]\nlabels = ["a", "b"]\n',
        "2 bins cut 3 classes, but labels names 2",
    ),
    "falling bins": (ROWS, GENRE + 'bins = [2, 1]\nlabels = ["a", "b", "c"]\n', "bins must rise"),
    "label outside the list": (
        ROWS,
        GENRE + 'labels = ["rocky", "jazz"]\n',
        "tracks.tsv:2: 'rock' is not in the labels .*did you mean 'rocky'",
    ),
    "no heads": (ROWS, "", "the key 'heads' is missing"),
    "damaged toml": (ROWS, "[heads", "not valid TOML"),
    "reader and table": (ROWS, 'reader = "fma"\n' + GENRE, "reader and table exclude each other"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_get_one_clear_error(case, tmp_path):
    """Each names the line, column or key, in one line."""
    rows, toml, message = BAD[case]
    with pytest.raises(DatasetError, match=message) as caught:
        load_dataset(write_table(tmp_path, rows, toml), training=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("raw", [b"path\tgenre\na.ogg\tcaf\xe9\n", "path\tgenre\na.ogg\tx\n".encode("utf-16")])
def test_wrong_encoding_names_the_line(raw, tmp_path):
    root = write_table(tmp_path, ROWS, GENRE)
    (root / "tracks.tsv").write_bytes(raw)
    with pytest.raises(DatasetError, match=r"tracks.tsv:[12]: not UTF-8.*save the table in the encoding UTF-8"):
        load_dataset(root)


def test_whole_numbers_may_be_names(tmp_path):
    """Decades and stars are labels; only fractions are surely a quantity."""
    rows = [["path", "genre"], ["a.ogg", "1980"], ["b.ogg", "1990"]]
    assert load_dataset(write_table(tmp_path, rows, GENRE)).head("genre").labels == ("1980", "1990")


def test_labels_are_composed_and_paths_are_of_any_system(tmp_path):
    """One word is one label, however a file system spells its accents; Windows' separators are understood."""
    rows = [["path", "genre"], ["a.ogg", "Fo\u0301lk"], ["x/b.ogg", "F\u00f3lk"], ["x/c.ogg", "F\u00f3lk"]]
    root = write_table(tmp_path, rows, GENRE)
    (root / "tracks.tsv").write_text((root / "tracks.tsv").read_text("utf-8").replace("x/c", "x\\c"), "utf-8")
    dataset = load_dataset(root)
    assert [track.name for track in dataset.tracks] == ["a.ogg", "x/b.ogg", "x/c.ogg"]
    assert dataset.head("genre").labels == ("F\u00f3lk",)


def test_paths_that_are_no_data_set(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="a file, not a folder"):
        load_dataset(write_tone(tmp_path / "a.wav"))
    (tmp_path / "dataset.toml").write_text('reader = "fmaa"\n')
    with pytest.raises(DatasetError, match="no such reader; did you mean 'fma'"):
        load_dataset(tmp_path)
    (tmp_path / "dataset.toml").write_text('name = "x"\n')
    with pytest.raises(DatasetError, match="neither table nor reader"):
        load_dataset(tmp_path)


def test_a_label_can_be_left_out(tmp_path):
    dataset = without_label(load_dataset(write_table(tmp_path, ROWS, GENRE)), "genre", "jazz")
    assert dataset.head("genre").labels == ("rock",) and [t.name for t in dataset.tracks] == ["a.ogg", "c.ogg"]
    with pytest.raises(UnknownName, match="unknown label of head 'genre' 'rok'; did you mean 'rock'"):
        without_label(dataset, "genre", "rok")


REAL = {
    "moods900": (676, {"quadrant": 4, "valence": 2, "arousal": 2, "genres": 21, "moods": 213}),
    "emotify400": (300, {"genre": 4, "mood": 3, "emotions": 9}),
    "gtzan-short": (379, {"genre": 10}),
    "gtzan-spectrograms": (709, {"genre": 10}),
    "emotify400/audio": (300, {"genre": 4}),
}


@pytest.mark.parametrize("name", REAL)
def test_real_data(name, shared: Path):
    """All the real data sets read as their README counts them."""
    dataset = load_dataset(shared / "data" / name)
    tracks, labels = REAL[name]
    assert len(dataset.tracks) == tracks
    assert {spec.name: len(spec.labels) for spec in dataset.heads} == labels


def test_real_folder_and_table_agree(shared: Path):
    """The folders of emotify400 and its table are one data set: same labels, same artists (here by the files' tags)."""
    table = {t.path: t for t in load_dataset(shared / "data/emotify400").tracks}
    for track in load_dataset(shared / "data/emotify400/audio").tracks:
        assert track.labels["genre"] == table[track.path].labels["genre"]
        assert track.group == table[track.path].group


def tagged(folder: Path, *artists: str, album: str = "") -> None:
    """Songs 0.flac, 1.flac, ... by these artists, as their own tags say."""
    for number, artist in enumerate(artists):
        tags = {name: text for name, text in (("artist", artist), ("album", album)) if text}
        write_tone(folder / f"{number}.flac", tags=tags)


def rows_of(count: int, *columns: str, **values: list[str]) -> list[list[str]]:
    cells = {"path": [f"{n}.flac" for n in range(count)], "genre": ["x", "y"] * count, **values}
    return [list(cells), *(list(row) for row in zip(*cells.values(), strict=False))][: count + 1]


def test_the_files_own_artists_count_where_the_table_names_none(tmp_path):
    root = write_table(tmp_path, rows_of(3), GENRE)
    tagged(root, "Ann", "ANN", "Bob")
    dataset = load_dataset(root)
    assert dataset.group_by == "artist" and [track.group for track in dataset.tracks] == ["Ann", "Ann", "Bob"]
    assert any("the files' own tags do instead (they name 3 of 3)" in line for line in dataset.notices)


def test_the_files_own_albums_count_where_nobody_names_an_artist(tmp_path):
    root = write_table(tmp_path, rows_of(2), GENRE)
    tagged(root, "", "", album="Hits")
    dataset = load_dataset(root)
    assert dataset.group_by == "album" and len({track.group for track in dataset.tracks}) == 1


def test_group_may_be_any_tag_of_the_files(tmp_path):
    rows = rows_of(3, artist=["A", "A", "A"])
    root = write_table(tmp_path, rows, 'group = "tag:artist"\n' + GENRE)
    tagged(root, "Ann", "Bob", "Bob", album="Hits")
    assert [track.group for track in load_dataset(root).tracks] == ["Ann", "Bob", "Bob"]
    (root / "dataset.toml").write_text('table = "tracks.tsv"\ngroup = "tag:album"\n' + GENRE)
    album = load_dataset(root)
    assert album.group_by == "album" and len({track.group for track in album.tracks}) == 1
    (root / "dataset.toml").write_text('table = "tracks.tsv"\ngroup = "tag:artits"\n' + GENRE)
    with pytest.raises(DatasetError, match="group: no file has the tag 'artits'; did you mean 'tag:artist'"):
        load_dataset(root)


def test_a_group_column_that_is_half_empty_says_so_and_is_filled_by_the_tags(tmp_path):
    rows = rows_of(4, artist=["Ann", "", "", "Various Artists"])
    root = write_table(tmp_path, rows, 'group = "artist"\n' + GENRE)
    tagged(root, "Ann", "ann", "", "Bob")
    dataset = load_dataset(root)
    assert [track.group for track in dataset.tracks] == ["Ann", "Ann", "track: 2.flac", "Bob"]
    line = next(line for line in dataset.notices if "is empty" in line)
    assert (
        "the column 'artist' is empty in 2 of 4 rows, first in tracks.tsv:3: fill it in" in line and "in 1 rows" in line
    )


@pytest.mark.parametrize(
    ("table", "files", "wrong"),
    [
        (["Ann", "Ann", "Bob", "Bob"], ["Ann", "ann", "Bob", "BOB"], 0),
        (["Ann", "Ann", "Bob", "Bob"], ["Ann", "Bob", "Bob", "Bob"], 1),
        (["Ann", "Ann", "Bob", "Bob"], ["Bob", "Bob", "Ann", "Ann"], 4),
        (["a1", "a1", "a2", "a2"], ["Ann", "Ann", "Bob", "Bob"], 0),  # numbers, one an artist
        (["a1", "a2", "a3", "a3"], ["Ann", "Ann", "Bob", "Bob"], 2),  # but here one artist has two
        (["x", "x", "x", "x"], ["Ann", "Ann", "Bob", "Bob"], 0),  # coarser: nobody is torn apart
        (["The Beatles", "AC/DC"] * 2, ["Beatles, The", "AC-DC"] * 2, 0),  # spellings
        (["Ann", "Ann", "Bob", "Bob"], ["Various Artists", "Unknown Artist", "Bob", "Bob"], 0),  # nobody is no other
        (["a1", "a2", "a3", "a4"], ["Various Artists", "Various Artists", "Ann", "Bob"], 0),
    ],
)
def test_a_table_whose_artists_contradict_the_files_says_so(tmp_path, table, files, wrong):
    root = write_table(tmp_path, rows_of(4, artist=table), GENRE)
    tagged(root, *files)
    dataset = load_dataset(root)
    lines = [line for line in dataset.notices if "different artists" in line]
    assert bool(lines) == bool(wrong)
    if wrong:
        assert f"for {wrong} of 4 tracks" in lines[0] and 'group = "tag:artist" goes by the files' in lines[0]
    assert [track.group for track in dataset.tracks] == table, "the table counts"


def test_unknown_words_of_a_split_say_what_to_write(tmp_path):
    rows = rows_of(4, part=["train", "test", "trian", "later"])
    notices = load_dataset(write_table(tmp_path, rows, 'split = "part"\n' + GENRE)).notices
    assert any("2 of 4 tracks are unused ('later', 'trian'); did you mean 'train' by 'trian'?" in n for n in notices)
    rows = rows_of(4, part=["train", "test", "", "later"])
    notices = load_dataset(write_table(tmp_path / "b", rows, 'split = "part"\n' + GENRE)).notices
    assert any("to use them, write train, valid or test" in n for n in notices)
