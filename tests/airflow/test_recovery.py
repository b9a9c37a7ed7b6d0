"""A worker is killed, at each point of a task in turn, and the next try goes on: one sync, the right end, nothing left changed."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_fivetran.operators import FivetranOperator, FivetranResyncOperator
from airflow_provider_fivetran.simulator import SyncPlan
from deaths import Life, nursery
from stories import ID, eventually

if TYPE_CHECKING:
    from stories import Way

# What a task finds after a death is in the task state store, which only the newest line of Airflow has.
pytestmark = [pytest.mark.at_once, pytest.mark.newest]

SHORT = SyncPlan(duration=0.3)
ENDLESS = SyncPlan(duration=3600)
# Put off for so long that the clocks' rounding does not make one sync of two.
PUT_OFF = SyncPlan(duration=0.1, outcome="rescheduled", reschedule_after=3)
# Look less long for the sign of a trigger that may have been sent.
LOOKS = {"LOOKS_AFTER_LOST_ANSWER": (0.3, 0.5), "LOOKS_AFTER_LOST_RESTART": (0.3, 0.5, 0.5)}
BAD = SyncPlan(duration=0.3, outcome="failure", reason="the source is locked")


@dataclass(frozen=True)
class Case:
    """A task, and how all must be when it is over."""

    plans: tuple[SyncPlan, ...] = (SHORT,)
    arguments: dict[str, Any] = field(default_factory=dict)
    connection: dict[str, Any] = field(default_factory=dict)
    kind: type = FivetranOperator
    is_running: bool = False
    ends: tuple[str, ...] = ("COMPLETED",)
    """How the syncs that were triggered end, one after the other."""
    ends_anew: tuple[str, ...] | None = None
    """The same where the next try found nothing noted and began anew, if that can make a difference."""
    error: str = ""
    may_be_uncertain: bool = False
    retried_late: bool = True
    """Whether a retry may also come when the sync is over."""


CASES = {
    "sync": Case(),
    "failure": Case((BAD,), ends=("FAILURE",), ends_anew=("FAILURE", "FAILURE"), error="FivetranSyncFailed"),
    "changes": Case(
        arguments={
            "when_paused": "unpause_and_restore",
            "schedule_type": "manual",
            "restore_schedule": True,
        },
        connection={"paused": True},
    ),
    "attach": Case(  # the sync has to run still when the task looks, which on a busy machine is seconds later
        is_running=True, plans=(SyncPlan(duration=4),), ends=(), ends_anew=("COMPLETED",), retried_late=False
    ),
    "restart": Case((ENDLESS, SHORT), {"when_running": "restart"}, is_running=True),
    "queue": Case((SHORT, SHORT), {"when_running": "queue"}, is_running=True),
    "put_off": Case(
        (PUT_OFF, SHORT), connection={"schedule_type": "manual"}, ends=("RESCHEDULED", "COMPLETED")
    ),
    "no_wait": Case(arguments={"wait_for_completion": False}),
    "resync": Case(kind=FivetranResyncOperator, may_be_uncertain=True),
    "resync_tables": Case(
        arguments={"scope": {"shop": ["orders"]}}, kind=FivetranResyncOperator, may_be_uncertain=True
    ),
}


class Tale:
    """One case, told again and again on an account of its own."""

    def __init__(self, case: Case, way: Way, folder: Path) -> None:
        self._case = case
        self._way = way
        self._folder = folder
        self._told = 0

    def life(self, *, die_at: int | None, late: bool = False) -> Life:
        """From the beginning to the end of the task, and what must be true of it."""
        case, way = self._case, self._way
        way.sim.reset()
        way.declare()
        way.sim.switches.update(stop_lag=0)
        way.add(*case.plans, **case.connection)
        if case.is_running:
            way.sim.start_sync(ID)
        before = self._changeable()
        self._told += 1
        arguments = {"poll_frequency": 0.2} | case.arguments
        life = Life(way, case.kind, arguments, self._folder / str(self._told), looks=LOOKS)
        life.live(die_at=die_at, before_the_retry=self._everything_ended if late else lambda: None)
        self._everything_ended()
        self._check(life, before)
        return life

    def _check(self, life: Life, before: dict[str, Any]) -> None:
        where = f"killed {life.deaths} times, after {life.points} points in all"
        triggered = [run for run in self._way.sim.accepted(ID) if run.cause in {"api", "force", "resync"}]
        ends = tuple(run.status for run in triggered)
        if self._case.may_be_uncertain and "FivetranTriggerUncertain" in life.error:
            assert len(triggered) <= 1, where
            return
        # A failure that was told is forgotten: should the process die right after that, the next try is a new one.
        # So it is when the process dies before it has noted anything, which matters only if a sync ends meanwhile.
        assert ends == self._case.ends or (life.had_no_notes and ends == self._case.ends_anew), (
            f"{ends}: {where}"
        )
        assert life.error.partition(":")[0] == self._case.error, f"{life.error}: {where}"
        assert self._changeable() == before, where

    def _changeable(self) -> dict[str, Any]:
        connection = self._way.sim.account.connection(ID)
        return {"paused": connection.paused, "schedule_type": connection.schedule_type}

    def _everything_ended(self) -> None:
        """Wait until no short sync runs any more."""
        eventually(
            lambda: all(run.ended_at or run.plan is ENDLESS for run in self._way.sim.accepted(ID)), seconds=20
        )


@pytest.mark.timeout(600)  # each point of a task that is put off takes seconds
@pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferrable"])
@pytest.mark.parametrize("name", CASES)
def test_killed_at_each_point(ways, name, deferrable):
    """With ``KILL_AT_EVERY_POINT`` set really at each; otherwise, for some cases, at each third."""
    nursery()
    step = 1 if name in {"sync", "changes"} or os.environ.get("KILL_AT_EVERY_POINT") else 3
    case = CASES[name]
    with TemporaryDirectory() as folder:
        tale = Tale(case, ways[deferrable], Path(folder))
        points = range(1 + deferrable, tale.life(die_at=None).points + 1, step)
        deaths = sum(
            tale.life(die_at=point, late=case.retried_late and point % 2 == 0).deaths for point in points
        )
    sys.stdout.write(
        f"{name}, {'deferrable' if deferrable else 'blocking'}: killed at {deaths} of {points.stop - 1} points\n"
    )
    assert deaths >= len(points) / 2
