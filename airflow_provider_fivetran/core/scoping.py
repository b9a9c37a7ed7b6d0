"""Checking, before a re-sync of some tables is asked for, that these exist and are synced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranResyncRefused,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.schema_config import hint
from airflow_provider_fivetran.core.schema_endpoints import get_schema_config
from airflow_provider_fivetran.core.steps import PATIENCE, Note, ask_patiently

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_fivetran.core.schema_config import SchemaConfig, SourceSchema
    from airflow_provider_fivetran.core.steps import Clock, Procedure

__all__ = ["check_scope", "misfits"]

Scope = Mapping[str, Sequence[str]]

# Of a hundred tables that do not exist, so many are told of.
SHOWN = 10


def check_scope(connection_id: str, scope: Scope, clock: Clock) -> Procedure[None]:
    """Read the schema configuration, and refuse tables that a re-sync cannot load anew. One request.

    Names are case-sensitive, and those of the schema configuration (source: schema ``StandardConfigResponse`` and
    ``ResyncConnectorRequest`` of Fivetran's definition). Where there is none yet (404), or it is not for this key
    (403) or this type of connection, that is said in a warning, and Fivetran itself has to judge.

    :raises FivetranResyncRefused: it lacks a table, or one is disabled.
    :raises FivetranError: (one of its kinds) it cannot be read at the moment, even after two minutes.
    """
    try:
        config = (yield from ask_patiently(get_schema_config(connection_id), clock, patience=PATIENCE)).value
    except FivetranUnauthorized:
        raise
    except FivetranError as error:
        if not error.permanent and not isinstance(error, FivetranUnexpectedAnswer):
            raise
        yield _unchecked(connection_id, str(error))
        return
    if not config.schemas:
        yield _unchecked(connection_id, "it is empty")
        return
    wrong = list(islice(misfits(config, scope), SHOWN + 1))
    if wrong:
        link = dashboard_link(connection_id)
        more = "; and more" if len(wrong) > SHOWN else ""
        raise FivetranResyncRefused(
            f"the scope of the re-sync of {connection_id} does not fit its schema configuration, so nothing was "
            f"started: {'; '.join(wrong[:SHOWN])}{more}. Names are those of the source, and case-sensitive. {link}",
            connection_id=connection_id,
            link=link,
        )


def _unchecked(connection_id: str, why: str) -> Note:
    return Note(
        f"{connection_id}: whether the tables of the re-sync exist is not checked, for its schema configuration "
        f"cannot be read: {why}",
        is_warning=True,
    )


def misfits(config: SchemaConfig, scope: Scope) -> Iterator[str]:
    """Say of each schema and table of a scope that does not exist or is disabled, what is wrong with it."""
    schemas = {schema.source_name: schema for schema in config.schemas}
    for name, tables in scope.items():
        schema = schemas.get(name)
        if schema is None:
            yield f"there is no schema {name!r}{hint(name, config.schemas)}"
        elif not schema.enabled:
            yield f"the schema {name!r} is disabled"
        else:
            yield from _misfits_in(schema, tables)


def _misfits_in(schema: SourceSchema, wanted: Sequence[str]) -> Iterator[str]:
    tables = {table.source_name: table for table in schema.tables}
    for name in wanted:
        table = tables.get(name)
        if table is None:
            yield f"the schema {schema.source_name!r} has no table {name!r}{hint(name, schema.tables)}"
        elif not table.enabled:
            yield f"the table {name!r} in {schema.source_name!r} is disabled"
