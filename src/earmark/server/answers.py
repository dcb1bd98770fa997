"""JSON as every answer has it: UTF-8 in which nothing can steer a terminal or turn a line around."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from earmark.text import json_text

__all__ = ["Json"]


class Json(JSONResponse):
    """An answer in JSON, whatever bytes stand in a name."""

    def render(self, content: Any) -> bytes:
        """Its text."""
        return json_text(content).encode()
