"""How many modules of the training room a run needs: a reader of it must not meet those that have no part in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import earmark
import lessons

TRAIN = """
import sys
from pathlib import Path
from earmark.datasets import load_dataset
from earmark.engine import InlineEngine
from earmark.events import Run
from earmark.recipe import load_recipe
from earmark.training.job import TrainOptions
from earmark.training.run import train_model
songs, recipe, out = sys.argv[1:]
Run(train_model(load_dataset(songs), load_recipe(recipe), Path(out), TrainOptions(), InlineEngine())).wait()
print(*(name for name in sys.modules if name.startswith("earmark.training.")))
"""


def modules(tmp_path: Path, songs: Path, recipe: str) -> set[str]:
    source = os.pathsep.join([str(Path(earmark.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"EARMARK_CACHE": str(tmp_path / "cache"), "PYTHONPATH": source}
    order = [sys.executable, "-c", TRAIN, str(songs), recipe, str(tmp_path / f"model-{Path(recipe).stem}")]
    done = subprocess.run(order, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name.removeprefix("earmark.training.") for name in done.stdout.split()}


def test_a_run_imports_what_it_needs(tmp_path: Path):
    """A network needs no head fitter and no other network; transfer no loop. It was 33 modules for a network once."""
    songs = lessons.make_songs(tmp_path / "songs")
    network = modules(tmp_path, songs, str(lessons.recipe_file(tmp_path / "tiny.toml")))
    assert {name for name in network if name.startswith("backbones.")} == {"backbones.time_axis"}
    assert len(network) <= 12 and not network & {"fitting", "pretrained", "transfer", "compare"}
    transfer = modules(tmp_path, songs, "transfer")
    assert len(transfer) <= 9 and not transfer & {"loop", "draws", "network", "augment", "backbones.time_axis"}
