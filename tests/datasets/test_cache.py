"""The cache: a second run decodes nothing, a killed run leaves nothing half-written, a full disk is one clear error."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.audio.track import load
from earmark.datasets.cache import (
    EmbedClips,
    FileIndex,
    HashAndEmbed,
    bytes_per_hour,
    check_space,
    content_hash,
    content_hashes,
    feature_store,
    keep_arrays,
    open_store,
)
from earmark.engine import Each, InlineEngine
from earmark.errors import StorageError
from earmark.events import Notice, Run
from earmark.features.frontend import Frontend
from earmark.features.spectrogram import spectrogram
from earmark.inference.records import Failure
from earmark.models.card import read_card
from earmark.recipe import ClipPlan
from made_corpora import write_tone

KEY = "ab" * 16


def test_a_machine_without_the_cache_gives_its_arrays_back(tmp_path, tiny_model):
    """As in a cluster, where a folder of the same name may be another one: who asked stores what comes back."""
    song, engine = write_tone(tmp_path / "song.wav", 440.0), InlineEngine()
    here = open_store("embeddings", {"model": "x"}, "float32", tmp_path / "cache")
    there = replace(here, stamp=1)
    assert there.hand_in(KEY, np.ones((2, 2))) is not None and KEY not in here
    assert Run(keep_arrays(Each(_ones), there, {KEY: song}, engine)).wait() == {}
    np.testing.assert_array_equal(here[KEY], np.ones((2, 2), np.float32))
    task = EmbedClips(tiny_model, read_card(tiny_model))
    (digest,) = Run(content_hashes([song], engine, HashAndEmbed(task, there))).wait()
    (again,) = engine.map(task, [song])
    np.testing.assert_array_equal(here[digest], again.value)


def _ones(path):
    return np.ones((2, 2))


def test_arrays_come_back_memory_mapped(tmp_path):
    store = open_store("embeddings", {"model": "x"}, "float32", tmp_path)
    assert store.get(KEY) is None and KEY not in store
    made = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    store.put(KEY, made)
    found = store.get(KEY)
    assert isinstance(found, np.memmap) and not found.flags.writeable and KEY in store
    np.testing.assert_array_equal(found, made)
    with InlineEngine() as engine:
        assert not Run(keep_arrays(Each(pytest.fail), store, {KEY: tmp_path}, engine)).wait(), "computed again"


def test_what_makes_the_arrays_keeps_them_apart(tmp_path):
    """Another front end, clip plan or format never answers for this one; a plan's pooling does not matter."""
    frontend = Frontend()
    folders = [
        feature_store(frontend, None, tmp_path).folder,
        feature_store(replace(frontend, bands=64), None, tmp_path).folder,
        feature_store(frontend, ClipPlan(), tmp_path).folder,
        feature_store(frontend, ClipPlan(seconds=3.0), tmp_path).folder,
    ]
    assert len(set(folders)) == 4
    assert feature_store(frontend, ClipPlan(pooling="mean-log"), tmp_path).folder == folders[2]
    assert '"bands": 64' in (folders[1] / "made-by.json").read_text()


def test_spectrograms_in_decibels_are_halved_on_disk(tmp_path):
    """float16 costs less than a twentieth of a decibel; logarithms and images keep what they need."""
    frontend = Frontend()
    store = feature_store(frontend, None, tmp_path)
    file = write_tone(tmp_path / "a.wav", seconds=2.0)
    exact = _spectrogram(file)
    stored = store.put(KEY, exact)
    assert stored.dtype == np.float16 and np.abs(stored.astype(np.float32) - exact).max() < 0.05
    assert feature_store(replace(frontend, log="ln"), None, tmp_path).dtype == np.float32
    assert feature_store(replace(frontend, kind="image"), None, tmp_path).dtype == np.uint8
    assert bytes_per_hour(frontend) == 50 * 3600 * 96 * 2
    per_hour = (store.folder / "ab" / f"{KEY}.npy").stat().st_size * 3600 / 2.0
    assert 0.98 < per_hour / bytes_per_hour(frontend) < 1.05


def _spectrogram(file):
    return spectrogram(load(file, Frontend().sample_rate), Frontend())


def test_a_second_run_decodes_nothing(tmp_path, monkeypatch):
    """Hashes come from the index and features from the store; a changed file is read again."""
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))
    files = [write_tone(tmp_path / f"music/{i}.wav", 200.0 + i) for i in range(3)]
    store, engine = feature_store(Frontend()), InlineEngine()

    def run():
        hashes = Run(content_hashes(files, engine)).wait()
        assert Run(keep_arrays(Each(_spectrogram), store, dict(zip(hashes, files, strict=True)), engine)).wait() == {}
        return hashes, [np.asarray(store.get(digest)) for digest in hashes]

    hashes, first = run()
    assert len(set(hashes)) == 3 and hashes == [content_hash(file) for file in files]
    with monkeypatch.context() as patch:
        patch.setattr("earmark.datasets.cache.identity.content_hash", lambda *_: pytest.fail("decoded again"))
        patch.setattr(f"{__name__}.load", lambda *_: pytest.fail("decoded again"))
        for a, b in zip(first, run()[1], strict=True):
            np.testing.assert_array_equal(a, b)
    write_tone(files[0], 999.0, seconds=0.7)
    assert run()[0][0] not in hashes


def test_a_file_that_cannot_be_read_is_a_value(tmp_path):
    good, bad = write_tone(tmp_path / "1.wav"), tmp_path / "2.wav"
    bad.write_bytes(b"RIFF, but nothing more")
    found, failure = Run(content_hashes([good, bad], InlineEngine())).wait()
    assert isinstance(found, str) and isinstance(failure, Failure) and failure.path == str(bad)
    store = open_store("features", {}, "float32", tmp_path)
    files = {KEY: good, "cd" * 16: bad}
    failures = Run(keep_arrays(Each(_spectrogram), store, files, InlineEngine())).wait()
    assert list(failures) == ["cd" * 16] and failures["cd" * 16].path == str(bad) and KEY in store


def test_recordings_that_share_a_key_are_told_apart(tmp_path, monkeypatch):
    """Two stems are silent wherever the key looks; a copy of one in another container stays a copy."""
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("earmark.audio.identity._stretches", lambda *_: [(0.0, 1.0)])
    files = []
    for name, pitch in (("a.wav", 300.0), ("b.wav", 500.0), ("c.flac", 300.0), ("d.wav", 900.0)):
        wave = np.zeros(3 * 8000)
        wave[16000:] = np.round(8000 * np.sin(np.arange(8000) * pitch / 8000 * 2 * np.pi)) / 32768
        if name == "d.wav":
            wave[:8000] = 0.5
        soundfile.write(tmp_path / name, wave, 8000, "PCM_16")
        files.append(tmp_path / name)
    assert len({content_hash(file) for file in files[:3]}) == 1

    def hashes(*rows):
        return Run(content_hashes([files[row] for row in rows], InlineEngine())).wait()

    a, b, c, d = hashes(0, 1, 2, 3)
    assert a == c != b and d == content_hash(files[3])
    assert hashes(1) == [b] and hashes(0, 2) == [a, a], "and the index remembers it"


def test_an_index_that_breaks_costs_time_only(tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path))
    file = write_tone(tmp_path / "a.wav")
    index = FileIndex.open(tmp_path)
    stamp = (b"a", 1, 2)
    index.put(stamp, "known")
    assert index.get(stamp) == "known"
    index.path.write_bytes(b"no database" * 100)
    index.put(stamp, "other")
    assert index.get(stamp) is None
    with pytest.raises(StorageError, match="remove the file"):
        FileIndex.open(tmp_path)
    run = Run(content_hashes([file], InlineEngine()))
    told = [event.message for event in run if isinstance(event, Notice)]
    assert run.result == [content_hash(file)] and "remove the file" in told[0]


def test_damaged_arrays_are_made_again(tmp_path):
    """Cut short by a power failure, or no array at all: never an answer, never an exception."""
    store = open_store("features", {}, "float32", tmp_path)
    for raw in (b"", b"rubbish", None):
        store.put(KEY, np.ones((100, 10)))
        file = store.folder / "ab" / f"{KEY}.npy"
        file.write_bytes(file.read_bytes()[:-5] if raw is None else raw)
        assert store.get(KEY) is None and not file.exists()


def test_no_space_is_one_error_before_the_work(tmp_path, monkeypatch):
    check_space(1, tmp_path / "not/yet/there")
    with pytest.raises(StorageError, match="MB are free; free some, or set EARMARK_CACHE"):
        check_space(10**18, tmp_path)
    store = open_store("features", {}, "float32", tmp_path)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("earmark.storage.os.fsync", full)
    with pytest.raises(StorageError, match="no space left for the cache"):
        store.put(KEY, np.ones(3))
    assert not list(tmp_path.rglob("*.tmp")) and store.get(KEY) is None
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="set EARMARK_CACHE to another folder"):
        open_store("features", {}, "float32", tmp_path / "file")


WRITER = """
import sys
from pathlib import Path
import numpy as np
from earmark.datasets.cache import open_store
store = open_store("features", {}, "float32", Path(sys.argv[1]))
print("ready", flush=True)
i = 0
while True:
    store.put(f"{i % 7:032x}", np.full((400, 1000), i % 7))
    i += 1
"""


def test_killed_writers_leave_whole_arrays_or_none(tmp_path):
    """Two processes write the same arrays and are killed in the middle of it, again and again."""
    store = open_store("features", {}, "float32", tmp_path)
    kill = getattr(signal, "SIGKILL", signal.SIGTERM)
    for delay in (0.02, 0.05, 0.09):
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline()
        time.sleep(delay)
        for writer in writers:
            os.kill(writer.pid, kill)
            writer.communicate()
        for i in range(7):
            found = store.get(f"{i:032x}")
            assert found is None or (found.shape == (400, 1000) and (found == i).all())
    old = time.time() - 2 * 24 * 3600
    for left in tmp_path.rglob("*.tmp"):
        os.utime(left, (old, old))
    open_store("features", {}, "float32", tmp_path)
    assert not list(tmp_path.rglob("*.tmp")), "what killed writers left is swept away once it is a day old"


def _remember(folder, names):
    index = FileIndex.open(Path(folder))
    for name in names:
        index.put((name.encode(), 1, 2), name)


def test_two_processes_share_the_index(tmp_path):
    names = [f"{i}.wav" for i in range(40)]
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_remember, args=(str(tmp_path), names)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    index = FileIndex.open(tmp_path)
    assert all(index.get((name.encode(), 1, 2)) == name for name in names)
