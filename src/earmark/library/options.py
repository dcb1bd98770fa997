"""What is asked of the library: facts. Needs no NumPy."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PlaylistOptions", "ScanOptions"]


@dataclass(frozen=True, kw_only=True)
class ScanOptions:
    """How to scan.

    Attributes:
        force: Analyse again what is unchanged. If that is stopped, the next such scan goes on where it was.
        exclude: Patterns of files that are left out.
        features: Names of features (:data:`earmark.analyses.facts.ANALYSES`) that songs get where they lack them.
    """

    force: bool = False
    exclude: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlaylistOptions:
    """What the songs of a playlist must be; what is left empty is not asked for.

    Attributes:
        seeds: Songs that they are like.
        cluster: The name of their cluster.
        genres: Any of them.
        moods: Any of them.
        tags: All of them, labels of any head.
        without: None of them, labels of any head.
        like: Words, as `find` takes them: the songs that they describe.
        energy_min: At least so energetic, from 0 to 1.
        energy_max: At most so energetic.
        tempo_min: At least so fast, in beats a minute.
        tempo_max: At most so fast.
        key_compatible: Each song goes with the one before in key.
        minutes: About so long in all.
        artist_gap: No artist comes again within so many songs.
    """

    seeds: tuple[str, ...] = ()
    cluster: str | None = None
    genres: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    like: str | None = None
    energy_min: float | None = None
    energy_max: float | None = None
    tempo_min: float | None = None
    tempo_max: float | None = None
    key_compatible: bool = False
    minutes: float = 60.0
    artist_gap: int = 5
