"""The asyncio transport: ``aiohttp`` and ``tenacity``, for the triggerer."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from copy import copy
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import aiohttp
import tenacity

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.endpoints import get_account
from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranError,
    FivetranForbidden,
    FivetranRateLimited,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.protocol import (
    CONNECT_TIMEOUT,
    KEY_REPLACED,
    MAX_ANSWER_BYTES,
    Settings,
    is_no_better,
    naming_the_connection,
    read_answer,
    refused_key,
    speaks_against_key,
)
from airflow_provider_fivetran.core.retrying import may_repeat, pause_before_repeating
from airflow_provider_fivetran.core.steps import Look, Note, Pause
from airflow_provider_fivetran.transport.asks import TRANSFORMATIONS
from airflow_provider_fivetran.transport.listing import Listing
from airflow_provider_fivetran.transport.polling import Poller
from airflow_provider_fivetran.transport.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from airflow_provider_fivetran.core.protocol import Answer, Call
    from airflow_provider_fivetran.core.steps import Procedure

__all__ = ["AsyncTransport", "Line", "shared_line"]

log = logging.getLogger(__name__)

T = TypeVar("T")

Keys: TypeAlias = Callable[[], AsyncGenerator[Settings, None]]

# Seconds for which keys that were all refused, or could not be read, are neither read nor tried again, however many
# waits ask.
REST = 10.0
# Seconds that a key may take to prove itself: all other waits wait for that.
PROBE_TIMEOUT = 20.0
# Seconds for which the last word on the account's budget is believed.
BUDGET_IS_NEWS_FOR = 600.0
# Seconds that a wait may spend on a look after its time is over.
LAST_LOOK = 10.0
# Above this size an answer is read in a thread, so that the loop is not held up.
LARGE_ANSWER = 256 * 1024


class Line:
    """One pooled session to Fivetran and the key in use, for all waits on one Airflow connection in one loop.

    A refused key is replaced once for all of them: the first that is refused looks for another key, the others
    wait for it and go on with what it found. Once all keys were refused, nothing is sent before one of the waits
    has found a key that Fivetran accepts, which is tried again after a rest.

    Keys that cannot be read now are no reason to end a wait that goes on: that is reported as
    :class:`FivetranUnreachable`. Only at the very first read an error of another kind comes out as it is.

    :param keys: gives the settings to work with, the preferred first, read anew at each call.
    :param rest: seconds for which keys that were all refused, or could not be read, are not read again; 10.
    :param probe_timeout: seconds that another key may take to prove itself.
    """

    def __init__(
        self, keys: Keys, *, rest: float | None = None, probe_timeout: float = PROBE_TIMEOUT
    ) -> None:
        self._keys = keys
        self._rest = REST if rest is None else rest
        self._probe_timeout = probe_timeout
        self._settings: Settings | None = None
        self._sessions: Sessions | None = None
        self._choosing = asyncio.Lock()
        self._refusal: FivetranUnauthorized | None = None
        self._rests_until: dict[type[FivetranApiError], float] = {}
        self._failed_until = 0.0
        self._failure: Exception = FivetranError()
        self._requests_left: tuple[int, float] | None = None
        self.poller = Poller(self.exchange, self._requests_left_lately)
        self.transformations_poller = Poller(self.exchange, self._requests_left_lately, TRANSFORMATIONS)
        self.listing = Listing(self.exchange)

    async def __aenter__(self) -> Self:
        self._sessions = Sessions()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        try:
            await self.poller.close()
            await self.transformations_poller.close()
            await self.listing.close()
        finally:
            if self._sessions is not None:
                sessions, self._sessions = self._sessions, None
                await sessions.close()

    async def exchange(self, call: Call[T]) -> Answer[T]:
        """Send a call once; once more with another key if this one is refused, for then nothing was done."""
        settings = await self._chosen()
        try:
            return await self._send(call, settings)
        except FivetranApiError as refusal:
            if not speaks_against_key(call, refusal):
                raise
            return await self._send(call, await self._replaced(settings, refusal, call))

    async def _chosen(self) -> Settings:
        settings = self._settings
        if settings is not None and self._refusal is None and not self._choosing.locked():
            return settings
        async with self._choosing:
            if self._settings is None:
                async with self._reading():
                    self._settings = await self._preferred()
            if self._refusal is not None:
                await self._choose_another(self._settings, self._refusal, get_account())
            return self._settings

    async def _preferred(self) -> Settings:
        async with aclosing(self._keys()) as keys:
            return await anext(keys)

    async def _replaced(self, refused: Settings, refusal: FivetranApiError, call: Call[Any]) -> Settings:
        async with self._choosing:
            if self._settings is None or self._settings.credentials == refused.credentials:
                proof = get_account() if isinstance(refusal, FivetranUnauthorized) else call
                await self._choose_another(refused, refusal, proof)
            return self._settings or refused  # another wait may have been here first

    async def _choose_another(self, refused: Settings, refusal: FivetranApiError, proof: Call[Any]) -> None:
        kind = type(refusal)
        if _now() < self._rests_until.get(kind, 0.0):
            raise refused_key(refusal, refused)
        async with self._reading():
            found = await self._accepted(refused, refusal, proof)
        if found is None:
            self._rests_until[kind] = _now() + self._rest
            if isinstance(refusal, FivetranUnauthorized):
                self._refusal = refusal
            raise refused_key(refusal, refused)
        self._settings, self._refusal = found, None
        if kind is FivetranForbidden:  # two keys of which each lacks a right of the other must not take turns
            self._rests_until[kind] = _now() + self._rest
        if found.credentials != refused.credentials:
            log.warning(KEY_REPLACED, refused.conn_id, found.conn_id)

    async def _accepted(
        self, refused: Settings, refusal: FivetranApiError, proof: Call[Any]
    ) -> Settings | None:
        async with aclosing(self._keys()) as keys:
            async for candidate in keys:
                known = candidate.credentials == refused.credentials
                if known and self._refusal is None:  # it was refused just now
                    continue
                if await self._accepts(candidate, refusal, proof, in_doubt=not known):
                    return candidate
        return None

    async def _accepts(
        self, candidate: Settings, refusal: FivetranApiError, proof: Call[Any], *, in_doubt: bool
    ) -> bool:
        """Whether Fivetran knows the key. No answer is no refusal: then the call itself will show it."""
        try:
            await self._send(proof, replace(candidate, timeout=min(candidate.timeout, self._probe_timeout)))
        except FivetranError as error:
            known = in_doubt or isinstance(error, FivetranForbidden)
            return known and not is_no_better(proof, refusal, error)
        return True

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        """Read keys; after a failure, those who wait for the same are told of it instead of each trying again."""
        if _now() < self._failed_until:
            raise _one_of_its_own(self._failure)
        try:
            yield
        except Exception as error:
            failure = self._to_endure(error)
            self._failure, self._failed_until = failure, _now() + self._rest
            if failure is error:
                raise
            raise _one_of_its_own(failure) from error

    def _to_endure(self, error: Exception) -> Exception:
        if isinstance(error, FivetranError) or self._settings is None:
            return error
        return FivetranUnreachable(
            f"the Airflow connection {self._settings.conn_id!r} or its fallback cannot be used now: "
            f"{type(error).__name__}",
            maybe_received=False,
        )

    async def _send(self, call: Call[T], settings: Settings) -> Answer[T]:
        if self._sessions is None:
            raise RuntimeError("the line is used outside of its 'async with'")
        headers = settings.headers()
        # By a middleware and not as a header: with ``trust_env`` the session also takes credentials from ~/.netrc,
        # and refuses to send those and a header.
        signed = _signed_with(headers.pop("Authorization"))
        # Of the wait for a free connection of the pool only the total is a limit.
        limit = settings.limit_of(call)
        connect = min(CONNECT_TIMEOUT, limit)
        try:
            session = await self._sessions.suited_to(settings)
            async with session.request(
                call.method,
                settings.base_url + call.path,
                params=dict(call.params),
                json=call.body,
                headers=headers,
                middlewares=(signed,),
                timeout=aiohttp.ClientTimeout(total=limit, sock_connect=connect),
                allow_redirects=False,
            ) as response:
                body = await _read_all(response)
                answer = await _read(call, response, body, settings.base_url)
        except FivetranRateLimited as error:
            for poller in (self.poller, self.transformations_poller):
                poller.hold(error.retry_after)
            raise
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _unreachable(call, settings, error, maybe_received=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(call, settings, error, maybe_received=True) from error
        if answer.requests_left is not None:
            self._requests_left = (answer.requests_left, _now())
        return answer

    def _requests_left_lately(self) -> int | None:
        """What is left of the account's requests in this hour, if an answer has said so lately."""
        left, said_at = self._requests_left or (None, 0.0)
        return None if _now() > said_at + BUDGET_IS_NEWS_FOR else left


_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, tuple[Line, int]]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_line(conn_id: str, keys: Keys) -> AsyncIterator[Line]:
    """The line of this event loop to an Airflow connection: opened by the first user, closed by the last."""
    lines = _lines.setdefault(asyncio.get_running_loop(), {})
    line, users = lines.get(conn_id, (None, 0))
    if line is None:
        line = await Line(keys).__aenter__()
    lines[conn_id] = (line, users + 1)
    try:
        yield line
    finally:
        line, users = lines[conn_id]
        if users > 1:
            lines[conn_id] = (line, users - 1)
        else:
            del lines[conn_id]
            await line.__aexit__()


def _now() -> float:
    return asyncio.get_running_loop().time()


class AsyncTransport:
    """Sends calls over a line, and carries out procedures.

    :param line: an open line, shared or one's own.
    :param attempts: how often a call that may be repeated is sent at most.
    :param pause: seconds before the first repetition; later pauses grow.
    :param note: where the lines go that a procedure wants logged.
    :param sleep: how to pass seconds.
    """

    def __init__(
        self,
        line: Line,
        *,
        attempts: int = 3,
        pause: float = 1.0,
        note: Callable[[Note], None] = lambda _note: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._line = line
        self._attempts = attempts
        self._pause = pause
        self._note = note
        self._sleep = sleep

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
        with naming_the_connection(call):
            return await retrying(self._line.exchange, call)

    async def drive(self, procedure: Procedure[T]) -> T:
        """Carry out the steps of a procedure until its end."""
        answer: Answer[Any] | None = None
        error: FivetranError | None = None
        try:
            while True:
                step = procedure.throw(error) if error is not None else procedure.send(answer)
                answer, error = None, None
                if isinstance(step, Pause):
                    if not step.before_look:
                        await self._sleep(max(0.0, (step.until - utcnow()) / timedelta(seconds=1)))
                elif isinstance(step, Note):
                    self._note(step)
                else:
                    try:
                        answer = await (self._look(step) if isinstance(step, Look) else self.send(step))
                    except FivetranError as failed:
                        error = failed
        except StopIteration as end:
            result: T = end.value
            return result

    async def _look(self, look: Look[Any]) -> Answer[Any]:
        """The answer that the poller has for this wait, or else one of its own."""
        with naming_the_connection(look.call):
            of_connection = look.call.transformation_id is None
            poller = self._line.poller if of_connection else self._line.transformations_poller
            shared = await poller.answer(look)
            if shared is not None:
                return shared
            # Whatever the limits of a request and its repetitions: a wait whose time is over must come to its end.
            left = max(0.0, (look.latest - utcnow()) / timedelta(seconds=1))
            try:
                async with asyncio.timeout(left + LAST_LOOK):
                    return await self.send(look.call)
            except TimeoutError:
                raise FivetranUnreachable("no answer before the time was over", maybe_received=True) from None

    def _seconds_before(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return pause_before_repeating(
            error,
            state.attempt_number,
            first=self._pause,
            jitter=random.random(),  # noqa: S311
        )


def _unreachable(
    call: Call[Any], settings: Settings, error: BaseException, *, maybe_received: bool
) -> FivetranUnreachable:
    return FivetranUnreachable(
        f"{settings.base_url} gave no answer to {call.method} {call.path}: {type(error).__name__}: {error}",
        maybe_received=maybe_received,
    )


def _one_of_its_own(error: Exception) -> Exception:
    """The error for one of several waits: each notes in its own which connection it is about."""
    return copy(error) if isinstance(error, FivetranError) else error.with_traceback(None)


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
            raise FivetranUnexpectedAnswer(
                f"an answer of more than {MAX_ANSWER_BYTES} bytes was broken off", status=response.status
            )
    return bytes(body)
