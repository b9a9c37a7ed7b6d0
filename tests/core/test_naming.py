"""The URIs of tables are those that dbt's tables have, by OpenLineage's integration with dbt and by Cosmos."""

from __future__ import annotations

import pytest

from airflow_provider_fivetran.core.models import Destination
from airflow_provider_fivetran.core.naming import DatasetName, place_of
from airflow_provider_fivetran.core.schema_config import SchemaConfig
from airflow_provider_fivetran.core.tables import filled_tables
from facts import connection
from scripted import Fivetran

# A destination of Fivetran, the profile with which dbt reaches the same database, and the URI of its table shop.orders.
SERVER = {"host": "db.example.com", "database": "analytics", "password": "******"}
ACCOUNT = {"port": 443, "database": "ANALYTICS"}
EXAMPLES = {
    "snowflake, organization and account": (
        "snowflake",
        ACCOUNT | {"host": "acme-prod.snowflakecomputing.com"},
        {"type": "snowflake", "account": "acme-prod", "database": "ANALYTICS"},
        "snowflake://acme-prod/ANALYTICS/shop/orders",
    ),
    "snowflake, account in the first region": (
        "snowflake",
        ACCOUNT | {"host": "xy12345.snowflakecomputing.com"},
        {"type": "snowflake", "account": "xy12345", "database": "ANALYTICS"},
        "snowflake://xy12345.us-west-1.aws/ANALYTICS/shop/orders",
    ),
    "snowflake, account and region": (
        "snowflake",
        ACCOUNT | {"host": "xy12345.us-east-1.snowflakecomputing.com"},
        {"type": "snowflake", "account": "xy12345.us-east-1", "database": "ANALYTICS"},
        "snowflake://xy12345.us-east-1.aws/ANALYTICS/shop/orders",
    ),
    "snowflake, account, region and cloud": (
        "snowflake",
        ACCOUNT | {"host": "https://xy12345.east-us-2.azure.snowflakecomputing.com:443/"},
        {"type": "snowflake", "account": "xy12345.east-us-2.azure", "database": "ANALYTICS"},
        "snowflake://xy12345.east-us-2.azure/ANALYTICS/shop/orders",
    ),
    "snowflake, private link": (
        "snowflake",
        ACCOUNT | {"host": "xy12345.us-east-1.privatelink.snowflakecomputing.com"},
        {"type": "snowflake", "account": "xy12345.us-east-1.privatelink", "database": "ANALYTICS"},
        "snowflake://xy12345.us-east-1.privatelink/ANALYTICS/shop/orders",
    ),
    "big_query": (
        "big_query",
        {"project_id": "acme-data", "data_set_location": "EU"},
        {"type": "bigquery", "database": "acme-data"},
        "bigquery/acme-data/shop/orders",
    ),
    "managed_big_query": (
        "managed_big_query",
        {"project_id": "acme-data"},
        {"type": "bigquery", "database": "acme-data"},
        "bigquery/acme-data/shop/orders",
    ),
    "redshift": (
        "redshift",
        SERVER | {"port": 5439},
        {"type": "redshift", "host": "db.example.com", "port": 5439, "database": "analytics"},
        "redshift://db.example.com:5439/analytics/shop/orders",
    ),
    "postgres_warehouse": (
        "postgres_warehouse",
        SERVER | {"port": 5433},
        {"type": "postgres", "host": "db.example.com", "port": 5433, "database": "analytics"},
        "postgres://db.example.com:5433/analytics/shop/orders",
    ),
    "a port as a text": (
        "aurora_postgres_warehouse",
        SERVER | {"port": "5433"},
        {"type": "postgres", "host": "db.example.com", "port": 5433, "database": "analytics"},
        "postgres://db.example.com:5433/analytics/shop/orders",
    ),
    "no port": (
        "postgres_rds_warehouse",
        SERVER,
        {"type": "postgres", "host": "db.example.com", "port": 5432, "database": "analytics"},
        "postgres://db.example.com:5432/analytics/shop/orders",
    ),
    "databricks": (
        "databricks",
        {
            "server_host_name": "dbc-1.cloud.databricks.com",
            "port": 443,
            "catalog": "main",
            "http_path": "sql/1",
        },
        {"type": "databricks", "host": "dbc-1.cloud.databricks.com", "database": "main"},
        "databricks://dbc-1.cloud.databricks.com/main/shop/orders",
    ),
    "databricks without Unity Catalog": (
        "databricks",
        {"server_host_name": "dbc-1.cloud.databricks.com", "catalog": None},
        {"type": "databricks", "host": "dbc-1.cloud.databricks.com", "database": "hive_metastore"},
        "databricks://dbc-1.cloud.databricks.com/hive_metastore/shop/orders",
    ),
    "sql_server_warehouse": (
        "sql_server_warehouse",
        SERVER | {"port": 1433},
        {"type": "sqlserver", "server": "db.example.com", "port": 1433, "database": "analytics"},
        "mssql://db.example.com:1433/analytics/shop/orders",
    ),
    "motherduck": (
        "motherduck",
        {"motherduck_database": "warehouse", "motherduck_auth_token": "******"},
        {"type": "duckdb", "path": "md:warehouse", "database": "warehouse"},
        "duckdb://md:warehouse/warehouse/shop/orders",
    ),
    "a simulator's file": (
        "duckdb",
        {"path": "/data/warehouse.duckdb"},
        {"type": "duckdb", "path": "/data/warehouse.duckdb", "database": "warehouse"},
        "duckdb:///data/warehouse.duckdb/warehouse/shop/orders",
    ),
}


def table_in(service, config, schema="shop", name="orders"):
    destination = Destination(
        id="d", group_id="d", service=service, region="", setup_status="connected", config=config
    )
    return place_of(destination).table(schema, name)


@pytest.mark.parametrize(("service", "config", "profile", "uri"), EXAMPLES.values(), ids=EXAMPLES)
def test_a_table_has_the_uri_that_is_written_here(service, config, profile, uri):
    assert table_in(service, config).uri() == uri


@pytest.mark.newest
@pytest.mark.parametrize(("service", "config", "profile", "uri"), EXAMPLES.values(), ids=EXAMPLES)
def test_openlineage_calls_the_table_of_dbt_the_same(service, config, profile, uri):
    from openlineage.common.provider.dbt.processor import Adapter, DbtArtifactProcessor

    class Processor(DbtArtifactProcessor):
        adapter_type = Adapter[profile["type"].upper()]

        def __init__(self):
            pass

    Processor.__abstractmethods__ = frozenset()
    processor = Processor()
    namespace = processor.extract_namespace(profile)
    name = processor._format_dataset_name(profile["database"], "shop", "orders")
    assert table_in(service, config) == DatasetName(namespace, name)


@pytest.mark.newest
@pytest.mark.parametrize(("service", "config", "profile", "uri"), EXAMPLES.values(), ids=EXAMPLES)
@pytest.mark.filterwarnings("default")
def test_cosmos_gives_the_table_of_dbt_the_same_uri(service, config, profile, uri):
    from cosmos.dataset import _ADAPTER_NAMESPACE_RESOLVERS, construct_dataset_uri

    namespace = _ADAPTER_NAMESPACE_RESOLVERS[profile["type"]](profile)
    assert construct_dataset_uri(namespace, f"{profile['database']}.shop.orders") == uri


@pytest.mark.newest
def test_openlineage_calls_a_table_in_mysql_the_same():
    """They know no adapter of dbt for MySQL, but what its tables are called."""
    from openlineage.client.naming.dataset import MySQL

    table = table_in("mysql_rds_warehouse", SERVER)
    theirs = MySQL(host="db.example.com", port="3306", database="shop", table="orders")
    assert (table.namespace, table.name) == (theirs.get_namespace(), theirs.get_name())
    assert table.uri() == "mysql://db.example.com:3306/shop/orders"


@pytest.mark.newest
def test_airflow_takes_every_uri():
    from airflow.providers.common.compat.sdk import Asset

    for service, config, _, uri in EXAMPLES.values():
        assert Asset(uri=table_in(service, config).uri()).name == uri


def test_names_are_quoted_as_cosmos_quotes_them():
    table = table_in("postgres_warehouse", SERVER, "web shop", "größen.de")
    assert table.uri() == "postgres://db.example.com:5432/analytics/web%20shop/gr%C3%B6%C3%9Fen/de"
    assert table.uri(dotted=True) == "postgres://db.example.com:5432/analytics.web%20shop.gr%C3%B6%C3%9Fen.de"


def test_an_unknown_destination_is_said_to_be_one():
    with pytest.raises(
        ValueError, match=r"type 'new_s3_datalake' have no URI here; those that have: .*snowflake"
    ):
        table_in("new_s3_datalake", {"bucket": "b"})


@pytest.mark.parametrize(
    ("service", "config", "missing"),
    [
        ("snowflake", {"host": "acme-prod.snowflakecomputing.com"}, "'database'"),
        ("postgres_warehouse", {"database": "d", "host": " "}, "'host'"),
        ("big_query", {}, "'project_id'"),
        ("motherduck", {"motherduck_auth_token": "s3cret"}, "'motherduck_database' or 'database'"),
    ],
)
def test_what_its_configuration_lacks_is_named_without_the_rest(service, config, missing):
    with pytest.raises(ValueError, match=f"destination d \\({service}\\) has no {missing}$") as caught:
        table_in(service, config)
    assert "s3cret" not in str(caught.value)


# --- which tables there are -------------------------------------------------------------------------------


def config_of(**schemas):
    return {"schema_change_handling": "ALLOW_ALL", "schemas": schemas}


def table(name, *, enabled=True):
    return {"name_in_destination": name, "enabled": enabled, "columns": {}}


SHOP = config_of(
    public={
        "name_in_destination": "shop_public",
        "enabled": True,
        "tables": {
            "Orders": table("orders"),
            "Stock": table("stock"),
            "Logs": table("logs", enabled=False),
        },
    },
    old={"name_in_destination": "shop_old", "enabled": False, "tables": {"Orders": table("orders")}},
    empty={"name_in_destination": "shop_empty", "enabled": True},
)


def filled(config, scope=None):
    """What a connection with such a schema configuration fills, of the destination's schema and table."""
    warehouse = Destination.with_config(
        {"id": "g", "service": "snowflake", "config": ACCOUNT | {"host": "acme-prod.snowflakecomputing.com"}}
    )
    fivetran = Fivetran(look=[connection(), warehouse], schemas=SchemaConfig.from_json(config))
    names = fivetran.drive(filled_tables("c", scope))
    return [name.uri(dotted=False).removeprefix("snowflake://acme-prod/ANALYTICS/") for name in names]


@pytest.mark.parametrize(
    ("scope", "tables"),
    [
        (None, ["shop_public/orders", "shop_public/stock"]),
        ({"public": ["Orders", "Logs"], "old": ["Orders"]}, ["shop_public/orders"]),
        ({"shop_public": ["orders"]}, []),
    ],
)
def test_tables_that_are_enabled_in_schemas_that_are_enabled_are_filled(scope, tables):
    assert filled(SHOP, scope) == tables


def test_a_configuration_shows_what_is_disabled_too():
    public, old, empty = SchemaConfig.from_json(SHOP).schemas
    assert [(t.source_name, t.name, t.enabled) for t in public.tables] == [
        ("Orders", "orders", True),
        ("Stock", "stock", True),
        ("Logs", "logs", False),
    ]
    assert (public.source_name, public.name, public.enabled) == ("public", "shop_public", True)
    assert (old.enabled, empty.enabled, empty.tables) == (False, True, ())


def test_a_configuration_without_schemas_has_no_tables():
    assert filled({"schema_change_handling": "ALLOW_ALL"}) == []
