"""A stand-in for an ONNX Runtime with CUDA, for machines without a GPU: it computes on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnxruntime as real  # noqa: TID251 - by now its reports are off

from earmark.models.device import CPU, CUDA


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
        return [CUDA[0], CPU]

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
        plain = real.SessionOptions()
        plain.intra_op_num_threads = plain.inter_op_num_threads = 1
        self._session = real.InferenceSession(model, plain, providers=[CPU])
        self._runtime, self._on_gpu = runtime, on_gpu

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return [CUDA[0], CPU] if self._on_gpu else [CPU]

    def run(self, names: list[str], inputs: dict[str, Any]) -> Any:
        if self._on_gpu:
            if self._runtime.fault == "memory":
                raise RuntimeError("CUDA failure 2: out of memory")
            self._runtime.runs.append(inputs["spectrogram"])
        return self._session.run(names, inputs)
