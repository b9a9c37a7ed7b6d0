"""A task for each of many connections, in a task group: known when the DAG is parsed, or only when it runs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_fivetran.operators import FivetranOperator
from airflow_provider_fivetran.task_groups import sync_each


@pytest.fixture
def dag():
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        yield dag


def test_each_id_has_a_task(dag):
    group = sync_each(["iodized_turnip", "canned_peach"], deferrable=True, retries=2)
    assert set(dag.task_dict) == {"fivetran.iodized_turnip", "fivetran.canned_peach"}
    one = dag.task_dict["fivetran.canned_peach"]
    assert isinstance(one, FivetranOperator)
    assert (one.connector_id, one.deferrable, one.retries) == ("canned_peach", True, 2)
    assert group.group_id == "fivetran"


def test_names_may_be_given_to_the_tasks_and_the_group_is_waited_for_as_a_whole(dag):
    group = sync_each({"orders": "iodized_turnip", "crm": "canned_peach"}, group_id="sync")

    @task
    def transform(): ...

    after = transform()
    group >> after
    assert dag.task_dict["sync.orders"].connector_id == "iodized_turnip"
    assert dag.task_dict["transform"].upstream_task_ids == {"sync.orders", "sync.crm"}


def test_a_list_that_another_task_finds_makes_one_mapped_task(dag):
    @task
    def find(): ...

    sync_each(find(), group_id="sync", deferrable=True)
    assert set(dag.task_dict) == {"find", "sync.sync"}
    mapped = dag.task_dict["sync.sync"]
    assert type(mapped).__name__ == "MappedOperator"
    assert mapped.upstream_task_ids == {"find"}


@pytest.mark.parametrize(
    ("connections", "given", "text"),
    [
        (None, {}, "connections is None; allowed are ids, as a list"),
        (7, {}, "connections is 7; allowed are ids, as a list"),
        ([], {}, "connections is \\[\\]"),
        ({}, {}, "connections is \\[\\]"),
        ([""], {}, "one id in connections is ''"),
        ({"orders": None}, {}, "one id in connections is None"),
        ({"": "c"}, {}, "a name in connections is ''"),
        (["c"], {"group_id": ""}, "group_id is ''"),
        (
            ["c"],
            {"connector_id": "c"},
            "connector_id is given; allowed are the arguments of FivetranOperator",
        ),
        (["c"], {"task_id": "c", "connector_name": "d"}, "task_id and connector_name are given"),
        (["c"], {"group_id": "a" * 201}, "of which Airflow makes an id$"),
        (["c"], {"group_id": "my syncs"}, "group_id is 'my syncs'; allowed are up to 200 letters"),
        (["c"], {"group_id": "a.b"}, "group_id is 'a.b'"),
        (
            {"c": "c", "my orders": "d"},
            {},
            "a name in connections is 'my orders'; allowed are up to 241 letters",
        ),
        ({"c": "c", "d" * 242: "d"}, {}, "a name in connections is 'ddd"),
        (["c", "{{ var.value.d }}"], {}, "with a template; allowed is one for a connection that has a name"),
        ("{{ var.value.all }}", {}, "with a template; allowed is one for a connection that has a name"),
        (["c", "None"], {}, "'None' is no id"),
        (["c", "d", "c"], {}, "connections has 'c' twice"),
        ("c, d,c", {}, "connections has 'c' twice"),
        ({"x": "c", "y": "c"}, {}, "connections has 'c' twice, for the tasks 'x' and 'y'"),
        (["c"], {"when_running": "whenever"}, "when_running is 'whenever'; allowed are 'attach'"),
    ],
)
def test_what_cannot_be_meant_is_said_when_the_dag_is_parsed(dag, connections, given, text):
    with pytest.raises(ValueError, match=text):
        sync_each(connections, **given)
    assert "when_running" in given or (dag.task_dict, dag.task_group.children) == ({}, {})


def test_a_text_with_commas_is_a_list(dag):
    sync_each("iodized_turnip, canned_peach")
    assert set(dag.task_dict) == {"fivetran.iodized_turnip", "fivetran.canned_peach"}


def test_an_id_may_be_a_template_that_has_a_name(dag):
    sync_each({"orders": "{{ var.value.orders }}"})
    assert dag.task_dict["fivetran.orders"].connector_id == "{{ var.value.orders }}"
