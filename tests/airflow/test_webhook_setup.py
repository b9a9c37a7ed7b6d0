"""Webhooks from Airflow's side: the hook's requests, the one webhook of this Airflow, operator and command line."""

from __future__ import annotations

import importlib
import json
import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_fivetran import webhook_setup
from airflow_provider_fivetran.exceptions import (
    FivetranForbidden,
    FivetranLookupError,
    FivetranWebhookTestFailed,
)
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators import FivetranWebhookOperator
from airflow_provider_fivetran.simulator import Simulator, SyncPlan
from airflow_provider_fivetran.webhook_setup import WebhookSetup, receiver_url
from stories import ID, IS_AIRFLOW_2, eventually
from webhook_receiver import listening

OLD, NEW = "needle-of-the-old-secret", "needle-of-the-new-secret"
ELSEWHERE = "https://elsewhere.example/hook?token=needle-of-a-token"
AIRFLOW = tuple(map(int, __import__("airflow").__version__.split(".")[:2]))
has_receiver = pytest.mark.skipif(AIRFLOW < (3, 3), reason="the receiver needs Airflow 3.3")
has_commands = pytest.mark.skipif(AIRFLOW < (3, 2), reason="providers have commands from Airflow 3.2 on")


@pytest.fixture
def receiver():
    with listening() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def secret(blocking):
    blocking.declare(extra={"webhook_secret": OLD})


@pytest.fixture
def hook(blocking):
    with FivetranHook(blocking.conn_id, fivetran_retry_delay=0.01) as hook:
        yield hook


@pytest.fixture
def setup(hook, receiver):
    return WebhookSetup(hook, url=receiver.url, sleep=lambda _: None)


@pytest.fixture
def said(caplog, capsys):
    """What was logged, wherever this Airflow's logs go."""
    caplog.set_level(logging.INFO)
    return lambda: caplog.text + "".join(capsys.readouterr())


def changes(way):
    """What was asked for, without looks."""
    return [(request.method, request.path) for request in way.heard if request.method != "GET"]


class TestAddress:
    @has_receiver
    @pytest.mark.parametrize("base_url", ["https://airflow.example", "https://airflow.example/"])
    def test_it_is_that_of_this_airflow(self, monkeypatch, base_url):
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
        assert (
            receiver_url("fivetran_default") == "https://airflow.example/fivetran/webhooks/fivetran_default"
        )
        assert receiver_url("a/b c").endswith("/a%2Fb%20c")

    @has_receiver
    def test_the_receiver_is_there(self, monkeypatch):
        from airflow_provider_fivetran.plugin import URL_PREFIX
        from airflow_provider_fivetran.webhooks.application import PATH

        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")
        assert receiver_url("c") == "https://airflow.example" + URL_PREFIX + PATH.partition("{")[0] + "c"

    @has_receiver
    def test_an_airflow_that_does_not_say_where_it_is_needs_to_be_told(self, monkeypatch, hook):
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")
        with pytest.raises(ValueError, match=r"url is not given, and the setting base_url"):
            WebhookSetup(hook)

    @pytest.mark.skipif(AIRFLOW >= (3, 3), reason="has a receiver")
    def test_an_airflow_without_a_receiver_says_so(self, hook):
        with pytest.raises(ValueError, match=r"has no receiver of webhooks, which needs 3\.3"):
            WebhookSetup(hook)

    @pytest.mark.parametrize("url", ["http://localhost:8080/x", "ftp://x.example", "airflow.example", "/x"])
    def test_fivetran_delivers_to_https_only(self, blocking, url):
        blocking.declare(host="https://127.0.0.1:1")
        with FivetranHook(blocking.conn_id) as hook, pytest.raises(ValueError, match="https addresses only"):
            WebhookSetup(hook, url=url)

    def test_a_simulator_delivers_to_this_machine(self, hook):
        assert WebhookSetup(hook, url="http://127.0.0.1:1/x").url == "http://127.0.0.1:1/x"
        with pytest.raises(ValueError, match="https addresses only"):
            WebhookSetup(hook, url="ftp://127.0.0.1:1/x")


class TestEnsuring:
    def test_it_is_made_once(self, blocking, setup, receiver):
        first, deed = setup.ensure(["sync_end"])
        assert deed == "created"
        again, deed = setup.ensure(["sync_end"])
        assert (again, deed) == (first, "renewed")
        assert len(blocking.sim.webhooks.all()) == 1

    def test_one_that_was_deactivated_is_activated_with_the_secret_of_now(self, blocking, setup, receiver):
        made, _ = setup.ensure(["sync_end"])
        blocking.sim.webhooks.get(made.id).active = False
        blocking.declare(extra={"webhook_secret": NEW})
        receiver.forget()
        webhook, deed = setup.ensure(["sync_end"])
        assert (webhook.is_active, deed) == (True, "changed")
        assert [arrival.is_signed_with(NEW) for arrival in receiver.arrivals] == [True]

    def test_its_events_become_those_that_are_wanted(self, setup):
        setup.ensure(["sync_start", "sync_end"])
        assert setup.ensure(["sync_end", "sync_start"])[1] == "renewed"
        webhook, deed = setup.ensure(["sync_end"])
        assert (webhook.events, deed) == (("sync_end",), "changed")

    def test_others_are_left_alone(self, blocking, hook, setup, receiver):
        other = hook.create_webhook(ELSEWHERE, events=["sync_start"], active=False)
        group = hook.create_webhook(receiver.url, events=["sync_start"], group_id="sim_group")
        made, _ = setup.ensure(["sync_end"])
        of_group = WebhookSetup(hook, url=receiver.url, group_id="sim_group")
        assert of_group.ensure(["sync_start"])[0] == group
        assert [webhook.id for webhook in setup.remove()] == [made.id]
        assert hook.list_webhooks() == (other, group)

    def test_a_second_one_of_the_same_address_is_told_of(self, hook, setup, receiver, said):
        first, _ = setup.ensure(["sync_end"])
        second = hook.create_webhook(receiver.url + "/", events=["sync_end"])
        assert setup.ensure(["sync_end"])[0] == first
        assert f"more webhooks of this address: {second.id}" in said()
        assert len(setup.remove()) == 2

    def test_removing_what_is_not_there_does_nothing(self, blocking, setup):
        assert setup.remove() == ()
        assert changes(blocking) == []


class TestTesting:
    def test_what_the_receiver_said(self, setup, receiver):
        setup.ensure(["sync_end"])
        receiver.statuses = [200, 503]
        assert setup.test("sync_start").has_succeeded
        assert receiver.arrivals[-1].json["event"] == "sync_start"
        assert not setup.test().has_succeeded

    def test_there_must_be_one(self, hook, setup, receiver):
        with pytest.raises(FivetranLookupError, match="the account has no webhook that leads to http"):
            setup.test()
        with pytest.raises(FivetranLookupError, match="the group 'g' has no webhook"):
            WebhookSetup(hook, url=receiver.url, group_id="g").test()


class TestRotation:
    @pytest.fixture(autouse=True)
    def made(self, blocking, setup, receiver):
        setup.ensure(["sync_end"])
        receiver.forget()
        blocking.declare(extra={"webhook_secret": NEW, "webhook_secret_previous": OLD})

    def known_by_fivetran(self, way):
        return way.sim.webhooks.all()[0].secret

    def test_fivetran_changes_over_between_two_tests(self, blocking, setup, receiver):
        setup.rotate()
        assert self.known_by_fivetran(blocking) == NEW
        assert [arrival.is_signed_with(OLD) for arrival in receiver.arrivals] == [True, False]
        assert receiver.arrivals[1].is_signed_with(NEW)

    def test_it_goes_back_where_the_receiver_does_not_take_the_new_one(self, blocking, setup, receiver):
        receiver.statuses = [200, *[401] * 20]
        with pytest.raises(FivetranWebhookTestFailed, match=r"previous secret again.*HTTP 401"):
            setup.rotate()
        assert self.known_by_fivetran(blocking) == OLD

    def test_a_receiver_is_given_a_moment_to_learn_of_the_new_one(self, blocking, hook, receiver):
        slept = []
        receiver.statuses = [200, 401, 401, 200]
        WebhookSetup(hook, url=receiver.url, sleep=slept.append).rotate()
        assert self.known_by_fivetran(blocking) == NEW
        assert slept == [webhook_setup.BETWEEN_TESTS] * 2

    def test_nothing_is_changed_where_the_receiver_refuses_already(self, blocking, setup, receiver):
        receiver.statuses = [401] * 20
        with pytest.raises(FivetranWebhookTestFailed, match=r"nothing was changed.*HTTP 401"):
            setup.rotate()
        assert self.known_by_fivetran(blocking) == OLD
        assert "PATCH" not in {method for method, _ in changes(blocking)[2:]}

    @pytest.mark.parametrize(
        ("extra", "message"),
        [
            (
                {"webhook_secret": NEW},
                "no extra 'webhook_secret_previous', the secret with which Fivetran has",
            ),
            ({"webhook_secret_previous": OLD}, "no extra 'webhook_secret'"),
            ({"webhook_secret": OLD, "webhook_secret_previous": OLD}, "are the same"),
        ],
    )
    def test_both_secrets_are_needed(self, blocking, setup, receiver, extra, message):
        blocking.declare(extra=extra)
        with pytest.raises(ValueError, match=message) as refused:
            setup.rotate()
        assert OLD not in str(refused.value)
        assert receiver.arrivals == []


@pytest.mark.parametrize("keeps", [False, True])
def test_what_is_repeated_after_a_rotation_is_signed_with_one_of_the_two(blocking, receiver, keeps):
    """Which of the two Fivetran takes is not documented, and the receiver need not know."""
    account = Simulator()
    account.switches.webhook_retries_keep_secret = keeps
    account.add_connection(ID, default_plan=SyncPlan(duration=0.05))
    with account.serving() as url, FivetranHook(blocking.conn_id) as hook:
        blocking.declare(host=url, extra={"webhook_secret": OLD})
        setup = WebhookSetup(hook, url=receiver.url, sleep=lambda _: None)
        setup.ensure(["sync_end"])
        blocking.declare(host=url, extra={"webhook_secret": NEW, "webhook_secret_previous": OLD})
        receiver.statuses = [500]
        account.start_sync(ID)
        _test, refused = receiver.wait_for(2)
        eventually(lambda: account.deliveries.all()[-1].failures == 1)
        setup.rotate()
        account.clock.advance(360)
        *_, repeated = receiver.wait_for(5)
    assert repeated.body == refused.body
    assert repeated.is_signed_with(OLD if keeps else NEW)


class TestOperator:
    def run(self, way, **arguments):
        task = FivetranWebhookOperator(task_id="t", fivetran_conn_id=way.conn_id, **arguments)
        return task.execute({})

    def test_it_keeps_the_webhook_as_described(self, blocking, receiver, said):
        first = self.run(blocking, url=receiver.url)
        [row] = blocking.sim.webhooks.all()
        assert (row.id, row.events, row.active, row.secret) == (first, ["sync_end"], True, OLD)
        row.active = False
        blocking.declare(extra={"webhook_secret": NEW})
        assert self.run(blocking, url=receiver.url, events=["sync_end", "sync_start"]) == first
        [row] = blocking.sim.webhooks.all()
        assert (set(row.events), row.active, row.secret) == ({"sync_end", "sync_start"}, True, NEW)
        assert self.run(blocking, url=receiver.url, state="absent") is None
        assert self.run(blocking, url=receiver.url, state="absent") is None
        assert blocking.sim.webhooks.all() == []
        log = said()
        assert [word in log for word in ("was created", "was changed", "was removed")] == [True] * 3
        assert [secret in log for secret in (OLD, NEW)] == [False, False]

    @pytest.mark.parametrize("state", ["present", "absent"])
    @pytest.mark.parametrize("name", ["group_id", "url"])
    @pytest.mark.parametrize("found", [None, "", "None"])
    def test_a_template_that_finds_nothing_never_means_the_account(
        self, blocking, receiver, state, name, found
    ):
        given = {"url": receiver.url, "group_id": "group"} | {name: "{{ wanted }}"}
        task = FivetranWebhookOperator(task_id="t", fivetran_conn_id=blocking.conn_id, state=state, **given)
        setattr(task, name, found)
        with pytest.raises(AirflowFailException, match=f"{name} is .*: did its template"):
            task.execute({})
        assert not blocking.heard

    @has_receiver
    def test_by_default_it_leads_to_this_airflow(self, blocking, receiver, monkeypatch):
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", receiver.url)
        self.run(blocking)
        assert blocking.sim.webhooks.all()[0].url == f"{receiver.url}/fivetran/webhooks/{blocking.conn_id}"

    def test_what_a_retry_cannot_mend_fails_at_once(self, blocking, receiver):
        blocking.sim.add_key("sim-key", "sim-secret", webhooks="read")
        with pytest.raises(AirflowFailException) as failed:
            self.run(blocking, url=receiver.url)
        assert isinstance(failed.value.__cause__, FivetranForbidden)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"state": "gone"}, "state is 'gone'; allowed are 'present', 'absent'"),
            ({"group_id": ""}, "group_id is ''"),
            ({"url": " "}, "url is ' '"),
            ({"events": []}, r"events is \[\]"),
            ({"events": "sync_end"}, "events is 'sync_end'"),
            ({"events": ["sync_ended"]}, "an event is 'sync_ended'; allowed are 'sync_start', 'sync_end'"),
            ({"fivetran_conn_id": ""}, "fivetran_conn_id is ''"),
            ({"fivetran_retry_limit": 0}, "fivetran_retry_limit is 0"),
        ],
    )
    def test_a_wrong_argument_shows_when_the_dag_is_parsed(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            FivetranWebhookOperator(task_id="t", **arguments)


class TestCommands:
    """Each command as Airflow calls it."""

    def run(self, capsys, way, command, **arguments):
        given = {"conn_id": way.conn_id, "group_id": None, "url": None, "verbose": False, **arguments}
        getattr(importlib.import_module("airflow_provider_fivetran.commands.webhooks"), command)(
            SimpleNamespace(**given)
        )
        return capsys.readouterr().out

    @has_commands
    def test_a_life_of_a_webhook(self, blocking, receiver, capsys):
        url = receiver.url
        assert self.run(capsys, blocking, "list_", output="json").strip() in {"[]", "No data found"}
        assert "was created: sync_end to" in self.run(
            capsys, blocking, "create", url=url, events=["sync_end"]
        )
        [row] = json.loads(self.run(capsys, blocking, "list_", output="json"))
        assert (row["address"], row["events"], row["group"]) == (url, "sync_end", "")
        assert (
            self.run(capsys, blocking, "test", url=url, event="sync_end")
            == "The receiver took it (HTTP 200)\n"
        )
        blocking.declare(extra={"webhook_secret": NEW, "webhook_secret_previous": OLD})
        assert "signed with the new secret" in self.run(capsys, blocking, "rotate", url=url)
        assert "was removed" in self.run(capsys, blocking, "remove", url=url)
        assert "There is none" in self.run(capsys, blocking, "remove", url=url)

    @has_commands
    def test_what_goes_wrong_is_one_line(self, blocking, receiver, capsys):
        with pytest.raises(SystemExit, match=r"^FivetranLookupError: the account has no webhook"):
            self.run(capsys, blocking, "test", url=receiver.url, event="sync_end")
        with pytest.raises(FivetranLookupError):
            self.run(capsys, blocking, "test", url=receiver.url, event="sync_end", verbose=True)
        self.run(capsys, blocking, "create", url=receiver.url, events=["sync_end"])
        receiver.statuses = [503]
        with pytest.raises(SystemExit, match=r"did not take it: .*\(HTTP 503\)"):
            self.run(capsys, blocking, "test", url=receiver.url, event="sync_end")

    @has_commands
    def test_other_peoples_tokens_are_not_listed(self, blocking, hook, capsys):
        hook.create_webhook(ELSEWHERE, events=["sync_end"], active=False)
        listed = self.run(capsys, blocking, "list_", output="json")
        assert "https://elsewhere.example/hook" in listed
        assert "needle" not in listed

    @has_commands
    def test_airflow_has_the_commands(self, blocking, receiver):
        def airflow(*arguments):
            command = [sys.executable, "-W", "ignore", "-m", "airflow", "fivetran", "webhooks", *arguments]
            done = subprocess.run(command, check=False, capture_output=True, text=True, env=dict(os.environ))
            return done.returncode, done.stdout + done.stderr

        code, said = airflow("create", "--conn-id", blocking.conn_id, "--url", receiver.url)
        assert (code, "was created" in said) == (0, True), said
        code, said = airflow("create", "--events", "sync_ended")
        assert (code != 0, "'sync_ended' is no event; allowed are sync_start" in said) == (True, True), said
        assert OLD not in said


@pytest.mark.skipif(not IS_AIRFLOW_2, reason="newer versions have commands of providers, or ignore them")
def test_airflow_2_ignores_the_commands():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "airflow", "version"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
