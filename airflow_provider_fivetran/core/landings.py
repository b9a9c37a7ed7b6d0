"""What ended in Fivetran since the last look, for those who watch connections instead of waiting for one sync.

The list of connections tells cheaply that something has ended; the sync history tells what, and everything that
ended between two looks. Where there is no history, the two timestamps must do: they know the latest end of a kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_fivetran.core.moments import read_moment, write_moment
from airflow_provider_fivetran.core.reports import reasons_of
from airflow_provider_fivetran.core.verdicts import SyncRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from airflow_provider_fivetran.core.models import Connection, SyncHistoryEntry

__all__ = ["SAME_END", "Trace", "Watermark", "by_timestamps", "in_history", "trace_of"]

Trace: TypeAlias = tuple[object, ...]

# An end may show itself so late: what is told is remembered for as long.
OVERLAP = timedelta(minutes=3)
# Airflow keeps values of up to 64 KB, unless it is told otherwise; each of these takes about 100 bytes.
MOST_REMEMBERED = 500
# A time in the history and a timestamp of the same end differ by less.
SAME_END = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Watermark:
    """Up to where all that ended has been told, and what of the time after."""

    until: datetime
    """By Fivetran's clock."""
    told: Mapping[str, datetime] = field(default_factory=dict)
    """When each sync ended, by its connection and its own id, or, where that is unknown, its end:
    ``connection/sync``, ``connection/@end``."""
    since: datetime | None = None
    """What ended before this time, when there was no watcher yet, is not among what has been told."""

    def has(self, record: SyncRecord) -> bool:
        """Whether this end has been told, or is not among what is to be told."""
        return record.ended_at is None or record.ended_at <= self.until or self.has_told(record)

    def has_told(self, record: SyncRecord) -> bool:
        """Whether this end has been told, as far as that is remembered by name."""
        ended_at = record.ended_at
        if ended_at is None or _key(record) in self.told:
            return True
        # Where one of the two has no id, they are the same if they ended together.
        every = f"{record.connection_id}/" if record.sync_id is None else f"{record.connection_id}/@"
        return any(key.startswith(every) and abs(at - ended_at) < SAME_END for key, at in self.told.items())

    def covers(self, record: SyncRecord, claimed_since: datetime | None) -> bool:
        """Whether this end has been told, as far as others than who keeps this mark can know.

        :param claimed_since: what ended later is told only by who has a claim to it; the mark's time says nothing of
            it, for not everything is seen by who keeps the mark. ``None``: there are no claims.
        """
        ended_at = record.ended_at
        if self.has_told(record) or ended_at is None:
            return True
        is_past = self.since is not None and self.since < ended_at <= self.until
        return is_past and (claimed_since is None or ended_at <= claimed_since)

    def with_told(self, record: SyncRecord) -> Watermark:
        """The same, once this end has been told."""
        if record.ended_at is None:
            return self
        return replace(self, told={**self.told, _key(record): record.ended_at})

    def seen_since(self, moment: datetime) -> Watermark:
        """The same for a connection that was not shown since this time: what it ended since is to be told too."""
        return replace(self, until=min(self.until, moment))

    def with_all_of(self, other: Watermark) -> Watermark:
        """The same, with what another process has told meanwhile."""
        return replace(self, until=max(self.until, other.until), told={**self.told, **other.told})

    def moved_to(self, until: datetime) -> Watermark:
        """The same, now that nothing that ended before this time is still to be told."""
        until = max(self.until, until - OVERLAP)
        return replace(self, until=until, told={key: at for key, at in self.told.items() if at > until})

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON, of a size that Airflow keeps: of very many, the latest."""
        latest = sorted(self.told.items(), key=lambda item: item[1])
        until = max([self.until, *(at for _, at in latest[:-MOST_REMEMBERED])])
        data: dict[str, Any] = {
            "until": write_moment(until),
            "told": {key: write_moment(at) for key, at in latest[-MOST_REMEMBERED:]},
        }
        return data if self.since is None else {**data, "since": write_moment(self.since)}

    @classmethod
    def from_json(cls, data: object) -> Watermark | None:
        """Read what :meth:`to_json` wrote; ``None`` if it is something else."""
        try:
            told, since = data["told"], data.get("since")  # type: ignore[index,attr-defined]  # what is none is refused
            return cls(
                read_moment(data["until"]),  # type: ignore[index]
                {str(key): read_moment(at) for key, at in told.items()},
                None if since is None else read_moment(since),
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            return None


def trace_of(connection: Connection, *, failures: bool) -> Trace:
    """What changes in a connection when a sync of it ends well, or, the other way, when one does not."""
    if not failures:
        return (connection.succeeded_at,)
    put_off = connection.is_rescheduled and (connection.status.rescheduled_for or True)
    # One that is cancelled leaves no trace but that it no longer runs.
    return (connection.failed_at, put_off, connection.is_syncing)


def in_history(
    connection: Connection, entries: Iterable[SyncHistoryEntry], mark: Watermark, *, failures: bool
) -> tuple[SyncRecord, ...]:
    """What the history shows as ended and not told yet, in the order of the ends."""
    records = [_record_of(connection, entry) for entry in entries if _is_wanted(entry, failures=failures)]
    new = [record for record in records if not mark.has(record)]
    return tuple(sorted(new, key=lambda record: (record.ended_at, record.sync_id)))


def by_timestamps(
    connection: Connection, mark: Watermark, at: datetime, *, failures: bool
) -> tuple[SyncRecord, ...]:
    """The latest end of a kind, if it has not been told yet, and that a sync is put off.

    :param at: Fivetran's clock.
    """
    reason = reasons_of(connection, None) or None if failures else None
    record = SyncRecord(
        connection_id=connection.id,
        status="failed" if failures else "succeeded",
        link=connection.link,
        ended_at=connection.failed_at if failures else connection.succeeded_at,
        reason=reason,
    )
    ends = () if mark.has(record) else (record,)
    if not failures or not connection.is_rescheduled:
        return ends
    until = connection.status.rescheduled_for
    return (*ends, replace(record, status="rescheduled", ended_at=at, rescheduled_for=until))


def _key(record: SyncRecord) -> str:
    end = write_moment(record.ended_at) if record.ended_at else ""
    return f"{record.connection_id}/{record.sync_id or f'@{end}'}"


def _is_wanted(entry: SyncHistoryEntry, *, failures: bool) -> bool:
    if entry.ended_at is None:
        return False
    return entry.is_failure or entry.is_stopped or entry.is_put_off if failures else entry.is_success


def _record_of(connection: Connection, entry: SyncHistoryEntry) -> SyncRecord:
    if entry.is_success:
        status = "succeeded"
    elif entry.is_failure:
        status = "failed"
    else:
        status = "rescheduled" if entry.is_put_off else "cancelled"
    return SyncRecord(
        connection_id=connection.id,
        status=status,
        link=connection.link,
        sync_id=entry.sync_id,
        started_at=entry.started_at,
        ended_at=entry.ended_at,
        volume_mb=entry.volume_mb,
        reason=None if entry.is_success else reasons_of(connection, entry) or None,
        rescheduled_for=connection.status.rescheduled_for if entry.is_put_off else None,
    )
