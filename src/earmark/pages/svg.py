"""Pictures of figures as SVG: curves, a heat map, bars with intervals, a scatter. Colours are the page's own.

Every function gives one ``<svg>`` with a title and a description, no wider than a telephone's screen but for large
heat maps; numbers that it shows stand as text in the page too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from earmark.evaluation.history import Epoch
from earmark.pages.text import escaped

__all__ = ["PLOT", "Bar", "Curve", "bars", "curves", "heat_map", "losses", "reliability", "scatter", "scores"]

Float = NDArray[np.float64]

PLOT = (400, 240)
"""Width and height of a pair of axes."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: ``style`` is the class that colours it; points that are NaN are gaps."""

    name: str
    style: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar from 0 to ``value``, with an interval where there is one."""

    name: str
    value: float | None
    interval: tuple[float, float] | None
    note: str


@dataclass(frozen=True, slots=True)
class _Axis:
    """A range of values laid over a range of pixels; ``whole``: nothing lies between one number and the next."""

    low: float
    high: float
    start: float
    end: float
    whole: bool = False

    def __call__(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round numbers within the range."""
        span = (self.high - self.low) or 1.0
        rough = span / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
        step = max(step, 1.0) if self.whole else step
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def curves(lines: Sequence[Curve], x_name: str, y_name: str, marks: Sequence[tuple[float, str]] = ()) -> Markup:
    """Lines over one pair of axes, with marked places such as jumps.

    Args:
        lines: The curves; one without a finite point is left out.
        x_name: Under the axis.
        y_name: Above the axis.
        marks: (x, text) of dashed vertical lines.
    """
    lines = [line for line in lines if any(map(math.isfinite, line.y))]
    if not lines:
        return Markup()
    width, height = PLOT
    xs = [v for line in lines for v in line.x]
    ys = [v for line in lines for v in line.y if math.isfinite(v)]
    room = (max(ys) - min(ys)) * 0.06 or abs(max(ys)) * 0.1 or 1.0
    low = 0.0 if min(ys) >= 0 and min(ys) < 0.35 * max(ys) else min(ys) - room
    x = _Axis(min(xs), max(max(xs), min(xs) + 1), 46, width - 14, whole=all(v == round(v) for v in xs))
    y = _Axis(low, max(ys) + room, height - 36, 30)
    body = [_grid(x, y, width, x_name, y_name)]
    for place, note in marks:
        body.append(f'<line class="mark" x1="{x(place):.1f}" x2="{x(place):.1f}" y1="{y.end}" y2="{y.start}"/>')
        body.append(_text(x(place) + 4, y.end + 10, note, "small warn"))
    at = 46.0
    for line in lines:
        body.append(_line(line, x, y))
        body.append(f'<rect class="{line.style} key" x="{at}" y="6" width="14" height="4" rx="2"/>')
        body.append(_text(at + 20, 12, line.name, "small"))
        at += 40 + 7 * len(line.name)
    return _svg(width, height, f"{y_name} by {x_name}", body, "; ".join(map(_course, lines)))


def _course(line: Curve) -> str:
    """A curve in words."""
    known = [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
    (first, start), (last, end) = known[0], known[-1]
    low = min(y for _, y in known)
    return f"{line.name}: {start:.4g} at {first:g}, {end:.4g} at {last:g}, lowest {low:.4g}"


def losses(history: Sequence[Epoch], marks: Sequence[tuple[float, str]] = ()) -> Markup:
    """Validation and training loss by epoch; marks as in :func:`curves`."""
    epochs = [float(epoch.epoch) for epoch in history]
    lines = [
        Curve("validation", "a", epochs, [epoch.valid_loss for epoch in history]),
        Curve("training", "b", epochs, [epoch.train_loss for epoch in history]),
    ]
    return curves(lines, "epoch", "loss", marks)


def scores(history: Sequence[Epoch]) -> Markup:
    """Validation and training score by epoch; nothing where neither was measured."""
    epochs = [float(epoch.epoch) for epoch in history]
    lines = [
        Curve("validation", "a", epochs, [epoch.valid_score for epoch in history]),
        Curve("training", "b", epochs, [epoch.train_score for epoch in history]),
    ]
    return curves(lines, "epoch", "score")


def heat_map(table: NDArray[np.int64], labels: Sequence[str]) -> Markup:
    """A confusion table: rows are the truth, shades are shares of the row, numbers are tracks."""
    count = len(labels)
    cell = 36 if count <= 12 else max(14, 456 // count)
    longest = min(22, max((len(label) for label in labels), default=0))
    left, top = 16 + 7 * longest, 24 + round(5 * longest)
    # The last label leans out to the right.
    width, height = left + count * cell + max(48, round(5.6 * longest)), top + count * cell + 6
    totals = table.sum(1)
    body: list[str] = []
    for i, label in enumerate(labels):
        middle = i * cell + cell / 2
        body.append(_text(left - 8, top + middle + 4, _cut(label, 22), "small end"))
        turn = f'transform="rotate(-40 {left + middle:.0f} {top - 8})"'
        body.append(_text(left + middle, top - 8, _cut(label, 22), "small", turn))
        for j in range(count):
            share = table[i, j] / totals[i] if totals[i] else 0.0
            body.append(_cell(left + j * cell, top + i * cell, cell, float(share), int(table[i, j]), i == j))
        body.append(_text(left + count * cell + 8, top + middle + 4, str(totals[i]), "small dim"))
    told = f"{np.trace(table)} of {table.sum()} tracks are on the diagonal, where prediction and truth agree."
    return _svg(width, height, "Confusion table", body, told)


def reliability(confidence: Float, right: Float, count: Float) -> Markup:
    """Mean confidence against the share that was right, bin by bin; (bins,) each, NaN where a bin is empty."""
    width, height = 300, 300
    x, y = _Axis(0, 1, 44, width - 14), _Axis(0, 1, height - 38, 26)
    bins, most = len(count), max(1.0, float(count.max(initial=0)))
    body = [_grid(x, y, width, "confidence", "share that was right")]
    body.append(f'<line class="ideal" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>')
    for i in range(bins):
        if count[i] > 0:
            start, end = x(i / bins), x((i + 1) / bins)
            tall = 34 * count[i] / most
            body.append(_rect(start + 1.5, y(0) - tall, end - start - 3, tall, "count"))
    points = [(x(p), y(k)) for p, k in zip(confidence, right, strict=True) if not math.isnan(k)]
    body.append(f'<polyline class="a line" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>')
    for i in range(bins):
        if count[i] > 0:
            size = 2.5 + 4 * math.sqrt(count[i] / most)
            note = f"{count[i]:.0f} predictions: confidence {confidence[i]:.2f}, right {right[i]:.2f}"
            body.append(_dot(x(confidence[i]), y(right[i]), size, "a dot", note))
    told = "; ".join(f"{p:.2f}: {k:.2f}" for p, k in zip(confidence, right, strict=True) if not math.isnan(k))
    return _svg(width, height, "Reliability curve", body, f"Share that was right, by confidence: {told or 'none'}")


def bars(rows: Sequence[Bar], low: float = 0.0, reference: float | None = None) -> Markup:
    """Horizontal bars from ``low`` to 1 with whiskers for intervals.

    Args:
        rows: Top down.
        low: Value at the left edge.
        reference: Where a dashed line stands (chance).
    """
    left, width, tall = 2, 340, 38
    height = tall * len(rows) + 26
    x = _Axis(low, 1.0, left, width - 12)
    body = []
    for tick in x.ticks():
        body.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="2" y2="{height - 22}"/>')
        style = "small dim" if tick == x.low else "small dim middle"
        body.append(_text(x(tick), height - 6, f"{tick:g}", style))
    if reference is not None:
        body.append(f'<line class="ideal" x1="{x(reference):.1f}" x2="{x(reference):.1f}" y1="2" y2="{height - 22}"/>')
    for i, row in enumerate(rows):
        y = 2 + tall * i
        body.append(_text(left, y + 13, _cut(row.name, 54 - len(row.note)), "small"))
        body.append(_text(width - 2, y + 13, row.note if row.value is not None else "no figure", "small end dim"))
        if row.value is not None:
            body.append(_rect(left, y + 18, max(1.0, x(max(low, row.value)) - left), 12, "a bar"))
        if row.interval is not None:
            a, b = (x(min(1.0, max(low, v))) for v in row.interval)
            body.append(f'<path class="whisker" d="M{a:.1f} {y + 24}H{b:.1f}M{a:.1f} {y + 20}v8M{b:.1f} {y + 20}v8"/>')
    told = "; ".join(f"{row.name}: {row.note or 'no figure'}" for row in rows)
    return _svg(width, height, "Figures by label", body, told)


def scatter(truth: Float, guess: Float) -> Markup:
    """What is true against what was predicted, a dot a track."""
    width, height = 360, 320
    both = np.concatenate([truth, guess])
    room = (both.max() - both.min()) * 0.05 or 1.0
    x = _Axis(float(both.min() - room), float(both.max() + room), 48, width - 14)
    y = _Axis(x.low, x.high, height - 38, 26)
    body = [_grid(x, y, width, "true", "predicted")]
    body.append(f'<line class="ideal" x1="{x(x.low)}" y1="{y(x.low)}" x2="{x(x.high)}" y2="{y(x.high)}"/>')
    chosen = np.linspace(0, len(truth) - 1, min(len(truth), 2000)).astype(int)
    body += [_dot(x(truth[i]), y(guess[i]), 3, "a dot thin") for i in chosen]
    return _svg(width, height, "True against predicted", body, f"{len(truth)} tracks, a dot each")


def _svg(width: float, height: float, title: str, body: Iterable[str], told: str) -> Markup:
    """A picture at 1.1 times its size where there is room; ``told``: what it shows, for who cannot see it."""
    return Markup(
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{1.1 * width:.0f}" height="{1.1 * height:.0f}" role="img" '
        f'aria-label="{escaped(title)}"><title>{escaped(title)}</title><desc>{escaped(told)}</desc>{"".join(body)}</svg>'
    )


def _grid(x: _Axis, y: _Axis, width: float, x_name: str, y_name: str) -> str:
    parts = []
    for tick in y.ticks():
        parts.append(f'<line class="grid" x1="{x.start}" x2="{x.end}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(_text(x.start - 6, y(tick) + 4, f"{tick:.4g}", "small dim end"))
    for tick in x.ticks():
        parts.append(_text(x(tick), y.start + 16, f"{tick:.4g}", "small dim middle"))
    parts.append(_text(x.end, y.start + 31, x_name, "small dim end"))
    parts.append(_text(width - 14, 14, y_name, "small dim end"))
    return "".join(parts)


def _line(line: Curve, x: _Axis, y: _Axis) -> str:
    pieces: list[list[str]] = [[]]
    for a, b in zip(line.x, line.y, strict=True):
        if math.isfinite(b):
            pieces[-1].append(f"{x(a):.1f},{y(b):.1f}")
        elif pieces[-1]:
            pieces.append([])
    drawn = "".join(f'<polyline class="{line.style} line" points="{" ".join(p)}"/>' for p in pieces if len(p) > 1)
    if len(line.x) <= 60:
        drawn += "".join(
            _dot(x(a), y(b), 2.4, f"{line.style} dot", f"{line.name}, {a:g}: {b:.4g}")
            for a, b in zip(line.x, line.y, strict=True)
            if math.isfinite(b)
        )
    return drawn


def _cell(x: float, y: float, size: int, share: float, tracks: int, right: bool) -> str:
    style = "a" if right else "b"
    drawn = f'<rect class="cell" x="{x}" y="{y}" width="{size - 2}" height="{size - 2}" rx="4"/>'
    if share > 0:
        opacity = 0.12 + 0.88 * share
        drawn += (
            f'<rect class="{style} fill" x="{x}" y="{y}" width="{size - 2}" height="{size - 2}" rx="4" '
            f'fill-opacity="{opacity:.3f}"><title>{tracks} tracks, {100 * share:.0f} % of the row</title></rect>'
        )
    if tracks and size >= 22:
        strong = " on" if share > 0.6 else ""
        drawn += _text(x + size / 2 - 1, y + size / 2 + 4, str(tracks), f"small middle{strong}")
    return drawn


def _rect(x: float, y: float, width: float, height: float, style: str) -> str:
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'


def _dot(x: float, y: float, radius: float, style: str, note: str = "") -> str:
    inside = f"<title>{escaped(note)}</title>" if note else ""
    return f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">{inside}</circle>'


def _text(x: float, y: float, words: str, style: str, more: str = "") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" {more}>{escaped(words)}</text>'


def _cut(words: str, length: int) -> str:
    return words if len(words) <= length else words[: length - 1] + "…"
