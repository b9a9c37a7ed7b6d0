"""The account, its groups, destinations and users."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_fivetran.simulator.answers import page, page_of_connections, simulator_of, success
from airflow_provider_fivetran.simulator.people import REPLACED_ROLES, ROLES
from airflow_provider_fivetran.simulator.problems import not_found
from airflow_provider_fivetran.simulator.rights import (
    key_of,
    readable_group,
    require_list,
    require_sight,
    visible_connections,
    visible_groups,
)
from airflow_provider_fivetran.simulator.shapes import (
    shape_destination,
    shape_group,
    shape_user,
)

router = APIRouter()


@router.get("/account/info")
async def account_info(request: Request) -> JSONResponse:
    account, key = simulator_of(request).account, key_of(request)
    info = {
        "account_id": account.account_id,
        "account_name": account.account_name,
        "user_id": None if key.system else next(iter(account.users)),
        "system_key_id": key.system_key_id or key.key if key.system else None,
    }
    return success(request, "Account information retrieved successfully", info)


@router.get("/groups")
async def list_groups(request: Request) -> Response:
    require_sight(request, "groups")
    return page(request, "Groups list retrieved successfully", visible_groups(request), shape_group)


@router.get("/groups/{group_id}")
async def get_group(request: Request, group_id: str) -> JSONResponse:
    require_sight(request, "groups")
    group = readable_group(request, group_id)
    return success(request, "Group details retrieved successfully", shape_group(group))


@router.get("/groups/{group_id}/connections")
@router.get("/groups/{group_id}/connectors")
async def list_group_connections(request: Request, group_id: str) -> Response:
    require_list(request)
    readable_group(request, group_id)
    schema = request.query_params.get("schema")
    rows = [row for row in visible_connections(request, group_id) if schema in (None, row.schema)]
    return page_of_connections(request, "Connections list retrieved successfully", rows)


@router.get("/destinations")
async def list_destinations(request: Request) -> Response:
    require_sight(request, "destinations")
    return page(
        request,
        "Destinations list retrieved successfully",
        visible_groups(request),
        lambda group: shape_destination(group, with_config=False),
    )


@router.get("/destinations/{destination_id}")
async def get_destination(request: Request, destination_id: str) -> JSONResponse:
    require_sight(request, "destinations")
    group = readable_group(request, destination_id, "Destination")
    shape = shape_destination(group, with_config=True)
    return success(request, "Destination details retrieved successfully", shape)


@router.get("/users")
async def list_users(request: Request) -> Response:
    require_sight(request, "users")
    users = simulator_of(request).account.users
    active = request.query_params.get("active")
    rows = [user for user in users.values() if active is None or user.active == (active == "true")]
    return page(request, "Users list retrieved successfully", rows, shape_user)


@router.get("/users/{user_id}")
async def get_user(request: Request, user_id: str) -> JSONResponse:
    require_sight(request, "users")
    users = simulator_of(request).account.users
    if user_id not in users:
        raise not_found("User", user_id)
    return success(request, "User details retrieved successfully", shape_user(users[user_id]))


@router.get("/roles")
async def list_roles(request: Request) -> Response:
    return page(request, "Roles list retrieved successfully", ROLES, _shape_role)


def _shape_role(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"The standard role {name}",
        "scope": [ROLES[name]],
        "is_custom": False,
        "is_deprecated": name in REPLACED_ROLES,
        # The definition demands one of every role.
        "replacement_role_name": REPLACED_ROLES.get(name, ""),
    }
