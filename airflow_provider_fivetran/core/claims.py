"""How a watcher and the webhook receiver, which hear of the same ends, agree on who tells of each.

Both see one thing only: the asset's state store, in Airflow's database. Whoever would tell of an end writes its
claim first, under a key that both use, and the database lets one of two wait for the other there:

- The receiver inserts the claim, and gives up if there is one. In the same transaction it emits the event and writes
  down that it has told.
- A watcher cannot insert, it can only write. So it writes the claim, which waits for a receiver that is about to
  tell, and then looks whether that has told; if not, no receiver will any more.

A watcher spares itself that while no receiver tells of its asset, which is what :data:`RECEIVER` says. Where it
does not know the ids of what ended, because the account has no sync history, the receiver leaves the asset to it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_fivetran.core.moments import read_moment, write_moment

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_fivetran.core.verdicts import SyncRecord

__all__ = [
    "BY_WATCHER",
    "CLAIM",
    "FORGOTTEN_IN_TIME",
    "GRACE",
    "LATEST",
    "LEFT_TO_WATCHER",
    "RECEIVER",
    "SEEN",
    "TOLD",
    "date_of",
    "dated",
    "identity_of",
    "is_shared",
    "stream_of",
]

# The keys in an asset's state store. What its watcher has told, and up to when:
SEEN = "fivetran_seen"
# Whether a receiver tells of the asset, and since when:
RECEIVER = "fivetran_receiver"
# Of each end: that somebody tells of it, and that a receiver has.
CLAIM = "fivetran_claim:"
TOLD = "fivetran_told:"
# Of each connection and kind of end: when the latest one was that a receiver has told.
LATEST = "fivetran_latest:"
FORGOTTEN_IN_TIME = (CLAIM, TOLD, LATEST)

BY_WATCHER = {"by": "watcher"}
# The watcher does not know the ids of all that it tells.
LEFT_TO_WATCHER = {"left": "to the watcher"}
# A watcher that has not read yet that there is a receiver has told what it was about to tell when this has passed.
GRACE = timedelta(minutes=1)


def identity_of(record: SyncRecord) -> str:
    """The same for whoever tells of this end, whatever word it has for it.

    A sync that is put off and then fails has ended twice, in different ways; both may be told.
    """
    how = "rescheduled" if record.status == "rescheduled" else "ended"
    return f"{record.connection_id}:{record.sync_id}:{how}"


def stream_of(record: SyncRecord) -> str:
    """The same for all ends of a connection that are of the same kind."""
    return f"{record.connection_id}:{record.status}"


def dated(moment: datetime) -> dict[str, str]:
    """The value of :data:`RECEIVER` from this time on, and of :data:`LATEST` for an end with this time."""
    return {"at": write_moment(moment)}


def date_of(value: object) -> datetime | None:
    """What :func:`dated` was given; ``None`` if the value is another."""
    try:
        return read_moment(value["at"])  # type: ignore[index]  # what is none is refused below
    except (KeyError, TypeError, ValueError):
        return None


def is_shared(value: object, now: datetime) -> bool:
    """Whether a receiver may tell of an asset that has a watcher, going by the value of :data:`RECEIVER`."""
    since = date_of(value)
    return since is not None and since <= now - GRACE
