"""`airflow fivetran connections`, `sync`, `history` and `doctor`: what people see, exit codes, and what is asked for."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_provider_fivetran.commands import tables
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from raw_server import free_port
from stories import CONNECTION, ID, SYNC, eventually

AIRFLOW = tuple(map(int, __import__("airflow").__version__.split(".")[:2]))
pytestmark = pytest.mark.skipif(AIRFLOW < (3, 2), reason="providers have commands from Airflow 3.2 on")
LINK = f"https://fivetran.com/dashboard/connections/{ID}"
SECRETS = ("needle-of-a-key", "needle-of-a-secret", "needle-of-a-webhook")
PYTHON = [sys.executable, "-W", "ignore"]


@pytest.fixture
def fivetran(blocking, capsys):
    """Call a command as Airflow does, from the words that were typed to the exit code."""

    def call(*words, conn_id=blocking.conn_id):
        from airflow.cli.cli_config import DefaultHelpParser
        from airflow.cli.cli_parser import _add_command

        from airflow_provider_fivetran.command_line import get_commands

        parser = DefaultHelpParser(prog="airflow")
        subparsers = parser.add_subparsers()
        for command in get_commands():
            _add_command(subparsers, command)
        code, last_words = 0, ""
        try:
            given = parser.parse_args(["fivetran", *words, "--conn-id", conn_id])
            given.func(given)
        except SystemExit as ended:  # Python tells a text, and then the code is 1
            is_text = isinstance(ended.code, str)
            code, last_words = (1, f"{ended.code}\n") if is_text else (ended.code or 0, "")
        printed = capsys.readouterr()
        return SimpleNamespace(code=code, out=printed.out, err=printed.err + last_words)

    return call


def cells(line):
    return [cell.strip() for cell in line.split("|")]


def table(out):
    """The rows of a table, by the names of its columns."""
    lines = [line for line in out.splitlines() if "|" in line]
    assert len({tuple(at for at, sign in enumerate(line) if sign == "|") for line in lines}) == 1, out
    return [dict(zip(cells(lines[0]), cells(line), strict=True)) for line in lines[1:]]


def record(out):
    """One record, by the names of its lines."""
    return dict(line.split(maxsplit=1) for line in out.splitlines())


def declare(conn_id, **fields):
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps({"conn_type": "fivetran"} | fields)


@pytest.fixture(autouse=True)
def leave_the_environment_alone():
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]


# --- connections --------------------------------------------------------------------------------------------


@pytest.fixture
def three(blocking):
    blocking.add(service="postgres", schema="shop", succeeded_at=datetime(2026, 11, 22, 8, tzinfo=UTC))
    blocking.sim.add_group("g2", "Lake")
    blocking.sim.add_connection("x", schema="ads", group_id="g2", paused=True, schedule_type="manual")
    blocking.sim.add_connection("y", schema="[red]crm", service="salesforce", sync_frequency=60)
    blocking.sim.break_setup("y")


def test_connections_are_listed_by_name(fivetran, three):
    said = fivetran("connections", "list")
    assert (said.code, said.err) == (0, "")
    assert [row["name"] for row in table(said.out)] == ["[red]crm", "ads", "shop"]
    crm, ads, shop = table(said.out)
    assert crm == {
        "id": "y",
        "name": "[red]crm",
        "service": "salesforce",
        "paused": "no",
        "setup_state": "broken",
        "sync_state": "scheduled",
        "schedule": "auto",
        "every": "60 min",
        "last_success": "",
        "last_failure": "",
    }
    assert (ads["paused"], ads["sync_state"], ads["schedule"], ads["every"]) == (
        "yes",
        "paused",
        "manual",
        "",
    )
    assert shop["last_success"] == "2026-11-22 08:00:00 UTC"


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (("--state", "broken"), ["y"]),
        (("--state", "paused,broken"), ["y", "x"]),
        (("--state", "scheduled"), ["y", "c"]),
        (("--group-id", "g2"), ["x"]),
        (("--group-id", "g2", "--state", "syncing"), []),
    ],
)
def test_connections_are_chosen(fivetran, three, words, ids):
    said = fivetran("connections", "list", *words, "--output", "json")
    assert [row["id"] for row in json.loads(said.out)] == ids


def test_a_group_that_does_not_exist_is_told_with_those_that_do(fivetran, three):
    said = fivetran("connections", "list", "--group-id", "Lake", "--output", "json")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("FivetranLookupError: the key sees no group with the id 'Lake'; it sees ")
    assert "g2 (Lake)" in said.err


def test_of_many_groups_some_are_shown(fivetran, blocking):
    for number in range(30):
        blocking.sim.add_group(f"g{number}")
    said = fivetran("connections", "list", "--group-id", "nope")
    assert said.err.endswith(", 21 more\n")
    assert said.err.count(" (g") == 9


def test_a_group_without_connections_is_no_error(fivetran, three, blocking):
    blocking.sim.add_group("g3", "Empty")
    said = fivetran("connections", "list", "--group-id", "g3")
    assert (said.code, said.out) == (0, "the key sees no connection in the group g3\n")


def test_a_key_that_may_not_list_groups_cannot_tell_whether_there_is_one(fivetran, three, blocking):
    blocking.sim.faults.add(Fault("status", status=403, path="/groups", times=None))
    said = fivetran("connections", "list", "--group-id", "nope")
    assert (said.code, said.out) == (0, "the key sees no connection in the group nope\n")


def test_programs_get_values_and_not_words(fivetran, three):
    said = fivetran("connections", "list", "--output", "json")
    row = json.loads(said.out)[-1]
    assert (row["paused"], row["every"], row["last_failure"]) == (False, 6 * 3600, None)
    assert row["last_success"] == "2026-11-22T08:00:00+00:00"


def test_that_there_is_none_is_said(fivetran, blocking):
    assert fivetran("connections", "list").out == "the key sees no connection\n"
    blocking.add()
    said = fivetran("connections", "list", "--state", "broken")
    assert (said.code, said.out) == (0, "none of 1 is broken\n")
    assert "id: c\n" in fivetran("connections", "list", "--output", "yaml").out


# --- what goes wrong with every command ---------------------------------------------------------------------

EVERY = [("connections", "list"), ("sync", ID), ("history", ID)]


@pytest.mark.parametrize("words", EVERY)
def test_an_unknown_airflow_connection_is_told_in_a_line(fivetran, words):
    said = fivetran(*words, conn_id="nowhere")
    assert (said.code, said.out) == (1, "")
    assert "`nowhere` isn't defined. Add 'nowhere' with `airflow connections add`" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("words", EVERY)
def test_a_wrong_key_is_told_in_a_line_and_not_shown(fivetran, blocking, words):
    blocking.add()
    declare("wrong", login=SECRETS[0], password=SECRETS[1], host=blocking.sim.url)
    said = fivetran(*words, conn_id="wrong")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("FivetranUnauthorized: ")
    assert "put a valid key there" in said.err
    assert not [secret for secret in SECRETS if secret in said.err]


@pytest.mark.parametrize(("seconds", "says"), [(3600, "60 min\n"), (900, "15 min\n")])
def test_a_spent_account_says_when_to_come_back(fivetran, blocking, seconds, says):
    blocking.sim.faults.add(Fault("status", status=429, retry_after=seconds, times=None))
    said = fivetran("connections", "list")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("FivetranRateLimited: ")
    assert said.err.endswith(f"; it wants to be asked again in {says}")


@pytest.mark.parametrize("words", [("connections", "list"), ("history", ID)])
def test_an_unreachable_host_is_told_in_the_words_of_the_system(fivetran, words):
    declare("down", login="k", password="s", host=f"http://127.0.0.1:{free_port()}")
    said = fivetran(*words, conn_id="down")
    assert (said.code, said.out) == (1, "")
    assert "gave no answer: " in said.err
    assert "Connection refused" in said.err
    assert "HTTPConnectionPool" not in said.err


@pytest.mark.parametrize("command", ["sync", "history"])
def test_an_unknown_connection_is_told_with_where_to_look(fivetran, command):
    said = fivetran(command, "nowhere")
    assert (said.code, said.out) == (1, "")
    assert "HTTP 404 NotFound_Connection" in said.err
    assert "`airflow fivetran connections list` shows" in said.err


@pytest.mark.parametrize(
    "words",
    [
        ("connections",),
        ("connections", "list", "--state", "brocken"),
        ("connections", "list", "--output", "xml"),
        ("sync",),
        ("sync", ID, "--name", "shop"),
        ("sync", "--name", "shop"),
        ("sync", ""),
        ("sync", ID, "--when-running", "queue"),
        ("sync", ID, "--timeout", "0"),
        ("sync", ID, "--timeout", "nan"),
        ("sync", ID, "another"),
        ("history",),
        ("history", ID, "--limit", "0"),
        ("doctor", "--connection"),
        ("connections", "list", "--group-id", ""),
        ("webhooks", "create", "--group-id", " "),
        ("webhooks", "create", "--url", ""),
        ("webhooks", "create", "--url", "ftp://airflow.example"),
    ],
)
def test_bad_usage_is_exit_code_2_and_asks_for_nothing(fivetran, blocking, words):
    blocking.add()
    said = fivetran(*words)
    assert said.code == 2
    assert said.err
    assert blocking.heard == []


@pytest.mark.parametrize("command", ["create", "test", "rotate", "remove"])
def test_a_webhook_of_an_airflow_without_an_address_is_bad_usage(fivetran, blocking, command, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")
    said = fivetran("webhooks", command)
    assert (said.code, said.out, blocking.heard) == (2, "", [])
    assert said.err.startswith("url is not given, and ")
    assert said.err.endswith(". The option is --url\n")


def test_no_line_of_our_help_is_wider_than_a_small_terminal():
    from airflow.cli.cli_config import ARG_OUTPUT

    from airflow_provider_fivetran.command_line import get_commands

    def texts(command):
        yield 4 + 10, command.help or ""
        yield 0, getattr(command, "description", None) or ""
        for option in getattr(command, "args", ()):
            if option is not ARG_OUTPUT:  # Airflow's own
                yield 24, option.kwargs.get("help") or ""
        for each in getattr(command, "subcommands", ()):
            yield from texts(each)

    lines = [
        (start, line) for each in get_commands() for start, text in texts(each) for line in text.splitlines()
    ]
    assert len(lines) > 50
    assert [line for start, line in lines if start + len(line) > 80] == []


# --- sync ---------------------------------------------------------------------------------------------------


def test_a_sync_is_waited_for_and_told_of_on_the_way(fivetran, blocking):
    blocking.add(SyncPlan(duration=0.5))
    said = fivetran("sync", ID)
    assert said.code == 0
    times, told = zip(*(line.split("  ", 1) for line in said.err.splitlines()), strict=True)
    assert told == (f"{ID}: triggered a sync. {LINK}", f"{ID}: the sync is running", f"{ID}: succeeded")
    assert list(times) == sorted(times)
    [run] = blocking.sim.runs(ID)
    assert record(said.out) == {
        "connection": ID,
        "status": "succeeded",
        "sync_id": run.sync_id,
        "started": f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC",
        "ended": f"{run.ended_at:%Y-%m-%d %H:%M:%S} UTC",
        "duration": "0 s",
        "volume_mb": "extract 12.5, process 11, load 10.25",
        "link": LINK,
    }


def test_where_no_terminal_shows_the_time_a_long_wait_is_told_of_again_and_again(
    fivetran, blocking, monkeypatch
):
    monkeypatch.setattr("airflow_provider_fivetran.commands.terminal.SILENCE", 0.2)
    blocking.add(SyncPlan(duration=1.5))
    said = fivetran("sync", ID)
    _triggered, *waiting, ended = (line.split("  ", 1)[1] for line in said.err.splitlines())
    assert waiting.count(f"{ID}: the sync is running") > 2
    assert ended == f"{ID}: succeeded"


def test_a_sync_by_name_for_programs(fivetran, blocking):
    blocking.add(schema="shop")
    said = fivetran("sync", "--name", "shop", "--destination", "Warehouse", "--output", "json")
    record = json.loads(said.out)
    assert (said.code, record["connection_id"], record["status"]) == (0, ID, "succeeded")
    assert record["sync_id"] == blocking.sim.runs(ID)[0].sync_id
    said = fivetran("sync", "--name", "shpo", "--destination", "Warehouse")
    assert (said.code, "did you mean 'shop'?" in said.err) == (1, True)


def test_a_failed_sync_is_exit_code_1_with_the_reason(fivetran, blocking):
    task = {"code": "reconnect", "message": "Reconnect [/] your account"}
    blocking.add(SyncPlan(duration=0.3, outcome="failure", reason="Login refused", tasks=[task]))
    said = fivetran("sync", ID)
    assert said.code == 1
    *_, told, last = said.err.splitlines()
    assert told.endswith(f"  {ID}: failed")
    assert last.startswith("FivetranSyncFailed: ")
    reason = "Login refused; task: Reconnect [/] your account (reconnect)"
    assert reason in last
    [run] = blocking.sim.runs(ID)
    shown = record(said.out)
    assert (shown["status"], shown["sync_id"], shown["reason"]) == ("failed", run.sync_id, reason)


def test_a_failed_sync_is_told_to_programs_too(fivetran, blocking):
    blocking.add(SyncPlan(duration=0.3, outcome="failure", reason="Login refused"))
    said = fivetran("sync", ID, "--output", "json")
    [run] = blocking.sim.runs(ID)
    told = json.loads(said.out)
    assert (said.code, told["status"], told["sync_id"]) == (1, "failed", run.sync_id)
    assert (told["reason"].partition(";")[0], told["link"]) == ("Login refused", LINK)
    assert said.err.splitlines()[-1].startswith("FivetranSyncFailed: ")


def test_another_sync_that_ends_well_is_no_success(fivetran, blocking):
    blocking.add(SyncPlan(duration=60), SyncPlan(duration=0.1))

    def replace():
        blocking.sim.cancel(ID)
        blocking.sim.start_sync(ID)

    blocking.heard.at("GET", CONNECTION, replace, nth=3)
    said = fivetran("sync", ID)
    eventually(lambda: [run.status for run in blocking.sim.runs(ID)] == ["CANCELED", "COMPLETED"])
    assert (said.code, record(said.out)["status"]) == (1, "cancelled")
    assert "FivetranSyncCancelled: " in said.err


def test_the_policies_are_those_of_the_hook(fivetran, blocking):
    blocking.add(SyncPlan(duration=60), SyncPlan(duration=0.2), paused=True)
    said = fivetran("sync", ID)
    assert (said.code, "(here: --when-paused unpause)" in said.err) == (1, True)
    assert blocking.sim.accepted(ID) == []
    assert fivetran("sync", ID, "--when-paused", "unpause", "--no-wait").code == 0
    said = fivetran("sync", ID, "--when-running", "fail")
    assert (said.code, "FivetranSyncRunning: " in said.err) == (1, True)
    assert fivetran("sync", ID, "--when-running", "restart").code == 0
    assert [run.status for run in blocking.sim.runs(ID)] == ["CANCELED", "COMPLETED"]
    blocking.sim.break_setup(ID)
    said = fivetran("sync", ID, "--when-broken", "fail")
    assert (said.code, "FivetranConnectionBroken: " in said.err) == (1, True)


def test_one_that_runs_is_joined(fivetran, blocking):
    blocking.add(SyncPlan(duration=1))
    blocking.sim.start_sync(ID)
    said = fivetran("sync", ID)
    assert (said.code, "it is taken as ours" in said.err) == (0, True)
    assert blocking.sim.count("POST", SYNC) == 0
    assert len(blocking.sim.runs(ID)) == 1


def test_the_sync_outlives_the_time_limit_and_the_one_that_does_not_wait(fivetran, blocking):
    blocking.add(SyncPlan(duration=60))
    said = fivetran("sync", ID, "--no-wait", "--output", "json")
    assert (said.code, json.loads(said.out)["status"]) == (0, "started")
    said = fivetran("sync", ID, "--timeout", "0.5", "--output", "json")
    [run] = blocking.sim.runs(ID)
    assert run.running
    told = json.loads(said.out)
    assert (said.code, told["status"], told["sync_id"]) == (1, "timed_out", run.sync_id)
    assert told["started_at"] == run.started_at.isoformat()
    assert f"  {ID}: timed out\n" in said.err
    assert "FivetranSyncTimeout: " in said.err
    assert f"The sync goes on; `airflow fivetran sync {ID}` waits for it again\n" in said.err


def test_an_answer_that_is_lost_starts_no_second_sync(fivetran, blocking):
    blocking.add(SyncPlan(duration=2))
    blocking.sim.faults.add(Fault("lost", method="POST", path=SYNC))
    said = fivetran("sync", ID)
    assert (said.code, len(blocking.sim.accepted(ID))) == (0, 1)
    assert "warning: c: the answer to the trigger was lost" in said.err


@pytest.fixture
def interruptible():
    """Let a child end at Ctrl-C; a shell that runs these tests in the background has all its children ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_leaves_the_sync_running(blocking, interruptible):
    blocking.add(SyncPlan(duration=60))
    command = [*PYTHON, "-m", "airflow", "fivetran", "sync", ID, "--conn-id", blocking.conn_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: blocking.heard and blocking.sim.count("GET", CONNECTION) > 1, seconds=60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert f"Interrupted. The sync goes on in Fivetran: {LINK}\n`airflow fivetran sync c` waits" in err
    assert "Traceback" not in err
    [run] = blocking.sim.runs(ID)
    assert run.running
    assert [request.path for request in blocking.heard if request.method != "GET"] == [
        f"/v1/connections/{ID}/sync"
    ]


def test_ctrl_c_before_the_start_says_how_far_it_came(fivetran, blocking):
    def interrupt(*_):
        raise KeyboardInterrupt

    blocking.add(schema="shop")
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        blocking.heard.at("GET", "/groups", lambda: os.kill(os.getpid(), signal.SIGUSR1))
        said = fivetran("sync", "--name", "shop", "--destination", "Warehouse")
        assert (said.code, said.err) == (130, "Interrupted. Nothing was started.\n")
        blocking.heard.at("GET", CONNECTION, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        said = fivetran("sync", ID)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (said.code, said.out) == (130, "")
    assert (
        said.err
        == f"Interrupted before it was certain that a sync was started; nothing was stopped: {LINK}\n"
    )
    assert blocking.sim.accepted(ID) == []


# --- history ------------------------------------------------------------------------------------------------


@pytest.fixture
def synced(blocking):
    blocking.add(
        SyncPlan(duration=0.05),
        SyncPlan(duration=0.05, outcome="failure", reason="Login refused", volume_mb=(None, None, None)),
        SyncPlan(duration=60),
    )
    for ended in (["COMPLETED"], ["COMPLETED", "FAILURE"]):
        blocking.sim.start_sync(ID)
        eventually(lambda ended=ended: [run.status for run in blocking.sim.runs(ID)] == ended)
    blocking.sim.start_sync(ID)
    return blocking.sim.runs(ID)


def test_the_history_begins_with_the_newest(fivetran, synced):
    said = fivetran("history", ID)
    assert said.code == 0
    running, failed, good = table(said.out)
    assert [row["sync_id"] for row in (good, failed, running)] == [run.sync_id for run in synced]
    assert (running["status"], running["ended"], running["duration"]) == ("running", "", "")
    assert (failed["status"], failed["reason"], failed["volume_mb"]) == ("failure", "Login refused", "")
    assert (good["status"], good["duration"]) == ("completed", "0 s")
    assert good["volume_mb"] == "extract 12.5, process 11, load 10.25"
    assert good["started"] == f"{synced[0].started_at:%Y-%m-%d %H:%M:%S} UTC"


def test_the_history_for_programs_and_no_longer_than_wanted(fivetran, synced):
    rows = json.loads(fivetran("history", ID, "--limit", "2", "--output", "json").out)
    assert [row["sync_id"] for row in rows] == [synced[2].sync_id, synced[1].sync_id]
    assert 0 < rows[1]["duration"] < 10


@pytest.mark.parametrize("state", ["not_found", "forbidden"])
def test_that_there_is_no_history_is_said_with_what_is_known(fivetran, blocking, state):
    blocking.add(schema="shop", succeeded_at=datetime(2026, 11, 22, 8, tzinfo=UTC))
    blocking.sim.switches.history = state
    said = fivetran("history", ID)
    assert (said.code, said.out) == (1, "")
    assert "no sync history. Of shop (" in said.err
    assert "last success 2026-11-22 08:00:00 UTC, last failure never, now scheduled" in said.err


def test_an_empty_history_is_no_error(fivetran, blocking):
    blocking.add()
    said = fivetran("history", ID)
    assert (said.code, said.out) == (0, f"{ID} had no sync in the last seven days\n")
    assert json.loads(fivetran("history", ID, "--output", "json").out) == []


# --- doctor -------------------------------------------------------------------------------------------------


def checks(said, conn_id=None):
    """By the name of each check: its state."""
    findings = json.loads(said.out)
    return {f["check"]: f["state"] for f in findings if conn_id in (None, f["conn_id"])}


def test_all_is_well_and_nothing_is_changed(fivetran, blocking):
    blocking.add(schema="shop")
    blocking.declare(extra={"webhook_secret": SECRETS[2]})
    said = fivetran("doctor")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[0] == f"Airflow connection {blocking.conn_id}"
    assert (
        "  ok       key              accepted: a user's key of the account Simulated Fivetran\n" in said.out
    )
    assert "  ok       read connection  shop (" in said.out
    assert "  ok       webhook secret   set\n" in said.out
    assert "\nAll is well. Whether the key may start syncs was not tried" in said.out
    assert SECRETS[2] not in said.out
    assert {request.method for request in blocking.heard} == {"GET"}
    assert set(checks(fivetran("doctor", "--output", "json")).values()) == {"ok"}


def test_a_system_key_is_known_for_one(fivetran, blocking):
    blocking.add()
    blocking.sim.add_key("sys", "s", system=True)
    blocking.declare(login="sys", password="s")
    assert "accepted: a system key of" in fivetran("doctor").out


def test_a_wrong_key_is_found_with_what_to_do(fivetran, blocking):
    blocking.declare(login=SECRETS[0], password=SECRETS[1], extra={"webhook_secret": SECRETS[2]})
    said = fivetran("doctor")
    assert said.code == 1
    assert (
        "  wrong    key              refused: wrong, expired or revoked (HTTP 401 AuthFailed)\n" in said.out
    )
    assert "-> put a valid key and its secret there" in said.out
    assert "\n1 wrong, no warnings.\n" in said.out
    assert not [secret for secret in SECRETS if secret in said.out + said.err]
    assert len(blocking.heard) == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"password": ""}, "the password (the API secret) is empty"),
        ({"host": "http://fivetran.example"}, "would send the API secret unencrypted"),
        ({"extra": {"timeout": "soon"}}, "the extra 'timeout' is 'soon'"),
    ],
)
def test_an_unusable_airflow_connection_is_found(fivetran, blocking, fields, says):
    blocking.declare(**fields)
    said = fivetran("doctor")
    assert (said.code, says in said.out, blocking.heard) == (1, True, [])


@pytest.mark.parametrize(
    ("fields", "check", "state", "says"),
    [
        ({"conn_type": "http"}, "connection", "warning", "is of the type 'http'"),
        ({"extra": {"webhook_secret": 1}}, "webhook secret", "wrong", "is a int; allowed is a text"),
        (
            {"extra": {"webhook_secret": "a", "webhook_secret_previous": "b"}},
            "webhook secret",
            "ok",
            "the one before",
        ),
        (
            {"extra": {"fallback_conn_id": 1}},
            "fallback",
            "wrong",
            "allowed is the id of an Airflow connection",
        ),
    ],
)
def test_its_parts_are_looked_at(fivetran, blocking, fields, check, state, says):
    blocking.add()
    blocking.declare(**fields)
    said = fivetran("doctor", "--output", "json")
    [found] = [finding for finding in json.loads(said.out) if finding["check"] == check]
    assert (said.code, found["state"], says in found["says"]) == (int(state == "wrong"), state, True)


def test_one_that_does_not_exist_is_found(fivetran):
    said = fivetran("doctor", conn_id="nowhere")
    assert (said.code, "`nowhere` isn't defined" in said.out) == (1, True)
    assert "-> add it with `airflow connections add`" in said.out


def test_a_host_that_cannot_be_reached_is_found_and_the_rest_examined(fivetran, blocking):
    port = free_port()
    blocking.declare(host=f"http://127.0.0.1:{port}", extra={"webhook_secret_previous": "x"})
    said = fivetran("doctor", "--output", "json")
    found = {finding["check"]: finding for finding in json.loads(said.out)}
    assert said.code == 1
    assert found["host"]["says"].startswith(f"http://127.0.0.1:{port} gave no answer: ")
    assert "HTTPS_PROXY" in found["host"]["advice"]
    assert checks(said) == {"connection": "ok", "host": "wrong", "webhook secret": "wrong", "fallback": "ok"}


@pytest.mark.parametrize(
    ("fault", "check", "says"),
    [
        (Fault("html", times=None), "host", "HTTP 502"),
        (Fault("status", status=503, times=None), "host", "HTTP 503"),
        (Fault("status", status=429, retry_after=90, times=None), "requests left", "has spent its requests"),
        (Fault("status", status=500, path="/groups", times=None), "rights", "HTTP 500"),
    ],
)
def test_trouble_on_the_way_is_found(fivetran, blocking, fault, check, says):
    blocking.add()
    blocking.sim.faults.add(fault)
    said = fivetran("doctor", "--output", "json")
    [found] = [finding for finding in json.loads(said.out) if finding["state"] == "wrong"]
    assert (said.code, found["check"], says in found["says"]) == (1, check, True)
    assert found["advice"]


def test_what_a_narrow_key_lacks_is_a_warning(fivetran, blocking):
    blocking.add()
    blocking.sim.add_key("narrow", "s", may_list=False, may_read_history=False)
    blocking.declare(login="narrow", password="s")
    said = fivetran("doctor", "--output", "json", "--connection", ID)
    told = checks(said)
    assert (said.code, told["list connections"], told["sync history"]) == (0, "warning", "warning")
    assert told["read connection"] == "ok"
    assert checks(fivetran("doctor", "--output", "json"))["read connection"] == "warning"
    blocking.sim.add_key("blind", "s", groups=[])
    blocking.declare(login="blind", password="s")
    said = fivetran("doctor", "--connection", ID)
    assert (said.code, f"{ID} may not be read (HTTP 403" in said.out) == (1, True)
    said = fivetran("doctor", "--connection", "nowhere")
    assert (said.code, "nowhere does not exist, or is hidden" in said.out) == (1, True)


def test_a_key_that_may_not_read_the_account_is_examined_all_the_same(fivetran, blocking):
    blocking.add()
    blocking.sim.faults.add(Fault("status", status=403, path="/account", times=None))
    said = fivetran("doctor", "--output", "json")
    told = checks(said)
    assert (said.code, told["host"], told["key"], told["read connection"]) == (0, "ok", "warning", "ok")


def test_few_requests_left_are_a_warning(fivetran, blocking):
    blocking.add()
    blocking.sim.switches.hourly_budget = 50
    said = fivetran("doctor")
    assert (said.code, "  warning  requests left    4" in said.out) == (0, True)
    assert "Nothing is wrong, 1 warning." in said.out


@pytest.mark.parametrize(
    ("ahead", "state", "says"), [(7230, "warning", "2 h behind"), (10, "ok", " s behind")]
)
def test_the_clocks_are_compared(fivetran, simulator, fivetran_conn, ahead, state, says):
    simulator.clock.advance(ahead)
    simulator.add_connection(ID)
    said = fivetran("doctor", "--output", "json", conn_id=fivetran_conn)
    [clock] = [finding for finding in json.loads(said.out) if finding["check"] == "clock"]
    assert (said.code, clock["state"]) == (0, state)
    assert says in clock["says"]
    assert checks(said)["sync history"] == "ok"


def test_the_fallback_is_examined_likewise(fivetran, blocking):
    blocking.add()
    blocking.declare(extra={"fallback_conn_id": "second"})
    said = fivetran("doctor")
    assert (said.code, "\nAirflow connection second\n  wrong    connection" in said.out) == (1, True)
    declare("second", login="sim-key", password="sim-secret", host=blocking.sim.url)
    said = fivetran("doctor", "--output", "json")
    assert (said.code, checks(said, "second")["key"]) == (0, "warning")  # the same key
    blocking.sim.add_key("other", "s")
    declare("second", login="other", password="s", host=blocking.sim.url)
    said = fivetran("doctor", "--output", "json")
    assert (said.code, set(checks(said, "second").values())) == (0, {"ok"})
    blocking.sim.revoke("other")
    said = fivetran("doctor", "--output", "json")
    assert (said.code, checks(said, "second")["key"]) == (1, "wrong")
    blocking.declare(extra={"fallback_conn_id": blocking.conn_id})
    assert checks(fivetran("doctor", "--output", "json"))["fallback"] == "warning"


def test_a_fallback_of_another_account_is_wrong(fivetran, blocking, simulator):
    blocking.add()
    simulator.account.account_id, simulator.account.account_name = "another", "Another"
    declare("second", login="sim-key", password="sim-secret", host=simulator.url)
    blocking.declare(extra={"fallback_conn_id": "second"})
    said = fivetran("doctor", "--connection", ID, "--output", "json")
    assert (said.code, checks(said, "second")["account"]) == (1, "wrong")


# --- the terminal -------------------------------------------------------------------------------------------


@pytest.fixture
def on_a_terminal(blocking):
    """Run a command in a process of its own, whose terminal has so many columns."""

    def run(*words, width=80):
        command = [*PYTHON, "-m", "airflow", "fivetran", *words, "--conn-id", blocking.conn_id]
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        with subprocess.Popen(command, stdin=its, stdout=its, stderr=subprocess.PIPE) as process:
            os.close(its)
            shown = b""
            with suppress(OSError):  # with which the end of a terminal is told
                while read := os.read(ours, 4096):
                    shown += read
            os.close(ours)
            err = process.stderr.read()
        assert process.returncode == 0, err
        return shown.decode().replace("\r\n", "\n")

    return run


def test_what_is_too_wide_for_the_terminal_is_shown_as_records(on_a_terminal, three):
    shown = on_a_terminal("connections", "list")
    assert max(map(len, shown.splitlines())) <= 80
    crm, ads, shop = [record(part) for part in shown.split("\n\n")]
    assert (crm["id"], crm["name"], crm["setup_state"]) == ("y", "[red]crm", "broken")
    assert (ads["id"], ads["paused"]) == ("x", "yes")
    assert (shop["id"], shop["last_success"]) == (ID, "2026-11-22 08:00:00 UTC")
    assert "last_failure" not in shop


def test_a_table_that_fits_stays_one(on_a_terminal, three):
    shown = on_a_terminal("connections", "list", width=130)
    assert [row["id"] for row in table(shown)] == ["y", "x", ID]


def test_doctor_breaks_its_lines_between_words(on_a_terminal, blocking):
    blocking.add()
    blocking.sim.add_key("narrow", "s", may_list=False, may_read_history=False)
    blocking.declare(login="narrow", password="s")
    shown = on_a_terminal("doctor", "--connection", ID, width=60)
    assert max(map(len, shown.splitlines())) <= 60


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [("connections", "list"), ("doctor",)])
def test_a_command_whose_reader_is_gone_ends_quietly(blocking, words, unbuffered):
    blocking.add(schema="shop")
    command = [*PYTHON, "-m", "airflow", "fivetran", *words, "--conn-id", blocking.conn_id]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    ) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, "")


def test_cells_that_others_wrote_neither_end_a_line_nor_order_the_terminal_about():
    rows = [{"name": "two\nlines\x1b[2J", "id": "007"}, {"name": "表", "id": ""}]
    assert tables.plain(rows) == ["name           id", "two lines [2J  007", "表"]
    heading, rule, first, second = tables.table(rows, None)
    assert (heading, rule) == ("name          | id", "==============+====")
    assert (first, second) == ("two lines [2J | 007", "表            |")


# --- Airflow ------------------------------------------------------------------------------------------------


def test_airflow_has_the_commands_and_keeps_logs_out_of_the_results(blocking):
    blocking.add(schema="shop")
    declare(
        "refused",
        login="k",
        password="wrong",
        host=blocking.sim.url,
        extra={"fallback_conn_id": blocking.conn_id},
    )
    command = [*PYTHON, "-m", "airflow", "fivetran", "sync", "--name", "shop", "--destination", "Warehouse"]
    done = subprocess.run(
        [*command, "--conn-id", "refused", "-o", "json"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "succeeded"), done.stderr


def test_knowing_the_commands_loads_none_of_them():
    script = (
        "import json, sys, airflow.cli.cli_config; before = set(sys.modules)\n"
        "from airflow_provider_fivetran.command_line import get_commands\n"
        "get_commands(); print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([*PYTHON, "-c", script], check=True, capture_output=True, text=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert {name.partition(".")[0] for name in loaded} & {
        "aiohttp",
        "libcst",
        "requests",
        "rich",
        "tenacity",
    } == set()
    ours = {
        ".".join(name.split(".")[1:2]) for name in loaded if name.startswith("airflow_provider_fivetran.")
    }
    assert ours <= {"broken_pipe", "command_line", "core", "migrate"}
