"""What the key of a request may see and do: types of resources, connections, lists, groups, history, webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from .answers import simulator_of
from .problems import forbidden, not_found

if TYPE_CHECKING:
    from fastapi import Request

    from .records import Connection, Group, Hideable, Key
    from .webhooks import Webhook


# By the beginning of its path, which type of resources a request is about (source: Fivetran's page on system keys).
_RESOURCE_TYPES = {
    "/v1/users": "USER",
    "/v1/teams": "TEAM",
    "/v1/roles": "ROLES",
    "/v1/webhooks": "WEBHOOK",
    "/v1/transformation": "TRANSFORMATION",
    "/v1/connect": "CONNECTOR",
    "/v1/groups": "DESTINATION",
    "/v1/destinations": "DESTINATION",
    "/v1/metadata": "ACCOUNT",
}


def require_permission(key: Key, method: str, path: str) -> None:
    """Refuse a system key without permission for this type of resources, and all but administrators their keys."""
    if path.startswith("/v1/system-keys") and (key.system or not key.administrator):
        raise forbidden("System keys are managed with the key of an account administrator")
    if key.levels is None:
        return
    wanted = "READ" if method == "GET" else "MANAGE"
    for beginning, resource_type in _RESOURCE_TYPES.items():
        if path.startswith(beginning) and key.levels.get(resource_type) not in (wanted, "MANAGE"):
            raise forbidden(f"This key lacks the permission {wanted} for {resource_type}")


def key_of(request: Request) -> Key:
    return cast("Key", request.scope["state"]["key"])


def sees_group(request: Request, group_id: str) -> bool:
    groups = key_of(request).groups
    return groups is None or group_id in groups


def require_list(request: Request) -> None:
    if not (simulator_of(request).switches.list_allowed and key_of(request).may_list):
        raise forbidden("This key may not list connections")


def require_sight(request: Request, kind: Hideable) -> None:
    """Refuse a key that sees nothing of a kind of things."""
    if kind in key_of(request).hidden:
        raise forbidden(f"This key may not see {kind}")


def readable(request: Request, connection_id: str) -> Connection:
    """The connection as it is now, or the refusal this key deserves."""
    connection = simulator_of(request).account.connection(connection_id)
    if not sees_group(request, connection.group_id):
        raise forbidden(f"This key may not see the connection with id '{connection_id}'")
    return connection


def visible_connections(request: Request, group_id: str | None) -> list[Connection]:
    account, groups = simulator_of(request).account, key_of(request).groups
    with account.lock:
        account.advance()
        return [
            connection
            for connection in account.connections.values()
            if (groups is None or connection.group_id in groups) and group_id in (None, connection.group_id)
        ]


def visible_groups(request: Request) -> list[Group]:
    groups = simulator_of(request).account.groups
    return [group for group in groups.values() if sees_group(request, group.id)]


def readable_group(request: Request, group_id: str, kind: str = "Group") -> Group:
    group = simulator_of(request).account.group(group_id, kind)
    if not sees_group(request, group_id):
        raise not_found(kind, group_id)
    return group


def require_webhooks(request: Request, right: Literal["read", "manage"], *, account: bool = False) -> None:
    """Refuse a key that may not do so with webhooks, or whose groups do not make up the whole ``account``."""
    key = key_of(request)
    if key.webhooks == "none" or (right == "manage" and key.webhooks != "manage"):
        raise forbidden(f"This key may not {right} webhooks")
    if account and key.groups is not None:
        raise forbidden("This key may not manage webhooks of the whole account")


def visible_webhooks(request: Request) -> list[Webhook]:
    simulator, groups = simulator_of(request), key_of(request).groups
    with simulator.account.lock:
        rows = simulator.webhooks.all()
    return [webhook for webhook in rows if groups is None or webhook.group_id in groups]


def visible_webhook(request: Request, webhook_id: str) -> Webhook:
    webhook = simulator_of(request).webhooks.get(webhook_id)
    if webhook not in visible_webhooks(request):
        raise not_found("Webhook", webhook_id)
    return webhook
