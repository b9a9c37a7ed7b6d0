"""A few threads for what may block, so that a database that hangs holds up nothing but them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

__all__ = ["TooMuchError", "Workers"]

T = TypeVar("T")

THREADS = 4
# Work that is under way or waits for a thread; more is refused.
MOST_AT_ONCE = 64


class TooMuchError(Exception):
    """The work took too long, or there was too much of it to begin."""


class Workers:
    """Runs blocking work for coroutines."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="fivetran-webhooks")
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)

    async def do(self, work: Callable[[], T], seconds: float) -> T:
        """Carry out the work and return its result.

        What takes longer goes on in its thread, and its result is lost; what had not begun by then never will.

        :raises TooMuchError: it took longer, or too much other work waits.
        """
        if not self._places.acquire(blocking=False):
            raise TooMuchError("too much work waits")
        future: Future[T] = self._pool.submit(work)
        future.add_done_callback(lambda _done: self._places.release())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        except TimeoutError:
            raise TooMuchError(f"the work took more than {seconds} s") from None
