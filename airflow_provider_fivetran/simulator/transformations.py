"""Transformations: their runs, the few states between them, and what starts and cancels one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from .checking import check_choices, check_numbers
from .problems import conflict

if TYPE_CHECKING:
    from datetime import datetime

    from .switches import Switches

TransformationOutcome = Literal["SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELED", "BLOCKED"]
TransformationType = Literal["DBT_CORE", "QUICKSTART"]


@dataclass(frozen=True, kw_only=True)
class TransformationRun:
    """One run as it really was."""

    started_at: datetime
    ended_at: datetime | None
    status: str
    full_refresh: bool = False


@dataclass(kw_only=True)
class Transformation:
    """A transformation, how long its runs take, and how they end."""

    id: str
    group_id: str
    created_at: datetime
    type: TransformationType = "DBT_CORE"
    paused: bool = False
    duration: float = 1.0
    # Accepted, but the status stays SCHEDULING for so long.
    queue_delay: float = 0.0
    # Cancelled, but the status stays TERMINATING for so long.
    stop_delay: float = 0.0
    outcome: TransformationOutcome = "SUCCEEDED"
    # Of a Quickstart transformation that of its package; empty: the id.
    name: str = ""
    project_id: str = "sim_project"
    created_by_id: str = "sim_user"
    status: str = "NEW"
    last_started_at: datetime | None = None
    last_ended_at: datetime | None = None
    output_model_names: list[str] = field(default_factory=lambda: ["shop_orders", "shop_customers"])
    schedule: dict[str, Any] = field(
        default_factory=lambda: {"schedule_type": "INTERVAL", "interval": 1440, "smart_syncing": False}
    )
    starts_at: datetime | None = None
    stops_at: datetime | None = None
    # Of a run that is being cancelled: whether it had left the queue.
    has_begun: bool = False
    full_refresh: bool = False
    runs: list[TransformationRun] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_choices("outcome", self.outcome, get_args(TransformationOutcome))
        check_choices("type", self.type, get_args(TransformationType))
        check_numbers("duration", self.duration)
        check_numbers("queue_delay", self.queue_delay)
        check_numbers("stop_delay", self.stop_delay)
        self.name = self.name or self.id

    @property
    def busy(self) -> bool:
        return self.status in ("SCHEDULING", "RUNNING", "TERMINATING")

    def advance(self, now: datetime) -> None:
        if self.status == "SCHEDULING" and self.starts_at is not None and self.starts_at <= now:
            self.status, self.last_started_at = "RUNNING", self.starts_at
        if self.status == "RUNNING" and self.last_started_at is not None:
            ends_at = self.last_started_at + timedelta(seconds=self.duration)
            if ends_at <= now:
                self._end(ends_at, self.outcome)
        if self.status == "TERMINATING" and self.stops_at is not None and self.stops_at <= now:
            self._end(self.stops_at, "CANCELED")

    def run(self, now: datetime, switches: Switches, *, full_refresh: bool) -> None:
        self.advance(now)
        if self.busy:
            if switches.transformation_run_while_running == "conflict":
                raise conflict(f"Transformation with id '{self.id}' is already running")
            return
        if self.paused and switches.transformation_run_while_paused == "conflict":
            raise conflict(f"Transformation with id '{self.id}' is paused")
        self.status, self.full_refresh = "SCHEDULING", full_refresh
        self.starts_at = now + timedelta(seconds=self.queue_delay)
        self.advance(now)

    def cancel(self, now: datetime, switches: Switches) -> None:
        self.advance(now)
        if self.busy:
            if self.status != "TERMINATING":
                self.has_begun = self.status == "RUNNING"
                self.status, self.stops_at = "TERMINATING", now + timedelta(seconds=self.stop_delay)
            self.advance(now)
        elif switches.transformation_cancel_while_idle == "conflict":
            raise conflict(f"Transformation with id '{self.id}' is not running")

    def _end(self, at: datetime, status: str) -> None:
        has_begun = self.status == "RUNNING" or (self.status == "TERMINATING" and self.has_begun)
        if has_begun and self.last_started_at is not None:
            self.last_ended_at = at
            self.runs.append(
                TransformationRun(
                    started_at=self.last_started_at,
                    ended_at=at,
                    status=status,
                    full_refresh=self.full_refresh,
                )
            )
        self.status, self.starts_at = status, None
