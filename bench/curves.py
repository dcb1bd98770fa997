"""Learning curves of a comparison as one picture, for docs/results.md.

python bench/curves.py page/comparison.json docs/pictures/curves/emotify400-genre.svg
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from earmark.evaluation.history import read_history
from earmark.pages import svg
from earmark.pages.render import asset
from earmark.pages.text import escaped

_COLUMNS = 3
_WIDTH, _HEIGHT = svg.PLOT
_TITLE = 26
"""The room above one pair of axes."""


def panel(title: str, model: Path, column: int, row: int) -> str:
    """Training and validation loss of one model, at its place in the picture."""
    drawn = str(svg.losses(read_history(model / "history.csv")))
    x, y = column * (_WIDTH + 20), row * (_HEIGHT + _TITLE + 20)
    place = f'<svg x="{x}" y="{y + _TITLE}" width="{_WIDTH}" height="{_HEIGHT}"'
    placed = re.sub(r'<svg(?= )(.*?) width="\d+" height="\d+"', rf"{place}\1", drawn, count=1)
    return f'<text x="{x + 10}" y="{y + 18}" font-size="17" font-weight="600">{escaped(title)}</text>{placed}'


def picture(page: Path) -> str:
    """All rows that were trained in epochs."""
    rows = json.loads(page.read_text("utf-8"))["recipes"]
    models = [(row["recipe"], page.parent / "models" / row["model"]) for row in rows if not row["error"]]
    taught = [(name, model) for name, model in models if (model / "history.csv").is_file()]
    panels = [panel(name, model, i % _COLUMNS, i // _COLUMNS) for i, (name, model) in enumerate(taught)]
    width = min(_COLUMNS, len(panels)) * (_WIDTH + 20)
    height = -(-len(panels) // _COLUMNS) * (_HEIGHT + _TITLE + 20)
    size = f"svg svg {{ width:{_WIDTH}px; height:{_HEIGHT}px }}"
    style = f"<style>{asset('page.css')} {size} svg {{ font-family:system-ui,sans-serif }}</style>"
    ground = f'<rect width="{width}" height="{height}" fill="var(--card)"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return f"{head}{style}{ground}{''.join(panels)}</svg>\n"


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path, help="comparison.json")
    parser.add_argument("out", type=Path, help="the SVG to write")
    given = parser.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(picture(given.file), "utf-8")


if __name__ == "__main__":
    main()
