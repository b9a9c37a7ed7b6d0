"""The asyncio transport: ``aiohttp`` and ``tenacity``, for the triggerer."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

import aiohttp
import tenacity

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.errors import FivetranError, FivetranUnexpectedAnswer, FivetranUnreachable
from airflow_provider_fivetran.core.protocol import CONNECT_TIMEOUT, MAX_ANSWER_BYTES, read_answer
from airflow_provider_fivetran.core.retrying import may_repeat, pause_before_repeating
from airflow_provider_fivetran.core.steps import Note, Pause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_fivetran.core.protocol import Answer, Call, Settings
    from airflow_provider_fivetran.core.steps import Procedure

__all__ = ["AsyncTransport"]

T = TypeVar("T")

# Above this size an answer is read in a thread, so that the loop is not held up.
LARGE_ANSWER = 256 * 1024


class AsyncTransport:
    """Sends calls over one pooled session, which is opened on entering and closed on leaving ``async with``.

    :param settings: address, credentials and time limit.
    :param attempts: how often a call that may be repeated is sent at most.
    :param pause: seconds before the first repetition; later pauses grow.
    :param note: where the lines go that a procedure wants logged.
    :param sleep: how to pass seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        attempts: int = 3,
        pause: float = 1.0,
        note: Callable[[Note], None] = lambda _note: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self._attempts = attempts
        self._pause = pause
        self._note = note
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = self.settings.headers()
        self._session = aiohttp.ClientSession(
            # By a middleware and not as a header: ``trust_env``, which is what makes proxies from the environment
            # work, also takes credentials from ~/.netrc, and refuses to send those and a header.
            middlewares=(_signed_with(headers.pop("Authorization")),),
            headers=headers,
            trust_env=True,
            timeout=aiohttp.ClientTimeout(
                total=self.settings.timeout, connect=min(CONNECT_TIMEOUT, self.settings.timeout)
            ),
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, call: Call[T]) -> Answer[T]:
        """Send a call, again where that is allowed and helps.

        :raises FivetranError: (one of its kinds) the last attempt failed.
        """
        # A new object for each call: one that is shared between coroutines mixes up their states.
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            retry=tenacity.retry_if_exception(lambda error: may_repeat(call, error)),
            wait=self._seconds_before,
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(self._send_once, call)

    async def drive(self, procedure: Procedure[T]) -> T:
        """Carry out the steps of a procedure until its end."""
        answer: Answer[Any] | None = None
        error: FivetranError | None = None
        try:
            while True:
                step = procedure.throw(error) if error is not None else procedure.send(answer)
                answer, error = None, None
                if isinstance(step, Pause):
                    await self._sleep(max(0.0, (step.until - utcnow()) / timedelta(seconds=1)))
                elif isinstance(step, Note):
                    self._note(step)
                else:
                    try:
                        answer = await self.send(step)
                    except FivetranError as failed:
                        error = failed
        except StopIteration as end:
            result: T = end.value
            return result

    def _seconds_before(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return pause_before_repeating(
            error,
            state.attempt_number,
            first=self._pause,
            jitter=random.random(),  # noqa: S311
        )

    async def _send_once(self, call: Call[T]) -> Answer[T]:
        if self._session is None:
            raise RuntimeError("the transport is used outside of its 'async with'")
        try:
            async with self._session.request(
                call.method,
                self.settings.base_url + call.path,
                params=dict(call.params),
                json=call.body,
                allow_redirects=False,
            ) as response:
                body = await _read_all(response)
                return await _read(call, response, body, self.settings.base_url)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._unreachable(call, error, maybe_received=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(call, error, maybe_received=True) from error

    def _unreachable(
        self, call: Call[Any], error: BaseException, *, maybe_received: bool
    ) -> FivetranUnreachable:
        return FivetranUnreachable(
            f"{self.settings.base_url} gave no answer to {call.method} {call.path}: "
            f"{type(error).__name__}: {error}",
            maybe_received=maybe_received,
        )


def _signed_with(header: str) -> aiohttp.ClientMiddlewareType:
    async def sign(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = header
        return await handler(request)

    return sign


async def _read(call: Call[T], response: aiohttp.ClientResponse, body: bytes, base_url: str) -> Answer[T]:
    def read() -> Answer[T]:
        return read_answer(call, response.status, response.headers, body, host=base_url)

    return await asyncio.to_thread(read) if len(body) > LARGE_ANSWER else read()


async def _read_all(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise FivetranUnexpectedAnswer(f"an answer of more than {MAX_ANSWER_BYTES} bytes was broken off")
    return bytes(body)
