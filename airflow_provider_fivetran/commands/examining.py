"""Examining an Airflow connection and the way to Fivetran, with requests that only read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from airflow.providers.common.compat.sdk import AirflowException, BaseHook

from airflow_provider_fivetran.airflow_connection import fallback_of, settings_of, webhook_secrets_of
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.commands.terminal import unreachable
from airflow_provider_fivetran.core import endpoints
from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranForbidden,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranServerError,
    FivetranUnauthorized,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.history import REACH
from airflow_provider_fivetran.core.moments import in_words
from airflow_provider_fivetran.core.reports import name_of
from airflow_provider_fivetran.hooks import TEST_TIMEOUT, FivetranHook
from airflow_provider_fivetran.transport.blocking import BlockingTransport

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from datetime import datetime

    from airflow_provider_fivetran.core.errors import FivetranApiError
    from airflow_provider_fivetran.core.models import Account, Connection
    from airflow_provider_fivetran.core.protocol import Answer, Call, Page, Settings

__all__ = ["Finding", "State", "examine"]

T = TypeVar("T")
State: TypeAlias = Literal["ok", "warning", "wrong"]

# Of the 20,000 requests an hour. With fewer left, waits begin to look less often.
FEW_REQUESTS = 1000
# Whatever compares clocks to the minute, such as proxies and certificates, bears so much.
CLOCKS_AGREE = timedelta(seconds=30)
ONE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one step has found."""

    conn_id: str
    """The Airflow connection that it is about."""
    check: str
    state: State
    says: str
    advice: str = ""
    """What to do about it."""


Findings: TypeAlias = "Generator[Finding, None, T]"


def examine(conn_id: str, *, connection_id: str | None = None) -> Iterator[Finding]:
    """Examine an Airflow connection, and then that of its fallback.

    :param connection_id: the Fivetran connection to try reading with; unset: the first in the list.
    """
    own = _Examination(conn_id)
    if not (yield from own.airflow_connection()):
        return
    yield from own.fivetran(connection_id)
    yield own.webhook_secret()
    fallback_id, finding = own.fallback()
    yield finding
    if fallback_id is None:
        return
    other = _Examination(fallback_id)
    if not (yield from other.airflow_connection()):
        return
    yield from other.fivetran(connection_id)
    yield from _compared(own, other)


def _compared(own: _Examination, other: _Examination) -> Iterator[Finding]:
    if other.settings.credentials == own.settings.credentials:
        advice = "give it another key, such as a system key"
        yield other.found("key", "warning", f"the same as that of {own.conn_id}: no help", advice)
    mine, theirs = own.account, other.account
    if mine is not None and theirs is not None and mine.account_id != theirs.account_id:
        says = f"{_account(theirs)} is another than {_account(mine)}, that of {own.conn_id}"
        yield other.found("account", "wrong", says, "put a key of the same account there")


class _Examination:
    """One Airflow connection with what has been found out about it."""

    settings: Settings

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self.account: Account | None = None
        self._extra: Mapping[str, Any] = {}
        self._requests_left: int | None = None
        self._ahead: timedelta | None = None

    def found(self, check: str, state: State, says: str, advice: str = "") -> Finding:
        return Finding(conn_id=self.conn_id, check=check, state=state, says=says, advice=advice)

    # --- in Airflow ---------------------------------------------------------------------------------------

    def airflow_connection(self) -> Findings[bool]:
        """Whether it exists and is complete."""
        check = "connection"
        try:
            conn = BaseHook.get_connection(self.conn_id)
            self._extra = conn.extra_dejson
            kind = conn.conn_type
        except AirflowException as error:
            advice = "add it with `airflow connections add`, or name another; a malformed one counts as none"
            yield self.found(check, "wrong", str(error), advice)
            return False
        except Exception as error:  # noqa: BLE001 - reading may fail in as many ways as there are backends
            # Not its text, which may quote what could not be read.
            yield self.found(
                check, "wrong", f"cannot be read: {type(error).__name__}", "look at the secrets backend"
            )
            return False
        try:
            self.settings = settings_of(conn, self._extra)
        except ValueError as error:
            yield self.found(check, "wrong", str(error), "correct it")
            return False
        if kind == FivetranHook.conn_type:
            yield self.found(check, "ok", "exists, with key and secret")
        else:
            advice = f"make it {FivetranHook.conn_type!r}, so that Airflow shows its form and can test it"
            yield self.found(check, "warning", f"is of the type {kind!r}", advice)
        return True

    def webhook_secret(self) -> Finding:
        check = "webhook secret"
        try:
            current, previous = webhook_secrets_of(self._extra)
        except ValueError as error:
            return self.found(check, "wrong", str(error), "make it a text")
        if current is None and previous is not None:
            return self.found(
                check, "wrong", "only webhook_secret_previous is set", "set webhook_secret, which signs"
            )
        if current is None:
            return self.found(check, "ok", "not set: this Airflow takes no webhooks of Fivetran")
        before = "; the one before it is accepted too" if previous is not None else ""
        return self.found(check, "ok", f"set{before}")

    def fallback(self) -> tuple[str | None, Finding]:
        """The Airflow connection to examine besides."""
        check = "fallback"
        try:
            fallback_id = fallback_of(self._extra, self.conn_id)
        except ValueError as error:
            return None, self.found(check, "wrong", str(error), "make it the id of an Airflow connection")
        if fallback_id is not None:
            return fallback_id, self.found(check, "ok", f"{fallback_id}, examined below")
        if self._extra.get("fallback_conn_id"):
            return None, self.found(check, "warning", "names itself", "name another Airflow connection")
        return None, self.found(check, "ok", "not set: replacing the key needs ten minutes' attention")

    # --- in Fivetran --------------------------------------------------------------------------------------

    def fivetran(self, connection_id: str | None) -> Findings[None]:
        """Whether the key opens the account, and what it may do there."""
        settings = replace(self.settings, timeout=min(self.settings.timeout, TEST_TIMEOUT))
        with BlockingTransport(lambda: iter([settings]), attempts=1) as transport:
            try:
                self.account = self._ask(transport, endpoints.get_account()).value
            except FivetranForbidden as error:
                yield self._answers()
                yield self.found("key", "warning", f"accepted, but may not read the account {_code(error)}")
            except FivetranError as error:
                yield from self._no_account(error)
                return
            else:
                yield self._answers()
                kind = "a system key" if self.account.system_key_id else "a user's key"
                if not self.account.system_key_id and not self.account.user_id:
                    kind = "a key of a kind that Fivetran does not tell"
                yield self.found("key", "ok", f"accepted: {kind} of {_account(self.account)}")
            try:
                yield from self._rights(transport, connection_id)
            except FivetranError as error:
                yield self._trouble("rights", error)
        yield self._budget()
        yield self._clock()

    def _ask(self, transport: BlockingTransport, call: Call[T]) -> Answer[T]:
        asked = utcnow()
        answer = transport.send(call)
        if answer.requests_left is not None:
            self._requests_left = answer.requests_left
        if answer.server_time is not None:
            self._ahead = _ahead(answer.server_time, asked, utcnow())
        return answer

    def _answers(self) -> Finding:
        return self.found("host", "ok", f"{self.settings.base_url} answers")

    def _no_account(self, error: FivetranError) -> Iterator[Finding]:
        if isinstance(error, FivetranUnauthorized):
            yield self._answers()
            advice = "put a valid key and its secret there; a user's new key ends the one before it"
            yield self.found("key", "wrong", f"refused: wrong, expired or revoked {_code(error)}", advice)
        elif isinstance(error, FivetranRateLimited):
            yield self._answers()
            yield self._trouble("requests left", error)
        else:
            yield self._trouble("host", error)

    def _trouble(self, check: str, error: FivetranError) -> Finding:
        match error:
            case FivetranRateLimited():
                pause = f" {in_words(timedelta(seconds=error.retry_after))}" if error.retry_after else ""
                advice = f"wait{pause}, and find out what asks so much of this account"
                return self.found(
                    check, "wrong", f"the account has spent its requests {_code(error)}", advice
                )
            case FivetranServerError():
                return self.found(
                    check, "wrong", str(error), "try again; status.fivetran.com tells of troubles"
                )
            case FivetranUnreachable():
                advice = (
                    "is the host right? Does this machine reach it, by a proxy (HTTPS_PROXY) if it needs one?"
                )
                return self.found(check, "wrong", unreachable(error), advice)
        advice = "is this Fivetran? The host stays empty for https://api.fivetran.com"
        return self.found(check, "wrong", str(error), advice)

    def _rights(self, transport: BlockingTransport, connection_id: str | None) -> Findings[None]:
        advice = "needed to find connections by name: give the key 'read' for destinations"
        yield from self._listing(transport, "list groups", endpoints.list_groups(), advice)
        advice = "needed for `connections list` and by many waits at once, which otherwise ask for each sync"
        listed = yield from self._listing(transport, "list connections", endpoints.list_connections(), advice)
        if connection_id is None:
            connection_id = min((connection.id for connection in listed), default=None)
        check = "read connection"
        if connection_id is None:
            advice = "name one with --connection, to find out"
            yield self.found(check, "warning", "not tried: none is known", advice)
            return
        try:
            connection = self._ask(transport, endpoints.get_connection(connection_id)).value
        except (FivetranForbidden, FivetranNotFound) as error:
            lacks = isinstance(error, FivetranForbidden)
            says = f"{connection_id} {'may not be read' if lacks else 'does not exist, or is hidden'} {_code(error)}"
            advice = "give the key 'manage' for connections" if lacks else "is the id right?"
            yield self.found(check, "wrong", says, advice)
            return
        yield self.found(check, "ok", name_of(connection))
        yield self._history(transport, connection)

    def _listing(
        self, transport: BlockingTransport, check: str, call: Call[Page[T]], advice: str
    ) -> Findings[tuple[T, ...]]:
        try:
            page = self._ask(transport, call).value
        except FivetranForbidden as error:
            yield self.found(check, "warning", f"not allowed {_code(error)}", advice)
            return ()
        more = " or more" if page.next_cursor else ""
        state: State = "ok" if page.items else "warning"
        yield self.found(
            check,
            state,
            f"{len(page.items)}{more} seen",
            "" if page.items else "does the key see the right ones?",
        )
        return page.items

    def _history(self, transport: BlockingTransport, connection: Connection) -> Finding:
        check, until = "sync history", utcnow() + (self._ahead or timedelta(0))
        call = endpoints.get_sync_history(connection.id, since=until - REACH, until=until)
        try:
            page = self._ask(transport, call).value
        except (FivetranForbidden, FivetranNotFound) as error:
            advice = "verdicts go by the connection's times instead; only cancelled syncs are harder to see"
            return self.found(check, "warning", f"not offered {_code(error)}", advice)
        more = " or more" if page.next_cursor else ""
        return self.found(check, "ok", f"readable, {len(page.items)}{more} of {connection.id} in seven days")

    def _budget(self) -> Finding:
        left = self._requests_left
        if left is None:
            advice = "does something on the way take X-Rate-Limit-Remaining out of the answers?"
            return self.found("requests left", "warning", "Fivetran does not tell", advice)
        says = f"{left:,} in this hour"
        if left >= FEW_REQUESTS:
            return self.found("requests left", "ok", says)
        return self.found("requests left", "warning", says, "find out what asks so much of this account")

    def _clock(self) -> Finding:
        if self._ahead is None:
            return self.found(
                "clock", "warning", "Fivetran does not tell the time", "is the host Fivetran's?"
            )
        if not self._ahead:
            return self.found("clock", "ok", "the same as Fivetran's, to the second")
        relation = "behind" if self._ahead > timedelta(0) else "ahead of"
        says = f"this machine's is {in_words(max(abs(self._ahead), ONE_SECOND))} {relation} Fivetran's"
        if abs(self._ahead) <= CLOCKS_AGREE:
            return self.found("clock", "ok", says)
        return self.found("clock", "warning", says, "set it by a time server (NTP)")


def _account(account: Account) -> str:
    return f"the account {account.account_name or account.account_id}"


def _code(error: FivetranApiError) -> str:
    return f"(HTTP {error.status}{f' {error.code}' if error.code else ''})"


def _ahead(server_time: datetime, asked: datetime, answered: datetime) -> timedelta:
    """How far Fivetran's clock is certainly ahead of ours, or behind it (then negative).

    It shows whole seconds, rounded down, and was read at some time between question and answer.
    """
    if server_time > answered:
        return server_time - answered
    return min(server_time + ONE_SECOND - asked, timedelta(0))
