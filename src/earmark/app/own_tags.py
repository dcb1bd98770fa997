"""What the files' own tags teach: songs of the library, or of a folder, as a data set; and what the tags are worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.app.library import opened
from earmark.app.selection import find_files
from earmark.audio.files import matcher
from earmark.errors import EarmarkError, StorageError, UnknownName
from earmark.events import Notice, Progress, Steps
from earmark.inference.records import ClipEmbeddings, Failure, path_fields

if TYPE_CHECKING:
    from earmark.datasets.from_tags import TaggedDataset, TaggedSong
    from earmark.engine import Engine
    from earmark.evaluation.audit import LabelIssue
    from earmark.inference.tagger import Tagger
    from earmark.library.records import LibraryModel, LibraryTrack
    from earmark.library.store import Library
    from earmark.recipe import Recipe
    from earmark.training.job import Job, KnownTracks

__all__ = ["Level", "OwnTags", "TagOptions", "TagWorth", "collect", "in_words", "measure"]

_STORED = ("genre", "artist", "album", "title", "year")
_LEVELS = (0.5, 0.7, 0.9)


@dataclass(frozen=True, kw_only=True)
class TagOptions:
    """Which songs to learn from by their tags, and how.

    Attributes:
        dataset: A folder of music; None for the library. (Of a training on other labels: the data set.)
        exclude_files: Patterns of files that are left out.
        init: A model to start from.
        library: The library's file; the one in the user's data folder where None.
        field: The tag, and the name of the head.
        multi_label: Of several labels of a song all count, not the first alone.
        labels: A file with the user's own names of labels.
        min_tracks: Labels of fewer songs are left out.
        min_artists: So are labels of songs by fewer artists.
    """

    dataset: str | None = None
    exclude_files: tuple[str, ...] = ()
    init: str | None = None
    library: str | None = None
    field: str = "genre"
    multi_label: bool = False
    labels: str | None = None
    min_tracks: int = 5
    min_artists: int = 3


@dataclass(frozen=True, slots=True, eq=False)
class OwnTags:
    """Songs with their tags.

    Attributes:
        found: The data set that they make.
        songs: Every recording once, untagged ones too.
        known: What the library knows of them; None where it knows nothing.
        init: The model whose embeddings these are, where it is not the recipe's own.
    """

    found: TaggedDataset
    songs: tuple[TaggedSong, ...]
    known: KnownTracks | None
    init: Path | None


@dataclass(frozen=True, slots=True)
class Level:
    """What would be filled in at one least confidence.

    Attributes:
        confidence: The least; None is the model's own threshold.
        songs: Untagged songs that would get a label.
        precision: Share of the labels that are right, on scored songs at this level; None where there are none.
        scored: Those songs.
    """

    confidence: float | None
    songs: int
    precision: float | None
    scored: int


@dataclass(frozen=True, slots=True, eq=False)
class TagWorth:
    """What tags are worth.

    Attributes:
        tags: Songs and labels.
        issues: Tags that a model which never learned from the artist disagrees with, the surest first; rows of
            ``paths``.
        paths: Of the songs that were learned from.
        threshold: From which on the model gives a label; None where each label has its own.
        levels: What would be filled in, the model's own threshold first.
        filled: By label, in how many untagged songs it would be filled in at the model's own threshold.
        note: Why issues and gaps were not looked at; "" where they were.
    """

    tags: OwnTags
    issues: tuple[LabelIssue, ...] = ()
    paths: tuple[str, ...] = ()
    threshold: float | None = None
    levels: tuple[Level, ...] = ()
    filled: Mapping[str, int] | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As ``train --from-tags -f json`` prints it."""
        found, spec = self.tags.found, self.tags.found.dataset.heads[0]
        return {
            "field": spec.name,
            "songs": len(self.tags.songs),
            "tagged": len(self.tags.songs) - len(found.untagged),
            "untagged": len(found.untagged),
            "group": found.dataset.group_by,
            "labels": {
                one.name: {"tracks": one.tracks, "artists": one.artists, "spellings": dict(one.spellings)}
                for one in found.labels
                if not one.left_out
            },
            "left_out": [
                {"label": one.name, "tracks": one.tracks, "artists": one.artists}
                for one in found.labels
                if one.left_out
            ],
            "doubtful": [
                {
                    **path_fields(self.paths[issue.row]),
                    "given": issue.given,
                    "heard": issue.predicted,
                    "confidence": issue.confidence,
                }
                for issue in self.issues
            ],
            "fill": {
                "threshold": self.threshold,
                "labels": dict(self.filled or {}),
                "levels": [
                    {"confidence": one.confidence, "songs": one.songs, "precision": one.precision, "scored": one.scored}
                    for one in self.levels
                ],
            },
            "note": self.note or None,
        }


def collect(request: TagOptions, recipe: Recipe, engine: Engine) -> Steps[OwnTags]:
    """The songs of the library, or of a folder, by their tags; with the embeddings that the library holds of them.

    Raises:
        EarmarkError: There is no library, or nothing in it can be learned.
    """
    from earmark.datasets.from_tags import TagPlan, read_aliases, tagged_dataset

    plan = TagPlan(
        tag=request.field.casefold(),
        multilabel=request.multi_label,
        min_tracks=request.min_tracks,
        min_artists=request.min_artists,
        aliases=read_aliases(Path(request.labels), request.field.casefold()) if request.labels else {},
    )
    with ExitStack() as stack:
        library = _library(request, stack)
        files = _of_library(request, library) if request.dataset is None else _of_folder(request, library)
        songs, tracks = yield from _songs(files, plan.tag, engine)
        name = Path(request.dataset).resolve().name if request.dataset is not None else _file(request).name
        found = tagged_dataset(name, songs, plan)
        init, model = (yield from _backbone(library, request, recipe)) if library is not None else (None, None)
        known = None if library is None or model is None else _known(library, model, songs, tracks)
    return OwnTags(found, tuple(songs), known, init)


def _file(request: TagOptions) -> Path:
    from earmark.library.store import default_file

    return Path(request.library) if request.library else default_file()


def _library(request: TagOptions, stack: ExitStack) -> Library | None:
    """The library; for a folder it may be missing."""
    if request.dataset is not None and not request.library and not _file(request).exists():
        return None
    return stack.enter_context(opened(request.library))


_Files = list[tuple[Path, "LibraryTrack | None"]]


def _of_library(request: TagOptions, library: Library | None) -> _Files:
    assert library is not None
    leaves_out, roots = matcher(request.exclude_files), [Path(root) for root in library.roots()]
    files: _Files = []
    for track in library.tracks(vanished=False):
        path = Path(track.path)
        root = next((root for root in roots if path.is_relative_to(root)), path.parent)
        if _is_song(track) and not (request.exclude_files and leaves_out(root, path)):
            files.append((path, track))
    if not files:
        raise StorageError(
            f"{library.file}: the library holds no songs that are there; `earmark scan FOLDER` adds some"
        )
    return files


def _is_song(track: LibraryTrack) -> bool:
    return track.audio is not None and track.song and track.state != "analyse"


def _of_folder(request: TagOptions, library: Library | None) -> _Files:
    """The folder's files, each with what the library knows of it as it is now."""
    from earmark.library.store import absolute

    assert request.dataset is not None
    tracks = {track.path: track for track in library.tracks()} if library is not None else {}
    files: _Files = []
    for entry in find_files([request.dataset], request.exclude_files).entries:
        if entry.error is not None:
            continue
        path, track = Path(entry.path), tracks.get(absolute(entry.path)) if tracks else None
        if track is None or not _unchanged(path, track):
            files.append((path, None))
        elif track.audio is None or track.song:  # what is no music teaches nothing
            files.append((path, track if _is_song(track) else None))
    return files


def _unchanged(path: Path, track: LibraryTrack) -> bool:
    try:
        status = path.stat()
    except OSError:  # gone meanwhile: whoever opens it says so
        return False
    return (status.st_size, status.st_mtime_ns) == (track.size, track.modified)


def _songs(files: _Files, tag: str, engine: Engine) -> Steps[tuple[list[TaggedSong], dict[Path, LibraryTrack]]]:
    """Each recording of the library once, with the tags of its copies; and what the library knows, by path.

    Where copies name different labels the most frequent ones count, and else those of the first.
    """
    from earmark.datasets.from_tags import TaggedSong

    read = yield from _read([path for path, track in files if track is None or tag not in _STORED], engine)
    copies: dict[int | Path, list[TaggedSong]] = {}
    tracks: dict[Path, LibraryTrack] = {}
    for path, track in files:
        if track is None:
            song = TaggedSong(path, *_own(read[path], tag))
            copies[path] = [song]
            continue
        values = tuple(getattr(track, tag).split(";")) if tag in _STORED else read[path].get(tag, ())
        song = TaggedSong(path, tuple(value for value in values if value.strip()), track.artist, track.album)
        same = copies.setdefault(track.audio or 0, [])
        if not same:
            tracks[path] = track
        same.append(song)
    songs, unlike = [], 0
    for same in copies.values():
        said = Counter(song.values for song in same if song.values)
        values = said.most_common(1)[0][0] if said else ()
        unlike += len(said) > 1
        songs.append(TaggedSong(same[0].path, values, _first(s.artist for s in same), _first(s.album for s in same)))
    if unlike:
        yield Notice(
            f"{unlike} recordings have copies whose tags differ: the most frequent, or else the first, counts."
        )
    return songs, tracks


def _first(texts: Any) -> str:
    return next(filter(None, texts), "")


def _own(tags: Mapping[str, tuple[str, ...]], tag: str) -> tuple[tuple[str, ...], str, str]:
    from earmark.tags.read import artist_and_album

    return tags.get(tag, ()), *artist_and_album(tags)


def _read(paths: Sequence[Path], engine: Engine) -> Steps[dict[Path, Mapping[str, tuple[str, ...]]]]:
    """The tags of files; a file that is gone has none."""
    from earmark.engine import Each
    from earmark.tags.read import read_tags

    found: dict[Path, Mapping[str, tuple[str, ...]]] = {}
    with closing(engine.map(Each(read_tags), paths)) as results:
        for path, result in zip(paths, results, strict=True):
            found[path] = {} if isinstance(result, Failure) else result.value
            if len(found) % 100 == 0 or len(found) == len(paths):
                yield Progress(len(found), len(paths), "reading tags")
    return found


def _backbone(library: Library, request: TagOptions, recipe: Recipe) -> Steps[tuple[Path | None, LibraryModel | None]]:
    """The model to start from, where it is not the recipe's own, and the library's model with its embeddings.

    A library that another model has scanned is learned from by that model's network, unless one was asked for.
    """
    from earmark.models.card import read_card
    from earmark.models.registry import find_model

    models = [model for model, _ in library.models() if not model.layer and model.backbone]
    if recipe.training.method != "transfer" or not models:
        return None, None
    try:
        card = read_card(find_model(request.init or recipe.backbone.init or "default"))
    except UnknownName:
        if request.init or recipe.backbone.init not in (None, "", "default"):
            raise
    else:
        for model in models:
            if model.backbone == card.backbone_digest:
                return None, model
        if request.init:
            return None, None
    for model in models:
        folder = Path(model.folder)
        if (folder / "card.json").is_file() and model.is_of(read_card(folder)):
            yield Notice(
                f"The library was scanned with {model.title}: its network is used, so that nothing is analysed."
            )
            return folder, model
    return None, None


def _known(
    library: Library, model: LibraryModel, songs: Sequence[TaggedSong], tracks: Mapping[Path, LibraryTrack]
) -> KnownTracks:
    from earmark.training.job import KnownTracks, TrackEmbeddings

    clips = library.clips(model, (track.audio for track in tracks.values() if track.audio is not None), exact=True)
    there = ((song.path, tracks[song.path]) for song in songs if song.path in tracks)
    known = {path: TrackEmbeddings(t.recording, clips[t.audio].vectors) for path, t in there if t.audio in clips}
    return KnownTracks(model.backbone, known)


def measure(tags: OwnTags, job: Job, model: Path, engine: Engine) -> Steps[TagWorth]:
    """What the tags are worth: which are doubtful, and what the trained model would fill in where there is none."""
    if job.recipe.training.method != "transfer":
        return TagWorth(tags, note=f"Doubtful tags and gaps are looked for by transfer alone, not by {job.recipe.name}")
    from earmark.evaluation.audit import find_label_issues
    from earmark.inference.tagger import load_model

    tagger = load_model(model)
    paths = [track.path for track in job.dataset.tracks]
    taught = set(paths)  # the user's own word fills a gap, too
    gaps = [path for row in tags.found.untagged if (path := tags.songs[row].path) not in taught]
    clips = yield from _clips(job, [*paths, *gaps], engine)
    yield Progress(0, stage="looking for doubtful tags")
    issues, notices = find_label_issues(job.dataset, _means([clips.get(path) for path in paths], tagger))
    yield from map(Notice, notices)
    scored = job.split.test if len(job.split.test) else job.split.valid
    answers = yield from _predict(tagger, [clips[path] for path in gaps if path in clips])
    known = [int(row) for row in scored if paths[int(row)] in clips]
    checks = yield from _predict(tagger, [clips[paths[row]] for row in known])
    head = tagger.card.heads[0]
    truth = [_labels(job.dataset.tracks[row].labels.get(head.name)) for row in known]
    levels = tuple(_level(least, answers, checks, truth) for least in (None, *_LEVELS))
    filled = Counter(label for answer in answers for label in _named(answer, None))
    return TagWorth(
        tags,
        issues,
        tuple(map(str, paths)),
        head.threshold if head.task == "multiclass" else None,
        levels,
        dict(filled.most_common()),
    )


def _clips(job: Job, paths: Sequence[Path], engine: Engine) -> Steps[dict[Path, Any]]:
    """Embeddings (clips, dimensions) by path, of the songs that have any."""
    from earmark.training.job import TrackEmbeddings
    from earmark.training.transfer import base_model, embed_files

    base = base_model(job.recipe, job.options.init, job.dataset)
    found = yield from embed_files(base, paths, engine, job.options.known)
    return {path: one.clips for path, one in zip(paths, found, strict=True) if isinstance(one, TrackEmbeddings)}


def _means(clips: Sequence[Any], tagger: Tagger) -> Any:
    import numpy as np

    blank = np.full(tagger.card.embedding, np.nan)
    return np.stack([blank if one is None else one.mean(0, dtype=np.float64) for one in clips])


def _predict(tagger: Tagger, clips: Sequence[Any]) -> Steps[list[Any]]:
    """What the model predicts of songs by their embeddings: one head's prediction each."""
    import numpy as np

    name, found = tagger.card.heads[0].name, []
    for one in clips:
        prediction = tagger.predict_embeddings(ClipEmbeddings(np.zeros((len(one), 2), np.float32), one))
        found.append(prediction.heads[name])
        if len(found) % 500 == 0 or len(found) == len(clips):
            yield Progress(len(found), len(clips), "filling gaps")
    return found


def _level(least: float | None, answers: Sequence[Any], checks: Sequence[Any], truth: Sequence[set[str]]) -> Level:
    named = [(set(_named(answer, least)), right) for answer, right in zip(checks, truth, strict=True)]
    total = sum(len(labels) for labels, _ in named)
    right = sum(len(labels & given) for labels, given in named)
    songs = sum(bool(_named(answer, least)) for answer in answers)
    return Level(least, songs, round(right / total, 4) if total else None, sum(bool(labels) for labels, _ in named))


def _named(answer: Any, least: float | None) -> list[str]:
    """What ``write-tags`` would write."""
    from earmark.filetags.policy import labels_to_write

    return labels_to_write(answer, least)


def _labels(given: Any) -> set[str]:
    return {given} if isinstance(given, str) else set(given or ())


def in_words(worth: TagWorth, model: str) -> list[str]:
    """What tags are worth, line by line."""
    found = worth.tags.found
    tag, songs, untagged = found.dataset.heads[0].name, len(worth.tags.songs), len(found.untagged)
    kept = [label for label in found.labels if not label.left_out]
    spellings = sum(len(label.spellings) for label in kept)
    lines = [
        f"{songs - untagged:,} of {songs:,} songs have a {tag} tag: {len(kept)} labels of {spellings} spellings, "
        f"{len(found.labels) - len(kept)} left out as too rare."
    ]
    if worth.note:
        return [*lines, f"{worth.note}."]
    lines.append(f"{len(worth.issues):,} tags are doubtful: a model that learned from other artists says otherwise.")
    for issue in worth.issues[:5]:
        lines.append(f"  {worth.paths[issue.row]}: {issue.given}, rather {issue.predicted} ({issue.confidence:.0%})")
    if not untagged:
        return [*lines, f"No song lacks a {tag} tag: there is nothing to fill in."]
    first, *others = worth.levels
    at = f" at a confidence of {worth.threshold:.2f} or more" if worth.threshold is not None else ""
    best = ", ".join(f"{label} {count:,}" for label, count in list((worth.filled or {}).items())[:8])
    lines.append(
        f"It would fill in {first.songs:,} of {untagged:,} songs without a {tag} tag{at}{_right(first)}: {best}"
    )
    lines += [f"  from {one.confidence:.0%} on: {one.songs:,} songs{_right(one)}" for one in others]
    if first.songs and _has_field(tag):
        lines.append(
            f"`earmark write-tags -m {model} --heads {tag} --dry-run` shows them; without --dry-run it writes."
        )
    return lines


def _has_field(tag: str) -> bool:
    from earmark.filetags.policy import field_of

    try:
        return bool(field_of(tag))
    except EarmarkError:
        return False


def _right(level: Level) -> str:
    if level.precision is None:
        return ""
    return f" ({level.precision:.0%} of such answers were right on {level.scored:,} songs set aside)"
