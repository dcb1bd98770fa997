"""The engine of a Ray cluster: the same records as on this machine, whatever becomes of nodes, workers and files."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from buckets import bucket
from clusters import TESTS, TOKEN, clustered
from commands import Earmark
from earmark.app.analyse import AnalyseRequest, analyse
from earmark.engine import Analyse, Engine
from earmark.errors import EarmarkError, MissingExtra, ModelError
from earmark.events import Notice, Record
from earmark.inference.records import Failure
from earmark.models.device import Device
from engine_tasks import Act, Sees, Together
from made_songs import write_collection, write_song

slow = pytest.mark.slow


def told(outcomes: Any) -> list[Any]:
    """Values, and failures as (kind, message)."""
    return [(one.kind, one.message) if isinstance(one, Failure) else one.value for one in outcomes]


def ray_engine(address: str | None = None, workers: int | None = None, device: Device = "auto") -> Engine:
    from earmark.engine.cluster import RayEngine

    return RayEngine(address, workers, device=device)


@pytest.fixture(scope="module")
def kept_cluster() -> Iterator[Any]:
    with clustered({}) as cluster:
        yield cluster


@pytest.fixture
def cluster(kept_cluster: Any) -> Any:
    """Two nodes of two CPUs; those that earlier tests took away count no more."""
    kept_cluster.wait_for_nodes(timeout=120)
    return kept_cluster


def sleeping(asked: list[str], enough: Callable[[], bool]) -> Iterator[str]:
    """Items until there were enough (for 150 s at most), which ``asked`` collects."""
    end = time.monotonic() + 150
    while time.monotonic() < end and not enough():
        asked.append(f"sleep {0.2 + len(asked) / 10_000:.4f}")
        yield asked[-1]


def starts(log: Path) -> int:
    """How many workers have started the task."""
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Thirty songs, one that is none and one that ends its decoder."""
    folder = tmp_path / "songs"
    folder.mkdir()
    for number in range(30):
        write_song(folder / f"song {number:02}.wav", 90.0 + 40 * number, number)
    write_song(folder / "crash.wav", 90.0, 99)
    (folder / "none.mp3").write_bytes(b"no audio at all" * 100)
    return folder


@slow
@pytest.mark.skipif(os.name != "posix", reason="there is no niceness")
def test_a_ray_of_this_machine_alone_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers wait for other programs no more than those of the local engine do."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))  # where the task is
    with ray_engine() as engine:
        assert told(engine.map(Act(), ["nice"])) == [os.nice(0)]


@slow
@pytest.mark.usefixtures("sabotage")
def test_the_same_records_as_on_one_machine(songs: Path, tiny_model: Path, earmark: Earmark) -> None:
    """Byte for byte, on several nodes; a file that crashes its decoder on every worker is one record."""
    with clustered({}) as cluster:
        asked = ("tag", songs, "-m", tiny_model, "-f", "jsonl")
        here = earmark(*asked, "-j", 1)
        there = earmark(*asked, "--engine", "ray", "--address", cluster.address)
    assert here.code == there.code == 3
    assert sorted(here.out.splitlines()) == sorted(there.out.splitlines()) and len(here.records) == 32
    assert [one["error"]["kind"] for one in there.records if "error" in one] == ["crash", "not-audio"]


@slow
def test_from_a_bucket_into_a_bucket(
    songs: Path, tiny_model: Path, earmark: Earmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every node fetches its songs itself; the head puts the records into a Parquet data set."""
    parquet = pytest.importorskip("pyarrow.parquet")
    (songs / "crash.wav").unlink()
    here = earmark("tag", songs, "-m", tiny_model, "-f", "jsonl").out
    with bucket(monkeypatch) as store, clustered({}) as cluster:
        for song in songs.iterdir():
            store[f"music/{song.name}"] = song.read_bytes()
        asked = ("tag", "s3://music", "-m", tiny_model, "-o", "s3://results/p", "--engine", "ray")
        assert earmark(*asked, "--address", cluster.address).code == 3
        rows = parquet.read_table(io.BytesIO(store["results/p/part-000000000.parquet"]))
    assert rows["record"].to_pylist() == here.replace(str(songs), "s3://music").splitlines()


@slow
def test_evaluate_scan_and_embed_are_the_same_too(
    cluster: Any, tiny_model: Path, tmp_path: Path, earmark: Earmark
) -> None:
    """And train, whose songs are read by the cluster; the network learns where the command runs."""
    music = write_collection(tmp_path / "music", {"low": 90.0, "high": 3000.0}, songs=8)
    there = ("--engine", "ray", "--address", cluster.address)
    for name, more in (("here", ()), ("there", there)):
        library, vectors = ("--library", tmp_path / f"{name}.db"), tmp_path / f"{name}.npz"
        assert earmark("scan", music, "-m", tiny_model, *library, *more).code == 0
        assert earmark("embed", music, "-m", tiny_model, "-o", vectors, *more).code == 0
        asked = ("train", music, "--init", tiny_model, "-o", tmp_path / name, "--seed", 0, *more)
        assert earmark(*asked).code == 0
        said = earmark("evaluate", tmp_path / name, music, "--allow-training-tracks", "-f", "json", *more)
        assert said.code == 0
        (tmp_path / f"{name}.json").write_text(json.dumps(said.json | {"model": ""}))
        (tmp_path / f"{name}.csv").write_text(earmark("export", "-f", "csv", *library).out)
    for kind in ("json", "csv"):
        assert (tmp_path / f"here.{kind}").read_text() == (tmp_path / f"there.{kind}").read_text()
    with np.load(tmp_path / "here.npz") as here, np.load(tmp_path / "there.npz") as other:
        assert here["embedding"].tobytes() == other["embedding"].tobytes()


@slow
def test_a_node_that_is_lost_takes_nothing_along(
    cluster: Any, songs: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its songs are done again and stand once in the output."""
    (songs / "crash.wav").unlink()
    node = cluster.add_node(num_cpus=2, object_store_memory=80 * 2**20)
    asked = {"paths": (str(songs),), "model": str(tiny_model)}
    here = [event.value for event in analyse(AnalyseRequest(**asked)) if isinstance(event, Record)]
    there: list[Any] = []
    for event in analyse(AnalyseRequest(**asked, engine="ray", address=cluster.address)):
        if isinstance(event, Record):
            there.append(event.value)
            if len(there) == 5:
                cluster.remove_node(node, allow_graceful=False)
    assert there == here
    assert capfd.readouterr().out == "", "Ray tells of its nodes where records go"


@slow
def test_lost_with_items_at_work(cluster: Any, tmp_path: Path) -> None:
    """Every worker of the node is busy as it goes: what was begun there is begun again, and comes out once."""
    node = cluster.add_node(num_cpus=2, object_store_memory=80 * 2**20)
    log, asked, found, gone = tmp_path / "log", list[str](), list[Any](), threading.Event()
    with ray_engine(cluster.address) as engine:
        outcomes = engine.map(Act(log=log), sleeping(asked, gone.is_set))
        while starts(log) < 6:
            found.append(next(outcomes))
        cluster.remove_node(node, allow_graceful=False)
        gone.set()
        found += outcomes
    assert told(found) == [item.upper() for item in asked]


@slow
def test_a_node_that_joins_gets_work(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earmark.engine.cluster._COUNT_SECONDS", 0.5)
    log, asked = tmp_path / "log", list[str]()
    with ray_engine(cluster.address) as engine:
        outcomes = engine.map(Act(log=log), sleeping(asked, lambda: starts(log) > 4))
        found = [next(outcomes)]
        node = cluster.add_node(num_cpus=2, object_store_memory=80 * 2**20)
        found += outcomes
    assert told(found) == [item.upper() for item in asked]
    assert starts(log) > 4, "each worker starts the task once"
    cluster.remove_node(node)


@slow
def test_a_run_that_was_stopped_goes_on(cluster: Any, songs: Path, tiny_model: Path, tmp_path: Path) -> None:
    (songs / "crash.wav").unlink()
    output = tmp_path / "out.jsonl"
    asked = {"paths": (str(songs),), "model": str(tiny_model), "output": str(output)}
    there = AnalyseRequest(**asked, engine="ray", address=cluster.address)
    run = iter(analyse(there))
    while not isinstance(next(run), Record):
        pass
    run.close()
    events = list(analyse(there))
    assert any(isinstance(event, Notice) and "going on after" in event.message for event in events)
    found = output.read_bytes()
    output.unlink()
    analyse(AnalyseRequest(**asked)).wait()
    assert output.read_bytes() == found


@slow
def test_one_meaning_of_what_goes_wrong(cluster: Any) -> None:
    """As with workers on this machine: a fault, a crash and a hang cost their item; a refusal ends the map alone."""
    with ray_engine(cluster.address) as engine:
        assert told(engine.map(Act(), ["a", "audio", "denied", "abort", "leave", "b"])) == [
            "A",
            ("not-audio", "no stream found"),
            ("permission", "Permission denied"),
            ("crash", "the decoder crashed on this file (SIGABRT)"),
            ("crash", "the decoder crashed on this file (exit status 7)"),
            "B",
        ]
        assert told(engine.map(Together(), [1, 99, 2, 3, 4]))[1] == (
            "crash",
            "the decoder crashed on this file (exit status 3)",
        )
        # Five seconds: a busy machine keeps signs of life, five a second, waiting for some of them.
        (hang, long) = told(engine.map(Act(), ["hang", "long 7"], deadline=5.0))
        assert hang == ("timeout", "no progress for 5 s; the file was given up") and long == "LONG 7"
        with pytest.raises(ModelError, match="no such model"):
            list(engine.map(Act("model"), ["a"]))
        with pytest.raises(EarmarkError, match="cannot leave its worker"):
            list(engine.map(Act(), ["value"]))
        with pytest.raises(EarmarkError, match="before they have done anything"):
            list(engine.map(Act("exit"), ["a"] * 30))
        with closing(engine.map(Act(), ["a", "hang", "hang"])) as outcomes:
            next(outcomes)
        read: list[int] = []
        with closing(engine.map(Act(), (read.append(1) or "a" for _ in iter(int, 1)))) as outcomes:
            next(outcomes)
        assert len(read) < 100, "items are read as work goes on"
        assert told(engine.map(Act(), ["a", "b"])) == ["A", "B"], "the engine goes on"


@slow
def test_a_worker_that_the_system_ends_costs_its_item_only_the_third_time(cluster: Any, tmp_path: Path) -> None:
    """Where a node goes, its worker processes may end before their actors, which then say so."""
    items = ["a", f"once {tmp_path / 'ended'}", "b", "kill", "c"]
    with ray_engine(cluster.address) as engine:
        found = told(engine.map(Act(), items))
    killed = "3 workers of the cluster were lost at it: the system ended the worker (SIGKILL): memory may be short"
    assert found == ["A", items[1].upper(), "B", ("crash", killed), "C"]


@slow
def test_a_model_that_is_not_there(cluster: Any, tmp_path: Path) -> None:
    with ray_engine(cluster.address) as engine, pytest.raises(EarmarkError, match=f"gone.*on {socket.gethostname()}"):
        list(engine.map(Analyse((tmp_path / "gone",)), ["a.wav"]))


def test_another_model_in_the_same_place(tiny_model: Path, tmp_path: Path) -> None:
    """A machine's own copy of the model counts where it is the same model, and there alone."""
    from earmark.engine import InlineEngine
    from earmark.models.card import read_card

    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    os.utime(copy / "card.json", (1, 1))
    asked = replace(Analyse.of([tiny_model], None, read_card(tiny_model).digest), models=(copy,))
    assert told(InlineEngine().map(asked, ["gone.wav"])) == [("missing", "No such file or directory")]
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps(card | {"clip": card["clip"] | {"count": 2}}))
    with pytest.raises(ModelError, match="is another model than the one asked for"):
        list(InlineEngine().map(asked, ["gone.wav"]))


@slow
def test_a_full_object_store() -> None:
    """Neither the store nor the disk that it spills to has room: that ends the run, and says what to do."""
    full = {"_system_config": {"local_fs_capacity_threshold": 0.001}}
    with clustered(**full) as cluster, ray_engine(cluster.address) as engine:
        assert told(engine.map(Act(), ["a"])) == ["A"]
        with pytest.raises(EarmarkError, match=r"object store is full.*--object-store-memory"):
            list(engine.map(Act(), ["large 100"]))


@slow
def test_no_cpu_to_be_had(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other work has all CPUs: that is told, after a while."""
    from earmark import offline

    monkeypatch.setattr("earmark.engine.cluster._START_SECONDS", 2.0)
    ray = offline.ray()
    engine = ray_engine(cluster.address)
    others = [ray.remote(num_cpus=2)(Busy).remote() for _ in range(2)]
    ray.get([other.ping.remote() for other in others])
    while ray.available_resources().get("CPU"):  # actors run before the head counts them
        time.sleep(0.1)
    with engine, pytest.raises(EarmarkError, match="No CPU of the cluster became free in 2 s: 0 of 4 are free"):
        list(engine.map(Act(), ["a"]))


class Busy:
    def ping(self) -> None:
        pass


@slow
def test_what_only_some_nodes_see(tmp_path: Path) -> None:
    """A node that does not see the files gets no more work; where none does, that is the error."""
    files = [str(tmp_path / f"{number}") for number in range(12)]
    for file in files:
        Path(file).touch()
    blind = {"env_vars": {"BLIND": "1"}}
    with clustered(blind, **blind) as cluster:
        with ray_engine(cluster.address) as engine, pytest.raises(EarmarkError, match=r"No machine.*sees the files"):
            list(engine.map(Sees(), files))
        cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
        with ray_engine(cluster.address) as engine:
            assert told(engine.map(Sees(), files)) == files
            assert all("does not see files that are here" in notice for notice in engine.notices)
            missing = str(tmp_path / "gone")
            assert told(engine.map(Sees(), [missing])) == [("missing", "No such file or directory")]


@slow
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("__version__ = '0.0.1'", "has Earmark 0.0.1, this machine .*: install the same version on every machine"),
        ("raise ImportError('No module named av')", r"cannot run Earmark \(No module named av\): install it into"),
    ],
)
def test_a_node_with_another_earmark(tmp_path: Path, code: str, message: str) -> None:
    (tmp_path / "earmark").mkdir()
    (tmp_path / "earmark" / "__init__.py").write_text(code)
    with (
        clustered({"env_vars": {"PYTHONPATH": str(tmp_path)}}, num_cpus=0) as cluster,
        ray_engine(cluster.address) as engine,
        pytest.raises(EarmarkError, match=message),
    ):
        list(engine.map(Act(), ["a", "b"]))


@slow
def test_gpus_of_a_cluster(cluster: Any) -> None:
    """Asked for by name, they are asked of Ray, which shows a worker no other; ``auto`` is every node's processor."""
    with pytest.raises(EarmarkError, match=r"--device cuda: the Ray cluster has no GPU; .*--num-gpus"):
        ray_engine(cluster.address, device="cuda")
    with ray_engine(cluster.address) as engine:
        assert engine.workers > 2 and not engine.gpu


@pytest.mark.slow
def test_a_node_with_a_gpu_does_the_work_that_needs_one() -> None:
    with clustered({"num_gpus": 1}) as cluster, ray_engine(cluster.address, device="cuda") as engine:
        assert engine.workers == 2 and engine.gpu
        assert {one.value for one in engine.map(Act(), ["environ CUDA_VISIBLE_DEVICES"] * 4)} == {"0"}


def test_without_ray(monkeypatch: pytest.MonkeyPatch, earmark: Earmark, tone: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"earmark\[ray\]"):
        ray_engine()
    said = earmark("tag", tone, "--engine", "ray")
    assert said.code == 1 and "pip install 'earmark[ray]'" in said.err and "Traceback" not in said.err
    said = earmark("tag", tone, "--address", "127.0.0.1:1")
    assert said.code == 1 and "--address is for --engine ray" in said.err


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A port at which something else than Ray answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_an_address_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody, somebody who is mute, somebody else: each is told within the time limit."""
    from earmark import offline

    offline.ray()  # takes seconds to import
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with pytest.raises(EarmarkError, match=r"no Ray cluster answers.*ray start"):
        ray_engine(f"127.0.0.1:{free}")
    with (
        listening(lambda wire: wire.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as address,
        pytest.raises(EarmarkError, match="what answers there is not Ray"),
    ):
        ray_engine(address)
    with pytest.raises(EarmarkError, match="no Ray cluster answers"):
        ray_engine("nonsense:port")
    monkeypatch.setattr("earmark.engine.cluster._CONNECT_SECONDS", 0.5)
    with listening(lambda wire: time.sleep(2)) as address, pytest.raises(EarmarkError, match="nobody answers within"):
        ray_engine(address)
    assert time.monotonic() - begun < 10
