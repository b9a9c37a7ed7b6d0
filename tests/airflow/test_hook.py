"""The hook: what it makes of an Airflow connection, what it says when that does not work, and what it finds."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_fivetran import hooks
from airflow_provider_fivetran.airflow_connection import settings_of
from airflow_provider_fivetran.arguments import SHORTEST_POLL, check_delay, span_of
from airflow_provider_fivetran.core.protocol import CONNECT_TIMEOUT
from airflow_provider_fivetran.exceptions import (
    FivetranConnectionPaused,
    FivetranLookupError,
    FivetranNotFound,
    FivetranSyncFailed,
    FivetranSyncRunning,
)
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from stories import ID

SECRETS = ("sim-secret", "c2ltLWtleTpzaW0tc2VjcmV0")


@pytest.fixture
def hook(blocking):
    with FivetranHook(blocking.conn_id, fivetran_retry_delay=0.01) as hook:
        yield hook


def settings(**fields):
    conn = Connection(**{"conn_id": "c", "conn_type": "fivetran", "login": "k", "password": "s"} | fields)
    return settings_of(conn, conn.extra_dejson)


def header(key="k", secret="s"):
    return "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()


class TestTestConnection:
    def test_it_names_the_account(self, hook):
        works, words = hook.test_connection()
        assert works
        assert "Simulated Fivetran" in words

    def test_it_reads_only_what_every_key_may_read(self, blocking, hook):
        hook.test_connection()
        assert [(r.method, r.path) for r in blocking.heard] == [("GET", "/v1/account/info")]

    @pytest.mark.parametrize(
        "rights", [{"may_list": False}, {"may_write": False}, {"groups": []}, {"system": True}]
    )
    def test_a_narrow_key_is_fine(self, blocking, hook, rights):
        blocking.sim.add_key("sim-key", "sim-secret", **rights)
        works, words = hook.test_connection()
        assert works, words

    def test_nobody_is_there(self, blocking):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            blocking.declare(host=f"http://127.0.0.1:{sock.getsockname()[1]}")
            with FivetranHook(blocking.conn_id, fivetran_retry_delay=0.01) as hook:
                works, words = hook.test_connection()
        assert not works
        assert "127.0.0.1" in words

    @pytest.mark.parametrize(
        ("status", "word"),
        [(401, "key"), (403, "right"), (429, "spent its requests"), (503, "503")],
    )
    def test_it_says_in_words_what_is_wrong(self, blocking, hook, status, word):
        blocking.sim.faults.add(Fault("status", status=status, times=None))
        works, words = hook.test_connection()
        assert not works
        assert word in words

    def test_a_fallback_does_not_speak_for_the_key(self, blocking, monkeypatch):
        blocking.declare(password="wrong", extra={"fallback_conn_id": "fallback"})
        usual = {
            "conn_type": "fivetran",
            "login": "sim-key",
            "password": "sim-secret",
            "host": blocking.sim.url,
        }
        monkeypatch.setenv("AIRFLOW_CONN_FALLBACK", json.dumps(usual))
        with FivetranHook(blocking.conn_id) as hook:
            works, words = hook.test_connection()
        assert not works
        assert "does not accept the key" in words

    @pytest.mark.parametrize("kind", ["status", "reset", "html"])
    def test_it_asks_once(self, blocking, hook, kind):
        blocking.sim.faults.add(Fault(kind, times=None))
        assert not hook.test_connection()[0]
        assert len(blocking.heard) == 1

    def test_it_ends_before_airflow_gives_up(self, blocking, hook, monkeypatch):
        assert hooks.TEST_TIMEOUT + CONNECT_TIMEOUT < 60
        monkeypatch.setattr(hooks, "TEST_TIMEOUT", 0.2)
        blocking.sim.faults.add(Fault("slow", delay=3, times=None))
        began = time.monotonic()
        works, words = hook.test_connection()
        assert time.monotonic() - began < 2
        assert not works
        assert "cannot be reached" in words

    def test_a_page_instead_of_an_api(self, blocking, hook):
        blocking.sim.faults.add(Fault("html", status=200, times=None))
        works, words = hook.test_connection()
        assert not works
        assert "JSON" in words

    @pytest.mark.parametrize(
        ("fields", "word"),
        [
            ({"password": ""}, "password"),
            ({"login": "", "password": "just-a-secret"}, "base64"),
            ({"host": "http://fivetran.example"}, "https"),
            ({"extra": {"timeout": "soon"}}, "timeout"),
        ],
        ids=["no-secret", "no-pair", "unencrypted", "timeout"],
    )
    def test_a_connection_that_cannot_be_used(self, blocking, fields, word):
        blocking.declare(**fields)
        with FivetranHook(blocking.conn_id) as hook:
            works, words = hook.test_connection()
        assert not works
        assert word in words
        assert "just-a-secret" not in words
        assert blocking.heard == []


class TestSettings:
    def test_empty_means_fivetran(self):
        found = settings()
        assert found.base_url == "https://api.fivetran.com"
        assert found.credentials.header == header()
        assert found.timeout == 90

    @pytest.mark.parametrize(
        "host", ["", None, "https://api.fivetran.com", "https://api.fivetran.com/v1/", "api.fivetran.com"]
    )
    def test_spellings_of_fivetrans_address(self, host):
        assert settings(host=host).base_url == "https://api.fivetran.com"

    @pytest.mark.parametrize(
        ("fields", "url"),
        [
            ({"host": "127.0.0.1", "port": 8080}, "http://127.0.0.1:8080"),
            ({"host": "localhost", "port": 8080}, "http://localhost:8080"),
            ({"host": "::1", "port": 8080}, "http://[::1]:8080"),
            ({"host": "proxy.example", "port": 8443}, "https://proxy.example:8443"),
            ({"host": "https://proxy.example:9443"}, "https://proxy.example:9443"),
            ({"host": "proxy.example/fivetran"}, "https://proxy.example/fivetran"),
        ],
    )
    def test_host_and_port(self, fields, url):
        assert settings(**fields).base_url == url

    @pytest.mark.parametrize(
        "host", ["http://api.fivetran.com", "http://10.0.0.1:80", "http://127.0.0.1.example"]
    )
    def test_a_secret_does_not_leave_the_machine_unencrypted(self, host):
        with pytest.raises(ValueError, match="unencrypted"):
            settings(host=host)

    @pytest.mark.parametrize("login", ["", None])
    def test_an_encoded_pair_in_the_password(self, login):
        pair = base64.b64encode(b"k:s").decode()
        assert settings(login=login, password=pair).credentials.header == header()

    def test_an_encoded_pair_works(self, blocking):
        blocking.declare(login="", password=base64.b64encode(b"sim-key:sim-secret").decode())
        with FivetranHook(blocking.conn_id) as hook:
            assert hook.test_connection()[0]

    def test_a_uri(self, blocking, monkeypatch):
        port = blocking.sim.url.rpartition(":")[2]
        monkeypatch.setenv(
            "AIRFLOW_CONN_BY_URI", f"fivetran://sim-key:sim-secret@127.0.0.1:{port}/?timeout=7"
        )
        with FivetranHook("by_uri") as hook:
            assert hook.test_connection()[0]
            assert hook.get_conn().settings.timeout == 7

    def test_a_uri_with_a_scheme(self, blocking, monkeypatch):
        address = blocking.sim.url.removeprefix("http://")
        monkeypatch.setenv(
            "AIRFLOW_CONN_BY_URI", f"fivetran://sim-key:sim-secret@http%3A%2F%2F{address.replace(':', '%3A')}"
        )
        with FivetranHook("by_uri") as hook:
            works, words = hook.test_connection()
        assert works, words

    @pytest.mark.parametrize("written", [7, "7", 7.0])
    def test_the_timeout(self, written):
        assert settings(extra=json.dumps({"timeout": written})).timeout == 7

    @pytest.mark.parametrize("written", ["soon", 0, -1, "nan", "inf", True])
    def test_a_wrong_timeout(self, written):
        with pytest.raises(ValueError, match="the extra 'timeout' is"):
            settings(extra=json.dumps({"timeout": written}))


class TestFinding:
    def test_by_names(self, blocking, hook):
        blocking.sim.add_group("other", "Elsewhere")
        blocking.sim.add_connection(ID, schema="shop")
        blocking.sim.add_connection("twin", schema="shop", group_id="other")
        assert hook.find_connection("shop", "Warehouse").id == ID
        assert hook.find_connection("shop", "Elsewhere").id == "twin"
        assert hook.find_id(None, "shop", "Elsewhere") == "twin"

    def test_an_id_needs_no_request(self, blocking, hook):
        assert hook.find_id("anything", None, None) == "anything"
        assert blocking.heard == []

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (
                ("shopp", "Warehouse"),
                "no connection named 'shopp' in the destination 'Warehouse'.*did you mean 'shop'",
            ),
            (("shop", "Warehause"), "no destination named 'Warehause'.*did you mean 'Warehouse'"),
            (
                ("xyz", "Warehouse"),
                "no connection named 'xyz' in the destination 'Warehouse' that this key may see$",
            ),
        ],
    )
    def test_none_has_the_name(self, blocking, hook, names, message):
        blocking.sim.add_connection(ID, schema="shop")
        with pytest.raises(FivetranLookupError, match=message):
            hook.find_connection(*names)

    def test_two_destinations_of_one_name(self, blocking, hook):
        blocking.sim.add_group("g1", "Twice")
        blocking.sim.add_group("g2", "Twice")
        with pytest.raises(FivetranLookupError, match="more than one destination named 'Twice': g1, g2"):
            hook.find_connection("shop", "Twice")

    def test_two_connections_of_one_name(self, blocking, hook):
        blocking.sim.add_connection("c1", schema="shop")
        blocking.sim.add_connection("c2", schema="shop")
        with pytest.raises(FivetranLookupError, match=r"more than one connection named 'shop'.*c1, c2"):
            hook.find_connection("shop", "Warehouse")

    def test_lists_of_more_than_one_page(self, blocking, hook):
        for number in range(1005):
            blocking.sim.add_connection(f"c{number}", schema=f"s{number}")
        found = hook.list_connections()
        assert [connection.id for connection in found] == [f"c{number}" for number in range(1005)]
        assert len(blocking.heard) == 2
        assert hook.find_connection("s1004", "Warehouse").id == "c1004"

    def test_groups_and_destinations(self, hook):
        assert [group.name for group in hook.list_groups()] == ["Warehouse"]
        assert hook.get_group("sim_group").name == "Warehouse"
        assert [destination.id for destination in hook.list_destinations()] == ["sim_group"]
        assert hook.get_destination("sim_group").id == "sim_group"

    def test_what_does_not_exist(self, hook):
        with pytest.raises(FivetranNotFound):
            hook.get_fivetran_connection("nowhere")


class TestChanging:
    def test_pause_and_unpause(self, blocking, hook):
        blocking.add()
        assert hook.pause_connection(ID).paused
        assert blocking.sim.account.connection(ID).paused
        assert not hook.unpause_connection(ID).paused
        assert [r.body for r in blocking.heard] == [
            {"paused": True, "run_setup_tests": False},
            {"paused": False, "run_setup_tests": False},
        ]

    @pytest.mark.parametrize("schedule", ["manual", "auto"])
    def test_the_schedule(self, blocking, hook, schedule):
        blocking.add(schedule_type="auto" if schedule == "manual" else "manual")
        assert hook.set_schedule_type(ID, schedule).schedule_type == schedule

    def test_a_schedule_that_fivetran_does_not_know(self, blocking, hook):
        with pytest.raises(ValueError, match="'auto' and 'manual'"):
            hook.set_schedule_type(ID, "hourly")
        assert blocking.heard == []

    def test_setup_tests(self, blocking, hook):
        blocking.add()
        blocking.sim.break_setup(ID)
        assert any(test.has_failed for test in hook.run_setup_tests(ID).setup_tests)


class TestSyncs:
    def test_start_and_wait(self, blocking, hook):
        blocking.add(SyncPlan(duration=0.3))
        ticket = hook.start_sync(ID, poll_frequency=timedelta(seconds=0.1))
        record = hook.wait_for_sync(ticket)
        assert record.status == "succeeded"
        assert record.ended_at == blocking.sim.runs(ID)[0].ended_at

    def test_policies(self, blocking, hook):
        blocking.add(paused=True)
        with pytest.raises(FivetranConnectionPaused):
            hook.start_sync(ID)
        blocking.sim.unpause(ID)
        blocking.sim.start_sync(ID)
        with pytest.raises(FivetranSyncRunning):
            hook.start_sync(ID, when_running="fail")

    def test_a_failure_is_an_error(self, blocking, hook):
        blocking.add(SyncPlan(duration=0.1, outcome="failure"))
        with pytest.raises(FivetranSyncFailed):
            hook.wait_for_sync(hook.start_sync(ID, poll_frequency=timedelta(seconds=0.1)))

    def test_a_sync_that_is_put_off_is_triggered_once_more(self, blocking, hook):
        blocking.add(
            SyncPlan(duration=0.1, outcome="rescheduled", reschedule_after=1),
            SyncPlan(duration=0.1),
            schedule_type="manual",
        )
        hook.wait_for_sync(hook.start_sync(ID, poll_frequency=timedelta(seconds=0.1)))
        assert [run.status for run in blocking.sim.runs(ID)] == ["RESCHEDULED", "COMPLETED"]

    @pytest.mark.parametrize(
        "policy",
        [{"when_running": "queue"}, {"when_running": "Attach"}, {"when_paused": "unpause_and_restore"}],
    )
    def test_what_needs_somebody_afterwards_is_for_the_operator(self, blocking, hook, policy):
        blocking.add()
        with pytest.raises(ValueError, match="allowed here are"):
            hook.start_sync(ID, **policy)
        assert blocking.sim.requests == []

    def test_a_sync_is_stopped(self, blocking, hook):
        blocking.add(SyncPlan(duration=3600))
        hook.start_sync(ID)
        hook.stop_sync(ID)
        assert blocking.sim.runs(ID)[0].status == "PAUSED"
        assert not blocking.sim.account.connection(ID).paused

    def test_the_history(self, blocking, hook):
        blocking.add(SyncPlan(duration=0.05))
        hook.wait_for_sync(hook.start_sync(ID, poll_frequency=timedelta(seconds=0.1)))
        [entry] = hook.get_sync_history(ID, since=datetime.now(UTC) - timedelta(hours=1))
        assert entry.sync_id == blocking.sim.runs(ID)[0].sync_id
        assert entry.is_success


class TestSecrets:
    def test_they_are_masked_and_in_no_repr(self, blocking, hook, caplog, capsys):
        with caplog.at_level(logging.DEBUG):
            hook.test_connection()
            blocking.sim.faults.add(Fault("status", status=401, times=None))
            hook.test_connection()
        shown = caplog.text + repr(hook) + repr(hook.get_conn()) + repr(hook.get_conn().settings)
        shown += "".join(capsys.readouterr())
        assert not any(secret in shown for secret in SECRETS)

    def test_the_encoded_pair_is_masked_too(self, hook):
        from airflow.providers.common.compat.sdk import redact

        hook.get_conn()
        assert "c2ltLWtleTpzaW0tc2VjcmV0" not in str(redact("Basic c2ltLWtleTpzaW0tc2VjcmV0"))

    def test_they_do_not_go_elsewhere_when_redirected(self, blocking, hook):
        blocking.sim.faults.add(Fault("status", status=302))
        works, words = hook.test_connection()
        assert not works or len(blocking.heard) > 1
        assert all(secret not in words for secret in SECRETS)


def test_every_request_says_who_sends_it(blocking, hook):
    import airflow

    hook.test_connection()
    agent = blocking.heard[0].headers["user-agent"]
    assert "airflow-provider-fivetran/" in agent
    assert airflow.__version__ in agent
    assert os.environ["AIRFLOW_HOME"] not in agent


class TestArgumentChecks:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"fivetran_retry_limit": 0},
            {"fivetran_retry_limit": "3"},
            {"fivetran_retry_delay": -1},
            {"fivetran_conn_id": ""},
            {"fivetran_conn_id": None},
        ],
    )
    def test_the_hook_names_an_argument_that_makes_no_sense(self, wrong):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"{name} is .*; allowed is"):
            FivetranHook(**{"fivetran_conn_id": "fivetran_default"} | wrong)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"timeout": -1},
            {"timeout": "5"},
            {"start_timeout": 0},
            {"poll_frequency": "5"},
            {"poll_frequency": 0},
        ],
    )
    def test_no_sync_is_started_with_a_duration_that_makes_no_sense(self, blocking, hook, wrong):
        blocking.add(SyncPlan(duration=0.1))
        (name,) = wrong
        with pytest.raises(ValueError, match=f"{name} is .*; allowed is"):
            hook.start_sync(ID, **wrong)
        assert blocking.sim.accepted(ID) == []

    def test_durations_may_be_seconds(self, blocking, hook):
        blocking.add(SyncPlan(duration=0.1))
        ticket = hook.start_sync(ID, timeout=20, start_timeout=10, poll_frequency=0.1)
        assert hook.wait_for_sync(ticket).status == "succeeded"

    @pytest.mark.parametrize("value", [0, 0.0, 0.5, 3, 3600])
    def test_a_delay(self, value):
        check_delay(value)

    @pytest.mark.parametrize("value", [-1, -0.001, float("nan"), float("inf"), "1", None, True])
    def test_a_delay_that_is_none(self, value):
        words = f"fivetran_retry_delay is {value!r}; allowed is a number of seconds of at least 0"
        with pytest.raises(ValueError, match=re.escape(words)):
            check_delay(value)

    @pytest.mark.parametrize("value", [0.05, 1, timedelta(seconds=0.05), timedelta(hours=1)])
    def test_a_poll(self, value):
        seconds = value if isinstance(value, timedelta) else timedelta(seconds=value)
        assert span_of("poll_frequency", value, least=SHORTEST_POLL) == seconds
        assert span_of("poll_frequency", None, least=SHORTEST_POLL) is None

    @pytest.mark.parametrize(
        "value",
        [0, 0.049, -5, timedelta(0), timedelta(microseconds=1), float("nan"), float("inf"), "1", True],
    )
    def test_a_poll_that_is_too_quick(self, value):
        words = f"poke_interval is {value!r}; allowed is a timedelta or a number of seconds of at least 0.05"
        with pytest.raises(ValueError, match=re.escape(words)):
            span_of("poke_interval", value, least=SHORTEST_POLL)

    @pytest.mark.parametrize(
        ("zero", "value", "words"),
        [
            (False, 0, "above 0"),
            (False, -1, "above 0"),
            (True, -1, "of at least 0"),
            (False, 1e300, "above 0"),
        ],
    )
    def test_another_span(self, zero, value, words):
        with pytest.raises(ValueError, match=re.escape(f"x is {value!r};") + f".*{words}$"):
            span_of("x", value, zero=zero)
        assert span_of("x", 0, zero=True) == timedelta(0)
