"""The calls with which an account is administered: where each goes, with what, and whether it may be repeated."""

from __future__ import annotations

import pytest

from airflow_provider_fivetran.core import account_endpoints as a

ALL = {"limit": "1000"}
PERIOD = {"expiration_period": "SIX_MONTHS"}
CALLS = [
    (a.create_group("Warehouse"), "POST", "/v1/groups", {}, {"name": "Warehouse"}),
    (a.change_group("g", "Warehouse"), "PATCH", "/v1/groups/g", {}, {"name": "Warehouse"}),
    (a.delete_group("g"), "DELETE", "/v1/groups/g", {}, None),
    (a.list_group_users("g"), "GET", "/v1/groups/g/users", ALL, None),
    (a.list_group_users("g", active=True), "GET", "/v1/groups/g/users", {**ALL, "active": "true"}, None),
    (
        a.add_user_to_group("g", email="a@b.example", role="R"),
        "POST",
        "/v1/groups/g/users",
        {},
        {"email": "a@b.example", "role": "R"},
    ),
    (a.remove_user_from_group("g", "u"), "DELETE", "/v1/groups/g/users/u", {}, None),
    (a.list_users(), "GET", "/v1/users", ALL, None),
    (a.list_users(active=False), "GET", "/v1/users", {**ALL, "active": "false"}, None),
    (a.get_user("u"), "GET", "/v1/users/u", {}, None),
    (a.create_user({"email": "a@b.example"}), "POST", "/v1/users", {}, {"email": "a@b.example"}),
    (a.change_user("u", {"role": "R"}), "PATCH", "/v1/users/u", {}, {"role": "R"}),
    (a.delete_user("u"), "DELETE", "/v1/users/u", {}, None),
    (a.list_teams(), "GET", "/v1/teams", ALL, None),
    (a.get_team("t"), "GET", "/v1/teams/t", {}, None),
    (a.create_team({"name": "T"}), "POST", "/v1/teams", {}, {"name": "T"}),
    (a.change_team("t", {"name": "T"}), "PATCH", "/v1/teams/t", {}, {"name": "T"}),
    (a.delete_team("t"), "DELETE", "/v1/teams/t", {}, None),
    (a.list_team_members("t"), "GET", "/v1/teams/t/users", ALL, None),
    (a.get_team_member("t", "u"), "GET", "/v1/teams/t/users/u", {}, None),
    (a.add_team_member("t", "u", "R"), "POST", "/v1/teams/t/users", {}, {"user_id": "u", "role": "R"}),
    (a.change_team_member("t", "u", "R"), "PATCH", "/v1/teams/t/users/u", {}, {"role": "R"}),
    (a.remove_team_member("t", "u"), "DELETE", "/v1/teams/t/users/u", {}, None),
    (a.list_memberships("users", "u", "groups"), "GET", "/v1/users/u/groups", ALL, None),
    (a.get_membership("teams", "t", "connections", "c"), "GET", "/v1/teams/t/connections/c", {}, None),
    (
        a.add_membership("users", "u", "connections", "c", "R"),
        "POST",
        "/v1/users/u/connections",
        {},
        {"id": "c", "role": "R"},
    ),
    (
        a.change_membership("teams", "t", "groups", "g", "R"),
        "PATCH",
        "/v1/teams/t/groups/g",
        {},
        {"role": "R"},
    ),
    (a.delete_membership("users", "u", "groups", "g"), "DELETE", "/v1/users/u/groups/g", {}, None),
    (a.remove_account_role("teams", "t"), "DELETE", "/v1/teams/t/role", {}, None),
    (a.list_roles(), "GET", "/v1/roles", ALL, None),
    (a.list_system_keys(), "GET", "/v1/system-keys", ALL, None),
    (a.get_system_key("k"), "GET", "/v1/system-keys/k", {}, None),
    (a.create_system_key({"name": "n"}), "POST", "/v1/system-keys", {}, {"name": "n"}),
    (a.change_system_key("k", {"name": "n"}), "PATCH", "/v1/system-keys/k", {}, {"name": "n"}),
    (a.rotate_system_key("k", "SIX_MONTHS"), "POST", "/v1/system-keys/k/rotate", {}, PERIOD),
    (a.delete_system_key("k"), "DELETE", "/v1/system-keys/k", {}, None),
]


@pytest.mark.parametrize(("call", "method", "path", "params", "body"), CALLS)
def test_each_call_goes_where_the_definition_has_it(call, method, path, params, body):
    assert (call.method, call.path, dict(call.params), call.body) == (method, path, params, body)


def test_every_call_is_shown_here():
    assert len({(call.method, call.path) for call, *_ in CALLS}) == len(a.__all__)


MAKES = [call for call, method, *_ in CALLS if method == "POST" and not call.path.endswith("/rotate")]


@pytest.mark.parametrize("call", MAKES, ids=[call.path for call in MAKES])
def test_what_makes_something_is_never_repeated_blindly(call):
    assert not call.safe


def test_a_rotation_may_be_repeated_for_only_the_last_secret_counts():
    assert a.rotate_system_key("k", "SIX_MONTHS").safe


READS = [call for call, method, *_ in CALLS if method == "GET"]


@pytest.mark.parametrize("call", READS, ids=[call.path for call in READS])
def test_what_only_reads_may_be_repeated(call):
    assert call.safe


@pytest.mark.parametrize(("id_", "written"), [("a/b", "a%2Fb"), ("a?b", "a%3Fb"), ("ü n", "%C3%BC%20n")])
def test_no_id_leads_out_of_its_place(id_, written):
    for call in (
        a.get_user(id_),
        a.get_team_member("t", id_),
        a.get_membership("users", "u", "groups", id_),
        a.get_system_key(id_),
    ):
        assert call.path.rpartition("/")[2] == written


@pytest.mark.parametrize("id_", ["..", ".", "", None])
def test_what_can_be_no_id_is_refused(id_):
    with pytest.raises(ValueError, match="cannot be an id"):
        a.get_user(id_)
