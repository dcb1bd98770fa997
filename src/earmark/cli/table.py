"""Records for people: a line a song with bars for confidence, and its tags below."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from earmark.app.part import Record
from earmark.cli.console import Style, bar, cells, columns, fit, plain, style_of
from earmark.cli.records import until_first_analysed
from earmark.inference.records import is_song

__all__ = ["MOST_LABELS", "guesses", "table_pieces"]

NOT_SURE = "not sure"
MOST_LABELS = 5
"""Of a head with several labels a song, so many are shown; records have all."""

_FEW = 3  # labels of a song that a head learned from
_BAR = 8
_PERCENT = 5
_NAME = 24  # columns that a song's name gets at least
_LABEL = (8, 18)  # and a label, at least and at most
_GAP = 2
_FEATURES = {"tempo": "{value} BPM", "key": "{value} ({camelot})", "loudness": "{lufs} LUFS"}


@dataclass(frozen=True, slots=True)
class _Layout:
    name: int
    label: dict[str, int]  # width of the label, by head that has a column
    room: int
    style: Style
    stream: TextIO


def table_pieces(records: Iterable[Record], stream: TextIO) -> Iterator[bytes]:
    """A header, then one or more lines a record, as wide as the stream's terminal."""
    for line in _lines(records, stream):
        yield (line.rstrip() + "\n").encode("utf-8", "backslashreplace")


def _lines(records: Iterable[Record], stream: TextIO) -> Iterator[str]:
    leading, rest = until_first_analysed(records)
    layout = _layout(leading[-1].get("heads", {}) if leading else {}, stream)
    header = [fit("song", layout.name), *(fit(plain(name), _column(width)) for name, width in layout.label.items())]
    yield layout.style((" " * _GAP).join(header).rstrip(), "dim")
    for record in itertools.chain(leading, rest):
        yield from _record_lines(record, layout)


def _layout(heads: Mapping[str, Any], stream: TextIO) -> _Layout:
    """As many heads with one label side by side as there is room for; the others go below the song."""
    room = max(columns(stream), _NAME + 16)
    label: dict[str, int] = {}
    left = room - _NAME
    for name, head in heads.items():
        if head["task"] != "multiclass":
            continue
        longest = max([cells(NOT_SURE), *(cells(plain(text)) for text in head["scores"])])
        width = min(max(longest, _LABEL[0]), _LABEL[1])
        left -= _column(width) + _GAP
        if left < 0:
            break
        label[name] = width
    taken = sum(_column(width) + _GAP for width in label.values())
    return _Layout(room - taken, label, room, style_of(stream), stream)


def _column(label: int) -> int:
    return label + 1 + _BAR + _PERCENT


def _record_lines(record: Record, layout: _Layout) -> Iterator[str]:
    style, path = layout.style, plain(record["path"])
    if "error" in record:
        yield fit(path, layout.room, keep_end=True)
        text = plain(f"{record['error']['kind']}: {record['error']['message']}")
        yield from (style(line, "red") for line in _wrapped(text, layout))
        return
    if not is_song(record.get("warning")):
        yield fit(path, layout.room, keep_end=True)
        text = f"no labels, this is no music: {plain(record['warning'])}"
        yield from (style(line, "yellow") for line in _wrapped(text, layout))
        yield from (style(line, "dim") for line in _wrapped(_features(record), layout))
        return
    heads = record["heads"]
    row = [fit(path, layout.name, keep_end=True)]
    row += [_class_cell(heads[name], width, layout) for name, width in layout.label.items()]
    yield (" " * _GAP).join(row)
    below = " · ".join(_below(heads, layout.label))
    yield from (style(line, "dim") for line in _wrapped(below, layout))
    yield from (style(line, "dim") for line in _wrapped(_features(record), layout))
    for name, head in heads.items():
        if "why" in head:
            yield from (style(line, "dim") for line in _wrapped(_reason(name, head["why"]), layout))
    if "warning" in record:
        yield from (style(line, "yellow") for line in _wrapped(f"warning: {plain(record['warning'])}", layout))


def guesses(head: Mapping[str, Any], width: int = 1_000) -> str:
    """The best guesses of a head that names nothing, as ``Rock? 44 %, Pop? 20 %``: as many as fit; "" without any."""
    found = ""
    for name, probability in head.get("guesses", ()):
        more = f"{found}{', ' if found else ''}{plain(name)}? {100 * probability:.0f} %"
        if found and cells(more) > width:
            break
        found = more
    return found


def _class_cell(head: Mapping[str, Any], width: int, layout: _Layout) -> str:
    if text := guesses(head, _column(width)):
        return layout.style(fit(text, _column(width)), "yellow")
    sure, confidence = head["label"] is not None, head["confidence"] or 0.0
    label = fit(plain(head["label"]) if sure else NOT_SURE, width)
    drawn = bar(confidence, _BAR, layout.stream)
    share = f"{confidence:>{_PERCENT}.0%}"
    return (
        f"{layout.style(label, 'bold' if sure else 'yellow')} {layout.style(drawn, 'green' if sure else 'dim')}{share}"
    )


def _reason(head: str, why: Mapping[str, Any]) -> str:
    """As ``why genre Rock: most of all from 1:10 to 1:13; nearest songs it learned from: Rock; a.mp3 (Pop)``."""
    start, end = (f"{int(second // 60)}:{int(second % 60):02}" for second in why["seconds"])
    songs = []
    for one in why["nearest"]:
        labels = ", ".join(map(plain, one["labels"][:_FEW]))
        songs.append(f"{plain(one['name'])} ({labels})" if "name" in one else labels)
    learned = f"; nearest songs it learned from: {'; '.join(songs)}" if songs else ""
    return f"why {plain(head)} {plain(why['name'])}: most of all from {start} to {end}{learned}"


def _features(record: Record) -> str:
    """As ``120.1 BPM · A minor (8A) · -9.8 LUFS · energy 70 %``; what cannot be told is left out."""
    found = []
    for name, facts in record.get("features", {}).items():
        if facts["lufs" if name == "loudness" else "value"] is not None:
            share = f"{name} {100 * facts['value']:.0f} %" if name not in _FEATURES else ""
            found.append(share or plain(_FEATURES[name].format(**facts)))
    return " · ".join(found)


def _below(heads: Mapping[str, Any], beside: Mapping[str, int]) -> Iterator[str]:
    for name, head in heads.items():
        if name in beside:
            continue
        if head["task"] == "multilabel":
            if head["labels"]:
                yield f"{plain(name)}: {', '.join(map(plain, head['labels'][:MOST_LABELS]))}"
        elif head["task"] == "regression":
            yield f"{plain(name)} {head['value']:.2f}"
        else:
            label = NOT_SURE if head["label"] is None else plain(head["label"])
            named = f"{label} {head['confidence'] or 0.0:.0%}"
            yield f"{plain(name)}: {guesses(head) or named}"


def _wrapped(text: str, layout: _Layout) -> Sequence[str]:
    return textwrap.wrap(text, layout.room, initial_indent="    ", subsequent_indent="    ")
