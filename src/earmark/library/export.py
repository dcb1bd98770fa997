"""Everything that the library knows, as records and as JAMS; and tracks as a playlist file.

Playlist files are UTF-8 ``.m3u8`` with paths relative to the file, as players read them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from earmark.inference.records import Failure, Prediction, path_fields
from earmark.library.records import LibraryModel, LibraryTrack
from earmark.library.store import Library
from earmark.text import encode_path, is_plain, plain_text

__all__ = ["MORE", "everything", "jams", "m3u_text", "record_of"]

MORE = ("artist", "title", "album", "year", "cluster", "x", "y", "vanished")
"""What a record has beyond that of ``tag -f json``."""

_JAMS_VERSION = "0.3.4"
_NAMESPACES, _UNTOLD = {"tempo": "tempo", "key": "key_mode"}, {"value": None}


def everything(library: Library, model: LibraryModel) -> Iterator[dict[str, Any]]:
    """A record a file, vanished ones and failures too, in the order of their paths.

    Each is that of ``tag -f json`` with :data:`MORE`, the key of its ``audio``, which copies alone share, and the
    user's ``correction`` by head.
    """
    clusters = library.cluster_names(model)
    audio, places = library.places(model)
    place = dict(zip(audio.tolist(), places.astype(float).round(5).tolist(), strict=True))
    corrections = library.labels()
    for track in library.tracks():
        known = track.audio or 0
        correction = corrections.get(known)
        about = _more(track, clusters.get(known), place.get(known), correction)
        yield _record(library, model, track, correction) | about


def record_of(library: Library, model: LibraryModel | None, track: LibraryTrack) -> dict[str, Any]:
    """The record of one track; ``model`` is None where nothing was analysed yet."""
    known = track.audio or 0
    correction = library.labels().get(known)
    cluster = library.cluster_names(model).get(known) if model else None
    place = library.place(model, known) if model else None
    about = _more(track, cluster, place, correction)
    return _record(library, model, track, correction) | about


def _more(track: LibraryTrack, cluster: str | None, place: Sequence[float] | None, correction: Any) -> dict[str, Any]:
    """What a record has beyond that of ``tag -f json``."""
    x, y = place or (None, None)
    since = None if track.vanished is None else datetime.fromtimestamp(track.vanished, UTC)
    return {
        "artist": track.artist,
        "title": track.title,
        "album": track.album,
        "year": track.year,
        "cluster": cluster,
        "x": x,
        "y": y,
        "vanished": since and since.isoformat(timespec="seconds"),
        "audio": track.recording or None,
        "correction": correction,
    }


def _record(
    library: Library, model: LibraryModel | None, track: LibraryTrack, correction: Mapping[str, Any] | None
) -> dict[str, Any]:
    if track.audio is None:
        return Failure(track.path, track.error or "io", track.message).to_dict()  # type: ignore[arg-type]
    prediction = library.prediction(model, track, correction) if model else None
    return (prediction or Prediction(track.path, track.seconds, "", {})).to_dict()


def jams(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record that is no failure as JAMS (Humphrey et al. 2014): one ``tag_open`` annotation a head with labels.

    Its observations are the labels that the head gives; scores of all labels are in its sandbox. Tempo and key, where
    they are told, are a ``tempo`` and a ``key_mode`` annotation; all features are in the file's sandbox.
    """
    seconds = float(record["seconds"])
    features: Mapping[str, Any] = record.get("features", {})
    return {
        "annotations": [
            _annotation(name, head, seconds, record)
            for name, head in record["heads"].items()
            if head["task"] != "regression"
        ]
        + [_feature(name, features[name], seconds) for name in _NAMESPACES if features.get(name, _UNTOLD)["value"]],
        "file_metadata": {
            "title": record["title"],
            "artist": record["artist"],
            "release": record["album"],
            "duration": seconds,
            "identifiers": {"audio": record["audio"] or ""},
            "jams_version": _JAMS_VERSION,
        },
        "sandbox": {
            **path_fields(record["path"]),
            **{
                key: record[key]
                for key in ("path_bytes", "year", "cluster", "x", "y", "vanished", "correction")
                if record.get(key) is not None
            },
            **({"features": features} if features else {}),
            "numbers": {name: head["value"] for name, head in record["heads"].items() if head["task"] == "regression"},
        },
    }


def _annotation(name: str, head: Mapping[str, Any], seconds: float, record: Mapping[str, Any]) -> dict[str, Any]:
    given = head["labels"] if head["task"] == "multilabel" else [head["label"]] if head["label"] else []
    by_user = name in (record["correction"] or {})
    data = [(label, head["scores"].get(label, 1.0)) for label in given]
    found = _annotated("tag_open", data, seconds, {"head": name}, by_user=by_user)
    found["annotation_metadata"]["version"] = record["model"]
    return found | {"sandbox": {"scores": head["scores"]}}


def _feature(name: str, facts: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    value = facts["value"].replace(" ", ":") if name == "key" else facts["value"]
    return _annotated(_NAMESPACES[name], [(value, facts["confidence"])], seconds, {"feature": name})


def _annotated(
    namespace: str,
    data: Iterable[tuple[Any, float]],
    seconds: float,
    annotator: Mapping[str, str],
    *,
    by_user: bool = False,
) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "data": [{"time": 0.0, "duration": seconds, "value": one, "confidence": share} for one, share in data],
        "annotation_metadata": {
            "curator": {"name": "", "email": ""},
            "annotator": annotator,
            "version": "",
            "corpus": "",
            "annotation_tools": "earmark",
            "annotation_rules": "",
            "validation": "by the user" if by_user else "",
            "data_source": "manual annotation" if by_user else "program",
        },
        "time": 0,
        "duration": seconds,
        "sandbox": {},
    }


def m3u_text(tracks: Iterable[LibraryTrack], folder: Path | None) -> str:
    """The playlist's text.

    Args:
        tracks: In order.
        folder: Where the file will be; paths are relative to it. None gives absolute ones.
    """
    lines = ["#EXTM3U"]
    for track in tracks:
        name = f"{track.artist} - {track.title}" if track.artist and track.title else track.title or track.artist
        name = plain_text(name or Path(track.path).stem)
        lines += [f"#EXTINF:{round(track.seconds) or -1},{name}", _entry(track.path, folder)]
    return "\n".join(lines) + "\n"


def _entry(path: str, folder: Path | None) -> str:
    """One song's line. A name that is no plain text (line ends, direction overrides, other bytes) is a file URI."""
    if not is_plain(path):
        return "file://" + ("" if path.startswith("/") else "/") + quote(encode_path(path).replace(b"\\", b"/"))
    if folder is None:
        return path
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return path
    relative = Path(relative).as_posix()
    first = relative.split("/", 1)[0]
    # A comment, a URI, or blanks that players take away: "./" makes it plainly a name.
    return f"./{relative}" if first[:1] in "# \t" or ":" in first or "%" in first else relative
