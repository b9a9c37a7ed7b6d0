"""The life of a sync: accepted, started, ended, put off, stopped. Each change happens when it was due."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from .records import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from .records import Cause, Connection, SyncPlan

    # Told of each start ("sync_start") and end ("sync_end") of a sync, and when it happened.
    Tell = Callable[[str, Connection, Run, datetime], None]
    from .switches import Switches

_DEFAULT_TASK = {
    "code": "unknown_sync_failure",
    "message": "The sync failed. Fivetran could not read from the source.",
    "details": "",
}


class Syncs:
    """Moves connections through their syncs. It keeps no time: every method is told when it is called."""

    def __init__(self, switches: Switches, new_id: Callable[[], str], tell: Tell, *, lands: bool) -> None:
        self._switches = switches
        self._new_id = new_id
        self._tell = tell
        self._lands = lands
        # Every run that was ever accepted, by connection id, in the order of acceptance.
        self.log: dict[str, list[Run]] = {}

    # -- what callers ask for --

    def accept(
        self,
        connection: Connection,
        at: datetime,
        cause: Cause,
        *,
        historical: bool = False,
        tables: dict[str, list[str]] | None = None,
    ) -> Run:
        """Take a sync on; it starts after the delays of its plan and of the switches."""
        plan = connection.plans.popleft() if connection.plans else connection.default_plan
        lag = self._switches.start_lag if cause in ("api", "force", "resync") else 0.0
        connection.historical = connection.historical or historical
        run = Run(
            sync_id=self._new_id(),
            connection_id=connection.id,
            cause=cause,
            plan=plan,
            accepted_at=at,
            starts_at=at + timedelta(seconds=lag + plan.queue_delay),
            historical=connection.historical,
            tables=tables,
        )
        self.log.setdefault(connection.id, []).append(run)
        if plan.outcome == "never_starts":
            run.status = "DROPPED"
        else:
            connection.run = run
            connection.retry_at = None
            self.advance(connection, at)
        return run

    def resync(
        self, connection: Connection, at: datetime, tables: dict[str, list[str]] | None = None
    ) -> None:
        """Load again from the start: now if possible, else when the running sync ends or the pause does."""
        if connection.paused or connection.run is not None:
            connection.pending_resync = tables or True
        else:
            self.accept(connection, at, "resync", historical=tables is None, tables=tables)

    def cancel(self, connection: Connection, at: datetime) -> None:
        """End the current sync at once, moving no timestamp."""
        run = connection.run
        if run is None:
            return
        if run.running:
            self._end(connection, at, "CANCELED", "The sync was canceled.")
        else:
            run.status = "DROPPED"
            connection.run = None

    def pause(self, connection: Connection, at: datetime) -> None:
        connection.paused = True
        connection.retry_at = None
        run = connection.run
        if run is not None and run.running:
            run.stops_at = at + timedelta(seconds=self._switches.stop_lag)
        else:
            self.cancel(connection, at)
        self.advance(connection, at)

    def unpause(self, connection: Connection, at: datetime) -> None:
        if not connection.paused:
            return
        connection.paused = False
        self.enable(connection, at)
        if connection.run is None and connection.pending_resync is not None:
            self._start_pending_resync(connection, at)
        elif connection.run is None and self._switches.sync_on_unpause and connection.schedule_type == "auto":
            self.accept(connection, at, "schedule")

    def enable(self, connection: Connection, at: datetime) -> None:
        """Let the own schedule act from now on: what fell due meanwhile happens now, not in the past."""
        connection.enabled_at = at
        self.advance(connection, at)

    # -- time --

    def advance(self, connection: Connection, now: datetime) -> None:
        """Let everything happen that was due up to now, each at its own time."""
        while due := [event for event in self._events(connection) if event[0] <= now]:
            at, happen = min(due, key=lambda event: event[0])
            happen(connection, at)

    def next_event(self, connection: Connection) -> datetime | None:
        """When something happens next if nobody asks for anything."""
        return min((at for at, _ in self._events(connection)), default=None)

    def _events(
        self, connection: Connection
    ) -> Iterator[tuple[datetime, Callable[[Connection, datetime], None]]]:
        run = connection.run
        if run is None:
            yield from self._own_starts(connection)
        elif not run.running:
            yield run.starts_at, self._start
        else:
            if run.stops_at is not None:
                yield run.stops_at, self._stop
            if not run.landing and run.started_at is not None:
                yield run.started_at + timedelta(seconds=run.plan.duration), self._finish

    def _own_starts(
        self, connection: Connection
    ) -> Iterator[tuple[datetime, Callable[[Connection, datetime], None]]]:
        """What Fivetran starts by itself, which it never does for a manual or paused connection."""
        manual = connection.schedule_type == "manual"
        if manual or connection.paused or connection.setup_state == "incomplete":
            return
        floor = connection.enabled_at or connection.created_at
        if connection.rescheduled and connection.rescheduled_for is not None:
            yield max(connection.rescheduled_for, floor), self._restart_rescheduled
        if connection.retry_at is not None:
            yield max(connection.retry_at, floor), self._start_scheduled
        if connection.scheduled_at is not None:
            yield max(connection.scheduled_at, floor), self._start_scheduled

    def _start_scheduled(self, connection: Connection, at: datetime) -> None:
        connection.retry_at = None
        self._skip_slots(connection, at)
        self.accept(connection, at, "schedule")

    def _restart_rescheduled(self, connection: Connection, at: datetime) -> None:
        self._clear_reschedule(connection)
        self.accept(connection, at, "reschedule")

    def _start(self, connection: Connection, at: datetime) -> None:
        run = connection.run
        if run is not None:
            run.status, run.started_at = "RUNNING", at
            self._clear_reschedule(connection)
            self._tell("sync_start", connection, run, at)

    def _stop(self, connection: Connection, at: datetime) -> None:
        self._end(connection, at, "PAUSED", "The connection was paused.")

    # -- ends --

    def _finish(self, connection: Connection, at: datetime) -> None:
        """End the running sync as its plan says."""
        run = connection.run
        if run is None:
            return
        plan = run.plan
        if plan.outcome == "success" and self._lands:
            run.landing = True
        elif plan.outcome == "success":
            self._succeed(connection, at)
        elif plan.outcome == "failure":
            self._fail(connection, at, plan)
        elif plan.outcome == "rescheduled":
            self._reschedule(connection, at, plan)
        elif plan.outcome == "incomplete":
            self._end(connection, at, "INCOMPLETE", plan.reason or "The sync did not complete.")
        else:
            self._end(connection, at, "CANCELED", plan.reason or "The sync was canceled.")

    def landed(self, connection: Connection, run: Run, at: datetime, error: str | None) -> None:
        """Rows were written, or could not be. A run that was stopped meanwhile stays as it ended."""
        if connection.run is not run or not run.landing:
            return
        if error is None:
            self._succeed(connection, at)
        else:
            connection.tasks = [{"code": "destination_unavailable", "message": error, "details": ""}]
            connection.failed_at = at
            self._end(connection, at, "FAILURE", error)

    def _succeed(self, connection: Connection, at: datetime) -> None:
        run = connection.run
        if run is None:
            return
        connection.succeeded_at = at
        connection.tasks = []
        connection.warnings = [dict(warning) for warning in run.plan.warnings]
        connection.warned_at = at
        # Tables that are loaded again are not the history of the whole connection.
        connection.historical = connection.historical and run.tables is not None
        connection.schema_captured = True
        connection.source.capture()
        connection.setup_state, connection.setup_test_status = "connected", "PASSED"
        connection.update_state = "on_schedule"
        run.volume_mb = run.plan.volume_mb
        self._end(connection, at, "COMPLETED", None)

    def _fail(self, connection: Connection, at: datetime, plan: SyncPlan) -> None:
        connection.failed_at = at
        connection.tasks = [dict(task) for task in plan.tasks or (_DEFAULT_TASK,)]
        if plan.breaks_setup:
            connection.setup_state, connection.setup_test_status = "broken", "FAILED"
        if plan.retry_after is not None:
            connection.retry_at = at + timedelta(seconds=plan.retry_after)
        self._end(connection, at, "FAILURE", plan.reason or str(connection.tasks[0].get("message", "")))

    def _reschedule(self, connection: Connection, at: datetime, plan: SyncPlan) -> None:
        connection.rescheduled = True
        if plan.reschedule_after is not None:
            connection.rescheduled_for = at + timedelta(seconds=plan.reschedule_after)
        if connection.run is not None:
            connection.run.rescheduled_for = connection.rescheduled_for
        self._end(connection, at, "RESCHEDULED", plan.reason or "The quota of the source is used up.")

    def _end(self, connection: Connection, at: datetime, status: str, reason: str | None) -> None:
        run = connection.run
        if run is None:
            return
        run.status, run.ended_at, run.reason = status, at, reason
        run.landing, run.stops_at = False, None
        connection.run = None
        self._tell("sync_end", connection, run, at)
        self._skip_slots(connection, at)
        if connection.pending_resync is not None and not connection.paused:
            self._start_pending_resync(connection, at)

    def _start_pending_resync(self, connection: Connection, at: datetime) -> None:
        pending: dict[str, list[str]] | Literal[True] | None = connection.pending_resync
        connection.pending_resync = None
        tables = pending if isinstance(pending, dict) else None
        self.accept(connection, at, "resync", historical=tables is None, tables=tables)

    @staticmethod
    def _clear_reschedule(connection: Connection) -> None:
        connection.rescheduled, connection.rescheduled_for = False, None

    @staticmethod
    def _skip_slots(connection: Connection, at: datetime) -> None:
        """Move the own schedule past a moment at which a sync ran anyway."""
        if connection.interval is None or connection.scheduled_at is None or connection.scheduled_at > at:
            return
        passed = (at - connection.scheduled_at).total_seconds() // connection.interval + 1
        connection.scheduled_at += timedelta(seconds=passed * connection.interval)
