"""Every example imports without a request, has the shape it promises, and runs in full against the simulator."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

import airflow_home
from airflow_provider_fivetran.assets import connection_asset, failure_asset, sync_record_of
from airflow_provider_fivetran.core.verdicts import SyncRecord
from airflow_provider_fivetran.simulator import Simulator, SyncPlan
from stories import Eavesdropper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "example_dags"
FILES = sorted(EXAMPLES.glob("*.py"))
WITH_DBT = {path.stem for path in FILES if "import DbtTaskGroup" in path.read_text()}

SHAPES = {
    "fivetran_sync": {"sync_shop": {"report"}, "report": set()},
    "fivetran_sync_by_name": {"sync_shop": set()},
    "fivetran_wait_for_scheduled_sync": {"wait_for_crm": {"report"}, "report": set()},
    "fivetran_fire_and_forget": {
        "start_sync": {"something_else"},
        "something_else": {"wait_for_sync"},
        "wait_for_sync": set(),
    },
    "fivetran_failure_handling": {"sync_shop": set()},
    "fivetran_many_connections": {"connections_in_use": {"sync"}, "sync": {"report"}, "report": set()},
    "fivetran_connections_as_code": {
        "shop": set(),
        "crm": {"ask_somebody", "authorised", "load"},
        "ask_somebody": {"authorised"},
        "authorised": {"load"},
        "load": set(),
    },
    "fivetran_many_at_once": {
        "important.orders": {"the_rest"},
        "important.payments": {"the_rest"},
        "the_rest": {"report"},
        "report": set(),
    },
    "fivetran_freshness": {
        "sources_are_fresh": {"transform"},
        "transform": {"all_is_healthy"},
        "all_is_healthy": set(),
    },
    "fivetran_transformation": {
        "sync_shop": {"transform_shop"},
        "transform_shop": {"report"},
        "report": set(),
    },
    "fivetran_snapshot": {"snapshot": {"report"}, "report": set()},
    "fivetran_resync": {
        "tables_or_everything": {"resync_tables", "resync_everything"},
        "resync_tables": set(),
        "resync_everything": set(),
    },
    "fivetran_rotate_keys": {"rotate_keys": set()},
    "fivetran_schema": {
        "keep_as_described": {"sync_shop"},
        "sync_shop": {"has_it_drifted"},
        "has_it_drifted": set(),
    },
    "fivetran_land_two_sources": {"sync_web_shop": set(), "sync_card_payments": set()},
}
NEED_WATCHERS = {"fivetran_watched_then_dbt", "fivetran_incident"}
STAGING = {f"dbt.stg_{name}_run" for name in ("customers", "orders", "payments")}
MARTS = {"dbt.customer_orders_run", "dbt.daily_revenue_run"}
newest = pytest.mark.newest

# Whole runs go through Airflow, Cosmos and dbt, whose own warnings are not ours to mend.
pytestmark = [
    pytest.mark.timeout(200),  # a long one, so that this file is among the first to begin
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("error:::airflow_provider_fivetran"),
]

# Cosmos reads these once, when it is imported, which a plugin of Airflow may do in any test.
os.environ["AIRFLOW__COSMOS__CACHE_DIR"] = str(airflow_home.HOME / "cosmos")
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def _dag_bag(folder: Path) -> Any:
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    return DagBag(folder, **({"include_examples": False} if _airflow() < Version("3.3") else {}))


def _airflow() -> Version:
    import airflow

    return Version(airflow.__version__)


@pytest.fixture(scope="module", autouse=True)
def settled(tmp_path_factory: pytest.TempPathFactory, airflow_db: None) -> Iterator[None]:
    """Give dbt a place of its own."""
    scratch = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_LOG_PATH", str(scratch / "logs"))
        yield


@contextmanager
def _in_dags_folder(name: str) -> Iterator[Any]:
    """Put one example alone where Airflow looks for DAGs, since each run reads the whole folder again."""
    folder = airflow_home.DAGS_FOLDER
    file = folder / f"{name}.py"
    shutil.copy(EXAMPLES / file.name, file)
    if name in WITH_DBT:
        shutil.copytree(EXAMPLES / "dbt", folder / "dbt")
        (folder / ".airflowignore").write_text("dbt/\n")
    try:
        bag = _dag_bag(file)
        assert bag.import_errors == {}
        yield bag.dags[name]
    finally:
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Simulator]:
    """Hold the account that the examples speak of; its syncs take a second and land into a DuckDB file."""
    warehouse = tmp_path / "warehouse.duckdb"
    monkeypatch.setenv("SHOP_DUCKDB", str(warehouse))
    lands = importlib.util.find_spec("duckdb") is not None
    simulator = Simulator(duckdb=warehouse if lands else None)
    for connection, schema in (
        ("shop_orders", "shop"),
        ("web_shop", "web_shop"),
        ("card_payments", "card_payments"),
    ):
        simulator.add_connection(connection, schema=schema, default_plan=SyncPlan(duration=1))
    with simulator.serving(port=0) as url:
        conn = {"conn_type": "fivetran", "login": "sim-key", "password": "sim-secret", "host": url}
        monkeypatch.setenv("AIRFLOW_CONN_FIVETRAN_DEFAULT", json.dumps(conn))
        yield simulator


@pytest.fixture
def run(account: Simulator) -> Callable[..., Any]:
    def run_example(name: str, **params: Any) -> Any:
        with _in_dags_folder(name) as dag:
            for task in dag.tasks:
                task.retries = 0  # dag.test() would sit through the pause between two attempts
            return dag.test(logical_date=datetime.now(UTC), run_conf=params)

    return run_example


def _states(dag_run: Any) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances()}


def _record(dag_run: Any, task_id: str) -> dict[str, Any]:
    ti = dag_run.get_task_instance(task_id)
    return ti.xcom_pull(task_ids=task_id, key="fivetran_sync")


def _synced(simulator: Simulator) -> list[str]:
    return [run.connection_id for name in simulator.account.connections for run in simulator.runs(name)]


def _rows(query: str) -> list[tuple[Any, ...]]:
    """Ask a copy of the warehouse: dbt, run in this process, leaves the file itself open."""
    import duckdb

    file = Path(os.environ["SHOP_DUCKDB"])
    copy = file.with_name(f"copy-{time.monotonic_ns()}.duckdb")
    for ending in ("", ".wal"):
        if (part := Path(f"{file}{ending}")).exists():
            shutil.copy(part, f"{copy}{ending}")
    with duckdb.connect(str(copy)) as warehouse:
        return warehouse.execute(query).fetchall()


# -- what is written in the files --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_example_says_at_its_top_what_it_shows_and_names_its_dag_after_its_file(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert (ast.get_docstring(tree) or "").split("\n")[0].endswith(".")
    assert f'dag_id="{path.stem}"' in path.read_text()


def test_no_example_is_left_without_a_look() -> None:
    with_dbt = {"fivetran_then_dbt", "fivetran_two_syncs_then_dbt", "fivetran_assets_then_dbt"}
    assert {path.stem for path in FILES} == {*SHAPES, *with_dbt, *NEED_WATCHERS}


@newest
def test_an_incident_is_opened_for_what_went_wrong_and_not_for_what_was_put_off() -> None:
    with _in_dags_folder("fivetran_incident") as dag:
        assert {task.task_id: set(task.downstream_task_ids) for task in dag.tasks} == {
            "what_went_wrong": {"open_incident"},
            "open_incident": set(),
        }
        [asset] = dag.schedule
        assert asset.uri == failure_asset().uri
        records = [
            SyncRecord(connection_id="c", status=status, link="https://x").to_json()
            for status in ("failed", "rescheduled", "cancelled")
        ]
        events = {asset: [{"from_trigger": True, "payload": record} for record in records]}
        found = dag.get_task("what_went_wrong").python_callable(triggering_asset_events=events)
    assert [record["status"] for record in found] == ["failed", "cancelled"]


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_an_example_imports_and_has_its_shape(name: str) -> None:
    with _in_dags_folder(name) as dag:
        assert {task.task_id: set(task.downstream_task_ids) for task in dag.tasks} == SHAPES[name]
        assert "fivetran" in dag.tags


@newest
@pytest.mark.parametrize(
    ("name", "syncs"),
    [
        ("fivetran_then_dbt", {"sync_shop"}),
        ("fivetran_two_syncs_then_dbt", {"sync_orders", "sync_payments"}),
        ("fivetran_assets_then_dbt", {"say_what_has_landed"}),
        ("fivetran_watched_then_dbt", set()),
    ],
)
def test_every_model_waits_for_the_syncs_and_the_tests_wait_for_every_model(
    name: str, syncs: set[str]
) -> None:
    with _in_dags_folder(name) as dag:
        assert {task.task_id for task in dag.tasks} == {*syncs, *STAGING, *MARTS, "dbt.shop_test"}
        for task in STAGING:
            assert dag.get_task(task).upstream_task_ids == syncs
        assert dag.get_task("dbt.shop_test").upstream_task_ids == MARTS


def test_airflow_does_not_take_the_demo_or_the_dbt_project_for_dags(tmp_path: Path) -> None:
    from airflow.utils.file import list_py_file_paths

    found = {Path(path).name for path in list_py_file_paths(str(EXAMPLES), safe_mode=False)}
    assert found == {path.name for path in FILES}


def test_importing_the_examples_sends_nothing_and_loads_no_http_library() -> None:
    left_out = WITH_DBT if _airflow() >= Version("3") else WITH_DBT | NEED_WATCHERS
    names = [str(path) for path in FILES if path.stem not in left_out]
    program = (
        "import runpy, socket, sys\n"
        "def refuse(*args): raise AssertionError('a request while a DAG is imported')\n"
        "import airflow.providers.common.compat.sdk as sdk\n"
        "for name in ('DAG', 'BaseOperator', 'BaseSensorOperator', 'task'): getattr(sdk, name)\n"
        "before = set(sys.modules)\n"
        "socket.socket.connect = socket.socket.connect_ex = refuse\n"
        f"for name in {names!r}: runpy.run_path(name)\n"
        "print(sorted({'requests', 'aiohttp', 'fastapi'} & (set(sys.modules) - before)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


# -- what they do ------------------------------------------------------------------------------------------------


@newest
def test_a_plain_sync_runs_once_and_hands_on_when_it_ended(
    run: Callable[..., Any], account: Simulator
) -> None:
    dag_run = run("fivetran_sync")
    assert _states(dag_run) == {"sync_shop": "success", "report": "success"}
    [sync] = account.runs("shop_orders")
    record = _record(dag_run, "sync_shop")
    assert record["status"] == "succeeded"
    assert datetime.fromisoformat(record["ended_at"]) == sync.ended_at


@newest
def test_connections_are_made_as_described_and_one_is_loaded_when_somebody_has_authorised_it(
    run: Callable[..., Any], account: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"conn_type": "generic", "password": "needle-of-a-password"}
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", json.dumps(source))
    account.requests = heard = Eavesdropper()
    # Right after the card was made, before the sensor looks.
    heard.at("POST", "/connect-card$", lambda: account.authorize(_by_schema(account)["crm"].id))
    states = _states(run("fivetran_connections_as_code"))
    assert states == dict.fromkeys(SHAPES["fivetran_connections_as_code"], "success")
    made = _by_schema(account)
    assert (made["shop_db"].config["password"], made["shop_db"].paused) == ("needle-of-a-password", False)
    assert made["shop_db"].flexible_schedule["days_of_week"] == ["MONDAY", "THURSDAY"]
    assert (made["shop_db"].setup_state, made["crm"].setup_state) == ("connected", "connected")
    assert _synced(account) == [made["crm"].id]


def _by_schema(account: Simulator) -> dict[str, Any]:
    return {connection.schema: connection for connection in account.account.connections.values()}


@newest
def test_a_transformation_runs_after_the_sync_and_hands_on_when_it_ended(
    run: Callable[..., Any], account: Simulator
) -> None:
    account.add_transformation("shop_models", name="shop", duration=1)
    dag_run = run("fivetran_transformation")
    assert _states(dag_run) == {"sync_shop": "success", "transform_shop": "success", "report": "success"}
    [sync] = account.runs("shop_orders")
    [transformed] = account.account.transformation("shop_models").runs
    assert sync.ended_at <= transformed.started_at
    ti = dag_run.get_task_instance("transform_shop")
    record = ti.xcom_pull(task_ids="transform_shop", key="fivetran_transformation")
    assert (record["status"], record["name"]) == ("succeeded", "shop")
    assert datetime.fromisoformat(record["ended_at"]) == transformed.ended_at


@newest
def test_nothing_is_transformed_after_a_sync_that_failed(run: Callable[..., Any], account: Simulator) -> None:
    account.add_transformation("shop_models", name="shop", duration=1)
    account.set_plan("shop_orders", SyncPlan(duration=1, outcome="failure"))
    states = _states(run("fivetran_transformation"))
    assert states == {"sync_shop": "failed", "transform_shop": "upstream_failed", "report": "upstream_failed"}
    assert account.account.transformation("shop_models").runs == []


@newest
def test_a_connection_is_found_by_its_name(run: Callable[..., Any], account: Simulator) -> None:
    dag_run = run("fivetran_sync_by_name")
    assert str(dag_run.state) == "success"
    assert _synced(account) == ["shop_orders"]


@newest
def test_a_sync_that_fivetran_scheduled_is_waited_for_and_nothing_is_started(
    run: Callable[..., Any], account: Simulator
) -> None:
    account.add_connection("crm", schema="crm", every=2, default_plan=SyncPlan(duration=1))
    dag_run = run("fivetran_wait_for_scheduled_sync")
    assert str(dag_run.state) == "success"
    assert {sync.cause for sync in account.runs("crm")} == {"schedule"}
    assert {request.method for request in account.requests} == {"GET"}


@newest
def test_fire_and_forget_waits_for_the_sync_that_it_started(
    run: Callable[..., Any], account: Simulator
) -> None:
    dag_run = run("fivetran_fire_and_forget")
    assert str(dag_run.state) == "success"
    [sync] = account.runs("shop_orders")
    assert datetime.fromisoformat(_record(dag_run, "wait_for_sync")["ended_at"]) == sync.ended_at


@newest
def test_a_paused_connection_is_woken_for_one_sync_and_paused_again(
    run: Callable[..., Any], account: Simulator
) -> None:
    account.pause("shop_orders")
    dag_run = run("fivetran_failure_handling")
    assert str(dag_run.state) == "success"
    assert account.account.connection("shop_orders").paused


@newest
def test_a_failure_is_told_with_the_reason_that_fivetran_gave(
    run: Callable[..., Any], account: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    reason = "The shop's database has no room left"
    tasks = [{"code": "source_full", "message": reason, "details": None}]
    account.set_plan("shop_orders", SyncPlan(duration=1, outcome="failure", tasks=tasks, reason=reason))
    dag_run = run("fivetran_failure_handling")
    assert str(dag_run.state) == "failed"
    assert _record(dag_run, "sync_shop")["status"] == "failed"
    [told] = [record.getMessage() for record in caplog.records if "ended as failed" in record.getMessage()]
    assert reason in told
    assert "https://fivetran.com/dashboard/connections/shop_orders" in told


@newest
def test_each_connection_in_use_becomes_a_task(run: Callable[..., Any], account: Simulator) -> None:
    account.pause("card_payments")
    dag_run = run("fivetran_many_connections")
    assert str(dag_run.state) == "success"
    mapped = [ti for ti in dag_run.get_task_instances() if ti.task_id == "sync"]
    assert {ti.map_index for ti in mapped} == {0, 1}
    assert sorted(_synced(account)) == ["shop_orders", "web_shop"]


@newest
def test_many_connections_are_synced_by_one_task(run: Callable[..., Any], account: Simulator) -> None:
    for number in range(4):
        account.add_connection(f"more{number}", default_plan=SyncPlan(duration=1))
    account.pause("more3")
    dag_run = run("fivetran_many_at_once")
    assert str(dag_run.state) == "success"
    told = dag_run.get_task_instance("the_rest").xcom_pull(task_ids="the_rest", key="fivetran_syncs")
    assert {each["connection_id"]: each["status"] for each in told["connections"]} == {
        "web_shop": "succeeded",
        **{f"more{number}": "succeeded" for number in range(3)},
        "more3": "skipped",
    }
    assert sorted(_synced(account)) == [
        *("card_payments", "more0", "more1", "more2", "shop_orders", "web_shop"),
    ]


@newest
@pytest.mark.parametrize("late", ["healthy", "delayed"])
def test_freshness_lets_dbt_run_and_health_is_judged_by_itself(
    run: Callable[..., Any], account: Simulator, late: str
) -> None:
    account.pause("card_payments")
    for source in ("shop_orders", "web_shop"):
        account.start_sync(source)
    _wait_for_its_end(account)
    if late == "delayed":
        account.delay("web_shop")
    dag_run = run("fivetran_freshness")
    assert _states(dag_run) == {
        "sources_are_fresh": "success",
        "transform": "success",
        "all_is_healthy": "success" if late == "healthy" else "failed",
    }
    ti = dag_run.get_task_instance("all_is_healthy")
    report = ti.xcom_pull(task_ids="all_is_healthy", key="fivetran_freshness")
    states = {found["connection_id"]: found["state"] for found in report["connections"]}
    assert states == {
        "shop_orders": "fresh",
        "web_shop": "fresh" if late == "healthy" else "delayed",
        "card_payments": "paused",
    }
    assert {request.method for request in account.requests} == {"GET"}


@newest
def test_freshness_keeps_dbt_from_running_where_a_source_is_broken(
    run: Callable[..., Any], account: Simulator
) -> None:
    account.break_setup("web_shop")
    dag_run = run("fivetran_freshness")
    assert _states(dag_run) == {
        "sources_are_fresh": "failed",
        "transform": "upstream_failed",
        "all_is_healthy": "upstream_failed",
    }
    ti = dag_run.get_task_instance("sources_are_fresh")
    [worst, *_] = ti.xcom_pull(task_ids="sources_are_fresh", key="fivetran_freshness")["connections"]
    assert (worst["connection_id"], worst["state"], worst["is_failure"]) == ("web_shop", "broken", True)
    assert worst["link"] == "https://fivetran.com/dashboard/connections/web_shop"


@newest
def test_a_snapshot_is_written_and_what_failed_is_reported_from_it(
    run: Callable[..., Any], account: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_FIVETRAN_SNAPSHOTS", f"file://{tmp_path}/snapshots")
    account.set_plan("web_shop", SyncPlan(duration=0.01, outcome="failure"))
    for source in ("shop_orders", "web_shop"):
        account.start_sync(source)
    _wait_for_its_end(account)
    dag_run = run("fivetran_snapshot")
    assert _states(dag_run) == {"snapshot": "success", "report": "success"}
    ti = dag_run.get_task_instance("report")
    assert ti.xcom_pull(task_ids="report") == ["web_shop"]
    assert ti.xcom_pull(task_ids="snapshot")["rows"]["connections"] == 3
    assert len(list(tmp_path.glob("snapshots/*/_snapshot.json"))) == 1
    assert {request.method for request in account.requests} == {"GET"}


@newest
@pytest.mark.parametrize(
    ("params", "states", "loaded"),
    [
        ({}, ("success", "skipped"), [{"shop": ["orders"]}]),
        (
            {"tables": {"shop": ["payments", "orders"]}},
            ("success", "skipped"),
            [{"shop": ["payments", "orders"]}],
        ),
        ({"tables": {"shop": ["order"]}}, ("failed", "skipped"), []),
        ({"tables": {}}, ("failed", "skipped"), []),
        ({"everything": "shop_orders"}, ("skipped", "success"), [None]),
        ({"everything": "yes"}, ("skipped", "failed"), []),
    ],
    ids=str,
)
def test_a_resync_is_of_what_was_chosen_or_of_nothing(
    run: Callable[..., Any],
    account: Simulator,
    params: dict[str, Any],
    states: tuple[str, str],
    loaded: list[Any],
) -> None:
    became = _states(run("fivetran_resync", **params))
    assert (became["resync_tables"], became["resync_everything"]) == states
    assert [sync.tables for sync in account.runs("shop_orders")] == loaded
    assert {sync.cause for sync in account.runs("shop_orders")} <= {"resync"}


@newest
def test_a_schema_is_kept_as_described_and_the_next_run_tells_what_is_new_or_gone(
    run: Callable[..., Any], account: Simulator
) -> None:
    def drift() -> dict[str, Any]:
        last = run("fivetran_schema").get_task_instance("has_it_drifted")
        found = last.xcom_pull(task_ids="has_it_drifted", key="fivetran_schema_drift")
        return {"state": str(last.state), **found}

    first = drift()
    source = account.account.connection("shop_orders").source
    assert source.table("shop", "customers").columns["email"].hashed
    assert (first["state"], first["compared_with"]) == ("success", "nothing")
    tables = {"customers": ["id", "email", "updated_at", "phone"], "orders": ["id"], "refunds": ["id"]}
    account.set_source("shop_orders", {"shop": tables})
    second = drift()
    assert (second["state"], second["compared_with"]) == ("failed", "earlier")
    assert [one["text"] for one in second["failures"]] == [
        "there is no table 'payments' in 'shop' any more: it was deleted in the source"
    ]
    assert [one["text"] for one in second["reported"]] == [
        "the column 'phone' of 'customers' in 'shop' is new, and enabled",
        "the table 'refunds' in 'shop' is new, and not enabled",
    ]
    assert drift()["count"] == 0


@newest
def test_dbt_builds_on_what_the_sync_landed(run: Callable[..., Any], account: Simulator) -> None:
    dag_run = run("fivetran_then_dbt")
    assert set(_states(dag_run).values()) == {"success"}
    assert len(_synced(account)) == 1
    [(orders, revenue)] = _rows("select sum(orders), sum(revenue) from dbt_marts.daily_revenue")
    [(paid,)] = _rows("select sum(amount_cents) from shop.payments where not _fivetran_deleted")
    assert orders > 0
    assert revenue * 100 == paid


@newest
def test_no_model_is_built_when_the_sync_failed(run: Callable[..., Any], account: Simulator) -> None:
    account.set_plan("shop_orders", SyncPlan(duration=1, outcome="failure"))
    dag_run = run("fivetran_then_dbt")
    states = _states(dag_run)
    assert states.pop("sync_shop") == "failed"
    assert set(states.values()) == {"upstream_failed"}


@newest
def test_two_sources_meet_in_one_project(run: Callable[..., Any], account: Simulator) -> None:
    dag_run = run("fivetran_two_syncs_then_dbt")
    assert set(_states(dag_run).values()) == {"success"}
    assert sorted(_synced(account)) == ["card_payments", "web_shop"]
    [(customers,)] = _rows("select count(*) from dbt_marts.customer_orders")
    assert [(customers,)] == _rows("select count(*) from web_shop.customers where not _fivetran_deleted")


@newest
def test_what_two_syncs_landed_starts_the_dag_that_waits_for_both_and_has_the_names_that_dbt_reads(
    run: Callable[..., Any], account: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    syncs = run("fivetran_land_two_sources")
    told = _events_of(syncs)
    for source in ("web_shop", "card_payments"):
        [sync] = account.runs(source)
        of_sync = {name for name, record in told.items() if record.ended_at == sync.ended_at}
        assert of_sync == {f"fivetran://api.fivetran.com/{source}", *_names_in_the_warehouse(source)}

    with _in_dags_folder("fivetran_assets_then_dbt") as dag:
        assert dag.timetable.asset_condition == (
            connection_asset("web_shop") & connection_asset("card_payments")
        )
    caplog.clear()
    assert set(_states(run("fivetran_assets_then_dbt")).values()) == {"success"}
    read = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Inlets")]
    for source, table in (("web_shop", "customers"), ("web_shop", "orders"), ("card_payments", "payments")):
        [name] = [name for name in told if name.endswith(f"/{source}/{table}")]
        assert any(f"name='{name}'" in message for message in read)


def _events_of(dag_run: Any) -> dict[str, SyncRecord]:
    """What the tasks of a DAG run have told the assets, by their names."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session

    with create_session() as session:
        events = session.query(AssetEvent).filter(AssetEvent.source_run_id == dag_run.run_id).all()
        told = {event.asset.name: sync_record_of(event) for event in events}
        assert len(events) == len(told)
        return told


def _names_in_the_warehouse(schema: str) -> set[str]:
    file = Path(os.environ["SHOP_DUCKDB"])
    return {f"duckdb://{file}/{file.stem}/{schema}/{name}" for name in ("customers", "orders", "payments")}


@newest
@pytest.mark.parametrize("command", ["build", "source freshness"])
def test_dbt_has_nothing_to_warn_of(command: str, account: Simulator, tmp_path: Path) -> None:
    account.start_sync("shop_orders")
    _wait_for_its_end(account)
    project = [
        "--project-dir",
        str(EXAMPLES / "dbt" / "shop"),
        "--profiles-dir",
        str(EXAMPLES / "dbt" / "shop"),
    ]
    places = ["--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "logs")]
    dbt = str(Path(sys.executable).with_name("dbt"))
    done = subprocess.run(
        [dbt, "--warn-error", *command.split(), *project, *places],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _wait_for_its_end(account: Simulator) -> None:
    deadline = time.monotonic() + 20
    while any(sync.ended_at is None for name in ("shop_orders", "web_shop") for sync in account.runs(name)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
