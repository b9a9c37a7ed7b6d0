"""What a simulated account consists of: plans, runs, connections, groups, users and keys, as plain data."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from .checking import check_choices, check_numbers
from .source import USUAL_COLUMNS, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

Outcome = Literal["success", "failure", "rescheduled", "canceled", "incomplete", "never_starts"]
Cause = Literal["api", "schedule", "force", "resync", "reschedule"]
SetupState = Literal["incomplete", "connected", "broken"]
ScheduleType = Literal["auto", "manual"]
Hideable = Literal["users", "groups", "destinations", "transformations"]
WebhookRight = Literal["manage", "read", "none"]
SyncFrequency = (1, 5, 15, 30, 60, 120, 180, 360, 480, 720, 1440)


@dataclass(frozen=True, kw_only=True)
class SyncPlan:
    """How one sync will go, decided before it starts. All durations are simulated seconds."""

    duration: float = 1.0
    # Accepted, but the state stays as it was for so long.
    queue_delay: float = 0.0
    outcome: Outcome = "success"
    # Tasks of a failed sync and warnings of one that ended well: objects with code, message and details.
    tasks: Sequence[dict[str, Any]] = ()
    warnings: Sequence[dict[str, Any]] = ()
    reason: str | None = None
    # A rescheduled sync is announced for its end plus this; None announces no time at all.
    reschedule_after: float | None = 2.0
    # After a failure Fivetran tries again by itself, under an automatic schedule, so much later.
    retry_after: float | None = None
    breaks_setup: bool = False
    # Megabytes extracted, processed and loaded; None where Fivetran does not know.
    volume_mb: tuple[float | None, float | None, float | None] = (12.5, 11.0, 10.25)

    def __post_init__(self) -> None:
        check_choices("outcome", self.outcome, get_args(Outcome))
        check_numbers("duration", self.duration)
        check_numbers("queue_delay", self.queue_delay)
        for name in ("reschedule_after", "retry_after"):
            if getattr(self, name) is not None:
                # Zero could start syncs for ever in one moment.
                check_numbers(name, getattr(self, name), least=0.001)


@dataclass(kw_only=True)
class Run:
    """One sync as it really was: the truth against which verdicts are checked.

    ``status`` is ``QUEUED`` or ``RUNNING`` at first, then what the sync history says: ``COMPLETED``,
    ``FAILURE``, ``CANCELED``, ``INCOMPLETE``, ``RESCHEDULED`` or ``PAUSED``. One that was accepted and never
    began is ``DROPPED``.
    """

    sync_id: str
    connection_id: str
    cause: Cause
    plan: SyncPlan
    accepted_at: datetime
    starts_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    status: str = "QUEUED"
    reason: str | None = None
    historical: bool = False
    tables: dict[str, list[str]] | None = None
    rescheduled_for: datetime | None = None
    volume_mb: tuple[float | None, float | None, float | None] = (None, None, None)
    # Set while a running sync is being stopped, and while its rows are being written.
    stops_at: datetime | None = None
    landing: bool = False

    @property
    def running(self) -> bool:
        return self.status == "RUNNING"


@dataclass(kw_only=True)
class Connection:
    """A Fivetran connection and what moves it."""

    id: str
    group_id: str
    service: str
    schema: str
    created_at: datetime
    connected_by: str = "sim_user"
    service_version: int = 1
    paused: bool = False
    setup_state: SetupState = "connected"
    # What the next setup test finds.
    setup_test_status: Literal["PASSED", "FAILED"] = "PASSED"
    schedule_type: ScheduleType = "auto"
    sync_frequency: int | None = 360
    daily_sync_time: str | None = None
    data_delay_sensitivity: str = "LOW"
    data_delay_threshold: int = 0
    pause_after_trial: bool = False
    networking_method: str = "Directly"
    update_state: str = "on_schedule"
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    historical: bool = False
    schema_captured: bool = True
    # So many seconds apart syncs began before it was added, which its history shows, but not the log of real runs;
    # they went as its default plan says, except that every so manyth failed.
    past_every: float | None = None
    past_failing: int | None = None
    past_until: datetime | None = None
    # As its schema config shows them; a landing writes these three in any case.
    tables: Sequence[str] = ("customers", "orders", "payments")
    disabled_tables: Sequence[str] = ()
    # The columns of each table by schema and table, where they matter; and what Fivetran knows and does of them.
    source_tables: dict[str, dict[str, list[str]]] | None = None
    source: Source = field(init=False, repr=False)
    # Whether its type can load single tables anew, as databases can.
    resyncs_tables: bool = True
    config: dict[str, Any] = field(default_factory=dict)
    # What its type calls the ``auth`` section: no answer shows it.
    auth: dict[str, Any] = field(default_factory=dict)
    # Whether somebody has let Fivetran into the source, by credentials or a Connect Card: or setup tests fail.
    authorized: bool = True
    # What a ``schedule`` said that no ``sync_frequency`` can say.
    flexible_schedule: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    warned_at: datetime | None = None

    # Seconds between the syncs that Fivetran's own schedule starts; None starts none, unless a switch says that
    # sync_frequency counts.
    every: float | None = None
    # What is in force of the two.
    interval: float | None = None
    default_plan: SyncPlan = field(default_factory=SyncPlan)
    plans: deque[SyncPlan] = field(default_factory=deque)
    run: Run | None = None
    rescheduled: bool = False
    rescheduled_for: datetime | None = None
    retry_at: datetime | None = None
    scheduled_at: datetime | None = None
    # Since when the own schedule may act: it starts nothing for the time before.
    enabled_at: datetime | None = None
    # A re-sync that waits for the running sync to end or for the connection to be enabled again.
    pending_resync: dict[str, list[str]] | Literal[True] | None = None

    def __post_init__(self) -> None:
        names = dict.fromkeys([*self.tables, *self.disabled_tables])
        usual = {self.schema: {name: list(USUAL_COLUMNS) for name in names}}
        self.source = Source(self.schema, usual if self.source_tables is None else self.source_tables)
        for schema in self.source.schemas.values():
            for table in schema.tables.values():
                table.enabled = table.name not in self.disabled_tables

    @property
    def sync_state(self) -> str:
        if self.run is not None and self.run.running:
            return "syncing"
        if self.paused:
            return "paused"
        return "rescheduled" if self.rescheduled else "scheduled"


@dataclass(kw_only=True)
class Group:
    """A group, and the destination that shares its id."""

    id: str
    name: str
    created_at: datetime
    service: str = "big_query"
    region: str = "GCP_US_EAST4"
    time_zone_offset: str = "0"
    setup_status: str = "CONNECTED"
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class User:
    id: str
    email: str
    created_at: datetime
    given_name: str = "Sim"
    family_name: str = "User"
    role: str = "Account Administrator"
    active: bool = True
    # Has been invited, and has not come yet.
    invited: bool = False
    phone: str | None = None
    picture: str | None = None


@dataclass(frozen=True, kw_only=True)
class Key:
    """An API key with its rights. A narrower key is refused with 403 where a right is missing."""

    key: str
    secret: str
    may_list: bool = True
    may_read_history: bool = True
    may_write: bool = True
    # What it may do with webhooks.
    webhooks: WebhookRight = "manage"
    # The groups it sees; None is all of them.
    groups: frozenset[str] | None = None
    # Of these it sees nothing.
    hidden: frozenset[Hideable] = frozenset()
    system: bool = False
    # Of a user's key: whether the user is an account administrator, who alone may manage system keys.
    administrator: bool = True
    # Of a system key that the account has made: its id, what it may do with which resources, and its end.
    system_key_id: str = ""
    levels: Mapping[str, str] | None = None
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        check_choices("webhooks", self.webhooks, get_args(WebhookRight))
        for kind in self.hidden:
            check_choices("hidden", kind, get_args(Hideable))
