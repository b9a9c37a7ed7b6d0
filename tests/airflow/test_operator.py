"""What the operator promises apart from the sync itself: XComs, templates, checks, deadlines, and being a good Airflow task."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, TaskDeferred
from jinja2 import Environment

from airflow_provider_fivetran.core.ticket import Ticket
from airflow_provider_fivetran.exceptions import (
    FivetranArgumentMissing,
    FivetranLookupError,
    FivetranSyncTimeout,
)
from airflow_provider_fivetran.operators import FivetranOperator, FivetranResyncOperator
from airflow_provider_fivetran.sensors import FivetranSensor
from airflow_provider_fivetran.simulator import SyncPlan
from stories import CONNECTION, ID, SYNC, TaskInstance, all_events, execute

GOOD = SyncPlan(duration=0.2)
ENDLESS = SyncPlan(duration=3600)


def make(**arguments):
    return FivetranOperator(**{"task_id": "t", "connector_id": ID} | arguments)


def deferral(way, **arguments):
    """What an operator hands to Airflow when it defers, and its task instance."""
    ti = TaskInstance()
    with pytest.raises(TaskDeferred) as caught:
        execute(way.make(FivetranOperator, **arguments), {"ti": ti, "task_instance": ti})
    return caught.value, ti


class TestXComs:
    def test_the_link_is_there_while_the_sync_runs(self, deferrable):
        deferrable.add(ENDLESS)
        _, ti = deferral(deferrable)
        assert json.loads(ti.pushed["fivetran_link"]) == f"https://fivetran.com/dashboard/connections/{ID}"

    def test_the_link_is_where_each_airflow_looks_for_it(self):
        [link] = make().operator_extra_links
        assert link.xcom_key == "fivetran_link"

    @pytest.mark.parametrize("arguments", [{}, {"wait_for_completion": False}, {"fresh_within": 3600}])
    def test_the_return_value_is_a_time_as_text_in_every_mode(self, way, arguments):
        way.add(GOOD, succeeded_at=datetime.now(UTC) - timedelta(minutes=5))
        story = way.sync(**arguments)
        assert datetime.fromisoformat(story.value).utcoffset() == timedelta(0)
        assert story.record["connection_id"] == ID

    def test_a_failed_task_leaves_the_record_too(self, way):
        way.add(SyncPlan(duration=0.2, outcome="failure", reason="The source was locked"))
        story = way.sync()
        assert story.record["status"] == "failed"
        assert "The source was locked" in story.record["reason"]
        assert story.record["duration"] == pytest.approx(0.2, abs=0.01)


class TestTemplates:
    @pytest.mark.parametrize("kind", [FivetranOperator, FivetranSensor])
    def test_every_text_is_a_template(self, kind):
        texts = ("connector_name", "destination_name", "fivetran_conn_id")
        task = kind(task_id="t", **{name: f"{{{{ x }}}}-{name}" for name in texts})
        task.render_template_fields({"x": "rendered"}, Environment())
        for name in texts:
            assert getattr(task, name) == f"rendered-{name}"

    def test_the_id_and_the_name_of_the_run(self):
        task = make(connector_id="{{ x }}", run_name="{{ x }}")
        task.render_template_fields({"x": "rendered"}, Environment())
        assert (task.connector_id, task.run_name) == ("rendered", "rendered")

    @pytest.mark.parametrize("scope", ["{{ scope | tojson }}", {"shop": ["{{ table }}"]}])
    def test_the_scope_of_a_resync(self, blocking, scope):
        blocking.add(GOOD)
        task = blocking.make(FivetranResyncOperator, scope=scope)
        values = {"scope": {"shop": ["orders"]}, "table": "orders"}
        task.render_template_fields(values, Environment())
        ti = TaskInstance()
        execute(task, {"ti": ti, "task_instance": ti})
        assert blocking.sim.runs(ID)[0].tables == {"shop": ["orders"]}

    def test_a_template_in_a_key_of_the_scope_is_not_rendered_and_so_refused(self, blocking):
        # Airflow renders the values of a dictionary, not its keys.
        blocking.add(GOOD)
        task = blocking.make(FivetranResyncOperator, scope={"{{ schema }}": ["orders"]})
        task.render_template_fields({"schema": "shop"}, Environment())
        ti = TaskInstance()
        with pytest.raises(AirflowFailException, match=r"there is no schema '\{\{ schema \}\}'"):
            execute(task, {"ti": ti, "task_instance": ti})
        assert blocking.sim.runs(ID) == []


class TestChecks:
    @pytest.mark.parametrize(
        ("name", "allowed"),
        [
            ("when_running", "'attach', 'queue', 'restart', 'fail', 'skip'"),
            ("when_rescheduled", "'wait', 'fail'"),
            ("when_paused", "'fail', 'unpause', 'unpause_and_restore', 'skip'"),
            ("when_broken", "'try', 'test', 'fail'"),
            ("when_killed", "'leave', 'stop'"),
            ("schedule_type", "'manual', 'auto'"),
        ],
    )
    @pytest.mark.parametrize("kind", [FivetranOperator, FivetranResyncOperator])
    def test_a_wrong_policy_is_refused_with_what_is_allowed(self, kind, name, allowed):
        with pytest.raises(ValueError, match=f"{name} is 'perhaps'; allowed are {allowed}"):
            kind(task_id="t", connector_id=ID, **{name: "perhaps"})

    @pytest.mark.parametrize("kind", [FivetranOperator, FivetranSensor])
    @pytest.mark.parametrize(
        "names",
        [
            {},
            {"connector_name": "shop"},
            {"destination_name": "Warehouse"},
            {"connector_id": ID, "connector_name": "shop", "destination_name": "Warehouse"},
            {"connector_id": ID, "connector_name": "shop"},
        ],
    )
    def test_a_connection_is_named_in_one_way(self, kind, names):
        with pytest.raises(ValueError, match="give either connector_id, or both"):
            kind(task_id="t", **names)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"poll_frequency": 0},
            {"poll_frequency": "5"},
            {"timeout": -1},
            {"timeout": timedelta(0)},
            {"start_timeout": 0},
            {"fresh_within": float("nan")},
            {"reschedule_wait_time": -1},
            {"fivetran_retry_limit": 0},
            {"restore_schedule": True},
            {"restore_schedule": True, "schedule_type": "manual", "wait_for_completion": False},
            {"when_paused": "unpause_and_restore", "wait_for_completion": False},
        ],
        ids=str,
    )
    def test_what_makes_no_sense_is_refused_when_the_dag_is_parsed(self, wrong):
        with pytest.raises(ValueError, match="|".join(wrong)):
            make(**wrong)

    @pytest.mark.parametrize("scope", [{}, {"shop": []}, {"shop": "orders"}, ["orders"], "orders", "{}", 5])
    def test_a_wrong_scope_is_refused_when_the_dag_is_parsed(self, scope):
        with pytest.raises(ValueError, match="scope is"):
            FivetranResyncOperator(task_id="t", connector_id=ID, scope=scope)

    def test_positions_are_those_of_the_provider_people_come_from(self):
        names = ("connector_id", "connector_name", "destination_name", "run_name", "fivetran_conn_id")
        more = ("fivetran_retry_limit", "fivetran_retry_delay", "poll_frequency", "schedule_type")
        last = ("reschedule_wait_time", "deferrable", "wait_for_completion")
        positions = [
            parameter.name
            for parameter in inspect.signature(FivetranOperator.__init__).parameters.values()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        assert tuple(positions[1:]) == (*names, *more, *last)


class TestNames:
    def test_the_look_up_happens_when_the_task_runs_and_costs_two_requests(self, way):
        way.sim.add_group("other", "Elsewhere")
        way.add(GOOD, schema="shop")
        way.sim.add_connection("twin", group_id="other", schema="shop")
        way.make(FivetranOperator, connector_name="shop", destination_name="Warehouse")
        assert way.heard == []
        story = way.sync(connector_name="shop", destination_name="Warehouse").ended_well()
        groups, connections, *_ = story.requests
        assert (groups.path, connections.path) == ("/v1/groups", "/v1/connections")
        assert connections.query["schema"] == "shop"
        assert connections.query["group_id"] == "sim_group"
        assert len(story.sent("GET", r"/(groups|connections)$")) == 2

    def test_a_name_that_does_not_exist_fails_at_once(self, way):
        way.add(GOOD, schema="shop")
        story = way.sync(connector_name="shopp", destination_name="Warehouse")
        story.failed(FivetranLookupError, "did you mean 'shop'?")

    def test_attributes_never_touch_the_network(self, blocking):
        task = blocking.make(FivetranOperator, connector_name="shop", destination_name="Warehouse")
        assert task.connector_id is None
        assert getattr(FivetranOperator, "connector_id", None) is None
        sensor = blocking.make(FivetranSensor, connector_name="shop", destination_name="Warehouse")
        assert sensor.connector_id is None
        assert getattr(FivetranSensor, "connector_id", None) is None
        assert blocking.heard == []


class TestDeadlines:
    def test_deferrable_follows_the_configuration(self, monkeypatch):
        assert not make().deferrable
        monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
        assert make().deferrable
        assert not make(deferrable=False).deferrable

    def test_execution_timeout_bounds_the_deferred_wait(self, deferrable):
        deferrable.add(ENDLESS)
        deferrable.sync(execution_timeout=timedelta(seconds=1)).failed(
            FivetranSyncTimeout, status="timed_out"
        )

    def test_the_shorter_of_the_two_limits_holds(self, deferrable):
        deferrable.add(ENDLESS)
        left, _ = deferral(deferrable, execution_timeout=timedelta(hours=2), timeout=60)
        ticket = Ticket.from_json(left.trigger.ticket)
        assert ticket.deadline() - ticket.begun_at == timedelta(seconds=60)

    def test_a_long_execution_timeout_lengthens_no_wait(self, deferrable):
        deferrable.add(ENDLESS)
        left, _ = deferral(deferrable, execution_timeout=timedelta(days=3))
        ticket = Ticket.from_json(left.trigger.ticket)
        assert ticket.deadline() - ticket.begun_at == timedelta(days=1)

    def test_timeout_seconds_is_deprecated_and_works(self):
        with pytest.warns(DeprecationWarning, match="timeout_seconds is deprecated"):
            task = make(timeout_seconds=3600)
        assert task.execution_timeout == timedelta(hours=1)

    def test_airflows_own_limit_lies_beyond_the_deadline(self, deferrable):
        deferrable.add(ENDLESS)
        left, _ = deferral(deferrable, timeout=600)
        assert timedelta(minutes=10) < left.timeout <= timedelta(minutes=80)
        deferrable.sim.cancel(ID)
        left, _ = deferral(deferrable)
        assert left.timeout > timedelta(days=1)


class TestFailedDeferrals:
    @pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
    def test_what_was_changed_is_put_back(self, deferrable, error):
        deferrable.add(ENDLESS, paused=True, schedule_type="auto")
        policies = {"when_paused": "unpause_and_restore", "schedule_type": "manual", "restore_schedule": True}
        _, ti = deferral(deferrable, **policies)
        assert not deferrable.sim.account.connection(ID).paused
        task = deferrable.make(FivetranOperator, **policies)
        with pytest.raises(Exception, match=error) as caught:
            task.resume_execution("__fail__", {"error": error}, {"ti": ti, "task_instance": ti})
        assert type(caught.value).__name__ in {"TaskDeferralTimeout", "TaskDeferralError"}
        connection = deferrable.sim.account.connection(ID)
        assert connection.schedule_type == "auto"
        # Pausing would stop the sync, for which nothing is wrong but the wait.
        assert not connection.paused
        assert deferrable.sim.runs(ID)[0].status == "RUNNING"

    def test_nothing_is_put_back_when_nothing_was_changed(self, deferrable):
        deferrable.add(ENDLESS)
        _, ti = deferral(deferrable)
        before = len(deferrable.heard)
        with pytest.raises(Exception, match="Trigger timeout"):
            deferrable.make(FivetranOperator).resume_execution(
                "__fail__", {"error": "Trigger timeout"}, {"ti": ti, "task_instance": ti}
            )
        assert [request.method for request in deferrable.heard[before:]] == ["GET"]  # a last look

    def test_an_event_that_is_not_understood_is_an_error(self, deferrable):
        deferrable.add(ENDLESS, schedule_type="auto")
        _, ti = deferral(deferrable, schedule_type="manual", restore_schedule=True)
        task = deferrable.make(FivetranOperator)
        with pytest.raises(Exception, match="does not understand"):
            task.execute_complete({"ti": ti, "task_instance": ti}, event={"status": "success"})
        assert deferrable.sim.account.connection(ID).schedule_type == "auto"

    @pytest.mark.parametrize("way", ["the Airflow connection is gone", "Fivetran refuses"])
    def test_what_cannot_be_put_back_does_not_change_the_verdict(self, deferrable, way, monkeypatch):
        deferrable.add(SyncPlan(duration=0.2), schedule_type="auto")
        left, ti = deferral(deferrable, schedule_type="manual", restore_schedule=True)
        [event] = asyncio.run(all_events(left.trigger))
        if way == "Fivetran refuses":
            deferrable.sim.revoke("sim-key")
        else:
            monkeypatch.delenv(f"AIRFLOW_CONN_{deferrable.conn_id.upper()}")
        context = {"ti": ti, "task_instance": ti}
        assert isinstance(deferrable.make(FivetranOperator).execute_complete(context, event), str)


class TestKilled:
    def test_the_sync_is_left(self, blocking):
        blocking.add(ENDLESS, schedule_type="auto")
        with self._killed_while_waiting(blocking, schedule_type="manual", restore_schedule=True):
            assert blocking.sim.runs(ID)[0].status == "RUNNING"
            assert blocking.sim.account.connection(ID).schedule_type == "auto"

    def test_the_sync_is_stopped(self, blocking):
        blocking.add(ENDLESS)
        with self._killed_while_waiting(blocking, when_killed="stop"):
            assert blocking.sim.runs(ID)[0].status == "PAUSED"
            assert not blocking.sim.account.connection(ID).paused

    @staticmethod
    @contextmanager
    def _killed_while_waiting(way, **arguments):
        """Airflow calls ``on_kill`` in the worker's process while the task still waits there."""
        ti = TaskInstance()
        task = way.make(FivetranOperator, **arguments)
        waits = threading.Event()
        way.heard.at("POST", SYNC, lambda: way.heard.at("GET", CONNECTION, waits.set, nth=2))
        with ThreadPoolExecutor(1) as worker:
            running = worker.submit(execute, task, {"ti": ti, "task_instance": ti})
            assert waits.wait(20)
            task.on_kill()
            yield
            way.sim.cancel(ID)  # in Airflow the process would end here
            assert running.exception(timeout=30) is not None


class TestAsAnAirflowTask:
    @pytest.mark.parametrize(
        "again", [copy.deepcopy, lambda task: pickle.loads(pickle.dumps(task))], ids=["copy", "pickle"]
    )
    @pytest.mark.parametrize("kind", [FivetranOperator, FivetranSensor, FivetranResyncOperator])
    def test_it_can_be_copied(self, kind, again):
        confirmed = {"confirm": ID} if kind is FivetranResyncOperator else {}
        task = again(kind(task_id="t", connector_id=ID, fivetran_conn_id="elsewhere", **confirmed))
        assert (task.connector_id, task.fivetran_conn_id) == (ID, "elsewhere")

    def test_it_survives_the_serialization_of_its_dag(self):
        serialized = pytest.importorskip("airflow.serialization.serialized_objects")
        with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
            make(task_id="sync", timeout=timedelta(hours=2), when_running="queue", poll_frequency=0.5)
            FivetranSensor(task_id="sense", connector_id=ID, completed_after_time="{{ x }}")
            FivetranResyncOperator(task_id="resync", connector_id=ID, scope={"shop": ["orders"]})
        kind = getattr(serialized, "DagSerialization", None) or serialized.SerializedDAG
        data = json.loads(json.dumps(kind.to_dict(dag)))
        again = kind.from_dict(data)
        assert set(again.task_dict) == {"sync", "sense", "resync"}
        assert again.get_task("sync").connector_id == ID
        assert again.get_task("resync").scope == {"shop": ["orders"]}
        assert again.get_task("sense").completed_after_time == "{{ x }}"

    def test_it_can_be_mapped(self):
        with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
            mapped = FivetranOperator.partial(task_id="t", when_running="queue").expand(
                connector_id=["a", "b"]
            )
            sensors = FivetranSensor.partial(task_id="s").expand(connector_id=["a", "b"])
            resyncs = FivetranResyncOperator.partial(task_id="r", connector_id="a").expand(
                scope=[{"shop": ["orders"]}, {"shop": ["payments"]}]
            )
        task = mapped.unmap({"connector_id": "b"})
        assert (task.connector_id, task.when_running) == ("b", "queue")
        assert sensors.unmap({"connector_id": "a"}).connector_id == "a"
        assert resyncs.unmap({"scope": {"shop": ["payments"]}}).scope == {"shop": ["payments"]}

    def test_values_of_other_tasks_can_be_arguments(self):
        with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
            first = make(task_id="first", wait_for_completion=False)
            sensor = FivetranSensor(task_id="s", connector_id=ID, completed_after_time=first.output)
            resync = FivetranResyncOperator(task_id="r", connector_id=ID, scope=first.output)
            named = FivetranOperator(task_id="n", connector_id=first.output)
        assert sensor.upstream_task_ids == resync.upstream_task_ids == named.upstream_task_ids == {"first"}

    def test_default_args_reach_it(self):
        with DAG(
            "d",
            schedule=None,
            start_date=datetime(2026, 1, 1, tzinfo=UTC),
            default_args={"fivetran_conn_id": "other"},
        ):
            assert make().fivetran_conn_id == "other"


class TestWhatCannotWork:
    @pytest.mark.parametrize("name", ["", "  "])
    def test_an_empty_id_is_refused_when_the_dag_is_parsed(self, name):
        with pytest.raises(ValueError, match="connector_id is"):
            FivetranOperator(task_id="t", connector_id=name)

    @pytest.mark.parametrize("limit", ["3", None, 2.5, 0, True])
    def test_a_retry_limit_that_is_no_number_of_attempts_is_refused(self, limit):
        with pytest.raises(ValueError, match="fivetran_retry_limit is"):
            FivetranOperator(task_id="t", connector_id="c", fivetran_retry_limit=limit)

    @pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), "5"])
    def test_a_retry_delay_that_is_no_time_is_refused(self, delay):
        with pytest.raises(ValueError, match="fivetran_retry_delay is"):
            FivetranOperator(task_id="t", connector_id="c", fivetran_retry_delay=delay)

    def test_asking_a_thousand_times_a_second_is_refused(self):
        with pytest.raises(ValueError, match=r"poll_frequency is 0\.001"):
            FivetranOperator(task_id="t", connector_id="c", poll_frequency=0.001)

    def test_a_fresh_sync_does_not_replace_a_resync(self):
        with pytest.raises(ValueError, match="fresh_within is"):
            FivetranResyncOperator(task_id="t", connector_id="c", fresh_within=timedelta(hours=1))

    @pytest.mark.parametrize("rendered", ["None", ""])
    def test_a_template_that_found_nothing_is_told_so(self, blocking, rendered):
        task = blocking.make(FivetranOperator)
        task.connector_id = rendered
        ti = TaskInstance()
        with pytest.raises(AirflowFailException, match="did its template"):
            execute(task, {"ti": ti, "task_instance": ti})

    @pytest.mark.parametrize("name", ["connector_id", "connector_name", "fivetran_conn_id"])
    @pytest.mark.parametrize("found", [None, "", "None"])
    def test_whatever_a_template_finds_nothing_for_fails_at_once(self, blocking, name, found):
        given = {"connector_id": None, "connector_name": "shop", "destination_name": "Warehouse"}
        task = blocking.make(FivetranOperator, **given if name == "connector_name" else {})
        setattr(task, name, found)
        ti = TaskInstance()
        with pytest.raises(AirflowFailException, match=r"did (its|their) template") as failed:
            execute(task, {"ti": ti, "task_instance": ti})
        assert isinstance(failed.value.__cause__, FivetranArgumentMissing)
        assert blocking.heard == []

    def test_a_refused_key_is_told_by_the_name_of_its_airflow_connection(self, blocking):
        blocking.add()
        blocking.sim.revoke("sim-key")
        ti = TaskInstance()
        with pytest.raises(AirflowFailException, match=rf"key of Airflow connection '{blocking.conn_id}'"):
            execute(blocking.make(FivetranOperator), {"ti": ti, "task_instance": ti})

    @pytest.mark.parametrize("fallback", ["itself", "nowhere"])
    def test_a_fallback_that_is_none_ends_with_the_refusal(self, ways, monkeypatch, fallback):
        for way in ways:
            way.add(SyncPlan(duration=3600))
            name = f"AIRFLOW_CONN_{way.conn_id.upper()}"
            conn = json.loads(os.environ[name])
            extra = {"fallback_conn_id": way.conn_id if fallback == "itself" else "nowhere"}
            monkeypatch.setenv(name, json.dumps({**conn, "extra": extra}))
            way.heard.at("POST", SYNC, lambda way=way: way.sim.revoke("sim-key"))
            story = way.sync()
            assert type(story.cause).__name__ == "FivetranUnauthorized"
