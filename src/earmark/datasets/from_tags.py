"""Labels out of the files' own tags: spellings are joined, and what is too rare to learn is left out and listed.

A tag is a text that somebody typed. What differs only in case, separators, accents or in how "and" is written is one
label, shown as it is spelt most often; the number of a genre of ID3v1 is its name; a user's own list joins what no
rule can.
"""

from __future__ import annotations

import os
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from earmark.datasets.core import Dataset, HeadSpec, Label, Track, group_tracks
from earmark.datasets.tables import MAX_LABEL, check_names
from earmark.errors import DatasetError, nearest
from earmark.tags import id3

__all__ = ["TagLabel", "TagPlan", "TaggedDataset", "TaggedSong", "read_aliases", "spelling_key", "tagged_dataset"]

_NOTHING = frozenset(
    ("unknown", "unknowngenre", "undefined", "unclassifiable", "unclassified", "uncategorized", "various", "default")
) | frozenset(("other", "none", "na", "genre", "nogenre", "misc", "miscellaneous"))
"""Keys of what stands in a genre field and names no genre."""

_GENRES = ("genre", "genres", "style", "styles", "subgenre")
_BETWEEN = re.compile(r"[;,/|\\\0]")
_AND = re.compile(r"\s*(?:[&+]|\band\b|['\u2018\u2019]n['\u2018\u2019]|\bn\b['\u2018\u2019]?)\s*")
_ONE_LETTER_N = re.compile(r"\b([a-z])n([a-z])\b")  # RnB, DnB
_ACCENTS = re.compile("[\u0300-\u036f]")


@dataclass(frozen=True, slots=True)
class TaggedSong:
    """A recording, with what its file says: the values of one field ("" and none where it is empty), artist, album."""

    path: Path
    values: tuple[str, ...] = ()
    artist: str = ""
    album: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagPlan:
    """What is made of tags.

    Attributes:
        tag: Its name, which the head gets too.
        multilabel: Whether a song has all labels that its tag names; otherwise it has the first that is kept.
        min_tracks: Labels of fewer songs are left out.
        min_artists: Labels of songs by fewer artists are left out: each part of a split needs one.
        aliases: By :func:`spelling_key`, the user's own name; "" leaves out.
    """

    tag: str = "genre"
    multilabel: bool = False
    min_tracks: int = 5
    min_artists: int = 3
    aliases: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TagLabel:
    """A label as the tags have it.

    Attributes:
        name: As it is spelt most often, or in the user's own list.
        tracks: Songs that have it.
        artists: How many artists (albums, songs: see ``Dataset.group_by``) they are by.
        spellings: How often each stands in the tags.
        left_out: Why it is no label of the data set; "" where it is one.
    """

    name: str
    tracks: int
    artists: int
    spellings: Mapping[str, int]
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class TaggedDataset:
    """The songs that can be learned from, and what their tags are.

    Attributes:
        dataset: Of the songs with a label.
        labels: All that the tags name, the most frequent first.
        untagged: Rows of the songs whose field is empty.
    """

    dataset: Dataset
    labels: tuple[TagLabel, ...]
    untagged: tuple[int, ...]


def spelling_key(text: str) -> str:
    """What spellings of one label have in common: letters and digits without case and accents; "" where none is left.

    ``Hip Hop``, ``hip-hop`` and ``HipHop`` are one, as are ``R&B``, ``R and B`` and ``RnB``. Separators between digits
    count.
    """
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold()))
    plain = _ONE_LETTER_N.sub(r"\1and\2", _AND.sub("and", plain.strip(" &+")))
    key = ""
    for word in "".join(letter if _counts(letter) else " " for letter in plain).split():
        key += ("." if key[-1:].isdigit() and word[0].isdigit() else "") + word
    return key


def _counts(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter).startswith("M")


def read_aliases(file: Path, head: str) -> dict[str, str]:
    """The user's own names of one head's labels, by :func:`spelling_key`: ``"Drum and Bass" = "DnB"``.

    The file is that of ``tag --labels``: one TOML table a head. An empty name leaves the label out.

    Raises:
        DatasetError: It cannot be read, or has no such table.
    """
    try:
        table = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file}: cannot read the list of labels: {error}") from error
    names = table.get(head)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise DatasetError(f'{file}: there must be a table [{head}] of "name in the tags" = "your name"')
    return {spelling_key(text): " ".join(name.split()) for text, name in names.items()}


def tagged_dataset(name: str, songs: Sequence[TaggedSong], plan: TagPlan) -> TaggedDataset:
    """The songs as a data set of one head.

    Args:
        name: Of the data set.
        songs: Each recording once.
        plan: What is made of their tags.

    Raises:
        DatasetError: Nothing can be learned: no tags, one label, one artist, or every label is too rare.
    """
    check_names([plan.tag], "--field")
    untagged = tuple(row for row, song in enumerate(songs) if not any(value.strip() for value in song.values))
    spelt = _Spellings.of(songs, plan)
    rows = [row for row, keys in enumerate(spelt.keys) if keys]
    if not rows:
        why = "; the others name none" if len(untagged) < len(songs) else ""
        raise DatasetError(
            f"{name}: none of the {len(songs)} songs names a {plan.tag} in its tags{why}; tag some of them and scan "
            "again, or name another field by --field (as genre, mood, grouping)"
        )
    root, names = _names([songs[row].path for row in rows])
    groups, group_by, notices = group_tracks(
        names, [songs[row].artist for row in rows], [songs[row].album for row in rows]
    )
    keys = [spelt.keys[row] for row in rows]
    kept, found = _kept(keys, groups, plan)
    labels = tuple(
        TagLabel(spelt.name(key), len(found[key]), _artists(found[key], groups), spelt.texts[key], kept[key])
        for key in sorted(found, key=lambda key: (-len(found[key]), key))
    )
    good = {key for key, why in kept.items() if not why}
    _check(name, plan, labels, len(rows), sorted(set(groups)))
    tracks = tuple(
        Track(songs[row].path, names[i], groups[i], None, {plan.tag: given})
        for i, row in enumerate(rows)
        if (given := _given(spelt, keys[i], good, plan)) is not None
    )
    vocabulary = tuple(sorted(label.name for label in labels if not label.left_out))
    spec = HeadSpec(plan.tag, "multilabel" if plan.multilabel else "multiclass", vocabulary)
    dataset = Dataset(name, root, (spec,), tracks, group_by, notices=(*notices, *_notices(labels, spelt, plan)))
    return TaggedDataset(dataset, labels, untagged)


@dataclass(frozen=True, slots=True)
class _Spellings:
    """Keys of each song's labels in their order, how each is spelt how often, and the names that the user gives."""

    keys: list[tuple[str, ...]]
    texts: dict[str, Counter[str]]
    names: Mapping[str, str]
    unused: tuple[str, ...]

    @classmethod
    def of(cls, songs: Sequence[TaggedSong], plan: TagPlan) -> _Spellings:
        names = {spelling_key(name): name for name in reversed(plan.aliases.values()) if name}
        keys, texts, used = list[tuple[str, ...]](), dict[str, Counter[str]](), set[str]()
        for song in songs:
            own = []
            for text in _parts(song.values, plan):
                key = spelling_key(text)
                used.add(key)
                key = spelling_key(plan.aliases[key]) if key in plan.aliases else "" if key in _NOTHING else key
                if key and key not in own:
                    own.append(key)
                    texts.setdefault(key, Counter())[text] += 1
            keys.append(tuple(own))
        return cls(keys, texts, names, tuple(sorted(set(plan.aliases) - used)))

    def name(self, key: str) -> str:
        """As the user spells it, or most tags."""
        return self.names.get(key) or min(self.texts[key], key=lambda text: (-self.texts[key][text], text))


def _parts(values: Sequence[str], plan: TagPlan) -> list[str]:
    """What a field names, one by one: what the user's own list has is taken whole."""
    found = []
    genre = plan.tag.casefold() in _GENRES
    for value in values:
        for text in id3.genres([value]) if genre else (value,):
            whole = spelling_key(text) in plan.aliases
            parts = [text] if whole else _BETWEEN.split(text) if genre else text.split(";")
            found += [plain for part in parts if (plain := " ".join(part.split()).strip(" &+"))]
    return [unicodedata.normalize("NFC", text) for text in found if len(text) <= MAX_LABEL]


def _kept(
    keys: Sequence[tuple[str, ...]], groups: Sequence[str], plan: TagPlan
) -> tuple[dict[str, str], dict[str, list[int]]]:
    """By label, why it is left out ("" where it is kept), and the rows of the songs that have it.

    Where a song has one label of several, it goes to its next one when the first turns out to be too rare: so the
    rarest label is taken away first, and the others are counted again.
    """
    every: dict[str, list[int]] = {}
    for row, own in enumerate(keys):
        for key in own:
            every.setdefault(key, []).append(row)
    why = {key: _too_rare(rows, groups, plan) for key, rows in every.items()}
    while True:
        good = {key for key, reason in why.items() if not reason}
        found: dict[str, list[int]] = {key: [] for key in good}
        for row, own in enumerate(keys):
            for key in [key for key in own if key in good][: None if plan.multilabel else 1]:
                found[key].append(row)
        short = {key: reason for key in good if (reason := _too_rare(found[key], groups, plan))}
        short = {key: reason if plan.multilabel else f"named first by {reason}" for key, reason in short.items()}
        if not short:
            return why, {key: found.get(key, rows) for key, rows in every.items()}
        rarest = min(short, key=lambda key: (len(found[key]), key))
        why[rarest] = short[rarest]


def _too_rare(rows: Sequence[int], groups: Sequence[str], plan: TagPlan) -> str:
    if len(rows) < plan.min_tracks:
        return f"{len(rows)} song{'s' * (len(rows) != 1)}"
    artists = _artists(rows, groups)
    return f"{len(rows)} songs by {artists}" if artists < plan.min_artists else ""


def _artists(rows: Sequence[int], groups: Sequence[str]) -> int:
    return len({groups[row] for row in rows})


def _given(spelt: _Spellings, keys: Sequence[str], good: set[str], plan: TagPlan) -> Label:
    names = tuple(spelt.name(key) for key in keys if key in good)
    return None if not names else names if plan.multilabel else names[0]


def _check(name: str, plan: TagPlan, labels: Sequence[TagLabel], tagged: int, groups: Sequence[str]) -> None:
    """Refuse what cannot be learned, each in a line that says what helps."""
    kept = [label for label in labels if not label.left_out]
    if len(labels) == 1:
        raise DatasetError(
            f"{name}: all {tagged} tagged songs have one {plan.tag}, {labels[0].name!r}; a model needs two to tell "
            "apart: tag songs of another one, or name another field by --field"
        )
    if len(groups) == 1:
        raise DatasetError(
            f"{name}: all {tagged} tagged songs are by one artist ({groups[0]!r}), so that nothing could be said of "
            "others; scan and tag songs by more artists"
        )
    if len(kept) < 2:
        most = ", ".join(f"{label.name} ({label.left_out or f'{label.tracks} songs'})" for label in labels[:4])
        raise DatasetError(
            f"{name}: of {len(labels)} labels in the tags {len(kept) or 'none'} has {plan.min_tracks} songs by "
            f"{plan.min_artists} artists: {most}; --labels FILE joins names of one label, --min-tracks and "
            "--min-artists keep rarer ones"
        )


def _notices(labels: Sequence[TagLabel], spelt: _Spellings, plan: TagPlan) -> list[str]:
    gone = [label for label in labels if label.left_out]
    found = []
    if gone:
        listed = ", ".join(f"{label.name} ({label.left_out})" for label in gone[:8]) + ", ..." * (len(gone) > 8)
        found.append(
            f"{plan.tag}: {len(gone)} of {len(labels)} labels have fewer than {plan.min_tracks} songs (--min-tracks) "
            f"or {plan.min_artists} artists (--min-artists) and are left out: {listed}."
        )
    for key in spelt.unused:
        near = nearest(key, spelt.texts)
        hint = f"; did you mean {spelt.name(near)!r}?" if near else ""
        found.append(f"--labels: no song has {key!r} in its tags{hint}")
    return found


def _names(paths: Sequence[Path]) -> tuple[Path, list[str]]:
    """The folder above all, and the paths below it; whole paths where they stand on several drives."""
    try:
        root = Path(os.path.commonpath([str(path.parent) for path in paths]))
        return root, [path.relative_to(root).as_posix() for path in paths]
    except ValueError:
        return Path(), [path.as_posix() for path in paths]
