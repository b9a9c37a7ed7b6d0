"""The words that users choose policies with. The first of each is the default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "POLICIES",
    "AccessLevel",
    "CheckMissing",
    "CheckTroubled",
    "DelaySensitivity",
    "ExcludeMode",
    "ExpirationPeriod",
    "FileFormat",
    "NetworkingMethod",
    "OtherTables",
    "ResourceType",
    "ScheduleType",
    "SchemaChangeHandling",
    "SchemaNames",
    "SendSecrets",
    "SetupSetting",
    "SetupTests",
    "SnapshotTable",
    "SyncMode",
    "WebhookEvent",
    "WhenBlocked",
    "WhenBroken",
    "WhenDifferent",
    "WhenDrifted",
    "WhenEmpty",
    "WhenKilled",
    "WhenMissing",
    "WhenNoSchema",
    "WhenPartiallySucceeded",
    "WhenPaused",
    "WhenRescheduled",
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
WhenSomeFail: TypeAlias = Literal["fail", "succeed", "fail_above"]
ScheduleType: TypeAlias = Literal["manual", "auto"]

# Of connections whose freshness is looked at: what their troubles mean to whoever waits, and to a check, which does
# not wait. Here each argument has a default of its own.
WhenTroubled: TypeAlias = Literal["fail_if_stale", "wait", "fail", "ignore"]
WhenMissing: TypeAlias = Literal["fail", "wait", "ignore"]
CheckTroubled: TypeAlias = Literal["fail_if_stale", "fail", "ignore"]
CheckMissing: TypeAlias = Literal["fail", "ignore"]
WhenEmpty: TypeAlias = Literal["fail", "pass"]

# Of what is described: what is done about a difference. Of connections besides, when secrets are sent and setup
# tests run, and what can be described beside the fields of a type.
WhenDifferent: TypeAlias = Literal["change", "show", "fail"]
SendSecrets: TypeAlias = Literal["always", "when_needed"]
SetupTests: TypeAlias = Literal["when_needed", "always", "never"]
NetworkingMethod: TypeAlias = Literal["Directly", "PrivateLink", "SshTunnel", "ProxyAgent"]
SchemaNames: TypeAlias = Literal["FIVETRAN_NAMING", "SOURCE_NAMING"]
DelaySensitivity: TypeAlias = Literal["LOW", "NORMAL", "HIGH", "CUSTOM", "SYNC_FREQUENCY"]
SetupSetting: TypeAlias = Literal[
    "networking_method",
    "private_link_id",
    "proxy_agent_id",
    "hybrid_deployment_agent_id",
    "external_secrets_manager_id",
    "destination_configuration",
    "destination_schema_names",
    "data_delay_sensitivity",
    "data_delay_threshold",
    "pause_after_trial",
]

# Of snapshots: how files are written, and the tables, in the order in which a snapshot reads them.
FileFormat: TypeAlias = Literal["jsonl", "parquet"]
SnapshotTable: TypeAlias = Literal[
    "users", "groups", "destinations", "transformations", "connections", "syncs", "latest_status"
]

# What Fivetran knows of schemas: what becomes of what is new in the source, how a table is kept, and what a reload
# does with what is there.
SchemaChangeHandling: TypeAlias = Literal["ALLOW_ALL", "ALLOW_COLUMNS", "BLOCK_ALL"]
SyncMode: TypeAlias = Literal["SOFT_DELETE", "HISTORY", "LIVE"]
ExcludeMode: TypeAlias = Literal["PRESERVE", "INCLUDE", "EXCLUDE"]
# Of schema configurations that are described: what is done with schemas and tables that the description leaves out,
# what while Fivetran has none yet, and what a difference means to a check.
OtherTables: TypeAlias = Literal["leave", "disable"]
WhenNoSchema: TypeAlias = Literal["reload", "prepare", "fail"]
WhenDrifted: TypeAlias = Literal["fail", "report", "ignore"]

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

ExpirationPeriod: TypeAlias = Literal["INFINITE", "ONE_WEEK", "ONE_MONTH", "THREE_MONTHS", "SIX_MONTHS"]
# What a system key may do with what. The last two are named by Fivetran's page on system keys only.
ResourceType: TypeAlias = Literal[
    "ACCOUNT",
    "USER",
    "WEBHOOK",
    "TEAM",
    "ROLES",
    "DESTINATION",
    "TRANSFORMATION",
    "REMOTE_EXECUTION_AGENT",
    "CONNECTOR",
    "PRIVATE_LINK",
    "PROXY",
]
AccessLevel: TypeAlias = Literal["NONE", "READ", "MANAGE"]

# What each policy of a start allows.
POLICIES: Mapping[str, tuple[str, ...]] = {
    "when_running": get_args(WhenRunning),
    "when_rescheduled": get_args(WhenRescheduled),
    "when_paused": get_args(WhenPaused),
    "when_broken": get_args(WhenBroken),
    "schedule_type": get_args(ScheduleType),
}
