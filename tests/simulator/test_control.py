"""The control calls, with which other processes set the account up, move it along and read the truth."""

from __future__ import annotations

import pytest


@pytest.fixture
def control(api):
    """Control calls need no key."""
    api.session.auth = None

    def post(path, body=None):
        return api.post(f"/_control/{path}", body)

    return post


def runs(api, **query):
    return api.get("/_control/runs", **query).json()["runs"]


def test_a_connection_is_added_and_moved_along(sim, api, control):
    body = {"id": "c", "schema": "shop", "succeeded_at": "2026-01-01T00:00:00Z", "plan": {"duration": 10}}
    assert control("connections", body).status_code == 201
    assert sim.account.connection("c").succeeded_at.year == 2026
    assert control("connections/c/start").json() == {"ok": True}
    assert [(row["status"], row["cause"]) for row in runs(api, connection_id="c")] == [
        ("RUNNING", "schedule")
    ]
    control("connections/c/cancel")
    control("connections/c/plan", {"duration": 1, "outcome": "failure", "volume_mb": [1, 2, None]})
    control("connections/c/start")
    control("clock", {"advance": 1})
    assert [row["status"] for row in runs(api)] == ["CANCELED", "FAILURE"]
    control("connections/c/pause")
    assert sim.account.connection("c").sync_state == "paused"
    control("connections/c/unpause")
    control("connections/c/break_setup", {"test_heals": True})
    assert sim.account.connection("c").setup_state == "broken"
    control("connections/c/delay")
    assert sim.account.connection("c").update_state == "delayed"
    control("connections/c/delete")
    assert (sim.account.connections, len(runs(api))) == ({}, 2)


def test_a_whole_account_is_added_at_once(sim, control):
    account = {
        "keys": [{"key": "k", "secret": "s", "groups": ["g"]}],
        "groups": [{"id": "g", "name": "Second"}],
        "users": [{"id": "u", "email": "u@example.com"}],
        "default_plan": {"duration": 30},
        "connections": [{"id": "c", "group_id": "g", "plans": [{"outcome": "canceled"}]}],
        "transformations": [{"id": "t", "outcome": "FAILED"}],
        "switches": {"history": "not_found"},
        "faults": [{"kind": "status", "status": 500}],
    }
    assert control("account", account).status_code == 200
    connection = sim.account.connection("c")
    assert (connection.default_plan.duration, connection.plans[0].outcome) == (30, "canceled")
    assert sim.account.keys["k"].groups == frozenset({"g"})
    assert sim.switches.history == "not_found"
    assert len(sim.faults.waiting()) == 1


def test_a_transformation_is_added(sim, control):
    assert control("transformations", {"id": "t", "duration": 3}).json()["status"] == "NEW"
    assert sim.account.transformation("t").duration == 3


def test_a_failure_of_the_simulator_itself_is_a_500_in_the_envelope(sim, api, caplog):
    sim.account.users.clear()
    answer = api.get("/v1/account/info")
    assert (answer.status_code, answer.json()["code"]) == (500, "InternalError")
    assert "GET /v1/account/info" in caplog.text


def test_faults_switches_keys_and_requests(sim, api, control):
    assert control("faults", {"kind": "status", "times": None}).status_code == 201
    assert api.get("/v1/groups").status_code == 503
    api.delete("/_control/faults")
    assert api.get("/v1/groups").status_code == 401
    assert control("switches", {"stop_lag": 9, "history": True}).json()["stop_lag"] == 9
    assert api.get("/_control/switches").json()["stop_lag"] == 9
    control("keys/sim-key/revoke")
    assert sim.account.keys == {}
    rows = api.get("/_control/requests").json()["requests"]
    assert [(row["path"], row["status"], row["fault"]) for row in rows] == [
        ("/v1/groups", 503, "status"),
        ("/v1/groups", 401, None),
    ]


def test_a_reset_forgets_everything(sim, api, control):
    control("connections", {"id": "c"})
    control("switches", {"stop_lag": 9})
    api.get("/v1/groups")
    assert control("reset").status_code == 200
    assert (sim.account.connections, sim.requests, sim.switches.stop_lag) == ({}, [], 0.2)
    assert runs(api) == []


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("connections", {}, ["id", "missing"]),
        ("connections", {"id": "c", "colour": "red"}, ["colour", "allowed", "schema"]),
        ("connections", {"id": 5}, ["id", "5", "a string"]),
        ("connections", {"id": "c", "paused": "no"}, ["paused", "no", "true or false"]),
        ("connections", {"id": "c", "setup_state": "odd"}, ["setup_state", "odd", "incomplete"]),
        ("connections", {"id": "c", "sync_frequency": 7}, ["sync_frequency", "7", "1440"]),
        ("connections", {"id": "c", "every": 0}, ["every", "0"]),
        ("connections", {"id": "c", "succeeded_at": "soon"}, ["succeeded_at", "soon", "ISO 8601"]),
        ("connections", {"id": "c", "plan": {"outcome": "odd"}}, ["outcome", "odd", "never_starts"]),
        ("connections", {"id": "c", "plan": {"volume_mb": [1]}}, ["volume_mb", "three"]),
        ("connections", {"id": "c", "plans": [{"tasks": ["x"]}]}, ["tasks", "an object"]),
        ("connections/none/dance", {}, ["action", "dance", "unpause"]),
        ("faults", {"kind": "odd"}, ["kind", "odd", "wrong_shape"]),
        ("faults", {}, ["kind", "missing"]),
        ("switches", {"odd": 1}, ["odd", "history_lag"]),
        ("switches", {"stop_lag": "long"}, ["stop_lag", "long", "number"]),
        ("switches", {"list_allowed": 1}, ["list_allowed", "1", "true or false"]),
        ("switches", {"sync_while_running": "odd"}, ["sync_while_running", "odd", "conflict"]),
        ("account", {"odd": []}, ["odd", "connections"]),
        ("clock", {"advance": -1}, ["-1"]),
        ("clock", {"back": 1}, ["back", "advance"]),
        ("transformations", {"id": "t", "outcome": "odd"}, ["outcome", "odd", "SUCCEEDED"]),
    ],
)
def test_bad_input_is_refused_naming_field_value_and_what_is_allowed(control, path, body, words):
    answer = control(path, body)
    assert answer.status_code == 400
    for word in words:
        assert word in answer.json()["message"]


def test_an_unknown_connection_is_404(control):
    assert control("connections/none/start").status_code == 404


def test_an_id_is_taken_only_once(control):
    control("connections", {"id": "c"})
    assert control("connections", {"id": "c"}).status_code == 400


def test_what_is_no_object_is_refused(sim, api):
    assert api.session.post(f"{sim.url}/_control/switches", data="[]", timeout=10).status_code == 400
    assert api.session.post(f"{sim.url}/_control/switches", data="{", timeout=10).status_code == 400
