"""The user's folders are where the system has them, and the cache where EARMARK_CACHE says."""

from pathlib import Path

import pytest

from earmark.paths import cache_folder, config_folder, data_folder


@pytest.mark.skipif("sys.platform != 'linux'")
def test_folders_follow_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.delenv("EARMARK_CACHE", raising=False)
    assert config_folder() == tmp_path / "XDG_CONFIG_HOME" / "earmark"
    assert data_folder() == tmp_path / "XDG_DATA_HOME" / "earmark"
    assert cache_folder() == tmp_path / "XDG_CACHE_HOME" / "earmark"


def test_the_cache_can_be_put_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
