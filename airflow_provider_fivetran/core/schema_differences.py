"""How a schema configuration differs from a description: pure functions, and the words for what they find."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from airflow_provider_fivetran.core.schema_config import SourceColumn, hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_provider_fivetran.core.schema_config import (
        Lock,
        SchemaConfig,
        SourceSchema,
        SourceTable,
    )
    from airflow_provider_fivetran.core.schema_description import (
        DescribedColumn,
        DescribedSchema,
        DescribedTable,
        SchemaDescription,
    )

__all__ = ["Difference", "Kind", "body_of", "differences", "without_others"]

Kind: TypeAlias = Literal["changed", "missing", "new"]
Part: TypeAlias = Literal["connection", "schema", "table", "column"]

# Of so many names that are missing in one place it is said what may be meant.
MOST_HINTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as described, or not as it was before."""

    kind: Kind
    """``changed``: a ``field`` is another one; ``missing``: it is not there; ``new``: it was not described."""
    part: Part
    """What it is about: a schema, a table or a column; of the whole connection there is one field."""
    schema: str = ""
    table: str = ""
    column: str = ""
    field: str = ""
    """``enabled``, ``hashed``, ``sync_mode`` or ``schema_change_handling``."""
    wanted: bool | str | None = None
    found: bool | str | None = None
    """The value of the field; of something new, whether it is enabled."""
    obstacle: str = ""
    """Why Fivetran would not let it be changed; or, of something missing, what may be meant."""

    @property
    def _name(self) -> str:
        if self.part == "schema":
            return f"schema {self.schema!r}"
        of_table = f"{self.table!r} in {self.schema!r}"
        return f"table {of_table}" if self.part == "table" else f"column {self.column!r} of {of_table}"

    def in_words(self, *, before: bool = False) -> str:
        """Say what it is.

        :param before: the description is what was seen before, and not what is demanded.
        """
        if self.kind == "missing":
            return f"there is no {self._name}{' any more' if before else ''}{self.obstacle}"
        if self.kind == "new":
            why = f" ({self.obstacle})" if self.obstacle else ""
            return f"the {self._name} is {'new' if before else 'not described'}, and {_state(self)}{why}"
        if self.field in {"enabled", "hashed"}:
            then = f"was{_not(self.wanted)} before" if before else f"should{_not(self.wanted)} be"
            return f"the {self._name} is{_not(self.found)} {self.field}, and {then}{self._locked}"
        whose = "" if self.part == "connection" else f"of the {self._name} "
        then = f"was {self.wanted} before" if before else f"should be {self.wanted}"
        return f"the {self.field} {whose}is {self.found or 'not set'}, and {then}{self._locked}"

    @property
    def _locked(self) -> str:
        return f", but Fivetran does not let it be changed: {self.obstacle}" if self.obstacle else ""

    def to_json(self, *, before: bool = False) -> dict[str, Any]:
        """Write it as plain JSON, with its words as ``text``."""
        told: dict[str, Any] = {"kind": self.kind, "part": self.part}
        told |= {
            name: getattr(self, name)
            for name in ("schema", "table", "column", "field")
            if getattr(self, name)
        }
        if self.kind == "changed":
            told |= {"wanted": self.wanted, "found": self.found}
        elif self.kind == "new":
            told |= {"enabled": self.found}
        return told | {"text": self.in_words(before=before)}


def _not(value: bool | str | None) -> str:  # noqa: FBT001 - the value of a field
    return "" if value else " not"


def _state(new: Difference) -> str:
    return "enabled" if new.found else "not enabled"


def differences(config: SchemaConfig, description: SchemaDescription) -> Iterator[Difference]:
    """What in a configuration is not as described, in its order; what is missing comes after what is there.

    Tables that were deleted in the source count as missing. A column that nothing is known of counts as what
    Fivetran takes it for: enabled, and not hashed.
    """
    wanted = description.change_handling
    if wanted is not None and wanted != config.change_handling:
        yield Difference(
            kind="changed",
            part="connection",
            field="schema_change_handling",
            wanted=wanted,
            found=config.change_handling,
        )
    if description.schemas is None:
        return
    for schema in config.schemas:
        described = description.schemas.get(schema.source_name)
        if described is None:
            yield Difference(kind="new", part="schema", schema=schema.source_name, found=schema.enabled)
        else:
            yield from _in_schema(schema, described)
    missing = [name for name in description.schemas if config.schema(name) is None]
    for name, meant in _with_hints(missing, config.schemas):
        yield Difference(kind="missing", part="schema", schema=name, obstacle=meant)


def _in_schema(schema: SourceSchema, described: DescribedSchema) -> Iterator[Difference]:
    of = {"schema": schema.source_name}
    if described.enabled is not None and described.enabled != schema.enabled:
        yield _changed("schema", "enabled", described.enabled, schema.enabled, "", of)
    if described.tables is None:
        return
    there = [table for table in schema.tables if not table.is_gone]
    for table in there:
        one = described.tables.get(table.source_name)
        if one is None and table.lock is not None and not table.enabled:
            continue  # nobody can have it synced, so that it is no news
        if one is None:
            yield Difference(
                kind="new",
                part="table",
                **of,
                table=table.source_name,
                found=table.enabled,
                obstacle=_said(table.lock),
            )
        else:
            yield from _in_table(table, one, {**of, "table": table.source_name})
    names = {table.source_name for table in there}
    gone = {table.source_name for table in schema.tables} - names
    for name, meant in _with_hints([name for name in described.tables if name not in names], there):
        why = ": it was deleted in the source" if name in gone else meant
        yield Difference(kind="missing", part="table", **of, table=name, obstacle=why)


def _in_table(table: SourceTable, described: DescribedTable, of: Mapping[str, str]) -> Iterator[Difference]:
    if described.enabled is not None and described.enabled != table.enabled:
        yield _changed("table", "enabled", described.enabled, table.enabled, _said(table.lock), of)
    mode = described.sync_mode
    if mode is not None and mode != table.sync_mode:
        yield _changed("table", "sync_mode", mode, table.sync_mode, _no_mode(table, mode), of)
    known = {column.source_name: column for column in table.columns}
    absent = [name for name in described.columns if table.has_all_columns and name not in known]
    meant = dict(_with_hints(absent, table.columns))
    for name, wanted in described.columns.items():
        if name in meant:
            yield Difference(kind="missing", part="column", **of, column=name, obstacle=meant[name])
        else:
            yield from _in_column(table, known.get(name) or untouched(name), wanted, {**of, "column": name})
    for column in table.columns:
        name = column.source_name
        if name in described.columns:
            continue
        if described.has_all_columns:
            yield Difference(kind="new", part="column", **of, column=name, found=column.enabled)
        elif described.other_columns is not None:
            yield from _in_column(table, column, described.other_columns, {**of, "column": name})


def _with_hints(
    missing: Iterable[str], there: Sequence[SourceSchema | SourceTable | SourceColumn]
) -> Iterator[tuple[str, str]]:
    """Each name with what may be meant, which takes a look at all that there is: only of the first few."""
    for number, name in enumerate(missing):
        yield name, hint(name, there) if number < MOST_HINTS else ""


def _in_column(
    table: SourceTable, column: SourceColumn, wanted: DescribedColumn, of: Mapping[str, str]
) -> Iterator[Difference]:
    fixed = "" if table.takes_columns else "the columns of this table cannot be configured"
    if wanted.enabled is not None and wanted.enabled != column.enabled:
        why = fixed or _said(column.lock)
        yield _changed("column", "enabled", wanted.enabled, column.enabled, why, of)
    if wanted.hashed is not None and wanted.hashed != column.hashed:
        yield _changed("column", "hashed", wanted.hashed, column.hashed, fixed, of)


def untouched(name: str) -> SourceColumn:
    """A column that nobody ever enabled, disabled or hashed."""
    return SourceColumn(source_name=name, name=name, enabled=True)


def _changed(
    part: Part,
    field: str,
    wanted: bool | str,  # noqa: FBT001 - the value of a field
    found: bool | str | None,  # noqa: FBT001
    obstacle: str,
    of: Mapping[str, str],
) -> Difference:
    return Difference(
        kind="changed", part=part, field=field, wanted=wanted, found=found, obstacle=obstacle, **of
    )


def _said(lock: Lock | None) -> str:
    return "" if lock is None else str(lock)


def _no_mode(table: SourceTable, mode: str) -> str:
    if table.sync_mode is None:
        return "this connection cannot switch the sync mode of this table"
    return "" if mode != "HISTORY" or table.takes_history else "this table does not support HISTORY"


def without_others(found: Iterable[Difference], *, disable: bool) -> Iterator[Difference]:
    """Take what is not described for something that is to be disabled, where it can be, or leave it out.

    Columns are left as they are.
    """
    for difference in found:
        if difference.kind != "new":
            yield difference
        elif disable and difference.part != "column" and difference.found and not difference.obstacle:
            yield replace(difference, kind="changed", field="enabled", wanted=False)


def body_of(config: SchemaConfig, changes: Iterable[Difference]) -> dict[str, Any]:
    """The request that makes all these changes (``StandardConfigUpdateRequest``).

    What is named on the way has to say whether it is enabled, and says what it is already.
    """
    body: dict[str, Any] = {}
    for change in changes:
        if change.part == "connection":
            body[change.field] = change.wanted
        else:
            _place(body, config, change)[change.field] = change.wanted
    return body


def _place(body: dict[str, Any], config: SchemaConfig, change: Difference) -> dict[str, Any]:
    """Where in the body a change belongs."""
    schema = config.schema(change.schema)
    place = _entry(body, "schemas", change.schema, enabled=schema is not None and schema.enabled)
    if change.part == "schema":
        return place
    table = config.table(change.schema, change.table)
    place = _entry(place, "tables", change.table, enabled=table is not None and table.enabled)
    if change.part == "table":
        return place
    column = table.column(change.column) if table is not None else None
    return _entry(place, "columns", change.column, enabled=column is None or column.enabled)


def _entry(place: dict[str, Any], kind: str, name: str, *, enabled: bool) -> dict[str, Any]:
    entry: dict[str, Any] = place.setdefault(kind, {}).setdefault(name, {})
    entry.setdefault("enabled", enabled)
    return entry
