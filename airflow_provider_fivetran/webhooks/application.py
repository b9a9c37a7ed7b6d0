"""The web application that Fivetran delivers webhooks to: who may, how much, how fast, and what is answered.

Fivetran waits ten seconds and takes every answer but a success for "try again later", for a day. So a success is
answered only once the database has what was told, and everything else is answered early.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, assert_never

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.claims import OLDEST_TOLD
from airflow_provider_fivetran.webhooks.deliveries import (
    Ignored,
    Probe,
    SyncEnded,
    TransformationTold,
    read_delivery,
)
from airflow_provider_fivetran.webhooks.keyring import Keyring
from airflow_provider_fivetran.webhooks.refusals import Refusals
from airflow_provider_fivetran.webhooks.signature import HEADER, is_signature, is_signed
from airflow_provider_fivetran.webhooks.workers import Workers

if TYPE_CHECKING:
    from fastapi import Request

    from airflow_provider_fivetran.webhooks.airflow_tables import AirflowTables, Told
    from airflow_provider_fivetran.webhooks.deliveries import Delivery
    from airflow_provider_fivetran.webhooks.keyring import Sender

__all__ = ["LARGEST_BODY", "Patience", "Receiver", "build_application"]

PATH = "/webhooks/{conn_id:path}"
# A delivery of Fivetran has about 300 bytes.
LARGEST_BODY = 64 * 1024
# Deliveries at the same time in one process: with bodies of the largest size, 32 MiB.
MOST_AT_ONCE = 512

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How many seconds things may take."""

    body: float = 4.0
    """Until all of a body is here."""
    secret: float = 3.0
    """One look at an Airflow connection."""
    answer: float = 8.0
    """All of it. Fivetran gives up after ten seconds."""


class Refused(Exception):
    """A delivery that is not taken, and the answer to it.

    :param why: what the log says, where that may say more.
    :param unread: whether some of the body may still come; then the connection is closed, for reading on to the
        end of it would cost more than the refusal spares.
    """

    def __init__(self, status: int, message: str, *, why: str = "", unread: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.why = why or message
        self.unread = unread


class Receiver:
    """Takes deliveries.

    :param tables: Airflow's database.
    :param patience: how long things may take.
    """

    def __init__(self, tables: AirflowTables, patience: Patience = Patience()) -> None:
        self._tables = tables
        self._patience = patience
        self._workers = Workers()
        self._keyring = Keyring(tables, partial(self._workers.do, seconds=patience.secret), time.monotonic)
        self._refusals = Refusals(time.monotonic)
        self._at_once = 0

    async def receive(self, request: Request) -> JSONResponse:
        """Take a delivery and answer it, in time whatever happens."""
        try:
            return await self._take(request)
        except Refused as refused:
            self._refusals.note(refused.why)
            answer = JSONResponse({"message": str(refused)}, refused.status)
            if refused.unread:
                answer.headers["Connection"] = "close"
            return answer

    async def _take(self, request: Request) -> JSONResponse:
        if self._at_once >= MOST_AT_ONCE:
            raise Refused(503, "too many deliveries at once", unread=True)
        self._at_once += 1
        try:
            async with asyncio.timeout(self._patience.answer):
                signature = request.headers.get(HEADER, "")
                if not is_signature(signature):
                    raise Refused(401, "the delivery is not signed", unread=True)
                body = await _read_body(request, self._patience.body)
                sender = await self._authenticate(request.path_params["conn_id"], body, signature)
                return JSONResponse({"message": await self._carry_out(_read(body), sender)})
        except TimeoutError:
            raise Refused(503, "Airflow's database takes too long") from None
        finally:
            self._at_once -= 1

    async def _authenticate(self, conn_id: str, body: bytes, signature: str) -> Sender:
        try:
            sender = await self._keyring.sender(conn_id)
        except Exception as error:  # whatever it was, the same is answered for every id, known or not
            message = "Airflow's connections cannot be read"
            raise Refused(503, message, why=f"{message} ({type(error).__name__})") from error
        if is_signed(body, signature, sender.secrets if sender else ()) and sender is not None:
            return sender
        whose = f"Airflow connection {sender.conn_id!r}" if sender else "an unknown one or one without"
        raise Refused(
            401,
            "the signature is wrong",
            why=f"signed with another secret than the webhook_secret of {whose}",
        )

    async def _carry_out(self, delivery: Delivery, sender: Sender) -> str:
        """Do what the delivery asks for and say what became of it."""
        match delivery:
            case Probe():
                return "test received"
            case SyncEnded():
                return await self._tell(delivery, sender)
            case TransformationTold():
                # Assets of transformations would be told here.
                return "transformations start nothing yet"
            case Ignored():
                return "ignored"
            case _:
                assert_never(delivery)

    async def _tell(self, ended: SyncEnded, sender: Sender) -> str:
        if utcnow() - ended.told_at > OLDEST_TOLD:
            raise Refused(400, "the delivery is too old", why=f"too old, for {sender.conn_id!r}")
        try:
            told: Told = await self._workers.do(
                partial(self._tables.tell, ended, sender), self._patience.answer
            )
        except Exception as error:  # a secrets backend, an asset's listener: anything
            _log.warning("A sync's end is not kept: %s", type(error).__name__)
            raise Refused(503, "Airflow's database cannot take it now") from error
        record = ended.record
        _log.info(
            "Fivetran connection %s, sync %s: %s. Events: %d new, %d had before, %d left to watchers.",
            *(record.connection_id, record.sync_id, record.status, told.emitted, told.repeated, told.watched),
        )
        return "received"


def build_application(receiver: Receiver) -> FastAPI:
    """The application; it is mounted somewhere, and has one address below that."""
    app = FastAPI(title="Fivetran webhooks", openapi_url=None, docs_url=None, redoc_url=None)
    app.router.redirect_slashes = False
    app.add_route(PATH, receiver.receive, methods=["POST"])
    return app


async def _read_body(request: Request, seconds: float) -> bytes:
    announced = request.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced[:20]) > LARGEST_BODY:
        raise Refused(413, "the delivery is too large", unread=True)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST_BODY:
                    raise Refused(413, "the delivery is too large", unread=True)
    except TimeoutError:
        raise Refused(408, "the delivery comes too slowly", unread=True) from None
    except ClientDisconnect:
        raise Refused(400, "the delivery broke off") from None
    return bytes(body)


def _read(body: bytes) -> Delivery:
    try:
        return read_delivery(body)
    except ValueError as error:
        raise Refused(400, f"the delivery cannot be read: {error}") from None
