"""Reading the schema configuration of a connection, from what Fivetran knows or anew from the source."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_fivetran.core.errors import (
    FivetranConflict,
    FivetranError,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.schema_endpoints import (
    get_schema_config,
    get_table_columns,
    reload_schema_config,
)
from airflow_provider_fivetran.core.steps import PATIENCE, Note, Pause, ask, ask_patiently

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from airflow_provider_fivetran.core.policies import ExcludeMode
    from airflow_provider_fivetran.core.schema_config import SchemaConfig
    from airflow_provider_fivetran.core.steps import Clock, Procedure

__all__ = ["RELOAD_TIMEOUT", "has_no_schema", "read_config", "reload_config", "with_all_columns"]

# For how long a reload that gives no usable answer is asked for again, before a task gives up.
RELOAD_TIMEOUT = timedelta(minutes=30)
BETWEEN_LOOKS = timedelta(seconds=15)
NO_SCHEMA = "NotFound_SchemaConfig"


def has_no_schema(error: FivetranError) -> bool:
    """Whether an error says that Fivetran has not read the schema of the source yet."""
    return isinstance(error, FivetranNotFound) and error.code == NO_SCHEMA


def read_config(connection_id: str, clock: Clock) -> Procedure[SchemaConfig]:
    """What Fivetran knows of the schema, as of its last sync or reload. One request.

    :raises FivetranNotFound: Fivetran has not read it yet (:func:`has_no_schema`), or there is no such connection.
    :raises FivetranError: (one of its kinds) it cannot be read, even after two minutes.
    """
    try:
        answer = yield from ask_patiently(get_schema_config(connection_id), clock, patience=PATIENCE)
    except FivetranNotFound as error:
        if not has_no_schema(error):
            raise
        raise FivetranNotFound(
            f"Fivetran has not read the schema of the source of {connection_id} yet: the first sync does that, or a "
            f"reload of the schema configuration. {error}",
            status=error.status,
            code=error.code,
            connection_id=connection_id,
            link=error.link,
        ) from None
    return answer.value.checked()


def reload_config(
    connection_id: str,
    clock: Clock,
    *,
    exclude_mode: ExcludeMode = "PRESERVE",
    timeout: timedelta = RELOAD_TIMEOUT,
) -> Procedure[SchemaConfig]:
    """Let Fivetran read the schema of the source anew, and wait for it.

    The request may take minutes, and something on the way may cut it off while Fivetran goes on reading. Then it is
    asked for again: while Fivetran is busy (409), and as long as there is no usable answer. An answer that says
    nothing of the schema, as one that only confirms the request, is followed by looks at the configuration.

    :raises FivetranError: (one of its kinds) Fivetran refused, or there was no usable answer within ``timeout``.
    """
    until = clock() + timeout
    told = False
    while True:
        try:
            config = (yield from ask(reload_schema_config(connection_id, exclude_mode=exclude_mode))).value
        except FivetranError as error:
            pause = _pause_after(error)
            if pause is None or clock() + pause >= until:
                raise
            if not told:
                yield Note(
                    f"{connection_id}: the reload of its schema configuration gave no answer yet, which large "
                    f"schemas do; asking again until {until:%H:%M:%S} UTC: {error}",
                    is_warning=True,
                )
                told = True
            yield Pause(clock() + pause)
            continue
        return config if config.is_given else (yield from _first_config(connection_id, clock, until))


def _pause_after(error: FivetranError) -> timedelta | None:
    """How long to pause before the next reload; ``None``: that would not help."""
    if isinstance(error, FivetranRateLimited):
        return max(BETWEEN_LOOKS, timedelta(seconds=error.retry_after or 0))
    is_lost = isinstance(error, FivetranUnreachable | FivetranUnexpectedAnswer | FivetranConflict)
    return BETWEEN_LOOKS if is_lost or not error.permanent else None


def _first_config(connection_id: str, clock: Clock, until: datetime) -> Procedure[SchemaConfig]:
    """The configuration after a reload whose answer did not show it, as soon as there is one."""
    yield Note(
        f"{connection_id}: Fivetran took the request to reload the schema configuration and did not show the "
        "result; what it shows now may still be from before",
        is_warning=True,
    )
    while True:
        try:
            return (yield from read_config(connection_id, clock))
        except FivetranNotFound as error:
            if not has_no_schema(error) or clock() + BETWEEN_LOOKS >= until:
                raise
            yield Pause(clock() + BETWEEN_LOOKS)


def with_all_columns(
    connection_id: str, config: SchemaConfig, tables: Iterable[tuple[str, str]], clock: Clock
) -> Procedure[SchemaConfig]:
    """The same configuration with all columns of some tables, as they are in the source. One request for each table.

    Tables that do not exist, or are gone, are left out.

    :param tables: by the names of their schema and of themselves.
    :raises FivetranError: (one of its kinds) the columns cannot be read: that needs a setup that is ``connected``.
    """
    for schema, name in tables:
        table = config.table(schema, name)
        if table is None or table.is_gone:
            continue
        call = get_table_columns(connection_id, schema, name)
        answer = yield from ask_patiently(call, clock, patience=PATIENCE)
        config = config.with_columns(schema, name, answer.value)
    return config
