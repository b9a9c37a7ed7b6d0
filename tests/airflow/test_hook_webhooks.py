"""The hook's requests about webhooks, and that the secret is taken from the Airflow connection."""

from __future__ import annotations

import pytest

from airflow_provider_fivetran.exceptions import FivetranApiError, FivetranNotFound
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.simulator import Fault
from webhook_receiver import listening

ELSEWHERE = "https://elsewhere.example/hook"


@pytest.fixture
def receiver():
    with listening() as receiver:
        yield receiver


@pytest.fixture
def hook(blocking):
    blocking.declare(extra={"webhook_secret": "needle"})
    with FivetranHook(blocking.conn_id, fivetran_retry_delay=0.01) as hook:
        yield hook


def test_it_makes_reads_changes_tests_and_deletes(blocking, hook, receiver):
    made = hook.create_webhook(receiver.url, events=["sync_start"], group_id="sim_group")
    assert (made.group_id, made.events, made.is_active, made.is_signed) == (
        "sim_group",
        ("sync_start",),
        True,
        True,
    )
    assert hook.change_webhook(made.id, events=["sync_end"]).events == ("sync_end",)
    assert [webhook.id for webhook in hook.list_webhooks()] == [made.id]
    assert hook.get_webhook(made.id).events == ("sync_end",)
    assert hook.test_webhook(made.id).has_succeeded
    hook.delete_webhook(made.id)
    assert hook.list_webhooks() == ()
    with pytest.raises(FivetranNotFound):
        hook.get_webhook(made.id)


def test_lists_go_over_more_than_one_page(blocking, hook):
    made = hook.create_webhook(ELSEWHERE, events=["sync_end"], active=False)
    for number in range(1004):
        row = blocking.sim.webhooks.get(made.id)
        blocking.sim.webhooks.add(type(row)(**{**vars(row), "id": f"w{number}"}))
    assert len(hook.list_webhooks()) == 1005


def test_deleting_what_is_gone_is_no_error(blocking, hook):
    made = hook.create_webhook(ELSEWHERE, events=["sync_end"], active=False)
    blocking.sim.faults.add(Fault("lost", method="DELETE"))
    hook.delete_webhook(made.id)
    hook.delete_webhook(made.id)
    assert hook.list_webhooks() == ()


def test_making_one_is_not_repeated_where_it_may_have_been_made(blocking, hook):
    blocking.sim.faults.add(Fault("lost", method="POST"))
    with pytest.raises(Exception, match="gave no answer"):
        hook.create_webhook(ELSEWHERE, events=["sync_end"], active=False)
    assert len(hook.list_webhooks()) == 1


def test_a_receiver_that_refuses_is_named(hook, receiver):
    receiver.statuses = [403]
    with pytest.raises(FivetranApiError, match=r"400.*test payload.*403"):
        hook.create_webhook(receiver.url, events=["sync_end"])


def test_a_test_that_fails_is_a_result(hook, receiver):
    made = hook.create_webhook(receiver.url, events=["sync_end"])
    receiver.statuses = [500]
    assert not hook.test_webhook(made.id).has_succeeded


def test_only_what_is_no_secret_can_be_changed_by_argument(blocking, hook):
    with pytest.raises(ValueError, match="secret cannot be changed here; allowed are url, events and active"):
        hook.change_webhook("w", secret="s")
    assert blocking.heard == []


@pytest.mark.parametrize("extra", [{}, {"webhook_secret": ""}, {"webhook_secret": None}])
def test_without_a_secret_none_is_made(blocking, hook, extra):
    blocking.declare(extra=extra)
    with pytest.raises(ValueError, match="has no extra 'webhook_secret', the secret with which"):
        hook.create_webhook(ELSEWHERE, events=["sync_end"])
    assert {request.method for request in blocking.heard} <= {"GET"}


def test_a_secret_that_is_none_is_refused_without_showing_it(blocking, hook):
    blocking.declare(extra={"webhook_secret": ["needle"]})
    with pytest.raises(ValueError, match="'webhook_secret' is a list; allowed is a text") as refused:
        hook.create_webhook(ELSEWHERE, events=["sync_end"])
    assert "needle" not in str(refused.value)


def test_its_secret_is_changed_to_that_of_now_and_back(blocking, hook, receiver):
    made = hook.create_webhook(receiver.url, events=["sync_end"])
    assert receiver.arrivals[0].is_signed_with("needle")
    blocking.declare(extra={"webhook_secret": "new needle", "webhook_secret_previous": "needle"})
    for change, secret in (
        (hook.rotate_webhook_secret, "new needle"),
        (hook.restore_webhook_secret, "needle"),
    ):
        change(made.id)
        hook.test_webhook(made.id)
        assert receiver.arrivals[-1].is_signed_with(secret)
