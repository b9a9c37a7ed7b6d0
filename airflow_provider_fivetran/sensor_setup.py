"""The sensor that waits until somebody has authorised a connection. It only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.arguments import check_identified
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.links import FivetranConnectionLink
from airflow_provider_fivetran.ticket_sensor import TicketSensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.setup_watch import SetupTicket, SetupWaited
    from airflow_provider_fivetran.core.steps import Procedure
    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.trigger_setup import FivetranSetupTrigger

__all__ = ["FivetranSetupSensor"]


class FivetranSetupSensor(TicketSensor):
    """Waits until the setup of a Fivetran connection is complete: until somebody has authorised it.

    Complete is what Fivetran calls ``connected``: the setup tests have passed. Fivetran runs them at the end of a
    Connect Card; the sensor runs none, and changes nothing. A setup that is ``broken`` is waited for like one that
    is ``incomplete``, for a person can mend both. A connection that does not exist is an error.

    A person may take hours: deferred, or with ``mode="reschedule"``, the sensor takes no worker while it waits.

    The return value is the id of the connection.

    :param connector_id: id of the Fivetran connection.
    :param connector_name: its name in the dashboard, with ``destination_name`` instead of the id.
    :param destination_name: name of its destination in the dashboard (its group's name).
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param poke_interval: pause between two looks, a timedelta or seconds; 60 s, in deferrable mode too.
    :param fivetran_retry_limit: how often a request is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :param deferrable: wait in the triggerer; unset follows ``[operators] default_deferrable``.
    :raises ValueError: an argument is not allowed (when the DAG is parsed).
    :raises AirflowSensorTimeout: ``timeout`` passed first.
    :raises AirflowFailException: trying again would change nothing: wrong key, connection deleted, ...
    """

    template_fields: Sequence[str] = (
        "connector_id",
        "connector_name",
        "destination_name",
        "fivetran_conn_id",
    )
    operator_extra_links = (FivetranConnectionLink(),)

    def __init__(
        self,
        *,
        connector_id: str | None = None,
        connector_name: str | None = None,
        destination_name: str | None = None,
        fivetran_conn_id: str = "fivetran_default",
        poke_interval: float | timedelta = 60,
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            fivetran_conn_id=fivetran_conn_id,
            poke_interval=poke_interval,
            completed_after_time=None,
            fivetran_retry_limit=fivetran_retry_limit,
            fivetran_retry_delay=fivetran_retry_delay,
            deferrable=deferrable,
            **kwargs,
        )
        self.connector_id = connector_id
        self.connector_name = connector_name
        self.destination_name = destination_name
        check_identified(connector_id, connector_name, destination_name)

    def execute_complete(self, context: Context, event: object) -> str:
        """Go on when the trigger has sent its event."""
        from airflow_provider_fivetran.core.setup_watch import read_setup_event
        from airflow_provider_fivetran.raising import as_airflow_promises

        with as_airflow_promises(self):
            return self._conclude(context, read_setup_event(event))

    # --- its parts ----------------------------------------------------------------------------------------
    # What runs a task is imported when it runs: a DAG file is parsed over and over.

    def _find(self, context: Context, hook: FivetranHook) -> str:
        from airflow_provider_fivetran.core.models import dashboard_link

        found = hook.find_id(self.connector_id, self.connector_name, self.destination_name)
        FivetranConnectionLink.persist(context, dashboard_link(found))
        return found

    def _undated(self, found: str) -> SetupTicket:
        from airflow_provider_fivetran.core.setup_watch import SetupTicket

        return SetupTicket(connection_id=found, **self._in_any_ticket())

    def _watch(self, ticket: SetupTicket, *, key_has_worked: bool) -> Procedure[SetupWaited]:
        from airflow_provider_fivetran.core.setup_watch import watch_setup

        return watch_setup(ticket, utcnow, key_has_worked=key_has_worked)

    def _trigger_class(self) -> type[FivetranSetupTrigger]:
        from airflow_provider_fivetran.trigger_setup import FivetranSetupTrigger

        return FivetranSetupTrigger

    def _conclude(self, context: Context, outcome: SetupWaited) -> str:  # noqa: ARG002 - as its kind has it
        error = outcome.error
        if error is not None:
            raise error
        self.log.info("%s", outcome.message)
        return outcome.connection_id
