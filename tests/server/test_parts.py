"""The page's parts: exactly what npm.json names comes from npm, with its licence, and goes into the wheel."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER = Path("src") / "earmark" / "server"
NPM = """#!{python}
import pathlib, shutil, sys
assert sys.argv[1] == "pack" and "--ignore-scripts" in sys.argv and sys.argv[-1] == "part@1.2.3", sys.argv
shutil.copy({archive!r}, pathlib.Path("part-1.2.3.tgz"))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the builder, one part to bring, and an npm that gives it."""
    server = tmp_path / SERVER
    server.mkdir(parents=True)
    shutil.copy(ROOT / SERVER / "npm.py", server)
    archive = tmp_path / "archive.tgz"
    with tarfile.open(archive, "w:gz") as packed:
        for name in ("dist/part.js", "LICENSE", "dist/other.js", "../../evil.js"):
            content = name.encode()
            facts = tarfile.TarInfo(f"package/{name}")
            facts.size = len(content)
            packed.addfile(facts, io.BytesIO(content))
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    part = {"version": "1.2.3", "licence": "MIT", "integrity": f"sha512-{digest}", "files": ["dist/part.js", "LICENSE"]}
    (server / "npm.json").write_text(json.dumps({"part": part}), "utf-8")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "npm"
    program.write_text(NPM.format(python=sys.executable, archive=str(archive)), "utf-8")
    program.chmod(0o755)
    return tmp_path


def bring(checkout: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / SERVER / "npm.py")]
    return subprocess.run(command, capture_output=True, text=True, env={"PATH": str(checkout / "bin")})


def files(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_only_named_files_come_and_once(checkout: Path) -> None:
    assert bring(checkout).returncode == 0
    assert files(checkout / SERVER / "vendor") == ["part/LICENSE", "part/dist/part.js", "part/version"]
    (checkout / "bin" / "npm").unlink()
    done = bring(checkout)
    assert (done.returncode, done.stderr) == (0, ""), "what is here is not asked for again"


def test_another_content_than_its_digest_is_refused(checkout: Path) -> None:
    facts = json.loads((checkout / SERVER / "npm.json").read_text("utf-8"))
    facts["part"]["integrity"] = "sha512-AAAA"
    (checkout / SERVER / "npm.json").write_text(json.dumps(facts), "utf-8")
    done = bring(checkout)
    assert done.returncode == 0 and "digest" in done.stderr and done.stderr.count("\n") == 1
    assert not (checkout / SERVER / "vendor").exists()


def test_without_npm_it_says_so_and_goes_on(checkout: Path) -> None:
    (checkout / "bin" / "npm").unlink()
    done = bring(checkout)
    assert done.returncode == 0 and "npm is not installed" in done.stderr and done.stderr.count("\n") == 1


def test_versions_are_exact_and_licences_come_along() -> None:
    for name, part in json.loads((ROOT / SERVER / "npm.json").read_text("utf-8")).items():
        assert all(number.isdigit() for number in part["version"].split(".")), name
        assert part["integrity"].startswith("sha512-") and part["licence"] and "LICENSE" in part["files"], name


def test_the_wheel_holds_page_and_parts(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.onnx", "*.safetensors", "*.npz", "*.egg-info", "vendor")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / SERVER / "vendor" / "part" / "dist").mkdir(parents=True)
    (tmp_path / SERVER / "vendor" / "part" / "dist" / "part.js").write_text("", "utf-8")
    (tmp_path / SERVER / "vendor" / "part" / "LICENSE").write_text("", "utf-8")
    build = "import setuptools.build_meta as meta; print(meta.build_wheel('.'))"
    command = [sys.executable, "-c", build]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ, PYTHONPATH=""))
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    own = {f"earmark/server/static/{name}" for name in files(ROOT / SERVER / "static")}
    parts = {"earmark/server/vendor/part/dist/part.js", "earmark/server/vendor/part/LICENSE", "earmark/server/npm.json"}
    assert own | parts | {"earmark/pages/templates/app.html"} <= names
