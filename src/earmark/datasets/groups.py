"""Groups: what never stands in two parts of a split. Artist, else album, else the track itself."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from earmark.datasets.core import GroupBy

__all__ = ["fold", "group_tracks"]

_NOBODY = frozenset(
    ("", "-", "?", "n/a", "none", "unknown", "unknown artist", "[unknown]", "unknown album", "compilation")
) | frozenset(("va", "v.a.", "various", "various artists", "diverse"))


def group_tracks(
    names: Sequence[str], artists: Sequence[str], albums: Sequence[str]
) -> tuple[tuple[str, ...], GroupBy, tuple[str, ...]]:
    """The group of each track.

    Spellings that differ in case, blanks or Unicode composition are one artist. "Various Artists" and the like are
    none. A track without artist falls back to its album, and without that it is a group of its own.

    Args:
        names: (tracks,) unique names.
        artists: (tracks,) artists, "" where unknown.
        albums: (tracks,) albums, "" where unknown.

    Returns:
        (tracks,) groups; what most of them are; notices.
    """
    spelling: dict[tuple[str, str], str] = {}
    groups: list[str] = []
    kinds: list[GroupBy] = []
    for name, artist, album in zip(names, artists, albums, strict=True):
        kind: GroupBy
        key, kind = fold(artist), "artist"
        if key in _NOBODY:
            key, kind = fold(album), "album"
        if key in _NOBODY:
            key, kind = name, "track"
        text = {"artist": artist, "album": f"album: {album}", "track": f"track: {name}"}[kind]
        groups.append(spelling.setdefault((kind, key), " ".join(text.split()) if kind != "track" else text))
        kinds.append(kind)
    main: GroupBy = max(("artist", "album", "track"), key=kinds.count)
    return tuple(groups), main, _notices(kinds, main)


def fold(text: str) -> str:
    """A name without what spellings differ in: case, blanks, Unicode composition."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _notices(kinds: Sequence[GroupBy], main: GroupBy) -> tuple[str, ...]:
    total = len(kinds)
    without = total - kinds.count("artist")
    if not without:
        return ()
    if main == "artist":
        return (f"{without} of {total} tracks name no artist: grouped by album where known, else each by itself",)
    known = f"only {total - without} of {total} tracks name" if without < total else "no track names"
    if main == "album":
        return (f"{known} an artist: grouped by album, so an artist may stand on both sides of a split",)
    return (f"{known} an artist or album: grouped by track, so an artist may stand on both sides of a split",)
