"""The door every request passes: it keeps the log, lets faults strike, checks keys, counts the budget."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import logging
import random
import uuid
from dataclasses import dataclass, field
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from .answers import refusal
from .problems import ApiError, forbidden
from .rights import require_permission
from .spoiling import spoil
from .traffic import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .faults import Fault
    from .records import Key
    from .simulator import Simulator

_log = logging.getLogger(__name__)
_ACCEPTABLE = ("application/json", "application/*", "*/*")
_READING = ("GET", "HEAD", "OPTIONS")
# These may wait for somebody's receiver. They take the account's lock themselves, for what they change.
_WAITING = "/v1/webhooks"
_UNAUTHORIZED = ApiError(401, "AuthFailed", "Invalid authorization credentials")


@dataclass
class Answer:
    """A whole answer, held back so that a fault can still change it."""

    status: int = HTTPStatus.INTERNAL_SERVER_ERROR
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def collect(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


@dataclass
class Visit:
    """One request on its way through the gate."""

    scope: Scope
    body: bytes
    headers: dict[str, str]
    fault: Fault | None = None
    key: str | None = None
    remaining: int | None = None

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        return str(self.scope["path"])


class Gate:
    """Wraps the application. ``drop`` closes a client's TCP connection without an answer."""

    def __init__(self, app: ASGIApp, simulator: Simulator, drop: Callable[[Scope, bool], None]) -> None:
        self._app = app
        self._simulator = simulator
        self._drop = drop
        # Only what a spoilt answer looks like hangs on this; which request suffers is decided in Faults.
        self._random = random.Random(simulator.seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].startswith("/_control"):
            await self._pass_through(scope, receive, send)
        else:
            await self._handle(scope, receive, send)

    async def _pass_through(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit(scope, await _read(receive), {})
        answer = await self._examine(visit)
        await _send(answer, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        visit = Visit(scope, await _read(receive), headers)
        visit.fault = self._simulator.faults.strike(visit.method, visit.path)
        answer = await self._answer(visit)
        self._note(visit, answer)
        if visit.fault is not None and visit.fault.seconds:
            await asyncio.sleep(visit.fault.seconds)
        if answer is None:
            self._drop(scope, visit.fault is not None and visit.fault.kind == "reset")
            # Until the server has seen its connection go, returning would look like a failed application.
            while (await receive())["type"] != "http.disconnect":
                continue
            return
        await _send(answer, send)

    async def _answer(self, visit: Visit) -> Answer | None:
        """The answer as it will leave, or None where the connection is to be dropped."""
        fault = visit.fault
        if fault is None:
            answer = await self._examine(visit)
        else:
            real = await self._examine(visit) if fault.effective else Answer()
            spoilt = spoil(fault, real.status, real.body, self._random)
            if spoilt is None:
                return None
            answer = Answer(spoilt.status, [*_kept(real.headers), *spoilt.headers], spoilt.body)
        answer.headers += self._common_headers(visit)
        return answer

    async def _examine(self, visit: Visit) -> Answer:
        try:
            if visit.path.startswith("/v1"):
                self._check(visit)
            return await self._carry_out(visit)
        except ApiError as error:
            response = refusal(error)
            return Answer(response.status_code, list(response.raw_headers), bytes(response.body))

    def _check(self, visit: Visit) -> None:
        key = self._authenticate(visit)
        visit.remaining = self._simulator.spend_request()
        accept = visit.headers.get("accept", "*/*")
        if not any(choice.partition(";")[0].strip() in _ACCEPTABLE for choice in accept.split(",")):
            raise ApiError(406, "NotAcceptable", "HTTP 406 Not Acceptable")
        if not key.may_write and visit.method not in _READING:
            raise forbidden("This key may only read")
        require_permission(key, visit.method, visit.path)
        visit.scope["state"] = {**visit.scope.get("state", {}), "key": key}

    def _authenticate(self, visit: Visit) -> Key:
        scheme, _, credentials = visit.headers.get("authorization", "").partition(" ")
        try:
            name, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _UNAUTHORIZED from error
        key = self._simulator.account.keys.get(name)
        if scheme.lower() != "basic" or key is None or key.secret != secret:
            raise _UNAUTHORIZED
        now = self._simulator.clock.now()
        if key.expires_at is not None and key.expires_at <= now:
            raise _UNAUTHORIZED
        if key.system_key_id:
            self._simulator.system_keys.note_use(key.system_key_id, now)
        visit.key = name
        return key

    async def _carry_out(self, visit: Visit) -> Answer:
        answer = Answer()
        body = visit.body

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        try:
            # One answer, one moment: nothing moves while it is put together. The body is here already, so that
            # the application waits for nothing.
            waits = visit.path.startswith(_WAITING)
            with contextlib.nullcontext() if waits else self._simulator.account.lock:
                await self._app(visit.scope, receive, answer.collect)
        except Exception as error:
            _log.exception("The simulator failed at %s %s", visit.method, visit.path)
            raise ApiError(500, "InternalError", "The simulator failed; its log says why") from error
        return answer

    def _common_headers(self, visit: Visit) -> list[tuple[bytes, bytes]]:
        now = self._simulator.clock.now()
        headers = [
            (b"date", format_datetime(now, usegmt=True).encode()),
            (b"x-request-id", uuid.uuid4().hex.encode()),
        ]
        if visit.key is not None:
            limit = self._simulator.switches.hourly_budget
            headers.append((b"x-rate-limit", str(limit).encode()))
            headers.append((b"x-rate-limit-remaining", str(visit.remaining or 0).encode()))
        return headers

    def _note(self, visit: Visit, answer: Answer | None) -> None:
        self._simulator.note(
            Request(
                method=visit.method,
                path=visit.path,
                query=dict(parse_qsl(visit.scope["query_string"].decode(), keep_blank_values=True)),
                body=_json_or_text(visit.body),
                status=None if answer is None else answer.status,
                at=self._simulator.clock.now(),
                fault=None if visit.fault is None else visit.fault.kind,
                key=visit.key,
                headers={name: text for name, text in visit.headers.items() if name != "authorization"},
            )
        )


def _kept(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers that still hold when the body was replaced."""
    return [(name, value) for name, value in headers if name not in (b"content-length", b"content-type")]


def _json_or_text(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


async def _send(answer: Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
