"""One connection of a task that starts many syncs: the visit of a ``FivetranOperator``, at a desk of its own.

What a start, an end, a retry, a clear or a kill means for a sync is all in that visit, and nowhere a second time.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranError,
    FivetranSyncTimeout,
    FivetranTriggerUncertain,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.many import Result
from airflow_provider_fivetran.core.ticket import Ticket
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators.errand import Errand
from airflow_provider_fivetran.operators.memory import Memo, Memory
from airflow_provider_fivetran.operators.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.orders import Order
    from airflow_provider_fivetran.core.policies import WhenKilled
    from airflow_provider_fivetran.core.protocol import Settings
    from airflow_provider_fivetran.core.starting import NotNeeded, Skipped, Start
    from airflow_provider_fivetran.core.steps import Note, Procedure
    from airflow_provider_fivetran.core.verdicts import SyncRecord

__all__ = ["Each", "Left", "Lines", "OneVisit", "Step"]

Left: TypeAlias = Literal["nothing", "changes", "sync", "good_end"]

log = logging.getLogger(__name__)
# Of hundreds of connections only what is wrong is worth more than the one line that says how its sync ended.
_quiet = logging.getLogger(f"{__name__}.each")
_quiet.setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Each:
    """What the task wants of each connection, and what its visit has to know of the task."""

    order: Order
    """Of no connection in particular."""
    retries: int | None
    when_killed: WhenKilled
    fivetran_conn_id: str
    fivetran_retry_limit: int
    fivetran_retry_delay: float
    kept_after_the_end: timedelta
    """For how long it is known that a connection ended well: its task may end long after it, and be retried then."""

    deferrable: ClassVar[bool] = True
    wait_for_completion: ClassVar[bool] = True
    log: ClassVar[logging.Logger] = _quiet

    def order_of(self, connection_id: str) -> Order:
        """The order, without patience: others are there to be started while this connection cannot be read."""
        return replace(self.order, connection_id=connection_id, patience=timedelta(0))


class _Line(FivetranHook):
    """A way to Fivetran for one thread, with the key that is in use already."""

    def __init__(self, like: FivetranHook, known: Settings) -> None:
        super().__init__(
            like.fivetran_conn_id,
            fivetran_retry_limit=like.fivetran_retry_limit,
            fivetran_retry_delay=like.fivetran_retry_delay,
        )
        self._known = known

    def _keys(self) -> Iterator[Settings]:
        yield self._known
        yield from super()._keys()

    def _log_note(self, note: Note) -> None:
        _quiet.log(logging.WARNING if note.is_warning else logging.INFO, "%s", note.text)


class Lines:
    """The ways to Fivetran of a visit, one for each thread.

    :param hook: whose key they use; the Airflow connection is read again only if Fivetran refuses it.
    """

    def __init__(self, hook: FivetranHook) -> None:
        self._hook = hook
        self._of_thread = threading.local()
        self._all: list[FivetranHook] = []

    def mine(self) -> FivetranHook:
        """That of this thread."""
        found: FivetranHook | None = getattr(self._of_thread, "line", None)
        if found is None:
            found = self._of_thread.line = _Line(self._hook, self._hook.get_conn().settings)
            self._all.append(found)
        return found

    def close(self) -> None:
        """Close what was opened."""
        for line in self._all:
            line.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far a visit has come with one connection: it has a result, or a wait, or there was trouble."""

    connection_id: str
    result: Result | None = None
    """It is over;"""
    trouble: FivetranError | None = None
    """or it could not be started now, and may be later;"""
    wait: Mapping[str, Any] | None = None
    """or a sync is to be waited for: what its trigger needs. With trouble: a sync that may run all the same.

    None of these: its turn has not come, and what an earlier try had changed was put back."""


class OneVisit(Visit):
    """The visit for one connection.

    :param why_not: why no sync is to be started any more; ``None``: it is.
    """

    def __init__(
        self,
        each: Each,
        context: Context,
        lines: Lines,
        connection_id: str,
        *,
        why_not: Callable[[], FivetranError | None],
    ) -> None:
        self._each = each
        super().__init__(each, context, lines.mine, each.order_of)
        self.connection_id = connection_id
        self._why_not = why_not
        self._refusal: FivetranError | None = None
        self._is_starting = False

    def remember(self, wait: Mapping[str, Any]) -> None:
        """Know what its trigger was given when it was deferred."""
        errand = wait["errand"]
        self._memo = Memo(
            errand=Errand.from_json(errand), wanted=errand["wanted"], ticket=Ticket.from_json(wait["ticket"])
        )

    @property
    def under_way(self) -> Mapping[str, Any] | None:
        """The sync of its own that runs or may run, as the trigger for it is given it."""
        ticket = self._memo.ticket
        if ticket is None:
            return None
        arguments: dict[str, Any] = self._waiting(ticket).serialize()[1]
        return {key: arguments[key] for key in ("ticket", "errand", "when_killed")}

    def start(self) -> Step:
        """Start its sync, or go on with that of an earlier try."""
        self._is_starting = True
        return self._step(lambda: self.begin(self.connection_id))

    def end(self, event: object) -> Step:
        """Do what follows from the event of its trigger."""
        return self._step(lambda: self.resume(event))

    def cut_off(self, error: FivetranError, *, out_of_time: bool) -> Step:
        """End the wait, unless one look shows that its sync is over."""
        return self._step(lambda: self.was_cut_off(error, out_of_time=out_of_time))

    def put_back(self) -> Step:
        """Put back what an earlier try has changed: its turn may never come."""
        self.left_by_earlier_try()
        self._break_off()
        return Step(connection_id=self.connection_id)

    def left_by_earlier_try(self) -> Left:
        """What an earlier try has left: changes to put back, a sync that may run (``under_way``), or a good end."""
        recalled = self._memory.recall()
        if recalled is None:
            return "nothing"
        if recalled.memo.ended is not None:
            return "nothing" if recalled.cleared or recalled.by_this_try else "good_end"
        self._memo = recalled.memo
        return "changes" if recalled.memo.ticket is None else "sync"

    def _notes(self) -> Memory:
        kept = self._each.kept_after_the_end
        return Memory(self._context, self._each.retries, kept_after_the_end=kept)

    def _start(self, order: Order, *, maybe_started: bool = False) -> Procedure[Start]:
        self._is_starting = True  # maybe once more: after a put-off, or behind the sync of another
        why_not = self._why_not()
        if why_not is not None:
            text = f"its sync was not started: {why_not}"
            self._refusal = type(why_not)(text, connection_id=self.connection_id)
            return _refused(self._refusal)
        return super()._start(order, maybe_started=maybe_started)

    def _conclude_without_one(self, begun: NotNeeded | Skipped) -> str | None:
        value = super()._conclude_without_one(begun)
        # Others of the task may need a retry, by which time this would not be fresh any more.
        self._memory.keep(self._done(begun.record, value))
        return value

    def _step(self, act: Callable[[], str | None]) -> Step:
        name = self.connection_id
        try:
            act()
        except TaskDeferred:
            return Step(connection_id=name, wait=self.under_way)
        except AirflowSkipException as skip:
            return Step(connection_id=name, result=Result.of(name, "skipped", reason=str(skip)))
        except FivetranError as error:
            # An error of no kind is Airflow's store that keeps nothing: mostly another process has taken the task.
            may_pass = _may_pass(error) or type(error) is FivetranError
            if self._is_starting and may_pass and error is not self._refusal:
                return Step(connection_id=name, trouble=error, wait=self.under_way)
            return Step(connection_id=name, result=self._failed(error))
        except Exception as error:  # it must not take those of the other connections along
            log.exception("%s: an error of this program", name)
            return Step(
                connection_id=name,
                result=Result.of(name, "unknown", reason=f"{type(error).__name__}: {error}"),
            )
        record: SyncRecord = self.pushed
        return Step(connection_id=name, result=Result.of(name, record.status, ended_at=record.ended_at_text))

    def _failed(self, error: FivetranError) -> Result:
        record: SyncRecord | None = self.pushed
        if record is not None:
            status = record.status
        elif isinstance(error, FivetranSyncTimeout):
            status = "unknown" if self._memo.unanswered else "timed_out"
        else:
            is_known = self._is_starting and not isinstance(error, FivetranTriggerUncertain)
            status = "not_started" if is_known else "unknown"
        return Result.of(
            self.connection_id,
            status,
            error=error,
            ended_at=record.ended_at_text if record else None,
        )


def _refused(error: FivetranError) -> Procedure[Start]:
    """Start nothing: raised as any failure of a start, so that what was changed is put back."""
    yield from ()
    raise error


def _may_pass(error: FivetranError) -> bool:
    """Whether Fivetran could not be asked: that says nothing of the connection, and may be over in a minute."""
    kinds = (FivetranApiError, FivetranUnexpectedAnswer, FivetranUnreachable)
    is_refused = isinstance(error, FivetranUnauthorized)  # the key, which somebody may be replacing
    return isinstance(error, kinds) and (is_refused or not error.permanent)
