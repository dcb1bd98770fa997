"""Twenty songs of known artists and what the bundled model says of them: the table of docs/experiments.md.

python bench/songs.py ../shared/data/moods900
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from earmark.engine import predict_all
from earmark.inference.records import HeadPrediction, Prediction
from earmark.inference.tagger import load_model

ARTISTS = (
    "Gipsy Kings", "Little Walter", "Bob Marley & the Wailers", "Charlie Poole", "Dismember", "Willie Nelson",
    "Madonna", "Marvin Gaye", "Michael Jackson", "Enya", "Frank Sinatra", "Miles Davis", "Slayer", "Kraftwerk", "2Pac",
    "Hank Williams", "Enigma", "Al Green", "Bob Marley", "Stevie Wonder",
)  # fmt: skip
"""The first song of each in the table's order."""


def chosen(data: Path) -> list[dict[str, str]]:
    """Rows of the table."""
    with (data / "tracks.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    first = {artist: next((row for row in rows if row["artist"] == artist), None) for artist in ARTISTS}
    return [row for row in first.values() if row is not None]


def best(head: HeadPrediction, count: int) -> str:
    """The likeliest labels with their probabilities."""
    ranked = sorted(head.scores.items(), key=lambda item: -item[1])[:count]
    return ", ".join(f"{label} {score:.2f}" for label, score in ranked)


def cells(row: dict[str, str], said: Prediction) -> list[str]:
    """One line of the table."""
    genre, mood, energy = (said.heads[name] for name in ("genre", "mood", "energy"))
    moods = said.heads["moods"]
    words = moods.labels[:5] or [f"{word}?" for word, _ in moods.guesses]
    return [
        f"{row['artist']}, {row['title'][:32]}",
        f"{row['genres']} / {row['quadrant']}",
        f"{genre.label or 'not sure'} ({best(genre, 2)})",
        f"{mood.label or 'not sure'} ({mood.confidence or 0:.2f})",
        f"{energy.value or 0:.2f}",
        ", ".join((*said.heads["instruments"].labels, *said.heads["voice"].labels)),
        ", ".join(words),
    ]


def main() -> None:
    """Tag and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-m", "--model", default="default")
    given = parser.parse_args()
    rows = chosen(given.data)
    print("| song | labels | genre | mood | energy | instruments, voice | moods |\n|---|---|---|---|---|---|---|")
    for row, said in zip(
        rows, predict_all(load_model(given.model), [given.data / row["path"] for row in rows]), strict=True
    ):
        assert isinstance(said, Prediction), said
        print("| " + " | ".join(cells(row, said)) + " |")


if __name__ == "__main__":
    main()
