"""What the key of a request may see: single connections, lists, groups, and the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from .answers import simulator_of
from .problems import forbidden, not_found

if TYPE_CHECKING:
    from fastapi import Request

    from .records import Connection, Group, Key


def key_of(request: Request) -> Key:
    return cast("Key", request.scope["state"]["key"])


def sees_group(request: Request, group_id: str) -> bool:
    groups = key_of(request).groups
    return groups is None or group_id in groups


def require_list(request: Request) -> None:
    if not (simulator_of(request).switches.list_allowed and key_of(request).may_list):
        raise forbidden("This key may not list connections")


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
