"""The operator that checks whether many connections are fresh, and fails at once if they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_fivetran.core.policies import CheckMissing, CheckTroubled
from airflow_provider_fivetran.freshness_task import FreshnessTask, allowing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.policies import WhenEmpty

__all__ = ["FivetranFreshnessOperator"]


class FivetranFreshnessOperator(FreshnessTask, BaseOperator):
    """Checks once whether Fivetran connections are as fresh as demanded, and fails with all that are not.

    Fresh is a connection whose last sync that ended well ended late enough: Fivetran's ``succeeded_at``. One error
    text lists what is not as demanded, what matters most first, each with why, since when, and a link. The XCom
    ``fivetran_freshness`` holds the whole report, of a failed check too: ``is_as_demanded``, ``checked_at``,
    ``fresh_since``, ``counts`` by state, and ``connections``, of which each has a ``state``: ``broken``,
    ``missing``, ``paused``, ``never_succeeded``, ``rescheduled`` (put off), ``delayed``, ``stale`` or ``fresh``.
    It only reads.

    One request takes up to a thousand connections; up to three that are given by their ids take one each.

    The return value is the oldest last success among the fresh connections, in ISO 8601: up to then all their data
    are there. It is ``None`` if there is none.

    Of each policy (``when_...``) about a trouble the values are ``"fail_if_stale"``: such a connection is judged by
    its data alone, and listed as unhealthy in a warning where they are fresh; ``"fail"``: it is a failure, however
    fresh they are; ``"ignore"``: it never is one. Of several troubles at once, ``"fail"`` and then ``"ignore"``
    decide.

    :param connector_ids: ids of connections, as a list or as a text with commas. With none of this and the next
        two: all connections that the key may see.
    :param group_id: all connections of this group;
    :param destination_name: or of the group with this name in the dashboard, which takes a request more.
    :param exclude: ids of connections that are left out; an empty list or tuple leaves out none, and ``None`` or
        ``""`` is an error.
    :param fresh_since: a datetime, or a text in ISO 8601 (UTC, unless it says otherwise): fresh is what ended well
        then or later;
    :param fresh_within: or so recently, a timedelta or seconds, by Fivetran's clock. Exactly one of the two.
    :param when_broken: its setup is broken, or was never completed (``setup_state``); ``"fail_if_stale"``.
    :param when_paused: it is paused; ``"fail_if_stale"``.
    :param when_delayed: Fivetran calls it delayed (``update_state``), by the threshold that is set in Fivetran;
        ``"fail_if_stale"``.
    :param when_rescheduled: Fivetran put its sync off (``sync_state``); ``"fail_if_stale"``.
    :param when_missing: one of ``connector_ids`` does not exist, or the key may not see it: ``"fail"`` or
        ``"ignore"``.
    :param when_empty: there are no connections to look at: ``"fail"`` or ``"pass"``.
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param fivetran_retry_limit: how often a request is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :raises ValueError: an argument is not allowed (when the DAG is parsed, or after its template was rendered).
    :raises FivetranNotFresh: not all is as demanded, and a retry may find it so.
    :raises FivetranUnreachable: Fivetran could not be reached for two minutes.
    :raises AirflowFailException: trying again would change nothing: something is broken, paused or missing
        (``FivetranNeedsAttention``), there is nothing to look at, the key is wrong, ... The error itself is its
        ``__cause__``.
    """

    policies = allowing(CheckTroubled, CheckMissing)

    def __init__(
        self,
        *,
        connector_ids: str | Sequence[str] | None = None,
        group_id: str | None = None,
        destination_name: str | None = None,
        exclude: str | Sequence[str] = (),
        fresh_since: str | datetime | None = None,
        fresh_within: float | timedelta | None = None,
        when_broken: CheckTroubled = "fail_if_stale",
        when_paused: CheckTroubled = "fail_if_stale",
        when_delayed: CheckTroubled = "fail_if_stale",
        when_rescheduled: CheckTroubled = "fail_if_stale",
        when_missing: CheckMissing = "fail",
        when_empty: WhenEmpty = "fail",
        fivetran_conn_id: str = "fivetran_default",
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.connector_ids = connector_ids
        self.group_id = group_id
        self.destination_name = destination_name
        self.exclude = exclude
        self.fresh_since = fresh_since
        self.fresh_within = fresh_within
        self.when_broken = when_broken
        self.when_paused = when_paused
        self.when_delayed = when_delayed
        self.when_rescheduled = when_rescheduled
        self.when_missing = when_missing
        self.when_empty = when_empty
        self.fivetran_conn_id = fivetran_conn_id
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self._check_arguments()

    def execute(self, context: Context) -> str | None:
        """Look once, and judge."""
        from airflow_provider_fivetran.raising import failing_at_once_when_pointless  # noqa: PLC0415

        with failing_at_once_when_pointless(), self._hook() as hook:
            return self._conclude(context, hook.report_on(self._selection(hook), self._demand()))
