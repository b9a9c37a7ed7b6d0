"""A sensor that begins in the triggerer: what Airflow is told of it, what cannot be, and that nothing else differs.

``test_sensor.py`` runs all that a sensor does in this way too.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_fivetran.core.events import BrokenOff, Succeeded, read_event
from airflow_provider_fivetran.exceptions import FivetranArgumentMissing, FivetranSyncFailed
from airflow_provider_fivetran.sensors import FivetranSensor
from airflow_provider_fivetran.simulator import SyncPlan
from airflow_provider_fivetran.without_worker import is_possible
from stories import CONNECTION, ID, Story, Supervisor, TaskInstance, all_events, as_scheduled, eventually

GOOD = SyncPlan(duration=0.3)
ENDLESS = SyncPlan(duration=3600)
LAST_NIGHT = "{{ data_interval_end | default(dag_run.run_after) }}"
newest = pytest.mark.skipif(not is_possible(), reason="this Airflow begins everything in a worker")


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def sensor(**arguments) -> FivetranSensor:
    given = {"task_id": "t", "connector_id": ID, "deferrable": True, "start_from_trigger": True}
    return FivetranSensor(**given | arguments)


@pytest.fixture
def another_task():
    with DAG("two_tasks", schedule=None):
        yield FivetranSensor(task_id="another", connector_id=ID)


class TestAsking:
    def test_it_is_not_done_unless_asked_for(self):
        task = FivetranSensor(task_id="t", connector_id=ID, deferrable=True)
        assert task.start_from_trigger is False
        assert task.start_trigger_args is None

    @pytest.mark.skipif(is_possible(), reason="this Airflow can")
    def test_where_airflow_cannot_the_sensor_begins_in_a_worker(self):
        assert sensor().start_from_trigger is False
        assert sensor().start_trigger_args is None

    @newest
    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"deferrable": False}, "deferrable is False"),
            (
                {"connector_id": None, "connector_name": "shop", "destination_name": "Warehouse"},
                "a worker looks connector_name and destination_name up; give connector_id",
            ),
            ({"connector_id": "{{ var.value.shop }}"}, "connector_id is a template with var, which only a"),
            ({"fivetran_conn_id": "{{ params.account }}"}, "fivetran_conn_id is a template with params"),
            ({"completed_after_time": "{{ ti.start_date }}"}, "completed_after_time is a template with ti"),
            ({"completed_after_time": "{{ ds | mine }}"}, "that the triggerer cannot read: No filter named"),
            (
                {"execution_timeout": timedelta(minutes=5)},
                "execution_timeout is 0:05:00, and Airflow counts it from the beginning",
            ),
            ({"completed_after_time": "{{ ds"}, "that the triggerer cannot read"),
            ({"completed_after_time": "{% include 'since' %}"}, "that needs another file"),
        ],
    )
    def test_what_cannot_be_is_an_error_that_names_the_argument_and_the_reason(self, arguments, text):
        with pytest.raises(ValueError, match="start_from_trigger is True, but ") as caught:
            sensor(**arguments)
        assert text in str(caught.value)
        task = sensor(**arguments, start_from_trigger=None)
        assert task.start_from_trigger is False
        assert task.start_trigger_args is None

    @newest
    def test_what_another_task_returns_is_known_to_a_worker_only(self, another_task):
        with pytest.raises(ValueError, match="completed_after_time is what another task returns"):
            sensor(completed_after_time=another_task.output)

    @newest
    def test_filters_of_the_dag_are_known_to_a_worker_only(self):
        with (
            DAG("mine", schedule=None, user_defined_filters={"ts": str}),
            pytest.raises(ValueError, match="the DAG has filters"),
        ):
            sensor(completed_after_time="{{ data_interval_end | ts }}")

    @pytest.mark.parametrize("value", ["True", 1])
    def test_it_is_true_or_false_or_none(self, value):
        with pytest.raises(ValueError, match=r"start_from_trigger is .*allowed are True and False and None"):
            sensor(start_from_trigger=value)

    @newest
    def test_what_is_set_after_the_task_was_made_counts(self, another_task):
        """By a policy of the cluster, say."""
        task = sensor(timeout=3600)
        task.timeout = 7200
        assert task.start_trigger_args.timeout > timedelta(hours=2)
        task.execution_timeout = timedelta(minutes=10)
        assert task.start_trigger_args is None
        task = sensor(task_id="other")
        task.completed_after_time = another_task.output
        assert task.start_trigger_args is None

    @newest
    def test_mapped_tasks_begin_in_a_worker(self):
        from airflow.serialization.serialized_objects import DagSerialization

        with DAG("mapped", schedule=None) as dag:
            FivetranSensor.partial(task_id="t", deferrable=True, start_from_trigger=True).expand(
                connector_id=["a", "b"]
            )
        mapped = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("t")
        assert mapped.start_trigger_args is None
        of_a_worker = dag.get_task("t").unmap({"connector_id": "{{ not.rendered }}"})
        assert of_a_worker.start_trigger_args is None


@newest
class TestWithoutAWorker:
    def test_it_ends_like_any_other_and_was_in_no_worker_before(self, ways, airflow_db):
        for way in ways:
            way.add(GOOD, succeeded_at=ago(hours=1))
            way.heard.at("GET", CONNECTION, lambda way=way: way.sim.start_sync(ID))
        story = ways[0].sense(deferrable=True, start_from_trigger=True).ended_well()
        assert story.deferrals == []
        assert len(story.events) == 1
        usual = ways[1].sense(deferrable=True).ended_well()
        assert story.gist() == usual.gist()

    def test_the_link_is_there_while_it_waits(self, deferrable, airflow_db):
        deferrable.add(ENDLESS)
        ti = TaskInstance()
        trigger = as_scheduled(
            deferrable.make(FivetranSensor, start_from_trigger=True).start_trigger_args, ti
        )

        async def wait_a_little():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(all_events(trigger), 1)

        with Supervisor(ti):
            asyncio.run(wait_a_little())
        assert ID in ti.pushed["fivetran_link"]

    def test_it_begins_when_it_is_scheduled_and_not_when_the_dag_is_parsed(self, deferrable, airflow_db):
        deferrable.add(GOOD, succeeded_at=ago(hours=1))
        task = deferrable.make(FivetranSensor, start_from_trigger=True, timeout=3)
        threading.Event().wait(0.05)
        deferrable.sim.start_sync(ID)
        eventually(lambda: deferrable.sim.runs(ID)[-1].ended_at)
        threading.Event().wait(1.1)  # Fivetran's clock has whole seconds
        trigger = as_scheduled(task.start_trigger_args, TaskInstance())
        [event] = asyncio.run(all_events(trigger))
        assert event["verdict"] == "TimedOut"

    def test_another_triggerer_takes_no_end_for_an_earlier_one_and_misses_none(self, deferrable, airflow_db):
        """A sync that ended while no triggerer was there is the awaited one."""
        deferrable.add(GOOD, succeeded_at=ago(hours=1))
        task = deferrable.make(FivetranSensor, start_from_trigger=True)
        began = datetime.now(UTC)
        deferrable.sim.start_sync(ID)
        eventually(lambda: deferrable.sim.runs(ID)[-1].ended_at)
        threading.Event().wait(1.1)
        trigger = as_scheduled(task.start_trigger_args, TaskInstance(), began)
        [event] = asyncio.run(all_events(trigger))
        assert isinstance(read_event(event), Succeeded)

    def test_the_deadline_counts_from_the_beginning_whoever_waits(self, deferrable, airflow_db):
        deferrable.add(ENDLESS)
        task = deferrable.make(FivetranSensor, start_from_trigger=True, timeout=3600)
        trigger = as_scheduled(task.start_trigger_args, TaskInstance(), ago(hours=1))
        [event] = asyncio.run(all_events(trigger))
        assert event["verdict"] == "TimedOut"

    def test_a_wrong_key_fails_at_once_where_it_begins_and_is_endured_later(self, deferrable, airflow_db):
        deferrable.add(ENDLESS)
        deferrable.sim.revoke("sim-key")
        task = deferrable.make(FivetranSensor, start_from_trigger=True, timeout=86400)
        for began, looks in ((ago(seconds=5), {1}), (ago(hours=1), range(2, 100))):
            before = len(deferrable.heard)
            trigger = as_scheduled(task.start_trigger_args, TaskInstance(), began)
            [event] = asyncio.run(all_events(trigger))
            assert isinstance(read_event(event), BrokenOff)
            assert len(deferrable.heard) - before in looks

    def test_an_airflow_that_does_not_tell_the_beginning_is_no_reason_to_guess(self, deferrable, airflow_db):
        deferrable.add(ENDLESS)
        task = deferrable.make(FivetranSensor, start_from_trigger=True)
        trigger = as_scheduled(task.start_trigger_args, TaskInstance())
        trigger.timeout_after = None
        [event] = asyncio.run(all_events(trigger))
        assert "does not tell when this sensor began" in event["message"]

    def test_results_of_earlier_tries_are_forgotten(self, deferrable, airflow_db):
        """Airflow does that where a worker begins a task; a task that fails now must not seem to have returned."""
        deferrable.add(SyncPlan(duration=0.3, outcome="failure"))
        ti = TaskInstance()
        ti.xcom_push("return_value", "of the first try")
        ti.xcom_push("somebody_elses", "kept")
        ti.try_number = 2
        deferrable.sim.start_sync(ID)
        with Supervisor(ti):
            story = deferrable.tell(
                Story(deferrable, ti), lambda: deferrable.make(FivetranSensor, start_from_trigger=True)
            )
        story.failed(FivetranSyncFailed, status="failed")
        assert "return_value" not in ti.pushed
        assert "somebody_elses" in ti.pushed


@newest
class TestTemplates:
    @pytest.fixture
    def rendered(self):
        """The trigger of a task, rendered by the triggerer as Airflow does that."""

        def render(task, **interval):
            from airflow.executors.workloads.task import TaskInstanceDTO
            from airflow.jobs.triggerer_job_runner import TriggerRunner
            from airflow.serialization.serialized_objects import DagSerialization

            with DAG("templates", schedule=None) as dag:
                dag.add_task(task)
            kinds = {"run_type": "scheduled", "state": "running", "consumed_asset_events": []}
            nothing = dict.fromkeys(
                ["end_date", "logical_date", "data_interval_start", "data_interval_end", "partition_key"]
            )
            now = ago(minutes=5)
            run = {"dag_id": "templates", "run_id": "a_run", "run_after": now, "start_date": now, **kinds}
            ids = {"id": uuid4(), "dag_version_id": uuid4(), "dag_id": "templates", "run_id": "a_run"}
            ti = TaskInstanceDTO(**ids, task_id="t", try_number=1, pool_slots=1, priority_weight=1)
            runtime_ti = TriggerRunner.create_runtime_ti(
                ti, DagSerialization.to_dict(dag), {**nothing, **run, **interval}
            )
            trigger = as_scheduled(task.start_trigger_args, runtime_ti)
            trigger.render_template_fields(runtime_ti.get_template_context())
            return trigger

        return render

    def test_dates_of_the_run_are_rendered_in_the_triggerer(self, rendered):
        end = ago(hours=2)
        dates = {"logical_date": end, "data_interval_start": ago(hours=26), "data_interval_end": end}
        trigger = rendered(
            sensor(completed_after_time=LAST_NIGHT, fivetran_conn_id="{{ run_id }}_{{ ds_nodash }}"), **dates
        )
        assert datetime.fromisoformat(trigger.completed_after_time) == end
        assert trigger.fivetran_conn_id == f"a_run_{end:%Y%m%d}"
        assert trigger.connector_id == ID

    def test_a_run_without_an_interval(self, rendered):
        trigger = rendered(sensor(completed_after_time=LAST_NIGHT))
        assert ago(minutes=6) < datetime.fromisoformat(trigger.completed_after_time) < ago(minutes=4)

    def test_an_id_that_is_empty_is_an_error(self, rendered, airflow_db):
        trigger = rendered(sensor(connector_id="{{ logical_date }}"))
        [event] = asyncio.run(all_events(trigger))
        outcome = read_event(event)
        assert isinstance(outcome, BrokenOff)
        assert isinstance(outcome.error, FivetranArgumentMissing)

    def test_a_time_that_is_empty_is_an_error_and_not_the_next_end(self, rendered, airflow_db):
        trigger = rendered(sensor(completed_after_time="{{ data_interval_end }}"))
        [event] = asyncio.run(all_events(trigger))
        assert "completed_after_time is '': did its template" in event["message"]

    def test_a_text_that_is_no_time_is_the_error_of_a_worker(self, deferrable, airflow_db):
        deferrable.add(GOOD)
        task = deferrable.make(FivetranSensor, start_from_trigger=True)
        task.completed_after_time = "None"  # rendered
        story = deferrable.tell(Story(deferrable), lambda: task)
        assert isinstance(story.error, ValueError)
        assert not isinstance(story.error, AirflowFailException)
        assert "completed_after_time is 'None'" in str(story.error)
