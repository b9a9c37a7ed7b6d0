"""Serving: from a test, from the command line, with a clock that runs, and without leaving anything behind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from airflow_provider_fivetran.simulator import Fault, Simulator, SyncPlan
from airflow_provider_fivetran.simulator.describing import load_account

AUTH = ("sim-key", "sim-secret")


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_it_answers_at_once_and_leaves_neither_thread_nor_socket():
    before = threading.active_count()
    simulator = Simulator()
    with simulator.serving() as url:
        assert requests.get(f"{url}/v1/groups", auth=AUTH, timeout=10).status_code == 200
        with simulator.serving() as second:
            assert second != url
    assert threading.active_count() == before
    port = int(url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=1):
        pass


def test_time_passes_without_anybody_asking_and_can_run_faster():
    simulator = Simulator(speed=100)
    simulator.add_connection("c", every=10, default_plan=SyncPlan(duration=1))
    with simulator.serving():
        log = simulator.account.connections["c"]
        wait_until(lambda: log.succeeded_at is not None)
    assert simulator.runs("c")[0].cause == "schedule"


def test_a_clock_changes_its_speed_without_a_jump():
    simulator = Simulator(speed=0)
    begin = simulator.clock.now()
    simulator.clock.speed = 10_000
    wait_until(lambda: (simulator.clock.now() - begin).total_seconds() > 1)
    simulator.clock.speed = 0
    stopped = simulator.clock.now()
    assert simulator.clock.now() == stopped
    assert (simulator.clock.advance(5) - stopped).total_seconds() == 5


def test_a_slow_answer_holds_up_no_other():
    simulator = Simulator()
    simulator.faults.add(Fault("slow", path="groups", delay=0.5))
    with simulator.serving() as url, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.get, f"{url}/v1/groups", auth=AUTH, timeout=10)
        wait_until(lambda: simulator.requests)
        requests.get(f"{url}/v1/users", auth=AUTH, timeout=10)
        assert not slow.done()
        assert slow.result().status_code == 200


def test_many_clients_at_once_are_all_answered():
    simulator = Simulator()
    for number in range(20):
        simulator.add_connection(f"c{number}", default_plan=SyncPlan(duration=0.05))
    with simulator.serving() as url, ThreadPoolExecutor(20) as pool:

        def sync(number):
            with requests.Session() as session:
                session.auth = AUTH
                path = f"{url}/v1/connections/c{number}"
                session.post(f"{path}/sync", json={}, timeout=10)
                wait_until(lambda: session.get(path, timeout=10).json()["data"]["succeeded_at"])

        list(pool.map(sync, range(20)))
    assert all(len(simulator.runs(f"c{number}")) == 1 for number in range(20))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.com"])
def test_only_this_machine_is_served_unless_told_otherwise(host):
    with pytest.raises(ValueError, match="loopback"), Simulator().serving(host=host):
        pass


def test_the_command_line_prints_one_line_and_serves_until_ctrl_c(tmp_path):
    account = tmp_path / "account.json"
    account.write_text(json.dumps({"connections": [{"id": "from_file", "schema": "shop"}]}))
    arguments = ["--key", "k", "--secret", "s", "--account", str(account)]
    arguments += ["--connection", "flag:stripe:pay", "--duration", "0.01", "--every", "3600"]
    command = [sys.executable, "-W", "error", "-m", "airflow_provider_fivetran.simulator", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = json.loads(process.stdout.readline())
        assert line["connections"] == ["from_file", "flag"]
        answer = requests.get(f"{line['url']}/v1/connections/flag", auth=("k", "s"), timeout=10)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""
    assert (answer.json()["data"]["service"], answer.json()["data"]["schema"]) == ("stripe", "pay")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "loopback"),
        (["--account", "/nowhere.json"], "nowhere.json"),
        (["--duration", "-1"], "duration is -1"),
        (["--speed", "nan"], "speed is nan; allowed: a number of at least 0"),
        (["--port", "99999"], "'99999'; allowed: a whole number from 0 to 65535"),
        (["--port", "-1"], "'-1'; allowed: a whole number"),
        (["--connection", ""], "id of a connection is ''; allowed"),
        (["--connection", ":x"], "id of a connection is ''; allowed"),
    ],
)
def test_the_command_line_explains_what_is_wrong(capsys, arguments, words):
    from airflow_provider_fivetran.simulator.__main__ import main

    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("described", "names"),
    [
        ([("lake", "Warehouse")], {"sim_group": "sim_group", "lake": "Warehouse"}),
        ([("lake", "Lake")], {"sim_group": "Warehouse", "lake": "Lake"}),
        ([("sim_group", "Lake"), ("w", "Warehouse")], {"sim_group": "Lake", "w": "Warehouse"}),
    ],
)
def test_the_group_that_is_always_there_takes_no_name_of_a_described_one(described, names):
    simulator = Simulator()
    load_account(simulator, {"groups": [{"id": id_, "name": name} for id_, name in described]})
    assert {group.id: group.name for group in simulator.account.groups.values()} == names
