"""System keys: listing, creating, changing, rotating, deleting. The secret shows in two of the answers only."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_fivetran.simulator.answers import page, simulator_of, success
from airflow_provider_fivetran.simulator.bodies import (
    PERMISSION,
    PERMISSION_FILTER,
    SYSTEM_KEY,
    check_fields,
    read_body,
    require_fields,
)
from airflow_provider_fivetran.simulator.problems import invalid
from airflow_provider_fivetran.simulator.shapes import timestamp
from airflow_provider_fivetran.simulator.system_keys import SystemKey

router = APIRouter()


@router.get("")
async def list_system_keys(request: Request) -> Response:
    # The definition's example of a list has no permissions in its rows.
    rows = simulator_of(request).system_keys.all()
    return page(request, "System keys retrieved successfully", rows, lambda row: _shape(row, "permissions"))


@router.post("")
async def create_system_key(request: Request) -> JSONResponse:
    body = await read_body(request) or {}
    require_fields(body, "name", "permissions")
    _check(body)
    made = simulator_of(request).system_keys.add(
        body["name"],
        body["permissions"],
        expiration_period=body.get("expiration_period", "INFINITE"),
    )
    return success(request, "System key has been created", _with_secret(made), 201)


@router.get("/{key_id}")
async def get_system_key(request: Request, key_id: str) -> JSONResponse:
    row = simulator_of(request).system_keys.get(key_id)
    return success(request, "System key details retrieved successfully", _shape(row))


@router.patch("/{key_id}")
async def change_system_key(request: Request, key_id: str) -> JSONResponse:
    keys = simulator_of(request).system_keys
    keys.get(key_id)
    body = await read_body(request) or {}
    _check(body)
    row = keys.change(key_id, name=body.get("name"), permissions=body.get("permissions"))
    return success(request, "System key has been updated", _shape(row))


@router.post("/{key_id}/rotate")
async def rotate_system_key(request: Request, key_id: str) -> JSONResponse:
    keys = simulator_of(request).system_keys
    keys.get(key_id)
    body = await read_body(request) or {}
    check_fields(body, SYSTEM_KEY)
    row = keys.rotate(key_id, body.get("expiration_period", "INFINITE"))
    return success(request, f"System key with id '{key_id}' has been rotated", _with_secret(row))


@router.delete("/{key_id}")
async def delete_system_key(request: Request, key_id: str) -> JSONResponse:
    simulator_of(request).system_keys.remove(key_id)
    return success(request, f"System key with id '{key_id}' has been deleted")


def _check(body: dict[str, Any]) -> None:
    check_fields(body, SYSTEM_KEY)
    for permission in body.get("permissions", ()):
        if not isinstance(permission, dict):
            raise invalid(f"Field 'permissions' holds {permission!r}; allowed: objects")
        check_fields(permission, PERMISSION)
        check_fields(permission.get("resource_filter", {}), PERMISSION_FILTER)


def _shape(row: SystemKey, *without: str) -> dict[str, Any]:
    times = ("created_at", "updated_at", "expired_at", "last_used_at")
    shape = {**vars(row), **{name: timestamp(getattr(row, name)) for name in times}}
    return {name: value for name, value in shape.items() if name not in ("secret", *without)}


def _with_secret(row: SystemKey) -> dict[str, Any]:
    return {**_shape(row), "secret": row.secret}
