"""FMA's echonest.csv trains heads under Spotify's names, and the model's features are those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from commands import Earmark
from made_corpora import write_fma

HEADS = ("danceability", "energy", "valence", "acousticness", "instrumentalness", "liveness", "speechiness")


def documented() -> str:
    """The dataset.toml of the how-to, as it stands there."""
    page = (Path(__file__).parents[2] / "docs/how-to/corpora.md").read_text("utf-8")
    section = page.split("## Danceability", 1)[1]
    return section.split("```toml\n", 1)[1].split("```", 1)[0]


def test_the_documented_recipe_gives_features(earmark: Earmark, tmp_path: Path) -> None:
    corpus, rng = write_fma(tmp_path / "fma", 48, 4, scored=40), np.random.default_rng(0)
    (corpus / "fma_small").rename(corpus / "fma_large")
    for row, file in enumerate(sorted(corpus.rglob("*.mp3"))):
        tone = np.sin(np.arange(25_600) * (0.05 + 0.2 * (row // 2 % 4) + 0.002 * (row % 7)))
        with file.open("wb") as stream:
            soundfile.write(stream, 0.3 * tone + rng.normal(0, 0.02, len(tone)), 8000, format="WAV")
    (tmp_path / "echonest").mkdir()
    (tmp_path / "echonest/dataset.toml").write_text(documented(), "utf-8")
    said = earmark("train", tmp_path / "echonest", "--heads", ",".join(HEADS), "-o", tmp_path / "model")
    assert said.code == 0, said.err
    song = next(corpus.rglob("*.mp3"))
    said = earmark("tag", song, "-m", tmp_path / "model", "--features", "-f", "json")
    record = said.json[0] if isinstance(said.json, list) else said.json
    for name in HEADS:
        value = record["heads"][name]["value"]
        assert record["features"][name] == {"value": min(1.0, max(0.0, value))}, "a head is no estimate"
