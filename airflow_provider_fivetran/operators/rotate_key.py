"""The operator that rotates the system keys of an Airflow connection and its fallback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_fivetran.arguments import check_choice, check_found, check_text, span_of
from airflow_provider_fivetran.core.policies import ExpirationPeriod
from airflow_provider_fivetran.fivetran_task import FivetranTask

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.key_stores import Store

__all__ = ["FivetranRotateKeyOperator"]


class FivetranRotateKeyOperator(FivetranTask, BaseOperator):
    """Gives the system keys of an Airflow connection and of its ``fallback_conn_id`` new secrets, one by one.

    A key is rotated only right after the other one has been seen to work through its own Airflow connection, and its
    new secret is stored and seen to work before the other is touched. So there is a key that works at every moment,
    also when the task dies in between: then the next try renews the dead key first, so ``retries`` should be at
    least 1. A second connection whose login and password are empty gets a key, with the permissions of the first,
    called like it with ``_spare``.

    Both keys must be system keys that nothing but these two Airflow connections uses, and the second may do no less
    than the first. No two of these tasks should
    work on the same pair at a time; of one task only one instance runs (``max_active_tis_per_dag`` is 1).

    The return value is a list of what was renewed: ``conn_id``, ``system_key_id``, ``name`` and ``expires_at``.

    :param store: puts the new login and password into an Airflow connection, called with its id, the login and the
        password: :class:`~airflow_provider_fivetran.key_stores.AirflowConnections` for those in Airflow's database,
        or a callable of yours for a secrets backend. It may be called again with the same, and must not log what it
        gets.
    :param admin_conn_id: id of an Airflow connection with the API key of a user who is an account administrator, for
        system keys cannot manage system keys.
    :param fivetran_conn_id: id of the Airflow connection whose key is rotated, and whose fallback's key;
        ``fivetran_default``.
    :param expiration_period: after which Fivetran refuses the new secrets: ``"INFINITE"``, ``"ONE_WEEK"``,
        ``"ONE_MONTH"``, ``"THREE_MONTHS"``, ``"SIX_MONTHS"``.
    :param settling: how long a stored secret may take until each process of Airflow is handed it, a timedelta or
        seconds; 60. So long the task waits for it at most, and always between the two keys.
    :param fivetran_retry_limit: how often a request that may be repeated is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :raises ValueError: an argument is not allowed (when the DAG is parsed).
    :raises AirflowFailException: trying again would change nothing: there is no fallback, one of the two has the key
        of a user, the administrator's key may not manage system keys, ... The error itself is its ``__cause__``.
    :raises FivetranKeyNotStored: a new secret could not be stored or is not handed out; the text says what is left.
    """

    template_fields: Sequence[str] = ("admin_conn_id", "fivetran_conn_id")
    ui_color = "#e6f0ff"

    def __init__(
        self,
        *,
        store: Store,
        admin_conn_id: str,
        fivetran_conn_id: str = "fivetran_default",
        expiration_period: ExpirationPeriod = "INFINITE",
        settling: float | timedelta = 60,
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("max_active_tis_per_dag", 1)
        super().__init__(**kwargs)
        self.store = store
        self.admin_conn_id = admin_conn_id
        self.fivetran_conn_id = fivetran_conn_id
        self.expiration_period = expiration_period
        self.settling = settling
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self._check_arguments()

    def _check_arguments(self) -> None:
        if not callable(self.store):
            raise ValueError(  # noqa: TRY004 - to its author one wrong argument among others
                f"store is {self.store!r}; allowed is a callable that takes the id of an Airflow connection, a "
                "login and a password, such as AirflowConnections('airflow_api')"
            )
        check_text("admin_conn_id", self.admin_conn_id)
        self._check_way_to_fivetran()
        if self.admin_conn_id == self.fivetran_conn_id:
            raise ValueError(
                f"admin_conn_id and fivetran_conn_id are both {self.admin_conn_id!r}; allowed are two: system keys, "
                "such as the one that is rotated, cannot manage system keys"
            )
        check_choice("expiration_period", self.expiration_period, ExpirationPeriod)
        span_of("settling", self.settling, zero=True)

    def execute(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002 - Airflow's signature
        """Look which key is which, and renew one after the other."""
        from airflow_provider_fivetran.key_rotation import KeyRotation  # noqa: PLC0415
        from airflow_provider_fivetran.raising import failing_at_once_when_pointless  # noqa: PLC0415

        settling = span_of("settling", self.settling, zero=True)
        with failing_at_once_when_pointless(), self._hook("admin_conn_id") as admin:
            check_found("fivetran_conn_id", self.fivetran_conn_id)
            return KeyRotation(
                self.fivetran_conn_id,
                admin,
                self.store,
                expiration_period=self.expiration_period,
                settling=settling.total_seconds() if settling else 0.0,
            ).rotate()
