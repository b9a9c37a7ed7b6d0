"""Carries webhook deliveries from a thread of its own, so that no slow receiver holds up anything else."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

_STOP_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What came of one attempt: the receiver's HTTP status, or why there is none."""

    status: int | None = None
    error: str | None = None

    @property
    def arrived(self) -> bool:
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - success in HTTP


class Postman:
    """Sends any number of POSTs side by side while the ``with`` block lasts."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fivetran-simulator-postman", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._session: aiohttp.ClientSession
        self._stop: asyncio.Event

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(_STOP_SECONDS)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_SECONDS)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Future[Receipt]:
        """Send at once; ``timeout`` is the real seconds in which the answer must have begun."""
        return asyncio.run_coroutine_threadsafe(self._post(url, body, headers, timeout), self._loop)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        # No limit of connections: a receiver that hangs must not keep deliveries from another.
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as self._session:
            self._ready.set()
            await self._stop.wait()
            # What is still under way ends here, before the session that it uses.
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Receipt:  # noqa: ASYNC109
        limit = aiohttp.ClientTimeout(total=timeout)
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=limit, allow_redirects=False
            ) as answer:
                return Receipt(status=answer.status)
        except TimeoutError:
            return Receipt(error=f"no answer within {timeout:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Receipt(error=str(error) or type(error).__name__)
