"""The course of every visit of a task to a worker, whatever it has started there and waits for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, cast

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, TaskDeferred

from airflow_provider_fivetran.clock import beyond, utcnow
from airflow_provider_fivetran.core.errors import FivetranError
from airflow_provider_fivetran.core.events import BrokenOff
from airflow_provider_fivetran.core.moments import write_moment
from airflow_provider_fivetran.killing import may_be_stopped, state_in_worker, will_be_retried

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from airflow.providers.common.compat.sdk import Context
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_fivetran.core.orders import Order
    from airflow_provider_fivetran.core.run_starting import RunOrder
    from airflow_provider_fivetran.core.steps import Procedure
    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.operators.memory import Memo, Notes
    from airflow_provider_fivetran.operators.run_memo import RunMemo

__all__ = ["Terms", "Visiting"]

# The trigger ends each wait itself; Airflow's own limit is there in case the trigger cannot.


O = TypeVar("O", bound="Order | RunOrder")  # noqa: E741
M = TypeVar("M", bound="Memo | RunMemo")
E = TypeVar("E")


class Terms(Protocol):
    """What a visit has to know of the task that makes it. Every operator that starts something and waits has it."""

    @property
    def retries(self) -> int | None: ...

    @property
    def deferrable(self) -> bool: ...

    @property
    def wait_for_completion(self) -> bool: ...

    @property
    def when_killed(self) -> str: ...

    @property
    def fivetran_conn_id(self) -> str: ...

    @property
    def fivetran_retry_limit(self) -> int: ...

    @property
    def fivetran_retry_delay(self) -> float: ...

    @property
    def log(self) -> Any: ...


class Visiting(ABC, Generic[O, M, E]):
    """One visit, at which a task starts something, waits for it, or concludes.

    Generic in the order, in what is noted of it, and in the end of a wait.

    :param hook: the way to Fivetran, made when it is first called.
    :param order_of: what the task wants, by the id of what it is about.
    """

    what: ClassVar[str]
    """What is awaited, in one word."""
    told_to_stop: ClassVar[str]
    left_alone: ClassVar[str]
    """What the error of a task says whose deadline has ended that too."""
    xcom: ClassVar[str]
    """The XCom that takes the record."""
    started: ClassVar[type[Any]]
    """What a start returns if there is something to wait for: it has ``ticket`` and ``then_start_ours``."""
    patience_when_killed: ClassVar[timedelta]
    """How long to see to it that it stops."""

    def __init__(
        self,
        task: Terms,
        context: Context,
        hook: Callable[[], FivetranHook],
        order_of: Callable[[str], O],
    ) -> None:
        self._task = task
        self._context = context
        self._hook = hook
        self._order_of = order_of
        self._memory = self._notes()
        self._memo = self._blank("")
        self._taken_up = False
        self._last_act: Callable[[], None] | None = None
        self.pushed: Any = None
        """The record of the end, once there is one."""

    # --- the ways into it ---------------------------------------------------------------------------------

    def begin(self, about: str) -> str | None:
        """Start what is wanted, or go on with what an earlier try has begun, and see it to its end.

        :param about: the id of the Fivetran connection or transformation.
        """
        order = self._order_of(about)
        self._memo = self._blank(about)
        recalled = self._memory.recall()
        if recalled is None:
            # Where no note can last, "fail" may well have been obeyed by the try before this one.
            hides = self._memory.may_hide_a_sync and (self._memory.lasts or order.when_running != "fail")
            return self._see_through(self._start(order, maybe_started=hides))
        memo = recalled.memo
        if memo.wanted != self._wanted_by(order):
            self._put_back(memo, leaving_it=memo.ticket is not None)
            self._task.log.info(
                "What an earlier try of this task noted is about another %s: %s", self.what, memo.wanted
            )
            return self._see_through(self._start(order))
        if memo.ended is not None:
            only_triggered = memo.ended.status == "started" and self._task.wait_for_completion
            if recalled.by_this_try or recalled.cleared or only_triggered:
                return self._see_through(self._start(order))
            self._task.log.info("An earlier try of this task ended well, and its worker died right after it")
            self._push(memo.ended)
            return memo.value
        if recalled.cleared or memo.expired:
            memo = cast("M", memo.from_now(utcnow()))
        self._memo = memo
        if memo.ticket is None:
            return self._see_through(self._start(order))
        return self._see_through(self._go_on(order, memo, memo.ticket, cleared=recalled.cleared))

    def resume(self, event: object) -> str | None:
        """Go on when the trigger has sent its event."""
        try:
            memo, outcome = self._read(event)
        except FivetranError as error:
            return self.was_cut_off(error)
        self._memo = memo
        if isinstance(outcome, BrokenOff):
            self._break_off(may_run=True)
            raise outcome.error
        return self._go_on_from(outcome)

    def was_cut_off(self, error: Exception, *, out_of_time: bool = False) -> str | None:
        """Go on, if it is over, although the wait has ended without an event; otherwise that is an error.

        :raises Exception: the error.
        """
        recalled = self._memory.recall()
        if recalled is not None:
            self._memo = recalled.memo
        outcome = self._look_once(self._memo.ticket) if self._memo.ticket is not None else None
        if outcome is not None:
            return self._go_on_from(outcome)
        if out_of_time:
            self._end_at_the_deadline()
        else:
            self._break_off(may_run=True)
        raise error

    def was_killed(self) -> None:
        """Airflow ends this process, within five seconds: see to what is under way if nobody comes back to it.

        What the signal has interrupted goes on after this. It starts nothing any more then, and what it was about to
        change is put back once more.
        """
        self.see_to(state_in_worker(self._context["ti"]))

    def see_to(self, state: str | None) -> None:
        """The same, for who knows already what has become of the task.

        :param state: of the task, as Airflow's database has it; ``None``: not known.
        """
        if will_be_retried(self._context["ti"], state) and self._memory.lasts:
            self._task.log.info(
                "The next try of this task goes on with its %s, which is left alone", self.what
            )
            # Where Airflow does not say so, it may not come back: what does no harm to the sync is put back.
            self._last_act = (lambda: None) if state is not None else self._put_back_around_it
        elif self._task.when_killed != "leave" and may_be_stopped(state):
            self._last_act = self._stop_or_put_back
        else:
            self._last_act = self._put_back_around_it
        self._last_act()

    # --- its course ---------------------------------------------------------------------------------------

    def _see_through(self, beginning: Procedure[Any]) -> str | None:
        """Go from one start to the next, until the end of the task or its deferral."""
        following: Procedure[Any] | None = beginning
        try:
            while following is not None:
                begun = self._hook().carry_out(following)
                if not isinstance(begun, self.started):
                    return self._conclude_without_one(begun)
                if not self._task.wait_for_completion and not begun.then_start_ours:
                    record = self._record_of_start(begun.ticket)
                    self._push(record)
                    return self._end_well(record, write_moment(begun.ticket.after_all_earlier))
                outcome = self._wait(begun.ticket)
                following = self._what_follows(outcome)
        except FivetranError:
            if self._last_act is not None:
                self._last_act()
            else:
                self._break_off()
            raise
        except AirflowTaskTimeout:
            if self._memo.ticket is None:
                self._break_off()
                raise
            outcome = self._timed_out(self._memo.ticket, "the task's execution_timeout passed")
        return self._conclude(outcome)

    def _go_on_from(self, outcome: E) -> str | None:
        following = self._what_follows(outcome)
        return self._conclude(outcome) if following is None else self._see_through(following)

    def _go_on(self, order: O, memo: M, ticket: Any, *, cleared: bool) -> Procedure[Any]:
        """Go on where an earlier try has taken a ticket."""
        if cleared and (memo.unanswered or not self._still_runs(ticket)):
            # A person wants it to run again, and nothing of it is known to be under way.
            self._memo = self._anew(memo)
            return self._start(order, maybe_started=memo.unanswered)
        self._task.log.info(
            "%s: an earlier try of this task began at %s; going on with its %s",
            ticket.name,
            write_moment(ticket.begun_at),
            self.what,
        )
        self._taken_up = True
        self._memory.keep(memo)  # as this try's: it is this one now that may die
        return self._take_up(order, memo, ticket)

    def _wait(self, ticket: Any) -> E:
        if not self._task.deferrable:
            return self._hook().carry_out(self._watch(ticket))
        if self._taken_up:
            # It may have ended long since; Airflow 3.3.2 now and then fails a task that resumes at once.
            outcome = self._look_once(ticket)
            if outcome is not None:
                return outcome
        self._memory.keep_through_deferral(self._memo)
        raise TaskDeferred(
            trigger=self._waiting(ticket),
            method_name="execute_complete",
            timeout=beyond(self._ends_by(ticket)),
        )

    def _waiting(self, ticket: Any) -> BaseTrigger:
        return self._trigger(
            ticket=ticket.to_json(),
            fivetran_conn_id=self._task.fivetran_conn_id,
            retry_limit=self._task.fivetran_retry_limit,
            retry_delay=self._task.fivetran_retry_delay,
            when_killed=self._task.when_killed if self._is_to_be_stopped else "leave",
        )

    def _look_once(self, ticket: Any) -> E | None:
        """What became of something that an earlier visit waited for, if one look tells."""
        try:
            return self._hook().carry_out_to_pause(self._watch(ticket, by_another=True))
        except FivetranError:
            return None

    # --- its end ------------------------------------------------------------------------------------------

    def _conclude(self, outcome: Any) -> str | None:
        """Leave the record, put back what was changed, and end the task as that ended which it has waited for."""
        timed_out = outcome.record.status == "timed_out"
        if timed_out:
            and_it = self.told_to_stop if self._is_to_be_stopped else self.left_alone
            outcome = replace(outcome, message=f"{outcome.message} {and_it}")
            self._end_at_the_deadline()
        else:
            self._put_back(self._memo)
        self._push(outcome.record)
        error = self._error_of(outcome)
        if error is not None:
            if not timed_out:
                self._memory.forget()
            raise error
        self._task.log.info("%s", outcome.message)
        return self._end_well(outcome.record, outcome.record.ended_at_text)

    def _end_well(self, record: Any, value: str | None) -> str | None:
        """Drop the ticket. What is kept instead is for a worker that dies before Airflow has learned of the end."""
        self._memory.keep(self._done(record, value))
        return value

    def _push(self, record: Any) -> None:
        self._context["ti"].xcom_push(key=self.xcom, value=record.to_json())
        self.pushed = record

    def _end_at_the_deadline(self) -> None:
        if self._is_to_be_stopped:
            self._stop()
            self._memory.forget()
        else:
            self._memo = replace(self._memo, expired=True)
            self._break_off(may_run=True)

    def _stop_or_put_back(self) -> None:
        if self._is_to_be_stopped:
            self._stop(patience=self.patience_when_killed)
        else:
            self._put_back_around_it()

    def _put_back_around_it(self) -> None:
        self._put_back(self._memo, leaving_it=self._memo.ticket is not None)

    # --- what each kind of visit says ---------------------------------------------------------------------

    @abstractmethod
    def _notes(self) -> Notes[M]: ...

    @abstractmethod
    def _blank(self, about: str) -> M: ...

    @abstractmethod
    def _wanted_by(self, order: O) -> Mapping[str, Any]: ...

    @abstractmethod
    def _read(self, event: object) -> tuple[M, E | BrokenOff]: ...

    @abstractmethod
    def _start(self, order: O, *, maybe_started: bool = False) -> Procedure[Any]: ...

    @abstractmethod
    def _take_up(self, order: O, memo: M, ticket: Any) -> Procedure[Any]: ...

    @abstractmethod
    def _still_runs(self, ticket: Any) -> bool: ...

    @abstractmethod
    def _anew(self, memo: M) -> M:
        """What is left of an earlier try whose ticket no longer counts."""

    @abstractmethod
    def _watch(self, ticket: Any, *, by_another: bool = False) -> Procedure[E]:
        """Wait.

        :param by_another: an earlier visit has waited before, and what it saw is not known.
        """

    @abstractmethod
    def _trigger(self, **arguments: Any) -> BaseTrigger: ...

    @abstractmethod
    def _ends_by(self, ticket: Any) -> datetime: ...

    @abstractmethod
    def _timed_out(self, ticket: Any, why: str) -> E: ...

    @abstractmethod
    def _what_follows(self, outcome: E) -> Procedure[Any] | None:
        """What to start next, where the end of one wait is not the end of the task."""

    @abstractmethod
    def _conclude_without_one(self, begun: Any) -> str | None: ...

    @abstractmethod
    def _error_of(self, outcome: Any) -> FivetranError | None: ...

    @abstractmethod
    def _record_of_start(self, ticket: Any) -> Any: ...

    @abstractmethod
    def _done(self, record: Any, value: str | None) -> M:
        """What is noted once the task has ended well."""

    @abstractmethod
    def _break_off(self, *, may_run: bool = False) -> None:
        """Keep what a later try must know.

        :param may_run: something of ours may still be under way even if no ticket for it is known here.
        """

    @property
    @abstractmethod
    def _is_to_be_stopped(self) -> bool:
        """Whether something of ours is under way that must not outlive the task."""

    @abstractmethod
    def _stop(self, **patience: timedelta) -> None: ...

    def _put_back(self, memo: M, *, leaving_it: bool = False) -> bool:  # noqa: ARG002 - for those who change nothing
        """Put back what the task changed. Whatever goes wrong with that, the verdict stands.

        :param leaving_it: something may be under way, which is not to be stopped by that.
        :return: whether all that was to be put back is as it was.
        """
        return True
