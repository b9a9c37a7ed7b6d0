"""What a task notes for its next try: how far it has come with its sync.

Airflow 3.3 keeps the notes of a task through retries and clears (the task state store). Older versions keep nothing
that outlives a try; there an XCom carries the notes over a deferral.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from airflow_provider_fivetran.core.errors import FivetranError
from airflow_provider_fivetran.core.ticket import Ticket
from airflow_provider_fivetran.core.verdicts import SyncRecord
from airflow_provider_fivetran.operators.errand import Errand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.errors import Facts
    from airflow_provider_fivetran.core.orders import Order

__all__ = ["KEPT", "Memo", "Memory", "Notes", "Recalled", "wanted_by"]

log = logging.getLogger(__name__)

KEY = "fivetran_errand"
# Longer than any wait, whatever the retention is that Airflow is set to.
KEPT = timedelta(days=90)
# How a task ended is needed only if its worker dies before Airflow has learned of it.
KEPT_AFTER_THE_END = timedelta(days=7)


class Noted(Protocol):
    """What can be noted."""

    @property
    def ended(self) -> object | None:
        """How the task ended, if it did all it had to do, and well."""

    @property
    def about(self) -> Mapping[str, str]:
        """Which thing of Fivetran it is about, as an error names it."""

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON."""


M = TypeVar("M", bound=Noted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo:
    """The newest state of a task's errand."""

    errand: Errand
    wanted: Mapping[str, Any] = field(default_factory=dict)
    """What of an order must be the same for a later try to go on with it."""
    ticket: Ticket | None = None
    """``None``: no sync of the task is under way, but the errand may say what to put back."""
    unanswered: bool = False
    """The trigger may have been sent; how Fivetran answered is not known."""
    expired: bool = False
    """The deadline has passed, and the sync was left running: a later try has a deadline of its own."""
    ended: SyncRecord | None = None
    """The task has done all it had to do, and well."""
    value: str | None = None
    """What it returned then."""

    @property
    def about(self) -> Mapping[str, str]:
        return {"connection_id": self.errand.connection_id}

    def from_now(self, now: datetime) -> Memo:
        """The same, with all the time for the wait still to come."""
        ticket = self.ticket and self.ticket.but(begun_at=now)
        begun_at = now if self.ticket else None
        return replace(self, errand=replace(self.errand, begun_at=begun_at), ticket=ticket, expired=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "errand": self.errand.to_json(),
            "wanted": dict(self.wanted),
            "ticket": self.ticket and self.ticket.to_json(),
            "unanswered": self.unanswered,
            "expired": self.expired,
            "ended": self.ended and self.ended.to_json(),
            "value": self.value,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Memo:
        """Read what :meth:`to_json` wrote.

        :raises ValueError: it is something else.
        """
        try:
            return cls(
                errand=Errand.from_json(data["errand"]),
                wanted=data["wanted"],
                ticket=Ticket.from_json(data["ticket"]) if data["ticket"] else None,
                unanswered=data["unanswered"] is True,
                expired=data["expired"] is True,
                ended=SyncRecord.from_json(data["ended"]) if data["ended"] else None,
                value=data["value"],
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"this is not what a task noted: {error}") from None


@dataclass(frozen=True, slots=True)
class Recalled(Generic[M]):
    """What an earlier try of this task, or this one before its deferral, has noted."""

    memo: M
    by_this_try: bool
    cleared: bool
    """A person has cleared the task since, and not while it was in a worker."""


def wanted_by(order: Order) -> dict[str, Any]:
    """Which sync an order is for. The policies of a task may be changed between two tries of it; this may not."""
    scope = order.scope and {schema: list(tables) for schema, tables in order.scope.items()}
    return {"connection_id": order.connection_id, "resync": order.resync, "scope": scope}


class Notes(Generic[M]):
    """The notes of one task.

    Nothing is changed or triggered that could not be noted before. Any other failure of Airflow to read or keep
    notes is said in the log and stops nothing.

    :param retries: of the task, as its DAG has it.
    :param read: reads back what was noted.
    :param kept_after_the_end: for how long it is known how the task ended.
    """

    def __init__(
        self,
        context: Context,
        retries: int | None,
        read: Callable[[Mapping[str, Any]], M],
        *,
        kept_after_the_end: timedelta = KEPT_AFTER_THE_END,
    ) -> None:
        self._read_memo = read
        self._kept_after_the_end = kept_after_the_end
        self._ti = context["ti"]
        # Airflow gives a task that is cleared as many more tries as it has retries. Where those were changed
        # meanwhile, the one difference may hide the other.
        self._limits = [self._ti.max_tries, retries]
        self._store = context.get("task_state_store")
        self._failed: set[str] = set()

    @property
    def lasts(self) -> bool:
        """Whether the notes are there for the next try."""
        return self._store is not None

    @property
    def may_hide_a_sync(self) -> bool:
        """Whether an earlier try may have started a sync although nothing of it is recalled."""
        return self._ti.try_number > 1 and (not self.lasts or "get" in self._failed)

    def recall(self) -> Recalled[M] | None:
        """What was noted last, if anything is known of it."""
        with self._failing_softly("get", "what an earlier try of this task may have noted cannot be read"):
            noted = self._read()
            if noted:
                return Recalled(
                    self._read_memo(noted["memo"]),
                    by_this_try=noted["try_number"] == self._ti.try_number,
                    cleared=noted["limits"] != self._limits,
                )
        return None

    def keep_before_a_change(self, memo: M) -> None:
        """Note this, in place of what was noted before.

        :raises FivetranError: Airflow cannot. Mostly the task was cleared, and another process stands in its place.
        """
        if self._store is None:
            return
        try:
            self._store.set(KEY, self._note_of(memo), retention=KEPT)
        except Exception as error:  # the store of Airflow may be anywhere, and fail in as many ways
            raise FivetranError(
                f"{' '.join(memo.about.values())}: nothing was changed or triggered, because Airflow's task state "
                f"store cannot keep that it is about to be: {type(error).__name__}: {error}",
                **cast("Facts", memo.about),
            ) from error

    def keep(self, memo: M) -> None:
        """Note this, in place of what was noted before, if possible."""
        if self._store is None:
            return
        note = self._note_of(memo)
        retention = self._kept_after_the_end if memo.ended else KEPT
        with self._failing_softly(
            "set",
            "how far this task has come cannot be noted; if its worker dies, the next try will not know",
        ):
            self._store.set(KEY, note, retention=retention)

    def keep_through_deferral(self, memo: M) -> None:
        """Note this for the visit after the deferral, where :meth:`keep` notes nothing."""
        if self._store is None:
            self._ti.xcom_push(key=KEY, value=self._note_of(memo))

    def forget(self) -> None:
        """The next try of this task is to begin anew."""
        if self._store is None:
            return
        with self._failing_softly(
            "delete", "what this task has noted cannot be deleted; its next try may go on with the same sync"
        ):
            self._store.delete(KEY)

    @contextmanager
    def _failing_softly(self, what: str, text: str) -> Iterator[None]:
        """Say, but only once, that something cannot be done with the store, and let the task go on."""
        try:
            yield
        except Exception:  # the store of Airflow may be anywhere, and fail in as many ways
            if what not in self._failed:
                log.warning(text, exc_info=True)
            self._failed.add(what)

    def _note_of(self, memo: M) -> dict[str, Any]:
        return {
            "try_number": self._ti.try_number,
            "limits": self._limits,
            "memo": memo.to_json(),
        }

    def _read(self) -> Any:
        if self._store is not None:
            return self._store.get(KEY, None)
        return self._ti.xcom_pull(task_ids=self._ti.task_id, key=KEY, map_indexes=self._ti.map_index)


class Memory(Notes[Memo]):
    """The notes of a task that starts syncs."""

    def __init__(
        self, context: Context, retries: int | None, *, kept_after_the_end: timedelta = KEPT_AFTER_THE_END
    ) -> None:
        super().__init__(context, retries, Memo.from_json, kept_after_the_end=kept_after_the_end)
