"""Jobs that train, in a process of their own: PyTorch never enters the server, and a killed server loses nothing.

What is done when such a job is stopped lies beside the model to be; the same request goes on there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from earmark.app.child import in_child
from earmark.app.models import list_models
from earmark.app.selection import for_songs
from earmark.errors import EarmarkError, UnknownName
from earmark.events import Run
from earmark.paths import data_folder
from earmark.server.jobs import JobRequest

if TYPE_CHECKING:
    from earmark.server.service import Service

__all__ = ["EffectJob", "ExtendJob", "FromTagsJob", "TrainJob"]

ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Key = Annotated[str, StringConstraints(pattern=r"^[a-z_]+(\.[a-z_0-9]+)*$", max_length=100)]
Plain = Annotated[str, StringConstraints(pattern=r"^[\w .,+-]*$", max_length=200)]  # no path, whatever the key


class _LearningJob(JobRequest):
    resource: ClassVar[str] = "learning"
    name: ModelName
    overwrite: bool = False

    def _output(self) -> str:
        """Where the model will stand: among the user's own, by its name.

        Raises:
            EarmarkError: There is a model of that name already.
        """
        known = {one.name: one for one in list_models().wait()}
        folder = data_folder() / "models" / self.name
        if self.name in known and not (self.overwrite and known[self.name].folder == folder):
            raise EarmarkError(f"{self.name}: there is a model of this name already; choose another name")
        return str(folder)

    def result(self, value: Any) -> Any:
        """What the process gave back, with the model's name."""
        return {"name": self.name, **value}


class TrainJob(_LearningJob):
    """Train a model on a folder of class folders or with ``dataset.toml``; without a folder, on your corrections.

    Attributes:
        folder: Its id.
        recipe: A recipe's name.
        heads: Only these heads; all where there are none.
        settings: Values of the recipe, by key.
        corrections: Learn from your corrections, too.
    """

    kind: Literal["train"]
    folder: Word | None = None
    recipe: Word = "transfer"
    heads: Annotated[tuple[Word, ...], Field(max_length=50)] = ()
    settings: Annotated[dict[Key, bool | int | float | Plain], Field(max_length=50, default_factory=dict)]
    corrections: bool = False

    def start(self, service: Service) -> Run[Any]:
        """The training."""
        from earmark.app.train import TrainRequest, describe, train
        from earmark.recipe import list_recipes

        if self.recipe not in list_recipes():
            raise UnknownName("recipe", self.recipe, list_recipes())
        for key, value in self.settings.items():
            if isinstance(value, str) and any(one.strip() and Path(one.strip()).exists() for one in value.split(",")):
                raise EarmarkError(f"{key}={value}: names a file or folder of the server's; a model goes by its name")
        corrections = self.corrections or self.folder is None
        request = TrainRequest(
            dataset=None if self.folder is None else service.folder(self.folder).path,
            output=self._output(),
            recipe=self.recipe,
            heads=self.heads,
            settings=tuple(f"{key}={_written(value)}" for key, value in self.settings.items()),
            device=for_songs(service.options.device),
            overwrite=self.overwrite,
            from_library=corrections,
            library=service.options.library if corrections else None,
        )
        return in_child(train, request, describe)


class FromTagsJob(_LearningJob):
    """Train a model on the genre tags of the library's own files, by the embeddings that the library holds.

    Attributes:
        corrections: Learn from your corrections, too; the result tells what they were worth.
    """

    kind: Literal["from-tags"]
    corrections: bool = False

    def start(self, service: Service) -> Run[Any]:
        """The training."""
        from earmark.app.train import TrainRequest, describe, train

        request = TrainRequest(
            output=self._output(),
            device=for_songs(service.options.device),
            overwrite=self.overwrite,
            from_tags=True,
            from_library=self.corrections,
            library=service.options.library,
        )
        return in_child(train, request, describe)


class ExtendJob(_LearningJob):
    """Add classes to a trained model: those of a folder of class folders, or of your corrections without a folder.

    Attributes:
        model: The model's name.
        folder: The id of a folder of songs.
        label: The class of all songs of the folder; None where its folders are the classes.
        head: The head that gains the classes.
    """

    kind: Literal["extend"]
    model: Word
    folder: Word | None = None
    label: Word | None = None
    head: Word | None = None

    def start(self, service: Service) -> Run[Any]:
        """The extending."""
        from earmark.app.extend import ExtendRequest, describe, extend

        known = {one.name: one for one in list_models().wait()}
        if self.model not in known:
            raise UnknownName("model", self.model, known)
        if self.overwrite:
            raise EarmarkError("extend never replaces a model; choose another name")
        request = ExtendRequest(
            model=str(known[self.model].folder),
            songs=None if self.folder is None else service.folder(self.folder).path,
            output=self._output(),
            label=self.label,
            head=self.head,
            from_library=self.folder is None,
            library=service.options.library if self.folder is None else None,
        )
        return in_child(extend, request, describe)


class EffectJob(JobRequest):
    """Measure what your corrections did to the honest score; `GET /v1/review/effect` tells it from then on."""

    resource: ClassVar[str] = "learning"
    kind: Literal["effect"]

    def start(self, service: Service) -> Run[Any]:
        """The measuring."""
        from earmark.app.effect import describe, measure_effect
        from earmark.app.library import LibraryRequest

        return in_child(measure_effect, LibraryRequest(library=service.options.library), describe)

    def result(self, value: Any) -> Any:
        """The effect by head."""
        return value


def _written(value: bool | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
