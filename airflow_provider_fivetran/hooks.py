"""The hook: from an Airflow connection to Fivetran's API."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_fivetran.airflow_connection import fallback_of, settings_of
from airflow_provider_fivetran.arguments import (
    SHORTEST_POLL,
    check_attempts,
    check_delay,
    check_text,
    span_of,
)
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core import endpoints
from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranForbidden,
    FivetranRateLimited,
    FivetranUnauthorized,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.events import error_of
from airflow_provider_fivetran.core.starting import Order, Started, Undo, start
from airflow_provider_fivetran.core.steps import ask_pages
from airflow_provider_fivetran.core.stopping import stop
from airflow_provider_fivetran.core.ticket import DEFAULT_START_TIMEOUT
from airflow_provider_fivetran.core.verdicts import TriggerAgain
from airflow_provider_fivetran.core.watch import watch
from airflow_provider_fivetran.hook_account import AccountCalls
from airflow_provider_fivetran.hook_choosing import ChoosingCalls
from airflow_provider_fivetran.hook_connections import ConnectionSetups
from airflow_provider_fivetran.hook_freshness import FreshnessChecks
from airflow_provider_fivetran.hook_lookups import LookUps
from airflow_provider_fivetran.hook_resync import ResyncCalls
from airflow_provider_fivetran.hook_schemas import SchemaCalls
from airflow_provider_fivetran.hook_snapshot import Snapshots
from airflow_provider_fivetran.hook_system_keys import SystemKeyCalls
from airflow_provider_fivetran.hook_transformations import TransformationCalls
from airflow_provider_fivetran.hook_webhooks import WebhookCalls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from airflow_provider_fivetran.core.models import (
        Account,
        Connection,
        Destination,
        Group,
        SyncHistoryEntry,
    )
    from airflow_provider_fivetran.core.policies import WhenBroken
    from airflow_provider_fivetran.core.protocol import Call, Page, Settings
    from airflow_provider_fivetran.core.steps import Note, Procedure
    from airflow_provider_fivetran.core.ticket import Ticket
    from airflow_provider_fivetran.core.verdicts import Final, SyncRecord
    from airflow_provider_fivetran.transport.blocking import BlockingTransport

__all__ = ["FivetranHook"]

T = TypeVar("T")

# An account of a hundred thousand connections is a hundred pages.
MOST_PAGES = 1000
# Airflow gives the test of a connection 60 seconds.
TEST_TIMEOUT = 20.0
_FORM_FIELDS = {
    "timeout": "Timeout (seconds)",
    "fallback_conn_id": "Fallback connection id",
    "webhook_secret": "Webhook secret",
    "webhook_secret_previous": "Previous webhook secret",
}


class FivetranHook(
    AccountCalls,
    ChoosingCalls,
    ConnectionSetups,
    FreshnessChecks,
    LookUps,
    ResyncCalls,
    SchemaCalls,
    Snapshots,
    SystemKeyCalls,
    TransformationCalls,
    WebhookCalls,
    BaseHook,
):
    """Talks to Fivetran's REST API with the key of an Airflow connection.

    Of the Airflow connection it uses ``login`` (API key), ``password`` (API secret), ``host`` (address of the
    API; empty means ``https://api.fivetran.com``) and the extra ``timeout`` (seconds that one answer may take,
    90 by default; a request that may have to stop a running sync, which takes Fivetran up to 60, gets at least
    75, and one that reads the source anew at least 600). With an empty login the password may hold the
    base64-encoded ``key:secret``. When Fivetran refuses the key (401), or the key may not read the Fivetran
    connection that is needed (403), the Airflow connection is read again, and then that of the extra
    ``fallback_conn_id``.

    :param fivetran_conn_id: id of the Airflow connection.
    :param fivetran_retry_limit: how often a request that may be repeated is sent at most.
    :param fivetran_retry_delay: seconds before the first repetition; later pauses grow, up to a minute.
    :raises ValueError: one of them is not such a text or number.
    """

    conn_name_attr = "fivetran_conn_id"
    default_conn_name = "fivetran_default"
    conn_type = "fivetran"
    hook_name = "Fivetran"

    def __init__(
        self,
        fivetran_conn_id: str = default_conn_name,
        *,
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
    ) -> None:
        super().__init__()
        check_text("fivetran_conn_id", fivetran_conn_id)
        check_attempts(fivetran_retry_limit)
        check_delay(fivetran_retry_delay)
        self.fivetran_conn_id = fivetran_conn_id
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self._transport: BlockingTransport | None = None

    # --- the connection form of Airflow 2.11 and 3.0; newer versions read it from the provider's metadata -----

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Labels and hidden fields of the connection form, for Airflow before 3.2."""
        from airflow_provider_fivetran import get_provider_info  # noqa: PLC0415

        declared = get_provider_info()["connection-types"][0]["ui-field-behaviour"]
        return {name.replace("-", "_"): value for name, value in declared.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Fields of the connection form, for Airflow before 3.2, whose pages are made with wtforms."""
        from wtforms import PasswordField, StringField  # noqa: PLC0415

        return {
            name: (PasswordField if "secret" in name else StringField)(label)
            for name, label in _FORM_FIELDS.items()
        }

    # --- the way to Fivetran ----------------------------------------------------------------------------------

    def get_conn(self) -> BlockingTransport:
        """The client behind this hook, made on first use.

        Its ``send`` takes the calls of :mod:`airflow_provider_fivetran.core.endpoints`; its ``session`` is a
        ``requests.Session`` that carries the credentials.

        :raises ValueError: the Airflow connection lacks a secret, or its host is unusable.
        """
        if self._transport is None:
            from airflow_provider_fivetran.transport.blocking import BlockingTransport  # noqa: PLC0415

            self._transport = BlockingTransport(
                self._keys,
                attempts=self.fivetran_retry_limit,
                pause=self.fivetran_retry_delay,
                note=self._log_note,
            )
        return self._transport

    def _keys(self) -> Iterator[Settings]:
        """The key of the Airflow connection as it is now, and then that of its fallback."""
        conn_id: str | None = self.fivetran_conn_id
        while conn_id is not None:
            try:
                settings, more = _read(conn_id)
            except ValueError as error:
                # Raised anew: what logs the variables of a traceback would find the Airflow connection further down,
                # and Airflow shows that with its login and password.
                raise ValueError(str(error)) from None
            mask_secret(settings.credentials.header)
            mask_secret(settings.credentials.header.removeprefix("Basic "))
            yield settings
            conn_id = fallback_of(more, self.fivetran_conn_id) if conn_id == self.fivetran_conn_id else None

    def _own_key(self) -> Iterator[Settings]:
        settings = next(self._keys())
        yield replace(settings, timeout=min(settings.timeout, TEST_TIMEOUT))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the key works, or in words what is wrong. Asks ``GET /v1/account/info``, once.

        Only the key of the Airflow connection itself is judged, not that of its fallback.
        """
        try:
            account = self.own_account(attempts=1)
        except FivetranUnauthorized as error:
            return False, f"Fivetran does not accept the key: it is wrong, expired or revoked. {error}"
        except FivetranForbidden as error:
            return False, f"Fivetran knows the key, but it lacks the right to read the account. {error}"
        except FivetranRateLimited as error:
            return False, f"The account has spent its requests for now; the key was not judged. {error}"
        except FivetranUnreachable as error:
            return False, f"Fivetran cannot be reached: is the host right? {error}"
        except (FivetranError, ValueError) as error:
            return False, str(error)
        key = "a system key" if account.system_key_id else "a user's key"
        return (
            True,
            f"Connected to the Fivetran account {account.account_name or account.account_id} with {key}",
        )

    # --- reading ----------------------------------------------------------------------------------------------

    def get_account(self) -> Account:
        """Read the account that the key belongs to (``GET /v1/account/info``)."""
        return self._value(endpoints.get_account())

    # Airflow's own ``get_connection`` is a class method about Airflow connections, with other arguments.
    def get_fivetran_connection(self, connection_id: str) -> Connection:
        """Read one Fivetran connection (``GET /v1/connections/{id}``).

        :raises FivetranNotFound: it does not exist, or the key may not see it.
        """
        return self._value(endpoints.get_connection(connection_id))

    def list_connections(
        self, *, group_id: str | None = None, schema: str | None = None
    ) -> tuple[Connection, ...]:
        """Read all connections that the key may see (``GET /v1/connections``, all pages).

        :param group_id: only those of this group.
        :param schema: only those with exactly this schema name.
        """
        return self._pages(endpoints.list_connections(group_id=group_id, schema=schema))

    def get_group(self, group_id: str) -> Group:
        """Read one group (``GET /v1/groups/{id}``)."""
        return self._value(endpoints.get_group(group_id))

    def list_groups(self) -> tuple[Group, ...]:
        """Read all groups that the key may see (``GET /v1/groups``, all pages)."""
        return self._pages(endpoints.list_groups())

    def get_destination(self, destination_id: str) -> Destination:
        """Read one destination (``GET /v1/destinations/{id}``); its id is that of its group."""
        return self._value(endpoints.get_destination(destination_id))

    def list_destinations(self) -> tuple[Destination, ...]:
        """Read all destinations that the key may see (``GET /v1/destinations``, all pages)."""
        return self._pages(endpoints.list_destinations())

    def get_sync_history(
        self, connection_id: str, *, since: datetime, until: datetime | None = None
    ) -> tuple[SyncHistoryEntry, ...]:
        """Read the syncs of a connection (``GET /v1/connections/{id}/sync-history``, all pages).

        :param since: at most seven days ago.
        :param until: now when unset.
        :raises FivetranApiError: the window is refused, or this account has no history (404 or 403).
        """
        return self._pages(endpoints.get_sync_history(connection_id, since=since, until=until or utcnow()))

    # --- changing ---------------------------------------------------------------------------------------------

    def pause_connection(self, connection_id: str) -> Connection:
        """Pause a connection. A running sync is stopped, which may take a while after the answer."""
        return self._value(endpoints.change_connection(connection_id, {"paused": True}))

    def unpause_connection(self, connection_id: str) -> Connection:
        """Let a paused connection sync again. Under the automatic schedule a sync may start soon."""
        return self._value(endpoints.change_connection(connection_id, {"paused": False}))

    def set_schedule_type(self, connection_id: str, schedule_type: str) -> Connection:
        """Let Fivetran keep the schedule (``auto``) or not (``manual``).

        :raises ValueError: another value.
        """
        if schedule_type not in {"auto", "manual"}:
            raise ValueError(f"schedule_type is {schedule_type!r}; allowed are 'auto' and 'manual'")
        return self._value(endpoints.change_connection(connection_id, {"schedule_type": schedule_type}))

    def run_setup_tests(
        self, connection_id: str, *, trust_certificates: bool = False, trust_fingerprints: bool = False
    ) -> Connection:
        """Run the setup tests of a connection; their results are in the answer's ``setup_tests``.

        :param trust_certificates: approve each certificate of the source that the tests meet.
        :param trust_fingerprints: approve each SSH fingerprint that they meet.
        """
        trust = {"trust_certificates": trust_certificates, "trust_fingerprints": trust_fingerprints}
        asked = {name: True for name, trusts in trust.items() if trusts}
        return self._value(endpoints.run_setup_tests(connection_id, trust=asked))

    # --- syncs ------------------------------------------------------------------------------------------------

    def start_sync(
        self,
        connection_id: str,
        *,
        when_running: Literal["attach", "restart", "fail"] = "attach",
        when_paused: Literal["fail", "unpause"] = "fail",
        when_broken: WhenBroken = "try",
        timeout: float | timedelta | None = None,
        start_timeout: float | timedelta = DEFAULT_START_TIMEOUT,
        poll_frequency: float | timedelta | None = None,
    ) -> Ticket:
        """Start a sync, or join the one that is running, and take a ticket for it.

        A trigger whose answer is lost is not sent again before it is known not to have taken. What needs somebody
        to be there afterwards (to queue, to put things back, to skip) is for the operator.

        :param when_running: a sync is running: take it as ours, stop it and start ours, or an error.
        :param when_paused: the connection is paused: an error, or unpause it and leave it so.
        :param when_broken: its setup is broken: try, run the setup tests first, or an error.
        :param timeout: limit of the wait, a timedelta or seconds; unset: 24 hours, 7 days for a historical sync.
        :param start_timeout: within this the sync must show itself, a timedelta or seconds; 1 hour.
        :param poll_frequency: pause between two looks, a timedelta or seconds; unset: chosen, at most 15 s.
        :return: the ticket to give to :meth:`wait_for_sync`.
        :raises ValueError: a policy that does not exist, or is for the operator only; or no such duration.
        :raises FivetranRefused: (one of its kinds) a policy forbids to start.
        :raises FivetranTriggerUncertain: it cannot be told whether the trigger took.
        :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached for two minutes.
        """
        for name, value, allowed in (
            ("when_running", when_running, ("attach", "restart", "fail")),
            ("when_paused", when_paused, ("fail", "unpause")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}; allowed here are {', '.join(map(repr, allowed))}")
        order = Order(
            connection_id=connection_id,
            when_running=when_running,
            when_paused=when_paused,
            when_broken=when_broken,
            timeout=span_of("timeout", timeout),
            start_timeout=span_of("start_timeout", start_timeout) or DEFAULT_START_TIMEOUT,
            poll_frequency=span_of("poll_frequency", poll_frequency, least=SHORTEST_POLL),
        )
        return self._started(order)

    def wait_for_sync(self, ticket: Ticket) -> SyncRecord:
        """Wait, in this thread, until the sync of a ticket has ended well.

        A sync that Fivetran puts off under manual scheduling is triggered again at its time.

        :raises FivetranSyncError: (one of its kinds) it did not end well, or not in time.
        :raises FivetranConnectionPaused: the connection was paused meanwhile.
        :raises FivetranApiError: the key was refused, or may no longer read the connection, for ten minutes.
        """
        ended = self.see_sync_through(ticket)
        error = error_of(ended)
        if error is not None:
            raise error
        return ended.record

    def see_sync_through(self, ticket: Ticket) -> Final:
        """Wait as :meth:`wait_for_sync` does, and tell with a record also of a sync that did not end well.

        :raises FivetranApiError: the key was refused, or may no longer read the connection, for ten minutes.
        """
        outcome = self.carry_out(watch(ticket, utcnow))
        while isinstance(outcome, TriggerAgain):
            order = Order(
                connection_id=ticket.connection_id,
                timeout=ticket.timeout,
                start_timeout=ticket.start_timeout,
                poll_frequency=ticket.poll_frequency,
            )
            ticket = self._started(order, begun_at=ticket.begun_at)
            outcome = self.carry_out(watch(ticket, utcnow))
        return outcome

    def stop_sync(self, connection_id: str) -> None:
        """Stop the sync that runs, by pausing the connection until it has stopped, for 45 s at most.

        Fivetran has no cancel. ``paused`` is put back as it was; what fails is logged.
        """
        self.carry_out(stop(connection_id, Undo(), utcnow))

    def carry_out(self, procedure: Procedure[T]) -> T:
        """Carry out a procedure of the core, in this thread, until its end."""
        return self.get_conn().drive(procedure)

    def carry_out_to_pause(self, procedure: Procedure[T]) -> T | None:
        """Carry out a procedure of the core until it ends, or wants to pause: then ``None``."""
        _pause, result = self.get_conn().drive_to_pause(procedure)
        return result

    def _started(self, order: Order, *, begun_at: datetime | None = None) -> Ticket:
        started = self.carry_out(start(order, utcnow, begun_at=begun_at))
        if not isinstance(started, Started):  # only what an order of ours does not ask for
            raise FivetranError(
                f"no sync of {order.connection_id} was started: {started}", connection_id=order.connection_id
            )
        return started.ticket

    # ----------------------------------------------------------------------------------------------------------

    def _value(self, call: Call[T]) -> T:
        return self.get_conn().send(call).value

    def _pages(self, call: Call[Page[T]]) -> tuple[T, ...]:
        return self.get_conn().drive(ask_pages(call, most=MOST_PAGES))

    def _log_note(self, note: Note) -> None:
        (self.log.warning if note.is_warning else self.log.info)("%s", note.text)


def _read(conn_id: str) -> tuple[Settings, dict[str, Any]]:
    """What an Airflow connection says now, and what it says of its fallback."""
    conn = BaseHook.get_connection(conn_id)
    extra = conn.extra_dejson
    return settings_of(conn, extra), {"fallback_conn_id": extra.get("fallback_conn_id")}
