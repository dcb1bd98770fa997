"""The server begins, answers and ends as the documentation says."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest
from fastapi.testclient import TestClient

from commands import SOURCE, environment, in_process
from serving import Collection, children, served


def test_it_prints_its_address_once_it_answers_and_ends_in_order(collection: Collection) -> None:
    """One line; a signal ends it with 0, and no worker process is left behind."""
    for told in (signal.SIGINT, signal.SIGTERM):
        with served("--library", collection.file, "-m", collection.model) as (process, url):
            answer = httpx.get(f"{url}/v1")
            assert answer.status_code == 200
            assert answer.json()["library"]["tracks"] == 6
            workers = children(process.pid)
            process.send_signal(told)
            assert process.wait(20) == 0
            assert not [worker for worker in workers if _runs(worker)]


def test_a_request_that_goes_on_does_not_keep_the_process_alive() -> None:
    code = (
        "import threading, time; from earmark.cli.commands import serve;"
        "threading.Thread(target=time.sleep, args=(60,)).start(); serve._leave_threads(0.2)"
    )
    begun = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], timeout=50).returncode == 0
    assert time.monotonic() - begun < 40


def _runs(process: int) -> bool:
    return subprocess.run(["kill", "-0", str(process)], capture_output=True).returncode == 0


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = in_process("serve", "--port", port)
    assert said.code == 1
    assert said.err.count("\n") == 1
    assert f"port {port}" in said.err and "--port" in said.err


def test_a_model_that_is_not_there_is_said_at_once() -> None:
    said = in_process("serve", "--port", 0, "-m", "defualt")
    assert said.code == 1 and "did you mean 'default'" in said.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_another_host_demands_a_token(host: str) -> None:
    said = in_process("serve", "--host", host, "--port", 0)
    assert said.code == 2
    assert "--token" in said.err


def test_without_the_extra_it_says_how_to_install_it() -> None:
    code = "import sys; sys.modules['fastapi'] = None; from earmark.cli import main; sys.exit(main(['serve']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.returncode == 1
    assert "pip install 'earmark[server]'" in done.stderr
    assert SOURCE.is_dir()


@pytest.mark.parametrize(("own", "threads"), [(None, 1), ("2", 2)])
def test_it_computes_with_one_thread_unless_the_user_says_otherwise(own: str | None, threads: int) -> None:
    """Of the linear algebra in the server; what it starts, as a training, finds the environment as it was."""
    code = """if True:
        import os
        from earmark.cli.commands import serve
        before = os.environ.get("OPENBLAS_NUM_THREADS"), os.environ.get("OMP_NUM_THREADS")
        serve._compute_with_one_thread()
        import numpy, threadpoolctl
        assert before == (os.environ.get("OPENBLAS_NUM_THREADS"), os.environ.get("OMP_NUM_THREADS"))
        print(max(one["num_threads"] for one in threadpoolctl.threadpool_info()))
    """
    variables = {name: value for name, value in environment().items() if not name.endswith("_NUM_THREADS")}
    if own:
        variables["OPENBLAS_NUM_THREADS"] = own
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables)
    assert done.stdout.strip() == str(threads), done.stderr


def test_it_starts_without_a_library(empty: TestClient) -> None:
    answer = empty.get("/v1").json()
    assert answer["library"] is None
    assert answer["earmark"]
