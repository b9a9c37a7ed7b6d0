"""The part of the hook that reads and changes who may do what in the account: users, teams, roles and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_fivetran.arguments import check_choice, check_text
from airflow_provider_fivetran.core import account_endpoints
from airflow_provider_fivetran.core.account_endpoints import Within
from airflow_provider_fivetran.core.errors import FivetranNotFound

if TYPE_CHECKING:
    from airflow_provider_fivetran.core.account_endpoints import Whose
    from airflow_provider_fivetran.core.models import Group
    from airflow_provider_fivetran.core.people import Membership, Role, Team, TeamMember, User
    from airflow_provider_fivetran.core.protocol import Call, Page

__all__ = ["AccountCalls", "check_changes"]

T = TypeVar("T")

_OF_A_USER = ("given_name", "family_name", "role", "phone", "picture")
_OF_A_TEAM = ("name", "description", "role")


class AccountCalls:
    """Methods of :class:`~airflow_provider_fivetran.hooks.FivetranHook`.

    Roles are given by their names as :meth:`list_roles` shows them. What makes or adds something is not sent again
    when its answer is lost; the lists tell whether it took. What deletes or removes something looks first whether it
    is there.
    """

    if TYPE_CHECKING:  # what the hook has

        def _value(self, call: Call[T]) -> T: ...

        def _pages(self, call: Call[Page[T]]) -> tuple[T, ...]: ...

        def get_group(self, group_id: str) -> Group: ...

    # --- groups -----------------------------------------------------------------------------------------------

    def create_group(self, name: str) -> Group:
        """Make a group (``POST /v1/groups``)."""
        check_text("name", name)
        return self._value(account_endpoints.create_group(name))

    def rename_group(self, group_id: str, name: str) -> Group:
        """Give a group a new name (``PATCH /v1/groups/{id}``)."""
        check_text("name", name)
        return self._value(account_endpoints.change_group(group_id, name))

    def delete_group(self, group_id: str) -> None:
        """Delete a group (``DELETE /v1/groups/{id}``).

        :raises FivetranNotFound: there is none.
        """
        self.get_group(group_id)
        self._delete(account_endpoints.delete_group(group_id))

    def list_group_users(self, group_id: str, *, active: bool | None = None) -> tuple[User, ...]:
        """Read the users of a group (``GET /v1/groups/{id}/users``, all pages).

        :param active: only those who are active, or who are not.
        """
        return self._pages(account_endpoints.list_group_users(group_id, active=active))

    def add_user_to_group(self, group_id: str, *, email: str, role: str) -> None:
        """Add a user of the account to a group (``POST /v1/groups/{id}/users``).

        :param email: the address by which Fivetran knows the user.
        :param role: a role of the scope ``DESTINATION``.
        """
        self._value(account_endpoints.add_user_to_group(group_id, email=email, role=role))

    def remove_user_from_group(self, group_id: str, user_id: str) -> None:
        """Remove a user from a group (``DELETE /v1/groups/{id}/users/{userId}``).

        :raises FivetranNotFound: the group does not exist, or the user is not in it.
        """
        if user_id not in {user.id for user in self.list_group_users(group_id)}:
            raise FivetranNotFound(f"the group {group_id!r} has no user {user_id!r}")
        self._delete(account_endpoints.remove_user_from_group(group_id, user_id))

    # --- users ------------------------------------------------------------------------------------------------

    def list_users(self, *, active: bool | None = None) -> tuple[User, ...]:
        """Read all users (``GET /v1/users``, all pages).

        :param active: only those who are active, or who are not.
        """
        return self._pages(account_endpoints.list_users(active=active))

    def get_user(self, user_id: str) -> User:
        """Read one user (``GET /v1/users/{id}``).

        :raises FivetranNotFound: there is none, or the key may not see it.
        """
        return self._value(account_endpoints.get_user(user_id))

    def invite_user(
        self,
        email: str,
        *,
        given_name: str,
        family_name: str,
        role: str | None = None,
        phone: str | None = None,
    ) -> User:
        """Invite somebody into the account (``POST /v1/users``): Fivetran sends an e-mail.

        An account may invite 500 an hour, a trial account 10.

        :param role: a role of the scope ``ACCOUNT``; unset: none, for one who gets roles in groups or teams.
        """
        body = {"email": email, "given_name": given_name, "family_name": family_name}
        for name, value in body.items():
            check_text(name, value)
        more = {"role": role, "phone": phone}
        return self._value(
            account_endpoints.create_user(
                body | {name: value for name, value in more.items() if value is not None}
            )
        )

    def change_user(self, user_id: str, **changes: Any) -> User:
        """Change a user (``PATCH /v1/users/{id}``). Nobody can change the own role.

        :param changes: ``given_name``, ``family_name``, ``role``, ``phone``, ``picture``: those that change.
        :raises ValueError: something else is to be changed, or nothing.
        """
        check_changes(changes, _OF_A_USER)
        return self._value(account_endpoints.change_user(user_id, changes))

    def delete_user(self, user_id: str) -> None:
        """Delete a user (``DELETE /v1/users/{id}``). The user's API key is refused from then on.

        :raises FivetranNotFound: there is none.
        """
        self.get_user(user_id)
        self._delete(account_endpoints.delete_user(user_id))

    # --- teams ------------------------------------------------------------------------------------------------

    def list_teams(self) -> tuple[Team, ...]:
        """Read all teams (``GET /v1/teams``, all pages)."""
        return self._pages(account_endpoints.list_teams())

    def get_team(self, team_id: str) -> Team:
        """Read one team (``GET /v1/teams/{id}``).

        :raises FivetranNotFound: there is none, or the key may not see it.
        """
        return self._value(account_endpoints.get_team(team_id))

    def create_team(self, name: str, *, role: str, description: str = "") -> Team:
        """Make a team (``POST /v1/teams``).

        :param role: what its members may do in the account, a role of the scope ``ACCOUNT``.
        """
        check_text("name", name)
        check_text("role", role)
        body = {"name": name, "role": role} | ({"description": description} if description else {})
        return self._value(account_endpoints.create_team(body))

    def change_team(self, team_id: str, **changes: Any) -> Team:
        """Change a team (``PATCH /v1/teams/{id}``).

        :param changes: ``name``, ``description``, ``role``: those that change.
        :raises ValueError: something else is to be changed, or nothing.
        """
        check_changes(changes, _OF_A_TEAM)
        return self._value(account_endpoints.change_team(team_id, changes))

    def delete_team(self, team_id: str) -> None:
        """Delete a team, not its members (``DELETE /v1/teams/{id}``).

        :raises FivetranNotFound: there is none.
        """
        self.get_team(team_id)
        self._delete(account_endpoints.delete_team(team_id))

    def list_team_members(self, team_id: str, *, active: bool | None = None) -> tuple[TeamMember, ...]:
        """Read the members of a team (``GET /v1/teams/{id}/users``, all pages).

        :param active: only those who are active, or who are not.
        """
        return self._pages(account_endpoints.list_team_members(team_id, active=active))

    def get_team_member(self, team_id: str, user_id: str) -> TeamMember:
        """Read one member of a team (``GET /v1/teams/{id}/users/{userId}``).

        :raises FivetranNotFound: there is none.
        """
        return self._value(account_endpoints.get_team_member(team_id, user_id))

    def add_team_member(self, team_id: str, user_id: str, *, role: str = "Team Member") -> TeamMember:
        """Add a user to a team (``POST /v1/teams/{id}/users``).

        :param role: ``Team Member`` or ``Team Manager``.
        """
        return self._value(account_endpoints.add_team_member(team_id, user_id, role))

    def change_team_member(self, team_id: str, user_id: str, *, role: str) -> TeamMember:
        """Give a member of a team another role in it (``PATCH /v1/teams/{id}/users/{userId}``)."""
        return self._value(account_endpoints.change_team_member(team_id, user_id, role))

    def remove_team_member(self, team_id: str, user_id: str) -> None:
        """Remove a user from a team (``DELETE /v1/teams/{id}/users/{userId}``).

        :raises FivetranNotFound: the user is not in the team.
        """
        self.get_team_member(team_id, user_id)
        self._delete(account_endpoints.remove_team_member(team_id, user_id))

    # --- roles in the account, in groups and with connections --------------------------------------------------

    def list_roles(self) -> tuple[Role, ...]:
        """Read all roles that there are, also those that the account has made (``GET /v1/roles``, all pages)."""
        return self._pages(account_endpoints.list_roles())

    def remove_account_role(self, *, user_id: str | None = None, team_id: str | None = None) -> None:
        """Take the role in the account from a user or a team (``DELETE /v1/users/{id}/role``, ``/v1/teams/...``).

        Giving one is :meth:`change_user` or :meth:`change_team`.
        """
        whose, owner_id = _owner(user_id, team_id)
        self._value(account_endpoints.remove_account_role(whose, owner_id))

    def list_memberships(
        self, within: Within, *, user_id: str | None = None, team_id: str | None = None
    ) -> tuple[Membership, ...]:
        """Read in which groups, or with which connections, a user or a team has a role of its own.

        (``GET /v1/users/{id}/groups``, ``/v1/users/{id}/connections`` and the same of teams, all pages)

        :param within: ``"groups"`` or ``"connections"``.
        :raises ValueError: it is neither, or not exactly one of ``user_id`` and ``team_id`` is given.
        """
        return self._pages(account_endpoints.list_memberships(*_membership(within, user_id, team_id)))

    def get_membership(
        self, within: Within, id_: str, *, user_id: str | None = None, team_id: str | None = None
    ) -> Membership:
        """Read the role of a user or a team in one group, or with one connection.

        :param id_: of the group or the connection.
        :raises FivetranNotFound: it has none there.
        """
        return self._value(account_endpoints.get_membership(*_membership(within, user_id, team_id), id_))

    def add_membership(
        self, within: Within, id_: str, *, role: str, user_id: str | None = None, team_id: str | None = None
    ) -> Membership:
        """Give a user or a team a role in one group, or with one connection.

        :param role: of the scope ``DESTINATION`` in a group, ``CONNECTOR`` with a connection.
        """
        return self._value(
            account_endpoints.add_membership(*_membership(within, user_id, team_id), id_, role)
        )

    def change_membership(
        self, within: Within, id_: str, *, role: str, user_id: str | None = None, team_id: str | None = None
    ) -> None:
        """Give a user or a team another role in one group, or with one connection.

        :raises FivetranNotFound: it has none there.
        """
        self._value(account_endpoints.change_membership(*_membership(within, user_id, team_id), id_, role))

    def remove_membership(
        self, within: Within, id_: str, *, user_id: str | None = None, team_id: str | None = None
    ) -> None:
        """Take the role in one group, or with one connection, from a user or a team.

        :raises FivetranNotFound: it has none there.
        """
        self.get_membership(within, id_, user_id=user_id, team_id=team_id)
        place = _membership(within, user_id, team_id)
        self._delete(account_endpoints.delete_membership(*place, id_))

    def _delete(self, call: Call[None]) -> None:
        """Delete what a look has just shown, so that it being gone is the work of a repeated request."""
        try:
            self._value(call)
        except FivetranNotFound:
            return


def check_changes(changes: dict[str, Any], allowed: tuple[str, ...]) -> None:
    """Check that something is to be changed, and nothing but what can be.

    :raises ValueError: it is not so.
    """
    listed = f"allowed are {', '.join(allowed)}"
    if not changes:
        raise ValueError(f"nothing is to be changed; {listed}")
    for name in changes:
        if name not in allowed:
            raise ValueError(f"{name} cannot be changed; {listed}")


def _owner(user_id: str | None, team_id: str | None) -> tuple[Whose, str]:
    if user_id is not None and team_id is None:
        return "users", user_id
    if team_id is not None and user_id is None:
        return "teams", team_id
    raise ValueError(f"give either user_id or team_id; user_id is {user_id!r}, team_id is {team_id!r}")


def _membership(within: Within, user_id: str | None, team_id: str | None) -> tuple[Whose, str, Within]:
    check_choice("within", within, Within)
    return (*_owner(user_id, team_id), within)
