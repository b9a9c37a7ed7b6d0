"""Teams and their members."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_fivetran.simulator.answers import page, simulator_of, success
from airflow_provider_fivetran.simulator.bodies import (
    TEAM,
    TEAM_MEMBER,
    check_fields,
    read_body,
    require_fields,
)
from airflow_provider_fivetran.simulator.people import Membership, Team, check_role
from airflow_provider_fivetran.simulator.routes.users import rows_of, user_of
from airflow_provider_fivetran.simulator.shapes import timestamp

router = APIRouter()


@router.get("")
async def list_teams(request: Request) -> Response:
    return page(
        request, "Teams list retrieved successfully", simulator_of(request).people.teams.values(), vars
    )


@router.post("")
async def create_team(request: Request) -> JSONResponse:
    body = await read_body(request) or {}
    require_fields(body, "name", "role")
    check_fields(body, TEAM)
    check_role(body["role"], "ACCOUNT")
    people = simulator_of(request).people
    team = Team(id=people.new_id("team"), **{name: body[name] for name in TEAM if name in body})
    people.teams[team.id] = team
    return success(request, "Team has been created", vars(team), 201)


@router.get("/{team_id}")
async def get_team(request: Request, team_id: str) -> JSONResponse:
    return success(request, "Team details retrieved successfully", vars(_team(request, team_id)))


@router.patch("/{team_id}")
async def change_team(request: Request, team_id: str) -> JSONResponse:
    team = _team(request, team_id)
    body = await read_body(request) or {}
    check_fields(body, TEAM)
    if "role" in body:
        check_role(body["role"], "ACCOUNT")
    for name in TEAM:
        if name in body:
            setattr(team, name, body[name])
    return success(request, "Team has been updated", vars(team))


@router.delete("/{team_id}")
async def delete_team(request: Request, team_id: str) -> JSONResponse:
    simulator_of(request).people.delete_team(team_id)
    return success(request, f"Team with id '{team_id}' has been deleted")


@router.delete("/{team_id}/role")
async def remove_account_role(request: Request, team_id: str) -> JSONResponse:
    # The definition demands a role in each answer. Which one stands for none is not documented.
    _team(request, team_id).role = ""
    return success(request, "Team role in account has been removed")


@router.get("/{team_id}/users")
async def list_members(request: Request, team_id: str) -> Response:
    _team(request, team_id)
    seen = {user.id for user in rows_of(request)}
    members = simulator_of(request).people.within("teams", team_id, "users")
    rows = [member for member in members if member.id in seen]
    return page(request, "Team users retrieved successfully", rows, _shape)


@router.post("/{team_id}/users")
async def add_member(request: Request, team_id: str) -> JSONResponse:
    _team(request, team_id)
    body = await read_body(request) or {}
    require_fields(body, "user_id")
    check_fields(body, TEAM_MEMBER)
    user_of(request, body["user_id"])
    simulator = simulator_of(request)
    role = check_role(body.get("role", "Team Member"), "TEAM")
    member = Membership(id=body["user_id"], role=role, created_at=simulator.clock.now())
    simulator.people.add("teams", team_id, "users", membership=member)
    return success(request, "User has been added to the team", _shape(member), 201)


@router.get("/{team_id}/users/{user_id}")
async def get_member(request: Request, team_id: str, user_id: str) -> JSONResponse:
    member = _member(request, team_id, user_id)
    return success(request, "Team user details retrieved successfully", _shape(member))


@router.patch("/{team_id}/users/{user_id}")
async def change_member(request: Request, team_id: str, user_id: str) -> JSONResponse:
    member = _member(request, team_id, user_id)
    body = await read_body(request) or {}
    require_fields(body, "role")
    check_fields(body, TEAM_MEMBER)
    member.role = check_role(body["role"], "TEAM")
    return success(request, "User role has been updated", _shape(member))


@router.delete("/{team_id}/users/{user_id}")
async def remove_member(request: Request, team_id: str, user_id: str) -> JSONResponse:
    _team(request, team_id)
    simulator_of(request).people.remove("teams", team_id, "users", of=user_id)
    return success(request, "User has been removed from the team")


def _team(request: Request, team_id: str) -> Team:
    return simulator_of(request).people.team(team_id)


def _member(request: Request, team_id: str, user_id: str) -> Membership:
    _team(request, team_id)
    return simulator_of(request).people.membership("teams", team_id, "users", of=user_id)


def _shape(member: Membership) -> dict[str, Any]:
    return {"user_id": member.id, "role": member.role, "created_at": timestamp(member.created_at)}
