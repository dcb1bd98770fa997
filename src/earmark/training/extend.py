"""Add classes to a trained model from a few songs, in seconds, without the audio that it was trained on.

The network and the old scores stay: what is learned is one more row a new class, against the old scores of the stored
exemplars (Rebuffi et al. 2017, iCaRL). So the odds between two old classes never change, however often a model is
extended, and a song of an old class can only move to a new one; calibration is done again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.audio.files import walk
from earmark.datasets.core import (
    Dataset,
    HeadSpec,
    Label,
    Track,
    conflicts_in_words,
    group_tracks,
    label_conflicts,
    lost_in_words,
    spelling_notices,
)
from earmark.datasets.splits import group_hash, group_salt, load_split, named_groups, write_rows
from earmark.datasets.tables import check_label
from earmark.engine.base import Engine
from earmark.errors import DatasetError, ModelError, StorageError, UnknownName
from earmark.evaluation.scores import head_of
from earmark.events import Progress, Steps
from earmark.inference.records import Failure
from earmark.inference.scores import raw_scores
from earmark.inference.tagger import Tagger, load_model
from earmark.models.card import NETWORK, Card, HeadCard
from earmark.models.exemplars import Exemplars, exemplars_of, read_names, write_names
from earmark.models.network import HeadWeights, dependent, widened, write_heads
from earmark.models.writer import ModelFolderWriter, check_place, seal
from earmark.storage import plain_reason
from earmark.tags.read import artist_and_album, read_tags
from earmark.training.finish import PER_CLASS, calibrate, model_card_text, split_rows
from earmark.training.fitting import Examples, Linear, fit_linear, group_folds
from earmark.training.forgetting import (
    Extension,
    Forgetting,
    HeadChange,
    measure,
    relabelled_in_words,
    relabelled_songs,
)
from earmark.training.module import WEIGHTS, read_weights, write_weights
from earmark.training.transfer import TrackEmbeddings, embed_files

__all__ = [
    "FEWEST",
    "Addition",
    "ExtendOptions",
    "Extension",
    "GainedHead",
    "additions_of",
    "extend_model",
    "songs_of_class",
    "truth_of",
    "with_included",
    "write_extended",
]

FEWEST = 5
"""Songs of a new class, below which nothing can be learned and measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Addition:
    """What one head gains.

    Attributes:
        old: The head as it is.
        new: Labels that it gains, in the data set's spelling.
        spec: The head of the data set.
    """

    old: HeadCard
    new: tuple[str, ...]
    spec: HeadSpec

    @property
    def labels(self) -> tuple[str, ...]:
        """Old and new ones, in the order of the scores."""
        return self.old.labels + self.new


def songs_of_class(folder: Path, label: str, head: str | None, card: Card) -> Dataset:
    """The songs below a folder as a data set of one class.

    Args:
        folder: Of songs; folders inside do not matter.
        label: Their class.
        head: Which head gains it; None where the model has one multiclass head, or one that is called ``genre``.
        card: Of the model.

    Raises:
        DatasetError: No songs, or a label that is none.
        UnknownName: No such head.
        ModelError: Which head is meant is not clear.
    """
    label = check_label(label, "--label")
    gaining = _head(card, head)
    files = [Path(entry.path) for entry in walk([folder]) if entry.audio and entry.error is None]
    if not files:
        raise DatasetError(f"{folder}: no audio files below this folder")
    names = [file.relative_to(folder).as_posix() if file != folder else file.name for file in files]
    makers = [artist_and_album(read_tags(file)) for file in files]
    groups, group_by, notices = group_tracks(names, [a for a, _ in makers], [b for _, b in makers])
    given: Label = label if gaining.task == "multiclass" else (label,)
    tracks = tuple(
        Track(file, name, group, None, {gaining.name: given})
        for file, name, group in zip(files, names, groups, strict=True)
    )
    spec = HeadSpec(gaining.name, gaining.task, (label,))
    return Dataset(folder.name, folder, (spec,), tracks, group_by, notices=notices)


def additions_of(dataset: Dataset, card: Card, head: str | None = None) -> tuple[Addition, ...]:
    """What each head of a model can gain from a data set.

    Args:
        dataset: With heads of the model's names.
        card: Of the model.
        head: Only this one.

    Raises:
        UnknownName: The model or the data set has no such head.
        ModelError: Nothing new in it, a number, another task, or a class of too few songs.
    """
    known = {one.name: one for one in card.heads}
    only = None if head is None else card.called(head)
    if head is not None and only is None:
        raise UnknownName(f"head of {card.id}", head, known)
    meant = {spec.name: head_of(card, spec) or card.called(spec.name) for spec in dataset.heads}
    specs = [
        spec
        for spec in dataset.heads
        if (old := meant[spec.name]) is not None and (only is None or only.name in (old.name, old.includes))
    ]
    if not specs:
        raise UnknownName(f"head of {card.id}", head or dataset.heads[0].name, known if head is None else
                          [spec.name for spec in dataset.heads])  # fmt: skip
    found: list[Addition] = []
    for spec in specs:
        old = meant[spec.name]
        assert old is not None
        if old.task != spec.task:
            raise ModelError(f"head {spec.name!r} is {old.task} in {card.id}, but {spec.task} in {dataset.name}")
        there = {label.casefold() for label in old.labels}
        new = tuple(label for label in spec.labels if label.casefold() not in there)
        if new and old not in [addition.old for addition in found]:
            found.append(Addition(old, new, spec))
    if not found:
        labels = [label for spec in specs for label in spec.labels]
        what = f"the class {labels[0]!r}" if len(labels) == 1 else f"all classes of {dataset.name}"
        raise ModelError(f"{card.id} knows {what} already (head {specs[0].name!r}): there is nothing to add")
    for addition in found:
        _enough(dataset, addition)
    return tuple(found)


def with_included(dataset: Dataset, card: Card) -> Dataset:
    """The data set with a head for each head of the model that names all labels of another one, which gains some.

    A song of a new genre is one in the list of its genres, too; of the others nothing is known.
    """
    for spec in dataset.heads:
        gaining = head_of(card, spec)
        there = [head_of(card, one) for one in dataset.heads]
        for head in card.heads:
            if gaining is None or head.includes != gaining.name or head in there or head.name in dataset.labels:
                continue
            known = {label.casefold() for label in head.labels}
            new = tuple(label for label in spec.labels if label.casefold() not in known)
            given = [track.labels[spec.name] for track in dataset.tracks]
            lists = [None if one is None else (one,) if one in new else () for one in given]
            tracks = tuple(
                replace(track, labels={**track.labels, head.name: several})
                for track, several in zip(dataset.tracks, lists, strict=True)
            )
            heads = (*dataset.heads, HeadSpec(head.name, "multilabel", new))
            dataset = replace(dataset, heads=heads, tracks=tracks) if new else dataset
    return dataset


def truth_of(dataset: Dataset, addition: Addition) -> NDArray[np.float32]:
    """Truth of the data set's tracks in the order of the extended head's labels, NaN where unknown."""
    place = {label.casefold(): number for number, label in enumerate(addition.labels)}
    columns = [place[label.casefold()] for label in addition.spec.labels]
    targets = dataset.targets(addition.spec.name)
    if targets.ndim == 1:
        known = ~np.isnan(targets)
        renamed = np.full(len(targets), np.nan, np.float32)
        renamed[known] = np.array(columns)[targets[known].astype(int)]
        return renamed
    wide = np.full((len(targets), len(place)), np.nan, np.float32)
    wide[:, columns] = targets
    return wide


def _head(card: Card, head: str | None) -> HeadCard:
    known = {one.name: one for one in card.heads}
    if head is not None and card.called(head) is None:
        raise UnknownName(f"head of {card.id}", head, known)
    choices = [one for one in card.heads if one.task == "multiclass"]
    named = [one for one in choices if one.name == "genre"]
    if head is None and len(choices) != 1 and not named:
        raise ModelError(f"{card.id} has several heads ({', '.join(known)}): say which gains the class with --head")
    chosen = (card.called(head) if head is not None else None) or (named or choices)[0]
    if chosen.task == "regression":
        raise ModelError(f"head {chosen.name!r} of {card.id} is a number: it has no classes to add to")
    return chosen


def _enough(dataset: Dataset, addition: Addition) -> None:
    targets = dataset.targets(addition.spec.name)
    for label in addition.new:
        number = addition.spec.labels.index(label)
        songs = int((targets == number).sum() if targets.ndim == 1 else (targets[:, number] == 1).sum())
        if songs < FEWEST:
            few = f"{dataset.name}: {songs} songs of {label!r}"
            raise DatasetError(f"{few}: at least {FEWEST} are needed, 30 to 50 are good")


@dataclass(frozen=True, slots=True, eq=False)
class GainedHead:
    """One head with its new classes.

    Attributes:
        before: As it was.
        card: As it is: labels, temperature, thresholds.
        linear: What is added to its raw scores, zero for old labels.
    """

    before: HeadCard
    card: HeadCard
    linear: Linear

    def widened(self, heads: Mapping[str, HeadWeights]) -> HeadWeights:
        """Its arrays: the old ones and the new rows."""
        old = len(self.before.labels)
        weight, bias = (values[old:].astype(np.float32) for values in (self.linear.weight, self.linear.bias))
        return widened(heads[self.before.name], weight, bias)


def write_extended(
    tagger: Tagger,
    card: Card,
    heads: Sequence[GainedHead],
    exemplars: Exemplars,
    rows: Sequence[tuple[str, str, str]],
    folder: Path,
) -> None:
    """Fill the new model's folder and seal it.

    Args:
        tagger: The old model.
        card: The new card, but for its files.
        heads: What changed.
        exemplars: Old and new ones.
        rows: Of ``split.tsv`` (:func:`~earmark.datasets.splits.write_rows`).
        folder: An empty folder.

    Raises:
        StorageError: It cannot be written.
    """
    old = tagger.folder
    try:
        for name in (NETWORK, "history.csv", "curves.svg"):
            if (old / name).is_file():
                shutil.copyfile(old / name, folder / name)
        weights = {**tagger.heads, **{head.card.name: head.widened(tagger.heads) for head in heads}}
        for head in heads:
            for one in card.heads:
                if head.card.name in (one.derived, one.prior):
                    weights[one.name] = dependent(weights[one.name], len(head.card.labels) - len(head.before.labels))
        write_heads(weights, folder)
        card = replace(card, heads=tuple(weights[head.name].described(head) for head in card.heads))
        _write_weights(old, folder, heads)
        write_rows(folder / "split.tsv", rows)
        exemplars.save(folder)
        text = model_card_text(card, (folder / "history.csv").is_file())
        (folder / "README.md").write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {plain_reason(error)}") from error
    seal(folder, card)


def _write_weights(old: Path, part: Path, heads: Sequence[GainedHead]) -> None:
    """The old weights to train on, without those of the wider heads, which no training can begin with."""
    if (old / WEIGHTS).is_file():
        wider = tuple(f"heads.{head.card.name}." for head in heads)
        write_weights({name: value for name, value in read_weights(old).items() if not name.startswith(wider)}, part)


Array = NDArray[np.float32]
Double = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendOptions:
    """How classes are added.

    Attributes:
        head: Which head gains classes; all that can where None.
        test: Measured before and after, too.
        seed: Of what is set aside.
    """

    head: str | None = None
    test: Dataset | None = None
    seed: int = 0


def extend_model(
    model: Path, dataset: Dataset, out: Path, engine: Engine, options: ExtendOptions | None = None
) -> Steps[Extension]:
    """Write a model that knows further classes.

    Args:
        model: Folder of the old model, which stays as it is.
        dataset: Songs of the new classes (:func:`~earmark.training.extend.songs_of_class`), or a data set
            with some.
        out: Folder of the new model, which must not exist.
        engine: That analyses the songs.
        options: How.

    Raises:
        ModelError: No exemplars, a class that is there, nothing to add, a folder that exists, pictures.
        DatasetError: Too few songs, or none that can be analysed.
        UnknownName: No such head.
        StorageError: No space.
    """
    options = options or ExtendOptions()
    check_place(out)
    if out.exists() or out.is_symlink():
        raise ModelError(f"{out}: there is something already; remove it, or give another -o")
    tagger = load_model(model)
    _same_kind(tagger, dataset)
    dataset = with_included(dataset, tagger.card)
    additions = additions_of(dataset, tagger.card, options.head)
    for addition in additions:
        if addition.old.derived or addition.old.layer != "embedding":
            head, source = addition.old, addition.old.derived or addition.old.layer
            raise ModelError(f"the head {head.name!r} reads {source!r}, not the embedding: nothing can be added")
    settings = {
        "extends": f"{tagger.card.id} ({tagger.card.digest})",
        "dataset": f"{dataset.name} ({len(dataset.tracks)} tracks)",
        "labels": [f"{addition.old.name}: {label}" for addition in additions for label in addition.new],
        "seed": options.seed,
    }
    exemplars_of(tagger.folder, tagger.card)  # what is wrong with them shows before a folder is made
    with ModelFolderWriter.open(out, settings) as writer:
        extension = yield from _extended(tagger, dataset, additions, options, writer.folder, engine)
        writer.complete()
    return extension


def _extended(
    tagger: Tagger,
    dataset: Dataset,
    additions: tuple[Addition, ...],
    options: ExtendOptions,
    folder: Path,
    engine: Engine,
) -> Steps[Extension]:
    """Learn the new classes, measure what they cost, and fill the new model's folder."""
    exemplars = exemplars_of(tagger.folder, tagger.card)
    found = yield from embed_files(tagger, [track.path for track in dataset.tracks], engine)
    dataset, additions, notices = _without_unreadable(dataset, found, additions, tagger.card, options)
    new, more = _each_once(dataset, found, additions, options)
    hashes, file = [one.hash for one in new.tracks], tagger.folder / "split.tsv"
    heads = [(one.old, one.spec.name) for one in additions]
    relabelled = relabelled_songs(heads, new.dataset, hashes, exemplars, file)
    notices += more + spelling_notices({addition.old.name: addition.labels for addition in additions})
    songs = [_songs(addition, exemplars, new, tagger) for addition in additions]
    gained: list[GainedHead] = []
    for addition, mine in zip(additions, songs, strict=True):
        yield Progress(len(gained), len(additions), "learning the new classes", "heads")
        gained.append(_gain(addition, mine, tagger.card, options.seed))
    yield Progress(0, stage="measuring what the old classes lose")
    stored = measure([_change(head, mine, tagger.card) for head, mine in zip(gained, songs, strict=True)])
    test = None
    if options.test is not None:
        _same_kind(tagger, options.test)
        found = yield from embed_files(tagger, [track.path for track in options.test.tracks], engine)
        test = _test(tagger, gained, new, found, options.test)
    added = tuple(dict.fromkeys(label for a in additions for label in a.new))
    notices += relabelled_in_words(relabelled) + stored.notices("the stored validation songs")
    notices += test.notices("--test") if test is not None else ()
    extension = Extension(added, stored, test, notices, relabelled)
    salt = tagger.card.group_salt or group_salt(hashes)
    card = replace(_card(tagger.card, gained, dataset, extension), group_salt=salt)
    artists = {one: group_hash(name, salt) for one, name in zip(hashes, named_groups(new.dataset), strict=True)}
    yield Progress(0, stage="writing the model")
    names = {digest: track.name for digest, track in zip(hashes, new.dataset.tracks, strict=True)}
    write_names(folder, read_names(tagger.folder) | names)
    rows = split_rows(file, exemplars, dict(zip(hashes, new.valid, strict=True)), artists)
    write_extended(tagger, card, gained, _remember(exemplars, new, additions), rows, folder)
    return extension


@dataclass(frozen=True, slots=True, eq=False)
class _New:
    """The new songs that could be analysed; ``valid`` (songs,) are those of the artists that are set aside."""

    dataset: Dataset
    tracks: list[TrackEmbeddings]
    valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Songs:
    """All tracks that one head has a label for: remembered ones first, then the new ones.

    Attributes:
        clips: (tracks) of (clips, features).
        raw: (tracks) of (clips, old labels), what the head says of them.
        truth: (tracks,) or (tracks, labels), of the wider head.
        group: (tracks,) a number an artist.
        valid: (tracks,) set aside from learning.
        old: (tracks,) remembered, not new.
    """

    clips: list[Array]
    raw: list[Double]
    truth: NDArray[np.float32]
    group: NDArray[np.intp]
    valid: NDArray[np.bool_]
    old: NDArray[np.bool_]


def _same_kind(tagger: Tagger, dataset: Dataset) -> None:
    pictures = tagger.frontend.kind == "image"
    if pictures != (dataset.kind == "images"):
        takes = "spectrogram images, not audio" if pictures else "audio, not spectrogram images"
        raise ModelError(f"{tagger.card.id} was trained on another frontend: it takes {takes} ({dataset.name})")


def _without_unreadable(
    dataset: Dataset,
    found: Sequence[TrackEmbeddings | Failure],
    additions: tuple[Addition, ...],
    card: Card,
    options: ExtendOptions,
) -> tuple[Dataset, tuple[Addition, ...], tuple[str, ...]]:
    """Without labels of which no song can be analysed, as long as others are left."""
    lost = dataset.lost_labels(None, [row for row, one in enumerate(found) if isinstance(one, TrackEmbeddings)])
    left = [label for one in additions for label in one.new if label not in lost.get(one.spec.name, ())]
    if not lost or not left:
        return dataset, additions, ()
    notices = lost_in_words(dataset, lost, "cannot be analysed: the label is left out of the model")
    dataset = dataset.without_labels(lost)
    return dataset, additions_of(dataset, card, options.head), notices


def _each_once(
    dataset: Dataset,
    found: list[TrackEmbeddings | Failure],
    additions: tuple[Addition, ...],
    options: ExtendOptions,
) -> tuple[_New, tuple[str, ...]]:
    """The new songs, each recording once; a fifth of their artists is set aside."""
    rows: dict[str, int] = {}
    for row, one in enumerate(found):
        if isinstance(one, TrackEmbeddings):
            rows.setdefault(one.hash, row)
    failures = [one for one in found if isinstance(one, Failure)]
    if not rows:
        raise DatasetError(
            f"{dataset.name}: not one song could be analysed, as {failures[0].path}: {failures[0].message}"
        )
    kept = list(rows.values())
    part = dataset.subset(kept)
    for addition in additions:
        _enough(part, addition)
    numbers = _numbers([track.group for track in part.tracks])
    blank = Examples("regression", 1, np.zeros((len(kept), 1), np.float32), np.arange(len(kept)),
                     np.zeros(len(kept)), numbers)  # fmt: skip
    notices = [f"{one.path}: {one.message}: left out" for one in failures]
    twice = len(found) - len(failures) - len(kept)
    notices += [f"{twice} songs are copies of others: left out"] if twice else []
    hashes = [one.hash if isinstance(one, TrackEmbeddings) else "" for one in found]
    pairs = [(rows[digest], row) for row, digest in enumerate(hashes) if digest and rows[digest] != row]
    notices += conflicts_in_words(dataset, label_conflicts(dataset, pairs))
    analysed = [one for one in (found[row] for row in kept) if isinstance(one, TrackEmbeddings)]
    return _New(part, analysed, group_folds(blank, 5, options.seed)[0]), tuple(notices)


def _numbers(groups: list[str]) -> NDArray[np.intp]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], np.intp)


def _songs(addition: Addition, exemplars: Exemplars, new: _New, tagger: Tagger) -> _Songs:
    head = addition.old.name
    if head not in exemplars.targets:
        raise ModelError(f"exemplars.npz remembers nothing of the head {head!r}: nothing can be added to it")
    counts = np.bincount(exemplars.track, minlength=len(exemplars.valid))
    remembered = np.split(exemplars.embedding.astype(np.float32), np.cumsum(counts)[:-1])
    clips = [*remembered, *(one.clips for one in new.tracks)]
    truth = np.concatenate([_widened(exemplars.targets[head], addition), truth_of(new.dataset, addition)])
    groups = _numbers([track.group for track in new.dataset.tracks]) + int(exemplars.group.max(initial=-1)) + 1
    group = np.concatenate([exemplars.group.astype(np.intp), groups])
    valid = np.concatenate([exemplars.valid, new.valid])
    old = np.arange(len(clips)) < len(remembered)
    # What is learned now was perhaps remembered from before, with another label: the new one counts.
    again = np.isin(exemplars.hash, [one.hash for one in new.tracks])
    unlabelled = np.isnan(truth) if truth.ndim == 1 else np.isnan(truth).all(1)
    kept = np.flatnonzero(~unlabelled & ~np.concatenate([again, np.zeros(len(new.tracks), bool)]))
    chosen = [np.asarray(clips[row], np.float32) for row in kept]
    raw = [_raw(tagger, addition.old, one) for one in chosen]
    return _Songs(chosen, raw, truth[kept], group[kept], valid[kept], old[kept])


def _raw(tagger: Tagger, head: HeadCard, clips: Array) -> Double:
    """Raw scores of embeddings (clips, dimensions): (clips, labels)."""
    needed = {head.name}
    for one in reversed(tagger.card.heads):  # a head stands below those that it depends on
        needed |= {one.prior, one.derived} if one.name in needed else set()
    heads = [one for one in tagger.card.heads if one.name in needed]
    return raw_scores(heads, tagger.heads, {"embedding": clips})[head.name]


def _widened(targets: NDArray[np.float32], addition: Addition) -> NDArray[np.float32]:
    """Targets with columns for the new labels, which no remembered track has."""
    if targets.ndim == 1:
        return targets
    extra = np.zeros((len(targets), len(addition.new)), np.float32)
    extra[np.isnan(targets).all(1)] = np.nan
    return np.concatenate([targets, extra], axis=1)


def _gain(addition: Addition, songs: _Songs, card: Card, seed: int) -> GainedHead:
    """Learn the new rows on what is not set aside, and calibrate on what is."""
    old, labels = addition.old, addition.labels
    train = [row for row in range(len(songs.clips)) if not songs.valid[row]]
    raw = np.concatenate([songs.raw[row] for row in train]).astype(np.float64) / old.temperature
    numbers = np.unique(songs.group[train], return_inverse=True)[1]
    truth = songs.truth[train].astype(np.float64)
    fixed = len(old.labels)
    examples = Examples(
        task=old.task,
        labels=len(labels),
        clips=np.concatenate([songs.clips[row] for row in train]),
        owner=np.repeat(np.arange(len(train)), [len(songs.clips[row]) for row in train]),
        truth=truth,
        group=numbers,
        balance=True,
        offset=np.pad(raw, ((0, 0), (0, len(addition.new)))),
    )
    found = fit_linear(examples, seed, fixed=fixed)
    linear = Linear(found.weight * old.temperature, found.bias * old.temperature)
    held = [row for row in range(len(songs.clips)) if songs.valid[row]]
    raw_held = [_raw_after(songs.clips[row], songs.raw[row], linear) for row in held]
    truth_held = songs.truth[held]
    if old.task == "multiclass":
        return GainedHead(old, calibrate(replace(old, labels=labels), raw_held, truth_held, card.clip.pooling), linear)
    # Multi-label: the scores of old labels stay as they were; new rows are scaled to the head's one temperature.
    alone = replace(old, labels=addition.new, thresholds={})
    new = calibrate(alone, [one[:, fixed:] for one in raw_held], truth_held[:, fixed:], card.clip.pooling)
    scale = old.temperature / new.temperature
    thresholds = {**old.thresholds, **new.thresholds}
    wide = replace(old, labels=labels, thresholds=thresholds)
    return GainedHead(old, wide, Linear(linear.weight * scale, linear.bias * scale))


def _raw_after(clips: Array, raw: Double, linear: Linear) -> Double:
    """Raw scores of the wider head: the old ones, and the new rows'."""
    old = raw.shape[1]
    return np.concatenate([raw, clips @ linear.weight[old:].T + linear.bias[old:]], axis=1)


def _change(head: GainedHead, songs: _Songs, card: Card) -> HeadChange:
    rows = np.flatnonzero(songs.valid)
    return HeadChange(
        before=head.before,
        after=head.card,
        raw_before=[songs.raw[row] for row in rows],
        raw_after=[_raw_after(songs.clips[row], songs.raw[row], head.linear) for row in rows],
        truth=songs.truth[rows],
        groups=[str(group) for group in songs.group[rows]],
        pooling=card.clip.pooling,
    )


def _test(
    tagger: Tagger,
    gained: list[GainedHead],
    new: _New,
    analysed: list[TrackEmbeddings | Failure],
    test: Dataset,
) -> Forgetting:
    """The same on a data set, without the tracks that either model learned from."""
    file = tagger.folder / "split.tsv"
    parts = load_split(file) if file.is_file() else {}
    seen = {digest for digest, part in parts.items() if part != "test"} | {one.hash for one in new.tracks}
    rows = [row for row, one in enumerate(analysed) if isinstance(one, TrackEmbeddings) and one.hash not in seen]
    if not rows:
        raise DatasetError(f"{test.name}: --test: the models were trained on all tracks that can be analysed")
    part, clips = test.subset(rows), [one.clips for one in analysed if isinstance(one, TrackEmbeddings)
                                              and one.hash not in seen]  # fmt: skip
    changes = []
    for head in gained:
        spec = next((spec for spec in part.heads if head_of(tagger.card, spec) == head.before), None)
        if spec is None:
            continue
        raw = [_raw(tagger, head.before, one) for one in clips]
        addition = Addition(head.before, head.card.labels[len(head.before.labels) :], spec)
        changes.append(
            HeadChange(
                before=head.before,
                after=head.card,
                raw_before=raw,
                raw_after=[_raw_after(c, r, head.linear) for c, r in zip(clips, raw, strict=True)],
                truth=truth_of(part, addition),
                groups=[track.group for track in part.tracks],
                pooling=tagger.card.clip.pooling,
                paths=tuple(str(track.path) for track in part.tracks),
            )
        )
    if not changes:
        raise UnknownName(f"head of {test.name}", gained[0].card.name, [s.name for s in part.heads])
    return measure(changes)


def _remember(exemplars: Exemplars, new: _New, additions: tuple[Addition, ...]) -> Exemplars:
    """Old exemplars and, up to 50 a new class, the new songs; what was set aside stays set aside."""
    kept = []
    counts: dict[tuple[str, str], int] = {}
    for row, one in enumerate(new.dataset.tracks):
        labels = [(a.old.name, label) for a in additions for label in a.new if label in _given(one.labels[a.spec.name])]
        if new.valid[row] or not labels or any(counts.get(label, 0) < PER_CLASS for label in labels):
            kept.append(row)
            for label in labels:
                counts[label] = counts.get(label, 0) + (not new.valid[row])
    by_head = {addition.old.name: addition for addition in additions}
    targets = {}
    for head, old in exemplars.targets.items():
        if head in by_head:
            ours = truth_of(new.dataset, by_head[head])[kept]
            targets[head] = np.concatenate([_widened(old, by_head[head]), ours])
        else:
            targets[head] = np.concatenate([old, np.full((len(kept), *old.shape[1:]), np.nan, np.float32)])
    groups = _numbers([track.group for track in new.dataset.tracks])[kept] + int(exemplars.group.max(initial=-1)) + 1
    clips: list[Array] = [new.tracks[row].clips for row in kept]
    track = np.repeat(np.arange(len(kept)), [len(one) for one in clips]) + len(exemplars.valid)
    return Exemplars(
        embedding=np.concatenate([exemplars.embedding, *clips]).astype(np.float16),
        track=np.concatenate([exemplars.track, track]).astype(np.int32),
        valid=np.concatenate([exemplars.valid, new.valid[kept]]),
        group=np.concatenate([exemplars.group, groups]).astype(np.int32),
        hash=np.concatenate([exemplars.hash, [new.tracks[row].hash for row in kept]]).astype(np.str_),
        targets=targets,
    )


def _given(label: object) -> tuple[object, ...]:
    return label if isinstance(label, tuple) else (label,)


def _card(card: Card, gained: list[GainedHead], dataset: Dataset, extension: Extension) -> Card:
    """The new card: a version up; scores of wider heads are those on the remembered validation tracks."""
    by_name: dict[str, HeadCard] = {head.card.name: head.card for head in gained}
    added = ", ".join(extension.added)
    number = str(int(card.version) + 1) if card.version.isdigit() else f"{card.version}+"
    return replace(
        card,
        version=number,
        heads=tuple(by_name.get(head.name, head) for head in card.heads),
        data=(*card.data, f"{dataset.name}: {len(dataset.tracks)} songs for {added}"),
        scores={**card.scores, **extension.stored.scores},
        notes=(*card.notes, f"Gained {added} after it was trained; its old scores did not change among themselves."),
    )
