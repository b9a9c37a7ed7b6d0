"""Landing: what a sync writes into DuckDB, when its success shows, and what happens when the file is taken."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from airflow_provider_fivetran.simulator import Simulator, SyncPlan
from airflow_provider_fivetran.simulator.landing import Landing

duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "warehouse.duckdb"


def ask(path, query):
    with contextlib.closing(duckdb.connect(str(path), read_only=True)) as connection:
        return connection.execute(query).fetchall()


def totals(path, schema="shop"):
    return tuple(
        ask(path, f"SELECT count(*) FROM {schema}.{table}")[0][0]
        for table in ("customers", "orders", "payments")
    )


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_a_small_shop_grows_with_every_sync_and_stays_whole(path):
    landing = Landing(path)
    assert landing.land("shop", NOW) is None
    first = totals(path)
    assert all(count >= 500 for count in first)
    assert landing.land("shop", NOW) is None
    second = totals(path)
    assert all(after > before for before, after in zip(first, second, strict=True))
    orphans = """
        SELECT (SELECT count(*) FROM shop.orders WHERE customer_id NOT IN (SELECT id FROM shop.customers)),
               (SELECT count(*) FROM shop.payments WHERE order_id NOT IN (SELECT id FROM shop.orders)),
               (SELECT count(*) FROM shop.orders WHERE id NOT IN (SELECT order_id FROM shop.payments))
    """
    assert ask(path, orphans) == [(0, 0, 0)]


def test_columns_have_sensible_types_and_fivetrans_own(path):
    Landing(path).land("shop", NOW)
    columns = dict(
        ask(
            path,
            "SELECT table_name || '.' || column_name, data_type FROM information_schema.columns",
        )
    )
    assert columns["payments.amount_cents"] == "BIGINT"
    for table in ("customers", "orders", "payments"):
        assert columns[f"{table}._fivetran_deleted"] == "BOOLEAN"
        assert columns[f"{table}._fivetran_synced"] == "TIMESTAMP WITH TIME ZONE"
    assert {row[0] for row in ask(path, "SELECT DISTINCT status FROM shop.orders")} == {
        "placed",
        "shipped",
        "completed",
        "return_pending",
        "returned",
    }
    assert ask(path, "SELECT min(amount_cents) > 0 FROM shop.payments") == [(True,)]


def test_a_later_sync_moves_orders_along_and_marks_deleted_ones(path):
    landing = Landing(path)
    landing.land("shop", NOW)
    placed = [row[0] for row in ask(path, "SELECT id FROM shop.orders WHERE status = 'placed'")]
    landing.land("shop", NOW.replace(hour=13))
    moved = ask(path, f"SELECT DISTINCT status FROM shop.orders WHERE id IN ({', '.join(map(str, placed))})")
    assert moved == [("shipped",)]
    assert ask(path, "SELECT count(*) FROM shop.orders WHERE _fivetran_deleted") == [(1,)]
    assert ask(path, "SELECT count(DISTINCT _fivetran_synced) FROM shop.orders") == [(2,)]


def test_the_same_seed_lands_the_same_rows(tmp_path):
    def landed(name, seed):
        path = tmp_path / name
        Landing(path, seed).land("shop", NOW)
        return ask(path, "SELECT sum(hash(p)) FROM shop.payments p")

    assert landed("a", 1) == landed("b", 1) != landed("c", 2)


def test_a_schema_may_have_any_name(path):
    assert Landing(path).land('odd "name; --', NOW) is None
    assert ask(path, 'SELECT count(*) > 0 FROM "odd ""name; --".orders') == [(True,)]


def test_a_schema_may_be_named_like_the_file(tmp_path):
    path = tmp_path / "shop.duckdb"
    assert Landing(path).land("shop", NOW) is None
    assert ask(path, "SELECT count(*) > 0 FROM shop.shop.orders") == [(True,)]


def test_rows_are_there_and_the_file_is_free_once_success_shows(path):
    simulator = Simulator(speed=0, duckdb=path)
    simulator.add_connection("c", schema="shop", default_plan=SyncPlan(duration=5))
    simulator.start_sync("c")
    simulator.clock.advance(5)
    assert simulator.account.connection("c").sync_state == "syncing"
    simulator.tick()
    assert simulator.account.connection("c").succeeded_at is not None
    assert all(totals(path))


def test_a_served_simulator_lands_without_being_asked(path):
    simulator = Simulator(duckdb=path)
    simulator.add_connection("c", schema="shop", default_plan=SyncPlan(duration=0.05))
    with simulator.serving():
        simulator.start_sync("c")
        wait_until(lambda: simulator.account.connections["c"].succeeded_at is not None)
        assert all(totals(path))


def test_a_sync_that_does_not_end_well_lands_nothing(path):
    simulator = Simulator(speed=0, duckdb=path)
    simulator.add_connection("c", default_plan=SyncPlan(duration=1, outcome="failure"))
    simulator.start_sync("c")
    simulator.clock.advance(1)
    simulator.tick()
    assert simulator.account.connection("c").failed_at is not None
    assert not path.exists()


def test_a_sync_stopped_while_its_rows_are_written_stays_stopped(path):
    simulator = Simulator(speed=0, duckdb=path)
    simulator.add_connection("c", default_plan=SyncPlan(duration=1))
    simulator.start_sync("c")
    simulator.clock.advance(1)
    [(connection, run)] = simulator.account.ready_to_land()
    simulator.cancel("c")
    simulator.account.landed(connection, run, None)
    assert (run.status, connection.succeeded_at) == ("CANCELED", None)


def test_a_file_that_stays_locked_fails_the_sync_with_a_task(path):
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        error = Landing(path, patience=0.2).land("shop", NOW)
        holder.stdin.close()
    assert error.startswith("Could not write to the destination warehouse.duckdb")
    assert Landing(path).land("shop", NOW) is None

    simulator = Simulator(speed=0, duckdb=path)
    simulator.add_connection("c", default_plan=SyncPlan(duration=1))
    simulator.start_sync("c")
    simulator.clock.advance(1)
    [(connection, run)] = simulator.account.ready_to_land()
    simulator.account.landed(connection, run, error)
    assert (run.status, run.reason, connection.tasks[0]["message"]) == ("FAILURE", error, error)
    assert connection.failed_at is not None
