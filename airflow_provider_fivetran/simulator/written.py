"""Connections as they stand in a list: each is written once for as long as nothing about it changes."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from .shapes import shape_connection, without_unset

if TYPE_CHECKING:
    from .records import Connection

# All that an answer shows of a connection, apart from the containers, which may change in place.
_shown = attrgetter(
    *("id", "group_id", "service", "service_version", "schema", "connected_by", "created_at"),
    *("succeeded_at", "failed_at", "paused", "pause_after_trial", "sync_frequency", "daily_sync_time"),
    *("data_delay_threshold", "data_delay_sensitivity", "networking_method", "schedule_type"),
    *("setup_state", "sync_state", "update_state", "historical", "rescheduled_for"),
)
_containers = attrgetter("config", "settings", "flexible_schedule", "tasks", "warnings")


def as_json(value: Any) -> bytes:
    """JSON as the API writes it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


class Written:
    """Remembers each connection as it was last written."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, bytes]] = {}

    def row(self, connection: Connection, *, omit: bool) -> bytes:
        """The connection in JSON.

        :param omit: leave fields without a value out.
        """
        looks = (omit, _shown(connection), str(_containers(connection)))
        known = self._known.get(connection.id)
        if known is None or known[0] != looks:
            shape = shape_connection(connection)
            known = self._known[connection.id] = (looks, as_json(without_unset(shape) if omit else shape))
        return known[1]
