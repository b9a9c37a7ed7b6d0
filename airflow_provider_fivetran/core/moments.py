"""Times: read from Fivetran's text, written to ours. Every time in this package is aware and in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


def read_moment(text: str) -> datetime:
    """Read an ISO 8601 time; one without an offset is taken as UTC, as Fivetran's are.

    :raises ValueError: the text is not such a time.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def read_after(value: str | datetime | None, name: str = "completed_after_time") -> datetime | None:
    """Read an argument that is a time.

    :raises ValueError: it is neither a time nor unset.
    """
    if value is None or value == "":
        return None
    try:
        return read_moment(value.isoformat() if isinstance(value, datetime) else value)
    except (ValueError, TypeError):
        # What a template makes of an XCom that nobody has pushed.
        hint = "; is the task_id of its xcom_pull right, and did that task run?" if value == "None" else ""
        raise ValueError(
            f"{name} is {value!r}; allowed is a datetime or a text such as '2026-11-22T08:00:00Z'{hint}"
        ) from None


def check_since_or_within(fresh_since: object, fresh_within: object) -> None:
    """Check that it is said in exactly one way what fresh is.

    :raises ValueError: it is not.
    """
    if (fresh_since is None) == (fresh_within is None):
        raise ValueError(
            f"give either fresh_since or fresh_within; fresh_since is {fresh_since!r}, "
            f"fresh_within is {fresh_within!r}"
        )


def write_moment(moment: datetime) -> str:
    """Write a time so that :func:`read_moment` gives it back."""
    return moment.astimezone(UTC).isoformat()


def read_http_date(text: str | None) -> datetime | None:
    """Read the ``Date`` header of an answer; ``None`` when it is missing or not a date."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def in_words(span: timedelta) -> str:
    """Say a duration as a person would: ``45 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 120:  # noqa: PLR2004
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:  # noqa: PLR2004
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
