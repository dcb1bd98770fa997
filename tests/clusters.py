"""Ray clusters of several nodes on this machine, for tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["TESTS", "TOKEN", "clustered"]

TESTS = Path(__file__).parent
TOKEN = "0123456789abcdef" * 4
"""Of every Ray that is started here: a process keeps the first that it uses."""


@contextmanager
def clustered(*nodes: dict[str, Any], **head: Any) -> Iterator[Any]:
    """A cluster of several nodes on this machine: the head, and others."""
    with pytest.MonkeyPatch.context() as patch:
        path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        patch.setenv("PYTHONPATH", path)
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        patch.setenv("RAY_AUTH_TOKEN", TOKEN)
        patch.setenv("RAY_worker_niceness", "0")  # of 15, which lets workers wait on a busy machine
        folder = Path(tempfile.mkdtemp(prefix="ear-"))  # short: sockets' names are bounded
        (folder / "ray").mkdir()
        patch.setenv("RAY_TMPDIR", str(folder))
        from earmark import offline

        offline.ray(alone=True)
        from ray.cluster_utils import Cluster  # noqa: TID251 - reports nothing by now

        cluster = Cluster()
        try:
            usual = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}
            cluster.add_node(**usual | {"temp_dir": str(folder / "ray")} | head)
            for node in nodes:
                cluster.add_node(**usual | node)
            yield cluster
        finally:
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
