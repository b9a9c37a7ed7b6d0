"""Choosing among connections by what they are and how their last sync ended. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_fivetran.core.models import Connection

__all__ = ["Choice", "failed_last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which connections are wanted: those of which all that is given here is so."""

    services: frozenset[str] = frozenset()
    """Types of connections (``service`` in Fivetran's definition), such as ``postgres``; none: of any type."""
    name_pattern: str | None = None
    """The name of the schema, which the dashboard shows, is like this: ``*`` stands for any text, ``?`` for any
    character, ``[ab]`` for one of those."""
    only_failed: bool = False
    """The last sync that ended did not end well."""

    @property
    def takes_all(self) -> bool:
        """Whether nothing has to be known of a connection to choose it."""
        return self == Choice()

    def of(self, connections: Iterable[Connection]) -> tuple[Connection, ...]:
        """Those that are wanted, in the same order."""
        return tuple(connection for connection in connections if self.wants(connection))

    def wants(self, connection: Connection) -> bool:
        """Whether this connection is wanted."""
        if self.services and connection.service not in self.services:
            return False
        if self.name_pattern is not None and not fnmatchcase(connection.schema, self.name_pattern):
            return False
        return not self.only_failed or failed_last(connection)


def failed_last(connection: Connection) -> bool:
    """Whether the last sync that ended did not end well, by the two timestamps that Fivetran gives."""
    success, failure = connection.succeeded_at, connection.failed_at
    return failure is not None and (success is None or failure > success)
