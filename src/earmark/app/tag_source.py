"""The library as ``write-tags`` sees it: what is known of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from earmark.filetags.policy import FilePrediction, Outcome
from earmark.library.labels import user_heads
from earmark.models.card import HeadCard

if TYPE_CHECKING:
    from earmark.library.records import LibraryModel, LibraryTrack
    from earmark.library.store import Library

__all__ = ["LibrarySource"]


class LibrarySource:
    """A library that hands out what one model predicts (:class:`earmark.filetags.policy.PredictionSource`).

    Attributes:
        file: The library's.
        heads: Of the model, with the labels as the user has them.
        total: Files that are there and could be analysed.
        roots: The folders that were scanned.
    """

    def __init__(self, library: Library, model: LibraryModel) -> None:
        self._library, self._model = library, model
        self.file = library.file.absolute()
        self._tracks = [track for track in library.tracks(vanished=False) if track.audio is not None]
        self.heads: Sequence[HeadCard] = tuple(user_heads(model).values())
        self.total = len(self._tracks)
        self.roots: Sequence[str] = library.roots()

    def predictions(self, paths: Iterable[str] | None) -> Iterator[FilePrediction | Outcome]:
        """One for each path, in their order, or for all; an Outcome where nothing is known of a file."""
        said = self._library.labels()
        found = ((track.path, track) for track in self._tracks) if paths is None else map(self._of, paths)
        for path, track in found:
            if track is None:
                yield _unknown(path, "not in the library; `earmark scan` adds it")
            elif track.state == "analyse":
                yield _unknown(path, "it shared an old hash with another file; `earmark scan` tells them apart")
            elif track.audio is None:
                yield _unknown(path, f"could not be analysed: {track.message}")
            else:
                prediction = self._library.prediction(self._model, track, said.get(track.audio, {}))
                if prediction is None:
                    yield _unknown(path, f"the model {self._model.title} has not analysed it; `earmark scan` does")
                else:
                    yield FilePrediction(replace(prediction, path=path), track.content_hash, track.size, track.modified)

    def _of(self, path: str) -> tuple[str, LibraryTrack | None]:
        return path, self._library.track(path)


def _unknown(path: str, message: str) -> Outcome:
    return Outcome(path, "skipped", kind="not-in-library", message=message)
