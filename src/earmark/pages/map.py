"""The map as one HTML page that needs nothing else: no server, no network, no library of scripts."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from earmark.inference.records import path_fields
from earmark.library.layout import Layout
from earmark.library.records import LibraryModel
from earmark.library.store import Library
from earmark.library.words import given_labels

__all__ = ["map_page"]

_COLOURS = 12  # names with a colour of their own; all others share grey
_OTHERS, _NONE = "others", "not sure"


def map_page(library: Library, model: LibraryModel, layout: Layout) -> str:
    """The page.

    Args:
        library: The library.
        model: Whose labels colour it.
        layout: From :func:`earmark.library.layout.lay_out`.
    """
    shown = library.first_files()
    rows = np.flatnonzero([audio in shown for audio in layout.audio.tolist()])
    audio, places = layout.audio[rows], layout.places[rows]
    # Drawn in an order of no meaning, so that no genre lies on top of the others.
    order = np.random.default_rng(0).permutation(len(rows))
    audio, places = audio[order], places[order]
    views = [
        view
        for view in (
            _view(library, model, audio, "Genre", ("genre", "style")),
            _view(library, model, audio, "Mood", ("mood", "quadrant", "emotion")),
            _cluster_view(library, model, audio),
        )
        if view is not None
    ]
    steps = np.round((places * [1, -1] + 1) / 2 * 65_535).astype("<u2")
    method = "neighbours by t-SNE" if layout.method == "t-SNE" else "the two main directions (PCA)"
    facts = {
        "title": f"{len(rows):,} songs",
        "about": f"As {model.shown} hears them: what is near sounds alike ({method}).",
        "places": base64.b64encode(steps.tobytes()).decode("ascii"),
        "views": views or [{"name": "All", "names": [""], "of": _encoded([0] * len(rows))}],
        "songs": [[shown[one][0], path_fields(shown[one][1])["path"]] for one in audio.tolist()],
    }
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    template = files("earmark.pages").joinpath("map.html").read_text("utf-8")
    return template.replace("@DATA@", text.replace("<", "\\u003c"))


def _view(
    library: Library, model: LibraryModel, audio: NDArray[np.int64], name: str, kinds: Sequence[str]
) -> dict[str, object] | None:
    """Colours by the best label of the head that is about this: one with a single answer, if there is one."""
    for kind in kinds:
        heads = [head for head in model.heads if head.labels and kind in head.name.casefold()]
        for head in sorted(heads, key=lambda head: head.task != "multiclass"):
            keys, scores = library.scores(model, head)
            scores = scores[np.searchsorted(keys, audio)]
            best = scores.argmax(axis=1)
            sure = given_labels(head, scores)[np.arange(len(best)), best]
            names = [model.aliases.get(head.name, {}).get(label, label) for label in head.labels]
            said = [
                names[label] if certain else _NONE for label, certain in zip(best.tolist(), sure.tolist(), strict=True)
            ]
            words = library.labels()
            for row, one in enumerate(audio.tolist()):
                word = words.get(one, {}).get(head.name)
                if isinstance(word, str):
                    said[row] = word
            return _coloured(name, said)
    return None


def _cluster_view(library: Library, model: LibraryModel, audio: NDArray[np.int64]) -> dict[str, object] | None:
    member = library.cluster_names(model)
    return _coloured("Cluster", [member.get(one, _NONE) for one in audio.tolist()]) if member else None


def _coloured(name: str, said: Sequence[str]) -> dict[str, object]:
    """The commonest names get a colour each."""
    counts = Counter(said)
    counts.pop(_NONE, None)
    ranked = sorted(counts, key=lambda one: (-counts[one], one))
    names = ranked[:_COLOURS]
    shown = {one: min(number, _COLOURS) for number, one in enumerate(ranked)}
    if len(ranked) > _COLOURS or _NONE in said:
        names += [""] * (_COLOURS - len(names)) + [_OTHERS if len(ranked) > _COLOURS else "", _NONE]
    shown[_NONE] = _COLOURS + 1
    return {"name": name, "names": names, "of": _encoded([shown[one] for one in said])}


def _encoded(numbers: Sequence[int]) -> str:
    return base64.b64encode(bytes(numbers)).decode("ascii")
