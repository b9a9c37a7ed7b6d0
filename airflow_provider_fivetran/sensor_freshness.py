"""The sensor that waits until many connections are fresh. It only reads."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_fivetran.arguments import SHORTEST_POLL, deferrable_of, span_of
from airflow_provider_fivetran.clock import beyond, utcnow
from airflow_provider_fivetran.core.moments import in_words, write_moment
from airflow_provider_fivetran.core.policies import WhenMissing, WhenTroubled
from airflow_provider_fivetran.freshness_task import FreshnessTask, allowing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.freshness import FreshnessReport
    from airflow_provider_fivetran.core.policies import WhenEmpty
    from airflow_provider_fivetran.core.survey import Selection

__all__ = ["FivetranFreshnessSensor"]


class FivetranFreshnessSensor(FreshnessTask, BaseSensorOperator):
    """Waits until Fivetran connections are as fresh as demanded. It never starts or changes anything.

    What fresh means, what is looked at, and the XCom ``fivetran_freshness`` are those of
    :class:`~airflow_provider_fivetran.operators.FivetranFreshnessOperator`; so is the return value. Where something
    cannot become fresh by waiting, the sensor fails at once; a sync that failed is no such thing, for the next one
    may end well. What is still waited for at the end of ``timeout`` is listed in the error. While Fivetran cannot be
    reached the sensor waits on, and a key that is refused may be replaced for ten minutes.

    Deferred sensors on one Airflow connection share their looks: one request a look for up to a thousand
    connections, however many sensors wait with the same ``poke_interval``.

    Of each policy (``when_...``) about a trouble the values are ``"fail_if_stale"``: fail at once if such a
    connection is not fresh; ``"wait"``: wait for it like for any other; ``"fail"``: fail at once, however fresh it
    is; ``"ignore"``: neither wait for it nor fail. Of several troubles at once, ``"fail"``, ``"ignore"`` and then
    ``"fail_if_stale"`` decide.

    :param connector_ids: ids of connections, as a list or as a text with commas. With none of this and the next
        two: all connections that the key may see, those to come included.
    :param group_id: all connections of this group, those to come included;
    :param destination_name: or of the group with this name in the dashboard, which takes a request more when the
        sensor begins, and in reschedule mode at each look.
    :param exclude: ids of connections that are left out; an empty list or tuple leaves out none, and ``None`` or
        ``""`` is an error.
    :param fresh_since: a datetime, or a text in ISO 8601 (UTC, unless it says otherwise): fresh is what ended well
        then or later;
    :param fresh_within: or so recently, a timedelta or seconds, by Fivetran's clock, counted back from each look.
        Exactly one of the two.
    :param when_broken: its setup is broken, or was never completed; ``"fail_if_stale"``, but while a sync of it
        runs, which may mend it, that is waited for.
    :param when_paused: it is paused; ``"fail_if_stale"``.
    :param when_delayed: Fivetran calls it delayed; ``"wait"``.
    :param when_rescheduled: Fivetran put its sync off; ``"wait"``.
    :param when_missing: one of ``connector_ids`` does not exist, or the key may not see it: ``"fail"``, ``"wait"``
        or ``"ignore"``.
    :param when_empty: there are no connections to look at: ``"fail"`` or ``"pass"``.
    :param poke_interval: pause between two looks, a timedelta or seconds; 60 s, in deferrable mode too.
    :param deferrable: wait in the triggerer; unset follows ``[operators] default_deferrable``.
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param fivetran_retry_limit: how often a request of a worker is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :raises ValueError: an argument is not allowed (when the DAG is parsed, or after its template was rendered).
    :raises FivetranNotFresh: a policy says to wait no longer, and a retry may find it otherwise.
    :raises AirflowSensorTimeout: ``timeout`` passed first.
    :raises AirflowFailException: trying again would change nothing: something is broken, paused or missing
        (``FivetranNeedsAttention``), there is nothing to look at, the key is wrong, ... The error itself is its
        ``__cause__``.
    """

    policies = allowing(WhenTroubled, WhenMissing)

    def __init__(
        self,
        *,
        connector_ids: str | Sequence[str] | None = None,
        group_id: str | None = None,
        destination_name: str | None = None,
        exclude: str | Sequence[str] = (),
        fresh_since: str | datetime | None = None,
        fresh_within: float | timedelta | None = None,
        when_broken: WhenTroubled = "fail_if_stale",
        when_paused: WhenTroubled = "fail_if_stale",
        when_delayed: WhenTroubled = "wait",
        when_rescheduled: WhenTroubled = "wait",
        when_missing: WhenMissing = "fail",
        when_empty: WhenEmpty = "fail",
        poke_interval: float | timedelta = 60,
        deferrable: bool | None = None,
        fivetran_conn_id: str = "fivetran_default",
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        **kwargs: Any,
    ) -> None:
        interval = span_of("poke_interval", poke_interval, least=SHORTEST_POLL)
        if interval is None:
            raise ValueError("poke_interval is None; allowed is a timedelta or a number of seconds")
        super().__init__(poke_interval=interval.total_seconds(), **kwargs)
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
        self.deferrable = deferrable_of(deferrable)
        self._check_arguments()
        self._selected: Selection | None = None
        self._report: FreshnessReport | None = None
        self._has_looked = False

    def execute(self, context: Context) -> Any:
        """Look, and look again: in this worker, in a later one, or in the triggerer."""
        if not self.deferrable:
            return self._sense(context)
        deadline = utcnow() + timedelta(seconds=self.timeout)
        done = self.poke(context)
        if not isinstance(done, PokeReturnValue):
            from airflow_provider_fivetran.triggers import FivetranFreshnessTrigger

            selected = self._selected
            assert selected is not None  # noqa: S101  # poke made it, or raised
            self.defer(
                trigger=FivetranFreshnessTrigger(
                    selection=selected.to_json(),
                    demand=self._demand().to_json(),
                    fivetran_conn_id=self.fivetran_conn_id,
                    poke_interval=float(self.poke_interval),
                    deadline=write_moment(deadline),
                ),
                method_name="execute_complete",
                timeout=beyond(deadline),
            )
        return done.xcom_value

    def _sense(self, context: Context) -> Any:
        from airflow_provider_fivetran.core.errors import FivetranSyncTimeout
        from airflow_provider_fivetran.raising import as_airflow_promises

        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            if self._report is None:
                raise
            self._leave(context, self._report)
            with as_airflow_promises(self):
                raise FivetranSyncTimeout(self._overdue(self._report, None)) from error
        except AirflowSkipException:  # ``soft_fail`` and ``never_fail`` make it of every error
            if self._report is not None:
                self._leave(context, self._report)
            raise

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once."""
        from airflow_provider_fivetran.core import steps
        from airflow_provider_fivetran.core.errors import FivetranError
        from airflow_provider_fivetran.core.freshness_words import what_is_wrong
        from airflow_provider_fivetran.raising import as_airflow_promises

        # A key that is refused at the very first look was put there wrong; later, somebody is replacing it.
        is_first = self._is_first_look(context)
        endured = timedelta(0) if is_first else steps.REFUSAL_PATIENCE
        with as_airflow_promises(self), self._hook() as hook:
            try:
                self._selected = self._selected or self._selection(hook)
                report = hook.report_on(
                    self._selected, self._demand(), patience=timedelta(0), with_refusals=endured
                )
            except FivetranError as error:
                # Without a selection there is nothing to hand to the triggerer.
                if error.permanent or (self._selected is None and self.deferrable):
                    raise
                self.log.warning("cannot ask Fivetran at the moment, asking again: %s", error)
                return False
            self._report = report
            if report.is_as_demanded or report.ends_wait:
                return PokeReturnValue(True, self._conclude(context, report))
            self.log.info("Waiting. %s", what_is_wrong(report))
            return False

    def execute_complete(self, context: Context, event: object) -> Any:
        """Go on when the trigger has sent its event."""
        from airflow_provider_fivetran.core.errors import (
            FivetranSyncTimeout,
            FivetranUnexpectedAnswer,
        )
        from airflow_provider_fivetran.core.events import BrokenOff, read_event
        from airflow_provider_fivetran.core.freshness import Waited
        from airflow_provider_fivetran.raising import as_airflow_promises

        with as_airflow_promises(self):
            try:
                waited = Waited.from_event(event)
            except ValueError as error:
                raise FivetranUnexpectedAnswer(
                    f"the trigger sent an event that is not understood: {error}"
                ) from error
            if waited is None:
                outcome = read_event(event)
                if isinstance(outcome, BrokenOff):
                    raise outcome.error
                raise FivetranUnexpectedAnswer("the trigger sent an event about something else")
            if waited.is_over:
                if waited.report is not None:
                    self._leave(context, waited.report)
                raise FivetranSyncTimeout(self._overdue(waited.report, waited.trouble))
            assert waited.report is not None  # noqa: S101  # or else the time is over
            return self._conclude(context, waited.report)

    def _is_first_look(self, context: Context) -> bool:
        if self.reschedule:  # the first look was in another process
            from airflow_provider_fivetran.rescheduling import began_at

            now = utcnow()
            return began_at(context, now) == now
        is_first, self._has_looked = not self._has_looked, True
        return is_first

    def _overdue(self, report: FreshnessReport | None, trouble: str | None) -> str:
        from airflow_provider_fivetran.core.freshness_words import what_is_wrong

        parts = [f"The wait reached its limit of {in_words(timedelta(seconds=self.timeout))}"]
        if trouble is not None:
            parts.append(f"Fivetran cannot be read: {trouble}")
        if report is not None:
            parts.append(what_is_wrong(report))
        return ". ".join(parts)
