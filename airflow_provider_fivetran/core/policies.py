"""The words that users choose policies with. The first of each is the default."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["ScheduleType", "WhenBroken", "WhenKilled", "WhenPaused", "WhenRescheduled", "WhenRunning"]

WhenRunning: TypeAlias = Literal["attach", "queue", "restart", "fail", "skip"]
WhenRescheduled: TypeAlias = Literal["wait", "fail"]
WhenPaused: TypeAlias = Literal["fail", "unpause", "unpause_and_restore", "skip"]
WhenBroken: TypeAlias = Literal["try", "test", "fail"]
WhenKilled: TypeAlias = Literal["leave", "stop"]
ScheduleType: TypeAlias = Literal["manual", "auto"]
