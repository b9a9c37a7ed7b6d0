"""The part of the hook about schema configurations: what of a source a connection syncs, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from airflow_provider_fivetran.arguments import check_choice, check_columns, scope_of, span_of
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core import schema_endpoints
from airflow_provider_fivetran.core.policies import (
    CheckMissing,
    ExcludeMode,
    OtherTables,
    SyncMode,
    WhenDifferent,
    WhenDrifted,
    WhenNoSchema,
)
from airflow_provider_fivetran.core.schema_description import read_description, read_earlier
from airflow_provider_fivetran.core.schema_drift import DriftCheck, look_for_drift
from airflow_provider_fivetran.core.schema_ensuring import SchemaOrder, ensure_schema
from airflow_provider_fivetran.core.schema_reading import RELOAD_TIMEOUT, reload_config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta
    from typing import Any

    from airflow_provider_fivetran.core.policies import SchemaChangeHandling
    from airflow_provider_fivetran.core.protocol import Call
    from airflow_provider_fivetran.core.schema_config import SchemaConfig, SourceColumn
    from airflow_provider_fivetran.core.schema_drift import DriftReport
    from airflow_provider_fivetran.core.schema_ensuring import SchemaChanges
    from airflow_provider_fivetran.core.steps import Procedure

__all__ = ["SchemaCalls"]

T = TypeVar("T")


class SchemaCalls:
    """Methods of :class:`~airflow_provider_fivetran.hooks.FivetranHook`.

    Names are those of the source, and case-sensitive.
    """

    if TYPE_CHECKING:  # what the hook has

        def _value(self, call: Call[T]) -> T: ...

        def carry_out(self, procedure: Procedure[T]) -> T: ...

    def get_schema_config(self, connection_id: str) -> SchemaConfig:
        """Read the schemas and tables of a connection, enabled or not (``GET /v1/connections/{id}/schemas``).

        Of the columns it shows those that somebody has ever enabled, disabled or hashed.

        :raises FivetranNotFound: Fivetran has not read the schema of the source yet (``NotFound_SchemaConfig``).
        :raises FivetranForbidden: the key may not read it.
        """
        return self._value(schema_endpoints.get_schema_config(connection_id))

    def get_table_columns(self, connection_id: str, schema: str, table: str) -> tuple[SourceColumn, ...]:
        """Read all columns of a table from the source (``GET .../schemas/{schema}/tables/{table}/columns``).

        :raises FivetranApiError: there is no such table, or the setup of the connection is not ``connected``.
        """
        return self._value(schema_endpoints.get_table_columns(connection_id, schema, table))

    def reload_schema_config(
        self,
        connection_id: str,
        *,
        exclude_mode: ExcludeMode = "PRESERVE",
        timeout: float | timedelta = RELOAD_TIMEOUT,
    ) -> SchemaConfig:
        """Let Fivetran read the schema of the source anew, and wait for it (``POST .../schemas/reload``).

        :param exclude_mode: ``"PRESERVE"`` keeps what is enabled, ``"INCLUDE"`` enables all schemas and tables,
            ``"EXCLUDE"`` disables them.
        :param timeout: for how long to ask again while there is no usable answer, a timedelta or seconds; 30
            minutes.
        :raises ValueError: no such mode or duration.
        :raises FivetranError: (one of its kinds) Fivetran refused, or there was no usable answer in time.
        """
        check_choice("exclude_mode", exclude_mode, ExcludeMode)
        limit = span_of("timeout", timeout) or RELOAD_TIMEOUT
        return self.carry_out(reload_config(connection_id, utcnow, exclude_mode=exclude_mode, timeout=limit))

    def change_schema_config(self, connection_id: str, **changes: Any) -> SchemaConfig:
        """Change what is named, in Fivetran's own form (``PATCH .../schemas``); all else stays as it is.

        :meth:`ensure_schema_config` looks first, changes only what differs, and takes short forms.

        :param changes: ``schemas``, ``schema_change_handling`` and ``is_type_locked``, those of them that change. In
            ``schemas`` each schema, table and column that is named needs an ``enabled``.
        :raises ValueError: something else is to be changed, or nothing.
        :raises FivetranApiError: Fivetran refused: something does not exist (404), or cannot be changed (400).
        """
        allowed = {"schemas", "schema_change_handling", "is_type_locked"}
        if not changes or not changes.keys() <= allowed:
            raise ValueError(
                f"changes are {changes!r}; allowed are {', '.join(sorted(allowed))}, at least one"
            )
        return self._value(schema_endpoints.change_schema_config(connection_id, changes))

    def prepare_schema_config(
        self,
        connection_id: str,
        schemas: Mapping[str, Any] | str,
        *,
        schema_change_handling: SchemaChangeHandling | None = None,
    ) -> None:
        """Describe what a new connection is to sync, before Fivetran has read its source (``POST .../schemas``).

        :param schemas: a description, as :meth:`ensure_schema_config` takes it.
        :raises ValueError: it is none.
        """
        description = read_description(schemas, schema_change_handling)
        self._value(schema_endpoints.prepare_schema_config(connection_id, description.body()))

    def change_source_schema(self, connection_id: str, schema: str, *, enabled: bool) -> SchemaConfig:
        """Enable or disable a schema (``PATCH .../schemas/{schema}``).

        :raises FivetranNotFound: there is no such schema.
        """
        return self._value(schema_endpoints.change_source_schema(connection_id, schema, {"enabled": enabled}))

    def change_source_table(
        self,
        connection_id: str,
        schema: str,
        table: str,
        *,
        enabled: bool,
        sync_mode: SyncMode | None = None,
    ) -> SchemaConfig:
        """Enable or disable a table, and set how it is kept (``PATCH .../tables/{table}``).

        :param sync_mode: ``"SOFT_DELETE"``, ``"HISTORY"`` or ``"LIVE"``; unset leaves it.
        :raises ValueError: no such mode.
        :raises FivetranApiError: there is no such table (404), or it cannot be changed so (400).
        """
        check_choice("sync_mode", sync_mode, SyncMode, optional=True)
        changes = {"enabled": enabled} | ({} if sync_mode is None else {"sync_mode": sync_mode})
        return self._value(schema_endpoints.change_source_table(connection_id, schema, table, changes))

    def change_source_column(
        self,
        connection_id: str,
        schema: str,
        table: str,
        column: str,
        *,
        enabled: bool,
        hashed: bool | None = None,
    ) -> SchemaConfig:
        """Enable, disable or hash a column (``PATCH .../columns/{column}``).

        :param hashed: whether its values arrive as hashes; unset leaves it.
        :raises FivetranApiError: there is no such column (404), or it cannot be changed so (400).
        """
        changes = {"enabled": enabled} | ({} if hashed is None else {"hashed": hashed})
        call = schema_endpoints.change_source_column(connection_id, schema, table, column, changes)
        return self._value(call)

    def drop_columns(self, connection_id: str, columns: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Let the next sync drop disabled columns in the destination (``POST .../schemas/drop-columns``).

        :param columns: names of columns by schema and table: ``{"shop": {"customers": ["fax"]}}``.
        :raises ValueError: it is something else, such as a text in place of a list, or names no column.
        :raises FivetranConflict: one of them is not disabled.
        """
        check_columns(columns)
        self._value(schema_endpoints.drop_columns(connection_id, columns))

    def ensure_schema_config(
        self,
        connection_id: str,
        schemas: Mapping[str, Any] | str | None = None,
        *,
        schema_change_handling: SchemaChangeHandling | None = None,
        others: OtherTables = "leave",
        when_different: WhenDifferent = "change",
        when_missing: CheckMissing = "fail",
        when_no_schema: WhenNoSchema = "reload",
        reload: bool = False,
        reload_timeout: float | timedelta = RELOAD_TIMEOUT,
        tell: Callable[[SchemaChanges], None] = lambda _changes: None,
    ) -> SchemaChanges:
        """Make the schema configuration of a connection be as described, changing only what differs.

        The arguments are those of :class:`~airflow_provider_fivetran.operators.FivetranSchemaOperator`.

        :param tell: is called with what differs, before an error is made of it.
        :return: what differed, and whether it was changed.
        :raises ValueError: the description, a policy or a duration is none.
        :raises FivetranWrongDescription: something described does not exist, or Fivetran does not let it be so.
        :raises FivetranNotAsDescribed: something differs and ``when_different`` is ``"fail"``, or did not change.
        :raises FivetranNotFound: Fivetran has not read the schema of the source yet, and is not to.
        :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached for two minutes.
        """
        check_choice("others", others, OtherTables)
        check_choice("when_different", when_different, WhenDifferent)
        check_choice("when_missing", when_missing, CheckMissing)
        check_choice("when_no_schema", when_no_schema, WhenNoSchema)
        order = SchemaOrder(
            connection_id=connection_id,
            description=read_description(schemas, schema_change_handling),
            others=others,
            when_different=when_different,
            when_missing=when_missing,
            when_no_schema=when_no_schema,
            reload=reload,
            reload_timeout=span_of("reload_timeout", reload_timeout) or RELOAD_TIMEOUT,
        )
        changes = self.carry_out(ensure_schema(order, utcnow))
        tell(changes)
        if changes.failure is not None:
            raise changes.failure
        return changes

    def check_schema_drift(
        self,
        connection_id: str,
        schemas: Mapping[str, Any] | str | None = None,
        *,
        schema_change_handling: SchemaChangeHandling | None = None,
        earlier: Mapping[str, Any] | str | None = None,
        columns_of: Mapping[str, Sequence[str]] | str | None = None,
        reload: bool = False,
        reload_timeout: float | timedelta = RELOAD_TIMEOUT,
        when_changed: WhenDrifted = "fail",
        when_missing: WhenDrifted = "fail",
        when_new: WhenDrifted = "report",
    ) -> DriftReport:
        """Compare the schema configuration of a connection with a description, or with what it was before.

        :param schemas: a description, as :meth:`ensure_schema_config` takes it, with
        :param schema_change_handling: where that matters;
        :param earlier: or what ``to_json`` of an earlier report's ``config`` has given. With nothing of these there
            is nothing to compare with, and the report says so.
        :param columns_of: tables by schema, all of whose columns are read from the source, one request each.
        :return: the report; what differs is no error here.
        :raises ValueError: an argument is not allowed.
        :raises FivetranNotFound: Fivetran has not read the schema of the source yet.
        :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached.
        """
        policies = {"when_changed": when_changed, "when_missing": when_missing, "when_new": when_new}
        for name, value in policies.items():
            check_choice(name, value, WhenDrifted)
        is_described = schemas is not None or schema_change_handling is not None
        if is_described and earlier is not None:
            raise ValueError("a description and earlier are both given: give only one of them")
        description = read_description(schemas, schema_change_handling) if is_described else None
        check = DriftCheck(
            connection_id=connection_id,
            description=read_earlier(earlier) if earlier is not None else description,
            is_earlier=earlier is not None,
            columns_of=scope_of(columns_of, "columns_of") if columns_of else {},
            reload=reload,
            reload_timeout=span_of("reload_timeout", reload_timeout) or RELOAD_TIMEOUT,
            **policies,
        )
        return self.carry_out(look_for_drift(check, utcnow))
