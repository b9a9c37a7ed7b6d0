"""The URLs with which an account is administered, as described calls like those of ``endpoints``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from airflow_provider_fivetran.core.models import Group
from airflow_provider_fivetran.core.paths import PAGE, no_data, segment
from airflow_provider_fivetran.core.people import Membership, Role, Team, TeamMember, User
from airflow_provider_fivetran.core.protocol import Call, Page
from airflow_provider_fivetran.core.system_keys import SystemKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "add_membership",
    "add_team_member",
    "add_user_to_group",
    "change_group",
    "change_membership",
    "change_system_key",
    "change_team",
    "change_team_member",
    "change_user",
    "create_group",
    "create_system_key",
    "create_team",
    "create_user",
    "delete_group",
    "delete_membership",
    "delete_system_key",
    "delete_team",
    "delete_user",
    "get_membership",
    "get_system_key",
    "get_team",
    "get_team_member",
    "get_user",
    "list_group_users",
    "list_memberships",
    "list_roles",
    "list_system_keys",
    "list_team_members",
    "list_teams",
    "list_users",
    "remove_account_role",
    "remove_team_member",
    "remove_user_from_group",
    "rotate_system_key",
]

T = TypeVar("T")

Whose: TypeAlias = Literal["users", "teams"]
Within: TypeAlias = Literal["groups", "connections"]


def _list(
    path: str, read: Callable[[Mapping[str, Any]], T], params: Mapping[str, str] | None = None
) -> Call[Page[T]]:
    return Call(
        method="GET",
        path=path,
        params={"limit": PAGE} | dict(params or {}),
        read=Page.reader(read),
        safe=True,
    )


def _get(path: str, read: Callable[[Mapping[str, Any]], T]) -> Call[T]:
    return Call(method="GET", path=path, read=read, safe=True)


def _change(path: str, body: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]) -> Call[T]:
    """Setting a field to a value twice is the same as once, so the call is safe to repeat."""
    return Call(method="PATCH", path=path, body=body, read=read, safe=True)


def _delete(path: str) -> Call[None]:
    """A repetition is answered with 404, and deletes no more."""
    return Call(method="DELETE", path=path, read=no_data, safe=True)


def _only(*, active: bool | None) -> dict[str, str]:
    return {} if active is None else {"active": str(active).lower()}


# --- groups -------------------------------------------------------------------------------------------------------


def create_group(name: str) -> Call[Group]:
    """``POST /v1/groups``."""
    return Call(method="POST", path="/v1/groups", body={"name": name}, read=Group.from_json)


def change_group(group_id: str, name: str) -> Call[Group]:
    """``PATCH /v1/groups/{groupId}``: a new name."""
    return _change(f"/v1/groups/{segment(group_id)}", {"name": name}, Group.from_json)


def delete_group(group_id: str) -> Call[None]:
    """``DELETE /v1/groups/{groupId}``."""
    return _delete(f"/v1/groups/{segment(group_id)}")


def list_group_users(group_id: str, *, active: bool | None = None) -> Call[Page[User]]:
    """``GET /v1/groups/{groupId}/users``."""
    return _list(f"/v1/groups/{segment(group_id)}/users", User.from_json, _only(active=active))


def add_user_to_group(group_id: str, *, email: str, role: str) -> Call[None]:
    """``POST /v1/groups/{groupId}/users``: a user who exists, by the address."""
    path = f"/v1/groups/{segment(group_id)}/users"
    return Call(method="POST", path=path, body={"email": email, "role": role}, read=no_data)


def remove_user_from_group(group_id: str, user_id: str) -> Call[None]:
    """``DELETE /v1/groups/{groupId}/users/{userId}``."""
    return _delete(f"/v1/groups/{segment(group_id)}/users/{segment(user_id)}")


# --- users --------------------------------------------------------------------------------------------------------


def list_users(*, active: bool | None = None) -> Call[Page[User]]:
    """``GET /v1/users``."""
    return _list("/v1/users", User.from_json, _only(active=active))


def get_user(user_id: str) -> Call[User]:
    """``GET /v1/users/{userId}``."""
    return _get(f"/v1/users/{segment(user_id)}", User.from_json)


def create_user(body: Mapping[str, Any]) -> Call[User]:
    """``POST /v1/users``: invite somebody. An account may do so only so many times an hour."""
    return Call(method="POST", path="/v1/users", body=body, read=User.from_json)


def change_user(user_id: str, changes: Mapping[str, Any]) -> Call[User]:
    """``PATCH /v1/users/{userId}``."""
    return _change(f"/v1/users/{segment(user_id)}", changes, User.from_json)


def delete_user(user_id: str) -> Call[None]:
    """``DELETE /v1/users/{id}``. The user's API key goes with the user."""
    return _delete(f"/v1/users/{segment(user_id)}")


# --- teams --------------------------------------------------------------------------------------------------------


def list_teams() -> Call[Page[Team]]:
    """``GET /v1/teams``."""
    return _list("/v1/teams", Team.from_json)


def get_team(team_id: str) -> Call[Team]:
    """``GET /v1/teams/{teamId}``."""
    return _get(f"/v1/teams/{segment(team_id)}", Team.from_json)


def create_team(body: Mapping[str, Any]) -> Call[Team]:
    """``POST /v1/teams``."""
    return Call(method="POST", path="/v1/teams", body=body, read=Team.from_json)


def change_team(team_id: str, changes: Mapping[str, Any]) -> Call[Team]:
    """``PATCH /v1/teams/{teamId}``."""
    return _change(f"/v1/teams/{segment(team_id)}", changes, Team.from_json)


def delete_team(team_id: str) -> Call[None]:
    """``DELETE /v1/teams/{teamId}``."""
    return _delete(f"/v1/teams/{segment(team_id)}")


def list_team_members(team_id: str, *, active: bool | None = None) -> Call[Page[TeamMember]]:
    """``GET /v1/teams/{teamId}/users``."""
    return _list(f"/v1/teams/{segment(team_id)}/users", TeamMember.from_json, _only(active=active))


def _of_member(team_id: str, user_id: str) -> str:
    return f"/v1/teams/{segment(team_id)}/users/{segment(user_id)}"


def get_team_member(team_id: str, user_id: str) -> Call[TeamMember]:
    """``GET /v1/teams/{teamId}/users/{userId}``."""
    return _get(_of_member(team_id, user_id), TeamMember.from_json)


def add_team_member(team_id: str, user_id: str, role: str) -> Call[TeamMember]:
    """``POST /v1/teams/{teamId}/users``."""
    path = f"/v1/teams/{segment(team_id)}/users"
    return Call(method="POST", path=path, body={"user_id": user_id, "role": role}, read=TeamMember.from_json)


def change_team_member(team_id: str, user_id: str, role: str) -> Call[TeamMember]:
    """``PATCH /v1/teams/{teamId}/users/{userId}``."""
    return _change(_of_member(team_id, user_id), {"role": role}, TeamMember.from_json)


def remove_team_member(team_id: str, user_id: str) -> Call[None]:
    """``DELETE /v1/teams/{teamId}/users/{userId}``."""
    return _delete(_of_member(team_id, user_id))


# --- what a user or a team may do in single groups and with single connections -------------------------------------


def _memberships(whose: Whose, owner_id: str, within: Within) -> str:
    return f"/v1/{whose}/{segment(owner_id)}/{within}"


def _membership(whose: Whose, owner_id: str, within: Within, id_: str) -> str:
    return f"{_memberships(whose, owner_id, within)}/{segment(id_)}"


def list_memberships(whose: Whose, owner_id: str, within: Within) -> Call[Page[Membership]]:
    """``GET /v1/users/{userId}/groups``, ``.../connections``, and the same of teams."""
    return _list(_memberships(whose, owner_id, within), Membership.from_json)


def get_membership(whose: Whose, owner_id: str, within: Within, id_: str) -> Call[Membership]:
    """``GET /v1/users/{userId}/groups/{groupId}`` and so on."""
    return _get(_membership(whose, owner_id, within, id_), Membership.from_json)


def add_membership(whose: Whose, owner_id: str, within: Within, id_: str, role: str) -> Call[Membership]:
    """``POST /v1/users/{userId}/groups`` and so on."""
    return Call(
        method="POST",
        path=_memberships(whose, owner_id, within),
        body={"id": id_, "role": role},
        read=Membership.from_json,
    )


def change_membership(whose: Whose, owner_id: str, within: Within, id_: str, role: str) -> Call[None]:
    """``PATCH /v1/users/{userId}/groups/{groupId}`` and so on; not each of them answers with the membership."""
    return _change(_membership(whose, owner_id, within, id_), {"role": role}, no_data)


def delete_membership(whose: Whose, owner_id: str, within: Within, id_: str) -> Call[None]:
    """``DELETE /v1/users/{userId}/groups/{groupId}`` and so on."""
    return _delete(_membership(whose, owner_id, within, id_))


def remove_account_role(whose: Whose, owner_id: str) -> Call[None]:
    """``DELETE /v1/users/{userId}/role``, and the same of a team."""
    return _delete(f"/v1/{whose}/{segment(owner_id)}/role")


def list_roles() -> Call[Page[Role]]:
    """``GET /v1/roles``."""
    return _list("/v1/roles", Role.from_json)


# --- system keys --------------------------------------------------------------------------------------------------


def _of_key(key_id: str, action: str = "") -> str:
    return f"/v1/system-keys/{segment(key_id)}{action}"


def list_system_keys() -> Call[Page[SystemKey]]:
    """``GET /v1/system-keys``. Rows may lack the permissions, and have no secret."""
    return _list("/v1/system-keys", SystemKey.from_json)


def get_system_key(key_id: str) -> Call[SystemKey]:
    """``GET /v1/system-keys/{keyId}``."""
    return _get(_of_key(key_id), SystemKey.from_json)


def create_system_key(body: Mapping[str, Any]) -> Call[SystemKey]:
    """``POST /v1/system-keys``. If the answer is lost, the list tells whether it took, and a rotation helps."""
    return Call(method="POST", path="/v1/system-keys", body=body, read=SystemKey.from_json)


def change_system_key(key_id: str, changes: Mapping[str, Any]) -> Call[SystemKey]:
    """``PATCH /v1/system-keys/{keyId}``: name and permissions."""
    return _change(_of_key(key_id), changes, SystemKey.from_json)


def rotate_system_key(key_id: str, expiration_period: str) -> Call[SystemKey]:
    """``POST /v1/system-keys/{keyId}/rotate``: a new secret, and a new end. The old secret is not accepted any more.

    Where the answer is lost, so is the new secret, and the old one is dead all the same: only a repetition gives one
    that can be used, so the call is safe to repeat.
    """
    return Call(
        method="POST",
        path=_of_key(key_id, "/rotate"),
        body={"expiration_period": expiration_period},
        read=SystemKey.from_json,
        safe=True,
    )


def delete_system_key(key_id: str) -> Call[None]:
    """``DELETE /v1/system-keys/{keyId}``."""
    return _delete(_of_key(key_id))
