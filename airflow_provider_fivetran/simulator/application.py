"""The FastAPI application: every route under its addresses, and refusals in Fivetran's envelope."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from .answers import refusal
from .control import router as control
from .problems import ApiError, no_such_route
from .routes import (
    connecting,
    connections,
    connector_types,
    groups,
    memberships,
    others,
    schemas,
    syncs,
    system_keys,
    teams,
    transformations,
    users,
    webhooks,
)

if TYPE_CHECKING:
    from fastapi import Request
    from fastapi.responses import JSONResponse

    from .simulator import Simulator

_METHOD_NOT_ALLOWED = 405
# The first is today's name; the second still answered after the renaming of 2025.
_CONNECTION_PATHS = ("/v1/connections", "/v1/connectors")


def build_application(simulator: Simulator) -> FastAPI:
    app = FastAPI(title="Simulated Fivetran", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.simulator = simulator
    for prefix in _CONNECTION_PATHS:
        app.include_router(connections.router, prefix=prefix)
        app.include_router(connecting.router, prefix=prefix)
        app.include_router(syncs.router, prefix=prefix)
        app.include_router(schemas.router, prefix=prefix)
    app.include_router(transformations.router, prefix="/v1/transformations")
    app.include_router(webhooks.router, prefix="/v1/webhooks")
    app.include_router(connector_types.router, prefix="/v1/metadata/connector-types")
    app.include_router(groups.router, prefix="/v1/groups")
    app.include_router(users.router, prefix="/v1/users")
    app.include_router(teams.router, prefix="/v1/teams")
    for owners in ("users", "teams"):
        app.include_router(memberships.router_of(owners), prefix=f"/v1/{owners}")
    app.include_router(system_keys.router, prefix="/v1/system-keys")
    app.include_router(others.router, prefix="/v1")
    app.include_router(control, prefix="/_control")
    app.add_exception_handler(ApiError, _answer_refusal)
    app.add_exception_handler(HTTPException, _answer_http)
    app.router.redirect_slashes = False
    return app


async def _answer_refusal(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ApiError):
        raise error
    return refusal(error)


async def _answer_http(_request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == _METHOD_NOT_ALLOWED:
        return refusal(ApiError(status, "MethodNotAllowed", "HTTP 405 Method Not Allowed"))
    return refusal(no_such_route())
