"""The words that users choose policies with. The first of each is the default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "POLICIES",
    "ScheduleType",
    "WhenBroken",
    "WhenKilled",
    "WhenPaused",
    "WhenRescheduled",
    "WhenRunning",
]

WhenRunning: TypeAlias = Literal["attach", "queue", "restart", "fail", "skip"]
WhenRescheduled: TypeAlias = Literal["wait", "fail"]
WhenPaused: TypeAlias = Literal["fail", "unpause", "unpause_and_restore", "skip"]
WhenBroken: TypeAlias = Literal["try", "test", "fail"]
WhenKilled: TypeAlias = Literal["leave", "stop"]
ScheduleType: TypeAlias = Literal["manual", "auto"]

# What each policy of a start allows.
POLICIES: Mapping[str, tuple[str, ...]] = {
    "when_running": get_args(WhenRunning),
    "when_rescheduled": get_args(WhenRescheduled),
    "when_paused": get_args(WhenPaused),
    "when_broken": get_args(WhenBroken),
    "schedule_type": get_args(ScheduleType),
}
