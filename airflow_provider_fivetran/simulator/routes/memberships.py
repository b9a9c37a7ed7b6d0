"""What users and teams may do in single groups and with single connections: the same for both."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_fivetran.simulator.answers import page, simulator_of, success
from airflow_provider_fivetran.simulator.bodies import MEMBERSHIP, check_fields, read_body, require_fields
from airflow_provider_fivetran.simulator.people import SCOPES, Membership, check_role
from airflow_provider_fivetran.simulator.rights import readable, readable_group
from airflow_provider_fivetran.simulator.routes.users import user_of
from airflow_provider_fivetran.simulator.shapes import timestamp

# The answers that have no data, and the one deletion that has, as the definition says.
_CHANGES_WITHOUT_DATA = {("users", "groups")}
_DELETIONS_WITH_DATA = {("users", "connections")}


def router_of(owners: str) -> APIRouter:
    """The routes of ``users``, or of ``teams``."""
    router = APIRouter()
    for within in SCOPES:
        _add_routes(router, owners, within)
    return router


def _add_routes(router: APIRouter, owners: str, within: str) -> None:
    words = f"{within[:-1].capitalize()} membership"

    @router.get(f"/{{owner_id}}/{within}")
    async def list_memberships(request: Request, owner_id: str) -> Response:
        _require_owner(request, owners, owner_id)
        rows = simulator_of(request).people.within(owners, owner_id, within)
        return page(request, f"{words}s retrieved successfully", rows, _shape)

    @router.post(f"/{{owner_id}}/{within}")
    async def add_membership(request: Request, owner_id: str) -> JSONResponse:
        _require_owner(request, owners, owner_id)
        body = await read_body(request) or {}
        require_fields(body, "id", "role")
        check_fields(body, MEMBERSHIP)
        _require_target(request, within, body["id"])
        role = check_role(body["role"], SCOPES[within])
        simulator = simulator_of(request)
        membership = Membership(id=body["id"], role=role, created_at=simulator.clock.now())
        simulator.people.add(owners, owner_id, within, membership=membership)
        return success(request, f"{words} has been created", _shape(membership), 201)

    @router.get(f"/{{owner_id}}/{within}/{{target_id}}")
    async def get_membership(request: Request, owner_id: str, target_id: str) -> JSONResponse:
        row = _membership(request, owners, owner_id, within, target_id)
        return success(request, f"{words} retrieved successfully", _shape(row))

    @router.patch(f"/{{owner_id}}/{within}/{{target_id}}")
    async def change_membership(request: Request, owner_id: str, target_id: str) -> JSONResponse:
        row = _membership(request, owners, owner_id, within, target_id)
        body = await read_body(request) or {}
        require_fields(body, "role")
        check_fields(body, MEMBERSHIP)
        row.role = check_role(body["role"], SCOPES[within])
        data = None if (owners, within) in _CHANGES_WITHOUT_DATA else _shape(row)
        return success(request, f"{words} has been updated", data)

    @router.delete(f"/{{owner_id}}/{within}/{{target_id}}")
    async def delete_membership(request: Request, owner_id: str, target_id: str) -> JSONResponse:
        _require_owner(request, owners, owner_id)
        row = simulator_of(request).people.remove(owners, owner_id, within, of=target_id)
        data = _shape(row) if (owners, within) in _DELETIONS_WITH_DATA else None
        return success(request, f"{words} has been deleted", data)


def _require_owner(request: Request, owners: str, owner_id: str) -> None:
    if owners == "users":
        user_of(request, owner_id)
    else:
        simulator_of(request).people.team(owner_id)


def _require_target(request: Request, within: str, target_id: str) -> None:
    if within == "groups":
        readable_group(request, target_id)
    else:
        readable(request, target_id)


def _membership(request: Request, owners: str, owner_id: str, within: str, target_id: str) -> Membership:
    _require_owner(request, owners, owner_id)
    return simulator_of(request).people.membership(owners, owner_id, within, of=target_id)


def _shape(membership: Membership) -> dict[str, Any]:
    return {**vars(membership), "created_at": timestamp(membership.created_at)}
