"""Keys, their rights and their rotation, the hourly budget, and what every answer carries in its headers."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest


@pytest.mark.parametrize("auth", [None, ("sim-key", "wrong"), ("nobody", "sim-secret"), ("", "")])
def test_without_a_right_key_there_is_only_401(sim, api, auth):
    api.session.auth = auth
    answer = api.get("/v1/account/info")
    assert (answer.status_code, answer.json()["code"]) == (401, "AuthFailed")
    assert "X-Rate-Limit" not in answer.headers


@pytest.mark.parametrize("header", ["Basic !!!", "Bearer abc", "Basic", "Basic /w=="])
def test_a_header_that_cannot_be_read_is_401(sim, api, header):
    api.session.auth = None
    answer = api.session.get(sim.url + "/v1/groups", headers={"Authorization": header}, timeout=10)
    assert answer.status_code == 401


def test_a_new_secret_replaces_the_old_at_once_and_a_second_key_lives_on(sim, api):
    sim.add_key("second", "two")
    sim.add_key("sim-key", "fresh")
    assert api.get("/v1/groups").status_code == 401
    api.session.auth = ("sim-key", "fresh")
    assert api.get("/v1/groups").status_code == 200
    sim.revoke("sim-key")
    assert api.get("/v1/groups").status_code == 401
    api.session.auth = ("second", "two")
    assert api.get("/v1/groups").status_code == 200


def test_the_account_names_a_user_or_a_system_key(sim, api):
    info = api.get("/v1/account/info").json()["data"]
    assert (info["user_id"], info["system_key_id"]) == ("sim_user", None)
    sim.add_key("system", "secret", system=True)
    api.session.auth = ("system", "secret")
    info = api.get("/v1/account/info").json()["data"]
    assert (info["user_id"], info["system_key_id"]) == (None, "system")


def test_a_key_that_may_not_list_reads_single_connections(sim, api):
    sim.add_connection("c")
    sim.add_key("narrow", "secret", may_list=False)
    api.session.auth = ("narrow", "secret")
    assert api.get("/v1/connections").status_code == 403
    assert api.get("/v1/connections/c").status_code == 200


def test_no_key_may_list_where_the_account_forbids_it(sim, api):
    sim.switches.list_allowed = False
    assert api.get("/v1/connections").json()["code"] == "Forbidden"
    assert api.get("/v1/groups/sim_group/connections").status_code == 403


def test_a_reading_key_changes_nothing(sim, api):
    sim.add_connection("c")
    sim.add_key("viewer", "secret", may_write=False)
    api.session.auth = ("viewer", "secret")
    assert api.get("/v1/connections/c").status_code == 200
    assert api.post("/v1/connections/c/sync").status_code == 403
    assert api.change("c", paused=True).status_code == 403
    assert sim.accepted("c") == []


def test_a_key_of_one_group_sees_no_other(sim, api):
    sim.add_group("other")
    sim.add_connection("mine", group_id="other")
    sim.add_connection("theirs")
    sim.add_transformation("t")
    sim.add_key("narrow", "secret", groups=["other"])
    api.session.auth = ("narrow", "secret")
    assert [row["id"] for row in api.get("/v1/connections").json()["data"]["items"]] == ["mine"]
    assert [row["id"] for row in api.get("/v1/groups").json()["data"]["items"]] == ["other"]
    assert api.get("/v1/transformations").json()["data"]["items"] == []
    assert api.get("/v1/connections/theirs").status_code == 403
    assert api.get("/v1/transformations/t").status_code == 403
    assert api.get("/v1/groups/sim_group").status_code == 404


def test_the_budget_counts_down_and_says_when_it_frees(sim, api):
    sim.switches.hourly_budget = 2
    first = api.get("/v1/groups")
    assert (first.headers["X-Rate-Limit"], first.headers["X-Rate-Limit-Remaining"]) == ("2", "1")
    sim.clock.advance(600)
    assert api.get("/v1/groups").headers["X-Rate-Limit-Remaining"] == "0"
    refused = api.get("/v1/groups")
    assert (refused.status_code, refused.json()["code"]) == (429, "TooManyRequests")
    assert refused.headers["Retry-After"] == "3000"
    sim.clock.advance(3000)
    assert api.get("/v1/groups").status_code == 200


def test_every_answer_is_dated_by_the_simulators_clock(sim, api):
    sim.clock.advance(86_400)
    answer = api.get("/v1/groups")
    assert parsedate_to_datetime(answer.headers["Date"]) == sim.clock.now().replace(microsecond=0)
    assert answer.headers["X-Request-Id"] != api.get("/v1/groups").headers["X-Request-Id"]


def test_the_log_tells_what_was_asked_and_hides_the_secret(sim, api):
    sim.add_connection("c")
    api.post("/v1/connections/c/sync", {"force": True})
    api.get("/v1/connections", limit=5)
    first, second = sim.requests
    assert (first.method, first.path, first.body, first.status) == (
        "POST",
        "/v1/connections/c/sync",
        {"force": True},
        200,
    )
    assert (second.query, second.key, second.fault) == ({"limit": "5"}, "sim-key", None)
    assert "authorization" not in second.headers
    assert sim.count("POST", "/sync") == 1
    assert sim.count() == 2


def test_others_of_the_account_are_listed(sim, api):
    sim.add_user("u2", "two@example.com", active=False)
    assert [row["id"] for row in api.get("/v1/users").json()["data"]["items"]] == ["sim_user", "u2"]
    assert [row["id"] for row in api.get("/v1/users", active="true").json()["data"]["items"]] == ["sim_user"]
    assert api.get("/v1/groups/sim_group").json()["data"]["name"] == "Warehouse"
    assert api.get("/v1/destinations/sim_group").json()["data"]["group_id"] == "sim_group"
    assert [row["id"] for row in api.get("/v1/destinations").json()["data"]["items"]] == ["sim_group"]


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        ("users", ["/v1/users", "/v1/users/sim_user"]),
        ("groups", ["/v1/groups", "/v1/groups/sim_group"]),
        ("destinations", ["/v1/destinations", "/v1/destinations/sim_group"]),
        ("transformations", ["/v1/transformations", "/v1/transformations/t"]),
    ],
)
def test_a_key_may_see_nothing_of_a_kind_of_things(sim, api, kind, paths):
    sim.add_transformation("t")
    assert [api.get(path).status_code for path in paths] == [200, 200]
    sim.add_key("narrow", "s", hidden=[kind])
    api.session.auth = ("narrow", "s")
    assert [api.get(path).status_code for path in paths] == [403, 403]
    assert api.get("/v1/connections").status_code == 200


def test_what_a_key_hides_is_checked(sim, api):
    with pytest.raises(ValueError, match="hidden is 'teams'; allowed: users, groups, destinations"):
        sim.add_key("narrow", "s", hidden=["teams"])
    described = {"keys": [{"key": "k", "secret": "s", "hidden": ["users"], "may_write": False}]}
    assert api.post("/_control/account", described).status_code == 200
    assert sim.account.keys["k"].hidden == {"users"}
