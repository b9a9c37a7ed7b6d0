"""When Airflow 3.3 tries a task again: what each error decides, and that Airflow itself does as it is told."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import pickle
import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest

import airflow_home
from airflow_provider_fivetran import exceptions
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.exceptions import (
    FivetranRateLimited,
    FivetranServerError,
    FivetranSyncRescheduled,
    FivetranUnauthorized,
    FivetranUnreachable,
)
from airflow_provider_fivetran.simulator import Fault

VERSION = importlib.metadata.version("apache-airflow")
HAS_POLICIES = tuple(map(int, VERSION.split(".")[:2])) >= (3, 3)
needs_policies = pytest.mark.skipif(
    not HAS_POLICIES, reason=f"retry policies came with Airflow 3.3; this is {VERSION}"
)
if HAS_POLICIES:
    from airflow.sdk import RetryAction

    from airflow_provider_fivetran.retry_policy import FivetranRetryPolicy

MINUTE = timedelta(minutes=1)

FAIL = {
    "FivetranApiError",
    "FivetranConnectionBroken",
    "FivetranConnectionDeleted",
    "FivetranConnectionPaused",
    "FivetranForbidden",
    "FivetranArgumentMissing",
    "FivetranLookupError",
    "FivetranNeedsAttention",
    "FivetranNotAsDescribed",
    "FivetranNotFound",
    "FivetranRefused",
    "FivetranResyncRefused",
    "FivetranWrongDescription",
    "FivetranKeyNotUsable",
    "FivetranSchemaDrift",
    "FivetranSnapshotTooLarge",
    "FivetranSyncsNeedAttention",
    "FivetranTransformationDeleted",
    "FivetranTriggerUncertain",
    "FivetranUnauthorized",
}
RETRY = {"FivetranRateLimited", "FivetranServerError", "FivetranUnexpectedAnswer", "FivetranUnreachable"}


@pytest.mark.skipif(HAS_POLICIES, reason=f"Airflow {VERSION} has retry policies")
def test_an_older_airflow_is_told_what_it_needs():
    with pytest.raises(ImportError, match=rf"Airflow 3\.3 or newer; this is Airflow {re.escape(VERSION)}"):
        import airflow_provider_fivetran.retry_policy  # noqa: F401


def decide(error, attempt=1, **arguments):
    return FivetranRetryPolicy(**arguments).evaluate(error, attempt, 4, {})


@needs_policies
@pytest.mark.parametrize("name", exceptions.__all__)
def test_what_each_error_decides(name):
    decision = decide(getattr(exceptions, name)("it broke"))
    expected = "fail" if name in FAIL else "retry" if name in RETRY else "default"
    assert decision.action.value == expected
    assert (decision.retry_delay is not None) == (name in RETRY)
    assert (name in (decision.reason or "")) == (expected != "default")


def test_every_error_that_is_for_good_fails():
    assert {name for name in exceptions.__all__ if getattr(exceptions, name).permanent} == FAIL


@needs_policies
@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), RuntimeError()])
def test_what_is_not_ours_is_left_to_the_task(error):
    assert decide(error).action is RetryAction.DEFAULT


@needs_policies
def test_the_error_that_another_was_raised_from_decides():
    def raised_from(*errors):
        for outer, inner in itertools.pairwise(errors):
            outer.__cause__ = inner
        return errors[0]

    assert decide(raised_from(ValueError(), KeyError(), FivetranUnauthorized())).action is RetryAction.FAIL
    assert decide(raised_from(FivetranServerError(), FivetranUnauthorized())).action is RetryAction.RETRY
    circle = ValueError()
    assert decide(raised_from(circle, KeyError(), circle)).action is RetryAction.DEFAULT
    by_the_way = ValueError()
    by_the_way.__context__ = FivetranUnauthorized()
    assert decide(by_the_way).action is RetryAction.DEFAULT


@needs_policies
@pytest.mark.parametrize(
    ("asked", "delay"), [(None, 60), (0, 60), (5, 60), (90, 90), (3600, 3600), (1e9, 86400), (1e300, 86400)]
)
def test_the_delay_that_fivetran_asks_for_is_obeyed_within_bounds(asked, delay):
    error = FivetranRateLimited("slow down", retry_after=asked)
    assert decide(error).retry_delay.total_seconds() == delay


@needs_policies
@pytest.mark.parametrize(
    ("hours", "least", "most"),
    [(2, 7200, 7230), (-1, 60, 60), (0.01, 60, 66), (1000, 86400, 86400), (-(10**6), 60, 60)],
)
def test_a_put_off_is_tried_again_at_its_time_within_bounds(hours, least, most):
    error = FivetranSyncRescheduled("off", rescheduled_for=utcnow() + timedelta(hours=hours))
    assert least <= decide(error).retry_delay.total_seconds() <= most


@needs_policies
def test_a_put_off_without_a_time_is_left_to_the_task():
    assert decide(FivetranSyncRescheduled("off")).action is RetryAction.DEFAULT


@needs_policies
@pytest.mark.parametrize(
    "error", [FivetranServerError("503"), FivetranUnreachable("reset"), FivetranRateLimited()]
)
def test_delays_in_an_outage_grow_up_to_a_quarter_of_an_hour(error):
    minutes = [decide(error, attempt).retry_delay / MINUTE for attempt in (1, 2, 3, 4, 5, 6, 10**6)]
    assert minutes == [1, 2, 4, 8, 15, 15, 15]
    assert decide(error, 0).retry_delay == MINUTE


@needs_policies
def test_the_bounds_are_chosen():
    chosen = {"first_delay": timedelta(seconds=1), "longest_delay": timedelta(seconds=3)}
    for attempt, seconds in ((1, 1), (2, 2), (3, 3), (9, 3)):
        assert decide(FivetranServerError(), attempt, **chosen).retry_delay == timedelta(seconds=seconds)
    assert decide(FivetranRateLimited(retry_after=90), **chosen).retry_delay == timedelta(seconds=3)
    assert decide(FivetranServerError(), first_delay=timedelta(hours=1)).retry_delay == timedelta(hours=1)


@needs_policies
@pytest.mark.parametrize("name", ["first_delay", "longest_delay"])
@pytest.mark.parametrize("value", [timedelta(0), timedelta(seconds=-1), 60, None, "1"])
def test_a_delay_that_is_none_is_refused(name, value):
    with pytest.raises(
        ValueError, match=rf"{name} is {re.escape(repr(value))}; allowed is a timedelta above 0"
    ):
        FivetranRetryPolicy(**{name: value})


@needs_policies
def test_bounds_that_exclude_each_other_are_refused():
    with pytest.raises(ValueError, match="longer than longest_delay"):
        FivetranRetryPolicy(first_delay=timedelta(days=2))


@needs_policies
def test_it_survives_being_written_and_read():
    policy = FivetranRetryPolicy(first_delay=timedelta(seconds=1.5))
    written = json.loads(json.dumps(policy.serialize()))
    assert written["__type"] == "airflow_provider_fivetran.retry_policy.FivetranRetryPolicy"
    assert FivetranRetryPolicy.deserialize(written) == policy
    assert pickle.loads(pickle.dumps(policy)) == policy


# --- as Airflow does it ---------------------------------------------------------------------------------------

USES = """
from datetime import datetime, timedelta
from airflow.sdk import dag, task
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators import FivetranOperator
from airflow_provider_fivetran.retry_policy import FivetranRetryPolicy

POLICY = FivetranRetryPolicy(first_delay=timedelta(seconds=0.1))
# By itself each task would try again at once, or in an hour.
SOON = {"retries": 3, "retry_delay": timedelta(0), "retry_policy": POLICY}
LATE = {"retries": 3, "retry_delay": timedelta(hours=1), "retry_policy": POLICY}


@dag(start_date=datetime(2026, 1, 1), schedule=None)
def tries_again():
    FivetranOperator(task_id="sync", connector_id="c", **SOON)
    FivetranOperator.partial(task_id="syncs", **SOON).expand(connector_id=["c", "c"])

    @task(**SOON)
    def hopeless():
        FivetranHook("fivetran_default").get_fivetran_connection("not_there")

    @task(**LATE)
    def disturbed():
        FivetranHook("fivetran_default", fivetran_retry_limit=1).get_group("sim_group")

    hopeless()
    disturbed()


tries_again()
"""


@pytest.fixture
def parse(airflow_db):
    """Read the DAG file anew, as each process of Airflow does."""

    def read():
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(file)
        assert bag.import_errors == {}
        return bag.dags["tries_again"]

    file = airflow_home.DAGS_FOLDER / "tries_again.py"
    file.write_text(USES)
    yield read
    file.unlink()
    shutil.rmtree(airflow_home.DAGS_FOLDER / "__pycache__", ignore_errors=True)


@needs_policies
def test_a_dag_with_it_is_serialized_alike_each_time_and_read_back(parse):
    from airflow.serialization.serialized_objects import DagSerialization

    written, again = (json.dumps(DagSerialization.to_dict(parse()), sort_keys=True) for _ in range(2))
    assert written == again
    assert " at 0x" not in written
    tasks = DagSerialization.from_dict(json.loads(written)).task_dict
    assert {name: task.has_retry_policy for name, task in tasks.items()} == dict.fromkeys(tasks, True)


@needs_policies
@pytest.mark.newest
def test_airflow_obeys_it(parse, simulator, fivetran_conn):
    simulator.add_connection("c", paused=True)
    simulator.faults.add(Fault("status", "GET", "/v1/groups/", status=503, times=2))
    run = parse().test(logical_date=datetime.now(UTC))
    outcomes = {(ti.task_id, ti.map_index): (str(ti.state), ti.try_number) for ti in run.get_task_instances()}
    assert outcomes == {
        ("sync", -1): ("failed", 1),
        ("syncs", 0): ("failed", 1),
        ("syncs", 1): ("failed", 1),
        ("hopeless", -1): ("failed", 1),
        ("disturbed", -1): ("success", 3),
    }
    asked = [request.path for request in simulator.requests]
    assert asked.count("/v1/connections/not_there") == 1
    assert asked.count("/v1/groups/sim_group") == 3
