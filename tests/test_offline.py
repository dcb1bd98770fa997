"""Nothing is sent and nothing is kept outside our own folders: a run is traced, with every dependency imported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import program

EVERYTHING = [
    "ai_edge_litert.interpreter",
    "av",
    "earmark",
    "faiss",
    "fastapi",
    "jinja2",
    "mutagen",
    "numpy",
    "onnx",
    "openTSNE",
    "pescador",
    "platformdirs",
    "safetensors",
    "scipy",
    "sklearn.linear_model",
    "soundfile",
    "soxr",
    "torch",
    "uvicorn",
]

RUN = """
import importlib, importlib.util, sys, time
began = time.monotonic()
for name in sys.argv[2:]:
    if importlib.util.find_spec(name.split(".")[0]):
        importlib.import_module(name)
import earmark
tagger = earmark.load_model()
tagger.predict(sys.argv[1])
for result in earmark.predict_all(tagger, [sys.argv[1]] * 3, workers=2):
    assert type(result).__name__ == "Prediction", result
while time.monotonic() - began < float({seconds}):
    tagger.predict(sys.argv[1])
    time.sleep(0.5)
print("heard")
"""


@pytest.mark.slow
def test_a_run_of_half_a_minute_asks_nobody_and_keeps_nothing(tone: Path, tmp_path: Path) -> None:
    """No look-up, no connection, no file outside the temporary folder: of us, our workers and all that we import."""
    trace = _traced([sys.executable, "-c", RUN.replace("{seconds}", "32"), str(tone), *EVERYTHING], tmp_path)
    assert _network(trace) == []
    assert _written(trace, tmp_path) == []
    assert list((tmp_path / "home").rglob("*")) == []


def test_the_trace_would_see_a_look_up(tmp_path: Path) -> None:
    """The test above can fail."""
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    assert _network(_traced([sys.executable, "-c", code], tmp_path))


RAY = """
import sys, time
from earmark.engine.cluster import RayEngine
from earmark.engine import Each
with RayEngine(workers=1) as engine:
    assert [one.value for one in engine.map(Each(len), ["ab"])] == [2]
    time.sleep(15)
"""


@pytest.mark.slow
def test_a_ray_of_this_machine_stays_on_it(tmp_path: Path) -> None:
    """No process of it asks or listens elsewhere: not even to say that reports are off. Nothing is kept at home."""
    pytest.importorskip("ray")
    trace = _traced([sys.executable, "-c", RAY], tmp_path, "trace=connect,bind")
    asked = [line for line in trace.splitlines() if re.search(r"\b(connect|bind)\(.*AF_INET", line)]
    assert asked and [line for line in asked if not re.search(r'"((::ffff:)?127\.0\.0\.1|::1)"', line)] == []
    assert list((tmp_path / "home").rglob("*")) == []


def test_importing_the_network_runtime_leaves_no_device_id(tmp_path: Path) -> None:
    """Its telemetry is off before it is imported, also where somebody else asks for it to be on."""
    code = "from earmark.offline import onnxruntime; onnxruntime()"
    env = {**os.environ, "HOME": str(tmp_path), "ORT_DISABLE_TELEMETRY": "0"}
    env.pop("XDG_CACHE_HOME", None)
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    assert list(tmp_path.iterdir()) == []


_CALLS = "trace=%network,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2"


def _traced(command: list[str], folder: Path, calls: str = _CALLS) -> str:
    home = folder / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    env = {**kept, "HOME": str(home), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [program("strace"), "-f", "--seccomp-bpf", "-qq", "-o", str(folder / "trace"), "-e", calls, *command],
        env=env,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return (folder / "trace").read_text("utf-8", "replace")


def _network(trace: str) -> list[str]:
    """Calls that reach beyond this machine's own pipes, name look-ups through a local daemon among them."""
    asked = re.compile(r"\b(socket\(AF_INET|connect\(.*(AF_INET|nscd|resolve)|sendto\(.*AF_INET)")
    return [line for line in trace.splitlines() if asked.search(line)]


def _written(trace: str, ours: Path) -> list[str]:
    """Files made or opened for writing outside a folder, devices aside."""
    found = []
    for line in trace.splitlines():
        made = re.search(r'\b(?:open|openat|creat|mkdir|mkdirat|rename\w*)\((?:AT_FDCWD, )?"([^"]*)"(.*)', line)
        if made is None or not re.search(r"O_(WRONLY|RDWR|CREAT)|^\d+ +(creat|mkdir|rename)", line):
            continue
        path = made.group(1)
        if "= -1" in made.group(2) or path.startswith(("/dev/", "/proc/", str(ours))):
            continue
        found.append(line)
    return found
