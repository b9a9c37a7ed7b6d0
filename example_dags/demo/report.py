"""What the demo shows at its end: the syncs that ran and the rows that dbt made of them."""

from __future__ import annotations

import datetime as dt
import time
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PATIENCE = (
    20.0  # seconds for which somebody else may write into the warehouse: DuckDB has one writer and no reader
)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows under their headings: numbers to the right, everything else to the left."""
    cells = [[_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(columns))]

    def line(texts: Sequence[str]) -> str:
        fitted = (
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(texts, widths, numeric, strict=True)
        )
        return ("  " + "  ".join(fitted)).rstrip()

    rule = "  " + "  ".join("-" * width for width in widths)
    return "\n".join([line(columns), rule, *map(line, cells)])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float | Decimal):
        return f"{value:,.2f}"
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


def moment(text: str | None) -> dt.datetime | None:
    """A time as Airflow and Fivetran write it."""
    return dt.datetime.fromisoformat(text) if text else None


def syncs(records: Sequence[Mapping[str, Any]]) -> str:
    """The records of syncs, as tasks and asset events have them, as a table."""
    columns = ("connection", "status", "started", "ended", "seconds", "megabytes loaded")
    rows = [
        (
            record["connection_id"],
            record["status"],
            moment(record["started_at"]),
            moment(record["ended_at"]),
            record["duration"],
            _loaded(record["volume_mb"]),
        )
        for record in records
    ]
    return table(columns, rows)


def _loaded(volumes: Mapping[str, float]) -> float | None:
    return next((size for stage, size in volumes.items() if "load" in stage), None)


def mart(duckdb_file: Path, name: str, order_by: str, limit: int) -> str:
    """The first rows of a finished mart as a table."""
    with _opened(duckdb_file) as warehouse:
        found = warehouse.execute(f"from dbt_marts.{name} order by {order_by} limit {limit}")
        return table([column[0] for column in found.description], found.fetchall())


def landed(duckdb_file: Path, *schemas: str) -> str:
    """How many rows the syncs have landed in each table of these schemas."""
    with _opened(duckdb_file) as warehouse:
        names = [
            (schema, name)
            for schema in schemas
            for (name,) in warehouse.execute(
                "select table_name from information_schema.tables where table_schema = ? order by 1", [schema]
            ).fetchall()
            if not name.startswith("_")
        ]
        rows = []
        for schema, name in names:
            counted = warehouse.execute(
                f'select count(*), max(_fivetran_synced) from "{schema}"."{name}"'  # noqa: S608
            ).fetchone()
            rows.append((f"{schema}.{name}", *(counted or (None, None))))
        return table(("table", "rows", "newest row landed"), rows)


@contextmanager
def _opened(duckdb_file: Path) -> Iterator[Any]:
    import duckdb

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            warehouse = duckdb.connect(str(duckdb_file), read_only=True)
            break
        except duckdb.IOException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    with warehouse:
        yield warehouse
