"""Which models there are and how one is known: by a name, ``name@version``, or its folder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from earmark.errors import ModelError, UnknownName
from earmark.models.card import HEADS, NETWORK, Card, card_json, read_card
from earmark.paths import data_folder

__all__ = ["check_files", "find_model", "find_models", "list_models", "sha256"]


def find_model(name: str | os.PathLike[str]) -> Path:
    """The folder of a model: a path, a name that :func:`list_models` gives, or such a name with its version.

    Raises:
        UnknownName: Neither a folder nor a known name.
        ModelError: The version that stands there is another one.
    """
    text = os.fspath(name)
    folder = Path(text)
    if folder.is_dir():
        return folder
    known = list_models()
    plain, _, version = text.partition("@")
    if plain in known:
        found = known[plain]
        there = card_json(found).get("version") if version else version
        if version != there:
            raise ModelError(f"{text}: the model {plain!r} that is there has version {there}, not {version}")
        return found
    if folder.name != text or folder.exists():
        raise ModelError(f"{text}: no such model folder; `earmark models` lists the ones there are")
    raise UnknownName("model", text, known)


def find_models(names: str) -> tuple[Path, ...]:
    """The folders of an ensemble, ``A,B``, or of one model; a folder with a comma in its name is one model.

    Raises:
        UnknownName, ModelError: As :func:`find_model`; or a name is missing between commas.
    """
    if Path(names).is_dir():
        return (Path(names),)
    parts = [name.strip() for name in names.split(",")]
    if "" in parts:
        raise ModelError(f"{names}: the name of a model is missing")
    return tuple(find_model(name) for name in parts)


def list_models() -> dict[str, Path]:
    """Models by name: the user's own in their data folder, and the bundled ones; a bundled name wins."""
    found: dict[str, Path] = {}
    for home in (data_folder() / "models", Path(__file__).parent):
        if home.is_dir():
            found |= {folder.name: folder for folder in sorted(home.iterdir()) if (folder / "card.json").is_file()}
    return found


def check_files(folder: Path, *names: str) -> Card:
    """The card of a model folder whose files ``names`` are there and undamaged.

    Returns:
        The card; the checksums of ``names`` are in its ``files``, also where ``card.json`` does not state them.

    Raises:
        ModelError: A file is missing, or is not what the card says it was.
    """
    card = read_card(folder)
    found = {}
    for name in names or (NETWORK, HEADS):
        file = folder / name
        if not file.is_file():
            raise ModelError(f"{folder}: the model folder is missing {name}")
        found[name] = sha256(file)
        if card.files.get(name, found[name]) != found[name]:
            raise ModelError(f"{file}: damaged: its checksum is not the one in card.json")
    return replace(card, files={**card.files, **found})


def sha256(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
