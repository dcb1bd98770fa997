"""The tracks that sound most like one: how far they are, why, and which seconds match best.

Nearest are those with the greatest cosine of embeddings (:mod:`earmark.library.vectors`). Why is said in
words: what two tracks share, and what tells a group of tracks from all others.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from earmark.analyses.facts import Feature, Key
from earmark.engine import Analyse, Engine, LocalEngine, analyse
from earmark.errors import AudioError, EarmarkError, ModelError
from earmark.inference.answers import LEAST_GUESS, probability
from earmark.inference.options import HearingOptions
from earmark.inference.records import ClipEmbeddings, Failure, Prediction
from earmark.library.labels import free_scores, given_names, merged_scores, user_heads
from earmark.library.records import LibraryModel, LibraryTrack, corrected, direction
from earmark.library.store import Library, absolute
from earmark.library.vectors import Vectors, read_vectors
from earmark.models.card import HeadCard
from earmark.text import fold

if TYPE_CHECKING:
    from earmark.inference.tagger import Tagger

__all__ = [
    "Seed",
    "Similar",
    "common_names",
    "find_seed",
    "predicted_names",
    "shared",
    "similar_to",
    "tagger_of",
    "telling",
]

Array = NDArray[np.float32]
Rows = NDArray[np.int64]

_MOST_SHARED = 3
_USUAL = 0.9
_SAMPLE = 2_000


def predicted_names(prediction: Prediction, heads: Mapping[str, HeadCard]) -> dict[str, float]:
    """What is asserted of a track, and the names above that in trees, with their probabilities."""
    found: dict[str, float] = {}
    for name, head in prediction.heads.items():
        for label in head.labels if head.task == "multilabel" else [head.label] if head.label else []:
            for one in heads[name].above(label):
                known = one in heads[name].names
                found[one] = max(found.get(one, 0.0), probability(heads[name], head.scores, one) if known else 1.0)
    return found


def shared(mine: Mapping[str, float], theirs: Mapping[str, float], common: Mapping[str, float]) -> str:
    """What two tracks are both called, in words, by :func:`predicted_names` of each; "" where nothing is.

    ``common`` is how often each name is given in the library: the rarest names that both are given say most, as two
    thirds of a library may be rock.
    """
    ranked = sorted((name for name in theirs if name in mine), key=lambda name: -theirs[name])
    both = list({name.casefold(): name for name in ranked}.values())
    rare = [name for name in both if common.get(name, 0.0) < _USUAL]  # what nearly all have is no reason
    both = sorted(rare or both, key=lambda name: common.get(name, 0.0))
    return "both " + ", ".join(both[:_MOST_SHARED]) if both else ""


def _leaning(one: Prediction, other: Prediction, heads: Mapping[str, HeadCard]) -> str:
    """The name that neither is sure of and both have the most of."""
    best, most = "", LEAST_GUESS
    for key, head in one.heads.items():
        for name in heads[key].names:
            if name in head.contradicted | other.heads[key].contradicted:
                continue
            scores = (probability(heads[key], found.scores, name) for found in (head, other.heads[key]))
            if (least := min(scores)) > most:
                best, most = name, least
    return best


def common_names(library: Library, model: LibraryModel) -> dict[str, float]:
    """How often each name is given in the library: its share of some two thousand tracks spread over it."""
    return library.remember(("common", model.key), lambda: _common_names(library, model))


def _common_names(library: Library, model: LibraryModel) -> dict[str, float]:
    steps = library.sample_steps(model, _SAMPLE)
    found: dict[str, float] = {}
    heads, columns = user_heads(model), model.columns()

    def steps_of(name: str) -> tuple[HeadCard, NDArray[np.uint16]] | None:
        return (model.head(name), steps[:, columns[name]]) if name in columns else None

    for stored in model.heads:
        if stored.task == "regression" or not len(steps):
            continue
        head, all_labels = heads[stored.name], range(len(stored.labels))
        free = free_scores(stored, all_labels, steps[:, columns[head.name]], steps_of)
        scores = merged_scores(stored, model.aliases.get(stored.name, {}), free)
        given = given_names(head, scores)
        for name in head.names:  # given where what is below it is
            share = given[:, [name in head.above(one) for one in head.names]].any(axis=1).mean()
            found[name] = max(found.get(name, 0.0), float(share))
    return found


def telling(inside: Array, overall: Array, spread: Array) -> Array:
    """How much each label tells a group from the whole library.

    By how much higher its mean within the group is than overall, in standard deviations, times the root of that mean:
    what the group has, and not all have.

    Args:
        inside: (groups, labels) means within.
        overall: (labels,) means.
        spread: (labels,) standard deviations.

    Returns:
        (groups, labels).
    """
    value = (inside - overall) / (spread + np.float32(0.02)) * np.sqrt(np.maximum(inside, 0))
    return np.asarray(value, np.float32)


_SAME_SOUND = 0.002  # distance below which two tracks of one length are the same recording
_SAME_LENGTH = 1.5  # seconds


@dataclass(frozen=True, slots=True, eq=False)
class Seed:
    """What others are compared to.

    Attributes:
        path: As it was given.
        audio: Its row; None where it is not in the library.
        track: Of the library; None where it is not in it.
        vector: (dimensions,) of length 1.
        prediction: What the model says of it.
        clips: Its clips' embeddings.
        seconds: Length.
        features: Tempo and key, where they are known.
    """

    path: str
    audio: int | None
    track: LibraryTrack | None
    vector: Array
    prediction: Prediction
    clips: ClipEmbeddings | None
    seconds: float
    features: Mapping[str, Feature] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Its path, as a track of the library has it, or would."""
        return absolute(self.path) if self.track is None else self.track.path

    @property
    def key(self) -> int:
        """Its place on the wheel (:attr:`earmark.analyses.facts.Key.number`).

        Raises:
            EarmarkError: Nobody knows its key.
        """
        key = self.features.get("key")
        if isinstance(key, Key) and key.number is not None:
            return int(key.number)
        hint = "; `earmark scan --features` finds the keys of a library's songs" if self.track and key is None else ""
        raise EarmarkError(f"{self.path}: its key is not known{hint}")


@dataclass(frozen=True, slots=True)
class Similar:
    """One answer.

    Attributes:
        track: One of the library's.
        distance: 1 - cosine, 0..2.
        why: In words.
        seconds: Where it is most like the seed: start and end.
        seed_seconds: Where the seed is most like it.
        copies: Other files with the same recording.
    """

    track: LibraryTrack
    distance: float
    why: str
    seconds: tuple[float, float] | None
    seed_seconds: tuple[float, float] | None
    copies: tuple[LibraryTrack, ...]


@dataclass(slots=True)
class _Found:
    """Tracks taken so far, and the vector of each; how often each artist is among them, and how often it may."""

    count: int
    per_artist: int | None
    tracks: list[tuple[LibraryTrack, float, list[LibraryTrack]]] = field(default_factory=list)
    vectors: list[Array] = field(default_factory=list)
    names: dict[tuple[str, str], int] = field(default_factory=dict)
    artists: Counter[str] = field(default_factory=Counter)


_NO_MUSIC = "{}: is no music (silence, noise, speech or clicks): no song sounds like it"


def find_seed(library: Library, model: LibraryModel, path: str, engine: Engine | None = None) -> Seed:
    """A track of the library, or any audio file, which is analysed now: by ``engine``, or one of its own where None.

    Raises:
        AudioError: The file cannot be read.
        EarmarkError: It is no music, or neither a track nor a file.
        ModelError: It is not in the library, and the model that analysed the library is not there any more.
    """
    track = library.track(path)
    if track is not None and not track.song:
        raise EarmarkError(_NO_MUSIC.format(path))
    if track is not None and track.audio is not None:
        prediction = library.prediction(model, track, library.labels_of([track.audio]).get(track.audio))
        vector = library.embedding(model, track.audio)
        if prediction is not None and vector is not None:
            clips = library.clips(model, [track.audio]).get(track.audio)
            features = library.features([track.audio]).get(track.audio, {})
            return Seed(path, track.audio, track, vector, prediction, clips, track.seconds, features)
    return _analysed(library, model, path, engine)


def _analysed(library: Library, model: LibraryModel, path: str, engine: Engine | None) -> Seed:
    if not Path(path).exists() and not os.path.lexists(path):
        raise EarmarkError(f"{path}: neither a track of the library nor a file")
    options = HearingOptions(embedding=True, clips=True, content_hash=True, layer=model.layer or None,
                             features=("tempo", "key"))  # fmt: skip
    with LocalEngine(1) if engine is None else nullcontext(engine) as workers:
        (prediction,) = analyse(workers, Analyse.of([tagger_of(model).folder], options), [path])
    if isinstance(prediction, Failure):
        raise AudioError(prediction.path, prediction.kind, prediction.message)
    if not prediction.is_song:
        raise EarmarkError(_NO_MUSIC.format(path))
    assert prediction.embedding is not None
    audio = library.audio_of(prediction.content_hash)
    vector, named = direction(prediction.embedding), corrected(prediction, model, {})
    return Seed(path, audio, None, vector, named, prediction.clips, prediction.seconds, prediction.features)


def tagger_of(model: LibraryModel) -> Tagger:
    """The model that analysed the library, wherever it is now: among the installed ones, or where it was last.

    Raises:
        ModelError: It is not there any more.
    """
    from earmark.inference.tagger import load_model
    from earmark.models.card import read_card
    from earmark.models.registry import list_models

    for folder in (*list_models().values(), Path(model.folder)):
        try:
            if model.is_of(read_card(folder)):
                return load_model(folder)
        except ModelError:
            continue  # a damaged folder of another name is no reason to stop
    raise ModelError(
        f"the model {model.title} that analysed the library is neither installed nor at {model.folder}; "
        "`earmark scan --force` analyses the library with another"
    )


def similar_to(
    library: Library,
    model: LibraryModel,
    seed: Seed,
    count: int = 10,
    per_artist: int | None = None,
    among: Rows | None = None,
) -> list[Similar]:
    """The tracks most like a seed, the most alike first.

    The seed is not among them, nor another copy of it; several copies of one recording are one answer.

    Args:
        library: The library.
        model: Whose embeddings are compared.
        seed: From :func:`find_seed`.
        count: Answers at most.
        per_artist: At most so many of one artist; None does not count them.
        among: Only these rows of audio, ascending; all where None.
    """
    vectors = read_vectors(library, model)
    if among is not None:
        vectors = vectors.among(among)
    found, seen = _Found(count, per_artist), np.zeros(0, np.int64)
    deep = 4 * count + 50
    if seed.track is not None and (name := _title(seed.track)):
        found.names[name] = -1
    while len(found.tracks) < count and len(seen) < len(vectors):
        audio, distances = vectors.nearest(seed.vector, deep)
        fresh = ~np.isin(audio, seen)  # no slice: beside other queries, the last bits of a distance are others
        if not fresh.any():
            break
        _take(library, vectors, (audio[fresh], distances[fresh]), seed, found)
        seen, deep = audio, 4 * deep
    return _explained(library, model, seed, found)


def _take(
    library: Library,
    vectors: Vectors,
    nearest: tuple[NDArray[np.int64], Array],
    seed: Seed,
    found: _Found,
) -> None:
    """Take from the nearest as many as there is room for, folding copies."""
    files = library.tracks_of(nearest[0].tolist())
    for audio, distance, vector in zip(nearest[0].tolist(), nearest[1].tolist(), vectors.of(nearest[0]), strict=True):
        if len(found.tracks) == found.count:
            return
        if not files[audio] or audio == seed.audio:
            continue
        track, *others = files[audio]
        alike_seed = distance < _SAME_SOUND and abs(track.seconds - seed.seconds) < _SAME_LENGTH
        copy_of = -1 if alike_seed else _copy_of(track, vector, found)
        if copy_of == -1:
            continue
        if copy_of is not None:
            found.tracks[copy_of][2].extend([track, *others])
            continue
        artist = fold(track.artist)
        if artist and found.per_artist is not None and found.artists[artist] >= found.per_artist:
            continue
        found.artists[artist] += 1
        if name := _title(track):
            found.names[name] = len(found.tracks)
        found.vectors.append(vector)
        found.tracks.append((track, distance, others))


def _copy_of(track: LibraryTrack, vector: Array, found: _Found) -> int | None:
    """The track taken before that this one is a copy of: by artist and title, or by sound and length; -1 the seed."""
    name = _title(track)
    if name in found.names:
        return found.names[name]
    if not found.vectors:
        return None
    distance = 1 - np.stack(found.vectors) @ vector
    for number in np.flatnonzero(distance < _SAME_SOUND):
        if abs(found.tracks[number][0].seconds - track.seconds) < _SAME_LENGTH:
            return int(number)
    return None


def _title(track: LibraryTrack) -> tuple[str, str]:
    """Artist and title, to know copies by; empty where either is unknown."""
    artist, title = fold(track.artist), fold(track.title)
    return (artist, title) if artist and title else ()  # type: ignore[return-value]


def _explained(library: Library, model: LibraryModel, seed: Seed, found: _Found) -> list[Similar]:
    common, heads = common_names(library, model), user_heads(model)
    audio = [track.audio for track, _, _ in found.tracks if track.audio is not None]
    predictions = {track.audio: one for track, one in library.predictions(model, [each[0] for each in found.tracks])}
    matches = _best_seconds(seed.clips, library.clips(model, audio))
    mine, answers = predicted_names(seed.prediction, heads), []
    for track, distance, copies in found.tracks:
        assert track.audio is not None
        why, prediction = "", predictions.get(track.audio)
        if isinstance(prediction, Prediction):
            why = shared(mine, predicted_names(prediction, heads), common)
            near = "" if why else _leaning(seed.prediction, prediction, heads)
            why = why or (f"both lean to {near}" if near else "they sound alike, though no label says why")
        match = matches.get(track.audio, (None, None))
        answers.append(Similar(track, round(distance, 4), why, match[1], match[0], tuple(copies)))
    return answers


def _best_seconds(
    one: ClipEmbeddings | None, others: Mapping[int, ClipEmbeddings]
) -> dict[int, tuple[tuple[float, float], tuple[float, float]]]:
    """By audio, the pair of clips, one of each track, that are most alike: start and end of each; none unknown."""
    if one is None or not others:
        return {}
    theirs = direction(np.concatenate([other.vectors for other in others.values()]))
    closeness = direction(one.vectors) @ theirs.T
    found, start = {}, 0
    for audio, other in others.items():
        part = closeness[:, start : start + len(other.vectors)]
        start += len(other.vectors)
        i, j = np.unravel_index(np.argmax(part), part.shape)
        if part[i, j]:  # clips without a direction are like nothing: the first of them would be no match
            found[audio] = _seconds(one.times[i]), _seconds(other.times[j])
    return found


def _seconds(bounds: Array) -> tuple[float, float]:
    return round(float(bounds[0]), 1), round(float(bounds[1]), 1)
