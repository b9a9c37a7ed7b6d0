"""Connections: listing and reading them. Setting them up stands in ``connecting``, their schemas in ``schemas``."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_fivetran.simulator.answers import page_of_connections, success
from airflow_provider_fivetran.simulator.rights import readable, require_list, visible_connections
from airflow_provider_fivetran.simulator.shapes import shape_connection

router = APIRouter()


@router.get("")
async def list_connections(request: Request) -> Response:
    require_list(request)
    connections = visible_connections(request, request.query_params.get("group_id"))
    schema = request.query_params.get("schema")
    rows = [row for row in connections if schema is None or row.schema == schema]
    return page_of_connections(request, "Connections list retrieved successfully", rows)


@router.get("/{connection_id}")
async def get_connection(request: Request, connection_id: str) -> JSONResponse:
    connection = readable(request, connection_id)
    return success(request, "Connection details retrieved successfully", shape_connection(connection))
