"""The ticket of a sync: what is awaited, taken before the sync is triggered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_fivetran.core.awaited import DEFAULT_START_TIMEOUT, Aim, Awaited, limit_of
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.moments import read_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from airflow_provider_fivetran.core.models import Connection

__all__ = ["DEFAULT_START_TIMEOUT", "Aim", "Ticket"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket(Awaited):
    """The awaited sync, by the facts found just before."""

    readers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        **Awaited.readers,
        "succeeded_at": read_moment,
        "failed_at": read_moment,
        "rescheduled_for": read_moment,
        "reschedule_wait": lambda seconds: timedelta(seconds=seconds),
    }

    connection_id: str
    group_id: str = ""
    """The group of the connection, where known; empty otherwise."""
    sync_state: str = ""
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    rescheduled_for: datetime | None = None
    historical: bool = False
    """Whether a historical sync is awaited, which may take days."""
    was_historical: bool = False
    """Fivetran called the connection's next sync historical when the ticket was taken."""
    until_not_historical: bool = False
    """A re-sync of everything is awaited: a sync that ends while Fivetran still calls the next one historical is
    not it."""
    other_sync_id: str | None = None
    """A sync that ran when the ticket was taken and is *not* the awaited one."""
    fail_when_rescheduled: bool = False
    reschedule_wait: timedelta | None = None
    """After a put-off wait so long instead of until the time that Fivetran announces."""
    wait_while_syncing: bool = False
    """Do not accept an end while another sync is running already (sensors)."""
    older_failures_count: bool = False
    """A failure that is newer than every success ends the wait even if it is older than the ticket (sensors)."""

    @classmethod
    def of(
        cls,
        connection: Connection,
        *,
        aim: Aim,
        taken_at: datetime,
        now: datetime,
        begun_at: datetime | None = None,
        **policies: Any,
    ) -> Ticket:
        """Take a ticket from what was found.

        :param taken_at: Fivetran's clock when it was found.
        :param now: our clock when it was found.
        :param begun_at: when the whole wait began, if not now.
        :param policies: the remaining fields.
        """
        historical = policies.pop("historical", False) or connection.status.is_historical
        return cls(
            connection_id=connection.id,
            group_id=connection.group_id,
            aim=aim,
            taken_at=taken_at,
            begun_at=begun_at or now,
            asked_at=now,
            sync_state=connection.status.sync_state,
            succeeded_at=connection.succeeded_at,
            failed_at=connection.failed_at,
            rescheduled_for=connection.status.rescheduled_for,
            historical=historical,
            **policies,
        )

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self.connection_id

    @property
    def link(self) -> str:
        """Where to look in the Fivetran dashboard."""
        return dashboard_link(self.connection_id)

    @property
    def latest_end(self) -> datetime | None:
        """The end of the newest sync that had ended before the ticket was taken."""
        known = [moment for moment in (self.succeeded_at, self.failed_at) if moment is not None]
        return max(known, default=None)

    @property
    def after_all_earlier(self) -> datetime:
        """A time after every end that had been when the ticket was taken, and before the end that it stands for."""
        latest = self.latest_end
        return self.taken_at if latest is None else max(self.taken_at, latest + timedelta(microseconds=1))

    def deadline(self, *, historical: bool = False) -> datetime:
        """When the whole wait is over, by our clock."""
        return self.begun_at + limit_of(self.timeout, self.at_most, historical=historical or self.historical)
