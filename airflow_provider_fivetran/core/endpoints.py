"""Every URL of this project: one function per endpoint, each returning the call, described but not sent.

Those with which connections are set up stand in :mod:`airflow_provider_fivetran.core.setup_endpoints`.
Those of schema configurations stand in :mod:`airflow_provider_fivetran.core.schema_endpoints`.
Only documented, current paths: ``/v1/connections`` and ``/sync``, never ``/v1/connectors`` or ``/force``.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_fivetran.core.models import (
    Account,
    Connection,
    Destination,
    Group,
    SyncHistoryEntry,
    Webhook,
    WebhookTest,
)
from airflow_provider_fivetran.core.paths import PAGE, no_data, of_connection, segment
from airflow_provider_fivetran.core.protocol import Call, Page
from airflow_provider_fivetran.core.transformations import Transformation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

__all__ = [
    "cancel_transformation",
    "change_connection",
    "change_webhook",
    "create_webhook",
    "delete_webhook",
    "get_account",
    "get_connection",
    "get_destination",
    "get_group",
    "get_sync_history",
    "get_transformation",
    "get_webhook",
    "list_connection_rows",
    "list_connections",
    "list_destination_rows",
    "list_destinations",
    "list_group_rows",
    "list_groups",
    "list_sync_rows",
    "list_transformation_rows",
    "list_transformations",
    "list_user_rows",
    "list_webhooks",
    "resync_connection",
    "run_setup_tests",
    "run_transformation",
    "sync_connection",
    "test_webhook",
]

T = TypeVar("T")


def get_account() -> Call[Account]:
    """``GET /v1/account/info``: readable with every kind of key."""
    return Call(method="GET", path="/v1/account/info", read=Account.from_json, safe=True)


def get_connection(connection_id: str) -> Call[Connection]:
    """``GET /v1/connections/{connectionId}``."""
    return Call(
        method="GET", **of_connection(connection_id), read=Connection.from_json, safe=True, essential=True
    )


def list_connections(*, group_id: str | None = None, schema: str | None = None) -> Call[Page[Connection]]:
    """``GET /v1/connections``, narrowed by group and by exact schema name. Rows carry the whole status."""
    return _list_connections(Connection.from_json, group_id=group_id, schema=schema)


def list_connection_rows(*, group_id: str | None = None) -> Call[Page[Mapping[str, Any]]]:
    """The same with each row as it came: of a thousand connections only those that are waited for need be read."""
    return _list_connections(dict, group_id=group_id)


def _list_connections(read: Callable[[Mapping[str, Any]], T], **filters: str | None) -> Call[Page[T]]:
    return Call(
        method="GET",
        path="/v1/connections",
        params={"limit": PAGE} | {name: value for name, value in filters.items() if value is not None},
        read=Page.reader(read),
        safe=True,
    )


def change_connection(
    connection_id: str, changes: Mapping[str, Any], *, setup_tests: bool = False
) -> Call[Connection]:
    """``PATCH /v1/connections/{connectionId}``.

    Fivetran runs the setup tests on each change unless told not to, and allows only so many an hour.
    Setting a field to a value twice is the same as once, so the call is safe to repeat.
    """
    return Call(
        method="PATCH",
        **of_connection(connection_id),
        body={**changes, "run_setup_tests": setup_tests},
        read=Connection.from_json,
        safe=not setup_tests,
        slow=True,
    )


def sync_connection(connection_id: str, *, force: bool = False) -> Call[None]:
    """``POST /v1/connections/{connectionId}/sync``; ``force`` stops a running sync first."""
    return Call(
        method="POST",
        **of_connection(connection_id, "/sync"),
        body={"force": force},
        read=no_data,
        slow=force,
    )


def resync_connection(connection_id: str, *, scope: Mapping[str, Sequence[str]] | None = None) -> Call[None]:
    """``POST /v1/connections/{connectionId}/resync``: everything anew, or the tables of ``scope`` by schema."""
    body = {} if scope is None else {"scope": {schema: list(tables) for schema, tables in scope.items()}}
    return Call(method="POST", **of_connection(connection_id, "/resync"), body=body, read=no_data)


def run_setup_tests(connection_id: str, *, trust: Mapping[str, bool] | None = None) -> Call[Connection]:
    """``POST /v1/connections/{connectionId}/test``; the body is required, even if it is empty.

    :param trust: ``trust_certificates`` and ``trust_fingerprints``: whether those that are met are approved.
    """
    body = dict(trust or {})
    return Call(method="POST", **of_connection(connection_id, "/test"), body=body, read=Connection.from_json)


def get_sync_history(connection_id: str, *, since: datetime, until: datetime) -> Call[Page[SyncHistoryEntry]]:
    """``GET /v1/connections/{connectionId}/sync-history``.

    Both ends are sent: Fivetran takes a missing end as one hour after the start. A window over seven days, or
    one that begins more than seven days ago, is refused with 400.
    """
    return _get_sync_history(SyncHistoryEntry.from_json, connection_id, since=since, until=until)


def list_sync_rows(connection_id: str, *, since: datetime, until: datetime) -> Call[Page[Mapping[str, Any]]]:
    """The same with each row as it came: one that cannot be understood must not hide the others."""
    return _get_sync_history(dict, connection_id, since=since, until=until)


def _get_sync_history(
    read: Callable[[Mapping[str, Any]], T], connection_id: str, *, since: datetime, until: datetime
) -> Call[Page[T]]:
    return Call(
        method="GET",
        **of_connection(connection_id, "/sync-history"),
        params={"start_time": _instant(since), "end_time": _instant(until), "limit": PAGE},
        read=Page.reader(read),
        safe=True,
    )


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _list(path: str, read: Callable[[Mapping[str, Any]], T]) -> Call[Page[T]]:
    return Call(method="GET", path=path, params={"limit": PAGE}, read=Page.reader(read), safe=True)


def list_groups() -> Call[Page[Group]]:
    """``GET /v1/groups``."""
    return _list("/v1/groups", Group.from_json)


def list_group_rows() -> Call[Page[Mapping[str, Any]]]:
    """The same with each row as it came."""
    return _list("/v1/groups", dict)


def list_user_rows() -> Call[Page[Mapping[str, Any]]]:
    """``GET /v1/users``, each row as it came: of all users of the account, suspended or not."""
    return _list("/v1/users", dict)


def get_group(group_id: str) -> Call[Group]:
    """``GET /v1/groups/{groupId}``."""
    return Call(method="GET", path=f"/v1/groups/{segment(group_id)}", read=Group.from_json, safe=True)


def list_destinations() -> Call[Page[Destination]]:
    """``GET /v1/destinations``."""
    return _list("/v1/destinations", Destination.from_json)


def list_destination_rows() -> Call[Page[Mapping[str, Any]]]:
    """The same with each row as it came."""
    return _list("/v1/destinations", dict)


def get_destination(destination_id: str) -> Call[Destination]:
    """``GET /v1/destinations/{destinationId}``."""
    return Call(
        method="GET",
        path=f"/v1/destinations/{segment(destination_id)}",
        read=Destination.with_config,
        safe=True,
    )


def list_webhooks() -> Call[Page[Webhook]]:
    """``GET /v1/webhooks``."""
    return _list("/v1/webhooks", Webhook.from_json)


def get_webhook(webhook_id: str) -> Call[Webhook]:
    """``GET /v1/webhooks/{webhookId}``."""
    return Call(method="GET", path=f"/v1/webhooks/{segment(webhook_id)}", read=Webhook.from_json, safe=True)


def create_webhook(body: Mapping[str, Any], *, group_id: str | None = None) -> Call[Webhook]:
    """``POST /v1/webhooks/account``, or ``POST /v1/webhooks/group/{groupId}``.

    Fivetran first sends the address a test payload, and answers 400 where that fails.
    """
    owner = "account" if group_id is None else f"group/{segment(group_id)}"
    return Call(method="POST", path=f"/v1/webhooks/{owner}", body=body, read=Webhook.from_json)


def change_webhook(webhook_id: str, changes: Mapping[str, Any]) -> Call[Webhook]:
    """``PATCH /v1/webhooks/{webhookId}``. One that becomes active is sent a test payload first."""
    return Call(
        method="PATCH",
        path=f"/v1/webhooks/{segment(webhook_id)}",
        body=changes,
        read=Webhook.from_json,
        safe=True,
    )


def test_webhook(webhook_id: str, event: str) -> Call[WebhookTest]:
    """``POST /v1/webhooks/{webhookId}/test``: deliver an event of a made-up connection."""
    path = f"/v1/webhooks/{segment(webhook_id)}/test"
    return Call(method="POST", path=path, body={"event": event}, read=WebhookTest.from_json)


def delete_webhook(webhook_id: str) -> Call[None]:
    """``DELETE /v1/webhooks/{webhookId}``: a repetition is answered with 404, and deletes no more."""
    return Call(method="DELETE", path=f"/v1/webhooks/{segment(webhook_id)}", read=no_data, safe=True)


def _of_transformation(transformation_id: str, action: str = "") -> dict[str, Any]:
    """What all calls about one transformation share."""
    return {
        "path": f"/v1/transformations/{segment(transformation_id)}{action}",
        "transformation_id": transformation_id,
    }


def get_transformation(transformation_id: str) -> Call[Transformation]:
    """``GET /v1/transformations/{transformationId}``."""
    return Call(
        method="GET",
        **_of_transformation(transformation_id),
        read=Transformation.from_json,
        safe=True,
        essential=True,
    )


def list_transformations(*, group_id: str | None = None) -> Call[Page[Transformation]]:
    """``GET /v1/transformations``, narrowed by group. Rows carry the whole status, and no group."""
    return _list_transformations(Transformation.from_json, group_id=group_id)


def list_transformation_rows(*, group_id: str | None = None) -> Call[Page[Mapping[str, Any]]]:
    """The same with each row as it came: only those that are waited for need be read."""
    return _list_transformations(dict, group_id=group_id)


def _list_transformations(read: Callable[[Mapping[str, Any]], T], *, group_id: str | None) -> Call[Page[T]]:
    return Call(
        method="GET",
        path="/v1/transformations",
        params={"limit": PAGE} | ({} if group_id is None else {"group_id": group_id}),
        read=Page.reader(read),
        safe=True,
    )


def run_transformation(transformation_id: str, *, full_refresh: bool = False) -> Call[None]:
    """``POST /v1/transformations/{transformationId}/run``.

    What it does while a run is under way is not documented: it may be refused with 409, or do nothing.
    """
    return Call(
        method="POST",
        **_of_transformation(transformation_id, "/run"),
        body={"full_refresh": full_refresh},
        read=no_data,
    )


def cancel_transformation(transformation_id: str) -> Call[None]:
    """``POST /v1/transformations/{transformationId}/cancel``: cancel the run that is under way, whichever that is.

    What it answers while none is under way is not documented; 409 is one possibility.
    """
    return Call(
        method="POST", **_of_transformation(transformation_id, "/cancel"), body={}, read=no_data, slow=True
    )
