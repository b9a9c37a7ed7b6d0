"""Which tables of its destination a connection fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_fivetran.core.endpoints import get_connection, get_destination
from airflow_provider_fivetran.core.naming import place_of
from airflow_provider_fivetran.core.schema_endpoints import get_schema_config
from airflow_provider_fivetran.core.steps import ask

if TYPE_CHECKING:
    from airflow_provider_fivetran.core.naming import DatasetName
    from airflow_provider_fivetran.core.steps import Procedure

__all__ = ["filled_tables"]

Scope = Mapping[str, Sequence[str]]


def filled_tables(connection_id: str, scope: Scope | None = None) -> Procedure[tuple[DatasetName, ...]]:
    """The names of the tables that a sync of a connection fills: those that are enabled.

    Three requests: the connection, its destination, its schema configuration.

    :param scope: only these tables, by schema, both named as in the source; ``None``: all.
    :raises ValueError: the destination is of a type whose tables have no names here.
    :raises FivetranError: (one of its kinds) something of this cannot be read.
    """
    connection = (yield from ask(get_connection(connection_id))).value
    destination = (yield from ask(get_destination(connection.group_id))).value
    place = place_of(destination)
    config = (yield from ask(get_schema_config(connection_id))).value
    return tuple(
        dict.fromkeys(
            place.table(schema.name, table.name)
            for schema in config.schemas
            for table in schema.tables
            if schema.enabled
            and table.enabled
            and (scope is None or table.source_name in scope.get(schema.source_name, ()))
        )
    )
