"""Runs the application in uvicorn, on a socket whose connections can be dropped like a bad network's."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .application import build_application
from .gate import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Scope

    from .simulator import Simulator

_log = logging.getLogger(__name__)
_TICK = 0.02
_STOP_SECONDS = 10.0


class Server:
    """One listening simulator."""

    def __init__(self, simulator: Simulator, host: str, port: int, *, any_host: bool = False) -> None:
        _require_loopback(host, any_host=any_host)
        self._simulator = simulator
        self._transports: dict[Any, asyncio.Transport] = {}
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=2048)
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}"
        app = Gate(build_application(simulator), simulator, self._drop)
        self._server = _Quiet(
            uvicorn.Config(
                app,
                http=_droppable(self._transports),
                ws="none",
                lifespan="off",
                # Logging belongs to whoever runs us.
                log_config=None,
                log_level="error",
                access_log=False,
                # The clock in the header is the simulator's own.
                date_header=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Serve from threads of its own until the block ends. The socket listens before the block begins."""
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._serve, name="fivetran-simulator", daemon=True),
            threading.Thread(target=self._tick, args=(stop,), name="fivetran-simulator-clock", daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            self._server.ready.wait(_STOP_SECONDS)
            yield self.url
        finally:
            stop.set()
            self._server.should_exit = True
            for thread in threads:
                thread.join(_STOP_SECONDS)
            self._socket.close()

    def _serve(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            # Whoever waits must not wait for a server that could not start.
            self._server.ready.set()

    def _tick(self, stop: threading.Event) -> None:
        """Let time pass where nobody asks, and write the rows of syncs that are about to end."""
        while not stop.wait(_TICK):
            try:
                self._simulator.tick()
            except Exception:  # noqa: BLE001 - the clock must go on ticking for everybody else
                _log.exception("The simulator could not move its account forward")

    def _drop(self, scope: Scope, reset: bool) -> None:  # noqa: FBT001 - part of the gate's one call
        transport = self._transports.get(tuple(scope["client"]))
        if transport is None:
            return
        if reset:
            # Closing with an empty linger time makes the kernel send a reset instead of a polite end.
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


class _Quiet(uvicorn.Server):
    """A server that says when it listens and leaves the process's signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        # uvicorn's own loop keeps a date for the headers and looks for the end only ten times a second.
        while not self.should_exit:  # noqa: ASYNC110 - other threads set it, which an event could not hear
            await asyncio.sleep(_TICK)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _droppable(transports: dict[Any, asyncio.Transport]) -> type[H11Protocol]:
    """Uvicorn's protocol, which also notes every open connection under its client's address."""

    class Droppable(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._peer = transport.get_extra_info("peername")[:2]
            transports[self._peer] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            transports.pop(self._peer, None)
            super().connection_lost(exc)

    return Droppable


def _require_loopback(host: str, *, any_host: bool) -> None:
    if any_host or host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(
            f"host is {host!r}; allowed: a loopback address, unless any host is allowed explicitly"
        )
