"""The connector types that the simulator knows, and their fields."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_fivetran.simulator.answers import page, success
from airflow_provider_fivetran.simulator.connector_types import connector_type, connector_types

router = APIRouter()


@router.get("")
async def list_connector_types(request: Request) -> Response:
    return page(request, "Connectors list retrieved successfully", connector_types(), dict)


@router.get("/{service}")
async def get_connector_type(request: Request, service: str) -> JSONResponse:
    return success(request, "Connector configuration retrieved successfully", connector_type(service))
