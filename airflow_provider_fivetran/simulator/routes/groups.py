"""Groups: creating, renaming, deleting, and the users who have a role in one."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_fivetran.simulator.answers import page, simulator_of, success
from airflow_provider_fivetran.simulator.bodies import (
    GROUP,
    GROUP_USER,
    check_fields,
    read_body,
    require_fields,
)
from airflow_provider_fivetran.simulator.people import Membership, check_role
from airflow_provider_fivetran.simulator.problems import conflict, not_found
from airflow_provider_fivetran.simulator.records import Group
from airflow_provider_fivetran.simulator.rights import readable_group
from airflow_provider_fivetran.simulator.routes.users import rows_of, user_of
from airflow_provider_fivetran.simulator.shapes import shape_group, shape_user

router = APIRouter()


@router.post("")
async def create_group(request: Request) -> JSONResponse:
    body = await read_body(request) or {}
    require_fields(body, "name")
    check_fields(body, GROUP)
    simulator = simulator_of(request)
    group = Group(id=simulator.people.new_id("group"), name=body["name"], created_at=simulator.clock.now())
    simulator.account.add_group(group)
    return success(request, "Group has been created", shape_group(group), 201)


@router.patch("/{group_id}")
async def change_group(request: Request, group_id: str) -> JSONResponse:
    group = readable_group(request, group_id)
    body = await read_body(request) or {}
    check_fields(body, GROUP)
    group.name = body.get("name", group.name)
    return success(request, "Group has been updated", shape_group(group))


@router.delete("/{group_id}")
async def delete_group(request: Request, group_id: str) -> JSONResponse:
    readable_group(request, group_id)
    account = simulator_of(request).account
    # What Fivetran does with one in use is not documented; nobody is surprised by a refusal.
    if any(connection.group_id == group_id for connection in account.connections.values()):
        raise conflict(f"Group with id '{group_id}' has connections")
    del account.groups[group_id]
    return success(request, f"Group with id '{group_id}' has been deleted")


@router.get("/{group_id}/users")
async def list_group_users(request: Request, group_id: str) -> Response:
    readable_group(request, group_id)
    people = simulator_of(request).people
    rows = [
        user
        for user in rows_of(request)
        if any(row.id == group_id for row in people.within("users", user.id, "groups"))
    ]
    return page(request, "Group users retrieved successfully", rows, shape_user)


@router.post("/{group_id}/users")
async def add_user_to_group(request: Request, group_id: str) -> JSONResponse:
    readable_group(request, group_id)
    body = await read_body(request) or {}
    require_fields(body, "email", "role")
    check_fields(body, GROUP_USER)
    simulator = simulator_of(request)
    found = [user for user in simulator.account.users.values() if user.email == body["email"]]
    if not found:
        raise not_found("User", body["email"])
    role = check_role(body["role"], "DESTINATION")
    membership = Membership(id=group_id, role=role, created_at=simulator.clock.now())
    simulator.people.add("users", found[0].id, "groups", membership=membership)
    return success(request, "User has been added to the group")


@router.delete("/{group_id}/users/{user_id}")
async def remove_user_from_group(request: Request, group_id: str, user_id: str) -> JSONResponse:
    readable_group(request, group_id)
    user_of(request, user_id)
    simulator_of(request).people.remove("users", user_id, "groups", of=group_id)
    return success(request, f"User with id '{user_id}' has been removed from the group")
