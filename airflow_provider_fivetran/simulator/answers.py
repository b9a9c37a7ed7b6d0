"""The envelope around every answer, the paging of lists, and how a route reads its request."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fastapi.responses import JSONResponse, Response

from .problems import invalid
from .shapes import without_unset
from .written import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastapi import Request

    from .problems import ApiError
    from .records import Connection
    from .simulator import Simulator

T = TypeVar("T")

_DEFAULT_LIMIT = 100
_HIGHEST_LIMIT = 1000


def simulator_of(request: Request) -> Simulator:
    return cast("Simulator", request.app.state.simulator)


def success(request: Request, message: str, data: Any = None, status: int = 200) -> JSONResponse:
    """Wrap ``data`` as Fivetran does; actions answer without any."""
    envelope: dict[str, Any] = {"code": "Success", "message": message}
    if data is not None:
        envelope["data"] = without_unset(data) if _omits(request) else data
    return JSONResponse(envelope, status)


def refusal(error: ApiError) -> JSONResponse:
    return JSONResponse({"code": error.code, "message": error.message}, error.status, headers=error.headers)


def page(
    request: Request, message: str, items: Iterable[T], shape: Callable[[T], dict[str, Any]]
) -> Response:
    """Answer with one page of ``items``; only that page is put into shape."""
    omit = _omits(request)
    return _page_of_rows(
        request, message, items, lambda item: as_json(without_unset(shape(item)) if omit else shape(item))
    )


def page_of_connections(request: Request, message: str, items: Iterable[Connection]) -> Response:
    """The same for connections, of which there may be thousands."""
    row, omit = simulator_of(request).written.row, _omits(request)
    return _page_of_rows(request, message, items, lambda connection: row(connection, omit=omit))


def _page_of_rows(
    request: Request, message: str, items: Iterable[T], write: Callable[[T], bytes]
) -> Response:
    limit, skip = _limit(request), _skip(request)
    rows = list(items)
    body = [b'{"code":"Success","message":', as_json(message), b',"data":{"items":[']
    body += [b",".join(map(write, rows[skip : skip + limit])), b"]"]
    if skip + limit < len(rows):
        body += [b',"next_cursor":', as_json(_cursor(skip + limit))]
    body.append(b"}}")
    return Response(b"".join(body), media_type=JSONResponse.media_type)


def _omits(request: Request) -> bool:
    return simulator_of(request).switches.unset_fields == "omit"


def _limit(request: Request) -> int:
    raw = request.query_params.get("limit", str(_DEFAULT_LIMIT))
    if not raw.isdecimal() or not 1 <= int(raw) <= _HIGHEST_LIMIT:
        raise invalid(f"Parameter 'limit' is {raw!r}; allowed: 1 to {_HIGHEST_LIMIT}")
    return int(raw)


def _cursor(skip: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"skip": skip}).encode()).decode()


def _skip(request: Request) -> int:
    raw = request.query_params.get("cursor")
    if not raw:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(raw))["skip"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise invalid(
            f"Parameter 'cursor' is {raw!r}; allowed: a next_cursor from an earlier answer"
        ) from error
