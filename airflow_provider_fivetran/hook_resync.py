"""The part of the hook that re-syncs: loading what a connection syncs anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_fivetran.arguments import SHORTEST_POLL, check_confirmed, scope_of, span_of
from airflow_provider_fivetran.core.orders import Order
from airflow_provider_fivetran.core.ticket import DEFAULT_START_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow_provider_fivetran.core.policies import WhenBroken
    from airflow_provider_fivetran.core.ticket import Ticket

__all__ = ["ResyncCalls"]


class ResyncCalls:
    """Methods of :class:`~airflow_provider_fivetran.hooks.FivetranHook`."""

    if TYPE_CHECKING:  # what the hook has

        def _started(self, order: Order) -> Ticket: ...

    def start_resync(
        self,
        connection_id: str,
        *,
        scope: Mapping[str, Sequence[str]] | None = None,
        confirm: str | None = None,
        when_broken: WhenBroken = "try",
        timeout: float | timedelta | None = None,
        start_timeout: float | timedelta = DEFAULT_START_TIMEOUT,
        poll_frequency: float | timedelta | None = None,
    ) -> Ticket:
        """Start a historical re-sync of some tables, or of everything (``POST /v1/connections/{id}/resync``).

        A sync that is running, a paused connection, and a re-sync that Fivetran puts off are errors here: to wait
        for their end, to unpause, and to re-sync anew needs somebody to be there, which the operator is.

        :param scope: the tables, by schema, named as in the source; they must exist and be enabled.
        :param confirm: for a re-sync of everything: ``connection_id`` once more.
        :param when_broken: its setup is broken: try, run the setup tests first, or an error.
        :param timeout: limit of the wait, a timedelta or seconds; unset: 7 days.
        :param start_timeout: within this the re-sync must show itself, a timedelta or seconds; 1 hour.
        :param poll_frequency: pause between two looks, a timedelta or seconds; unset: chosen, at most 15 s.
        :return: the ticket to give to ``wait_for_sync``.
        :raises ValueError: the scope names no table, nothing confirms a re-sync of everything, both are given, or no
            such duration or policy.
        :raises FivetranResyncRefused: a table does not exist or is disabled, or cannot be re-synced by itself.
        :raises FivetranRefused: (one of its kinds) the connection is paused or broken, or a sync is running.
        :raises FivetranTriggerUncertain: it cannot be told whether the trigger took.
        :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached for two minutes.
        """
        if scope is None:
            check_confirmed(confirm, "connection_id", connection_id)
        elif confirm is not None:
            raise ValueError(f"confirm is {confirm!r} and scope is {scope!r}: give only one of them")
        return self._started(
            Order(
                connection_id=connection_id,
                resync=True,
                scope=None if scope is None else scope_of(scope),
                when_running="fail",
                when_rescheduled="fail",
                when_broken=when_broken,
                timeout=span_of("timeout", timeout),
                start_timeout=span_of("start_timeout", start_timeout) or DEFAULT_START_TIMEOUT,
                poll_frequency=span_of("poll_frequency", poll_frequency, least=SHORTEST_POLL),
            )
        )
