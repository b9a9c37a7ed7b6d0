"""The one place where this package reads the time."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["utcnow"]


def utcnow() -> datetime:
    """Our clock."""
    return datetime.now(UTC)
