"""What a delivery of Fivetran says happened. A body is read only after its signature was found right.

A right signature does not make the rest true: ids must look like ids, texts are cut, and what is not understood is
refused or ignored, never guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_fivetran.core.asset_uris import Subject
from airflow_provider_fivetran.core.claims import identity_of
from airflow_provider_fivetran.core.fields import storable
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.moments import read_moment
from airflow_provider_fivetran.core.verdicts import SyncRecord

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Delivery", "Ignored", "Probe", "SyncEnded", "TransformationTold", "read_delivery"]

# The connection that Fivetran makes up when it tests a webhook.
PROBED_CONNECTION = "_connection_1"
LONGEST_REASON = 500

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_EVENT = re.compile(r"[a-z0-9_]{1,64}")
# Seen in documentation, samples and live captures of different years: all of these mean the same three things.
_TRANSFORMATION = re.compile(r"(?:dbt_run|transformation|transformation_run)_(start|succeeded|failed)")
# Both vocabularies, that of webhooks and that of the sync history.
_SUCCEEDED = frozenset({"successful", "success", "completed"})
_FAILED = frozenset({"failed", "failure", "failure_with_task"})
_STATUSES = {
    **dict.fromkeys(_SUCCEEDED, "succeeded"),
    **dict.fromkeys(_FAILED, "failed"),
    **dict.fromkeys(("canceled", "cancelled"), "cancelled"),
    "rescheduled": "rescheduled",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """Fivetran tries whether this webhook can be reached; nothing happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncEnded:
    """A sync ended, well or not."""

    record: SyncRecord
    group_id: str | None
    told_at: datetime
    """When Fivetran says that it happened."""

    @property
    def is_success(self) -> bool:
        return self.record.status == "succeeded"

    def subjects(self, host: str) -> list[Subject]:
        """All that has assets which the end of this sync is an event of.

        :param host: that of the account.
        """
        failures = not self.is_success
        subjects = [
            Subject(connection_id=self.record.connection_id, failures=failures, host=host),
            Subject(failures=failures, host=host),
        ]
        if self.group_id is not None:
            subjects.append(Subject(group_id=self.group_id, failures=failures, host=host))
        return subjects

    @property
    def identity(self) -> str:
        """The same for every delivery of this end, and for nothing else."""
        record = self.record
        return identity_of(replace(record, sync_id=record.sync_id or self.told_at.isoformat()))


@dataclass(frozen=True, slots=True)
class TransformationTold:
    """A transformation began or ended. Fivetran documents no field that says which."""

    what: str
    """``start``, ``succeeded`` or ``failed``."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event that has no meaning here, or that is newer than this version."""

    event: str


Delivery: TypeAlias = Probe | SyncEnded | TransformationTold | Ignored


def read_delivery(body: bytes) -> Delivery:
    """Read the body of a delivery.

    :raises ValueError: it is not the JSON of an event, or an ended sync lacks what makes it one. The message has
        nothing of the body in it.
    """
    try:
        data = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(data, Mapping):
        raise ValueError("the body is not a JSON object")  # noqa: TRY004  # whatever the fault, it is the body's
    event = data.get("event")
    if not isinstance(event, str) or not _EVENT.fullmatch(event):
        raise ValueError("the field 'event' is not the name of an event")
    if data.get("connector_id") == PROBED_CONNECTION:
        return Probe()
    if event == "sync_end":
        return _sync_ended(data)
    transformation = _TRANSFORMATION.fullmatch(event)
    return TransformationTold(transformation[1]) if transformation else Ignored(event)


def _sync_ended(data: Mapping[str, Any]) -> SyncEnded:
    connection_id = _id(data, "connector_id")
    if connection_id is None:
        raise ValueError("the field 'connector_id' is missing")
    told_at = _moment(data.get("created"))
    if told_at is None:
        raise ValueError("the field 'created' is not a time")
    details = data.get("data")
    details = details if isinstance(details, Mapping) else {}
    said = details.get("status")
    status = _STATUSES.get(said.lower()) if isinstance(said, str) else None
    record = SyncRecord(
        connection_id=connection_id,
        # An end that we have no word for is not a success, and somebody must hear of it.
        status=status or "failed",
        link=dashboard_link(connection_id),
        sync_id=_id(data, "sync_id"),
        ended_at=told_at,
        reason=_reason(details, unknown=status is None),
        rescheduled_for=_moment(details.get("rescheduledAt")) if status == "rescheduled" else None,
    )
    group_id = _id(data, "destination_group_id")
    try:
        Subject(connection_id=connection_id)
        Subject(group_id=group_id)
    except ValueError:
        raise ValueError("an id is one that nothing at Fivetran has") from None
    return SyncEnded(record=record, group_id=group_id, told_at=told_at)


def _reason(details: Mapping[str, Any], *, unknown: bool) -> str | None:
    said = _text(details.get("status"))
    task = _text(details.get("taskType"))
    parts = [
        f"Fivetran's word for this end is {said!r}" if unknown and said else "",
        "Fivetran does not say how it ended" if unknown and not said else "",
        _text(details.get("reason")),
        f"task {task}" if task else "",
    ]
    return "; ".join(part for part in parts if part)[:LONGEST_REASON] or None


def _id(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError(f"the field {name!r} is not an id")
    return value


def _moment(value: object) -> datetime | None:
    try:
        return read_moment(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def _text(value: object) -> str:
    """A text of one line that a log and a database can take; nothing for what is no text."""
    return " ".join(storable(value[:LONGEST_REASON]).split()) if isinstance(value, str) else ""


def _no_number(_name: str) -> float:
    raise ValueError("JSON has no NaN and no infinity")
