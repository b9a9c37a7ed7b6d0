"""The sensor that waits until somebody has authorised a connection. It only reads."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_fivetran.arguments import (
    SHORTEST_POLL,
    check_attempts,
    check_delay,
    check_identified,
    check_text,
    span_of,
)
from airflow_provider_fivetran.links import FivetranConnectionLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

__all__ = ["FivetranSetupSensor"]

COMPLETE = "connected"


class FivetranSetupSensor(BaseSensorOperator):
    """Waits until the setup of a Fivetran connection is complete: until somebody has authorised it.

    Complete is what Fivetran calls ``connected``: the setup tests have passed. Fivetran runs them at the end of a
    Connect Card; the sensor runs none, and changes nothing. A setup that is ``broken`` is waited for like one that
    is ``incomplete``, for a person can mend both. A connection that does not exist is an error.

    A person may take hours: with ``mode="reschedule"`` the sensor takes no worker while it waits.

    The return value is the id of the connection.

    :param connector_id: id of the Fivetran connection.
    :param connector_name: its name in the dashboard, with ``destination_name`` instead of the id.
    :param destination_name: name of its destination in the dashboard (its group's name).
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param poke_interval: pause between two looks, a timedelta or seconds; 60 s.
    :param fivetran_retry_limit: how often a request is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
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
    ui_color = "#e6f0ff"

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
        **kwargs: Any,
    ) -> None:
        interval = span_of("poke_interval", poke_interval, least=SHORTEST_POLL) or timedelta(seconds=60)
        super().__init__(poke_interval=interval.total_seconds(), **kwargs)
        self.connector_id = connector_id
        self.connector_name = connector_name
        self.destination_name = destination_name
        self.fivetran_conn_id = fivetran_conn_id
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        check_identified(connector_id, connector_name, destination_name)
        check_text("fivetran_conn_id", fivetran_conn_id)
        check_attempts(fivetran_retry_limit)
        check_delay(fivetran_retry_delay)
        self._said = ""

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once."""
        from airflow_provider_fivetran.core.errors import FivetranError  # noqa: PLC0415
        from airflow_provider_fivetran.hooks import FivetranHook  # noqa: PLC0415
        from airflow_provider_fivetran.raising import as_airflow_promises  # noqa: PLC0415

        with (
            as_airflow_promises(self),
            FivetranHook(
                self.fivetran_conn_id,
                fivetran_retry_limit=self.fivetran_retry_limit,
                fivetran_retry_delay=self.fivetran_retry_delay,
            ) as hook,
        ):
            try:
                connection_id = hook.find_id(self.connector_id, self.connector_name, self.destination_name)
                connection = hook.get_fivetran_connection(connection_id)
            except FivetranError as error:
                if error.permanent:
                    raise
                self.log.warning("cannot ask Fivetran at the moment, asking again: %s", error)
                return False
        state = connection.status.setup_state
        if state == COMPLETE:
            self.log.info("The setup of %s is complete", connection.id)
            return PokeReturnValue(True, connection.id)
        if state != self._said:
            FivetranConnectionLink.persist(context, connection.link)
            self.log.info("The setup of %s is %s; waiting for somebody to authorise it", connection.id, state)
            self._said = state
        return False
