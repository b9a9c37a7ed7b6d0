"""What the end of a sync does in Airflow's tables: one event, once, on what some DAG knows."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest

from airflow_provider_fivetran.core.claims import CLAIMS_KEPT, OLDEST_TOLD
from airflow_provider_fivetran.webhooks import airflow_tables as module
from airflow_provider_fivetran.webhooks.deliveries import read_delivery
from airflow_provider_fivetran.webhooks.keyring import Sender
from receiver_stage import asset, declare, events, remember, state
from webhook_bodies import SECRET, delivery

OURS = "airflow_provider_fivetran.triggers.FivetranSyncEndedTrigger"


def sender(account) -> Sender:
    return Sender(account.conn_id, account.host, (SECRET,))


def tell(tables, account, body=None, **changes):
    return tables.tell(read_delivery(body or delivery(**changes)), sender(account))


def test_a_success_is_told_to_its_connection_its_group_and_the_account(tables, account):
    told = [asset(account.uri(rest)) for rest in ("speak_menial", "groups/projected_sickle", "account")]
    others = [
        asset(account.uri(rest))
        for rest in (
            "other",
            "groups/other",
            "failures/speak_menial",
            "failures/groups/projected_sickle",
            "failures/account",
        )
    ]
    ended = read_delivery(delivery())
    outcome = tables.tell(ended, sender(account))
    assert (outcome.emitted, outcome.repeated, outcome.watched) == (3, 0, 0)
    assert [events(asset_id) for asset_id in told] == [[ended.record.to_json()]] * 3
    assert [events(asset_id) for asset_id in others] == [[]] * 5


@pytest.mark.parametrize("status", ["FAILURE_WITH_TASK", "RESCHEDULED", "CANCELED"])
def test_a_sync_that_did_not_end_well_is_told_as_a_failure(tables, account, status):
    told = [
        asset(account.uri(f"failures/{rest}"))
        for rest in ("speak_menial", "groups/projected_sickle", "account")
    ]
    good = asset(account.uri("speak_menial"))
    tell(tables, account, status=status)
    assert [len(events(asset_id)) for asset_id in told] == [1, 1, 1]
    assert events(good) == []


def test_what_another_account_has_is_left_alone(tables, account, monkeypatch):
    theirs = asset(declare(monkeypatch, webhook_secret=SECRET).uri("speak_menial"))
    assert tell(tables, account).emitted == 0
    assert events(theirs) == []


def test_an_asset_that_no_dag_knows_any_more_is_left_alone(tables, account):
    from airflow.models.asset import AssetActive
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    orphan = asset(account.uri("speak_menial"))
    with create_session() as session:
        session.execute(delete(AssetActive).where(AssetActive.uri == account.uri("speak_menial")))
    assert tell(tables, account).emitted == 0
    assert events(orphan) == []


def test_a_repeated_delivery_is_told_once(tables, account):
    asset_id = asset(account.uri("speak_menial"))
    body = delivery()
    assert [tell(tables, account, body).emitted for _ in range(3)] == [1, 0, 0]
    assert tell(tables, account, body).repeated == 1
    assert len(events(asset_id)) == 1


def test_syncs_that_are_told_late_and_out_of_order_are_told_once_each(tables, account):
    asset_id = asset(account.uri("speak_menial"))
    bodies = [delivery(sync_id=f"sync-{number}") for number in range(4)]
    for number in (2, 0, 3, 2, 1, 0, 3):
        tell(tables, account, bodies[number])
    assert [event["sync_id"] for event in events(asset_id)] == ["sync-2", "sync-0", "sync-3", "sync-1"]


def test_a_sync_that_is_put_off_and_then_fails_is_told_twice(tables, account):
    asset_id = asset(account.uri("failures/speak_menial"))
    for status in ("RESCHEDULED", "FAILED", "RESCHEDULED", "FAILED"):
        tell(tables, account, sync_id="s", status=status)
    assert [event["status"] for event in events(asset_id)] == ["rescheduled", "failed"]


def test_an_asset_with_a_watcher_of_ours_is_left_to_it(tables, account):
    watched = asset(account.uri("speak_menial"), watcher=OURS)
    plain = asset(account.uri("account"))
    outcome = tell(tables, account)
    assert (outcome.emitted, outcome.watched) == (1, 1)
    assert (len(events(watched)), len(events(plain))) == (0, 1)
    assert list(state(watched)) == ["fivetran_receiver"]


def test_what_a_watcher_has_told_before_it_was_stopped_is_not_told_again(tables, account):
    asset_id = asset(account.uri("speak_menial"))
    told = {"until": "2020-01-01T00:00:00+00:00", "told": {"speak_menial/s": "2020-01-02T00:00:00+00:00"}}
    remember(asset_id, "fivetran_seen", told)
    assert tell(tables, account, sync_id="s").repeated == 1
    assert tell(tables, account, sync_id="t").emitted == 1
    assert len(events(asset_id)) == 1


def test_a_watcher_is_known_by_the_path_that_airflow_keeps_of_its_trigger():
    from airflow_provider_fivetran.triggers import FivetranSyncEndedTrigger

    path, _ = FivetranSyncEndedTrigger("speak_menial").serialize()
    assert module.WATCHER == path == OURS


def test_a_watcher_of_somebody_else_changes_nothing(tables, account):
    asset_id = asset(account.uri("speak_menial"), watcher="somebody.else.Trigger")
    assert tell(tables, account).emitted == 1
    assert len(events(asset_id)) == 1


@pytest.mark.parametrize("senders", [2, 8])
def test_the_same_delivery_on_several_servers_at_once_is_told_once(tables, account, senders):
    from airflow_provider_fivetran.webhooks.airflow_tables import AirflowTables

    ids = [asset(account.uri(rest)) for rest in ("speak_menial", "groups/projected_sickle", "account")]
    for number in range(5):
        body = delivery(sync_id=f"sync-{number}")
        start, outcomes = threading.Barrier(senders), []

        def deliver(body=body, start=start, outcomes=outcomes):
            server = AirflowTables()
            start.wait()
            outcomes.append(tell(server, account, body))

        threads = [threading.Thread(target=deliver) for _ in range(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(outcome.emitted for outcome in outcomes) == 3
        assert sum(outcome.repeated for outcome in outcomes) == 3 * (senders - 1)
    assert [len(events(asset_id)) for asset_id in ids] == [5, 5, 5]


def test_different_syncs_at_once_are_all_told(tables, account):
    asset_id = asset(account.uri("account"))
    bodies = [delivery(connector_id=f"connection_{number}") for number in range(12)]
    threads = [threading.Thread(target=tell, args=(tables, account, body)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {event["connection_id"] for event in events(asset_id)} == {
        f"connection_{number}" for number in range(12)
    }


def test_an_event_that_fails_leaves_no_claim_behind_and_is_told_by_the_next_delivery(
    tables, account, monkeypatch
):
    from airflow.assets.manager import asset_manager

    first, second = (asset(account.uri(rest)) for rest in ("speak_menial", "account"))
    body = delivery()
    real = asset_manager.register_asset_change

    def fail_for_the_first(**arguments):
        event = real(**arguments)
        if arguments["asset"].uri.endswith("speak_menial"):
            raise RuntimeError("no serialized dag")
        return event

    with monkeypatch.context() as patch:
        patch.setattr(type(asset_manager), "register_asset_change", staticmethod(fail_for_the_first))
        with pytest.raises(RuntimeError, match="no serialized dag"):
            tell(tables, account, body)
    assert (len(events(first)), len(events(second))) == (0, 1)
    assert state(first) == {}

    outcome = tell(tables, account, body)
    assert (outcome.emitted, outcome.repeated) == (1, 1)
    assert (len(events(first)), len(events(second))) == (1, 1)


def test_claims_are_forgotten_after_their_time_and_nothing_else_is(tables, account):
    from airflow.models.asset_state_store import AssetStateStoreModel
    from airflow.utils.session import create_session
    from sqlalchemy import update

    from airflow_provider_fivetran.clock import utcnow

    asset_id = asset(account.uri("speak_menial"))
    tell(tables, account, sync_id="old")
    with create_session() as session:
        session.add(
            AssetStateStoreModel(asset_id=asset_id, key="fivetran_watermark", value="1", updated_at=utcnow())
        )
    with create_session() as session:
        long_ago = utcnow() - CLAIMS_KEPT - timedelta(minutes=1)
        session.execute(
            update(AssetStateStoreModel)
            .where(AssetStateStoreModel.asset_id == asset_id)
            .values(updated_at=long_ago)
        )
    tell(tables, account, sync_id="young")
    assert len(state(asset_id)) == 3, "pruned again within the hour"

    tell(module.AirflowTables(), account, sync_id="young")
    assert sorted(state(asset_id)) == ["fivetran_claim:speak_menial:young:ended", "fivetran_watermark"]


def test_claims_outlive_every_delivery_that_is_taken():
    assert CLAIMS_KEPT > OLDEST_TOLD > timedelta(days=1)


def test_a_dag_that_waits_for_the_asset_is_queued(tables, account):
    from airflow.models.asset import AssetDagRunQueue, DagScheduleAssetReference
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    asset_id = asset(account.uri("speak_menial"))
    with create_session() as session:
        session.add(DagBundleModel(name=account.conn_id))
        session.flush()
        session.add(
            DagModel(dag_id=account.conn_id, bundle_name=account.conn_id, is_paused=False, fileloc="x.py")
        )
        session.flush()
        session.add(DagScheduleAssetReference(asset_id=asset_id, dag_id=account.conn_id))
    tell(tables, account)
    with create_session() as session:
        assert session.scalars(
            select(AssetDagRunQueue.target_dag_id).where(AssetDagRunQueue.asset_id == asset_id)
        ).all() == [account.conn_id]


# --- Airflow connections ---------------------------------------------------------------------------------------


def test_a_connection_gives_its_host_and_its_secrets(tables, monkeypatch):
    account = declare(monkeypatch, webhook_secret="new", webhook_secret_previous="old")
    assert tables.sender(account.conn_id) == Sender(account.conn_id, account.host, ("new", "old"))


@pytest.mark.parametrize(
    "extra", [{}, {"webhook_secret": ""}, {"webhook_secret": None}, {"webhook_secret": 7}]
)
def test_a_connection_without_a_secret_is_nobody(tables, monkeypatch, extra):
    assert tables.sender(declare(monkeypatch, **extra).conn_id) is None


def test_a_connection_of_another_kind_is_nobody(tables, monkeypatch):
    other = json.dumps({"conn_type": "http", "extra": {"webhook_secret": SECRET}})
    monkeypatch.setenv("AIRFLOW_CONN_NOT_FIVETRAN", other)
    assert tables.sender("not_fivetran") is None


def test_a_connection_that_does_not_exist_is_nobody(tables):
    assert tables.sender("nobody_made_this") is None


def test_a_connection_that_is_there_but_cannot_be_read_is_not_called_unknown(tables):
    """Airflow says "not found" of it, as it does when its database is gone."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        broken = Connection(conn_id="broken_fivetran", conn_type="fivetran")
        broken._extra, broken.is_extra_encrypted = "encrypted with a key that is lost", True
        session.add(broken)
    try:
        with pytest.raises(RuntimeError, match="could not read"):
            tables.sender("broken_fivetran")
    finally:
        with create_session() as session:
            session.delete(session.query(Connection).filter_by(conn_id="broken_fivetran").one())


def test_connections_of_the_database_and_of_the_environment_are_declared(tables, account):
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(
            Connection(conn_id="stored_fivetran", conn_type="fivetran", extra={"webhook_secret": SECRET})
        )
        session.add(Connection(conn_id="stored_http", conn_type="http"))
    try:
        declared = tables.declared()
        assert {account.conn_id, "stored_fivetran"} <= declared.ids
        assert "stored_http" not in declared.ids
        assert not declared.elsewhere
        assert tables.sender("stored_fivetran") == Sender("stored_fivetran", "api.fivetran.com", (SECRET,))
    finally:
        with create_session() as session:
            for conn_id in ("stored_fivetran", "stored_http"):
                session.delete(session.query(Connection).filter_by(conn_id=conn_id).one())
