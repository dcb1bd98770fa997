"""Scanning: folders into the library. Only what is new or changed is opened, and only new audio is analysed.

Before a scan opens anything, a survey finds what is new, changed, moved or gone below the folders.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from earmark.audio.files import Entry, walk
from earmark.engine import Engine
from earmark.errors import AudioError, EarmarkError, ModelError
from earmark.events import Notice, Progress, Record, Steps
from earmark.inference.records import Failure
from earmark.library.measuring import add_features
from earmark.library.opening import PASSING, Compare, Item, Open, Opened, Pair, gone
from earmark.library.options import ScanOptions
from earmark.library.records import LibraryModel
from earmark.library.store import Library, Stamp, StoredFile
from earmark.storage import lock

__all__ = ["PASSING", "Scanned", "Survey", "Todo", "only_one", "real_root", "scan_folders", "score_stored", "survey"]


@dataclass(frozen=True, slots=True)
class Todo:
    """A file that a worker has to open.

    Attributes:
        item: What is to be done with it.
        stamp: Of the file as it is now.
        known: The track as the library has it, or None.
        moved: Whether it is there under another name, with new tags perhaps.
    """

    item: Item
    stamp: Stamp
    known: StoredFile | None
    moved: bool = False

    @property
    def path(self) -> str:
        """The file's."""
        return self.item.path


@dataclass(slots=True)
class Survey:
    """What a scan found and has to do.

    Attributes:
        roots: The folders (or files), as the file system has them.
        todo: What is to be opened, in order.
        met: Every file that can be looked at.
        failures: What cannot be opened at all.
        gone: Tracks below the roots that were not met, by path.
        blocked: Folders and files that could not be looked at; nothing below them counts as gone.
        renumbered: By what a device was called before, what it is called now.
        others: Files that are no audio.
        unchanged: Tracks that need nothing.
        moved: Tracks found under another name.
    """

    roots: tuple[str, ...]
    todo: list[Todo] = field(default_factory=list)
    met: dict[str, Stamp] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    gone: dict[str, StoredFile] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    renumbered: dict[str, str] = field(default_factory=dict)
    others: int = 0
    unchanged: int = 0
    moved: int = 0


def real_root(argument: str) -> str:
    """A folder by its one real name.

    Raises:
        EarmarkError: It is not there.
    """
    try:
        return str(Path(argument).resolve(strict=True))
    except (OSError, ValueError, RuntimeError) as error:
        raise EarmarkError(f"{argument}: no such folder") from error


def survey(
    library: Library,
    roots: Sequence[str],
    model: LibraryModel,
    analysed_since: float | None,
    exclude: Sequence[str] = (),
) -> Survey:
    """Look at every file below the roots, and put right what needs no opening: renamed and returned files.

    Args:
        library: Open for writing.
        roots: From :func:`real_root`.
        model: That is to analyse.
        analysed_since: None opens only what is new or changed; a time opens all that the model has not analysed since.
        exclude: Patterns of files that are left out.
    """
    found = Survey(tuple(roots))
    _meet(found, roots, exclude)
    inodes = {stamp.inode for stamp in found.met.values()}
    known = {track.path: track for track in library.stored_files(model.key, roots, inodes)}
    below = tuple(root if root.endswith(os.sep) else root + os.sep for root in roots)
    found.gone = {
        path: track
        for path, track in known.items()
        if path not in found.met and (path in roots or path.startswith(below))
    }
    before = _Before(known, {}, {})
    for track in known.values():
        if track.audio is not None and track.stamp.file:
            before.by_file[track.stamp.file] = track
        if track.state == "identify":
            before.by_name[_name(track.path, track.stamp)] = track
    with library.change():
        for path, stamp in found.met.items():
            _place(library, found, path, stamp, before, analysed_since)
    return found


@dataclass(frozen=True, slots=True)
class _Before:
    known: Mapping[str, StoredFile]
    by_file: dict[tuple[str, int, int], StoredFile]
    by_name: dict[tuple[str, int, int], StoredFile]


def _name(path: str, stamp: Stamp) -> tuple[str, int, int]:
    return Path(path).name, stamp.size, stamp.modified


def _meet(found: Survey, roots: Sequence[str], exclude: Sequence[str]) -> None:
    """Every file that can be looked at, with its stamp; what cannot goes to ``found.blocked`` and ``.failures``."""
    for entry in walk(roots, exclude):
        if not entry.audio:
            found.others += 1
            continue
        try:
            if entry.error is not None:
                raise entry.error
            found.met[entry.path] = Stamp.of(Path(entry.path).stat())
        except (AudioError, OSError) as error:
            _block(found, entry, error)


def _block(found: Survey, entry: Entry, error: AudioError | OSError) -> None:
    if not isinstance(error, AudioError):
        error = AudioError(entry.path, "io", error.strerror or str(error))
    found.blocked.append(entry.path)
    found.failures.append(Failure.of(error))


def _place(
    library: Library, found: Survey, path: str, stamp: Stamp, before: _Before, analysed_since: float | None
) -> None:
    """Decide about one file that is there."""
    track, moved = before.known.get(path), False
    if track is None:
        track = _moved(library, found, path, stamp, before)
        moved = track is not None
    if track is None:
        found.todo.append(Todo(Item(path), stamp, None))
        return
    if not moved and not track.stamp.same_content(stamp):
        identify = track.state == "identify" and analysed_since is None
        item = Item(path, "identify", track.seconds) if identify else Item(path)
        found.todo.append(Todo(item, stamp, track))
        return
    if track.stamp.device != stamp.device:
        found.renumbered[track.stamp.device] = stamp.device
    if track.stamp != stamp or track.vanished is not None:
        library.move_track(track.id, path, stamp)
    if _needs_analysis(track, analysed_since):
        found.todo.append(Todo(Item(path, "again" if track.error in PASSING else "analyse"), stamp, track))
    elif track.state == "identify":
        found.todo.append(Todo(Item(path, "identify", track.seconds), stamp, track, moved))
    elif moved:
        found.todo.append(Todo(Item(path, "tags"), stamp, track, moved))
    else:
        found.unchanged += 1


def _moved(library: Library, found: Survey, path: str, stamp: Stamp, before: _Before) -> StoredFile | None:
    """The track that this file was under another name; its row is given the new one, or copied if both are there."""
    track = before.by_file.get(stamp.file) if stamp.file else None
    if track is None:
        # The key of format 1 cannot be found again: a file of the same name, size and time is taken for the one gone.
        track = before.by_name.get(_name(path, stamp))
        if track is None or track.path not in found.gone:
            return None
    if track.path in found.met or (track.path not in found.gone and os.path.lexists(track.path)):
        row = library.copy_track(track.id, path, stamp)
        return replace(track, id=row, path=path, stamp=stamp, error=None, vanished=None)
    library.move_track(track.id, path, stamp)
    found.gone.pop(track.path, None)
    found.moved += 1
    moved = replace(track, path=path, stamp=stamp, error=None, vanished=None)
    if stamp.file:
        before.by_file[stamp.file] = moved
    return moved


def _needs_analysis(track: StoredFile, analysed_since: float | None) -> bool:
    if track.state == "analyse" or track.error in PASSING:
        return True
    if track.audio is None:
        return analysed_since is not None or track.error is None
    return analysed_since is not None and (track.analysed is None or track.analysed < analysed_since)


_SCORED_AT_ONCE = 500
_PLAIN = ScanOptions()


def only_one(file: Path) -> AbstractContextManager[None]:
    """Hold the right to scan into a library (StorageError where another process holds it). For ``with``."""
    return lock(file, f"{file}: another scan is at work in it; let it end, or stop it")


@dataclass(slots=True)
class Scanned:
    """What became of a scan's files.

    Attributes:
        model: With its row.
        analysed: Tracks that were analysed.
        known: Tracks whose audio was analysed before under another name, or before their tags changed.
        unchanged: Tracks that were not opened, or in which nothing that counts had changed.
        scored: Tracks that the model gave scores by stored embeddings of its backbone.
        moved: Tracks found under another name; they are among ``known`` or ``unchanged``.
        vanished: Tracks newly marked as not there any more.
        silent: Of those analysed, those that are no music.
        measured: Recordings that got features.
        failed: Files that could not be analysed, by kind.
        others: Files that are no audio.
        unplugged: Tracks below a folder that is not to be seen just now; nothing is changed about them.
    """

    model: LibraryModel
    analysed: int = 0
    known: int = 0
    unchanged: int = 0
    scored: int = 0
    moved: int = 0
    vanished: int = 0
    silent: int = 0
    measured: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    others: int = 0
    unplugged: int = 0


def scan_folders(
    library: Library,
    roots: Sequence[str],
    model: LibraryModel,
    engine: Engine,
    options: ScanOptions = _PLAIN,
) -> Steps[Scanned]:
    """One scan. It may be stopped at any point: what is done is in the library, and the next one goes on.

    Args:
        library: Open for writing, and held by :func:`only_one`.
        roots: From :func:`earmark.library.scan.real_root`.
        model: That is to analyse; its ``folder`` is where it is.
        engine: Opens and analyses the files.
        options: How.

    Yields:
        A record (its path) and the progress after each file that is in the library now.

    Raises:
        EarmarkError: The model cannot be loaded, or the library not be written.
    """
    note = ""
    with library.change():
        model = library.add_model(model)
        if options.force:
            note = " ".join((f"force {model.key} {os.pathsep.join(roots)}", *options.features))
            begun = library.fact(note) or time.time()
            library.set_fact(note, begun)
    done = Scanned(model)
    if not options.force:
        done.scored = yield from score_stored(library, model)
    devices = {root: Path(root).stat().st_dev for root in roots}
    yield Progress(0, stage="looking", unit="files")
    found = survey(library, roots, model, begun if options.force else None, options.exclude)
    done.unchanged, done.moved, done.others = found.unchanged, found.moved, found.others
    work = _Scan(library, found, done, devices, options)
    if (count := sum(todo.item.work == "identify" for todo in found.todo)) > 1:
        yield Notice(f"{count} songs of an older format are opened once, to learn what their recordings are known by.")
    again = yield from work.open(engine, found.todo)
    while again:
        again = yield from work.open(engine, again)
    if options.features:
        added = yield from add_features(library, done.model, engine, options.features, found.met)
        done.measured += len(added.audio)
        done.failed += added.failed
    work.finish(note)
    return done


def score_stored(library: Library, model: LibraryModel) -> Steps[int]:
    """A model with new heads on a known backbone needs the stored embeddings alone: nothing is decoded.

    Returns:
        How many recordings got scores.
    """
    from earmark.inference.tagger import load_model

    unscored, scored = [] if model.layer else library.unscored(model), 0
    if not unscored:
        return 0
    tagger = load_model(model.folder)
    for start in range(0, len(unscored), _SCORED_AT_ONCE):
        part = unscored[start : start + _SCORED_AT_ONCE]
        clips = library.clips(model, [audio for audio, _ in part])
        try:
            with library.change():
                for audio, warning in part:
                    prediction = replace(tagger.predict_embeddings(clips[audio]), warning=warning)
                    library.add_result(model, replace(prediction, embedding=None, clips=None), audio)
        except ModelError:  # a head that reads another layer than the embedding must run on the files
            return scored
        scored += len(part)
        yield Progress(scored, len(unscored), "scoring stored embeddings")
    return scored


@dataclass(slots=True)
class _Scan:
    """A scan on its way."""

    library: Library
    survey: Survey
    done: Scanned
    devices: Mapping[str, int]
    options: ScanOptions

    def open(self, engine: Engine, todos: Sequence[Todo]) -> Steps[list[Todo]]:
        """Open files, then compare those that share a key; returns those that must be opened again, to be analysed."""
        for failure in self.survey.failures:
            self._keep_unopened(failure)
        self.survey.failures.clear()
        model = self.done.model
        folder = Path(model.folder)
        task = Open(folder, model.layer, self._known(todos), _written(folder), self.options.features)
        yield Progress(0, len(todos))
        results = engine.map(task, (todo.item for todo in todos), ordered=False)
        with closing(results):  # in any order: a slow file must not keep those behind it out of the library
            for count, result in enumerate(results, 1):
                todo = todos[result.index or 0]
                with self.library.change():
                    if isinstance(result, Failure):
                        self._fail(todo, result)
                    else:
                        self._keep(todo, result.value)
                yield Record(todo.path)
                yield Progress(count, len(todos))
        return (yield from self._compare(engine, todos))

    def _known(self, todos: Sequence[Todo]) -> dict[str, dict[int, str]]:
        """By key, audio that needs no analysis if it turns up again, and a file to compare with.

        That of the changed files themselves, of those that are gone, and of those of the same size as a new one.
        """
        todos = [todo for todo in todos if todo.item.work != "tags" and (todo.known is None or todo.known.state == "")]
        if self.options.force or not todos:
            return {}
        audio = {todo.known.audio for todo in todos if todo.known}
        audio |= {track.audio for track in self.survey.gone.values()}
        opened = {todo.path for todo in todos}
        found: dict[str, dict[int, str]] = {}
        for key, files in self.library.holders(audio, {todo.stamp.size for todo in todos}).items():
            for one, path in files:
                there = path if path in self.survey.met and path not in opened else ""
                found.setdefault(key, {})[one] = found.get(key, {}).get(one) or there
        return found

    def _fail(self, todo: Todo, failure: Failure) -> None:
        """A failure of machine or model is tried again, and what is known of the file stands; one of the file stays."""
        failure = gone(failure)
        self.done.failed[failure.kind] += 1
        known, passing = todo.known, failure.kind in PASSING
        by = self.done.model.key if failure.passing else None
        if passing and known is not None and known.audio is not None:
            if failure.passing:
                self.library.put_failure(known.id, failure, self.done.model.key)
            return
        facts = {"error": failure.kind, "message": failure.message, "failed_by": by}
        self.library.put_track(known.id if known else None, todo.path, todo.stamp, None, facts)

    def _keep(self, todo: Todo, opened: Opened) -> None:
        """What was found in a file."""
        if opened.prediction is None:
            self._count_known(todo, changed=todo.known is not None and self._new_tags(todo.known, todo, opened))
            return
        audio, state = self._audio_of(todo, opened)
        if opened.prediction.heads:
            self.library.add_result(self.done.model, opened.prediction, audio)
            self.library.describe_audio(audio, opened.prediction.seconds, song=opened.prediction.is_song)
            self.done.analysed += 1
            self.done.silent += not opened.prediction.is_song
            self.done.measured += bool(opened.prediction.features)
        else:
            same = todo.known is not None and todo.known.audio == audio
            self._count_known(todo, changed=not same or self._new_tags(todo.known, todo, opened))
        known = todo.known or self._gone_with(audio)
        facts = {**opened.tags, "state": state}
        self.library.put_track(known.id if known else None, todo.path, todo.stamp, audio, facts)

    def _new_tags(self, known: StoredFile | None, todo: Todo, opened: Opened) -> bool:
        return known is not None and self.library.put_tags(known.id, todo.stamp, opened.tags)

    def _count_known(self, todo: Todo, *, changed: bool) -> None:
        if changed and not todo.moved:
            self.done.known += 1
        else:
            self.done.unchanged += 1  # a link was made, rights were changed, a folder was renamed

    def _audio_of(self, todo: Todo, opened: Opened) -> tuple[int, str]:
        """Row of the audio that a file holds, and whether it has yet to be compared with others of its key."""
        assert opened.prediction is not None
        known, prediction, key = todo.known, opened.prediction, opened.prediction.content_hash or ""
        if opened.audio is not None:
            shared = any(path != todo.path for path in self._holders(opened.audio))
            return opened.audio, "compare" if shared and not opened.proven else ""
        if known is not None and known.audio is not None and known.state != "analyse":
            if known.state == "identify" and (known.stamp.same_content(todo.stamp) or not prediction.heads):
                return known.audio, "compare" if self.library.set_key(known.audio, key, prediction.seconds) else ""
            if known.key == key:  # analysed again: the same recording
                return known.audio, ""
        other = self.library.audio_of(key)
        if other is None:
            return self.library.add_audio(key, prediction.seconds), ""
        if not self._holders(other):
            return other, ""  # of a file that is gone: this one is it
        return self.library.add_audio(key, prediction.seconds, apart=True), "compare"

    def _holders(self, audio: int) -> list[str]:
        """Files that are there and hold an audio, as far as is known."""
        return [path for path in self.library.holders_of(audio) if path not in self.survey.gone]

    def _gone_with(self, audio: int) -> StoredFile | None:
        """The track that is gone and had this audio: its file has moved."""
        for path, track in self.survey.gone.items():
            if track.audio == audio:
                del self.survey.gone[path]
                self.done.moved += 1
                return track
        return None

    def _compare(self, engine: Engine, todos: Sequence[Todo]) -> Steps[list[Todo]]:
        """Files whose audio shares a key: two that are the same to the last sample become one recording."""
        waiting = self.library.to_compare()
        pairs = (Pair(path, tuple(other for _, other in others)) for _, path, _, others in waiting)
        opened, again = {todo.path: todo for todo in todos}, list[Todo]()
        became = dict[int, int]()  # rows of audio that are a part of another now
        with closing(engine.map(Compare(), pairs)) as results:
            for count, result in enumerate(results, 1):
                if isinstance(result, Failure):
                    continue  # one of them cannot be read just now: the next scan tries again
                track, path, audio, others = waiting[result.index]
                with self.library.change():
                    self.library.set_state(track, "")
                    if result.value is not None:
                        self._join(became, audio, others[result.value][0])
                    elif audio in (one for one, _ in others):  # it is another recording than those of its row
                        self.library.set_state(track, "analyse")
                        if path in opened:
                            known = replace(opened[path].known or _none(track, path, opened[path]), state="analyse")
                            again.append(replace(opened[path], item=Item(path), known=known))
                yield Progress(count, len(waiting), "comparing")
        return again

    def _join(self, became: dict[int, int], *pair: int) -> None:
        one, other = (_end(became, audio) for audio in pair)
        if one != other:
            self.library.merge_audio(one, other)
            became[max(one, other)] = min(one, other)

    def _keep_unopened(self, failure: Failure) -> None:
        """What could not even be looked at is counted; a file gets a row, unless the library knows more of it."""
        self.done.failed[failure.kind] += 1
        if Path(failure.path).is_dir() or self.library.track(failure.path) is not None:
            return
        if failure.kind == "missing" and not os.path.lexists(failure.path):
            return
        with self.library.change():
            self.library.put_unopened(failure)

    def finish(self, note: str) -> None:
        """Mark what is gone, and remember the folders."""
        with self.library.change():
            for path, track in self.survey.gone.items():
                if track.vanished is not None:
                    continue
                if self._is_gone(path, track):
                    self.library.mark_vanished(track.id)
                    self.done.vanished += 1
                else:
                    self.done.unplugged += 1
            self.library.remember_roots(self.survey.roots)
            if note:
                self.library.set_fact(note, None)

    def _is_gone(self, path: str, track: StoredFile) -> bool:
        """Whether the file itself is gone or left out, and not the drive or the folder that it was on."""
        if any(path == one or path.startswith(one + os.sep) for one in self.survey.blocked):
            return False
        if os.path.lexists(path):
            return True  # left out: a recycle bin, a pattern
        root = next(root for root in self.survey.roots if path == root or path.startswith(root.rstrip(os.sep) + os.sep))
        try:
            if Path(root).stat().st_dev != self.devices[root] or self._is_empty(root):
                return False
            folder = Path(path).parent
            while not folder.exists():
                folder = folder.parent
            device = str(folder.stat().st_dev)
        except OSError:
            return False
        return device in (track.stamp.device, self.survey.renumbered.get(track.stamp.device))

    def _is_empty(self, root: str) -> bool:
        """An empty folder is what an unplugged drive leaves behind."""
        return not self.survey.met and not self.survey.others and Path(root).is_dir()


def _end(became: Mapping[int, int], audio: int) -> int:
    while audio in became:
        audio = became[audio]
    return audio


def _none(track: int, path: str, todo: Todo) -> StoredFile:
    """A track that this scan has made."""
    return StoredFile(track, path, todo.stamp, None, None, None, "", 0.0, "", None)


def _written(model: Path) -> int:
    try:
        return (model / "card.json").stat().st_mtime_ns
    except OSError:  # the workers will say so
        return 0
