"""The hook's requests about users, teams, roles, groups and system keys."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle

import pytest
from airflow.providers.common.compat.sdk import XCom

from airflow_provider_fivetran.core.sealed import Sealed
from airflow_provider_fivetran.core.system_keys import Permission, SystemKey
from airflow_provider_fivetran.exceptions import (
    FivetranApiError,
    FivetranForbidden,
    FivetranNotFound,
    FivetranUnauthorized,
    FivetranUnreachable,
)
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.simulator import Fault

SYNCS = {"resource_type": "CONNECTOR", "access_level": "MANAGE"}


@pytest.fixture
def hook(blocking):
    with FivetranHook(blocking.conn_id, fivetran_retry_delay=0.01) as hook:
        yield hook


@pytest.fixture
def mate(hook):
    return hook.invite_user("mate@example.com", given_name="Mate", family_name="Low", role="Account Reviewer")


@pytest.fixture
def team(hook):
    return hook.create_team("Analysts", role="Account Analyst", description="they ask")


class TestUsers:
    def test_somebody_is_invited_changed_and_deleted(self, hook, mate):
        assert (mate.email, mate.role, mate.is_invited, mate.is_verified) == (
            "mate@example.com",
            "Account Reviewer",
            True,
            False,
        )
        changed = hook.change_user(mate.id, role="Account Analyst", family_name="High")
        assert (changed.role, changed.family_name) == ("Account Analyst", "High")
        assert hook.get_user(mate.id) == changed
        assert [user.id for user in hook.list_users()] == ["sim_user", mate.id]
        hook.delete_user(mate.id)
        with pytest.raises(FivetranNotFound):
            hook.get_user(mate.id)

    def test_only_those_who_are_active_or_not_are_listed(self, blocking, hook):
        blocking.sim.add_user("gone", "gone@example.com", active=False)
        assert [user.id for user in hook.list_users(active=False)] == ["gone"]
        assert [user.id for user in hook.list_users(active=True)] == ["sim_user"]

    def test_the_list_goes_over_more_than_one_page(self, blocking, hook):
        for number in range(1003):
            blocking.sim.add_user(f"u{number}", f"u{number}@example.com")
        assert len(hook.list_users()) == 1004

    def test_the_role_in_the_account_is_taken_away(self, hook, mate, team):
        hook.remove_account_role(user_id=mate.id)
        hook.remove_account_role(team_id=team.id)
        assert hook.get_user(mate.id).role is None
        assert hook.get_team(team.id).role is None

    def test_an_invitation_is_not_repeated_where_it_may_have_gone_out(self, blocking, hook):
        blocking.sim.faults.add(Fault("lost", method="POST"))
        with pytest.raises(FivetranUnreachable):
            hook.invite_user("mate@example.com", given_name="Mate", family_name="Low")
        assert blocking.sim.count("POST") == 1
        assert hook.list_users()[-1].role is None

    @pytest.mark.parametrize("changes", [{}, {"email": "other@example.com"}])
    def test_only_what_can_be_changed_is_sent(self, blocking, hook, changes):
        with pytest.raises(ValueError, match="allowed are given_name, family_name, role, phone, picture"):
            hook.change_user("sim_user", **changes)
        assert blocking.heard == []

    def test_a_role_that_does_not_exist_is_refused_with_fivetrans_words(self, hook):
        with pytest.raises(FivetranApiError, match=r"400.*'King'.*Account Administrator"):
            hook.change_user("sim_user", role="King")


class TestTeams:
    def test_a_team_is_made_changed_and_deleted(self, hook, team):
        assert hook.list_teams() == (team,)
        assert hook.change_team(team.id, name="Askers").name == "Askers"
        assert hook.get_team(team.id).description == "they ask"
        hook.delete_team(team.id)
        assert hook.list_teams() == ()

    def test_users_come_and_go(self, hook, team, mate):
        assert hook.add_team_member(team.id, mate.id).role == "Team Member"
        hook.change_team_member(team.id, mate.id, role="Team Manager")
        assert hook.get_team_member(team.id, mate.id).role == "Team Manager"
        assert [member.user_id for member in hook.list_team_members(team.id)] == [mate.id]
        assert hook.list_team_members(team.id, active=False) == ()
        hook.remove_team_member(team.id, mate.id)
        assert hook.list_team_members(team.id) == ()


class TestMemberships:
    @pytest.mark.parametrize("owner", ["user", "team"])
    @pytest.mark.parametrize(
        ("within", "id_", "roles"),
        [
            ("groups", "sim_group", ["View Destination", "Manage Destination"]),
            ("connections", "c", ["View Connection", "Edit Connection"]),
        ],
    )
    def test_a_role_is_given_changed_and_taken(self, blocking, hook, team, mate, owner, within, id_, roles):
        blocking.add()
        whose = {"user_id": mate.id} if owner == "user" else {"team_id": team.id}
        made = hook.add_membership(within, id_, role=roles[0], **whose)
        assert (made.id, made.role) == (id_, roles[0])
        hook.change_membership(within, id_, role=roles[1], **whose)
        assert hook.get_membership(within, id_, **whose).role == roles[1]
        assert [row.id for row in hook.list_memberships(within, **whose)] == [id_]
        hook.remove_membership(within, id_, **whose)
        assert hook.list_memberships(within, **whose) == ()

    @pytest.mark.parametrize("whose", [{}, {"user_id": "u", "team_id": "t"}])
    def test_they_are_those_of_one_user_or_one_team(self, blocking, hook, whose):
        with pytest.raises(ValueError, match="give either user_id or team_id"):
            hook.list_memberships("groups", **whose)
        assert blocking.heard == []

    def test_they_are_in_groups_or_connections(self, hook):
        with pytest.raises(ValueError, match="within is 'teams'; allowed are 'groups', 'connections'"):
            hook.list_memberships("teams", user_id="u")

    def test_an_empty_id_does_not_read_the_list(self, hook):
        with pytest.raises(ValueError, match="'' cannot be an id"):
            hook.get_membership("groups", "", user_id="sim_user")


class TestGroups:
    def test_a_group_is_made_renamed_and_deleted(self, hook):
        group = hook.create_group("Lake")
        assert hook.rename_group(group.id, "Sea").name == "Sea"
        assert [known.name for known in hook.list_groups()] == ["Warehouse", "Sea"]
        hook.delete_group(group.id)
        assert [known.name for known in hook.list_groups()] == ["Warehouse"]

    def test_a_user_joins_by_the_address_and_leaves(self, hook, mate):
        hook.add_user_to_group("sim_group", email=mate.email, role="View Destination")
        assert [user.id for user in hook.list_group_users("sim_group")] == [mate.id]
        assert hook.get_membership("groups", "sim_group", user_id=mate.id).role == "View Destination"
        hook.remove_user_from_group("sim_group", mate.id)
        assert hook.list_group_users("sim_group") == ()

    @pytest.mark.parametrize(("group_id", "words"), [("absent", "404"), ("sim_group", "has no user")])
    def test_a_user_who_is_not_in_the_group_cannot_leave_it(self, blocking, hook, mate, group_id, words):
        with pytest.raises(FivetranNotFound, match=words):
            hook.remove_user_from_group(group_id, mate.id)
        assert blocking.sim.count("DELETE") == 0

    def test_roles_are_listed_with_what_they_are_about(self, hook):
        roles = {role.name: role for role in hook.list_roles()}
        assert roles["Manage Connection"].scope == ("CONNECTOR",)
        old = roles["Destination Administrator"]
        assert (old.is_deprecated, old.replacement) == (True, "Manage Destination")
        assert roles["Manage Destination"].replacement is None


DELETIONS = {
    "delete_user": ("u",),
    "delete_team": ("t",),
    "delete_group": ("g",),
    "remove_team_member": ("t", "u"),
    "remove_user_from_group": ("g", "u"),
    "revoke_system_key": ("k",),
}


@pytest.mark.parametrize(("name", "ids"), DELETIONS.items())
def test_deleting_what_never_was_is_an_error(blocking, hook, name, ids):
    with pytest.raises(FivetranNotFound):
        getattr(hook, name)(*ids)
    assert blocking.sim.count("DELETE") == 0


def test_a_deletion_whose_answer_is_lost_is_done(blocking, hook, mate):
    blocking.sim.faults.add(Fault("lost", method="DELETE"))
    hook.delete_user(mate.id)
    assert [user.id for user in hook.list_users()] == ["sim_user"]


def login(blocking, monkeypatch, key, secret, conn_id="as_somebody"):
    """Another Airflow connection to the same account."""
    fields = {"conn_type": "fivetran", "login": key, "password": secret, "host": blocking.sim.url}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
    return FivetranHook(conn_id, fivetran_retry_delay=0.01)


class TestSystemKeys:
    def test_a_key_works_from_its_creation_to_its_revocation(self, blocking, hook, monkeypatch):
        made = hook.create_system_key("loader", permissions=[SYNCS], expiration_period="ONE_WEEK")
        first = made.secret.reveal()
        with login(blocking, monkeypatch, made.key, first) as loader:
            assert loader.own_account().system_key_id == made.id
            rotated = hook.rotate_system_key(made.id, expiration_period="ONE_MONTH")
            assert rotated.key == made.key
            assert rotated.expires_at > made.expires_at
            with pytest.raises(FivetranUnauthorized):
                loader.own_account()
        with login(blocking, monkeypatch, made.key, rotated.secret.reveal()) as loader:
            assert loader.own_account().system_key_id == made.id
            hook.revoke_system_key(made.id)
            with pytest.raises(FivetranUnauthorized):
                loader.own_account()
        assert hook.list_system_keys() == ()

    def test_it_may_what_its_permissions_say(self, blocking, hook, monkeypatch):
        blocking.add()
        blocking.sim.add_group("other")
        blocking.sim.add_connection("hidden", group_id="other")
        here = Permission(resource_type="CONNECTOR", access_level="READ", group_ids=("sim_group",))
        made = hook.create_system_key("viewer", permissions=[here])
        with login(blocking, monkeypatch, made.key, made.secret.reveal()) as viewer:
            assert [connection.id for connection in viewer.list_connections()] == ["c"]
            for forbidden in (
                lambda: viewer.pause_connection("c"),
                viewer.list_users,
                viewer.list_system_keys,
            ):
                with pytest.raises(FivetranForbidden):
                    forbidden()
        assert hook.get_system_key(made.id).permissions == (here,)
        hook.change_system_key(made.id, permissions=[SYNCS], name="doer")
        with login(blocking, monkeypatch, made.key, made.secret.reveal()) as doer:
            assert doer.pause_connection("c").paused
        assert hook.get_system_key(made.id).name == "doer"

    @pytest.mark.parametrize(
        ("permissions", "words"),
        [
            ([], "permissions is \\[\\]; allowed is a list"),
            ("all", "permissions is 'all'; allowed is a list"),
            (["all"], "a permission is 'all'"),
            (
                [{"resource_type": "CONNECTION", "access_level": "READ"}],
                "'CONNECTION'; allowed are 'ACCOUNT'",
            ),
            (
                [{"resource_type": "CONNECTOR"}],
                "the access_level of a permission is None; allowed are 'NONE'",
            ),
            ([{**SYNCS, "groups": ["g"]}], "a permission has no 'groups'; allowed are resource_type"),
            (
                [{**SYNCS, "group_ids": []}],
                "the group_ids of a permission is \\[\\]; allowed is a list of ids",
            ),
            ([{**SYNCS, "ids": "c"}], "the ids of a permission is 'c'; allowed is a list of ids"),
        ],
    )
    def test_permissions_that_do_not_exist_are_refused_at_once(self, blocking, hook, permissions, words):
        with pytest.raises(ValueError, match=words):
            hook.create_system_key("loader", permissions=permissions)
        with pytest.raises(ValueError, match=words):
            hook.change_system_key("k", permissions=permissions)
        assert blocking.heard == []

    def test_periods_that_do_not_exist_are_refused_at_once(self, blocking, hook):
        for wrong in (
            lambda: hook.create_system_key("k", permissions=[SYNCS], expiration_period="ONE_DAY"),
            lambda: hook.rotate_system_key("k", expiration_period="ONE_DAY"),
        ):
            with pytest.raises(ValueError, match="expiration_period is 'ONE_DAY'; allowed are 'INFINITE'"):
                wrong()
        assert blocking.heard == []

    def test_a_rotation_whose_answer_is_lost_is_repeated_for_a_secret_that_works(
        self, blocking, hook, monkeypatch
    ):
        made = blocking.sim.add_system_key("loader", permissions=[SYNCS])
        blocking.sim.faults.add(Fault("lost", method="POST"))
        rotated = hook.rotate_system_key(made.id)
        assert blocking.sim.count("POST", "/rotate$") == 2
        with login(blocking, monkeypatch, made.key, rotated.secret.reveal()) as loader:
            assert loader.own_account().system_key_id == made.id

    def test_no_secret_shows_in_any_answer_but_that_which_made_it(self, blocking, hook):
        made = hook.create_system_key("loader", permissions=[SYNCS])
        assert made.secret is not None
        assert hook.list_system_keys()[0].secret is None
        assert hook.get_system_key(made.id).secret is None
        assert hook.change_system_key(made.id, name="other").secret is None

    def test_own_account_never_asks_with_the_fallback(self, blocking, hook, monkeypatch):
        login(blocking, monkeypatch, "sim-key", "sim-secret", conn_id="spare")
        blocking.declare(password="wrong", extra={"fallback_conn_id": "spare"})
        with FivetranHook(blocking.conn_id) as refused:
            assert refused.get_account().user_id == "sim_user"
            with pytest.raises(FivetranUnauthorized):
                refused.own_account()


class TestSecrets:
    SECRET = "needle-of-a-secret"

    @pytest.fixture
    def key(self):
        return SystemKey.from_json({"id": "k", "name": "n", "key": "ft_needle", "secret": self.SECRET})

    def test_it_is_shown_to_whoever_asks_for_it_and_nobody_else(self, key):
        assert key.secret.reveal() == self.SECRET
        for shown in (repr(key), str(key), repr(key.secret), f"{key.secret}", repr(key.secret.reveal())):
            assert "needle" not in shown

    @pytest.mark.parametrize(
        "write",
        [
            lambda key: json.dumps(dataclasses.asdict(key)),
            lambda key: json.dumps(key.secret),
            pickle.dumps,
            copy.deepcopy,
        ],
    )
    def test_it_cannot_be_written_down_by_mistake(self, key, write):
        with pytest.raises(TypeError):
            write(key)

    def test_it_cannot_be_an_xcom(self, key):
        for value in (key, key.secret):
            with pytest.raises((TypeError, AttributeError)):
                XCom.serialize_value(value)

    def test_its_maker_has_it_masked_in_the_log(self, blocking, hook, caplog, capsys):
        caplog.set_level(logging.DEBUG)
        made = hook.create_system_key("loader", permissions=[SYNCS])
        hook.log.info("made %s %r", made, made.secret)
        said = caplog.text + "".join(capsys.readouterr())
        assert str(made.secret.reveal()) not in said
        assert isinstance(made.secret, Sealed)
