"""Where models are: a folder, or a name among the bundled ones and the user's own."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from earmark.errors import ModelError, UnknownName
from earmark.models.card import Card, read_card
from earmark.paths import data_folder

__all__ = ["check_files", "find_model", "list_models", "sha256"]


def find_model(name: str | os.PathLike[str]) -> Path:
    """The folder of a model, by path or by a name that :func:`list_models` gives.

    Raises:
        UnknownName: Neither a folder nor a known name.
    """
    text = os.fspath(name)
    folder = Path(text)
    if folder.is_dir():
        return folder
    known = list_models()
    if text in known:
        return known[text]
    if folder.name != text or folder.exists():
        raise ModelError(f"{text}: no such model folder; `earmark models` lists the ones there are")
    raise UnknownName("model", text, known)


def list_models() -> dict[str, Path]:
    """Models by name: the user's own in their data folder, and the bundled ones; a bundled name wins."""
    found: dict[str, Path] = {}
    for home in (data_folder() / "models", Path(__file__).parent.parent / "models"):
        if home.is_dir():
            found |= {folder.name: folder for folder in sorted(home.iterdir()) if (folder / "card.json").is_file()}
    return found


def check_files(folder: Path, *names: str) -> Card:
    """The card of a model folder whose files ``names`` are there and undamaged.

    Raises:
        ModelError: A file is missing, or is not what the card says it was.
    """
    card = read_card(folder)
    for name in names:
        file = folder / name
        if not file.is_file():
            raise ModelError(f"{folder}: the model folder is missing {name}")
        stated = card.files.get(name)
        if stated and sha256(file) != stated:
            raise ModelError(f"{file}: damaged: its checksum is not the one in card.json")
    return card


def sha256(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
