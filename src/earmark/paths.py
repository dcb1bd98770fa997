"""The user's folders, as each system has them (platformdirs)."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import PlatformDirs

__all__ = ["cache_folder", "config_folder", "data_folder", "music_folder"]

_NAME = "earmark"


def data_folder() -> Path:
    """The folder for what Earmark keeps for its user: the library, models, the journal of written tags."""
    return Path(PlatformDirs(_NAME, appauthor=False).user_data_dir)


def config_folder() -> Path:
    """The folder of the settings file."""
    return Path(PlatformDirs(_NAME, appauthor=False).user_config_dir)


def cache_folder() -> Path:
    """The folder for what can be computed again: ``EARMARK_CACHE``, else the system's place for caches."""
    given = os.environ.get("EARMARK_CACHE")
    return Path(given) if given else Path(PlatformDirs(_NAME, appauthor=False).user_cache_dir)


def music_folder() -> Path:
    """Where the system's user keeps music; it need not be there."""
    return Path(PlatformDirs(_NAME, appauthor=False).user_music_dir)
