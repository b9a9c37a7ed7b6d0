"""How a watcher and the webhook receiver, which hear of the same ends, agree on who tells of each.

Both see one thing only: the asset's state store, in Airflow's database. Whoever would tell of an end writes its
claim first, under a key that both use, and the database lets one of two wait for the other there:

- The receiver inserts the claim, and gives up if there is one. In the same transaction it emits the event and writes
  down that it has told. What is claimed once is never claimed again, whether it came to an event or not.
- A watcher cannot insert, it can only write. So it writes the claim, which waits for a receiver that is about to
  tell, and then looks whether that has told; if not, no receiver will any more. What it claimed and had no time to
  tell, it tells when it runs again.

What is kept for an asset, and what for:

======================  =======  ==============================================================================
key                     by       meaning
======================  =======  ==============================================================================
:data:`SEEN`            watcher  up to when all that it sees has been told, by whomever, and what of the time after
:data:`RECEIVER`        both     that a receiver tells of the asset, since when, and what it leaves to the watcher
:data:`CLAIM` + end     both     somebody tells of this end
:data:`TOLD` + end      receiver it has
:data:`LATEST` + kind   receiver the time of the latest end of a connection that it has told, of each status
======================  =======  ==============================================================================

Ends whose ids a watcher does not know, because there is no sync history or it lags too far behind, have no claims.
There the watcher goes by :data:`LATEST`, and for a day the receiver leaves that connection to it.

The receiver forgets claims after :data:`CLAIMS_KEPT`; nothing else is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.moments import read_moment, write_moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_fivetran.core.verdicts import SyncRecord

__all__ = [
    "BY_WATCHER",
    "CLAIM",
    "CLAIMS_KEPT",
    "FORGOTTEN_IN_TIME",
    "GRACE",
    "HEARD_EVERY",
    "LATEST",
    "OLDEST_TOLD",
    "RECEIVER",
    "SEEN",
    "TOLD",
    "Receiver",
    "date_of",
    "dated",
    "identity_of",
    "stream_of",
]

SEEN = "fivetran_seen"
RECEIVER = "fivetran_receiver"
CLAIM = "fivetran_claim:"
TOLD = "fivetran_told:"
LATEST = "fivetran_latest:"
FORGOTTEN_IN_TIME = (CLAIM, TOLD)

BY_WATCHER = {"by": "watcher"}
# Fivetran tries to deliver for a day. What is told later than OLDEST_TOLD is refused, so that a claim that is gone
# is never needed again.
OLDEST_TOLD = timedelta(days=7)
CLAIMS_KEPT = OLDEST_TOLD + timedelta(days=1)
# A watcher that has not read yet that there is a receiver has told what it was about to tell when this has passed.
GRACE = timedelta(minutes=1)
# Fivetran delivers the end of a sync again for almost as long.
LEFT_FOR = timedelta(hours=25)
# The receiver says so often that it still is there.
HEARD_EVERY = timedelta(days=1)


def identity_of(record: SyncRecord) -> str:
    """The same for whoever tells of this end, whatever word it has for it.

    A sync that is put off and then fails has ended twice, in different ways; both may be told.
    """
    how = "rescheduled" if record.status == "rescheduled" else "ended"
    return f"{record.connection_id}:{record.sync_id}:{how}"


def stream_of(record: SyncRecord) -> str:
    """The same for all ends of a connection that are of the same kind."""
    return f"{record.connection_id}:{record.status}"


def dated(moment: datetime) -> dict[str, Any]:
    """The value of :data:`LATEST`."""
    return {"at": write_moment(moment)}


def date_of(value: object) -> datetime | None:
    """What :func:`dated` was given; ``None`` if the value is another."""
    try:
        return read_moment(value["at"])  # type: ignore[index]  # what is none is refused below
    except (KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """The value of :data:`RECEIVER`."""

    since: datetime
    """Since then watchers could know of it."""
    heard: datetime
    """It was there at this time, to within a day."""
    left: Mapping[str, datetime] = field(default_factory=dict)
    """Connections whose ends the watcher tells without their ids, and until when they are left to it."""

    def is_there(self, now: datetime) -> bool:
        """Whether it is still to be reckoned with; if not, all that it told has been forgotten."""
        return self.heard > now - CLAIMS_KEPT

    def tells(self, connection_id: str, now: datetime) -> bool:
        """Whether it may tell of a connection that a watcher tells of too."""
        left_until = self.left.get(connection_id)
        return self.since <= now - GRACE and (left_until is None or left_until <= now)

    def leaving(self, connection_id: str, now: datetime) -> Receiver:
        """The same, once it leaves a connection to the watcher."""
        left = {name: until for name, until in self.left.items() if until > now}
        return replace(self, left={**left, connection_id: now + LEFT_FOR})

    def leaves(self, connection_id: str, now: datetime) -> bool:
        """Whether it leaves a connection to the watcher for a good while yet."""
        left_until = self.left.get(connection_id)
        return left_until is not None and left_until > now + LEFT_FOR / 2

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON."""
        left = {name: write_moment(until) for name, until in self.left.items()}
        return {"since": write_moment(self.since), "heard": write_moment(self.heard), "left": left}

    @classmethod
    def from_json(cls, data: object, now: datetime) -> Receiver | None:
        """Read what :meth:`to_json` wrote; ``None`` if it is something else, or of one that is gone."""
        try:
            left = data["left"]  # type: ignore[index]  # what is none is refused below
            read = cls(
                since=read_moment(data["since"]),  # type: ignore[index]
                heard=read_moment(data["heard"]),  # type: ignore[index]
                left={str(name): read_moment(until) for name, until in left.items()},
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            return None
        return read if read.is_there(now) else None
