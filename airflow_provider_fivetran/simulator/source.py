"""What a connection's source holds, and what Fivetran knows and does of it: the schema configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .checking import check_types
from .problems import ApiError, conflict, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Of a source that nobody described, each table has these; the first is its primary key.
USUAL_COLUMNS = ("id", "email", "updated_at")
HANDLING = ("ALLOW_ALL", "ALLOW_COLUMNS", "BLOCK_ALL")
EXCLUDE_MODES = ("PRESERVE", "INCLUDE", "EXCLUDE")
SYNC_MODES = ("SOFT_DELETE", "HISTORY", "LIVE")

Tables = dict[str, list[str]]


@dataclass(kw_only=True)
class Column:
    name: str
    enabled: bool = True
    hashed: bool = False
    # Whether somebody ever enabled, disabled or hashed it: only then it is shown without being asked for.
    touched: bool = False
    lock: str | None = None
    dropped: bool = False


@dataclass(kw_only=True)
class Table:
    name: str
    enabled: bool = True
    sync_mode: str | None = "SOFT_DELETE"
    columns: dict[str, Column] = field(default_factory=dict)
    takes_columns: bool = True
    takes_history: bool = True
    # The reason code of what nobody can enable or disable.
    lock: str | None = None
    lock_reason: str | None = None


@dataclass(kw_only=True)
class Schema:
    name: str
    name_in_destination: str
    enabled: bool = True
    tables: dict[str, Table] = field(default_factory=dict)


class Source:
    """The source of one connection: what is in it, and the configuration, which learns of it at each capture.

    :param destination: the name of the only schema in the destination; others are named after it.
    :param tables: the names of the columns of each table, by schema and table. The first is the primary key.
    """

    def __init__(self, destination: str, tables: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        self._destination = destination
        self.handling = "ALLOW_ALL"
        self.type_locked = False
        self.schemas: dict[str, Schema] = {}
        # Settings for a schema that is still to be captured.
        self.prepared: dict[str, Any] | None = None
        self.put(tables)
        self.capture("INCLUDE")

    def put(self, tables: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Let the source hold these tables and no others. The configuration does not know yet."""
        check_types("source", tables, dict)
        for schema, of_schema in tables.items():
            check_types(f"source.{schema}", of_schema, dict)
            for table, columns in of_schema.items():
                check_types(f"source.{schema}.{table}", columns, list, tuple)
        self.tables: dict[str, Tables] = {
            schema: {table: list(columns) for table, columns in of_schema.items()}
            for schema, of_schema in tables.items()
        }

    # -- what Fivetran does --

    def capture(self, mode: str = "PRESERVE") -> None:
        """Read the source, as each sync and each reload does."""
        takes_new = self.handling == "ALLOW_ALL" or mode == "INCLUDE"
        for name, of_schema in self.tables.items():
            named = self._destination if name == self._destination else f"{self._destination}_{name}"
            schema = self.schemas.setdefault(
                name, Schema(name=name, name_in_destination=named, enabled=takes_new)
            )
            for table_name, columns in of_schema.items():
                table = schema.tables.setdefault(table_name, Table(name=table_name, enabled=takes_new))
                if table.lock == "DELETED":
                    table.lock = None
                self._capture_columns(table, columns)
            for table in schema.tables.values():
                if table.name not in of_schema:
                    table.lock, table.enabled = "DELETED", False
        for gone in self.schemas.keys() - self.tables.keys():
            del self.schemas[gone]
        if mode != "PRESERVE":
            self._set_all(enabled=mode == "INCLUDE")
        if self.prepared is not None:
            self._apply_prepared(self.prepared)
            self.prepared = None

    def _capture_columns(self, table: Table, columns: Sequence[str]) -> None:
        for number, name in enumerate(columns):
            if name not in table.columns:
                is_blocked = self.handling == "BLOCK_ALL" and bool(table.columns)
                lock = "SYSTEM_COLUMN" if number == 0 else None
                table.columns[name] = Column(name=name, enabled=not is_blocked, touched=is_blocked, lock=lock)
        for gone in table.columns.keys() - set(columns):
            del table.columns[gone]

    def _set_all(self, *, enabled: bool) -> None:
        for schema in self.schemas.values():
            schema.enabled = enabled
            for table in schema.tables.values():
                if table.lock is None:
                    table.enabled = enabled

    def _apply_prepared(self, body: Mapping[str, Any]) -> None:
        """What cannot be excluded, or does not exist, is ignored."""
        self.handling = body.get("schema_change_handling", self.handling)
        for name, wanted in body.get("schemas", {}).items():
            schema = self.schemas.get(name)
            if schema is None:
                continue
            schema.enabled = wanted["enabled"]
            for table_name, change in wanted.get("tables", {}).items():
                table = schema.tables.get(table_name)
                if table is not None and table.lock is None:
                    _set_table(table, {**change, "columns": _existing(table, change.get("columns", {}))})

    # -- what people do through the API --

    def change(self, body: Mapping[str, Any]) -> None:
        """Change several things, all or none."""
        schemas = _objects("schemas", body.get("schemas", {}))
        handling = body.get("schema_change_handling", self.handling)
        if handling not in HANDLING:
            raise invalid(f"Field 'schema_change_handling' is {handling!r}; allowed: {', '.join(HANDLING)}")
        for name, change in schemas.items():
            self._check_schema(name, change)
        for name, change in schemas.items():
            self.schemas[name].enabled = change["enabled"]
            for table, one in change.get("tables", {}).items():
                _set_table(self.schemas[name].tables[table], one)
        self.handling = handling
        self.type_locked = body.get("is_type_locked", self.type_locked)

    def prepare(self, body: Mapping[str, Any]) -> None:
        """Keep settings for the first capture."""
        check_shape(body)
        self.prepared = dict(body)

    def _check_schema(self, name: str, change: Mapping[str, Any]) -> None:
        check_entry("schema", name, change)
        schema = self.schema(name)
        for table_name, one in _objects("tables", change.get("tables", {})).items():
            check_entry("table", table_name, one)
            _check_table(self.table(schema.name, table_name), one)

    def schema(self, name: str) -> Schema:
        if name not in self.schemas:
            raise _unknown("schema", name)
        return self.schemas[name]

    def table(self, schema: str, name: str) -> Table:
        tables = self.schema(schema).tables
        if name not in tables:
            raise _unknown("table", name)
        return tables[name]

    def live_columns(self, schema: str, table: str) -> list[Column]:
        """All columns of a table as the source has them at this moment, with what is configured of them."""
        known = self.table(schema, table)
        present = self.tables.get(schema, {}).get(table, [])
        return [known.columns.get(name) or Column(name=name) for name in present]

    def drop(self, schemas: Mapping[str, Any]) -> None:
        """Mark disabled columns for deletion."""
        chosen: list[Column] = []
        for schema, of_schema in _objects("schemas", schemas).items():
            for table, one in _objects("tables", _objects(schema, of_schema).get("tables")).items():
                names = _objects(table, one).get("columns")
                if not isinstance(names, list):
                    raise invalid(f"Field 'columns' of table '{table}' is required; allowed: a list")
                columns = self.table(schema, table).columns
                for name in names:
                    if name not in columns:
                        raise _unknown("column", str(name))
                    chosen.append(columns[name])
        for column in chosen:
            if column.enabled:
                raise conflict(f"Column '{column.name}' is not blocked")
        for column in chosen:
            column.dropped = True


def check_shape(body: Mapping[str, Any]) -> None:
    """Refuse a configuration that the definition does not allow, whatever exists."""
    if "schemas" not in body:
        raise invalid("Field 'schemas' is required")
    handling = body.get("schema_change_handling", "ALLOW_ALL")
    if handling not in HANDLING:
        raise invalid(f"Field 'schema_change_handling' is {handling!r}; allowed: {', '.join(HANDLING)}")
    for name, schema in _objects("schemas", body["schemas"]).items():
        check_entry("schema", name, schema)
        for table_name, table in _objects("tables", schema.get("tables", {})).items():
            check_entry("table", table_name, table)
            for column_name, column in _objects("columns", table.get("columns", {})).items():
                check_entry("column", column_name, column)


def check_entry(kind: str, name: str, change: object) -> None:
    """Refuse what is named without saying whether it is enabled, or with values of the wrong kind."""
    if not isinstance(change, dict) or "enabled" not in change:
        raise invalid(f"Field 'enabled' of {kind} '{name}' is required")
    for flag in ("enabled", "hashed", "is_primary_key"):
        if flag in change and not isinstance(change[flag], bool):
            raise invalid(f"Field '{flag}' of {kind} '{name}' is {change[flag]!r}; allowed: true or false")
    if "sync_mode" in change and change["sync_mode"] not in SYNC_MODES:
        raise invalid(f"Field 'sync_mode' is {change['sync_mode']!r}; allowed: {', '.join(SYNC_MODES)}")


def _check_table(table: Table, change: Mapping[str, Any]) -> None:
    if table.lock is not None and change["enabled"] != table.enabled:
        raise invalid(f"Table '{table.name}' can not be enabled or disabled: {table.lock}")
    mode = change.get("sync_mode", table.sync_mode)
    if mode != table.sync_mode and (
        table.sync_mode is None or (mode == "HISTORY" and not table.takes_history)
    ):
        raise invalid(f"Sync mode {mode} is not supported for table '{table.name}'")
    for name, one in _objects("columns", change.get("columns", {})).items():
        check_entry("column", name, one)
        if name not in table.columns:
            raise _unknown("column", name)
        column = table.columns[name]
        if not table.takes_columns:
            raise invalid(f"Table '{table.name}' does not support column-level configuration")
        if column.lock is not None and one["enabled"] != column.enabled:
            raise invalid(f"Column '{name}' can not be enabled or disabled: {column.lock}")


def _set_table(table: Table, change: Mapping[str, Any]) -> None:
    table.enabled = change["enabled"]
    table.sync_mode = change.get("sync_mode", table.sync_mode)
    for name, one in change.get("columns", {}).items():
        column = table.columns[name]
        column.enabled, column.hashed = one["enabled"], one.get("hashed", column.hashed)
        column.touched = True


def _existing(table: Table, columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: change
        for name, change in columns.items()
        if name in table.columns and table.columns[name].lock is None
    }


def _objects(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"Field '{name}' is {value!r}; allowed: an object")
    return value


def _unknown(kind: str, name: str) -> ApiError:
    # Fivetran's definition promises 404 for a name that is not there; the code word is a guess.
    return ApiError(404, f"NotFound_{kind.capitalize()}", f"Cannot find {kind} with name '{name}'")
