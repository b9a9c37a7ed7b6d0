"""Lands a small shop into a DuckDB file, as Fivetran lands a source: a little more with every sync."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

_FIRST_CUSTOMERS, _MORE_CUSTOMERS = 600, 40
_FIRST_ORDERS, _MORE_ORDERS = 2_400, 160
_PAUSE = 0.1

_TABLES = """
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.customers (
    id BIGINT PRIMARY KEY,
    first_name VARCHAR,
    last_name VARCHAR,
    email VARCHAR,
    country_code VARCHAR,
    created_at TIMESTAMP WITH TIME ZONE,
    _fivetran_deleted BOOLEAN,
    _fivetran_synced TIMESTAMP WITH TIME ZONE
);
CREATE TABLE IF NOT EXISTS {schema}.orders (
    id BIGINT PRIMARY KEY,
    customer_id BIGINT,
    status VARCHAR,
    ordered_at TIMESTAMP WITH TIME ZONE,
    _fivetran_deleted BOOLEAN,
    _fivetran_synced TIMESTAMP WITH TIME ZONE
);
CREATE TABLE IF NOT EXISTS {schema}.payments (
    id BIGINT PRIMARY KEY,
    order_id BIGINT,
    payment_method VARCHAR,
    amount_cents BIGINT,
    paid_at TIMESTAMP WITH TIME ZONE,
    _fivetran_deleted BOOLEAN,
    _fivetran_synced TIMESTAMP WITH TIME ZONE
);
"""

# Every value follows from its id, its column and the seed: the same syncs land the same rows anywhere.
_CHANCE = "(md5_number_lower(concat_ws(':', {seed}, '{salt}', n)) % {span})::BIGINT"

_CUSTOMERS = """
INSERT INTO {schema}.customers
SELECT
    n,
    first_name,
    last_name,
    lower(first_name) || '.' || lower(last_name) || n || '@example.com',
    ['US', 'US', 'GB', 'DE', 'FR', 'IN'][1 + {country}],
    TIMESTAMPTZ '2025-01-01 00:00:00+00' + INTERVAL (n) HOUR + INTERVAL ({minute}) MINUTE,
    FALSE,
    $synced
FROM (
    SELECT
        n,
        ['Ada', 'Ben', 'Chen', 'Dana', 'Emil', 'Farah', 'Goran', 'Hana', 'Ivo', 'Jana'][1 + {first}]
            AS first_name,
        ['Abel', 'Bauer', 'Costa', 'Diaz', 'Evans', 'Fischer', 'Gupta', 'Haas'][1 + {last}] AS last_name
    FROM range($start, $stop) AS ids(n)
)
"""

# A new order belongs to any customer there is; the newest of a sync are still on their way.
_ORDERS = """
INSERT INTO {schema}.orders
SELECT
    n,
    1 + {customer} % $customers,
    CASE
        WHEN n >= $stop - 60 THEN 'placed'
        WHEN n >= $stop - 120 THEN 'shipped'
        WHEN {fate} < 90 THEN 'completed'
        WHEN {fate} < 94 THEN 'return_pending'
        ELSE 'returned'
    END,
    TIMESTAMPTZ '2025-02-01 00:00:00+00' + INTERVAL (n * 15) MINUTE,
    FALSE,
    $synced
FROM range($start, $stop) AS ids(n)
"""

# Each order is paid once, and one in eight in a second part, by coupon or gift card.
_PAYMENTS = """
INSERT INTO {schema}.payments
SELECT
    n * 2 - 1 + part,
    n,
    CASE part
        WHEN 0 THEN ['credit_card', 'credit_card', 'bank_transfer', 'paypal'][1 + {method}]
        ELSE ['coupon', 'gift_card'][1 + {method} % 2]
    END,
    CASE part WHEN 0 THEN 500 + {amount} ELSE 100 + {amount} % 900 END,
    TIMESTAMPTZ '2025-02-01 00:00:00+00' + INTERVAL (n * 15 + part + {minute} % 10) MINUTE,
    FALSE,
    $synced
FROM range($start, $stop) AS ids(n), (VALUES (0), (1)) AS parts(part)
WHERE part = 0 OR {second} = 0
"""

# What was on its way at the last sync has arrived since.
_ARRIVALS = """
UPDATE {schema}.orders
SET status = CASE status WHEN 'placed' THEN 'shipped' ELSE 'completed' END, _fivetran_synced = $synced
WHERE status IN ('placed', 'shipped') AND NOT _fivetran_deleted
"""

# One order is deleted in the source between two syncs; Fivetran marks it and its payments.
_DELETED_ORDER = """
UPDATE {schema}.orders SET _fivetran_deleted = TRUE, _fivetran_synced = $synced
WHERE id = (SELECT min(id) FROM {schema}.orders WHERE status = 'returned' AND NOT _fivetran_deleted)
"""
_DELETED_PAYMENTS = """
UPDATE {schema}.payments SET _fivetran_deleted = TRUE, _fivetran_synced = $synced
WHERE NOT _fivetran_deleted AND order_id IN (SELECT id FROM {schema}.orders WHERE _fivetran_deleted)
"""


class Landing:
    """Writes into one DuckDB file, which is open only while rows are being written: it allows one writer."""

    def __init__(self, path: str | Path, seed: int = 0, patience: float = 10.0) -> None:
        self._duckdb = _import_duckdb()
        self._path = Path(path)
        self._seed = seed
        # Real seconds to wait for another process that has the file open.
        self._patience = patience

    def land(self, schema: str, synced: datetime) -> str | None:
        """Write what one sync brings. The file is closed on return; the answer is None, or why it failed."""
        try:
            connection = self._open()
            try:
                self._write(connection, _qualified(connection, schema), synced)
            finally:
                connection.close()
        except self._duckdb.Error as error:
            return f"Could not write to the destination {self._path.name}: {str(error).splitlines()[0]}"
        return None

    def _open(self) -> Any:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._duckdb.connect(str(self._path))
            except self._duckdb.Error:
                # Locked by another process, or open in this one with other settings; both pass.
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE)

    def _write(self, connection: Any, schema: str, synced: datetime) -> None:
        connection.begin()
        connection.execute(_TABLES.format(schema=schema))
        customers = _highest_id(connection, f"{schema}.customers")
        orders = _highest_id(connection, f"{schema}.orders")
        if orders:
            for change in (_ARRIVALS, _DELETED_ORDER, _DELETED_PAYMENTS):
                connection.execute(change.format(schema=schema), {"synced": synced})
        customer_stop = customers + (_MORE_CUSTOMERS if customers else _FIRST_CUSTOMERS) + 1
        order_stop = orders + (_MORE_ORDERS if orders else _FIRST_ORDERS) + 1
        span = {"start": customers + 1, "stop": customer_stop, "synced": synced}
        connection.execute(self._sql(_CUSTOMERS, schema), span)
        span = {"start": orders + 1, "stop": order_stop, "synced": synced}
        connection.execute(self._sql(_ORDERS, schema), {**span, "customers": customer_stop - 1})
        connection.execute(self._sql(_PAYMENTS, schema), span)
        connection.commit()

    def _sql(self, text: str, schema: str) -> str:
        spans = {
            "country": 6,
            "minute": 60,
            "first": 10,
            "last": 8,
            "customer": 1_000_000_000,
            "fate": 100,
            "method": 4,
            "amount": 20_000,
            "second": 8,
        }
        chances = {
            salt: _CHANCE.format(seed=self._seed, salt=salt, span=span) for salt, span in spans.items()
        }
        return text.format(schema=schema, **chances)


def _highest_id(connection: Any, table: str) -> int:
    # The name is quoted already, and a name cannot be a parameter.
    row = connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()  # noqa: S608
    return int(row[0])


def _qualified(connection: Any, schema: str) -> str:
    # A file shop.duckdb is a database "shop", so that a schema "shop" in it needs its full name.
    row = connection.execute("SELECT current_database()").fetchone()
    return f"{_quoted(row[0])}.{_quoted(schema)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _import_duckdb() -> Any:
    try:
        import duckdb  # noqa: PLC0415 - only landing needs it
    except ImportError as error:
        message = "Landing rows needs duckdb: pip install 'airflow-provider-fivetran[demo]'"
        raise ImportError(message) from error
    return duckdb
