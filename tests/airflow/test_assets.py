"""The assets that DAGs are scheduled on: how they are named, and what their events say."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_provider_fivetran.assets import (
    account_asset,
    connection_asset,
    create_asset,
    failure_asset,
    group_asset,
    sync_record_of,
    to_openlineage,
)
from airflow_provider_fivetran.core.verdicts import SyncRecord

HAS_WATCHERS = hasattr(Asset, "watchers")
RECORD = SyncRecord(
    connection_id="phonetics_scone",
    status="succeeded",
    link="https://fivetran.com/dashboard/connections/phonetics_scone",
    sync_id="s1",
    started_at=datetime(2026, 11, 1, 3, 0, tzinfo=UTC),
    ended_at=datetime(2026, 11, 1, 3, 7, tzinfo=UTC),
    volume_mb={"load": 12.5},
)


@pytest.mark.parametrize(
    ("asset", "uri"),
    [
        (lambda: connection_asset("a_b"), "fivetran://api.fivetran.com/a_b"),
        (lambda: connection_asset("a_b", host="127.0.0.1:8080"), "fivetran://127.0.0.1:8080/a_b"),
        (lambda: group_asset("g_h"), "fivetran://api.fivetran.com/groups/g_h"),
        (account_asset, "fivetran://api.fivetran.com/account"),
        (lambda: failure_asset("a_b"), "fivetran://api.fivetran.com/failures/a_b"),
        (lambda: failure_asset(group_id="g_h"), "fivetran://api.fivetran.com/failures/groups/g_h"),
        (lambda: failure_asset(host="localhost"), "fivetran://localhost/failures/account"),
        (lambda: create_asset(connector_id="a_b", extra={}), "fivetran://api.fivetran.com/a_b"),
    ],
)
def test_assets_are_named_by_their_uri(asset, uri):
    assert asset().uri == uri
    assert asset() == Asset(uri)


def test_assets_can_be_combined_in_a_schedule():
    orders, stock = connection_asset("a_b"), connection_asset("c_d")
    assert list((orders & stock).objects) == [orders, stock]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: connection_asset("{{ params.id }}"), "connector_id is '{{ params.id }}'"),
        (lambda: connection_asset(None), "connector_id is None"),
        (lambda: group_asset(None), "group_id is None"),
        (lambda: group_asset(""), "group_id is ''"),
        (lambda: account_asset(host="a b"), "host is 'a b'"),
        (lambda: failure_asset("a", group_id="g"), "not both"),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_it(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()


@pytest.mark.skipif(HAS_WATCHERS, reason="this Airflow has watchers; only Airflow 2 has none")
def test_a_watcher_in_airflow_2_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="Airflow 3 and newer only"):
        connection_asset("a_b", watchers=[object()])


@pytest.mark.skipif(not HAS_WATCHERS, reason="Airflow 2 has no watchers")
def test_watchers_are_handed_on():
    from airflow.providers.standard.triggers.file import FileDeleteTrigger
    from airflow.sdk import AssetWatcher

    watcher = AssetWatcher(name="w", trigger=FileDeleteTrigger(filepath="/nowhere"))
    assert connection_asset("a_b", watchers=[watcher]).watchers == [watcher]


# --- what Airflow asks by the provider's metadata ---------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("fivetran://API.Fivetran.com/a_b/", "fivetran://api.fivetran.com/a_b"),
        ("fivetran://api.fivetran.com:443/a_b", "fivetran://api.fivetran.com/a_b"),
        ("Fivetran://127.0.0.1:8080/groups/G", "fivetran://127.0.0.1:8080/groups/G"),
        ("fivetran://Something/else/of/a/user", "fivetran://Something/else/of/a/user"),
    ],
)
def test_airflow_spells_a_uri_of_ours_in_one_way(written, kept):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Asset(uri=written).uri == kept


def test_an_asset_is_a_dataset_of_openlineage():
    pytest.importorskip("openlineage.client")
    dataset = to_openlineage(connection_asset("a_b", host="127.0.0.1:8080"), None)
    assert (dataset.namespace, dataset.name) == ("fivetran://127.0.0.1:8080", "a_b")


# --- what an event says -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(RECORD.to_json(), id="the extra of a task's event"),
        pytest.param({"from_rest_api": True, **RECORD.to_json()}, id="what came by Airflow's API"),
        pytest.param(
            {"from_trigger": True, "payload": RECORD.to_json()}, id="the extra of a watcher's event"
        ),
        pytest.param(SimpleNamespace(extra=RECORD.to_json()), id="an event"),
        pytest.param(
            SimpleNamespace(extra={"from_trigger": True, "payload": RECORD.to_json()}),
            id="an event of a watcher",
        ),
    ],
)
def test_the_record_is_read_whoever_emitted_the_event(event):
    assert sync_record_of(event) == RECORD


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        "text",
        SimpleNamespace(extra=None),
        SimpleNamespace(extra={}),
        {"from_trigger": True, "payload": 3},
    ],
)
def test_an_event_without_a_record_says_so(event):
    with pytest.raises(ValueError, match="record of a sync"):
        sync_record_of(event)
