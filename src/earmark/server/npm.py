"""The page's parts from npm, at the versions and with the digests of ``npm.json``, into ``vendor/``.

``make setup`` runs this file; in an installed package ``python -m earmark.server.npm`` does. Where npm or the network
is missing it says so and goes on: without these parts the server answers with a plain page.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["VENDOR", "main"]

HERE = Path(__file__).parent
VENDOR = HERE / "vendor"


def main() -> int:
    """Bring what is missing or of another version."""
    npm = shutil.which("npm")
    for name, part in json.loads((HERE / "npm.json").read_text("utf-8")).items():
        folder = _home(part) / name
        if _is_there(folder, part):
            continue
        if npm is None:
            sys.stderr.write("npm is not installed: `earmark serve` shows a plain page until `make setup` finds it\n")
            return 0
        try:
            _bring(npm, name, part, folder)
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, tarfile.TarError) as error:
            sys.stderr.write(f"{name} could not be brought from npm ({error}): `earmark serve` shows a plain page\n")
            return 0
    return 0


def _home(part: dict[str, Any]) -> Path:
    """Parts of the page go into the package, those of the tests stand beside them."""
    return HERE.parents[2] / "tests" / "vendor" if part.get("tests") else VENDOR


def _is_there(folder: Path, part: dict[str, Any]) -> bool:
    if part.get("tests") and not folder.parents[1].is_dir():
        return True  # an installed package has no tests
    stamp = folder / "version"
    named = all((folder / name).is_file() for name in part["files"])
    return named and stamp.is_file() and stamp.read_text("utf-8") == part["version"]


def _bring(npm: str, name: str, part: dict[str, Any], folder: Path) -> None:
    with tempfile.TemporaryDirectory() as made:
        command = [npm, "pack", "--silent", "--ignore-scripts", f"{name}@{part['version']}"]
        subprocess.run(command, cwd=made, check=True, stdout=subprocess.DEVNULL, timeout=300)
        archive = next(Path(made).glob("*.tgz"))
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode("ascii")
        if f"sha512-{digest}" != part["integrity"]:
            raise ValueError(f"version {part['version']} has another digest than npm.json names")
        shutil.rmtree(folder, ignore_errors=True)
        with tarfile.open(archive) as packed:
            for file in part["files"]:
                content = packed.extractfile(f"package/{file}")
                if content is None:
                    raise ValueError(f"{file} is no file")
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(content.read())
    (folder / "version").write_text(part["version"], "utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
