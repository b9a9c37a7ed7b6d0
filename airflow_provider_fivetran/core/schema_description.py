"""What a schema configuration is to be: read from what people write, or from what an earlier look has left.

A description names only what matters, in the form of Fivetran's API (schema ``StandardConfigUpdateRequest`` of its
definition), with short forms. What it does not name is not described.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Never, get_args

from airflow_provider_fivetran.core.policies import SchemaChangeHandling, SyncMode

__all__ = [
    "DescribedColumn",
    "DescribedSchema",
    "DescribedTable",
    "SchemaDescription",
    "read_description",
    "read_earlier",
]


_NAMES = "names with what each is to be, or a list of the names of what is enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedColumn:
    """What a column is to be; ``None`` is not described, here and below."""

    enabled: bool | None = None
    hashed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedTable:
    """What a table is to be."""

    enabled: bool | None = None
    sync_mode: str | None = None
    columns: Mapping[str, DescribedColumn] = field(default_factory=dict)
    has_all_columns: bool = False
    """The columns are all that it has: another one is news."""
    other_columns: DescribedColumn | None = None
    """What columns that are not named are to be, where that is described."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedSchema:
    """What a schema is to be."""

    enabled: bool | None = None
    tables: Mapping[str, DescribedTable] | None = None
    """If described, all that it has: another one is news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaDescription:
    """What the schema configuration of a connection is to be."""

    change_handling: str | None = None
    schemas: Mapping[str, DescribedSchema] | None = None
    """If described, all that it has: another one is news."""

    def body(self) -> dict[str, Any]:
        """Write it as Fivetran takes it (``StandardConfigCreateRequest``), where everything needs an ``enabled``."""
        schemas = {
            name: {
                "enabled": schema.enabled is not False,
                "tables": {table: _table_body(one) for table, one in (schema.tables or {}).items()},
            }
            for name, schema in (self.schemas or {}).items()
        }
        handling = {} if self.change_handling is None else {"schema_change_handling": self.change_handling}
        return {"schemas": schemas, **handling}


def _table_body(table: DescribedTable) -> dict[str, Any]:
    mode = {} if table.sync_mode is None else {"sync_mode": table.sync_mode}
    columns = {
        name: {
            "enabled": column.enabled is not False,
            **({} if column.hashed is None else {"hashed": column.hashed}),
        }
        for name, column in table.columns.items()
    }
    return {"enabled": table.enabled is not False, **mode, **({"columns": columns} if columns else {})}


def read_description(schemas: object, change_handling: object = None) -> SchemaDescription:
    """Read a description.

    :param schemas: by name, as a mapping or as JSON text, or ``None``. A schema is ``{"enabled": True, "tables":
        {...}}``, a table ``{"enabled": True, "sync_mode": "HISTORY", "columns": {...}, "all_columns": True}``, a
        column ``{"enabled": True, "hashed": True}``, each with what matters of it; ``True`` or ``False`` alone are
        short for ``enabled``, and a list of names for what is enabled; a schema that is a list is enabled itself.
    :param change_handling: ``"ALLOW_ALL"``, ``"ALLOW_COLUMNS"``, ``"BLOCK_ALL"`` or ``None``.
    :raises ValueError: it is something else, or describes nothing; the text says where and what is allowed.
    """
    if change_handling is not None and change_handling not in get_args(SchemaChangeHandling):
        _refuse("schema_change_handling", change_handling, _listed(get_args(SchemaChangeHandling)))
    read = None if schemas is None else _read_schemas(_from_text("schemas", schemas), _Strict())
    if not read and (schemas is not None or change_handling is None):
        also = " and schema_change_handling is not given" if change_handling is None else ""
        raise ValueError(f"schemas is {schemas!r}{also}: nothing is described")
    return SchemaDescription(change_handling=_text(change_handling), schemas=read)


def read_earlier(earlier: object) -> SchemaDescription:
    """Read what an earlier look has left: what ``SchemaConfig.to_json`` wrote, or that as JSON text.

    :raises ValueError: it is something else.
    """
    read = _from_text("earlier", earlier)
    if not isinstance(read, Mapping) or not isinstance(read.get("schemas"), Mapping):
        _refuse("earlier", earlier, "what the XCom fivetran_schema holds")
    schemas = _read_schemas(read["schemas"], _Lenient())
    return SchemaDescription(
        change_handling=_text(read.get("schema_change_handling")) or None, schemas=schemas
    )


class _Strict:
    """Words that people write."""

    other_columns = None

    def sync_mode(self, where: str, value: object) -> str:
        if value not in get_args(SyncMode):
            _refuse(where, value, _listed(get_args(SyncMode)))
        return str(value)


class _Lenient:
    """Words that Fivetran sent: one may be newer than this code. It shows no column that nobody has touched."""

    other_columns = DescribedColumn(enabled=True, hashed=False)

    def sync_mode(self, _where: str, value: object) -> str:
        return str(value)


def _from_text(name: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        _refuse(name, value, "a mapping, or one as JSON text; a template of it ends in '| tojson'")


def _read_schemas(value: object, words: _Strict | _Lenient) -> dict[str, DescribedSchema]:
    return {
        name: _read_schema(f"schemas[{name!r}]", one, words) for name, one in _named("schemas", value).items()
    }


def _read_schema(where: str, value: object, words: _Strict | _Lenient) -> DescribedSchema:
    if isinstance(value, list | tuple):
        if not value:
            _refuse(
                where,
                value,
                f"{_NAMES}, at least one; of a schema whose tables are not described, True or False",
            )
        return DescribedSchema(enabled=True, tables=_read_tables(where, value, words))
    fields = _fields(where, value, {"enabled", "tables"})
    tables = fields.get("tables")
    return DescribedSchema(
        enabled=_flag(f"{where}['enabled']", fields.get("enabled")),
        tables=None if tables is None else _read_tables(f"{where}['tables']", tables, words),
    )


def _read_tables(where: str, value: object, words: _Strict | _Lenient) -> dict[str, DescribedTable]:
    tables = _named_some(where, value)
    return {name: _read_table(f"{where}[{name!r}]", one, words) for name, one in tables.items()}


def _read_table(where: str, value: object, words: _Strict | _Lenient) -> DescribedTable:
    fields = _fields(where, value, {"enabled", "sync_mode", "columns", "all_columns"})
    mode, columns = fields.get("sync_mode"), fields.get("columns")
    return DescribedTable(
        enabled=_flag(f"{where}['enabled']", fields.get("enabled")),
        sync_mode=None if mode is None else words.sync_mode(f"{where}['sync_mode']", mode),
        columns={} if columns is None else _read_columns(f"{where}['columns']", columns),
        has_all_columns=bool(_flag(f"{where}['all_columns']", fields.get("all_columns"))),
        other_columns=words.other_columns,
    )


def _read_columns(where: str, value: object) -> dict[str, DescribedColumn]:
    return {name: _read_column(f"{where}[{name!r}]", one) for name, one in _named_some(where, value).items()}


def _read_column(where: str, value: object) -> DescribedColumn:
    fields = _fields(where, value, {"enabled", "hashed"})
    return DescribedColumn(
        enabled=_flag(f"{where}['enabled']", fields.get("enabled")),
        hashed=_flag(f"{where}['hashed']", fields.get("hashed")),
    )


def _named(where: str, value: object) -> Mapping[str, object]:
    """Names with what each is to be; of a list each is to be enabled."""
    read = dict.fromkeys(value, True) if isinstance(value, list | tuple) and _are_names(value) else value
    if not isinstance(read, Mapping) or not _are_names(read):
        _refuse(where, value, _NAMES)
    return read


def _named_some(where: str, value: object) -> Mapping[str, object]:
    """The same, but no empty list: it may mean all or none."""
    if isinstance(value, list | tuple) and not value:
        _refuse(where, value, f"{_NAMES}, at least one; where none is meant, {{}}")
    return _named(where, value)


def _are_names(value: Any) -> bool:
    return all(isinstance(name, str) and name for name in value)


def _fields(where: str, value: object, allowed: set[str]) -> Mapping[str, object]:
    if isinstance(value, bool):
        return {"enabled": value}
    if not isinstance(value, Mapping) or not value:
        _refuse(where, value, f"True, False, or a mapping of {_listed(sorted(allowed))}")
    for name in value:
        if name not in allowed:
            raise ValueError(f"{where} has {name!r}; allowed are {_listed(sorted(allowed))}")
    return value


def _flag(where: str, value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        _refuse(where, value, "True or False")
    return value


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _listed(words: Any) -> str:
    return ", ".join(repr(word) for word in words)


def _refuse(where: str, value: object, allowed: str) -> Never:
    shown = repr(value)
    raise ValueError(f"{where} is {shown[:200]}{' [...]' if len(shown) > 200 else ''}; allowed: {allowed}")  # noqa: PLR2004
