"""An API application on uvicorn."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from api.app import Made

KEEP_ALIVE_SECONDS = 75
END_SECONDS = 5
"""Requests in work are given so long when the process ends."""


class _Server(uvicorn.Server):
    """Ends live streams first: they would hold up the end."""

    def __init__(self, config: uvicorn.Config, made: Made, stopped: Callable[[], bool] = lambda: False) -> None:
        super().__init__(config)
        self._made = made
        self._stopped = stopped

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; a signal that came before the server could hear it ends it at once."""
        await super().startup(sockets)
        self.should_exit = self.should_exit or self._stopped()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what goes on, then the server."""
        self._made.services.feed.end_streams()
        await super().shutdown(sockets)


def serve(
    made: Made,
    listening: socket.socket,
    trusted_proxies: str = "127.0.0.1",
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Serve until a signal; `stopped`: whether one came already."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    app: Any = made.app
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=trusted_proxies,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=END_SECONDS,
    )
    _Server(config, made, stopped).run(sockets=[listening])
