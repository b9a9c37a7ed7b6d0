"""The schema configuration of a connection as Fivetran shows it: schemas, tables and columns, as frozen values.

Source: schemas ``StandardConfigResponse``, ``SchemaConfigResponse``, ``TableConfigResponse``,
``ColumnConfigResponse`` and ``TableColumnsConfigResponse`` of Fivetran's REST API definition. Names are those of
the source unless they are said to be those in the destination, and case-sensitive.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.errors import FivetranUnexpectedAnswer
from airflow_provider_fivetran.core.fields import flag, maybe_text, section, storable, text

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Lock", "SchemaConfig", "SourceColumn", "SourceSchema", "SourceTable", "columns_from_json", "hint"]

Json = Mapping[str, Any]

_REASONS = {
    "SYSTEM_TABLE": "it is a system table",
    "SYSTEM_COLUMN": "it is a system column, such as a part of the primary key",
    "DELETED": "it was deleted in the source",
}


@dataclass(frozen=True, slots=True)
class Lock:
    """Why Fivetran lets nobody enable or disable a table or a column."""

    code: str
    """``SYSTEM_TABLE``, ``SYSTEM_COLUMN``, ``DELETED``, ``OTHER``, or a word that is newer than this code."""
    reason: str = ""
    """In Fivetran's words; as a rule only with ``OTHER``."""

    @classmethod
    def from_json(cls, data: Json) -> Lock | None:
        """Read the ``enabled_patch_settings`` of a table or column; ``None``: it is not locked."""
        settings = section(data, "enabled_patch_settings")
        if not settings or flag(settings, "allowed"):
            return None
        return cls(maybe_text(settings, "reason_code") or "OTHER", maybe_text(settings, "reason") or "")

    def __str__(self) -> str:
        return _REASONS.get(self.code) or self.reason or f"Fivetran gives the reason {self.code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceColumn:
    """A column of a table. Those that nobody ever touched are enabled, not hashed, and shown only when asked for."""

    source_name: str
    name: str
    """As it is called in the destination."""
    enabled: bool
    hashed: bool = False
    """Its values arrive in the destination as hashes."""
    lock: Lock | None = None

    @classmethod
    def from_json(cls, source_name: str, data: Json) -> SourceColumn:
        return cls(
            source_name=storable(source_name),
            name=maybe_text(data, "name_in_destination") or "",
            enabled=flag(data, "enabled"),
            hashed=flag(data, "hashed"),
            lock=Lock.from_json(data),
        )

    def to_json(self) -> bool | dict[str, Any]:
        """Write it as a description does."""
        return {"enabled": self.enabled, "hashed": True} if self.hashed else self.enabled


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """A table of a connection's schema configuration."""

    source_name: str
    """As it is called in the source, and wherever Fivetran's API asks for it."""
    name: str
    """As it is called in the destination."""
    enabled: bool
    """Syncs fill it, if its schema is enabled too."""
    sync_mode: str | None = None
    """``SOFT_DELETE``, ``HISTORY`` or ``LIVE``; ``None`` where the connection cannot switch."""
    columns: tuple[SourceColumn, ...] = ()
    """Those that somebody has ever enabled, disabled or hashed;"""
    has_all_columns: bool = False
    """or, if this is set, all."""
    takes_columns: bool = True
    """Its columns can be configured."""
    takes_history: bool = True
    """It supports the sync mode ``HISTORY``."""
    lock: Lock | None = None

    @classmethod
    def from_json(cls, source_name: str, data: Json) -> SourceTable:
        return cls(
            source_name=storable(source_name),
            name=text(data, "name_in_destination"),
            enabled=flag(data, "enabled"),
            sync_mode=maybe_text(data, "sync_mode"),
            columns=columns_from_json(data),
            takes_columns=data.get("supports_columns_config") is not False,
            takes_history=data.get("supports_history_mode") is not False,
            lock=Lock.from_json(data),
        )

    @property
    def is_gone(self) -> bool:
        """Whether it was deleted in the source: Fivetran goes on showing it."""
        return self.lock is not None and self.lock.code == "DELETED"

    def column(self, name: str) -> SourceColumn | None:
        return next((column for column in self.columns if column.source_name == name), None)

    def to_json(self) -> bool | dict[str, Any]:
        """Write it as a description does."""
        more: dict[str, Any] = {}
        if self.sync_mode is not None:
            more["sync_mode"] = self.sync_mode
        if self.columns or self.has_all_columns:
            more["columns"] = {column.source_name: column.to_json() for column in self.columns}
        if self.has_all_columns:
            more["all_columns"] = True
        return {"enabled": self.enabled, **more} if more else self.enabled


@dataclass(frozen=True, kw_only=True)
class SourceSchema:
    """A schema of a connection's schema configuration, with its tables; names and flag as for a table."""

    source_name: str
    name: str
    enabled: bool
    tables: tuple[SourceTable, ...]

    @classmethod
    def from_json(cls, source_name: str, data: Json) -> SourceSchema:
        tables = section(data, "tables")
        return cls(
            source_name=storable(source_name),
            name=text(data, "name_in_destination"),
            enabled=flag(data, "enabled"),
            tables=tuple(SourceTable.from_json(name, section(tables, name)) for name in tables),
        )

    def table(self, name: str) -> SourceTable | None:
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, SourceTable]:
        return {table.source_name: table for table in self.tables}

    def to_json(self) -> dict[str, Any]:
        """Write it as a description does, without the tables that are gone."""
        tables = {table.source_name: table.to_json() for table in self.tables if not table.is_gone}
        return {"enabled": self.enabled, "tables": tables}


@dataclass(frozen=True, kw_only=True)
class SchemaConfig:
    """The schema configuration of a connection."""

    schemas: tuple[SourceSchema, ...]
    """All of them, enabled or not."""
    change_handling: str = ""
    """What becomes of what is new in the source: ``ALLOW_ALL``, ``ALLOW_COLUMNS`` or ``BLOCK_ALL``."""
    is_given: bool = True
    """Whether the answer had schemas at all, be they none."""

    @classmethod
    def from_json(cls, data: Json) -> SchemaConfig:
        schemas = section(data, "schemas")
        return cls(
            schemas=tuple(SourceSchema.from_json(name, section(schemas, name)) for name in schemas),
            change_handling=maybe_text(data, "schema_change_handling") or "",
            is_given=data.get("schemas") is not None,
        )

    def schema(self, name: str) -> SourceSchema | None:
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, SourceSchema]:
        return {schema.source_name: schema for schema in self.schemas}

    def table(self, schema: str, table: str) -> SourceTable | None:
        found = self.schema(schema)
        return None if found is None else found.table(table)

    def with_columns(self, schema: str, table: str, columns: tuple[SourceColumn, ...]) -> SchemaConfig:
        """The same, with all columns of one table, as read from the source."""

        def completed(one: SourceTable) -> SourceTable:
            return replace(one, columns=columns, has_all_columns=True) if one.source_name == table else one

        return replace(
            self,
            schemas=tuple(
                replace(one, tables=tuple(map(completed, one.tables))) if one.source_name == schema else one
                for one in self.schemas
            ),
        )

    def checked(self) -> SchemaConfig:
        """Return itself: an answer that lacks the schemas must not look like a source that lost them.

        :raises FivetranUnexpectedAnswer: the answer had none.
        """
        if not self.is_given:
            raise FivetranUnexpectedAnswer("Fivetran's answer has no 'schemas', which are documented")
        return self

    def to_json(self) -> dict[str, Any]:
        """Write it in the form of a description, as it stands in the XCom ``fivetran_schema``."""
        return {
            "schema_change_handling": self.change_handling,
            "schemas": {schema.source_name: schema.to_json() for schema in self.schemas},
        }


def columns_from_json(data: Json) -> tuple[SourceColumn, ...]:
    """The ``columns`` of a table, or of the answer that lists all columns of one."""
    columns = section(data, "columns")
    return tuple(SourceColumn.from_json(name, section(columns, name)) for name in columns)


def hint(wanted: str, known: Iterable[SourceSchema | SourceTable | SourceColumn]) -> str:
    """What may have been meant: another case, a typing error, or the name in the destination."""
    there = tuple(known)
    folded = {one.name.casefold(): one.source_name for one in there}
    folded |= {one.source_name.casefold(): one.source_name for one in there}
    meant = wanted.casefold()
    close = [meant] if meant in folded else difflib.get_close_matches(meant, folded)
    near = dict.fromkeys(folded[name] for name in close)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
