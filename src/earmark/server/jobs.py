"""Long work that goes on when the page is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.server.service import Service

__all__ = ["Jobs"]


class Jobs:
    """The jobs of a server."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def close(self) -> None:
        """Cancel what runs, and wait for its end."""
