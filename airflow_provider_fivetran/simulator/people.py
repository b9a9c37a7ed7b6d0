"""Teams, and what users and teams may do in single groups and with single connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .problems import conflict, invalid, not_found

if TYPE_CHECKING:
    from datetime import datetime

# The standard roles, with what they are about; one of them is deprecated, and has a replacement.
ROLES: dict[str, str] = {
    "Account Administrator": "ACCOUNT",
    "Account Analyst": "ACCOUNT",
    "Account Billing": "ACCOUNT",
    "Account Reviewer": "ACCOUNT",
    "Create Connection": "DESTINATION",
    "Destination Administrator": "DESTINATION",
    "Edit Destination": "DESTINATION",
    "Manage Destination": "DESTINATION",
    "View Destination": "DESTINATION",
    "Edit Connection": "CONNECTOR",
    "Manage Connection": "CONNECTOR",
    "View Connection": "CONNECTOR",
    "Team Manager": "TEAM",
    "Team Member": "TEAM",
}
REPLACED_ROLES = {"Destination Administrator": "Manage Destination"}
SCOPES = {"groups": "DESTINATION", "connections": "CONNECTOR"}


@dataclass(kw_only=True)
class Team:
    """A team; ``role`` is the one in the account, empty where it has none."""

    id: str
    name: str
    role: str
    description: str = ""


@dataclass(kw_only=True)
class Membership:
    """Somebody's role somewhere; ``id`` is that of the user, group or connection."""

    id: str
    role: str
    created_at: datetime


class People:
    """What is known of people beyond the users themselves, whom the account knows."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.teams: dict[str, Team] = {}
        self._made = 0
        self._memberships: dict[tuple[str, ...], dict[str, Membership]] = {}

    def new_id(self, kind: str) -> str:
        self._made += 1
        return f"{kind}_{self._made}"

    def team(self, team_id: str) -> Team:
        if team_id not in self.teams:
            raise not_found("Team", team_id)
        return self.teams[team_id]

    def delete_team(self, team_id: str) -> None:
        self.team(team_id)
        del self.teams[team_id]
        self._forget("teams", team_id)

    def forget_user(self, user_id: str) -> None:
        self._forget("users", user_id)
        for members in self._memberships.values():
            members.pop(user_id, None)

    def _forget(self, *owner: str) -> None:
        for place in [place for place in self._memberships if place[: len(owner)] == owner]:
            del self._memberships[place]

    # A place is ("users" or "teams", an id, "groups" or "connections"); of members ("teams", an id, "users").

    def within(self, *place: str) -> list[Membership]:
        return list(self._memberships.get(place, {}).values())

    def membership(self, *place: str, of: str) -> Membership:
        if of not in self._memberships.get(place, {}):
            raise not_found("Membership", of)
        return self._memberships[place][of]

    def add(self, *place: str, membership: Membership) -> None:
        known = self._memberships.setdefault(place, {})
        if membership.id in known:
            raise conflict(f"There is a membership of '{membership.id}' already")
        known[membership.id] = membership

    def remove(self, *place: str, of: str) -> Membership:
        self.membership(*place, of=of)
        return self._memberships[place].pop(of)


def check_role(role: str, scope: str) -> str:
    """Refuse a role that does not exist, or is about something else."""
    allowed = [name for name, about in ROLES.items() if about == scope]
    if role not in allowed:
        raise invalid(f"Field 'role' is {role!r}; allowed: {', '.join(allowed)}")
    return role
