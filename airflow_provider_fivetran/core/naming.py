"""What OpenLineage calls the tables of a destination, and the URI that Airflow's assets get from that.

OpenLineage names a dataset by a namespace and a name (https://openlineage.io/docs/spec/naming). Where its
integration with dbt departs from that specification (Redshift, SQL Server) or goes beyond it (Databricks, DuckDB),
the names here are those of the integration, for it is dbt that a table is to meet. The fields of a destination's
``config`` are those of Fivetran's REST API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_fivetran.core.models import Destination

__all__ = ["DatasetName", "Place", "place_of"]

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DatasetName:
    """The name of a table in OpenLineage."""

    namespace: str
    name: str

    def uri(self, *, dotted: bool = False) -> str:
        """The URI of the table's asset, as Cosmos writes it.

        :param dotted: with the dots of the name, which Airflow 3 does not accept in the URIs of some databases.
        """
        name = quote(self.name)
        return f"{self.namespace}/{name if dotted else name.replace('.', '/')}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a destination keeps its tables."""

    namespace: str
    above_schemas: tuple[str, ...] = ()
    """The database, project or catalog."""

    def table(self, schema: str, table: str) -> DatasetName:
        return DatasetName(self.namespace, ".".join((*self.above_schemas, schema, table)))


def place_of(destination: Destination) -> Place:
    """Where a destination keeps its tables.

    :raises ValueError: it is of a type that has no names here, or its configuration lacks what they need.
    """
    read = _PLACES.get(destination.service)
    if read is None:
        raise ValueError(
            f"tables in a destination of type {destination.service!r} have no URI here; those that have: "
            f"{', '.join(sorted(_PLACES))}"
        )
    try:
        return read(destination.config)
    except KeyError as error:
        raise ValueError(
            f"the configuration of the destination {destination.id} ({destination.service}) has no "
            f"{' or '.join(map(repr, error.args))}"
        ) from None


def _value(config: Config, *names: str) -> str:
    for name in names:
        value = config.get(name)
        if isinstance(value, (str, int)) and str(value).strip():
            return str(value).strip()
    raise KeyError(*names)


def _server(scheme: str, default_port: int, *, databases: bool = True) -> Callable[[Config], Place]:
    """A database server; ``databases``: it has databases, and schemas in them."""

    def read(config: Config) -> Place:
        port = config.get("port") or default_port
        above = (_value(config, "database"),) if databases else ()
        return Place(f"{scheme}://{_value(config, 'host')}:{port}", above)

    return read


def _snowflake(config: Config) -> Place:
    """By account; what is short of region and cloud is completed as OpenLineage does it."""
    account = _value(config, "host").partition("://")[2] or _value(config, "host")
    account = account.partition("/")[0].partition(":")[0].partition(".snowflakecomputing.")[0]
    parts = account.split(".")
    if "-" in parts[0]:  # organization and account, which need no more
        account = parts[0]
    elif len(parts) == 1:
        account = f"{account}.us-west-1.aws"
    elif len(parts) == 2:  # noqa: PLR2004
        account = f"{account}.aws"
    return Place(f"snowflake://{account}", (_value(config, "database"),))


def _big_query(config: Config) -> Place:
    return Place("bigquery", (_value(config, "project_id"),))


def _databricks(config: Config) -> Place:
    catalog = config.get("catalog") or "hive_metastore"  # that of Databricks without Unity Catalog
    return Place(f"databricks://{_value(config, 'server_host_name')}", (str(catalog),))


def _motherduck(config: Config) -> Place:
    """Fivetran's documentation does not show its fields; the first is that of MotherDuck's own connector."""
    database = _value(config, "motherduck_database", "database")
    return Place(f"duckdb://md:{database}", (database,))


def _duckdb(config: Config) -> Place:
    """A file, which no Fivetran writes but a simulated one."""
    path = _value(config, "path")
    return Place(f"duckdb://{path}", (path.rpartition("/")[2].partition(".")[0],))


_PLACES: Mapping[str, Callable[[Config], Place]] = {
    "snowflake": _snowflake,
    "redshift": _server("redshift", 5439),
    "databricks": _databricks,
    "motherduck": _motherduck,
    "duckdb": _duckdb,
    **dict.fromkeys(("big_query", "big_query_dts", "managed_big_query"), _big_query),
    **dict.fromkeys(
        (
            "postgres_warehouse",
            "postgres_rds_warehouse",
            "postgres_gcp_warehouse",
            "aurora_postgres_warehouse",
            "azure_postgres_warehouse",
        ),
        _server("postgres", 5432),
    ),
    **dict.fromkeys(
        (
            "mysql_warehouse",
            "mysql_rds_warehouse",
            "aurora_warehouse",
            "maria_warehouse",
            "maria_rds_warehouse",
        ),
        _server("mysql", 3306, databases=False),
    ),
    **dict.fromkeys(
        (
            "sql_server_warehouse",
            "sql_server_rds_warehouse",
            "azure_sql_database",
            "azure_sql_managed_db_warehouse",
        ),
        _server("mssql", 1433),
    ),
}
