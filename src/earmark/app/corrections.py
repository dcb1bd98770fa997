"""The user's corrections (``review``) joined to a data set, and what they are worth: ``--from-library``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.app.library import opened
from earmark.errors import DatasetError, EarmarkError, UnknownName

if TYPE_CHECKING:
    from earmark.datasets.core import Dataset, HeadSpec, Label, Part, Track
    from earmark.engine import Engine
    from earmark.evaluation.scores import ModelPredictions
    from earmark.events import Steps
    from earmark.inference.records import Failure
    from earmark.inference.tagger import Tagger
    from earmark.models.card import Card
    from earmark.training.job import Job, KnownTracks, TrackEmbeddings

__all__ = ["Corrections", "alone", "corrections_of", "in_words", "join", "measure", "unknown_to"]


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """A data set with the user's corrections in it.

    Attributes:
        dataset: To learn from.
        own: Labels that the data set gave itself, by the name of the track; None where it is corrections alone.
        vocabulary: Labels that the data set had itself, by head.
        counts: By head: corrected ``tracks``, those whose label is ``changed`` by it, those that are ``added``.
    """

    dataset: Dataset
    own: Mapping[str, Mapping[str, Label]] | None
    vocabulary: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, dict[str, int]]


def corrections_of(library: str | None) -> Dataset:
    """All corrections in a library.

    Raises:
        StorageError: There is no library, or it cannot be used.
        DatasetError: There are no corrections in it.
    """
    from earmark.library.review import library_dataset

    with opened(library) as open_library:
        return _one_case(library_dataset(open_library))


def alone(corrected: Dataset, heads: Sequence[str] | None) -> Corrections:
    """Corrections without any other data set.

    Raises:
        UnknownName: A head that was never corrected.
    """
    known = {spec.name: spec for spec in corrected.heads}
    for name in heads or ():
        if name not in known:
            raise UnknownName("head of your corrections", name, known)
    corrected = replace(corrected, heads=tuple(known[name] for name in dict.fromkeys(heads or known)))
    numbers = {
        spec.name: sum(track.labels.get(spec.name) is not None for track in corrected.tracks)
        for spec in corrected.heads
    }
    return Corrections(
        corrected, None, {}, {name: {"tracks": n, "changed": 0, "added": n} for name, n in numbers.items()}
    )


def join(dataset: Dataset, corrected: Dataset, engine: Engine, known: KnownTracks | None = None) -> Steps[Corrections]:
    """A data set with corrected labels where its audio was corrected, and with the other corrected songs.

    Artists stay apart between the parts of a split: an artist of both sources is one group.

    Raises:
        DatasetError: Pictures, or no correction of a head that the data set has.
    """
    from earmark.text import fold_artist

    if dataset.kind != "audio":
        raise DatasetError(f"{dataset.name}: is of spectrogram images; corrections are of songs")
    heads, notices = _shared(dataset, corrected)
    corrected = replace(corrected, heads=tuple(corrected.head(name) for name in heads))
    spelling = {name: {label.casefold(): label for label in dataset.head(name).labels} for name in heads}
    words = [_words(track, spelling) for track in corrected.tracks]
    hashes = yield from _hashes(dataset, engine, known)
    others_hashes = yield from _hashes(corrected, engine, known)
    by_hash = {digest: row for row, digest in enumerate(others_hashes) if digest and words[row]}
    counts = {name: {"tracks": 0, "changed": 0, "added": 0} for name in heads}
    tracks, there, artists = [], set[str](), dict[str, str]()
    for track, digest in zip(dataset.tracks, hashes, strict=True):
        row = by_hash.get(digest)
        if row is None:
            tracks.append(track)
            continue
        if digest not in there:
            _count(counts, track, words[row])
            there.add(digest)
        group = corrected.tracks[row].group if track.group.startswith("track: ") else track.group
        artists[fold_artist(corrected.tracks[row].group)] = group
        tracks.append(replace(track, group=group, labels={**track.labels, **words[row]}))
    new = [row for digest, row in by_hash.items() if digest not in there]
    for row in new:
        for name in words[row]:
            counts[name]["tracks"] += 1
            counts[name]["added"] += 1
    others = [replace(corrected.tracks[row], labels=words[row]) for row in new]
    others = [replace(track, group=artists.get(fold_artist(track.group), track.group)) for track in others]
    added = _added(dataset, tracks, others)
    grown = tuple(_grown(spec, words) for spec in dataset.heads)
    joined = replace(
        dataset, heads=grown, tracks=_one_spelling([*tracks, *added]), notices=(*dataset.notices, *notices)
    )
    own = {track.name: track.labels for track in dataset.tracks}
    return Corrections(joined, own, {spec.name: spec.labels for spec in dataset.heads}, counts)


def unknown_to(card: Card, corrected: Dataset, head: str | None) -> Dataset:
    """Corrected songs with labels that a model's heads do not know; labels of too few songs are left out, and told.

    Raises:
        UnknownName: A head that the model, or the corrections, have not.
        DatasetError: The model knows every label, or no label has enough songs.
    """
    from earmark.training.extend import FEWEST

    known = {one.name: {label.casefold() for label in one.labels} for one in card.heads}
    if head is not None and head not in known:
        raise UnknownName(f"head of {card.id}", head, known)
    specs = [spec for spec in corrected.heads if spec.name in known and head in (None, spec.name)]
    if not specs:
        raise UnknownName(
            "head of your corrections", head or card.heads[0].name, [spec.name for spec in corrected.heads]
        )
    new = {spec.name: [label for label in spec.labels if label.casefold() not in known[spec.name]] for spec in specs}
    if not any(new.values()):
        raise DatasetError(
            f"{corrected.name}: {card.id} knows every label of your corrections: there is nothing to add"
        )
    songs = {name: {label: _songs(corrected, name, label) for label in labels} for name, labels in new.items()}
    few = [f"{n} of {label!r}" for labels in songs.values() for label, n in labels.items() if n < FEWEST]
    kept = {name: {label for label, n in labels.items() if n >= FEWEST} for name, labels in songs.items()}
    notice = f"songs with corrected labels: {', '.join(few)}; at least {FEWEST} a label are needed"
    if not any(kept.values()):
        raise DatasetError(f"{corrected.name}: {notice}, 30 to 50 are good")
    heads = tuple(
        replace(spec, labels=tuple(x for x in spec.labels if x in kept[spec.name])) for spec in specs if kept[spec.name]
    )
    tracks = tuple(t for t in corrected.tracks if any(kept[spec.name] & set(_named(t, spec.name)) for spec in heads))
    notices = (*corrected.notices, *([f"{notice}: left out"] if few else []))
    return replace(corrected, heads=heads, tracks=tracks, notices=notices)


def measure(found: Corrections, job: Job, model: Path) -> Steps[dict[str, dict[str, Any]]]:
    """By head, how many corrections there were and how much they helped.

    The same recipe is trained on the data set's own labels of the same training tracks, and both models are scored on
    the same test tracks, with the corrected labels.

    Returns:
        By head: ``tracks``, ``changed``, ``added``; ``figure`` (the head's main one) ``with`` and ``without``
        corrections, ``difference``, ``ci95``, ``p``, ``test_tracks``; and ``note``, why there are no such figures.
    """
    blank = dict.fromkeys(("figure", "with", "without", "difference", "ci95", "p", "test_tracks"))
    note, figures = None, dict[str, dict[str, Any]]()
    if found.own is None:
        note = "corrections alone: there is no other data set to compare with"
    elif job.recipe.training.method != "transfer":
        note = f"how much they helped is not measured: training.method = {job.recipe.training.method} is costly"
    elif not len(job.split.test):
        note = "how much they helped is not measured: there is no test part"
    else:
        try:
            figures = yield from _compared(found, job, model)
        except EarmarkError as error:
            note = f"how much they helped cannot be measured: {error}"
    names = [spec.name for spec in job.dataset.heads if spec.name in found.counts]
    return {name: {**found.counts[name], **blank, **figures.get(name, {}), "note": note} for name in names}


def in_words(head: str, facts: Mapping[str, Any]) -> str:
    """One head's facts in words."""
    text = f"{head}: {facts['tracks']} corrections, {facts['changed']} changed a label, {facts['added']} songs added"
    if facts["note"]:
        return f"{text}; {facts['note']}"
    if facts["difference"] is None:
        return f"{text}; not enough test tracks to say how much they helped"
    interval = facts["ci95"]
    between = f", 95 % interval {interval[0]:+.3f} to {interval[1]:+.3f}" if interval else ""
    figure = str(facts["figure"]).replace("_", " ")
    return (
        f"{text}; {figure} {facts['with']:.3f} with them, {facts['without']:.3f} without: "
        f"{facts['difference']:+.3f}{between}, p = {facts['p']:.3f}, {facts['test_tracks']} test tracks"
    )


def _compared(found: Corrections, job: Job, model: Path) -> Steps[dict[str, dict[str, Any]]]:
    import tempfile

    from earmark.evaluation.scores import answers_of, compare_answers, main_figure, rounded, score_head
    from earmark.inference.tagger import load_model
    from earmark.training.run import train_model
    from earmark.training.transfer import base_model, embed_files

    plain, rows = _plain(found, job.dataset)
    place = {row: number for number, row in enumerate(rows)}
    split = replace(job.split, **{part: _moved(getattr(job.split, part), place) for part in ("train", "valid", "test")})
    test = job.dataset.subset(job.split.test)
    options = replace(job.options, split=split, overwrite=False, heads=None)
    with tempfile.TemporaryDirectory(prefix="earmark-", ignore_cleanup_errors=True) as folder:
        other = yield from train_model(plain, job.recipe, Path(folder) / "without", options, job.engine)
        base = base_model(job.recipe, job.options.init, job.dataset)
        tracks = yield from embed_files(base, [track.path for track in test.tracks], job.engine, job.options.known)
        ours, theirs = (_predicted(load_model(place), tracks) for place in (model, other))
    figures = {}
    for name in found.counts:
        first, second = answers_of([ours], test, name, [theirs]), answers_of([theirs], test, name, [ours])
        key, result = main_figure(first.task), compare_answers(first, second, seed=job.options.seed)
        figures[name] = {
            "figure": key,
            "with": score_head(first, resamples=0)[key],
            "without": score_head(second, resamples=0)[key],
            "difference": rounded(result.difference),
            "ci95": rounded(result.ci95),
            "p": rounded(result.p),
            "test_tracks": len(first.tracks),
        }
    return figures


def _predicted(tagger: Tagger, tracks: Sequence[TrackEmbeddings | Failure]) -> ModelPredictions:
    """What a model with heads on the network of these embeddings predicts: nothing is decoded again."""
    import numpy as np

    from earmark.evaluation.scores import ModelPredictions
    from earmark.inference.records import ClipEmbeddings, Failure

    results = (
        one
        if isinstance(one, Failure)
        else tagger.predict_embeddings(ClipEmbeddings(np.zeros((len(one.clips), 2), np.float32), one.clips))
        for one in tracks
    )
    return ModelPredictions(tagger.card, tuple(results))


def _plain(found: Corrections, joined: Dataset) -> tuple[Dataset, list[int]]:
    """The data set's own tracks with its own labels, and their rows among the joined ones."""
    own = found.own or {}
    rows = [row for row, track in enumerate(joined.tracks) if track.name in own]
    tracks = tuple(replace(joined.tracks[row], labels=own[joined.tracks[row].name]) for row in rows)
    heads = tuple(
        replace(spec, labels=tuple(x for x in found.vocabulary[spec.name] if x in spec.labels)) for spec in joined.heads
    )
    return replace(joined, heads=heads, tracks=tracks, notices=()), rows


def _moved(rows: Any, place: Mapping[int, int]) -> Any:
    import numpy as np

    return np.array([place[int(row)] for row in rows if int(row) in place], np.intp)


def _hashes(dataset: Dataset, engine: Engine, known: KnownTracks | None) -> Steps[list[str]]:
    """Content hash of each track, "" where it cannot be read: training says so."""
    from earmark.training.run import known_hashes

    hashes = yield from known_hashes([track.path for track in dataset.tracks], engine, known)
    return [digest if isinstance(digest, str) else "" for digest in hashes]


def _one_case(corrected: Dataset) -> Dataset:
    """Labels that differ in case alone are one, spelt as they are first in the alphabet."""
    spelling = {spec.name: {label.casefold(): label for label in reversed(spec.labels)} for spec in corrected.heads}
    heads = tuple(replace(spec, labels=tuple(sorted(spelling[spec.name].values()))) for spec in corrected.heads)
    tracks = tuple(replace(t, labels={**t.labels, **_words(t, spelling)}) for t in corrected.tracks)
    return replace(corrected, heads=heads, tracks=tracks)


def _shared(dataset: Dataset, corrected: Dataset) -> tuple[list[str], list[str]]:
    """Heads of both, and what is left out, in words."""
    tasks = {spec.name: spec.task for spec in dataset.heads}
    heads = [spec.name for spec in corrected.heads if tasks.get(spec.name) == spec.task]
    if not heads:
        have = ", ".join(f"{name} ({task})" for name, task in tasks.items())
        ours = ", ".join(f"{spec.name} ({spec.task})" for spec in corrected.heads)
        raise DatasetError(f"{corrected.name}: your corrections are of {ours}; {dataset.name} has {have}")
    lost = [spec.name for spec in corrected.heads if spec.name not in heads]
    notice = f"corrections of {', '.join(lost)} are left out: {dataset.name} has no such head of the same task"
    return heads, [notice] if lost else []


def _words(track: Track, spelling: Mapping[str, Mapping[str, str]]) -> dict[str, Label]:
    """Corrected labels as the data set spells them."""
    words: dict[str, Label] = {}
    for name, known in spelling.items():
        given = track.labels.get(name)
        if isinstance(given, str):
            words[name] = known.get(given.casefold(), given)
        elif isinstance(given, tuple):
            words[name] = tuple(dict.fromkeys(known.get(label.casefold(), label) for label in given))
    return words


def _count(counts: Mapping[str, dict[str, int]], track: Track, words: Mapping[str, Label]) -> None:
    for name, word in words.items():
        before = track.labels.get(name)
        same = set(before) == set(word) if isinstance(before, tuple) and isinstance(word, tuple) else before == word
        counts[name]["tracks"] += 1
        counts[name]["changed"] += not same


def _grown(spec: HeadSpec, words: Sequence[Mapping[str, Label]]) -> HeadSpec:
    corrected = [one[spec.name] for one in words if spec.name in one]
    named = {label for word in corrected for label in ((word,) if isinstance(word, str) else word or ())}  # type: ignore[union-attr]
    return replace(spec, labels=(*spec.labels, *sorted(named - set(spec.labels))))


def _added(dataset: Dataset, tracks: Sequence[Track], new: Sequence[Track]) -> list[Track]:
    """New tracks by names that are free; where the data set has its own split, on the side of their artist."""
    from earmark.text import fold_artist

    names = {track.name for track in tracks}
    sides: dict[str, Part | None] = {fold_artist(track.group): track.part for track in tracks}
    found = []
    for track in new:
        name = f"library/{track.name}"
        while name in names:
            name = f"library/{name}"
        names.add(name)
        group = f"track: {name}" if track.group.startswith("track: ") else track.group
        part = (sides.get(fold_artist(group)) or "train") if dataset.has_split else None
        found.append(replace(track, name=name, group=group, part=part))
    return found


def _one_spelling(tracks: Sequence[Track]) -> tuple[Track, ...]:
    """One artist is one group, whichever source spells it how."""
    from earmark.text import fold_artist

    spelling: dict[str, str] = {}
    return tuple(
        track
        if track.group.startswith("track: ")
        else replace(track, group=spelling.setdefault(fold_artist(track.group), track.group))
        for track in tracks
    )


def _named(track: Track, head: str) -> tuple[str, ...]:
    given = track.labels.get(head)
    return (given,) if isinstance(given, str) else given if isinstance(given, tuple) else ()


def _songs(corrected: Dataset, head: str, label: str) -> int:
    return sum(label in _named(track, head) for track in corrected.tracks)
