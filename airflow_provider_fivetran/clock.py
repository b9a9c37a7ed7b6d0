"""The one place where this package reads the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["BACKSTOP", "beyond", "utcnow"]

# Airflow's own limit of a deferred wait comes so long after the one that the trigger keeps.
BACKSTOP = timedelta(hours=1)


def utcnow() -> datetime:
    """Our clock."""
    return datetime.now(UTC)


def beyond(deadline: datetime) -> timedelta:
    """How long Airflow is to let a trigger wait that ends by itself at a deadline."""
    return max(deadline - utcnow(), timedelta(0)) + BACKSTOP
