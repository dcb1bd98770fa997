"""Readers of folders and corpora, each on a tiny made-up copy of its layout; none of them downloads."""

from __future__ import annotations

import pytest

from cases import make_case
from earmark.datasets import list_readers, load_dataset
from earmark.datasets.reading import reader_module
from earmark.errors import DatasetError
from made_corpora import touch, write_tone


def described(folder, toml):
    """A dataset.toml in a folder of its own, which reads a corpus that lies elsewhere."""
    folder.mkdir(exist_ok=True)
    (folder / "dataset.toml").write_text(toml)
    return folder


@pytest.mark.parametrize("kind", ["eadir", "macosx", "windows", "art", "recycle"])
def test_folders_of_systems_and_of_artwork_are_no_classes(tmp_path, shared, kind):
    folder = make_case(shared, "11", tmp_path / "made", kind, songs=1)
    dataset = load_dataset(folder)
    assert {head.name: head.labels for head in dataset.heads} == {"genre": ("pop", "rock")}
    assert len(dataset.tracks) == 12
    assert ("Artwork: pictures, no songs: left out" in dataset.notices) is (kind == "art")


def labels_of(dataset, head):
    return {track.name: track.labels[head] for track in dataset.tracks}


def test_readers_are_found_by_module_and_say_what_they_read():
    assert set(list_readers()) >= {"folder", "table", "fma", "gtzan", "magnatagatune", "mtg_jamendo"}
    for name in list_readers():
        module = reader_module(name)
        assert module.LAYOUT
        assert name in ("folder", "table") or (module.LICENCE and module.CITATION and module.MARKS)


def test_folders_are_labels_and_artists(tmp_path):
    """First level the label, second the artist; without one the file's own tag says who it is."""
    touch(
        tmp_path, "rock/Ann/1.ogg", "rock/Ann/album/2.ogg", "jazz/3.ogg", "cover.jpg", ".trash/gone.ogg", "rock/._1.ogg"
    )
    write_tone(tmp_path / "jazz/4.flac", tags={"artist": "ANN", "album": "x"})
    dataset = load_dataset(tmp_path)
    assert labels_of(dataset, "genre") == {
        "jazz/3.ogg": "jazz", "jazz/4.flac": "jazz", "rock/Ann/1.ogg": "rock", "rock/Ann/album/2.ogg": "rock"
    }  # fmt: skip
    groups = {track.name: track.group for track in dataset.tracks}
    assert groups["rock/Ann/1.ogg"] == groups["rock/Ann/album/2.ogg"] == groups["jazz/4.flac"] != groups["jazz/3.ogg"]
    assert dataset.group_by == "artist" and "1 of 4 tracks name no artist" in dataset.notices[0]


def test_levels_are_heads(tmp_path):
    touch(tmp_path, "music/rock/punk/Ann/1.ogg", "music/rock/2.ogg", "music/jazz/bop/3.ogg", "music/4.ogg")
    toml = 'reader = "folder"\npath = "music"\nname = "mine"\nlevels = ["genre", "subgenre"]\n'
    dataset = load_dataset(described(tmp_path, toml))
    assert dataset.name == "mine"
    assert labels_of(dataset, "subgenre") == {
        "rock/punk/Ann/1.ogg": "punk",
        "rock/2.ogg": None,
        "jazz/bop/3.ogg": "bop",
    }
    assert dataset.head("genre").labels == ("jazz", "rock")
    assert {t.name: t.group for t in dataset.tracks}["rock/punk/Ann/1.ogg"] == "Ann"
    assert "1 files stand in no class folder" in dataset.notices[0]


def test_a_collection_labelled_by_its_tags(tmp_path):
    write_tone(tmp_path / "a.flac", tags={"genre": "Rock", "artist": "A"})
    write_tone(tmp_path / "deep/b.flac", tags={"genre": "Jazz", "artist": "B"})
    dataset = load_dataset(described(tmp_path, 'reader = "folder"\nlevels = []\n[heads.genre]\ncolumn = "tag:genre"\n'))
    assert labels_of(dataset, "genre") == {"a.flac": "Rock", "deep/b.flac": "Jazz"}


@pytest.mark.parametrize(
    ("files", "toml", "message"),
    [
        (["rock/1.ogg", "jazz/readme.txt"], "", "jazz: the class folder is empty"),
        (["1.ogg", "2.ogg"], "", "no music in class folders here"),
        (["rock/readme.txt"], "", "no audio files"),
        ([f"{'x' * 200}/1.ogg"], "", "a label of 200 characters"),
        (["rock/1.ogg"], 'reader = "folder"\nlevels = ["genre", "Genre"]\n', "two heads of one name"),
        (["rock/1.ogg"], 'reader = "folder"\nlevel = ["genre"]\n', "unknown key 'level'; did you mean 'levels'"),
        (["rock/1.ogg"], 'reader = "folder"\nlevels = "genre"\n', "levels = 'genre': must be a list of texts"),
        (["rock/1.ogg"], 'reader = "folder"\npath = "gone"\n', "path = 'gone': no such folder"),
        (["rock/1.ogg"], 'reader = "folder"\n[heads.x]\ncolumn = "genre"\n', "only its files' tags, as in 'tag:genre'"),
    ],
)
def test_bad_folders_get_one_clear_error(files, toml, message, tmp_path):
    touch(tmp_path, *files)
    if toml:
        described(tmp_path, toml)
    with pytest.raises(DatasetError, match=message):
        load_dataset(tmp_path)


def make_gtzan(root):
    touch(root, *(f"genres/{g}/{g}.{i:05d}.au" for g in ("blues", "jazz") for i in (0, 1, 2, 54)))
    return described(root / "mine", f'reader = "gtzan"\npath = "{root.as_posix()}"\n')


def test_gtzan_reads_the_published_lists(tmp_path):
    """Both published forms of the fault-filtered lists: paths, and numbers in the order of the genres."""
    toml = make_gtzan(tmp_path)
    (tmp_path / "train_filtered.txt").write_text("blues/blues.00000.wav\njazz/jazz.00000.wav\n")
    (tmp_path / "valid_filtered.txt").write_text("     2\n   502\n")
    (tmp_path / "test_filtered.txt").write_text("blues.00002\n")
    dataset = load_dataset(toml)
    assert {t.name[:-3]: t.part for t in dataset.tracks if t.part} == {
        "blues/blues.00000": "train", "blues/blues.00001": "valid", "blues/blues.00002": "test",
        "jazz/jazz.00000": "train", "jazz/jazz.00001": "valid",
    }  # fmt: skip
    assert dataset.has_split and "jazz/jazz.00054.au" not in {t.name for t in dataset.tracks}
    assert dataset.notices[0] == "jazz.00054 is broken in GTZAN as published: left out"
    assert labels_of(dataset, "genre")["jazz/jazz.00002.au"] == "jazz" and len(dataset.head("genre").labels) == 10
    (tmp_path / "test_filtered.txt").write_text("blues.00000\n")
    with pytest.raises(DatasetError, match=r"test_filtered.txt:1: blues.00000 is in the list of train already"):
        load_dataset(toml)
    (tmp_path / "test_filtered.txt").write_text("polka.00000\n")
    with pytest.raises(DatasetError, match=r"test_filtered.txt:1: 'polka.00000' names no track"):
        load_dataset(toml)
    (tmp_path / "test_filtered.txt").unlink()
    with pytest.raises(DatasetError, match=r"test_filtered.txt: the list cannot be read"):
        load_dataset(toml)


def test_gtzan_without_lists_says_so_and_leaves_known_faults_out(tmp_path):
    toml = make_gtzan(tmp_path)
    (tmp_path / "repeats.txt").write_text("blues.00000 blues.00001\n")
    (tmp_path / "mislabelled.txt").write_text("jazz.00002\n")
    dataset = load_dataset(toml)
    assert {"blues/blues.00001.au", "jazz/jazz.00002.au"}.isdisjoint(t.name for t in dataset.tracks)
    assert not dataset.has_split and any("lists of the fault-filtered split are not in" in n for n in dataset.notices)
    assert dataset.citation.startswith("Tzanetakis")


FMA_TRACKS = """,album,artist,set,set,track,track
,id,id,split,subset,genre_top,genres_all
track_id,,,,,,
2,1,1,training,small,Hip-Hop,"[21]"
3,1,1,validation,medium,,"[21, 12]"
5,2,2,test,small,Rock,"[12]"
98565,2,2,training,small,Rock,"[12]"
155000,3,3,training,large,Rock,"[]"
155001,3,3,training,small,Rock,"[12]"
"""
FMA_ECHONEST = """,echonest,echonest,echonest,echonest,echonest,echonest,echonest,echonest,echonest
,audio_features,audio_features,audio_features,audio_features,audio_features,audio_features,audio_features,audio_features,metadata
,acousticness,danceability,energy,instrumentalness,liveness,speechiness,tempo,valence,album_name
track_id,,,,,,,,,
2,0.1,0.2,0.3,0.4,0.5,0.6,120.0,0.8,Food
"""


def make_fma(root, echonest=True):
    touch(root, "fma_large/000/000002.mp3", "fma_large/000/000003.mp3", "fma_large/000/000005.mp3")
    touch(root, "fma_large/098/098565.mp3", "fma_large/155/155000.mp3")
    metadata = root / "fma_metadata"
    metadata.mkdir()
    (metadata / "tracks.csv").write_text(FMA_TRACKS)
    (metadata / "genres.csv").write_text("genre_id,#tracks,parent,title,top_level\n21,1,0,Hip-Hop,21\n12,1,0,Rock,12\n")
    if echonest:
        (metadata / "echonest.csv").write_text(FMA_ECHONEST)
    return root


def test_fma_reads_its_three_row_headers_and_subsets(tmp_path):
    """A subset holds the smaller ones; its own split, artists, all genres and audio features are read."""
    folder = described(make_fma(tmp_path), 'reader = "fma"\nsubset = "medium"\n')
    dataset = load_dataset(folder)
    assert [(t.name, t.part, t.group) for t in dataset.tracks] == [
        ("000/000002.mp3", "train", "1"), ("000/000003.mp3", "valid", "1"), ("000/000005.mp3", "test", "2"),
    ]  # fmt: skip
    assert [t.labels["genre"] for t in dataset.tracks] == ["Hip-Hop", None, "Rock"]
    assert dataset.tracks[1].labels["genres"] == ("Hip-Hop", "Rock")
    assert (dataset.tracks[0].labels["valence"], dataset.tracks[0].labels["tempo"]) == (0.8, 120.0)
    assert dataset.tracks[1].labels["valence"] is None and dataset.head("energy").task == "regression"
    assert "1 tracks known to have no audio: left out" in dataset.notices
    assert "1 of 4 listed files are missing or empty: left out" in dataset.notices
    assert len(dataset.heads) == 10
    assert len(load_dataset(described(folder, 'reader = "fma"\nsubset = "small"\n')).tracks) == 2
    assert len(load_dataset(described(folder, 'reader = "fma"\nsubset = "large"\n')).tracks) == 4


def test_fma_in_part_or_damaged(tmp_path):
    folder = described(make_fma(tmp_path, echonest=False), 'reader = "fma"\nsubset = "large"\n')
    dataset = load_dataset(folder)
    assert [spec.name for spec in dataset.heads] == ["genre", "genres"]
    assert any("no echonest.csv" in notice for notice in dataset.notices)
    table = tmp_path / "fma_metadata/tracks.csv"
    for text, message in (
        (FMA_TRACKS.replace("[21]", "[99]"), "tracks.csv:4: genres_all = "),
        (FMA_TRACKS.replace("genre_top", "genretop"), "no column 'track.genre_top'; did you mean 'track.genretop'"),
        ("a,b\n1,2\n", "not a table of FMA"),
    ):
        table.write_text(text)
        with pytest.raises(DatasetError, match=message):
            load_dataset(folder)
    table.write_text(FMA_TRACKS)
    with pytest.raises(DatasetError, match="subset = 'tiny': must be one of small"):
        load_dataset(described(folder, 'reader = "fma"\nsubset = "tiny"\n'))
    with pytest.raises(DatasetError, match=r"found no tracks.csv; expected layout: fma_metadata"):
        load_dataset(described(tmp_path / "empty", 'reader = "fma"\n'))


def test_magnatagatune_tags_artists_and_folder_split(tmp_path):
    names = ["0/a-1.mp3", "b/b-1.mp3", "c/c-1.mp3", "d/d-1.mp3", "f/a-2.mp3"]
    touch(tmp_path, *names)
    flags = [(1, 0, 1), (1, 1, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0)]
    lines = ['"clip_id"\t"guitar"\t"no voice"\t"flute"\t"mp3_path"']
    lines += ["\t".join(f'"{cell}"' for cell in (i, *flags[i], name)) for i, name in enumerate(names)]
    (tmp_path / "annotations_final.csv").write_text("\n".join(lines) + "\n")
    lines = ['"clip_id"\t"title"\t"artist"\t"mp3_path"']
    lines += [f'"{i}"\t"7"" mix"\t"{name[2]}"\t"{name}"' for i, name in enumerate(names)]
    (tmp_path / "clip_info_final.csv").write_text("\n".join(lines) + "\n")
    dataset = load_dataset(described(tmp_path, 'reader = "magnatagatune"\n'))
    assert [t.part for t in dataset.tracks] == ["train", "train", "valid", "test", "test"]
    assert dataset.tracks[0].group == dataset.tracks[4].group and dataset.group_by == "artist"
    assert labels_of(dataset, "tags")["0/a-1.mp3"] == ("flute", "guitar")
    assert dataset.tracks[2].labels["tags"] == (), "a clip without tags has none of them; it is not unlabelled"
    top = load_dataset(described(tmp_path, 'reader = "magnatagatune"\ntop = 2\nuntagged = false\n'))
    assert top.head("tags").labels == ("guitar", "no voice")
    assert len(top.tracks) == 4 and "1 clips without any of the tags: left out" in top.notices
    (tmp_path / "annotations_final.csv").write_text("clip_id\tguitar\tmp3_path\n1\tyes\t0/a-1.mp3\n")
    with pytest.raises(DatasetError, match=r"annotations_final.csv:2: 'yes' in column 'guitar' is neither 0 nor 1"):
        load_dataset(tmp_path)


def test_mtg_jamendo_lists_and_splits(tmp_path):
    """Tags fill as many cells as there are; one head of all, or one for each kind; low-rate copies are found."""
    header = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n"
    row = "track_{0}\tartist_{1}\talbum_1\t0{0}/{0}.mp3\t120.5\t{2}\n"
    lists = {
        "train": row.format(1, 1, "genre---rock\tinstrument---piano") + row.format(2, 1, "genre---pop"),
        "validation": row.format(3, 2, "genre---rock"),
        "test": row.format(4, 3, "mood/theme---calm"),
    }
    folder = tmp_path / "data/splits/split-1"
    folder.mkdir(parents=True)
    for word, text in lists.items():
        (folder / f"autotagging-{word}.tsv").write_text(header + text)
    touch(tmp_path, "audio/01/1.mp3", "audio/02/2.low.mp3", "audio/03/3.mp3", "audio/04/4.mp3")
    dataset = load_dataset(described(tmp_path, 'reader = "mtg_jamendo"\nsplit = 1\n'))
    assert [(t.name, t.part, t.group) for t in dataset.tracks] == [
        ("01/1.mp3", "train", "artist_1"), ("02/2.low.mp3", "train", "artist_1"),
        ("03/3.mp3", "valid", "artist_2"), ("04/4.mp3", "test", "artist_3"),
    ]  # fmt: skip
    assert dataset.tracks[0].labels["tags"] == ("genre---rock", "instrument---piano")
    kinds = load_dataset(described(tmp_path, 'reader = "mtg_jamendo"\nsplit = 1\nby_kind = true\n'))
    assert [(spec.name, spec.labels) for spec in kinds.heads] == [
        ("genre", ("pop", "rock")), ("instrument", ("piano",)), ("mood/theme", ("calm",))
    ]  # fmt: skip
    (folder / "autotagging-test.tsv").write_text(header + row.format(4, 3, "calm"))
    with pytest.raises(DatasetError, match=r"autotagging-test.tsv:2: 'calm' is no tag such as genre---rock"):
        load_dataset(tmp_path)
    with pytest.raises(DatasetError, match=r"found no autotagging-train.tsv"):
        load_dataset(described(tmp_path, 'reader = "mtg_jamendo"\nsplit = 4\n'))
