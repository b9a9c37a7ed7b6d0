"""Syncs of a connection: triggering, loading again, history, warnings and errors."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_fivetran.simulator.answers import page, simulator_of, success
from airflow_provider_fivetran.simulator.bodies import (
    DISMISSED_WARNINGS,
    RESYNC,
    SYNC,
    check_fields,
    check_tables,
    read_body,
)
from airflow_provider_fivetran.simulator.past import past_runs
from airflow_provider_fivetran.simulator.problems import ApiError, forbidden, invalid, no_such_route
from airflow_provider_fivetran.simulator.records import Connection, Run
from airflow_provider_fivetran.simulator.rights import key_of, readable
from airflow_provider_fivetran.simulator.shapes import shape_errors, shape_run, shape_warnings

router = APIRouter()

_REACH = timedelta(days=7)
_HOUR = timedelta(hours=1)


@router.post("/{connection_id}/sync")
async def sync(request: Request, connection_id: str) -> JSONResponse:
    readable(request, connection_id)
    body = await read_body(request) or {}
    check_fields(body, SYNC)
    return _trigger(request, connection_id, force=body.get("force", False))


@router.post("/{connection_id}/force")
async def force(request: Request, connection_id: str) -> JSONResponse:
    """The old trigger: undocumented since 2023, still in use, mostly without a body or its type."""
    readable(request, connection_id)
    return _trigger(request, connection_id, force=True)


def _trigger(request: Request, connection_id: str, *, force: bool) -> JSONResponse:
    simulator_of(request).account.trigger(connection_id, force=force)
    return success(request, f"Sync has been successfully triggered for connection with id '{connection_id}'")


@router.post("/{connection_id}/resync")
async def resync(request: Request, connection_id: str) -> JSONResponse:
    readable(request, connection_id)
    body = await read_body(request) or {}
    if body.get("scope") is None:  # null is the same as none
        body.pop("scope", None)
    check_fields(body, RESYNC)
    tables = check_tables(body["scope"], "scope") if "scope" in body else None
    simulator_of(request).account.resync(connection_id, tables)
    return success(request, "Re-sync has been triggered successfully")


@router.post("/{connection_id}/schemas/tables/resync")
async def resync_tables(request: Request, connection_id: str) -> JSONResponse:
    readable(request, connection_id)
    tables = check_tables(await read_body(request) or {}, "The request body")
    simulator_of(request).account.resync(connection_id, tables)
    return success(request, "Re-sync has been triggered successfully")


@router.get("/{connection_id}/sync-history")
async def sync_history(request: Request, connection_id: str) -> Response:
    switches = simulator_of(request).switches
    _require("ok" if switches.history is True else switches.history)
    readable(request, connection_id)
    if not key_of(request).may_read_history:
        raise forbidden("This key may not read the sync history")
    now = simulator_of(request).clock.now()
    start, end = _window(request, now)
    rows = _history(request, connection_id, now)
    chosen = [run for run in rows if run.started_at is not None and start <= run.started_at <= end]
    word = switches.history_running or ""
    return page(request, "Sync history retrieved successfully", chosen, lambda run: shape_run(run, word))


def _history(request: Request, connection_id: str, now: datetime) -> list[Run]:
    """The runs as the history shows them by now, which may lag behind the truth."""
    simulator = simulator_of(request)
    switches = simulator.switches
    seen = now - timedelta(seconds=switches.history_lag)
    rows = [
        _as_seen(run, seen)
        for run in simulator.account.runs(connection_id)
        if run.started_at is not None and run.started_at <= seen
    ]
    if switches.history_running is None:
        rows = [run for run in rows if not run.running]
    rows = [*past_runs(simulator.account.connection(connection_id), now - _REACH), *rows]
    return rows if switches.history_order == "oldest_first" else rows[::-1]


def _as_seen(run: Run, seen: datetime) -> Run:
    if run.ended_at is None or run.ended_at <= seen:
        return run
    unended = Run(**vars(run))
    unended.status, unended.ended_at, unended.reason = "RUNNING", None, None
    unended.volume_mb = (None, None, None)
    return unended


def _window(request: Request, now: datetime) -> tuple[datetime, datetime]:
    start, end = _moment(request, "start_time"), _moment(request, "end_time")
    if start is None:
        start = (end or now) - _HOUR
        end = end or now
    end = end or start + _HOUR
    if start > end:
        raise invalid("Parameter 'start_time' is after 'end_time'")
    if end - start > _REACH:
        raise invalid("The window between 'start_time' and 'end_time' exceeds 7 days")
    if start < now - _REACH:
        raise invalid("Parameter 'start_time' is more than 7 days in the past")
    return start, end


def _moment(request: Request, name: str) -> datetime | None:
    raw = request.query_params.get(name)
    if not raw:
        return None
    try:
        moment = datetime.fromisoformat(raw)
    except ValueError as error:
        raise invalid(f"Parameter '{name}' is {raw!r}; allowed: an ISO 8601 time") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


@router.get("/{connection_id}/warnings")
async def warnings(request: Request, connection_id: str) -> JSONResponse:
    _require(simulator_of(request).switches.warnings)
    rows = shape_warnings(readable(request, connection_id))
    return success(request, "Warnings retrieved successfully", {"items": rows})


@router.delete("/{connection_id}/warnings/{warning_type}")
async def delete_warning(request: Request, connection_id: str, warning_type: str) -> JSONResponse:
    _require(simulator_of(request).switches.warnings)
    connection = readable(request, connection_id)
    if warning_type not in _warning_types(connection):
        raise ApiError(404, "NotFound_Warning", f"Cannot find warning with type '{warning_type}'")
    _dismiss(connection, {warning_type})
    return success(request, "Warning has been dismissed")


@router.post("/{connection_id}/dismiss-warnings")
async def dismiss_warnings(request: Request, connection_id: str) -> JSONResponse:
    _require(simulator_of(request).switches.warnings)
    connection = readable(request, connection_id)
    body = await read_body(request) or {}
    check_fields(body, DISMISSED_WARNINGS)
    known = _warning_types(connection)
    types = body.get("warning_types") or sorted(known)
    for warning_type in types:
        if warning_type not in known:
            raise invalid(
                f"Field 'warning_types' holds {warning_type!r}; allowed: {', '.join(sorted(known))}"
            )
    _dismiss(connection, set(types))
    return success(request, "Warnings have been dismissed")


@router.get("/{connection_id}/errors")
async def errors(request: Request, connection_id: str) -> Response:
    _require(simulator_of(request).switches.errors)
    rows = shape_errors(readable(request, connection_id))
    return page(request, "Errors retrieved successfully", rows, dict)


def _warning_types(connection: Connection) -> set[str]:
    return {str(warning.get("code")) for warning in connection.warnings}


def _dismiss(connection: Connection, types: set[str]) -> None:
    connection.warnings = [row for row in connection.warnings if str(row.get("code")) not in types]


def _require(availability: str) -> None:
    """Endpoints that are rolled out in stages answer some accounts as if they did not exist."""
    if availability == "not_found":
        raise no_such_route()
    if availability == "forbidden":
        raise forbidden("This account may not use this endpoint")
