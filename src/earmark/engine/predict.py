"""The task that most verbs ask for: files to predictions."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.engine.base import TOGETHER, Alive, Engine, Task
from earmark.engine.local import LocalEngine
from earmark.errors import ModelError
from earmark.inference.options import HearingOptions
from earmark.inference.records import Failure, Prediction

if TYPE_CHECKING:
    from earmark.inference.tagger import Tagger
    from earmark.models.card import Card

__all__ = ["Analyse", "analyse", "predict_all"]


@dataclass(frozen=True, slots=True)
class Analyse(Task[str, Prediction]):
    """Decode a file and run a model on it.

    Attributes:
        models: Model folders; several are an ensemble.
        options: What to analyse, and what predictions carry.
        stamps: When each model was written: a folder that was written anew is another model.
        digest: Of the models, joined by ``+``: what must be in their folders on another machine too; "" for anything.
    """

    batch = TOGETHER
    network = True

    models: tuple[Path, ...]
    options: HearingOptions = field(default_factory=HearingOptions)
    stamps: tuple[int, ...] = ()
    digest: str = ""

    @classmethod
    def of(cls, models: Sequence[Path], options: HearingOptions | None = None, digest: str = "") -> Analyse:
        """The task for models as they are on disk now."""
        return cls(tuple(models), options or HearingOptions(), tuple(_stamp(model) for model in models), digest)

    def start(self, alive: Alive) -> Callable[[Sequence[str]], list[Prediction | Exception]]:
        """Load the models (ModelError, UnknownName)."""
        from earmark.inference.ensemble import joint_card
        from earmark.inference.tagger import load_model

        taggers = [load_model(model) for model in self.models]
        self._check(taggers)
        for tagger in taggers:
            tagger.check_layer(self.options.layer)  # loads the network now, so that what is wrong is said now
        card = joint_card([tagger.card for tagger in taggers])
        plain = self.options if len(taggers) == 1 else replace(self.options, labels={})
        rest = replace(plain, features=())  # measured once

        def predict(paths: Sequence[str]) -> list[Prediction | Exception]:
            with ExitStack() as copies:
                files = [copies.enter_context(_here(path, alive)) for path in paths]
                each = [
                    tagger.together((tagger.predicting(file, None, options, alive) for file in files), options.layer)
                    for tagger, options in zip(taggers, [plain, *[rest] * len(taggers)], strict=False)
                ]
            return [
                self._joined(path, of_one, card) for path, of_one in zip(paths, zip(*each, strict=True), strict=True)
            ]

        return predict

    def _joined(self, path: str, each: Sequence[Prediction | Exception], card: Card) -> Prediction | Exception:
        """What one model says of a file, or several together."""
        from earmark.inference.ensemble import combine
        from earmark.inference.labels import relabel

        predictions = []
        for one in each:
            if isinstance(one, Exception):
                return one
            predictions.append(one)
        if len(predictions) == 1:
            return replace(predictions[0], path=path)
        return replace(relabel(combine(predictions, card), card, self.options.labels), path=path)

    def _check(self, taggers: Sequence[Tagger]) -> None:
        """Refuse other models in the same folders; a folder that is older or newer is a copy, perhaps."""
        copies = self.digest and self.stamps != tuple(_stamp(model) for model in self.models)
        if copies and self.digest != "+".join(tagger.card.digest for tagger in taggers):
            where = ", ".join(map(str, self.models))
            raise ModelError(f"{where}: is another model than the one asked for; put a copy of that one there")


def _here(path: str, alive: Alive) -> AbstractContextManager[str]:
    """The file of a path, or a copy of what is at an address."""
    from earmark.remote import is_address, local_copy

    return local_copy(path, alive) if is_address(path) else nullcontext(path)


def analyse(
    engine: Engine, task: Analyse, paths: Iterable[str], *, ordered: bool = True
) -> Generator[Prediction | Failure]:
    """The predictions alone, where a path in each is enough; raises as the engine does."""
    results = engine.map(task, paths, ordered=ordered, deadline=task.options.timeout)
    try:
        for result in results:
            yield result if isinstance(result, Failure) else result.value
    finally:
        results.close()


def predict_all(
    tagger: Tagger,
    paths: Iterable[str | os.PathLike[str]],
    *,
    workers: int | None = None,
    options: HearingOptions | None = None,
) -> Generator[Prediction | Failure]:
    """What :func:`earmark.predict_all` does, once its arguments are checked."""
    with LocalEngine(workers, device=tagger.device) as engine:
        task = Analyse.of([tagger.folder], options or tagger.options)
        yield from analyse(engine, task, (os.fspath(path) for path in paths))


def _stamp(model: Path) -> int:
    try:
        return (model / "card.json").stat().st_mtime_ns
    except OSError:  # the workers will say so
        return 0
