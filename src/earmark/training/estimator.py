"""A scikit-learn estimator for files: heads on a model's embeddings, kept on disk, so folds cost seconds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from earmark.datasets.core import Dataset, HeadSpec, Track
from earmark.datasets.splits import Split, save_split
from earmark.engine.local import LocalEngine
from earmark.errors import AudioError, DatasetError, ModelError, RecipeError
from earmark.events import Run
from earmark.inference.records import Failure
from earmark.inference.scores import raw_scores
from earmark.inference.tagger import Tagger, load_model
from earmark.models.card import HeadCard
from earmark.models.network import read_npz, write_heads
from earmark.models.writer import ModelFolderWriter, seal
from earmark.recipe import Recipe, load_recipe
from earmark.training.fitting import examples_of, fit_head, pooled
from earmark.training.heads import weights_of
from earmark.training.transfer import TrackEmbeddings, base_model, copy_network, embed_files, new_card

__all__ = ["GenreClassifier", "TrackClassifier"]

Paths = Sequence[str | os.PathLike[str]]

_HEAD = "genre"
_LEARNED = "classifier.npz"
_RECIPE = "classifier"


class TrackClassifier(ClassifierMixin, BaseEstimator):
    """Learns people's own labels from files.

    ``earmark.TrackClassifier().fit(paths, labels).predict(paths)``. Every file is decoded once: embeddings are kept on
    disk, so that ``cross_val_score(TrackClassifier(), paths, labels, groups=artists, cv=GroupKFold(5))`` decodes
    nothing twice.

    Args:
        model: Whose embeddings: a folder, or a name that ``earmark models`` lists.
        recipe: A recipe of the method ``transfer``.
        settings: Laid over the recipe, as in ``("heads.hidden=[64]",)``.
        balance: Whether rare classes weigh more: ``none`` or ``loss``; None as the recipe says.
        seed: Of folds and weights.

    Attributes:
        classes_: (classes,) sorted labels.
        n_features_in_: 1: a path.
    """

    def __init__(
        self,
        model: str = "default",
        recipe: str = "transfer",
        *,
        settings: Sequence[str] = (),
        balance: Literal["none", "loss"] | None = None,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.recipe = recipe
        self.settings = settings
        self.balance = balance
        self.seed = seed

    def fit(self, X: Paths, y: Sequence[str], groups: Sequence[str] | None = None) -> TrackClassifier:
        """Learn.

        Args:
            X: (tracks,) files.
            y: (tracks,) labels.
            groups: (tracks,) artists, kept together where the strength is chosen; without them each track is by itself.

        Raises:
            AudioError: A file cannot be analysed; names it.
            DatasetError: One class only, or lengths that differ.
            RecipeError: The recipe trains a whole network.
        """
        paths, labels = _paths(X), np.asarray(y)
        if len(paths) != len(labels) or (groups is not None and len(groups) != len(labels)):
            raise DatasetError(f"{len(paths)} paths, {len(labels)} labels: one label a path is needed")
        classes = np.unique(labels)
        if len(classes) < 2:
            raise DatasetError(f"one class only ({classes[0]!r}): at least two are needed" if len(classes)
                               else "no tracks: at least two classes are needed")  # fmt: skip
        found = self._embed(paths)
        names = [str(group) for group in groups] if groups is not None else [str(path) for path in paths]
        self._known = {one.hash: name if groups is not None else "" for one, name in zip(found, names, strict=True)}
        self._learn([one.clips for one in found], labels, names, classes)
        return self

    def add_classes(self, X: Paths, y: Sequence[str], groups: Sequence[str] | None = None) -> TrackClassifier:
        """Learn further classes (or more of the old ones) beside what was learned; no old file is opened.

        Arguments and errors as of :meth:`fit`.
        """
        check_is_fitted(self)
        paths = _paths(X)
        if len(paths) != len(y):
            raise DatasetError(f"{len(paths)} paths, {len(y)} labels: one label a path is needed")
        found = self._embed(paths)
        clips = [*self._clips, *(one.clips for one in found)]
        labels = np.concatenate([self._labels, np.asarray(y)])
        names = [*self._groups, *(str(g) for g in (groups if groups is not None else paths))]
        artists = names[len(self._groups) :] if groups is not None else [""] * len(paths)
        self._known |= {one.hash: name for one, name in zip(found, artists, strict=True)}
        self._learn(clips, labels, names, np.unique(labels))
        return self

    def predict_proba(self, X: Paths) -> NDArray[np.float64]:
        """Probabilities (tracks, classes), in the order of ``classes_``."""
        check_is_fitted(self)
        clips = [one.clips for one in self._embed(_paths(X))]
        if not clips:
            return np.zeros((0, len(self.classes_)))
        owner = np.repeat(np.arange(len(clips)), [len(one) for one in clips])
        head = HeadCard(_HEAD, "multiclass")
        raw = raw_scores([head], {_HEAD: self._head}, {"embedding": np.concatenate(clips)})[_HEAD]
        return pooled(raw, owner, head, self._tagger().card.clip.pooling)

    def predict(self, X: Paths) -> NDArray[Any]:
        """Labels (tracks,)."""
        best = self.predict_proba(X).argmax(1)
        return np.asarray(self.classes_[best])

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write a model folder, which :meth:`load` and every verb of the command line take.

        Args:
            folder: It must not exist, or hold this very classifier.

        Returns:
            The folder.

        Raises:
            NotFittedError: Nothing is learned yet.
            ModelError: Something else stands there.
            StorageError: It cannot be written.
        """
        check_is_fitted(self)
        base, out = self._tagger(), Path(folder)
        head = self._head.described(HeadCard(_HEAD, "multiclass", tuple(map(str, self.classes_))))
        learned = {
            "clips": np.concatenate(self._clips),
            "lengths": np.array([len(one) for one in self._clips]),
            "labels": _plain(self._labels),
            "groups": np.array(self._groups, np.str_),
            "classes": _plain(self.classes_),
            "hashes": np.array(list(self._known), np.str_),
            "artists": np.array(list(self._known.values()), np.str_),
        }
        settings = self.get_params() | {"settings": list(self.settings)}
        content = b"".join(np.ascontiguousarray(array).tobytes() for array in learned.values())
        card = new_card(out.name, base.card, (head,), {_RECIPE: settings})
        with ModelFolderWriter.open(
            out, {"classifier": settings, "learned from": hashlib.sha256(content).hexdigest()}
        ) as writer:
            if not writer.finished:
                copy_network(base.folder, writer.folder, {})
                write_heads({_HEAD: self._head}, writer.folder)
                np.savez(writer.folder / _LEARNED, allow_pickle=False, **learned)
                rows, hashes = np.arange(len(self._known)), list(self._known)
                split = Split(rows, rows[:0], rows[:0])
                salt = save_split(writer.folder / "split.tsv", split, hashes, list(self._known.values()))
                seal(writer.folder, replace(card, group_salt=salt))
                writer.complete()
        return out

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> TrackClassifier:
        """The classifier that :meth:`save` wrote; it uses the network in that folder.

        Raises:
            ModelError: The folder is damaged, or was not written by :meth:`save`.
        """
        tagger = load_model(folder)
        settings = tagger.card.recipe.get(_RECIPE)
        if not isinstance(settings, dict) or not (tagger.folder / _LEARNED).is_file():
            raise ModelError(f"{folder}: is a model, but was not saved by TrackClassifier; use earmark.load_model")
        try:
            learned = {"hashes": np.zeros(0, np.str_), "artists": np.zeros(0, np.str_)}  # which older folders have not
            learned |= read_npz(tagger.folder / _LEARNED)
            found = cls(**settings | {"model": str(tagger.folder)})
            found._clips = np.split(learned["clips"], np.cumsum(learned["lengths"])[:-1])
            found._labels, found._groups = learned["labels"], learned["groups"].tolist()
            found._known = dict(zip(learned["hashes"].tolist(), learned["artists"].tolist(), strict=True))
            found.classes_, found.n_features_in_ = learned["classes"], 1
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(f"{tagger.folder / _LEARNED}: damaged: {error}") from error
        found._head = tagger.heads[_HEAD]
        return found

    def _learn(self, clips: list[Any], labels: NDArray[Any], groups: list[str], classes: NDArray[Any]) -> None:
        recipe = self._recipe()
        spec = HeadSpec(_HEAD, "multiclass", tuple(map(str, classes)))
        targets = np.searchsorted(classes, labels).astype(np.float32)
        balance = self.balance or recipe.training.balance
        examples = examples_of(spec, clips, targets, groups, balance=balance)
        self._head = weights_of(fit_head(recipe.heads, spec, examples, recipe.training, self.seed))
        self._clips, self._labels, self._groups = clips, labels, groups
        self.classes_ = classes
        self.n_features_in_ = 1

    def _embed(self, paths: list[Path]) -> list[TrackEmbeddings]:
        with LocalEngine() as engine:
            found = Run(embed_files(self._tagger(), paths, engine)).wait()
        for one in found:
            if isinstance(one, Failure):
                raise AudioError(one.path, one.kind, f"{one.message}; remove it from the list")
        return [one for one in found if not isinstance(one, Failure)]

    def _recipe(self) -> Recipe:
        recipe = load_recipe(self.recipe, tuple(self.settings))
        if recipe.training.method != "transfer":
            raise RecipeError(f"{recipe.name}: TrackClassifier takes recipes of the method transfer; use earmark train")
        return recipe

    def _tagger(self) -> Tagger:
        track = Track(Path(), "", "", None, {})
        return base_model(self._recipe(), Path(self.model) if self.model != "default" else None, Dataset(
            "the given files", Path(), (), (track,)))  # fmt: skip


GenreClassifier = TrackClassifier
"""Its first name."""


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Labels as an array that is stored without pickle."""
    return values.astype(np.str_) if values.dtype == object else values


def _paths(X: Paths) -> list[Path]:
    return [Path(os.fspath(path)) for path in np.asarray(X, object).ravel()]
