"""System keys and their permissions, and the cover of a secret that Fivetran shows once."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import asdict

import pytest

from airflow_provider_fivetran.core.sealed import Sealed
from airflow_provider_fivetran.core.system_keys import Permission, SystemKey, lesser_rights

MANAGES = Permission(resource_type="CONNECTOR", access_level="MANAGE", ids=("c",), group_ids=("g",))
SHOWN = {
    "id": "k",
    "name": "prod",
    "key": "login",
    "permissions": [MANAGES.to_json(), {"resource_type": "NEWER_WORD", "access_level": "READ"}],
    "created_at": "2026-11-02T10:00:00Z",
    "expired_at": "2027-11-02T10:00:00Z",
}


def test_a_key_is_read_as_it_is_shown():
    key = SystemKey.from_json(SHOWN)
    assert (key.id, key.name, key.key) == ("k", "prod", "login")
    assert key.permissions == (MANAGES, Permission(resource_type="NEWER_WORD", access_level="READ"))
    assert (key.created_at.year, key.expires_at.year, key.last_used_at) == (2026, 2027, None)
    assert key.secret is None


def test_only_the_answer_that_made_it_has_the_secret_which_no_repr_shows():
    key = SystemKey.from_json({**SHOWN, "secret": "needle"})
    assert str(key.secret.reveal()) == "needle"
    assert "needle" not in repr(key)
    assert "login" not in repr(key)
    assert key == SystemKey.from_json(SHOWN)


@pytest.mark.parametrize(
    "write",
    [pickle.dumps, copy.copy, copy.deepcopy, json.dumps],
    ids=["pickle", "copy", "deepcopy", "json"],
)
def test_a_sealed_secret_is_written_nowhere(write):
    with pytest.raises(TypeError) as caught:
        write(Sealed("needle"))
    assert "needle" not in str(caught.value)


def test_nor_is_the_key_that_holds_it():
    with pytest.raises(TypeError, match="not written anywhere"):
        asdict(SystemKey.from_json({**SHOWN, "secret": "needle"}))


@pytest.mark.parametrize(
    "given",
    [
        MANAGES,
        {"resource_type": "CONNECTOR", "access_level": "MANAGE", "ids": ["c"], "group_ids": ("g",)},
    ],
    ids=["permission", "mapping"],
)
def test_a_permission_is_taken_as_one_or_as_a_mapping(given):
    assert Permission.of(given) == MANAGES


def test_a_permission_for_all_is_sent_without_a_filter():
    permission = Permission.of({"resource_type": "USER", "access_level": "READ"})
    assert permission.to_json() == {"resource_type": "USER", "access_level": "READ"}
    assert Permission.from_json(permission.to_json()) == permission


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("CONNECTOR", "a permission is 'CONNECTOR'; allowed is a Permission or a mapping"),
        ({"resource": "USER"}, "a permission has no 'resource'; allowed are resource_type, access_level"),
        ({"access_level": "READ"}, "the resource_type of a permission is None; allowed are 'ACCOUNT'"),
        (
            {"resource_type": "USER", "access_level": "WRITE"},
            "the access_level of a permission is 'WRITE'; allowed are",
        ),
        (
            {"resource_type": "USER", "access_level": "READ", "ids": []},
            r"the ids of a permission is \[\]; allowed is a list of ids, or to leave it out",
        ),
        (
            {"resource_type": "USER", "access_level": "READ", "group_ids": "g"},
            "the group_ids of a permission is 'g'; allowed is a list of ids",
        ),
    ],
)
def test_a_wrong_permission_is_refused_with_what_is_allowed(given, what):
    with pytest.raises(ValueError, match=what):
        Permission.of(given)


def key(*permissions):
    return SystemKey(
        id="k",
        name="n",
        key="login",
        permissions=tuple(
            Permission(resource_type=type_, access_level=level, **only) for type_, level, only in permissions
        ),
    )


READ, MANAGE, NONE = (("CONNECTOR", level, {}) for level in ("READ", "MANAGE", "NONE"))
IN_G, IN_H = (("CONNECTOR", "MANAGE", {"group_ids": (group,)}) for group in "gh")
BUT_C = ("CONNECTOR", "NONE", {"ids": ("c",)})
NEWER = ("CONNECTOR", "NEWER_WORD", {})
USERS = ("USER", "READ", {})


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ([MANAGE], [MANAGE]),
        ([MANAGE], [READ]),
        ([MANAGE], [IN_G, BUT_C]),
        ([READ], [NONE]),
        ([], [NONE]),
        ([], []),
        ([MANAGE, USERS], [READ]),
        ([BUT_C, IN_H, IN_G], [IN_G, IN_H, BUT_C]),
        ([NEWER], [NEWER]),
    ],
)
def test_a_key_may_do_as_much_as_another(held, wanted):
    assert lesser_rights(key(*held), than=key(*wanted)) == []


@pytest.mark.parametrize(
    ("held", "wanted", "lesser"),
    [
        ([READ], [MANAGE], ["CONNECTOR"]),
        ([], [READ], ["CONNECTOR"]),
        ([NONE], [READ, USERS], ["CONNECTOR", "USER"]),
        ([IN_G], [MANAGE], ["CONNECTOR"]),
        ([IN_G], [IN_H], ["CONNECTOR"]),
        ([MANAGE, BUT_C], [MANAGE], ["CONNECTOR"]),
        ([NEWER], [READ], ["CONNECTOR"]),
        ([MANAGE], [NEWER], ["CONNECTOR"]),
        ([MANAGE], [MANAGE, USERS], ["USER"]),
    ],
)
def test_a_key_that_may_do_less_than_another_is_known_by_the_types(held, wanted, lesser):
    assert lesser_rights(key(*held), than=key(*wanted)) == lesser
