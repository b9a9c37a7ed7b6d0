"""How the rows of a snapshot stand in a file: JSON Lines, or Parquet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_fivetran.core.snapshot_tables import COLUMNS, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_fivetran.core.snapshot_tables import Row

__all__ = ["FORMATS", "Part", "writer_of"]

# So many rows are a row group: what is read of a Parquet file at once, and held in memory before it is written.
ROWS_IN_A_GROUP = 10_000


class Part(Protocol):
    """One file that is being written."""

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows."""

    def close(self) -> None:
        """Complete the file."""

    def abandon(self) -> None:
        """Leave the file as it is: what is in it does not count."""


class JsonLines:
    """One JSON object a line, in UTF-8. Times are ISO 8601 in UTC."""

    def __init__(self, _table: str, file: Any) -> None:
        self._file = file

    def write(self, rows: Sequence[Row]) -> None:
        self._file.write("".join(f"{json.dumps(plain(row), ensure_ascii=False)}\n" for row in rows).encode())

    def close(self) -> None:
        self._file.close()

    abandon = close


class Parquet:
    """Columns with types. Times are microseconds in UTC.

    :raises ModuleNotFoundError: pyarrow is not there.
    """

    def __init__(self, table: str, file: Any) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        types = {
            "text": pa.string(),
            "json": pa.string(),
            "flag": pa.bool_(),
            "integer": pa.int64(),
            "number": pa.float64(),
            "moment": pa.timestamp("us", tz="UTC"),
            "texts": pa.list_(pa.string()),
        }
        self._schema = pa.schema([(column.name, types[column.kind]) for column in COLUMNS[table]])
        self._table_of = pa.Table.from_pylist
        self._file = file
        self._writer = pa.parquet.ParquetWriter(file, self._schema)
        self._waiting: list[Row] = []

    def write(self, rows: Sequence[Row]) -> None:
        self._waiting.extend(rows)
        if len(self._waiting) >= ROWS_IN_A_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()
        self._file.close()

    def abandon(self) -> None:
        self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._table_of(self._waiting, schema=self._schema))
            self._waiting.clear()


FORMATS: dict[str, Callable[[str, Any], Part]] = {"jsonl": JsonLines, "parquet": Parquet}


def writer_of(file_format: str) -> Callable[[str, Any], Part]:
    """What writes files of a format.

    :raises ModuleNotFoundError: it needs a package that is not there.
    """
    if file_format == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "file_format is 'parquet', which needs pyarrow; install 'airflow-provider-fivetran[parquet]', or "
                "set file_format to 'jsonl'"
            ) from error
    return FORMATS[file_format]
