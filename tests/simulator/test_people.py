"""Users, teams and roles hang together: nobody is a member of what is not there."""

from __future__ import annotations

import pytest

MATE = {"email": "mate@example.com", "given_name": "M", "family_name": "L"}


@pytest.fixture
def team(api):
    return api.post("/v1/teams", {"name": "T", "role": "Account Analyst"}).json()["data"]["id"]


def test_who_is_deleted_is_nowhere_any_more(sim, api, team):
    mate = api.post("/v1/users", MATE).json()["data"]["id"]
    assert api.post(f"/v1/teams/{team}/users", {"user_id": mate}).status_code == 201
    assert api.post(f"/v1/users/{mate}/groups", {"id": "sim_group", "role": "View Destination"}).ok
    api.delete(f"/v1/users/{mate}")
    assert api.get(f"/v1/teams/{team}/users").json()["data"]["items"] == []
    assert api.get("/v1/groups/sim_group/users").json()["data"]["items"] == []
    assert api.get(f"/v1/users/{mate}/groups").status_code == 404


def test_a_team_that_is_deleted_takes_its_memberships_along(sim, api, team):
    assert api.post(f"/v1/teams/{team}/groups", {"id": "sim_group", "role": "View Destination"}).ok
    api.delete(f"/v1/teams/{team}")
    assert api.get(f"/v1/teams/{team}").json()["code"] == "NotFound_Team"
    assert api.get(f"/v1/teams/{team}/groups").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/users", {**MATE, "email": "sim@example.com"}, 409),
        ("/v1/users", {**MATE, "role": "Manage Destination"}, 400),
        ("/v1/users", {"email": "x@example.com"}, 400),
        ("/v1/teams", {"name": "T"}, 400),
        ("/v1/teams/nobody/users", {"user_id": "sim_user"}, 404),
        ("/v1/users/sim_user/groups", {"id": "nowhere", "role": "View Destination"}, 404),
        ("/v1/users/sim_user/connections", {"id": "nowhere", "role": "View Connection"}, 404),
        ("/v1/users/sim_user/groups", {"id": "sim_group", "role": "View Connection"}, 400),
        ("/v1/groups/sim_group/users", {"email": "nobody@example.com", "role": "View Destination"}, 404),
    ],
)
def test_what_does_not_fit_is_refused(api, path, body, status):
    assert api.post(path, body).status_code == status


def test_a_membership_is_made_once(api):
    body = {"id": "sim_group", "role": "View Destination"}
    assert [api.post("/v1/users/sim_user/groups", body).status_code for _ in range(2)] == [201, 409]


def test_a_group_with_connections_stays(sim, api):
    sim.add_connection("c")
    assert api.delete("/v1/groups/sim_group").status_code == 409
    sim.delete("c")
    assert api.delete("/v1/groups/sim_group").status_code == 200
