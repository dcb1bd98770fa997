"""A thousand damaged files of many formats, through the workers: a record each, no crash, no hang, twice the same.

``EARMARK_FUZZ`` sets how many (1,000), ``EARMARK_FUZZ_SEED`` which ones (0).
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from damage import damaged, sounds_of_all_formats
from earmark.engine.local import LocalEngine
from earmark.engine.predict import Analyse, analyse
from earmark.errors import FAILURE_KINDS

COUNT = int(os.environ.get("EARMARK_FUZZ", "1000"))
SEED = int(os.environ.get("EARMARK_FUZZ_SEED", "0"))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    return sounds_of_all_formats(tmp_path_factory.mktemp("sound"))


@pytest.mark.slow
def test_damaged_files(tmp_path: Path, tiny_model: Path, sound: list[tuple[str, bytes]]) -> None:
    chance = random.Random(SEED)
    kinds: Counter[str] = Counter()
    with LocalEngine(2) as engine:
        for begin in range(0, COUNT, 100):
            paths = []
            for number in range(begin, min(COUNT, begin + 100)):
                name, data = sound[number % len(sound)]
                way, bytes_ = damaged(data, chance.choice(sound)[1], chance)
                paths.append(tmp_path / f"{number:04d}-{way}.{name}")
                paths[-1].write_bytes(bytes_)
            records = [records_of(engine, tiny_model, paths) for _ in range(2)]
            assert records[0] == records[1], "the same twice"
            for path, record in zip(paths, records[0], strict=True):
                assert record["path"] == str(path)
                kind = record.get("error", {}).get("kind", "tagged")
                assert kind in ("tagged", *FAILURE_KINDS)
                assert kind not in ("crash", "timeout"), record
                kinds[kind] += 1
                path.unlink()
    assert sum(kinds.values()) == COUNT
    assert kinds["tagged"] > 0.7 * COUNT, kinds


def records_of(engine: LocalEngine, model: Path, paths: list[Path]) -> list[dict]:
    begun = time.monotonic()
    found = [result.to_dict() for result in analyse(engine, Analyse.of([model]), map(str, paths))]
    assert time.monotonic() - begun < 240
    return found
