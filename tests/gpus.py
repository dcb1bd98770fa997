"""A stand-in for an ONNX Runtime with CUDA, for machines without a GPU: it computes on the processor.

:func:`install` makes a package of it that other processes find before the installed one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earmark.models.device import CPU, CUDA

TESTS = Path(__file__).parent

_PACKAGE = """
import os, sys
from importlib.machinery import PathFinder
from pathlib import Path

_folder = str(Path(__file__).parent.parent)
_real = PathFinder.find_spec("onnxruntime", [place for place in sys.path if place != _folder])
__path__ += _real.submodule_search_locations
exec(compile(Path(_real.origin).read_text(), _real.origin, "exec"))

import gpus
_runtime = gpus.FakeRuntime(os.environ["GPU_FAULT"])
get_available_providers, preload_dlls = _runtime.get_available_providers, _runtime.preload_dlls
InferenceSession = _runtime.InferenceSession
"""


def install(folder: Path, fault: str = "") -> dict[str, str]:
    """The environment of processes that shall have an ONNX Runtime with CUDA; ``runs`` in the folder tells its runs."""
    (folder / "onnxruntime" / "capi").mkdir(parents=True)
    (folder / "onnxruntime" / "__init__.py").write_text(_PACKAGE)
    (folder / "onnxruntime" / "capi" / "libonnxruntime_providers_cuda.so").touch()
    path = [str(folder), str(TESTS.parent / "src"), str(TESTS), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, path)), "GPU_FAULT": fault, "GPU_RUNS": str(folder / "runs")}


def runs(environment: Mapping[str, str]) -> list[int]:
    """Of each run on the GPU so far: clips that are not there to fill it up."""
    file = Path(environment["GPU_RUNS"])
    return [int(line) for line in file.read_text().split()] if file.exists() else []


class FakeRuntime:
    """What Earmark uses of ONNX Runtime.

    Attributes:
        fault: How CUDA fails: ``missing`` libraries, a GPU that ``refuses``, no ``memory`` at the first run; or "".
        sessions: The providers of each session.
        options: The options of each session.
        runs: The clips of each run on the GPU.
        preloaded: Whether libraries were looked for.
    """

    def __init__(self, fault: str = "") -> None:
        self.fault, self.preloaded = fault, False
        self.sessions: list[list[Any]] = []
        self.options: list[Any] = []
        self.runs: list[Any] = []

    def get_available_providers(self) -> list[str]:
        """Without CUDA, as of builds in which it is a plug-in."""
        return ["TensorrtExecutionProvider", CPU]

    def preload_dlls(self) -> None:
        self.preloaded = True
        if self.fault == "missing":
            print("Failed to load libcudnn.so.9: no such file")

    class SessionOptions:
        """Any option."""

    def InferenceSession(
        self, model: bytes, options: Any, providers: Sequence[Any], enable_fallback: int = 1
    ) -> _Session:
        self.sessions.append(list(providers))
        self.options.append(options)
        on_gpu = providers[0] == CUDA and self.fault != "missing"
        if on_gpu and self.fault == "refuses":
            raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected")
        return _Session(self, model, on_gpu)


class _Session:
    def __init__(self, runtime: FakeRuntime, model: bytes, on_gpu: bool) -> None:
        from onnxruntime.capi.onnxruntime_inference_collection import (  # noqa: TID251 - its reports are off by now
            InferenceSession,
        )
        from onnxruntime.capi.onnxruntime_pybind11_state import SessionOptions  # noqa: TID251

        plain = SessionOptions()
        plain.intra_op_num_threads = plain.inter_op_num_threads = 1
        self._session = InferenceSession(model, plain, providers=[CPU])
        self._runtime, self._on_gpu = runtime, on_gpu

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return [CUDA[0], CPU] if self._on_gpu else [CPU]

    def run(self, names: list[str], inputs: dict[str, Any]) -> Any:
        if self._on_gpu:
            if self._runtime.fault == "memory":
                raise RuntimeError("CUDA failure 2: out of memory")
            clips = inputs["spectrogram"]
            self._runtime.runs.append(clips)
            if "GPU_RUNS" in os.environ:
                with Path(os.environ["GPU_RUNS"]).open("a") as file:
                    file.write(f"{int(clips.any(axis=(1, 2)).sum())}\n")
        return self._session.run(names, inputs)
