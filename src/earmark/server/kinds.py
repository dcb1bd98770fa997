"""The kinds of jobs: what each is asked, which use case does it, and what it gives as JSON."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr

from earmark.errors import EarmarkError, NoLibrary
from earmark.events import Run
from earmark.server.jobs import JobRequest
from earmark.server.learning import EffectJob, ExtendJob, FromTagsJob, TrainJob
from earmark.server.values import MOST_ROWS, RowId

if TYPE_CHECKING:
    from earmark.server.service import Service

__all__ = ["AnyJob"]


class ScanJob(JobRequest):
    """Analyse folders into the library; those that were scanned before where none is named.

    ``features`` gives songs tempo, key, loudness and further numbers, where they have none yet.
    """

    kind: Literal["scan"]
    folders: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    features: bool = False

    def start(self, service: Service) -> Run[Any]:
        """The scan."""
        from earmark.app.scan import ScanRequest, scan

        options = service.options
        folders = tuple(service.folder(one).path for one in self.folders)
        asked = ScanRequest(folders=folders, library=options.library, model=options.model, features=self.features)
        return scan(asked, service.engine)

    def result(self, value: Any) -> Any:
        """Counts; the library by its name alone."""
        return super().result(value) | {"file": value.file.name}


class ClusterJob(JobRequest):
    """Put the songs into clusters."""

    kind: Literal["clusters"]
    count: Annotated[int, Field(ge=2, le=200)] | None = None
    rebuild: bool = False

    def start(self, service: Service) -> Run[Any]:
        """The clustering."""
        from earmark.app.clusters import ClusterRequest, make_clusters

        return make_clusters(ClusterRequest(library=service.options.library, count=self.count, rebuild=self.rebuild))

    def result(self, value: Any) -> Any:
        """How many clusters there are."""
        return {"clusters": len(value)}


class MapJob(JobRequest):
    """Give the songs their places on the map."""

    kind: Literal["map"]
    rebuild: bool = False

    def start(self, service: Service) -> Run[Any]:
        """The placing."""
        from earmark.app.map import PlaceRequest, place_songs

        return place_songs(PlaceRequest(library=service.options.library, rebuild=self.rebuild))

    def result(self, value: Any) -> Any:
        """How many songs, by which method, and how many were put in between."""
        return {"tracks": len(value.audio), "method": value.method, "joined": value.joined}


class _TagJob(JobRequest):
    resource: ClassVar[str] = "files"
    kept: ClassVar[int] = 200_000
    _ids: dict[str, int] = PrivateAttr(default_factory=dict)
    _count: Counter[str] = PrivateAttr(default_factory=Counter)

    def release(self) -> None:
        """Let go of the library's paths."""
        self._ids = {}

    def record(self, value: Any) -> Any:
        """What becomes, or became, of a file."""
        self._count[value.status] += 1
        fields = [{"field": name, "before": a, "after": b} for name, (a, b) in value.changes.items()]
        record = value.to_dict() | {"track": self._ids.get(value.path), "fields": fields}
        return {name: part for name, part in record.items() if name != "changes"}


_TagField = Literal["genre", "mood", "bpm", "key", "replaygain", "energy"]


class WriteTagsJob(_TagJob):
    """Write what the library knows into files' tags; ``dry_run`` tells the difference and changes nothing."""

    kind: Literal["write-tags"]
    tracks: Annotated[list[RowId], Field(max_length=MOST_ROWS)] | None = None
    policy: Literal["empty", "merge", "overwrite"] = "empty"
    heads: Annotated[tuple[str, ...], Field(min_length=1, max_length=50)] = ("genre", "mood")
    fields: Annotated[tuple[_TagField, ...], Field(min_length=1, max_length=6)] = ("genre", "mood")
    key_notation: Literal["musical", "camelot"] = "musical"
    min_confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    comment: bool = False
    dry_run: bool = True

    def described(self) -> dict[str, Any]:
        """What was asked, with the count of the tracks in place of them."""
        count = None if self.tracks is None else len(self.tracks)
        return self.model_dump(exclude={"kind", "tracks"}) | {"tracks": count}

    def release(self) -> None:
        """Let go of the tracks, too."""
        super().release()
        self.tracks = None

    def start(self, service: Service) -> Run[Any]:
        """The writing."""
        from earmark.app.write_tags import WriteTagsRequest, write_tags

        with service.library() as library:
            self._ids = library.ids_by_path(self.tracks)
        if self.tracks is not None and not self._ids:
            raise EarmarkError("none of these tracks is in the library any more")
        paths = () if self.tracks is None else tuple(self._ids)
        asked: dict[str, Any] = self.model_dump(exclude={"kind", "tracks"})
        return write_tags(WriteTagsRequest(library=service.options.library, paths=paths, **asked))

    def result(self, value: Any) -> Any:
        """The run's name, by which it is taken back; null where nothing was changed."""
        return {"run": value, **{name: self._count[name] for name in ("changed", "unchanged", "skipped")}}


class UndoJob(_TagJob):
    """Take back what a run wrote from this library; the last one where none is named."""

    kind: Literal["undo"]
    run: Annotated[str, Field(max_length=200)] | None = None

    def start(self, service: Service) -> Run[Any]:
        """The taking back."""
        from earmark.app.write_tags import UndoRequest, undo_tags

        with suppress(NoLibrary), service.library() as library:
            self._ids = library.ids_by_path()
        return undo_tags(UndoRequest(run=self.run, library=str(service.session.file)))

    def result(self, value: Any) -> Any:
        """The runs that were taken back."""
        return {"runs": list(value), **{name: self._count[name] for name in ("restored", "untouched", "skipped")}}


AnyJob = Annotated[
    ScanJob | ClusterJob | MapJob | WriteTagsJob | UndoJob | TrainJob | FromTagsJob | ExtendJob | EffectJob,
    Field(discriminator="kind"),
]
"""Any of them, told apart by ``kind``."""
