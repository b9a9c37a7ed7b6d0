"""The blocking transport: ``requests`` and ``tenacity``, for workers."""

from __future__ import annotations

import logging
import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

import requests
import tenacity
import urllib3.exceptions
from requests.auth import AuthBase

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranError,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.protocol import (
    CONNECT_TIMEOUT,
    KEY_REPLACED,
    MAX_ANSWER_BYTES,
    is_no_better,
    naming_the_connection,
    read_answer,
    refused_key,
    speaks_against_key,
)
from airflow_provider_fivetran.core.retrying import may_repeat, pause_before_repeating
from airflow_provider_fivetran.core.steps import Look, Note, Pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_fivetran.core.protocol import Answer, Call, Settings
    from airflow_provider_fivetran.core.steps import Procedure

__all__ = ["BlockingTransport"]

log = logging.getLogger(__name__)

T = TypeVar("T")

CHUNK = 64 * 1024


class BlockingTransport:
    """Sends calls over one pooled session.

    :param keys: gives the settings to work with, the preferred first, read anew at each call. When Fivetran
        refuses the key in use, the others are tried.
    :param attempts: how often a call that may be repeated is sent at most.
    :param pause: seconds before the first repetition; later pauses grow.
    :param note: where the lines go that a procedure wants logged.
    :param sleep: how to pass seconds.
    """

    def __init__(
        self,
        keys: Callable[[], Iterator[Settings]],
        *,
        attempts: int = 3,
        pause: float = 1.0,
        note: Callable[[Note], None] = lambda _note: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._keys = keys
        self.session = requests.Session()
        self._use(next(keys()))
        self._attempts = attempts
        self._pause = pause
        self._note = note
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open."""
        self.session.close()

    def send(self, call: Call[T]) -> Answer[T]:
        """Send a call, again where that is allowed and helps.

        :raises FivetranError: (one of its kinds) the last attempt failed.
        """
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            retry=tenacity.retry_if_exception(lambda error: may_repeat(call, error)),
            wait=self._seconds_before,
            sleep=self._sleep,
            reraise=True,
        )
        with naming_the_connection(call):
            return retrying(self._exchange, call)

    def drive(self, procedure: Procedure[T]) -> T:
        """Carry out the steps of a procedure until its end."""
        while True:
            pause, result = self.drive_to_pause(procedure)
            if pause is None:
                return result  # type: ignore[return-value]
            self._take(pause)

    def drive_to_pause(self, procedure: Procedure[T]) -> tuple[Pause | None, T | None]:
        """Carry out the steps of a procedure until it wants to pause (then that), or ends (then its result).

        A pause that is to be held is taken right here.
        """
        answer: Answer[Any] | None = None
        error: FivetranError | None = None
        try:
            while True:
                step = procedure.throw(error) if error is not None else procedure.send(answer)
                answer, error = None, None
                if isinstance(step, Pause):
                    if not step.held:
                        return step, None
                    self._take(step)
                    continue
                if isinstance(step, Note):
                    self._note(step)
                    continue
                try:
                    answer = self.send(step.call if isinstance(step, Look) else step)
                except FivetranError as failed:
                    error = failed
        except StopIteration as end:
            return None, end.value

    def _take(self, pause: Pause) -> None:
        self._sleep(max(0.0, (pause.until - utcnow()) / timedelta(seconds=1)))

    def _seconds_before(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return pause_before_repeating(
            error,
            state.attempt_number,
            first=self._pause,
            jitter=random.random(),  # noqa: S311
        )

    def _use(self, settings: Settings) -> None:
        self.settings = settings
        self.session.trust_env = settings.heeds_environment
        headers = settings.headers()
        # As ``auth`` and not as a plain header: for a request without ``auth`` the session would look for
        # credentials in ~/.netrc and put those in place of ours.
        self.session.auth = _Signed(headers.pop("Authorization"))
        self.session.headers.update(headers)

    def _exchange(self, call: Call[T]) -> Answer[T]:
        """Send a call once; once more with each other key if this one is refused, for then nothing was done."""
        refused = self.settings
        try:
            return self._send_once(call)
        except FivetranApiError as refusal:
            if not speaks_against_key(call, refusal):
                raise
            for candidate in self._other_keys():
                if candidate.credentials == refused.credentials:
                    continue
                self._use(candidate)
                try:
                    answer = self._send_once(call)
                except FivetranApiError as error:
                    if is_no_better(call, refusal, error):
                        continue
                    raise
                log.warning(KEY_REPLACED, refused.conn_id, candidate.conn_id)
                return answer
            self._use(refused)
            raise refused_key(refusal, refused) from None

    def _other_keys(self) -> Iterator[Settings]:
        """All keys once more; one that cannot be read must not hide that Fivetran refuses the one in use."""
        try:
            yield from self._keys()
        except Exception:  # reading an Airflow connection may fail in as many ways as there are backends
            log.warning("an Airflow connection with another key cannot be read", exc_info=True)

    def _send_once(self, call: Call[T]) -> Answer[T]:
        limit = self.settings.limit_of(call)
        # The limit of ``requests`` holds for each read; a server that drips must not hold us for ever.
        until = time.monotonic() + limit
        try:
            with self.session.request(
                call.method,
                self.settings.base_url + call.path,
                params=dict(call.params),
                json=call.body,
                timeout=(min(CONNECT_TIMEOUT, limit), limit),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = _read_all(response, until)
                return read_answer(
                    call, response.status_code, response.headers, body, host=self.settings.base_url
                )
        except requests.ConnectTimeout as error:
            raise self._unreachable(call, error, maybe_received=False) from error
        except requests.ConnectionError as error:
            raise self._unreachable(call, error, maybe_received=not _was_never_sent(error)) from error
        # A bare OSError: the file that REQUESTS_CA_BUNDLE names does not exist.
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(call, error, maybe_received=True) from error

    def _unreachable(self, call: Call[Any], error: Exception, *, maybe_received: bool) -> FivetranUnreachable:
        return FivetranUnreachable(
            f"{self.settings.base_url} gave no answer to {call.method} {call.path}: "
            f"{type(error).__name__}: {error}",
            maybe_received=maybe_received,
        )


class _Signed(AuthBase):
    """Puts the credentials on each request of a session."""

    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


def _read_all(response: requests.Response, until: float) -> bytes:
    body = bytearray()
    for chunk in _chunks(response):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise FivetranUnexpectedAnswer(
                f"an answer of more than {MAX_ANSWER_BYTES} bytes was broken off", status=response.status_code
            )
        if time.monotonic() > until:
            raise requests.ReadTimeout("the answer did not end within the time limit")
    return bytes(body)


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """The body as it arrives. ``iter_content`` would wait until a chunk is full, however slowly it fills."""
    read_some = getattr(response.raw, "read1", None)
    if read_some is None:  # urllib3 before 2.1
        yield from response.iter_content(CHUNK)
        return
    while chunk := read_some(CHUNK, decode_content=True):
        yield chunk


def _was_never_sent(error: requests.ConnectionError) -> bool:
    """Whether no connection was made at all, so that nothing can have been received."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError"}
