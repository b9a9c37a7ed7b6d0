"""What the demo is asked for and what it tells; `make demo` and `make demo-watched` are its full runs."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import run
import watched
from airflow_provider_fivetran.simulator import Simulator
from airflow_provider_fivetran.simulator.describing import load_account
from airflow_server import NotReadyError
from choices import CONNECTION, KEY, SECRET, URL, RefusedError, read_choices
from progress import Progress
from report import landed
from simulated import SimulatedFivetran, account

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
READ = {KEY: "key", SECRET: "secret", CONNECTION: "iodized_turnip"}


@pytest.fixture(autouse=True)
def no_account(monkeypatch):
    for name in (*READ, URL):
        monkeypatch.delenv(name, raising=False)


def at(seconds):
    return (NOON + timedelta(seconds=seconds)).isoformat()


def look(connection="web_shop", seconds=0.0, method="GET", more=""):
    return {"method": method, "path": f"/v1/connections/{connection}{more}", "at": at(seconds)}


def sync(connection="web_shop", ended=10.0, status="COMPLETED"):
    started = at(1 if ended is None else ended - 4)
    return {
        "connection_id": connection,
        "status": status,
        "started_at": started,
        "ended_at": None if ended is None else at(ended),
    }


def event(connection="web_shop", ended=10.0, told=15.0):
    record = {"connection_id": connection, "status": "succeeded", "ended_at": at(ended)}
    return {"timestamp": at(told), "extra": {"from_trigger": True, "payload": record}}


def dag_run(seconds=20.0):
    return {"dag_run_id": "first", "queued_at": at(seconds), "run_type": "asset_triggered"}


# -- what it is asked for ----------------------------------------------------------------------------------------


def test_a_simulated_fivetran_is_used_where_no_account_is_named():
    choices = read_choices([])
    assert choices.account is None
    assert (choices.watched, choices.ui, choices.seconds_per_sync) == (False, False, 15)


def test_syncs_are_shorter_where_they_are_watched_unless_somebody_says_how_long_they_take():
    assert read_choices(["--watched"]).seconds_per_sync == 4
    assert read_choices(["--watched", "--seconds-per-sync", "2"]).seconds_per_sync == 2
    assert read_choices(["--seconds-per-sync", "0"]).seconds_per_sync == 0


def test_what_is_watched_needs_no_web_interface():
    with pytest.raises(RefusedError, match="--ui"):
        read_choices(["--watched", "--ui"])


@pytest.mark.parametrize("names", [[KEY], [CONNECTION], [URL], [KEY, SECRET], [KEY, SECRET, CONNECTION]])
def test_the_schedule_of_a_real_account_is_not_waited_for(names, monkeypatch):
    for name in names:
        monkeypatch.setenv(name, READ.get(name, "https://api.fivetran.com"))
    with pytest.raises(RefusedError, match=f"{' and '.join(names)} (is|are) set") as refusal:
        read_choices(["--watched"])
    assert "--simulator" in str(refusal.value)
    assert read_choices(["--watched", "--simulator"]).account is None


def test_a_connection_of_a_real_account_is_refused_as_an_argument_too():
    with pytest.raises(RefusedError, match=CONNECTION):
        read_choices(["--watched", "--connection", "iodized_turnip"])


def test_what_is_refused_is_said_and_starts_nothing(capsys):
    assert run.main(["--watched", "--ui"]) == 2
    assert "choose one of them" in capsys.readouterr().err


# -- what it tells -----------------------------------------------------------------------------------------------


def test_a_look_is_told_and_no_other_request():
    requests = [
        look(),
        look(seconds=15, more="/sync-history"),
        look(method="PATCH"),
        look(connection=""),
        look(more="/schemas"),
    ]
    assert [(each.who, each.what) for each in watched.looks(requests)] == [
        ("watcher of web_shop", "looks"),
        ("watcher of web_shop", "reads"),
    ]


def test_a_sync_that_ended_before_the_first_look_at_it_is_no_news():
    syncs = [sync(ended=10), sync(ended=30), sync(ended=None), sync("card_payments", ended=30)]
    [news] = watched.ends(syncs, [look(seconds=40), look(seconds=20), look("crm")])
    assert (news.at, news.who, news.what) == (NOON + timedelta(seconds=30), "web_shop", "synced")
    assert "in 4 s" in news.remark


def test_a_sync_that_did_not_end_well_is_called_by_its_status():
    [news] = watched.ends([sync(status="FAILURE")], [look()])
    assert news.what == "failure"


def test_the_last_of_the_two_counts_by_its_first_sync():
    events = [event(ended=10), event(ended=30), event("card_payments", ended=20)]
    assert watched.last_to_land(events) == ("card_payments", NOON + timedelta(seconds=20))


class Answers:
    """An Airflow and a Fivetran of few words."""

    def __init__(self, *moments):
        self._moments = list(moments)
        self._now = {}

    def runs(self, dag_id=None):
        if dag_id is None:
            return self._now.get("syncs", [])
        self._now = self._moments.pop(0) if self._moments else self._now
        if "error" in self._now:
            raise NotReadyError(self._now["error"])
        return self._now.get("runs", [])

    def asset_events(self):
        return self._now.get("events", [])

    def requests(self):
        return self._now.get("requests", [])


def wait(answers, seconds=60):
    landings = watched.Landings(answers, answers, Progress())
    return landings.wait_for_run(time.monotonic() + seconds, lambda: None)


def test_each_thing_is_told_once_in_its_order_until_there_is_a_run(capsys):
    before = {"requests": [look()], "syncs": [sync()], "events": [event()]}
    after = {**before, "events": [event(), event("card_payments", ended=14, told=18)], "runs": [dag_run()]}
    assert wait(Answers(before, {"error": "too busy"}, after)) == "first"
    lines = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()]
    assert [" ".join(line.split()) for line in lines] == [
        "watcher of web_shop looks",
        "web_shop synced by Fivetran's own schedule, in 4 s",
        "asset of web_shop event 5.0 s after the sync's end",
        "asset of card_payments event 4.0 s after the sync's end",
        "fivetran_watched_then_dbt runs made by the events: asset_triggered",
    ]


@pytest.mark.parametrize(
    ("events", "missing"),
    [
        ([], "card_payments and web_shop"),
        ([event()], "card_payments"),
        ([event(), event("card_payments")], "the run itself"),
    ],
)
def test_at_the_time_limit_it_says_what_is_missing(events, missing):
    with pytest.raises(NotReadyError, match=f"still missing is {missing}"):
        wait(Answers({"events": events}), seconds=-1)


# -- the simulated Fivetran --------------------------------------------------------------------------------------


def test_the_connections_of_a_schedule_sync_by_themselves_until_they_are_to_rest():
    simulator = Simulator(speed=0)
    load_account(simulator, account(4, {"web_shop": 20}))
    with simulator.serving() as url:
        fivetran = SimulatedFivetran(None, Path(), Path())
        fivetran.url = url
        simulator.clock.advance(25)
        simulator.tick()
        [first] = fivetran.runs()
        assert first["connection_id"] == "web_shop"
        assert (first["cause"], first["status"]) == ("schedule", "COMPLETED")
        [entry] = fivetran.history("web_shop")
        assert entry["sync_id"] == first["sync_id"]
        simulator.clock.advance(17)
        fivetran.rest("web_shop")
        simulator.clock.advance(60)
        assert [sync["status"] for sync in fivetran.runs()] == ["COMPLETED", "COMPLETED"]
        paths = [(request["method"], request["path"]) for request in fivetran.requests()]
        assert ("PATCH", "/v1/connections/web_shop") in paths


# -- the warehouse -----------------------------------------------------------------------------------------------


@pytest.mark.newest
def test_the_warehouse_is_read_when_its_writer_has_closed_it(tmp_path):
    file = tmp_path / "warehouse.duckdb"
    program = (
        "import duckdb, sys, time\n"
        "with duckdb.connect(sys.argv[1]) as warehouse:\n"
        "    for name in ('web_shop', 'card_payments', 'crm'):\n"
        "        warehouse.execute(f'create schema {name}')\n"
        "        warehouse.execute(f'create table {name}.orders as select now() as _fivetran_synced')\n"
        "    print(flush=True)\n"
        "    time.sleep(1)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        lines = landed(file, "web_shop", "card_payments").splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [
        ["web_shop.orders", "1"],
        ["card_payments.orders", "1"],
    ]
