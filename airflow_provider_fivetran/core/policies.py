"""The words that users choose policies with. The first of each is the default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "POLICIES",
    "CheckMissing",
    "CheckTroubled",
    "ScheduleType",
    "WebhookEvent",
    "WhenBlocked",
    "WhenBroken",
    "WhenEmpty",
    "WhenKilled",
    "WhenMissing",
    "WhenPartiallySucceeded",
    "WhenPaused",
    "WhenRescheduled",
    "WhenRunKilled",
    "WhenRunning",
    "WhenSomeFail",
    "WhenTroubled",
]

WhenRunning: TypeAlias = Literal["attach", "queue", "restart", "fail", "skip"]
WhenRescheduled: TypeAlias = Literal["wait", "fail"]
WhenPaused: TypeAlias = Literal["fail", "unpause", "unpause_and_restore", "skip"]
WhenBroken: TypeAlias = Literal["try", "test", "fail"]
WhenKilled: TypeAlias = Literal["leave", "stop"]
WhenPartiallySucceeded: TypeAlias = Literal["fail", "succeed"]
WhenBlocked: TypeAlias = Literal["fail", "wait"]
WhenRunKilled: TypeAlias = Literal["cancel", "leave"]
WhenSomeFail: TypeAlias = Literal["fail", "succeed", "fail_above"]
ScheduleType: TypeAlias = Literal["manual", "auto"]

# Of connections whose freshness is looked at: what their troubles mean to whoever waits, and to a check, which does
# not wait. Here each argument has a default of its own.
WhenTroubled: TypeAlias = Literal["fail_if_stale", "wait", "fail", "ignore"]
WhenMissing: TypeAlias = Literal["fail", "wait", "ignore"]
CheckTroubled: TypeAlias = Literal["fail_if_stale", "fail", "ignore"]
CheckMissing: TypeAlias = Literal["fail", "ignore"]
WhenEmpty: TypeAlias = Literal["fail", "pass"]

# The events that Fivetran's pages on webhooks list, without those that they call deprecated. Transformations have
# two sets of names, an older and a newer one; which of them an account takes is not documented.
WebhookEvent: TypeAlias = Literal[
    "sync_start",
    "sync_end",
    "connection_successful",
    "connection_failure",
    "create_connector",
    "pause_connector",
    "resume_connector",
    "edit_connector",
    "delete_connector",
    "force_update_connector",
    "resync_connector",
    "resync_table",
    "dbt_run_start",
    "dbt_run_succeeded",
    "dbt_run_failed",
    "transformation_start",
    "transformation_succeeded",
    "transformation_failed",
]

# What each policy of a start allows.
POLICIES: Mapping[str, tuple[str, ...]] = {
    "when_running": get_args(WhenRunning),
    "when_rescheduled": get_args(WhenRescheduled),
    "when_paused": get_args(WhenPaused),
    "when_broken": get_args(WhenBroken),
    "schedule_type": get_args(ScheduleType),
}
