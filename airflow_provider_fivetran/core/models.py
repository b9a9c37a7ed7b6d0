"""What Fivetran tells us, as frozen values. Wire names appear in ``from_json`` and nowhere else.

States stay the words that Fivetran sent, in lower case: a word that is new to this version must not stop a wait.
Source: Fivetran's REST API definition, schemas ``ConnectorResponseV1``, ``ConnectorStatusResponse``,
``ConnectorSyncHistoryResponse``, ``SetupTestResultResponse``, ``GroupResponse``, ``DestinationResponse``,
``AccountInfoResponse``, ``WebhookResponse``, ``WebhookTestResponse``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_fivetran.core.fields import (
    flag,
    maybe_moment,
    maybe_number,
    maybe_text,
    records,
    section,
    storable,
    text,
    texts,
)

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "TRANSFORMATIONS_LINK",
    "Account",
    "Connection",
    "ConnectionStatus",
    "Destination",
    "Group",
    "Notice",
    "SetupTest",
    "SyncHistoryEntry",
    "Webhook",
    "WebhookTest",
    "dashboard_link",
]

Json = Mapping[str, Any]

_SUCCESSES = frozenset({"completed", "successful", "success"})
_FAILURES = frozenset({"failure", "failed", "failure_with_task"})
_PUT_OFF = frozenset({"rescheduled"})
_STOPPED = frozenset({"canceled", "cancelled", "paused", "incomplete"})


# What the address of a single transformation is depends on its type and is not documented.
TRANSFORMATIONS_LINK = "https://fivetran.com/dashboard/transformations"


def dashboard_link(connection_id: str) -> str:
    """Address of a connection in the Fivetran dashboard."""
    return f"https://fivetran.com/dashboard/connections/{quote(connection_id, safe='')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A task that Fivetran wants done, or a warning, about a connection."""

    code: str
    message: str
    details: str = ""

    @classmethod
    def from_json(cls, data: Json) -> Notice:
        details = data.get("details")  # declared as a text, and newer than the rest
        return cls(
            code=maybe_text(data, "code") or "",
            message=maybe_text(data, "message") or "",
            details=storable(details) if isinstance(details, str) else "",
        )

    def __str__(self) -> str:
        said = ": ".join(part for part in (self.message, self.details) if part)
        return f"{said} ({self.code})" if said and self.code else said or self.code


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupTest:
    """The result of one setup test of a connection."""

    title: str
    status: str
    """``passed``, ``skipped``, ``warning``, ``failed`` or ``job_failed``."""
    message: str

    @classmethod
    def from_json(cls, data: Json) -> SetupTest:
        return cls(
            title=maybe_text(data, "title") or "",
            status=(maybe_text(data, "status") or "").lower(),
            message=maybe_text(data, "message") or "",
        )

    @property
    def has_failed(self) -> bool:
        return self.status in {"failed", "job_failed"}

    def __str__(self) -> str:
        return f"{self.title}: {self.message or self.status}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStatus:
    """The ``status`` of a connection."""

    sync_state: str
    """``scheduled``, ``syncing``, ``paused``, ``rescheduled``, or a word that is newer than this code."""
    setup_state: str
    """``connected``, ``incomplete``, ``broken``, or a word that is newer than this code."""
    update_state: str
    """``on_schedule``, ``delayed``, or a word that is newer than this code."""
    is_historical: bool
    """Whether the sync that runs, or comes next, is a historical one."""
    rescheduled_for: datetime | None
    tasks: tuple[Notice, ...] = ()
    warnings: tuple[Notice, ...] = ()

    @property
    def is_set_up(self) -> bool:
        """Whether Fivetran gets into the source: the setup is complete, and not broken."""
        return self.setup_state == "connected"

    @classmethod
    def from_json(cls, data: Json) -> ConnectionStatus:
        return cls(
            sync_state=(maybe_text(data, "sync_state") or "").lower(),
            setup_state=(maybe_text(data, "setup_state") or "").lower(),
            update_state=(maybe_text(data, "update_state") or "").lower(),
            is_historical=flag(data, "is_historical_sync"),
            rescheduled_for=maybe_moment(data, "rescheduled_for"),
            tasks=records(data, "tasks", Notice.from_json),
            warnings=records(data, "warnings", Notice.from_json),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A Fivetran connection (a *connector* before 2025)."""

    id: str
    group_id: str
    service: str
    schema: str
    """Name of the schema in the destination; also the name that the dashboard shows."""
    paused: bool
    schedule_type: str
    """``auto`` or ``manual``."""
    succeeded_at: datetime | None
    failed_at: datetime | None
    status: ConnectionStatus
    sync_frequency: float | None = None
    """Minutes between syncs under the automatic schedule."""
    setup_tests: tuple[SetupTest, ...] = ()
    """Filled only in the answer to a request that ran them."""

    @classmethod
    def from_json(cls, data: Json) -> Connection:
        return cls(
            id=text(data, "id"),
            group_id=maybe_text(data, "group_id") or "",
            service=maybe_text(data, "service") or "",
            schema=maybe_text(data, "schema") or "",
            paused=flag(data, "paused"),
            schedule_type=(maybe_text(data, "schedule_type") or "").lower(),
            succeeded_at=maybe_moment(data, "succeeded_at"),
            failed_at=maybe_moment(data, "failed_at"),
            status=ConnectionStatus.from_json(section(data, "status")),
            sync_frequency=maybe_number(data, "sync_frequency"),
            setup_tests=records(data, "setup_tests", SetupTest.from_json),
        )

    @property
    def is_syncing(self) -> bool:
        return self.status.sync_state == "syncing"

    @property
    def is_rescheduled(self) -> bool:
        return self.status.sync_state == "rescheduled"

    @property
    def is_at_rest(self) -> bool:
        """Whether Fivetran says, in a word known here, that no sync runs."""
        return self.status.sync_state in {"scheduled", "paused"}

    @property
    def link(self) -> str:
        return dashboard_link(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncHistoryEntry:
    """One sync in the history of a connection, which reaches back seven days."""

    sync_id: str
    status: str
    """Fivetran's word in lower case; the questions below say what it means."""
    started_at: datetime | None
    ended_at: datetime | None
    reason: str | None = None
    volume_mb: Mapping[str, float] = field(default_factory=dict)
    """Megabytes per stage (``extract``, ``process``, ``load``), where known."""

    @classmethod
    def from_json(cls, data: Json) -> SyncHistoryEntry:
        stages = section(data, "stages")
        volumes = {str(name): maybe_number(section(stages, name), "volume") for name in stages}
        return cls(
            sync_id=text(data, "sync_id"),
            status=text(data, "status").lower(),
            started_at=maybe_moment(data, "start"),
            ended_at=maybe_moment(data, "end"),
            reason=maybe_text(data, "reason"),
            volume_mb={name: volume for name, volume in volumes.items() if volume is not None},
        )

    @property
    def is_success(self) -> bool:
        return self.status in _SUCCESSES

    @property
    def is_failure(self) -> bool:
        return self.status in _FAILURES

    @property
    def is_put_off(self) -> bool:
        return self.status in _PUT_OFF

    @property
    def is_stopped(self) -> bool:
        return self.status in _STOPPED

    @property
    def is_running(self) -> bool:
        """No word for a running sync is documented: an entry without an end and without an ending word runs."""
        return self.ended_at is None and self.status not in _SUCCESSES | _FAILURES | _PUT_OFF | _STOPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group of connections; its destination has the same id."""

    id: str
    name: str

    @classmethod
    def from_json(cls, data: Json) -> Group:
        return cls(id=text(data, "id"), name=maybe_text(data, "name") or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a group's connections load into."""

    id: str
    group_id: str
    service: str
    region: str
    setup_status: str
    """``incomplete``, ``connected`` or ``broken``."""
    config: Json = field(default_factory=dict, repr=False)
    """Where and how it is reached, in fields of its service; empty in a list. Fivetran masks the secrets."""

    @classmethod
    def from_json(cls, data: Json) -> Destination:
        return cls(
            id=text(data, "id"),
            group_id=maybe_text(data, "group_id") or "",
            service=maybe_text(data, "service") or "",
            region=maybe_text(data, "region") or "",
            setup_status=(maybe_text(data, "setup_status") or "").lower(),
        )

    @classmethod
    def with_config(cls, data: Json) -> Destination:
        """Read the answer about one destination, which shows its configuration too."""
        return replace(cls.from_json(data), config=section(data, "config"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account that a key belongs to."""

    account_id: str
    account_name: str
    user_id: str | None
    """Set for a user's key."""
    system_key_id: str | None
    """Set for a system key."""

    @classmethod
    def from_json(cls, data: Json) -> Account:
        return cls(
            account_id=maybe_text(data, "account_id") or "",
            account_name=maybe_text(data, "account_name") or "",
            user_id=maybe_text(data, "user_id"),
            system_key_id=maybe_text(data, "system_key_id"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address to which Fivetran delivers events of the account or of one group."""

    id: str
    url: str = field(repr=False)
    """Of other people's receivers it may carry a token in its query: show :attr:`address` instead."""
    events: tuple[str, ...]
    is_active: bool
    """Fivetran deactivates one whose deliveries fail for three days."""
    group_id: str | None = None
    """Unset for a webhook of the account."""
    is_signed: bool = False
    """Whether it has a secret, which is never shown."""
    created_at: datetime | None = None
    created_by: str | None = None

    @classmethod
    def from_json(cls, data: Json) -> Webhook:
        return cls(
            id=text(data, "id"),
            url=maybe_text(data, "url") or "",
            events=texts(data, "events"),
            is_active=flag(data, "active"),
            group_id=maybe_text(data, "group_id") or None,
            is_signed=bool(maybe_text(data, "secret")),
            created_at=maybe_moment(data, "created_at"),
            created_by=maybe_text(data, "created_by"),
        )

    @property
    def address(self) -> str:
        """The URL without credentials, query and fragment."""
        scheme, separator, rest = self.url.partition("://")
        place = rest if separator else scheme
        for mark in "?#":
            place = place.partition(mark)[0]
        host, slash, path = place.partition("/")
        return f"{scheme if separator else ''}{separator}{host.rpartition('@')[2]}{slash}{path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTest:
    """What became of a test delivery."""

    has_succeeded: bool
    status: int | None
    """HTTP status that the receiver answered with."""
    message: str

    @classmethod
    def from_json(cls, data: Json) -> WebhookTest:
        status = maybe_number(data, "status")
        return cls(
            has_succeeded=flag(data, "succeed"),
            status=None if status is None else int(status),
            message=maybe_text(data, "message") or "",
        )
