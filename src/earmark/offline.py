"""Nothing leaves this machine: dependencies that report usage are told not to, before they are imported.

ONNX Runtime writes a device id into the user's cache folder and asks for its vendor's event server as soon as it is
imported; Ray reports usage unless it is told not to. Whoever needs one of them takes it from here
(``make check`` refuses another import).
"""

from __future__ import annotations

import importlib
import os
import secrets
from typing import Any

__all__ = ["SWITCHES", "onnxruntime", "ray", "switch_off"]

SWITCHES = (
    ("ORT_DISABLE_TELEMETRY", "1"),
    ("RAY_USAGE_STATS_ENABLED", "0"),
    ("RAY_USAGE_STATS_REPORT_URL", "http://127.0.0.1:9"),  # Ray reports even that it must not report
    ("HF_HUB_DISABLE_TELEMETRY", "1"),
    ("OTEL_SDK_DISABLED", "true"),
    ("FASTAPI_OTEL_AUTO_CONFIGURE", "false"),
    ("DO_NOT_TRACK", "1"),
)
"""Environment variables that switch usage reports off, for this process and those that it starts."""


def switch_off() -> None:
    """Set all of :data:`SWITCHES`; a value that stands there already gives way."""
    os.environ.update(SWITCHES)


def onnxruntime() -> Any:
    """The module ``onnxruntime``, which reports nothing, also where somebody else imported it before."""
    switch_off()
    import onnxruntime as module  # noqa: TID251

    getattr(module, "disable_telemetry_events", lambda: None)()  # older builds have none
    return module


def ray(*, alone: bool = False) -> Any:
    """The module ``ray``, which reports nothing.

    Args:
        alone: Whether this process starts a Ray of its own: then that listens on loopback alone (where Ray was not
            imported before), has no dashboard, and the token that its parts know each other by is kept nowhere.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    switch_off()
    if alone:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # what keeps Ray on loopback, on any system
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray as module  # noqa: TID251

    if alone:
        # The dashboard's process is started even where none is wanted, and asks clouds' addresses where it runs.
        importlib.import_module("ray._private.node").Node.start_api_server = _no_dashboard
    return module


def _no_dashboard(node: Any, **_: object) -> None:
    node._webui_url = "127.0.0.1:0"
