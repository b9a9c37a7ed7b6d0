"""Users, teams and roles as Fivetran shows them, whole and with as little as its definition allows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_fivetran.core.people import Membership, Role, Team, TeamMember, User

AT = "2026-11-02T10:00:00Z"
MOMENT = datetime(2026, 11, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "shown", "read"),
    [
        (
            User,
            {
                "id": "u",
                "email": "ada@shop.example",
                "given_name": "Ada",
                "family_name": "L",
                "role": "Account Reviewer",
                "active": True,
                "invited": False,
                "verified": True,
                "created_at": AT,
                "logged_in_at": AT,
            },
            User(
                id="u",
                email="ada@shop.example",
                given_name="Ada",
                family_name="L",
                role="Account Reviewer",
                is_active=True,
                is_invited=False,
                is_verified=True,
                created_at=MOMENT,
                logged_in_at=MOMENT,
            ),
        ),
        (
            User,
            {"id": "u", "email": None, "role": "", "logged_in_at": None},
            User(
                id="u",
                email="",
                given_name="",
                family_name="",
                role=None,
                is_active=False,
                is_invited=False,
                is_verified=False,
            ),
        ),
        (
            Team,
            {"id": "t", "name": "Analysts", "description": "d", "role": "Account Analyst"},
            Team(id="t", name="Analysts", description="d", role="Account Analyst"),
        ),
        (Team, {"id": "t"}, Team(id="t", name="", description="", role=None)),
        (
            TeamMember,
            {"user_id": "u", "role": "Team Manager", "created_at": AT},
            TeamMember(user_id="u", role="Team Manager", created_at=MOMENT),
        ),
        (TeamMember, {}, TeamMember(user_id="", role="")),
        (
            Membership,
            {"id": "g", "role": "View Destination", "created_at": AT},
            Membership(id="g", role="View Destination", created_at=MOMENT),
        ),
        (Membership, {"id": "g"}, Membership(id="g", role="")),
        (
            Role,
            {
                "name": "Old",
                "description": "d",
                "scope": ["ACCOUNT", "NEWER_WORD"],
                "is_custom": True,
                "is_deprecated": True,
                "replacement_role_name": "New",
            },
            Role(
                name="Old",
                description="d",
                scope=("ACCOUNT", "NEWER_WORD"),
                is_custom=True,
                is_deprecated=True,
                replacement="New",
            ),
        ),
        (
            Role,
            {"name": "R", "replacement_role_name": ""},
            Role(name="R", description="", scope=(), is_custom=False, is_deprecated=False),
        ),
    ],
)
def test_it_is_read_as_it_is_shown(kind, shown, read):
    assert kind.from_json(shown) == read
