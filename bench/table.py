"""A comparison as a Markdown table, for docs/results.md: ``python bench/table.py page/comparison.json``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earmark.evaluation.scores import main_figure


def figure(found: dict[str, Any], key: str) -> str:
    """``.812 [.75, .87]``; a dash where it is not known."""
    value, between = found.get(key), found.get(f"{key}_ci95")
    if value is None:
        return "-"
    plain = f"{value:.3f}".lstrip("0")
    return plain if not between else f"{plain} [{f'{between[0]:.3f}'.lstrip('0')}, {f'{between[1]:.3f}'.lstrip('0')}]"


def lines(facts: dict[str, Any], folder: Path) -> Iterator[str]:
    """Header and rows."""
    rows = [row for row in (facts.get("baseline"), *facts["recipes"]) if row]
    heads = {head: main_figure(found["task"]) for row in rows for head, found in row["heads"].items()}
    naive = ("naive",) if any(row.get("naive") for row in rows) else ()
    cells = [f"{head}: {part}" for head in heads for part in (facts["split"], "train", *naive)]
    yield "| " + " | ".join(["recipe", "epochs", *cells, "parameters", "GFLOP a song", "songs/s", "training"]) + " |"
    yield "|---" * (len(cells) + 6) + "|"
    for row in rows:
        if row["error"]:
            yield f"| `{row['recipe']}` | {row['error']} |" + " |" * (len(cells) + 4)
            continue
        scores = [
            figure(found.get(head, {}), f"{part}{key}")
            for head, key in heads.items()
            for found, part in (
                (row["heads"], ""),
                (row["heads"], "train_"),
                *(((row["naive"] or {}, ""),) if naive else ()),
            )
        ]
        size = f"{row['parameters']:,}" if row["parameters"] else "-"
        costs = [f"{row[key]:.3g}" if row[key] else "-" for key in ("gflop", "songs_per_second")]
        spent = f"{row['train_seconds'] / 60:.1f} min" if row["train_seconds"] else "-"
        yield (
            "| "
            + " | ".join([f"`{row['recipe']}`", epochs(folder / "models" / row["model"]), *scores, size, *costs, spent])
            + " |"
        )


def paired(facts: dict[str, Any]) -> Iterator[str]:
    """Every row against the baseline, on the same tracks."""
    base = (facts.get("baseline") or {}).get("recipe")
    tests = [test for test in facts["paired"] if base is not None and test["b"].startswith(base)]
    heads = list(dict.fromkeys(test["head"] for test in tests))
    yield "| against the SVM | " + " | ".join(f"{head}: difference | p" for head in heads) + " |"
    yield "|---" * (1 + 2 * len(heads)) + "|"
    for name in dict.fromkeys(test["a"] for test in tests):
        mine = {test["head"]: test for test in tests if test["a"] == name}
        cells = [f"{signed(mine[head])} | {mine[head]['p']:.2f}" if head in mine else "- | -" for head in heads]
        yield f"| `{name.split()[0]}` | " + " | ".join(cells) + " |"


def signed(test: dict[str, Any]) -> str:
    """``+.10 [-.04, +.20]``."""
    numbers = [
        f"{value:+.3f}".replace("+0.", "+.").replace("-0.", "-.")
        for value in (test["difference"], *(test["ci95"] or ()))
    ]
    return numbers[0] if len(numbers) == 1 else f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def epochs(model: Path) -> str:
    """How many were run."""
    history = model / "history.csv"
    return str(len(history.read_text("utf-8").splitlines()) - 1) if model.name and history.is_file() else "-"


def main() -> None:
    """Print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    facts = json.loads(given.file.read_text("utf-8"))
    print("\n".join([*lines(facts, given.file.parent), "", *paired(facts)]))


if __name__ == "__main__":
    main()
