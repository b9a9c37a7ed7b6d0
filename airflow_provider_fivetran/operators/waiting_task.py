"""What all operators share that start something in Fivetran and wait for its end."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, BaseOperator

from airflow_provider_fivetran.arguments import (
    SHORTEST_POLL,
    check_flag,
    deferrable_of,
    span_of,
)
from airflow_provider_fivetran.fivetran_task import FivetranTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.operators.visiting import Visiting

__all__ = ["HOUR", "OUT_OF_TIME", "WaitingTask"]

HOUR = timedelta(hours=1)
# What Airflow 3 and Airflow 2 tell a task whose trigger has sent nothing until the limit of the deferral.
OUT_OF_TIME = ("Trigger timeout", "Trigger/execution timeout")


class WaitingTask(FivetranTask, BaseOperator):
    """A task that starts something and waits for its end. Importing it loads nothing that only runs tasks.

    Its arguments are described, and have their defaults, where the operators that DAGs use declare them.
    """

    ui_color = "#e6f0ff"
    when_killed: str

    def __init__(
        self,
        *,
        fivetran_conn_id: str,
        fivetran_retry_limit: int,
        fivetran_retry_delay: float,
        poll_frequency: float | timedelta | None,
        deferrable: bool | None,
        wait_for_completion: bool,
        timeout: float | timedelta | None,
        start_timeout: float | timedelta,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fivetran_conn_id = fivetran_conn_id
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self.poll_frequency = poll_frequency
        self.deferrable = deferrable_of(deferrable)
        self.wait_for_completion = wait_for_completion
        self.timeout = timeout
        self.start_timeout = start_timeout
        self._at_work: Visiting[Any, Any, Any] | None = None

    def _check_arguments(self) -> None:
        """Check what can be checked when the DAG is parsed.

        :raises ValueError: an argument is not allowed.
        """
        self._check_way_to_fivetran()
        check_flag("deferrable", self.deferrable)
        check_flag("wait_for_completion", self.wait_for_completion)
        self._durations()

    def _durations(self) -> dict[str, Any]:
        """The durations of an order.

        :raises ValueError: one of them is none.
        """
        return {
            "poll_frequency": span_of("poll_frequency", self.poll_frequency, least=SHORTEST_POLL),
            "timeout": span_of("timeout", self.timeout),
            "at_most": self.execution_timeout,
            "start_timeout": span_of("start_timeout", self.start_timeout) or HOUR,
        }

    # --- the task -----------------------------------------------------------------------------------------

    def execute_complete(self, context: Context, event: object) -> str | None:
        """Go on when the trigger has sent its event."""
        with self._way_to_fivetran() as hook, self._visit(context, hook) as visit:
            return visit.resume(event)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Look once more when Airflow resumes the task without an event: the trigger died or was late."""
        if next_method != "__fail__":
            return super().resume_execution(next_method, next_kwargs, context)
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            out_of_time = (next_kwargs or {}).get("error") in OUT_OF_TIME
            with self._way_to_fivetran() as hook, self._visit(context, hook) as visit:
                return visit.was_cut_off(error, out_of_time=out_of_time)

    def on_kill(self) -> None:
        """See to what this worker waits for, as ``when_killed`` says."""
        if self._at_work is not None:
            self._at_work.was_killed()

    # --- its parts ----------------------------------------------------------------------------------------
    # What runs a task is imported when it runs: a DAG file is parsed over and over.

    @contextmanager
    def _way_to_fivetran(self) -> Iterator[Callable[[], FivetranHook]]:
        """The hook, made on first use, for not every visit needs it; errors leave it as Airflow wants them."""
        from airflow_provider_fivetran.raising import failing_at_once_when_pointless

        with failing_at_once_when_pointless(), ExitStack() as until_the_end:
            yield cache(lambda: until_the_end.enter_context(self._hook()))

    @contextmanager
    def _visit(self, context: Context, hook: Callable[[], FivetranHook]) -> Iterator[Visiting[Any, Any, Any]]:
        """A visit to a worker, which is told if the task is killed."""
        visit = self._at_work = self._visit_with(context, hook)
        try:
            yield visit
        finally:
            self._at_work = None
        self._announce(context, visit.pushed)

    @abstractmethod
    def _visit_with(self, context: Context, hook: Callable[[], FivetranHook]) -> Visiting[Any, Any, Any]:
        """The kind of visit that such a task makes."""

    def _announce(self, context: Context, pushed: Any) -> None:
        """Tell others of the end of a visit that ended without an error."""
