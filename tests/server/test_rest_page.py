"""What docs/how-to/rest.md shows runs as it stands, on a real server."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import program
from serving import served

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "rest.md"


@pytest.fixture
def shown(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the song that the page speaks of, and one of music."""
    songs = sorted((shared / "data" / "moods900" / "audio").glob("*.opus"))[:3]
    (tmp_path / "music").mkdir()
    for song in songs:
        shutil.copy(song, tmp_path / "music")
    shutil.copy(songs[0], tmp_path / "song.mp3")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_the_python_client_and_the_shell_commands_run(shown: Path) -> None:
    curl = program("curl")
    with served("--library", shown / "library.db", "--music", shown / "music", "-j", 1) as (_, url):
        (client,) = blocks("py")
        code = client.replace("http://127.0.0.1:8765", url)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        for line in (r"genre: .+ mood: ", "None done", "3 tracks", r"404 \S"):
            assert re.search(f"^{line}", done.stdout, re.MULTILINE), (line, done.stdout)
        assert len(re.findall(r"\.opus [\d.]+ .+ \[", done.stdout)) == 2
        commands = re.findall(r"^\$ curl (.*)$", "\n".join(blocks("console")), re.MULTILINE)
        assert len(commands) >= 4
        for command in commands:
            given = shlex.split(command.replace("http://127.0.0.1:8765", url))
            answer = subprocess.run([curl, *given], capture_output=True, text=True, timeout=60)
            assert answer.returncode == 0, (command, answer.stderr)
            assert json.loads(answer.stdout)
