"""Transformations: listing, reading, running and cancelling."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_fivetran.simulator.answers import page, simulator_of, success
from airflow_provider_fivetran.simulator.bodies import RUN_TRANSFORMATION, check_fields, read_body
from airflow_provider_fivetran.simulator.problems import forbidden, invalid
from airflow_provider_fivetran.simulator.rights import require_sight, sees_group
from airflow_provider_fivetran.simulator.shapes import shape_transformation
from airflow_provider_fivetran.simulator.transformations import Transformation

router = APIRouter()

_TYPES = ("DBT_CORE", "QUICKSTART")


@router.get("")
async def list_transformations(request: Request) -> Response:
    require_sight(request, "transformations")
    wanted = request.query_params.get("type")
    if wanted not in (None, *_TYPES):
        raise invalid(f"Parameter 'type' is {wanted!r}; allowed: {', '.join(_TYPES)}")
    account = simulator_of(request).account
    with account.lock:
        account.advance()
        rows = [row for row in account.transformations.values() if _is_wanted(request, row)]
    return page(request, "Transformations list retrieved successfully", rows, shape_transformation)


def _is_wanted(request: Request, transformation: Transformation) -> bool:
    if not sees_group(request, transformation.group_id):
        return False
    filters = {
        name: request.query_params[name]
        for name in ("group_id", "project_id", "type")
        if name in request.query_params
    }
    return all(getattr(transformation, name) == value for name, value in filters.items())


@router.get("/{transformation_id}")
async def get_transformation(request: Request, transformation_id: str) -> JSONResponse:
    shape = shape_transformation(_readable(request, transformation_id))
    return success(request, "Transformation details retrieved successfully", shape)


@router.post("/{transformation_id}/run")
async def run_transformation(request: Request, transformation_id: str) -> JSONResponse:
    transformation = _readable(request, transformation_id)
    body = await read_body(request) or {}
    check_fields(body, RUN_TRANSFORMATION)
    simulator = simulator_of(request)
    with simulator.account.lock:
        full_refresh = body.get("full_refresh", False)
        transformation.run(simulator.clock.now(), simulator.switches, full_refresh=full_refresh)
    return success(request, "Transformation run has been started")


@router.post("/{transformation_id}/cancel")
async def cancel_transformation(request: Request, transformation_id: str) -> JSONResponse:
    transformation = _readable(request, transformation_id)
    simulator = simulator_of(request)
    with simulator.account.lock:
        transformation.cancel(simulator.clock.now(), simulator.switches)
    return success(request, "Transformation run has been canceled")


def _readable(request: Request, transformation_id: str) -> Transformation:
    require_sight(request, "transformations")
    transformation = simulator_of(request).account.transformation(transformation_id)
    if not sees_group(request, transformation.group_id):
        raise forbidden(f"This key may not see the transformation with id '{transformation_id}'")
    return transformation
