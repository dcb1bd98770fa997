"""Labels out of tags: one label whatever its spelling, nothing learned from two songs."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.datasets.from_tags import TaggedSong, TagPlan, read_aliases, spelling_key, tagged_dataset
from earmark.errors import DatasetError


def songs(*rows: tuple[str, int], artists: int = 4) -> list[TaggedSong]:
    """``(value, count)``: so many songs with that genre, by several artists."""
    return [
        TaggedSong(Path(f"/music/{number}/{song}.mp3"), (text,) if text else (), f"Artist {number}-{song % artists}")
        for number, (text, count) in enumerate(rows)
        for song in range(count)
    ]


@pytest.mark.parametrize(
    "spellings",
    [
        ("Hip Hop", "hip-hop", "HipHop", "HIP_HOP", "Hip.Hop", "hip  hop"),
        ("R&B", "r & b", "R and B", "RnB", "R'n'B", "R\u2019n\u2019B"),
        ("Rock & Roll", "Rock and Roll", "Rock 'n' Roll", "Rock n Roll", "rock+roll"),
        ("Bossa Nova", "bossanova"),
        ("Pop Français", "pop francais", "POP FRANC\u0327AIS"),
        ("L.A. Rock", "LA rock"),
        ("2-Step", "2 step", "2step"),
        ("ロック", "\uff9b\uff6f\uff78"),
    ],
)
def test_spellings_of_one_label_have_one_key(spellings: tuple[str, ...]) -> None:
    assert len({spelling_key(text) for text in spellings}) == 1


@pytest.mark.parametrize(("one", "other"), [("1.5", "15"), ("Hop", "Hip Hop"), ("バラ", "ハラ"), ("हिन्दी", "हन्द")])
def test_different_labels_stay_different(one: str, other: str) -> None:
    assert spelling_key(one) != spelling_key(other)


def test_the_most_frequent_spelling_is_shown_and_numbers_have_names() -> None:
    rows = (("hip-hop", 2), ("Hip Hop", 5), ("HIPHOP", 1), ("(17)Rock", 2), ("17", 3), ("Rock", 1), ("rock", 2))
    found = tagged_dataset("mine", songs(*rows), TagPlan(min_tracks=2))
    assert found.dataset.head("genre").labels == ("Hip Hop", "Rock")
    label = {one.name: one for one in found.labels}["Hip Hop"]
    assert label.tracks == 8 and dict(label.spellings) == {"hip-hop": 2, "Hip Hop": 5, "HIPHOP": 1}
    assert found.dataset.counts("genre") == {"Hip Hop": 8, "Rock": 8}


def test_a_number_is_a_genre_in_the_field_genre_alone() -> None:
    found = tagged_dataset("mine", songs(("17", 6), ("18", 6)), TagPlan(tag="grouping"))
    assert found.dataset.head("grouping").labels == ("17", "18")


def test_of_several_labels_the_first_that_is_kept_counts_or_all() -> None:
    rows = (("Zydeco; Folk", 3), ("Folk/Jazz", 6), ("Jazz, Folk", 6), ("Jazz\0Blues", 4))
    one = tagged_dataset("mine", songs(*rows), TagPlan())
    assert one.dataset.counts("genre") == {"Folk": 9, "Jazz": 10}
    assert {label.name: label.left_out for label in one.labels if label.left_out} == {
        "Zydeco": "3 songs",
        "Blues": "4 songs",
    }
    several = tagged_dataset("mine", songs(*rows), TagPlan(multilabel=True))
    assert several.dataset.head("genre").task == "multilabel"
    assert several.dataset.counts("genre") == {"Folk": 15, "Jazz": 16}
    assert several.dataset.tracks[0].labels["genre"] == ("Folk",)


def test_a_label_that_lost_its_songs_to_others_gives_them_the_next() -> None:
    """Dub is named six times, but first by three songs alone: they are Reggae, with which they make it."""
    rows = (("Rock; Dub", 6), ("Dub; Reggae", 3), ("Reggae", 3))
    found = tagged_dataset("mine", songs(*rows), TagPlan())
    assert found.dataset.counts("genre") == {"Rock": 6, "Reggae": 6}


def test_what_names_no_genre_is_no_label() -> None:
    rows = (("Other", 9), ("Unknown Genre", 9), ("???", 5), ("", 4), ("Rock", 6), ("Jazz", 6))
    found = tagged_dataset("mine", songs(*rows), TagPlan())
    assert found.dataset.head("genre").labels == ("Jazz", "Rock") and len(found.dataset.tracks) == 12
    assert len(found.untagged) == 4, "a field that says Other is not empty"


def test_the_users_list_joins_renames_and_leaves_out(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        '[genre]\n"drum and bass" = "DnB"\n"Jungle" = "dnb"\n"Hip-Hop/Rap" = "Rap"\nHoerbuch = ""\n"Hipp Hop" = "Rap"\n'
    )
    aliases = read_aliases(file, "genre")
    rows = (("Drum & Bass", 4), ("jungle", 4), ("D&B", 2), ("Hip-Hop/Rap", 6), ("Hip Hop", 6), ("Hoerbuch", 9))
    found = tagged_dataset("mine", songs(*rows), TagPlan(aliases=aliases, min_tracks=2))
    assert found.dataset.counts("genre") == {"DnB": 10, "Rap": 6, "Hip Hop": 6}
    assert any("no song has 'hipphop' in its tags; did you mean 'Hip Hop'?" in line for line in found.dataset.notices)
    for text, message in (("[mood]\n", r"a table \[genre\]"), ("[genre]\na = 1\n", "your name"), ("[", "cannot read")):
        file.write_text(text)
        with pytest.raises(DatasetError, match=message):
            read_aliases(file, "genre")


def test_labels_of_too_few_songs_or_artists_are_left_out_and_listed() -> None:
    rows = [*songs(("Rock", 9), ("Jazz", 9), ("Polka", 2)), *songs(("", 0), ("", 0), ("", 0), ("Ska", 9), artists=2)]
    found = tagged_dataset("mine", rows, TagPlan())
    notice = next(line for line in found.dataset.notices if "left out" in line)
    assert "Ska (9 songs by 2)" in notice and "Polka (2 songs)" in notice and "--min-artists" in notice
    assert found.dataset.head("genre").labels == ("Jazz", "Rock")
    loose = tagged_dataset("mine", rows, TagPlan(min_tracks=2, min_artists=2))
    assert loose.dataset.head("genre").labels == ("Jazz", "Polka", "Rock", "Ska")


@pytest.mark.parametrize(
    ("rows", "artists", "message"),
    [
        ((("", 9),), 4, "none of the 9 songs names a genre in its tags; tag some .* --field"),
        ((("Other", 9),), 4, "none of the 9 songs names a genre in its tags; the others name none"),
        ((("Rock", 5), ("rock", 4)), 4, "all 9 tagged songs have one genre, 'Rock'; a model needs two"),
        ((("Rock", 2), ("Jazz", 2), ("Pop", 2)), 4, "of 3 labels in the tags none has 5 songs by 3 artists: Jazz"),
    ],
)
def test_what_cannot_be_learned_is_one_line_with_the_remedy(
    rows: tuple[tuple[str, int], ...], artists: int, message: str
) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        tagged_dataset("mine", songs(*rows, artists=artists), TagPlan())
    assert "\n" not in str(caught.value)


def test_one_artist_only_says_so() -> None:
    rows = [TaggedSong(Path(f"/m/{n}.mp3"), (("Rock", "Jazz")[n % 2],), "Prince") for n in range(20)]
    with pytest.raises(DatasetError, match=r"by one artist \('Prince'\), .*; scan and tag songs by more artists"):
        tagged_dataset("mine", rows, TagPlan())


def test_albums_keep_parts_apart_where_no_artist_is_named() -> None:
    rows = [TaggedSong(Path(f"/m/{n}.mp3"), (("Rock", "Jazz")[n % 2],), "", f"Album {n // 4}") for n in range(24)]
    found = tagged_dataset("mine", rows, TagPlan())
    assert found.dataset.group_by == "album" and len({track.group for track in found.dataset.tracks}) == 6


def test_songs_on_several_drives_keep_their_whole_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(paths: list[str]) -> str:
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr("os.path.commonpath", refuse)
    found = tagged_dataset("mine", songs(("Rock", 6), ("Jazz", 6)), TagPlan())
    assert found.dataset.tracks[0].name == "/music/0/0.mp3"
