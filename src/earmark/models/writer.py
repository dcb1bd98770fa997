"""The one way in which model folders are written: guarded, locked, whole or not at all, and gone on with after a stop.

``OUT`` is filled in ``OUT.part/model`` and put in its place at the end; ``OUT.part`` also holds checkpoints and what
the run was asked for. A folder that is no model is never touched, nor is another run's part.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earmark.errors import ModelError, RecipeError, StorageError
from earmark.models.card import Card, card_json, write_card
from earmark.models.network import read_heads
from earmark.models.registry import check_files, sha256
from earmark.storage import lock, plain_reason, replace_file, sync_folder, write_file

__all__ = ["ModelFolderWriter", "check_place", "is_finished", "seal", "work_folder"]

FACTS = "run.json"
"""What a run was asked for: in its working folder, and in the finished model."""

_CHECKPOINTS = "*.safetensors"  # files in the working folder that a run goes on from
_REPLACED = "replaced"
_BESIDE = ("Thumbs.db", "desktop.ini")  # what file managers leave in any folder; hidden files too


@dataclass(frozen=True, slots=True)
class ModelFolderWriter:
    """A model folder on its way.

    Attributes:
        out: Where it will stand.
        finished: A model of the same settings stands there already: nothing is to be done.
    """

    out: Path
    finished: bool = False

    @property
    def work(self) -> Path:
        """Folder for checkpoints, ``OUT.part``."""
        return work_folder(self.out)

    @property
    def folder(self) -> Path:
        """The folder to be filled, and sealed by :func:`seal`."""
        return self.work / "model"

    @classmethod
    @contextmanager
    def open(cls, out: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> Iterator[ModelFolderWriter]:
        """Begin a model folder, or go on with one that was begun with the same settings.

        Args:
            out: The model folder to be.
            settings: All that decides what will stand in it.
            overwrite: Put it in the place of a model that is there, and begin again where one was begun.

        Raises:
            ModelError: Something else stands there.
            RecipeError: A model was made or begun there with other settings; the first that differs is named.
            StorageError: Another run is writing there, or it cannot be written.
        """
        out = _place(out)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{out}: cannot be written: {plain_reason(error)}") from error
        with lock(work_folder(out), f"{out}: another run is writing there"):
            try:
                _complete_replacing(out)
                writer = cls(out, is_finished(out, settings, overwrite))
                if writer.finished:
                    _remove_part(out)
                else:
                    writer._begin(settings, overwrite)
            except OSError as error:
                raise StorageError(f"{out}: cannot be written: {plain_reason(error)}") from error
            yield writer

    def complete(self) -> Path:
        """Put the sealed folder in its place and remove the working folder.

        Raises:
            StorageError: It cannot be renamed.
        """
        try:
            if self.out.exists():
                self.out.replace(self.work / _REPLACED)
            replace_file(self.folder, self.out)
            shutil.rmtree(self.work)
        except OSError as error:
            reason = plain_reason(error)
            raise StorageError(f"{self.out}: cannot be put in its place: {reason}; it stands in {self.work}") from error
        return self.out

    def _begin(self, settings: Mapping[str, Any], overwrite: bool) -> None:
        _refuse_foreign_part(self.work)
        if overwrite and self.work.exists():
            shutil.rmtree(self.work)
        self.work.mkdir(exist_ok=True)
        facts = self.work / FACTS
        if facts.is_file() and any(self.work.glob(_CHECKPOINTS)):
            _same(self.out, _read(facts), settings, "was begun")
        else:  # nothing is lost where nothing was learned yet
            write_file(facts, _text(settings))
        shutil.rmtree(self.folder, ignore_errors=True)  # half-written: it is made again from the checkpoints
        self.folder.mkdir()
        write_file(self.folder / FACTS, _text(settings))


def check_place(out: Path) -> None:
    """Refuse a place that no model may be written to, before any work is done.

    Raises:
        ModelError: What stands there is no model folder, or the part there is not ours.
    """
    out = _place(out)
    if out.exists():
        _refuse_foreign(out)
    _refuse_foreign_part(work_folder(out))


def work_folder(out: Path) -> Path:
    """``OUT.part``."""
    return out.with_name(out.name + ".part")


def seal(folder: Path, card: Card) -> Card:
    """Finish a folder whose other files are there: checksums, the card, and all of it on the disk.

    Returns:
        The card as it was written; the folder was read back.

    Raises:
        ModelError: What was written cannot be loaded.
        StorageError: It cannot be written.
    """
    try:
        names = sorted(file.name for file in folder.iterdir() if file.name != "card.json")
        for name in names:
            with (folder / name).open("rb+") as file:
                os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {plain_reason(error)}") from error
    write_card(replace(card, files={name: sha256(folder / name) for name in names}), folder)
    sync_folder(folder)
    written = check_files(folder)
    read_heads(folder, written)
    return written


def is_finished(out: Path, settings: Mapping[str, Any], overwrite: bool = False) -> bool:
    """Whether a model of these settings stands in ``out``.

    Raises:
        RecipeError: A model of other settings stands there; the first that differs is named.
        ModelError: Something else stands there.
    """
    if not out.exists():
        return False
    _refuse_foreign(out)
    if overwrite:
        return False
    if not (out / FACTS).is_file():
        raise ModelError(f"{out}: is a model that was not trained by this command; give another name, or --overwrite")
    _same(out, _read(out / FACTS), settings, "is a model that was trained")
    return True


def _place(out: Path) -> Path:
    """The folder that is meant, by a name that can be replaced."""
    out = out.resolve() if out.is_symlink() else out.absolute()
    if not out.name or out.name == "..":
        raise ModelError(f"{out}: is no name for a model folder; give another one")
    return out


def _refuse_foreign(out: Path) -> None:
    """Refuse a place where anything else than a whole model folder is: it may be somebody's music."""
    try:
        facts = card_json(out)
        known = {"card.json", *facts["files"]}
        if type(facts["format"]) is not int or not isinstance(facts["heads"], list):
            raise ValueError
    except (ModelError, OSError, KeyError, TypeError, ValueError):
        raise ModelError(f"{out}: is there already and is no model folder; give another name, or remove it") from None
    for file in sorted(out.iterdir()):
        if file.name not in known and not file.name.startswith(".") and file.name not in _BESIDE:
            raise ModelError(
                f"{out}: holds {file.name}, which is not of the model there; give another name, or move it away"
            )


def _refuse_foreign_part(work: Path) -> None:
    ours = work.is_dir() and ((work / FACTS).is_file() or not any(work.iterdir()))
    if (work.exists() or work.is_symlink()) and not ours:
        raise ModelError(f"{work}: is there already and not ours; give another name, or remove it")


def _complete_replacing(out: Path) -> None:
    """Where a run ended between taking the old model away and putting the new one there, do the rest."""
    work = work_folder(out)
    old, new = work / _REPLACED, work / "model"
    if not (work / FACTS).is_file() or not old.is_dir():
        return
    if not out.exists():
        replace_file(new if (new / "card.json").is_file() else old, out)
    shutil.rmtree(work)


def _remove_part(out: Path) -> None:
    """Leftovers of the making of a finished model; a part of other settings is another run's."""
    work = work_folder(out)
    if (work / FACTS).is_file() and _read(work / FACTS) == _read(out / FACTS):
        shutil.rmtree(work, ignore_errors=True)


def _same(out: Path, before: Mapping[str, Any], now: Mapping[str, Any], what: str) -> None:
    for key in [*now, *before]:
        if before.get(key) != now.get(key):
            raise RecipeError(
                f"{out}: {what} with {key} = {_short(before.get(key))}, not {_short(now.get(key))}; "
                "run it as before, give another name, or --overwrite to begin again"
            )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 90 else text[:87] + "..."


def _read(file: Path) -> dict[str, Any]:
    try:
        facts = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: damaged: {error}; begin again with --overwrite") from error
    return facts if isinstance(facts, dict) else {}


def _text(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, indent=1, ensure_ascii=False) + "\n"
