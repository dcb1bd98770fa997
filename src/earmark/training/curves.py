"""Learning curves as a picture that any browser shows: SVG, written by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from earmark.evaluation.history import Epoch

__all__ = ["draw_curves", "write_curves"]

_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 220, 56, 28
_COLOURS = {"training loss": "#0072b2", "validation loss": "#d55e00", "validation score": "#009e73"}  # Okabe and Ito


def write_curves(file: Path, history: Sequence[Epoch], kept: int = 0) -> None:
    """Write :func:`draw_curves` into a file."""
    file.write_text(draw_curves(history, kept), "utf-8", newline="\n")


def draw_curves(history: Sequence[Epoch], kept: int = 0) -> str:
    """Losses above, validation score below, over the epochs; ``kept`` marks the epoch whose weights were kept."""
    epochs = [float(epoch.epoch) for epoch in history]
    losses = {
        "training loss": [epoch.train_loss for epoch in history],
        "validation loss": [epoch.valid_loss for epoch in history],
    }
    score = {"validation score": [epoch.valid_score for epoch in history]}
    body = _panel(0, "loss", epochs, losses, kept) + _panel(1, "score", epochs, score, kept)
    size = f"{_WIDTH + _LEFT + 24} {2 * (_HEIGHT + 2 * _TOP)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="sans-serif" font-size="12" '
        f'role="img" aria-label="learning curves"><rect width="100%" height="100%" fill="white"/>{body}</svg>\n'
    )


def _panel(row: int, title: str, epochs: Sequence[float], lines: dict[str, list[float]], kept: int) -> str:
    known = [value for values in lines.values() for value in values if math.isfinite(value)]
    y0 = row * (_HEIGHT + 2 * _TOP) + _TOP
    parts = [f'<text x="{_LEFT}" y="{y0 - 8}" font-weight="bold">{title}</text>']
    if not known:
        return parts[0] + f'<text x="{_LEFT + 60}" y="{y0 - 8}">not measured</text>'
    low, high = min(known), max(known)
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    first, last = epochs[0], max(epochs[-1], epochs[0] + 1)

    def x(epoch: float) -> float:
        return round(_LEFT + (epoch - first) / (last - first) * _WIDTH, 1)

    def y(value: float) -> float:
        return round(y0 + (high - value) / (high - low) * _HEIGHT, 1)

    for share in (0.0, 0.5, 1.0):
        value, epoch = low + share * (high - low), first + share * (last - first)
        parts.append(f'<path d="M{_LEFT} {y(value)}h{_WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{value:.3g}</text>')
        label = f"epoch {epoch:g}" if share == 1.0 else f"{epoch:.4g}"
        parts.append(f'<text x="{x(epoch)}" y="{y0 + _HEIGHT + 16}" text-anchor="middle">{label}</text>')
    if kept:
        parts.append(f'<path d="M{x(kept)} {y0}v{_HEIGHT}" stroke="#555" stroke-dasharray="4 3"/>')
        parts.append(f'<text x="{x(kept)}" y="{y0 - 2}" text-anchor="middle">kept: {kept}</text>')
    for place, (name, values) in enumerate(lines.items()):
        points = [(x(e), y(v)) for e, v in zip(epochs, values, strict=True) if math.isfinite(v)]
        path = "M" + "L".join(f"{a} {b}" for a, b in points)
        parts.append(f'<path d="{path}" fill="none" stroke="{_COLOURS[name]}" stroke-width="2"/>')
        at = _LEFT + _WIDTH - 150 * (place + 1)
        parts.append(f'<text x="{at}" y="{y0 - 8}" fill="{_COLOURS[name]}">{escape(name)}</text>')
    return "".join(parts)
