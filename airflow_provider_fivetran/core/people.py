"""Who may do what in a Fivetran account, as frozen values.

Source: Fivetran's REST API definition, schemas ``UserResponse``, ``TeamResponse``, ``TeamMembershipResponse``,
``MembershipResponse`` and ``RoleResponse``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.fields import flag, maybe_moment, maybe_text, text, texts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["Membership", "Role", "Team", "TeamMember", "User"]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of the account."""

    id: str
    email: str
    given_name: str
    family_name: str
    role: str | None
    """The role in the account; ``None`` for one whose roles are those of teams, groups and connections."""
    is_active: bool
    is_invited: bool
    """Whether the user was invited, and has not yet accepted."""
    is_verified: bool
    """Whether the address is verified."""
    created_at: datetime | None = None
    logged_in_at: datetime | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> User:
        return cls(
            id=text(data, "id"),
            email=maybe_text(data, "email") or "",
            given_name=maybe_text(data, "given_name") or "",
            family_name=maybe_text(data, "family_name") or "",
            role=maybe_text(data, "role") or None,
            is_active=flag(data, "active"),
            is_invited=flag(data, "invited"),
            is_verified=flag(data, "verified"),
            created_at=maybe_moment(data, "created_at"),
            logged_in_at=maybe_moment(data, "logged_in_at"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A team of the account."""

    id: str
    name: str
    description: str
    role: str | None
    """The role in the account."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Team:
        return cls(
            id=text(data, "id"),
            name=maybe_text(data, "name") or "",
            description=maybe_text(data, "description") or "",
            role=maybe_text(data, "role") or None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamMember:
    """A user as a member of a team."""

    user_id: str
    role: str
    """The role within the team: ``Team Member`` or ``Team Manager``."""
    created_at: datetime | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TeamMember:
        return cls(
            user_id=maybe_text(data, "user_id") or "",
            role=maybe_text(data, "role") or "",
            created_at=maybe_moment(data, "created_at"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a user or a team may do in one group or with one connection."""

    id: str
    """Of the group or the connection."""
    role: str
    created_at: datetime | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Membership:
        return cls(
            id=text(data, "id"),
            role=maybe_text(data, "role") or "",
            created_at=maybe_moment(data, "created_at"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role that users, teams and keys can have, by the name with which it is given."""

    name: str
    description: str
    scope: tuple[str, ...]
    """What it is about: ``ACCOUNT``, ``DESTINATION``, ``CONNECTOR``, ``TEAM``, or newer words."""
    is_custom: bool
    is_deprecated: bool
    replacement: str | None = None
    """The name of the role that takes the place of a deprecated one."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Role:
        return cls(
            name=maybe_text(data, "name") or "",
            description=maybe_text(data, "description") or "",
            scope=texts(data, "scope"),
            is_custom=flag(data, "is_custom"),
            is_deprecated=flag(data, "is_deprecated"),
            replacement=maybe_text(data, "replacement_role_name") or None,
        )
