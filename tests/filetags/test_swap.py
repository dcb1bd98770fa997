"""The way back from a new file to the old one: exact for any two files, and short for what tags do to files."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.filetags.swap import rebuild, way_back

SOUND = random.Random(1).randbytes(300_000)
COVER = random.Random(2).randbytes(50_000)


def there_and_back(folder: Path, old: bytes, new: bytes, block: int = 1 << 16) -> int:
    (folder / "old").write_bytes(old)
    (folder / "new").write_bytes(new)
    steps = way_back(folder / "old", folder / "new", block)
    assert b"".join(rebuild(io.BytesIO(new), steps)) == old
    return len(json.dumps(steps))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=60), st.sampled_from([16, 64, 4096]))
def test_any_two_files(
    tmp_path_factory: pytest.TempPathFactory, old: bytes, new: bytes, mid: bytes, block: int
) -> None:
    folder = tmp_path_factory.mktemp("pair")
    there_and_back(folder, old, new, block)
    there_and_back(folder, old, old[:100] + mid + old[100:], block)
    there_and_back(folder, old + SOUND[:999], mid + SOUND[:999] + new, block)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SOUND, b"ID3tag" * 100 + SOUND),  # a tag before the sound
        (b"RIFF\0\0\0\0" + SOUND, b"RIFF\1\2\3\4" + SOUND + b"id3 " * 100),  # a length in front, a chunk at the end
        (SOUND + b"APETAGEX" * 9, SOUND + b"APETAGEX" * 20),
        (b"a" * 20 + COVER + bytes(4000) + SOUND, b"a" * 90 + COVER + bytes(3930) + SOUND),  # a cover moves in its tag
        (b"A" * 80 + COVER + bytes(900) + SOUND, b"A" * 20 + COVER + bytes(4900) + SOUND),
        (SOUND, SOUND),
        (b"", SOUND),
    ],
)
def test_what_tags_do_costs_little(tmp_path: Path, old: bytes, new: bytes) -> None:
    assert there_and_back(tmp_path, old, new) < 6000
    assert there_and_back(tmp_path, old, new, 1 << 20) < 6000


def test_checksums_in_every_page_cost_a_few_bytes_each(tmp_path: Path) -> None:
    pages = [b"OggS" + bytes([i, 0, 0, 0]) + SOUND[i * 4000 : i * 4000 + 4000] for i in range(50)]
    moved = [page[:4] + bytes([i + 1, 9, 9, 9]) + page[8:] for i, page in enumerate(pages)]
    assert there_and_back(tmp_path, b"".join(pages), b"new page" * 300 + b"".join(moved)) < 50 * 80


def test_nothing_in_common_is_kept_whole(tmp_path: Path) -> None:
    assert there_and_back(tmp_path, COVER, SOUND) < len(COVER) * 1.4
