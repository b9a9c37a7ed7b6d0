"""The part of the hook that runs transformations (dbt Core and Quickstart)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from airflow_provider_fivetran.arguments import SHORTEST_POLL, check_choice, check_found, span_of
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core import endpoints
from airflow_provider_fivetran.core.awaited import DEFAULT_START_TIMEOUT
from airflow_provider_fivetran.core.errors import FivetranArgumentMissing, FivetranError
from airflow_provider_fivetran.core.policies import WhenBlocked, WhenPartiallySucceeded
from airflow_provider_fivetran.core.run_starting import RunOrder, RunStarted, start_run
from airflow_provider_fivetran.core.run_watch import cancel_whatever_runs, watch_run
from airflow_provider_fivetran.core.runs import error_of_run
from airflow_provider_fivetran.hook_lookups import only_one

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_fivetran.core.models import Group
    from airflow_provider_fivetran.core.protocol import Call, Page
    from airflow_provider_fivetran.core.run_starting import RunProgress
    from airflow_provider_fivetran.core.run_ticket import RunTicket
    from airflow_provider_fivetran.core.runs import RunRecord
    from airflow_provider_fivetran.core.steps import Procedure
    from airflow_provider_fivetran.core.transformations import Transformation

__all__ = ["TransformationCalls"]

T = TypeVar("T")


class TransformationCalls:
    """Methods of :class:`~airflow_provider_fivetran.hooks.FivetranHook`."""

    if TYPE_CHECKING:  # what the hook has

        def _value(self, call: Call[T]) -> T: ...

        def _pages(self, call: Call[Page[T]]) -> tuple[T, ...]: ...

        def carry_out(self, procedure: Procedure[T]) -> T: ...

        def find_group(self, destination_name: str) -> Group: ...

    def get_transformation(self, transformation_id: str) -> Transformation:
        """Read one transformation (``GET /v1/transformations/{id}``).

        :raises FivetranNotFound: it does not exist, or the key may not see it.
        """
        return self._value(endpoints.get_transformation(transformation_id))

    def list_transformations(self, *, group_id: str | None = None) -> tuple[Transformation, ...]:
        """Read all transformations that the key may see (``GET /v1/transformations``, all pages).

        :param group_id: only those of this group.
        """
        return self._pages(endpoints.list_transformations(group_id=group_id))

    def find_transformation(
        self, transformation_name: str, destination_name: str | None = None
    ) -> Transformation:
        """Find a transformation by its name.

        :param transformation_name: the name of a dbt Core transformation, or that of the package of a Quickstart
            one, exactly.
        :param destination_name: the name of its destination (its group), exactly; unset: in all destinations.
        :raises FivetranLookupError: none has these names, or more than one has.
        """
        group_id, where = None, ""
        if destination_name is not None:
            group_id = self.find_group(destination_name).id
            where = f" in the destination {destination_name!r}"
        listed = self.list_transformations(group_id=group_id)
        return only_one(
            [transformation for transformation in listed if transformation.name == transformation_name],
            f"transformation named {transformation_name!r}{where}",
            known=[transformation.name for transformation in listed],
            wanted=transformation_name,
            instead="the id, or name the destination",
        )

    def find_transformation_id(
        self, transformation_id: str | None, transformation_name: str | None, destination_name: str | None
    ) -> str:
        """The id of a transformation that is given by its id, or by its name.

        :raises FivetranArgumentMissing: neither is given, or what is given is empty.
        :raises FivetranLookupError: as :meth:`find_transformation`.
        """
        if transformation_id is not None:
            check_found("transformation_id", transformation_id)
            return transformation_id
        if transformation_name is None:
            raise FivetranArgumentMissing(
                "neither transformation_id nor transformation_name is given: did its template, or the task it comes "
                "from, find no value?"
            )
        check_found("transformation_name", transformation_name)
        if destination_name is not None:
            check_found("destination_name", destination_name)
        return self.find_transformation(transformation_name, destination_name).id

    def run_transformation(
        self,
        transformation_id: str,
        *,
        full_refresh: bool = False,
        when_running: Literal["attach", "fail"] = "attach",
        when_partially_succeeded: WhenPartiallySucceeded = "fail",
        when_blocked: WhenBlocked = "fail",
        timeout: float | timedelta | None = None,
        start_timeout: float | timedelta = DEFAULT_START_TIMEOUT,
        poll_frequency: float | timedelta | None = None,
    ) -> RunTicket:
        """Run a transformation, or join the run that is under way, and take a ticket for it.

        A trigger whose answer is lost is not sent again before it is known not to have taken.

        :param full_refresh: rebuild incremental models from nothing; a run that is under way is never joined then.
        :param when_running: a run is under way: take it as ours, or an error.
        :param when_partially_succeeded: a run that succeeds in part: an error, or enough.
        :param when_blocked: the transformation is blocked: an error, or wait.
        :param timeout: limit of the wait, a timedelta or seconds; unset: 24 hours.
        :param start_timeout: within this the run must show itself, a timedelta or seconds; 1 hour.
        :param poll_frequency: pause between two looks, a timedelta or seconds; unset: chosen, at most 15 s.
        :return: the ticket to give to :meth:`wait_for_transformation`.
        :raises ValueError: a policy that does not exist, or is for the operator only; or no such duration.
        :raises FivetranTransformationRunning: one is under way that may not be joined.
        :raises FivetranTriggerUncertain: it cannot be told whether the trigger took.
        :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached for two minutes.
        """
        check_choice("when_running", when_running, Literal["attach", "fail"])
        check_choice("when_partially_succeeded", when_partially_succeeded, WhenPartiallySucceeded)
        check_choice("when_blocked", when_blocked, WhenBlocked)
        order = RunOrder(
            transformation_id=transformation_id,
            full_refresh=full_refresh,
            when_running="fail" if full_refresh else when_running,
            when_partially_succeeded=when_partially_succeeded,
            when_blocked=when_blocked,
            timeout=span_of("timeout", timeout),
            start_timeout=span_of("start_timeout", start_timeout) or DEFAULT_START_TIMEOUT,
            poll_frequency=span_of("poll_frequency", poll_frequency, least=SHORTEST_POLL),
        )
        started = self.carry_out(start_run(order, utcnow, keep=_forget))
        if not isinstance(started, RunStarted):  # only what an order of ours does not ask for
            raise FivetranError(
                f"no run of {order.name} was started: {started}", transformation_id=transformation_id
            )
        return started.ticket

    def wait_for_transformation(self, ticket: RunTicket) -> RunRecord:
        """Wait, in this thread, until the run of a ticket has ended well.

        :raises FivetranTransformationError: (one of its kinds) it did not end well, or not in time.
        :raises FivetranApiError: the key was refused, or may no longer read the transformation, for ten minutes.
        """
        ended = self.carry_out(watch_run(ticket, utcnow))
        error = error_of_run(ended)
        if error is not None:
            raise error
        return ended.record

    def cancel_transformation(self, transformation_id: str) -> bool:
        """Cancel the run that is under way, and wait until it has stopped, for 45 s at most.

        :return: whether none is under way now.
        :raises FivetranApiError: Fivetran refused.
        """
        return self.carry_out(cancel_whatever_runs(transformation_id, utcnow))


def _forget(_progress: RunProgress) -> None:
    """Keep nothing: for those who do not come back."""
