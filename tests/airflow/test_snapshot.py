"""A snapshot of a Fivetran on this machine: by the hook, by the operator, with narrow keys, and interrupted."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_fivetran.core.errors import (
    FivetranForbidden,
    FivetranSnapshotIncomplete,
    FivetranSnapshotTooLarge,
    FivetranUnauthorized,
)
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators import FivetranSnapshotOperator
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from stories import TaskInstance, execute

HISTORY = r"/sync-history$"
START = datetime(2026, 1, 1, tzinfo=UTC)
QUARTER_OF_A_DAY = 6 * 3600
TABLES = {"users", "groups", "destinations", "transformations", "connections", "syncs", "latest_status"}
# Runs the hook in a process of its own, which can be killed.
TAKE = """
import sys
from airflow_provider_fivetran.hooks import FivetranHook
with FivetranHook(sys.argv[1]) as hook:
    hook.take_snapshot(sys.argv[2], resume_key="task")
"""


def fill(way, count=5, **fields):
    """Connections with a week of history, four syncs a day, of which some failed."""
    for number in range(count):
        usual = {"past_every": QUARTER_OF_A_DAY, "past_failing": 7, "default_plan": SyncPlan(duration=90)}
        way.sim.add_connection(f"c{number:03}", **usual | fields)


def rows_in(folder, table):
    files = sorted(Path(folder, table).glob("part-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture
def hook(blocking):
    with FivetranHook(blocking.conn_id, fivetran_retry_delay=0.01) as hook:
        yield hook
    assert {request.method for request in blocking.heard} <= {"GET"}


def forbidden(*_args, **_more):
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "snapshot")


class TestHook:
    def test_all_tables_are_written_and_counted(self, blocking, hook, folder):
        fill(blocking)
        blocking.sim.add_transformation("t")
        summary = hook.take_snapshot(folder)
        assert set(summary["rows"]) == TABLES | {"not_seen"}
        assert summary["rows"] == {table: len(rows_in(folder, table)) for table in (*TABLES, "not_seen")}
        assert summary["rows"]["connections"] == summary["rows"]["latest_status"] == 5
        assert summary["rows"]["syncs"] >= 5 * 27
        assert summary["requests"] == blocking.sim.count() == 10
        assert json.loads(Path(folder, "_snapshot.json").read_text()).items() >= summary.items()
        began, ended = (datetime.fromisoformat(summary[name]) for name in ("begun_at", "ended_at"))
        assert timedelta(0) < ended - began < timedelta(seconds=60)

    def test_the_latest_status_is_that_of_the_latest_sync(self, blocking, hook, folder):
        fill(blocking, 1)
        blocking.sim.add_connection(
            "ours", default_plan=SyncPlan(duration=0, outcome="failure", reason="no host")
        )
        blocking.sim.start_sync("ours")
        hook.take_snapshot(folder)
        [run] = blocking.sim.runs("ours")
        rows = {row["connection_id"]: row for row in rows_in(folder, "latest_status")}
        assert (rows["ours"]["last_status"], rows["ours"]["last_reason"]) == ("failed", "no host")
        assert rows["ours"]["last_sync_id"] == run.sync_id
        assert datetime.fromisoformat(rows["ours"]["last_ended_at"]) == run.ended_at
        assert rows["ours"]["owner_email"] == "sim@example.com"
        assert rows["ours"]["destination"] == "Warehouse"
        assert rows["c000"]["last_seconds"] == rows["c000"]["mean_seconds"] == 90
        assert rows["c000"]["syncs"] in {27, 28}
        assert rows["c000"]["failed_syncs"] in {3, 4}

    def test_without_a_target_the_rows_are_returned(self, blocking, hook):
        fill(blocking, 2)
        taken = hook.take_snapshot(tables=["latest_status", "groups"])
        assert set(taken["tables"]) == {"groups", "latest_status"}
        assert taken["rows"] == {"groups": 1, "latest_status": 2, "not_seen": 0}
        assert json.loads(json.dumps(taken)) == taken
        assert "target" not in taken

    def test_without_a_target_a_table_without_rows_is_an_empty_list(self, hook):
        taken = hook.take_snapshot(tables=["latest_status", "syncs"])
        assert taken["tables"] == {"syncs": [], "latest_status": []}

    def test_without_a_target_it_is_refused_as_soon_as_it_is_too_large(self, blocking, hook):
        fill(blocking, 300)
        with pytest.raises(FivetranSnapshotTooLarge, match="give it a target such as 's3://bucket/folder'"):
            hook.take_snapshot()
        assert blocking.sim.count("GET", HISTORY) < 100
        taken = hook.take_snapshot(tables=["latest_status"], history_days=0)
        assert taken["rows"]["latest_status"] == 300
        assert taken["requests"] == 3

    def test_parquet_has_the_same_rows(self, blocking, hook, folder):
        parquet = pytest.importorskip("pyarrow.parquet")
        fill(blocking)
        hook.take_snapshot(f"{folder}/lines")
        hook.take_snapshot(f"{folder}/columns", file_format="parquet")
        for table, name in (("syncs", "sync_id"), ("connections", "id"), ("users", "email")):
            columns = parquet.read_table(f"{folder}/columns/{table}")
            assert columns[name].to_pylist() == [row[name] for row in rows_in(f"{folder}/lines", table)]

    @pytest.mark.parametrize("number", [2**63, 1e300, -(2**70)])
    def test_a_number_that_no_parquet_file_takes_hides_no_other_connection(
        self, blocking, hook, folder, number
    ):
        pytest.importorskip("pyarrow")
        fill(blocking, 3)
        blocking.sim.account.connections["c001"].sync_frequency = number
        summary = hook.take_snapshot(folder, file_format="parquet", tables=["connections", "latest_status"])
        assert summary["rows"] == {"connections": 2, "latest_status": 2, "not_seen": 1}

    def test_parquet_without_its_package_is_an_error_before_the_first_request(
        self, blocking, hook, folder, monkeypatch
    ):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ModuleNotFoundError, match=r"install 'airflow-provider-fivetran\[parquet\]'"):
            hook.take_snapshot(folder, file_format="parquet")
        assert blocking.sim.count() == 0

    def test_a_target_that_nothing_knows_is_an_error_before_the_first_request(self, blocking, hook):
        with pytest.raises(
            ValueError,
            match=r"'nowhere://bucket/folder' cannot be opened: .*the scheme 'nowhere' needs a provider",
        ):
            hook.take_snapshot("nowhere://bucket/folder")
        assert blocking.sim.count() == 0

    @pytest.mark.parametrize("wrong", [NotADirectoryError, PermissionError])
    def test_a_folder_that_cannot_be_written_is_an_error_before_the_first_request(
        self, blocking, hook, tmp_path, monkeypatch, wrong
    ):
        Path(tmp_path, "taken").write_text("by a file")
        target = str(tmp_path / "taken" / "snapshot")
        if wrong is PermissionError:  # root is forbidden nothing
            target = str(tmp_path / "folder")
            monkeypatch.setattr(LocalFileSystem, "makedirs", forbidden)
        with pytest.raises(ValueError, match=rf"target .*{target}' cannot be written: ") as caught:
            hook.take_snapshot(target)
        assert isinstance(caught.value.__cause__, wrong)
        assert blocking.sim.count() == 0

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"tables": ["users", "teams"]}, "a table is 'teams'; allowed are 'users', 'groups'"),
            ({"tables": []}, "tables is \\[\\]; allowed is None, for all, or a list of users, groups"),
            ({"tables": "users"}, "tables is 'users'; allowed is None"),
            ({"file_format": "csv"}, "file_format is 'csv'; allowed are 'jsonl', 'parquet'"),
            ({"history_days": 8}, "history_days is 8; allowed is a number of days from 0 to 7"),
            ({"history_days": True}, "history_days is True"),
            ({"history_days": "7"}, "history_days is '7'"),
            ({"max_requests": 9}, "max_requests is 9; allowed is a whole number of at least 10, or None"),
            ({"leave_requests": -1}, "leave_requests is -1; allowed is a whole number of at least 0"),
            ({"target": " "}, "target is ' '; allowed is a text that is not empty"),
            (
                {"target": "file://"},
                "target is 'file://', which names no folder; allowed is a text such as 's3",
            ),
            ({"target": "file:///"}, "target is 'file:///', which names no folder"),
            ({"target": "s3://"}, "target is 's3://', which names no folder"),
            ({"target": "gs:///."}, "target is 'gs:///.', which names no folder"),
            ({"target": "."}, "target is '.', which names no folder"),
            ({"target": "/"}, "target is '/', which names no folder"),
            ({"target": "s3://aws_default@"}, "names no folder"),
            (
                {"target": "file:"},
                "target is 'file:', which depends on where a worker runs; allowed is a text",
            ),
            ({"target": "file://tmp/x"}, "target is 'file://tmp/x', which depends on where a worker runs"),
            ({"target": "snapshots/x"}, "target is 'snapshots/x', which depends on where a worker runs"),
            ({"target_conn_id": "aws"}, "target_conn_id is 'aws' and target is None; give a target too"),
            ({"target": "s3://needle:needle@bucket/x"}, "target has a password in it; allowed is a URL"),
            (
                {"target": "s3://needle:needle@bucket/{{ ds }}"},
                "target has a password in it; allowed is a URL",
            ),
        ],
    )
    def test_a_wrong_argument_is_told_by_hook_and_operator(self, hook, arguments, text):
        with pytest.raises(ValueError, match=text) as told:
            hook.take_snapshot(**arguments)
        assert "needle" not in str(told.value)
        with pytest.raises(ValueError, match=text):
            FivetranSnapshotOperator(task_id="task", **arguments)

    @pytest.mark.parametrize(
        "target",
        [
            "s3://{{ params['bucket'] }}/x",
            "file://{{ var.value.root }}",
            "{{ d['a:b@/'] }}",
            "s3://{% if x %}a{% endif %}",
        ],
    )
    def test_a_template_in_the_target_is_not_judged_before_it_is_rendered(self, target):
        assert FivetranSnapshotOperator(task_id="task", target=target).target == target

    @pytest.mark.parametrize(
        "target", ["s3://aws_default@bucket/a@b:c", "s3://bucket", "/a@b/c", "file:///a@b"]
    )
    def test_a_usual_target_is_allowed(self, target):
        assert FivetranSnapshotOperator(task_id="task", target=target).target == target


class TestNarrowKeys:
    @pytest.fixture(autouse=True)
    def account(self, blocking):
        fill(blocking)
        blocking.sim.add_transformation("t")

    def narrow(self, way, **rights):
        way.sim.add_key("sim-key", "sim-secret", may_write=False, system=True, webhooks="none", **rights)

    def test_a_key_that_may_only_view_is_enough(self, blocking, hook, folder):
        self.narrow(blocking)
        rows = hook.take_snapshot(folder)["rows"]
        assert all(rows[table] for table in TABLES)
        assert rows["not_seen"] == 0

    @pytest.mark.parametrize("hidden", ["users", "groups", "destinations", "transformations"])
    def test_what_it_may_not_see_is_told_and_fails_nothing(self, blocking, hook, folder, hidden):
        self.narrow(blocking, hidden=[hidden])
        rows = hook.take_snapshot(folder)["rows"]
        assert [table for table in TABLES if not rows[table]] == [hidden]
        [row] = rows_in(folder, "not_seen")
        assert (row["table"], row["id"]) == (hidden, None)
        assert f"This key may not see {hidden}" in row["why"]

    def test_a_key_that_may_not_list_connections_gets_the_rest(self, blocking, hook, folder):
        self.narrow(blocking, may_list=False)
        rows = hook.take_snapshot(folder)["rows"]
        assert {table for table in TABLES if rows[table]} == {
            "users",
            "groups",
            "destinations",
            "transformations",
        }
        assert rows["not_seen"] == 1

    def test_a_key_that_may_not_read_the_history_gets_the_rest(self, blocking, hook, folder):
        self.narrow(blocking, may_read_history=False)
        rows = hook.take_snapshot(folder)["rows"]
        assert (rows["syncs"], rows["latest_status"], rows["not_seen"]) == (0, 5, 4)
        assert blocking.sim.count("GET", HISTORY) == 3

    def test_a_key_of_one_group_sees_that_group(self, blocking, hook, folder):
        blocking.sim.add_group("other")
        blocking.sim.add_connection("c_other", group_id="other")
        self.narrow(blocking, groups=["other"])
        hook.take_snapshot(folder)
        assert [row["id"] for row in rows_in(folder, "connections")] == ["c_other"]
        assert [row["id"] for row in rows_in(folder, "groups")] == ["other"]

    def test_a_key_that_may_see_nothing_is_an_error(self, blocking, hook, folder):
        self.narrow(blocking, may_list=False, hidden=["users", "groups", "destinations", "transformations"])
        with pytest.raises(FivetranForbidden):
            hook.take_snapshot(folder)
        assert not Path(folder, "_snapshot.json").exists()


class TestInterrupted:
    def test_a_process_that_is_killed_is_followed_by_one_that_completes_it(self, blocking, hook, folder):
        fill(blocking, 250)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(
            [sys.executable, "-c", TAKE, blocking.conn_id, folder], env=environment, stderr=subprocess.DEVNULL
        )
        blocking.heard.at("GET", HISTORY, lambda: process.send_signal(signal.SIGKILL), nth=150)
        assert process.wait(60) == -signal.SIGKILL
        assert not Path(folder, "_snapshot.json").exists()
        before = blocking.sim.count()
        summary = hook.take_snapshot(folder, resume_key="task")
        assert blocking.sim.count() - before == 150  # of 150 histories a hundred were committed
        assert summary["tries"] == 2
        ids = [f"c{number:03}" for number in range(250)]
        assert [row["id"] for row in rows_in(folder, "connections")] == ids
        assert [row["connection_id"] for row in rows_in(folder, "latest_status")] == ids
        syncs = [row["sync_id"] for row in rows_in(folder, "syncs")]
        assert len(syncs) == len(set(syncs)) == summary["rows"]["syncs"]
        assert {row["syncs"] for row in rows_in(folder, "latest_status")} <= {27, 28}

    def test_a_key_that_is_revoked_in_the_middle_costs_nothing_that_was_read(self, blocking, hook, folder):
        fill(blocking)
        blocking.heard.at("GET", HISTORY, lambda: blocking.sim.revoke("sim-key"), nth=3)
        with pytest.raises(FivetranUnauthorized):
            hook.take_snapshot(folder)
        blocking.sim.add_key("sim-key", "sim-secret")
        hook.take_snapshot(folder)
        answered = [request.path for request in blocking.heard if request.status == 200]
        assert sum(path.endswith("/sync-history") for path in answered) == 5

    @pytest.mark.parametrize("kind", ["status", "html", "lost", "garbage"])
    def test_a_history_that_is_never_given_is_told_and_the_others_are_there(
        self, blocking, hook, folder, kind
    ):
        fill(blocking)
        blocking.sim.faults.add(Fault(kind=kind, path="/c002/sync-history", times=None))
        summary = hook.take_snapshot(folder)
        assert [row["connection_id"] for row in rows_in(folder, "latest_status") if row["syncs"] is None] == [
            "c002"
        ]
        assert {row["connection_id"] for row in rows_in(folder, "syncs")} == {"c000", "c001", "c003", "c004"}
        [row] = rows_in(folder, "not_seen")
        assert (row["table"], row["id"]) == ("syncs", "c002")
        assert "/c002/sync-history" in row["why"]
        assert (summary["tries"], summary["requests"]) == (1, 5 + 5 + 2)

    def test_requests_that_go_wrong_are_repeated(self, blocking, hook, folder):
        fill(blocking)
        for kind in ("reset", "status", "html"):
            blocking.sim.faults.add(Fault(kind=kind, path=HISTORY, times=1))
        assert hook.take_snapshot(folder)["rows"]["latest_status"] == 5


class TestOperator:
    def operator(self, way, **arguments):
        return FivetranSnapshotOperator(
            task_id="task", fivetran_conn_id=way.conn_id, fivetran_retry_delay=0.01, **arguments
        )

    def test_the_return_value_is_a_summary(self, blocking, folder):
        fill(blocking)
        value = execute(self.operator(blocking, target=folder), {"ti": TaskInstance()})
        assert value["rows"]["latest_status"] == 5
        assert value["target"] == folder
        assert len(json.dumps(value)) < 1_000

    def test_a_retry_goes_on_and_a_new_run_begins_anew(self, blocking, folder):
        fill(blocking, 40)
        ti = TaskInstance()
        short = self.operator(blocking, target=folder, max_requests=20)
        for _ in range(2):
            with pytest.raises(FivetranSnapshotIncomplete, match="Another try goes on from there"):
                execute(short, {"ti": ti})
        value = execute(self.operator(blocking, target=folder), {"ti": ti})
        assert (value["tries"], value["rows"]["latest_status"]) == (3, 40)
        assert value["requests"] == blocking.sim.count() == 5 + 40

        with pytest.raises(FivetranSnapshotIncomplete):
            execute(short, {"ti": ti})
        value = execute(self.operator(blocking, target=folder), {"ti": TaskInstance()})
        assert value["tries"] == 1

    @pytest.mark.parametrize("rendered", ["", "None", None])
    def test_a_target_that_a_template_lost_is_an_error(self, blocking, rendered):
        task = self.operator(blocking, target="{{ params.nothing }}")
        task.target = rendered
        with pytest.raises((ValueError, AirflowFailException), match=f"target is {rendered!r}"):
            execute(task, {"ti": TaskInstance()})
        assert blocking.sim.count() == 0

    @pytest.mark.parametrize("rendered", ["file://", "s3://", "/"])
    def test_a_target_of_which_a_template_leaves_no_folder_is_an_error(self, blocking, rendered):
        task = self.operator(blocking, target="{{ params.nothing }}")
        task.target = rendered
        with pytest.raises(ValueError, match="names no folder"):
            execute(task, {"ti": TaskInstance()})
        assert blocking.sim.count() == 0

    @pytest.mark.parametrize("mapped", [None, "None"])
    def test_a_mapped_target_that_is_nothing_is_an_error(self, mapped):
        with DAG("d", schedule=None, start_date=START):
            tasks = FivetranSnapshotOperator.partial(task_id="t").expand(target=["s3://bucket/x", mapped])
        assert tasks.unmap({"target": "s3://bucket/x"}).target == "s3://bucket/x"
        with pytest.raises(ValueError, match=f"target is {mapped!r}: did its template, or the task"):
            tasks.unmap({"target": mapped})

    @pytest.mark.parametrize("rendered", [Path("/nowhere"), ["s3://bucket/folder"], {}])
    def test_a_target_that_is_no_text_is_an_error_before_the_first_request(self, blocking, rendered):
        task = self.operator(blocking, target="{{ params.target }}")
        task.target = rendered
        with pytest.raises(ValueError, match="allowed is a text"):
            execute(task, {"ti": TaskInstance()})
        assert blocking.sim.count() == 0

    def test_what_no_retry_mends_fails_at_once(self, blocking, folder, tmp_path, monkeypatch):
        fill(blocking, 300)
        with pytest.raises(AirflowFailException, match="FivetranSnapshotTooLarge"):
            execute(self.operator(blocking), {"ti": TaskInstance()})
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(AirflowFailException, match="needs pyarrow"):
            execute(self.operator(blocking, target=folder, file_format="parquet"), {"ti": TaskInstance()})
        (tmp_path / "taken").write_text("by a file")
        with pytest.raises(AirflowFailException, match="cannot be written"):
            execute(self.operator(blocking, target=f"{tmp_path}/taken/here"), {"ti": TaskInstance()})
        blocking.sim.revoke("sim-key")
        with pytest.raises(AirflowFailException, match="FivetranUnauthorized"):
            execute(self.operator(blocking, target=folder), {"ti": TaskInstance()})

    @pytest.mark.parametrize(
        ("scheme", "package"),
        [
            ("s3", "apache-airflow-providers-amazon[s3fs]"),
            ("gs", "apache-airflow-providers-google"),
            ("abfs", "apache-airflow-providers-microsoft-azure"),
        ],
    )
    def test_a_package_that_is_missing_for_the_target_is_named_at_once(self, blocking, scheme, package):
        task = self.operator(blocking, target=f"{scheme}://lake/fivetran")
        with pytest.raises(AirflowFailException) as caught:
            execute(task, {"ti": TaskInstance()})
        assert str(caught.value).endswith(f"the scheme {scheme!r} needs {package} on the workers")
        assert blocking.sim.count() == 0

    def test_no_secret_of_a_source_is_written(self, blocking, folder):
        fill(blocking, 1, config={"host": "needle-host", "password": "needle-password"})
        execute(self.operator(blocking, target=folder), {"ti": TaskInstance()})
        written = [file.read_text() for file in Path(folder).rglob("*") if file.is_file()]
        assert len(written) >= 6
        assert not [text for text in written if "needle" in text or "sim-secret" in text]
