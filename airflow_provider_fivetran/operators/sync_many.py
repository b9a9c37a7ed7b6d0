"""The operator that syncs many connections in one task."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, BaseOperator

from airflow_provider_fivetran.arguments import (
    SHORTEST_POLL,
    WAYS,
    check_choice,
    check_chosen,
    check_flag,
    check_share,
    check_whole,
    ids_of,
    span_of,
)
from airflow_provider_fivetran.core.policies import (
    ScheduleType,
    WhenBroken,
    WhenEmpty,
    WhenKilled,
    WhenPaused,
    WhenRescheduled,
    WhenRunning,
    WhenSomeFail,
)
from airflow_provider_fivetran.fivetran_task import FivetranTask
from airflow_provider_fivetran.links import FivetranConnectionLink
from airflow_provider_fivetran.operators.waiting_task import HOUR, OUT_OF_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.providers.common.compat.sdk import AssetAlias, Context

    from airflow_provider_fivetran.core.many import Tolerance
    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.operators.many_visit import ManyVisit
    from airflow_provider_fivetran.operators.one_of_many import Each

__all__ = ["FivetranSyncManyOperator"]

# As long as a historical sync may take.
WEEK = timedelta(days=7)
# The waits of more than these are too much for what MySQL holds of one trigger.
MOST_PARALLEL = 200
POLICIES = {
    "when_some_fail": WhenSomeFail,
    "when_empty": WhenEmpty,
    "when_running": WhenRunning,
    "when_rescheduled": WhenRescheduled,
    "when_paused": WhenPaused,
    "when_broken": WhenBroken,
    "when_killed": WhenKilled,
}


class FivetranSyncManyOperator(FivetranTask, BaseOperator):
    """Syncs many connections in one task, so many at once, and tells what became of each.

    It is always deferrable: a worker starts syncs for as long as there is room and leaves, the triggerer waits for
    all of them, and a worker comes back for the next. What holds for the sync of a
    :class:`~airflow_provider_fivetran.operators.FivetranOperator` holds for each: how it is started, known, waited
    for, put off and stopped, and that none is started twice. A connection that fails, hangs or cannot be started
    does not hold up the others.

    The XCom ``fivetran_syncs`` holds ``counts`` by status and, in ``connections``, for each connection its
    ``connection_id``, ``status``, ``ended_at``, ``reason`` (300 characters at most), ``error`` (the kind of error
    that it means), ``permanent`` (no retry mends it) and ``link``; of a failed task too, and, while the task is
    deferred, how far each has come. A status is that of a sync's record (``succeeded``, ``fresh``, ``failed``,
    ``cancelled``, ``rescheduled``, ``paused``, ``gone``, ``never_started``, ``timed_out``, ``skipped``) or
    ``waiting``, ``running`` (with a ``reason``: it may be), ``not_started`` or ``unknown``.

    The return value is the list of the ids whose data are there: ``succeeded`` or ``fresh``.

    On Airflow 3.3 and newer a retry syncs only what did not succeed, and goes on with the syncs that still run. On
    older versions, which keep nothing through a retry, it takes the syncs that run as its own and syncs the rest
    once more. A task that is cleared chooses anew and syncs all.

    An ``AssetAlias`` among the ``outlets`` gets the asset of each connection whose data are there, when the task
    succeeds.

    At least one of the first six arguments is given; connections are those of which all that is given is so.

    :param connector_ids: ids of connections, as a list or as a text with commas. With nothing else that narrows the
        choice this takes no request; otherwise it takes one for each thousand connections.
    :param group_id: all connections of this group;
    :param destination_name: or of the group with this name in the dashboard, which takes a request more.
    :param services: types of connections, such as ``"postgres"``: a list, or a text with commas.
    :param name_pattern: of the name of the schema, which the dashboard shows: ``*`` stands for any text, ``?`` for
        any character; ``"*"`` alone: all that the key may see.
    :param only_failed: only those whose last sync did not end well; False.
    :param exclude: ids of connections that are left out; an empty list or tuple leaves out none, and what a template
        makes of nothing is an error.
    :param max_parallel: so many syncs run at once at most, from 1 to 200; 50.
    :param when_some_fail: some did not end well. ``"fail"``; ``"succeed"``; ``"fail_above"``: fail if they are more
        than ``fail_above`` allows. If none ended well, the task fails. Those that a policy skips do not count.
    :param fail_above: with ``when_some_fail="fail_above"``: the share that may fail, above 0 and below 1.
    :param when_empty: there are no connections to sync: ``"fail"`` or ``"pass"``.
    :param total_timeout: limit of the whole task, from its first start, across deferrals and workers that die, a
        timedelta or seconds; 7 days. What runs then is ``timed_out``, what waits for its turn ``not_started``.
        ``execution_timeout`` limits it too, if it is shorter.
    :param timeout: limit of the wait for each sync, from its trigger, as of ``FivetranOperator``.
    :param when_killed: what becomes of the syncs that run when the task is ended: ``"leave"`` or ``"stop"``, as of
        ``FivetranOperator``.
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param when_running: as of ``FivetranOperator``, and so are ``when_rescheduled``, ``when_paused``,
        ``when_broken``, ``schedule_type``, ``restore_schedule``, ``reschedule_wait_time``, ``fresh_within``,
        ``start_timeout``, ``poll_frequency``, ``fivetran_retry_limit`` and ``fivetran_retry_delay``. A ``"skip"`` or
        a ``"fail"`` is about that one connection.
    :raises ValueError: an argument is not allowed (when the DAG is parsed, or after its template was rendered).
    :raises FivetranSyncsFailed: more did not end well than it bears; the text lists them.
    :raises FivetranUnreachable: Fivetran could not be reached for two minutes before anything was started.
    :raises AirflowFailException: trying again would change nothing: no retry mends any of those that did not end
        well (``FivetranSyncsNeedAttention``), there is nothing to sync, the key is wrong, ... The error itself is
        its ``__cause__``.
    :raises AirflowSkipException: a policy has skipped all connections.
    """

    template_fields: Sequence[str] = (
        "connector_ids",
        "group_id",
        "destination_name",
        "services",
        "name_pattern",
        "exclude",
        "fivetran_conn_id",
    )
    operator_extra_links = (FivetranConnectionLink(),)
    ui_color = "#e6f0ff"
    # Tables are told of by the single operator only: it takes three requests for each connection.
    table_assets: AssetAlias | None = None

    def __init__(
        self,
        *,
        connector_ids: str | Sequence[str] | None = None,
        group_id: str | None = None,
        destination_name: str | None = None,
        services: str | Sequence[str] | None = None,
        name_pattern: str | None = None,
        only_failed: bool = False,
        exclude: str | Sequence[str] = (),
        max_parallel: int = 50,
        when_some_fail: WhenSomeFail = "fail",
        fail_above: float | None = None,
        when_empty: WhenEmpty = "fail",
        total_timeout: float | timedelta = WEEK,
        timeout: float | timedelta | None = None,
        start_timeout: float | timedelta = HOUR,
        when_running: WhenRunning = "attach",
        when_rescheduled: WhenRescheduled = "wait",
        when_paused: WhenPaused = "fail",
        when_broken: WhenBroken = "try",
        when_killed: WhenKilled = "leave",
        schedule_type: ScheduleType | None = None,
        restore_schedule: bool = False,
        reschedule_wait_time: float | timedelta = 0,
        fresh_within: float | timedelta | None = None,
        poll_frequency: float | timedelta | None = None,
        fivetran_conn_id: str = "fivetran_default",
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.connector_ids = connector_ids
        self.group_id = group_id
        self.destination_name = destination_name
        self.services = services
        self.name_pattern = name_pattern
        self.only_failed = only_failed
        self.exclude = exclude
        self.max_parallel = max_parallel
        self.when_some_fail = when_some_fail
        self.fail_above = fail_above
        self.when_empty = when_empty
        self.total_timeout = total_timeout
        self.timeout = timeout
        self.start_timeout = start_timeout
        self.when_running = when_running
        self.when_rescheduled = when_rescheduled
        self.when_paused = when_paused
        self.when_broken = when_broken
        self.when_killed = when_killed
        self.schedule_type = schedule_type
        self.restore_schedule = restore_schedule
        self.reschedule_wait_time = reschedule_wait_time
        self.fresh_within = fresh_within
        self.poll_frequency = poll_frequency
        self.fivetran_conn_id = fivetran_conn_id
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self._at_work: ManyVisit | None = None
        self._check_choice()
        self._check_outlets()
        self._check_arguments()

    def _check_choice(self) -> None:
        check_chosen(self._choice(), empty=self.when_empty == "pass")
        # What comes to nothing must not mean "all".
        self._expect((*WAYS, "services", "name_pattern", "exclude"))

    def _choice(self) -> dict[str, Any]:
        return {
            name: getattr(self, name)
            for name in (*WAYS, "services", "name_pattern", "only_failed", "exclude")
        }

    def _check_outlets(self) -> None:
        if not self.outlets:
            return
        from airflow_provider_fivetran.core.asset_uris import Subject

        for outlet in self.outlets:
            subject = Subject.of(getattr(outlet, "uri", ""))
            if subject is not None:
                raise ValueError(
                    f"outlets has {subject.uri}, of which Airflow tells when this task succeeds, whatever became of "
                    "its sync; give an AssetAlias, which gets the asset of each connection that was synced"
                )

    def _check_arguments(self) -> None:
        for name, allowed in POLICIES.items():
            check_choice(name, getattr(self, name), allowed)
        check_choice("schedule_type", self.schedule_type, ScheduleType, optional=True)
        check_flag("restore_schedule", self.restore_schedule)
        if self.restore_schedule and self.schedule_type is None:
            raise ValueError(
                "restore_schedule is True, but schedule_type is not set: there is nothing to put back"
            )
        check_whole("max_parallel", self.max_parallel, most=MOST_PARALLEL)
        if self.when_some_fail == "fail_above":
            check_share("fail_above", self.fail_above)
        elif self.fail_above is not None:
            raise ValueError(
                f"fail_above is {self.fail_above!r}, and when_some_fail is {self.when_some_fail!r}; allowed is a "
                "share only with when_some_fail='fail_above'"
            )
        self._check_way_to_fivetran()
        for name in ("total_timeout", "timeout", "start_timeout", "fresh_within"):
            span_of(name, getattr(self, name))
        span_of("reschedule_wait_time", self.reschedule_wait_time, zero=True)
        span_of("poll_frequency", self.poll_frequency, least=SHORTEST_POLL)

    # --- the task -----------------------------------------------------------------------------------------

    def execute(self, context: Context) -> list[str]:
        """Choose the connections, and start as many syncs as may run at once."""
        with self._visit(context) as visit:
            return visit.begin()

    def execute_complete(self, context: Context, event: object) -> list[str]:
        """Go on when the trigger has sent its event."""
        with self._visit(context) as visit:
            return visit.resume(event)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """See to the connections when Airflow resumes the task without an event: the trigger died or was late."""
        if next_method != "__fail__":
            return super().resume_execution(next_method, next_kwargs, context)
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            out_of_time = (next_kwargs or {}).get("error") in OUT_OF_TIME
            with self._visit(context) as visit:
                return visit.was_cut_off(error, out_of_time=out_of_time)

    def on_kill(self) -> None:
        """Leave or stop the syncs that run, as wanted."""
        if self._at_work is not None:
            self._at_work.was_killed()

    # --- its parts ----------------------------------------------------------------------------------------
    # What runs a task is imported when it runs: a DAG file is parsed over and over.

    @contextmanager
    def _visit(self, context: Context) -> Iterator[ManyVisit]:
        """A visit to a worker; errors leave it as Airflow wants them."""
        from airflow_provider_fivetran.operators.many_visit import ManyVisit
        from airflow_provider_fivetran.raising import failing_at_once_when_pointless

        hook = self._hook()
        with failing_at_once_when_pointless(), hook:
            visit = self._at_work = ManyVisit(self, context, hook)
            try:
                visit.open()
                yield visit
            finally:
                self._at_work = None
                visit.close()

    def choose(self, hook: FivetranHook) -> tuple[str, ...]:
        """The ids of the connections, as Fivetran shows them now."""
        return hook.choose_connections(**self._choice())

    def request(self) -> dict[str, Any]:
        """Which connections were asked for, as plain JSON.

        :raises FivetranArgumentMissing: a template, or another task, has found none where some were to be named.
        """
        self._check_found()
        choice = self._choice()
        for name, what in (("connector_ids", "id"), ("services", "type")):
            if choice[name] is not None:
                choice[name] = list(ids_of(name, choice[name], what=what))
        return choice | {"exclude": sorted(ids_of("exclude", self.exclude))}

    @property
    def limit(self) -> timedelta:
        """How long the whole task may take."""
        own = span_of("total_timeout", self.total_timeout) or WEEK
        return own if self.execution_timeout is None else min(own, self.execution_timeout)

    @property
    def tolerance(self) -> Tolerance:
        """What it means that some syncs did not end well."""
        from airflow_provider_fivetran.core.many import Tolerance

        return Tolerance(when_some_fail=self.when_some_fail, fail_above=self.fail_above)

    def each(self) -> Each:
        """What is wanted of each connection."""
        from airflow_provider_fivetran.core.orders import Order
        from airflow_provider_fivetran.operators.memory import KEPT
        from airflow_provider_fivetran.operators.one_of_many import Each

        order = Order(
            connection_id="",
            when_running=self.when_running,
            when_rescheduled=self.when_rescheduled,
            when_paused=self.when_paused,
            when_broken=self.when_broken,
            schedule_type=self.schedule_type,
            restore_schedule=self.restore_schedule,
            poll_frequency=span_of("poll_frequency", self.poll_frequency, least=SHORTEST_POLL),
            reschedule_wait=span_of("reschedule_wait_time", self.reschedule_wait_time, zero=True) or None,
            fresh_within=span_of("fresh_within", self.fresh_within),
            timeout=span_of("timeout", self.timeout),
            start_timeout=span_of("start_timeout", self.start_timeout) or HOUR,
        )
        return Each(
            order=order,
            retries=self.retries,
            when_killed=self.when_killed,
            fivetran_conn_id=self.fivetran_conn_id,
            fivetran_retry_limit=self.fivetran_retry_limit,
            fivetran_retry_delay=self.fivetran_retry_delay,
            # All tries of the task, and as long again for the pauses between them.
            kept_after_the_end=max(KEPT, 2 * self.limit * (1 + (self.retries or 0))),
        )
