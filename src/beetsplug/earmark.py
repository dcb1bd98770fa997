"""The beets plug-in: ``beet earmark`` gives songs genre, mood and energy by ear, by itself on import where asked.

Where its configuration asks for features, also tempo, key, ReplayGain and further numbers.

beets loads ``beetsplug.earmark`` where its configuration names ``earmark`` among ``plugins``; beets is no dependency.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging import NOTSET
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beets import config, ui
from beets.dbcore import types
from beets.exceptions import UserError
from beets.library import Item
from beets.plugins import BeetsPlugin
from mediafile import (
    ASFStorageStyle,
    MediaField,
    MediaFile,
    MP3DescStorageStyle,
    MP3StorageStyle,
    MP4StorageStyle,
    StorageStyle,
    UnreadableFileError,
)

from earmark.analyses.facts import ANALYSES, Feature, Key, Loudness, Score, Tempo, choose
from earmark.app.selection import Models, find_models, label_table
from earmark.engine import Analyse, LocalEngine, analyse
from earmark.errors import EarmarkError, UnknownName
from earmark.filetags.policy import labels_to_write
from earmark.inference.labels import renamed
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction
from earmark.models.card import HeadCard

if TYPE_CHECKING:
    import optparse

    from beets.importer import ImportSession, ImportTask
    from beets.library import Album, Library

HEADS = ("genre", "mood", "energy", "positivity", "instruments")
FIELDS = {"genre": "genres"}
"""beets' own field, where it has one for what Earmark tells; those of features: :func:`_of_feature`."""
LISTS = ("instruments",)
"""Attributes that hold lists; beets keeps those of other heads as texts."""
IN_FILES = ("mood", "energy")
"""Attributes that beets has no field of a file for."""


@dataclass(frozen=True)
class _Plan:
    """What the configuration asks for, checked."""

    models: Models
    options: HearingOptions
    heads: Mapping[str, HeadCard]
    whitelist: frozenset[str]
    confidence: float | None
    count: int

    @property
    def marks(self) -> dict[str, str]:
        """The attributes by which a song is known: the model, and the analyses of features with their versions."""
        features = " ".join(f"{name}/{ANALYSES[name].version}" for name in self.options.features)
        return {"earmark_model": self.models.card.id} | ({"earmark_features": features} if features else {})

    def values(self, prediction: Prediction) -> dict[str, Any]:
        """Beets' fields, and what they are to hold; what is not music has none but its loudness."""
        found: dict[str, Any] = {}
        for name, card in self.heads.items() if prediction.is_song else ():
            head = prediction.heads[name]
            if head.task == "regression":
                value: Any = head.value
            else:
                labels = labels_to_write(head, self.confidence, card if card.parents else None)
                value = labels if name in LISTS else "; ".join(labels) or None
                if FIELDS.get(name, name) == "genres":
                    value = self._allowed(labels, card)
            if value not in (None, []):
                found[FIELDS.get(name, name)] = value
        for name, feature in prediction.features.items():
            told = _of_feature(name, feature, self.confidence or 0.0, opus=prediction.path.lower().endswith(".opus"))
            found |= {field: value for field, value in told.items() if value is not None}
        return found

    def _allowed(self, labels: Iterable[str], card: HeadCard) -> list[str]:
        """Genres of the whitelist: one that is not on it gives way to the nearest above it that is."""
        if not self.whitelist:
            return [*labels][: self.count]
        ways = ([name for name in card.above(label) if name.casefold() in self.whitelist] for label in labels)
        return [*dict.fromkeys(way[0] for way in ways if way)][: self.count]


class EarmarkPlugin(BeetsPlugin):
    """Genre, mood and energy by ear."""

    item_types = {  # noqa: RUF012 (as beets reads it)
        "mood": types.STRING,
        "energy": types.Float(2),
        "positivity": types.Float(2),
        "instruments": types.SEMICOLON_SPACE_DSV,
        **{name: types.Float(2) for name, one in ANALYSES.items() if isinstance(one.untold, Score)},
        "earmark_model": types.STRING,
        "earmark_features": types.STRING,
    }

    def __init__(self) -> None:
        super().__init__()
        self.config.add(
            {
                "auto": True,
                "force": False,
                "pretend": False,
                "write": False,
                "model": "default",
                "jobs": None,
                "confidence": None,
                "count": 1,
                "heads": None,
                "whitelist": False,
                "labels": None,
                "features": False,
            }
        )
        self._engine: LocalEngine | None = None
        self._checked: _Plan | None = None
        _add_fields()
        self.register_listener("write", self.add_tags)
        self.register_listener("cli_exit", self.close)
        if self.config["auto"].get(bool):
            self.register_listener("import_begin", self.begin)
            self.import_stages = [self.imported]
            self.register_listener("import_task_files", self.write_imported)

    def commands(self) -> Sequence[ui.Subcommand]:
        """``beet earmark``."""
        command = ui.Subcommand("earmark", help="tell genre, mood and energy by ear")
        add = command.parser.add_option
        add("-f", "--force", action="store_true", help="analyse again, and replace what is there")
        add("-F", "--no-force", dest="force", action="store_false", help="fill only what is empty")
        add("-p", "--pretend", action="store_true", help="show the changes, but make none")
        add("-w", "--write", action="store_true", help="write the results into the files too")
        add("-W", "--nowrite", dest="write", action="store_false", help="leave the files as they are")
        add("-m", "--model", help="a model that `earmark models` lists, or its folder")
        add("-j", "--jobs", type="int", help="songs at a time")
        add("--features", action="store_true", help="tempo, key, ReplayGain, danceability and the like too")
        add("-c", "--confidence", type="float", help="0 to 1, in place of the model's own thresholds")
        command.func = self.run
        return [command]

    def run(self, lib: Library, opts: optparse.Values, args: list[str]) -> None:
        """What ``beet earmark [QUERY]`` does."""
        self.config.set_args(vars(opts))
        write = self.config["write"].get(bool)
        with _as_beets():
            self._checked = self._plan()
        self.tell(lib, [*lib.items(args)], write=write, show=True)

    def begin(self, session: ImportSession) -> None:
        """What is wrong in the configuration ends an import before it begins."""
        with _as_beets():
            self._checked = self._plan()

    def imported(self, session: ImportSession, task: ImportTask) -> None:
        """A stage of the import; the files are not yet in their places."""
        self.tell(session.lib, task.imported_items())

    def write_imported(self, session: ImportSession, task: ImportTask) -> None:
        """Write, where asked for, what beets has not: songs that are imported as they are."""
        self._log.setLevel(NOTSET)  # beets refuses a listener within one of the same plug-in otherwise: add_tags
        if self.config["write"].get(bool) and not (task.apply and session.config["write"].get(bool)):
            for item in task.imported_items():
                item.try_sync(write=not self.config["pretend"].get(bool), move=False)

    def tell(self, lib: Library, items: Sequence[Item], *, write: bool = False, show: bool = False) -> None:
        """Analyse songs and store what comes of it, one by one; a file that fails is a warning.

        Raises:
            UserError: The configuration cannot be used.
        """
        pretend, force = self.config["pretend"].get(bool), self.config["force"].get(bool)
        with _as_beets():
            plan = self._checked or self._plan()
            marks = plan.marks
            due = [item for item in items if force or any(item.get(name) != mark for name, mark in marks.items())]
            failed = 0
            for item, result in self._results(plan, due):
                if isinstance(result, Failure):
                    failed += 1
                    self._log.warning("{}: {}: {}", item.filepath, result.kind, result.message)
                    continue
                _update(item, plan.values(result) | marks, force)
                if show:
                    ui.show_model_changes(item)
                if not pretend:
                    item.try_sync(write=write, move=False)
        if not pretend:
            for number in dict.fromkeys(item.album_id for item in due if item.album_id):
                _update_album(lib.get_album(number), force)
        known = len(items) - len(due)
        self._log.info("{} songs analysed, {} failed, {} known already", len(due) - failed, failed, known)

    def add_tags(self, item: Item, path: bytes, tags: dict[str, Any]) -> None:
        """Give beets, which writes a file, what it has no field for, where the configuration asks for it."""
        if self.config["write"].get(bool):
            tags.update({name: item[name] for name in IN_FILES if item.get(name) not in (None, "")})

    def close(self) -> None:
        """End the worker processes."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _results(self, plan: _Plan, items: Sequence[Item]) -> Iterator[tuple[Item, Prediction | Failure]]:
        """In the order of the items; the workers stay for the next album of an import."""
        if items and self._engine is None:
            self._engine = LocalEngine(self.config["jobs"].get(), preload="earmark.inference.tagger")
        if self._engine is not None:
            paths = (os.fsdecode(item.path) for item in items)
            task = Analyse.of(plan.models.folders, plan.options)
            yield from zip(items, analyse(self._engine, task, paths), strict=True)

    def _plan(self) -> _Plan:
        models, view = find_models(self.config["model"].as_str()), self.config
        table = label_table(view["labels"].as_filename() if view["labels"].get() else None, models.card)
        known = {head.name: renamed(head, table.get(head.name, {})) for head in models.card.heads}
        names = view["heads"].as_str_seq() if view["heads"].get() else [*filter(known.get, HEADS)] or [*known]
        for name in names:
            if name not in known:
                raise UnknownName("head", name, known)
            if name not in ("genre", "genres") and name in Item._fields:
                raise EarmarkError(f"the head {name!r} has the name of a field of beets; leave it out of `heads`")
        jobs, confidence = view["jobs"].get(), view["confidence"].get()
        if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
            raise EarmarkError(f"jobs: {jobs!r} is no number of songs at a time; write 1 or more")
        if confidence is not None and not (isinstance(confidence, (int, float)) and 0 <= confidence <= 1):
            raise EarmarkError(f"confidence: {confidence!r} is no probability; write a number from 0 to 1")
        heads, options = {name: known[name] for name in names}, HearingOptions(labels=table, features=self._features())
        return _Plan(models, options, heads, self._whitelist(), confidence, view["count"].get(int))

    def _features(self) -> tuple[str, ...]:
        """Those that are asked for: ``yes`` is all."""
        asked = self.config["features"]
        if asked.get() in (True, False, None, ""):
            return choose(None) if asked.get() else ()
        return choose(asked.as_str_seq())

    def _whitelist(self) -> frozenset[str]:
        """Names in lower case; none where all are welcome."""
        if self.config["whitelist"].get() in (True, False, None, ""):
            return frozenset()
        file = Path(self.config["whitelist"].as_filename())
        try:
            lines = [line.strip().casefold() for line in file.read_text("utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise EarmarkError(f"{file}: cannot read the whitelist: {error}") from error
        return frozenset(line for line in lines if line and not line.startswith("#"))


@contextmanager
def _as_beets() -> Iterator[None]:
    """Beets shows its own kind of error as one line."""
    try:
        yield
    except EarmarkError as error:
        raise UserError(f"earmark: {error}") from error


def _of_feature(name: str, feature: Feature, least: float, *, opus: bool) -> dict[str, Any]:
    """Beets' fields of a feature; None where it cannot be told, or less surely than asked for."""
    if isinstance(feature, Tempo):
        return {"bpm": None if feature.value is None or feature.confidence < least else round(feature.value)}
    if isinstance(feature, Key):
        return {"initial_key": None if feature.confidence < least else feature.musical}
    if isinstance(feature, Loudness):
        peak = None if feature.true_peak is None else round(10 ** (feature.true_peak / 20), 6)
        if opus:  # beets keeps the gain of Opus apart, to -23 LUFS
            return {"r128_track_gain": None if feature.lufs is None else round(-23 - feature.lufs, 2)}
        return {"rg_track_gain": feature.gain, "rg_track_peak": peak}
    return {name: feature.value}


def _update(item: Item, found: Mapping[str, Any], force: bool) -> None:
    """Set what is empty in beets' library and, for the mood, in the file as well; everything with ``force``."""
    for name, value in found.items():
        if name.startswith("earmark_") or force or not (item.get(name) or (name == "mood" and _mood_of_file(item))):
            item[name] = value


def _update_album(album: Album | None, force: bool) -> None:
    """An album has the genre of most of its songs, where it has none; its songs keep theirs."""
    if album is not None and (force or not album.genres):
        genres = Counter(item.genres[0] for item in album.items() if item.genres)
        if genres:
            album.genres = [genres.most_common(1)[0][0]]
            album.store(inherit=False)


def _mood_of_file(item: Item) -> str:
    try:
        return str(MediaFile(os.fsdecode(item.path)).mood or "")
    except UnreadableFileError:
        return ""


def _add_fields() -> None:
    """The places of :data:`IN_FILES`; where ID3 knows no mood (2.3), it stands in a free text frame, as with Picard.

    beets is not told that they belong to files: it would empty an attribute that a file does not hold.
    """
    old = config["id3v23"].get(bool)
    places = {
        "mood": (MP3DescStorageStyle("MOOD") if old else MP3StorageStyle("TMOO"), "WM/Mood", str),
        "energy": (MP3DescStorageStyle("ENERGY"), "ENERGY", float),
    }
    for name, (id3, asf, kind) in places.items():
        key = name.upper()
        styles = id3, MP4StorageStyle(f"----:com.apple.iTunes:{key}"), StorageStyle(key), ASFStorageStyle(asf)
        if not hasattr(MediaFile, name):
            MediaFile.add_field(name, MediaField(*styles, out_type=kind))
