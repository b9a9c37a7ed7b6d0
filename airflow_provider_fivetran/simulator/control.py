"""The control endpoint: other processes set the account up, move it along, and read the truth."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
import json
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from .answers import simulator_of
from .checking import check_types
from .deliveries import Delivery
from .describing import (
    add_connection,
    add_transformation,
    fault_from,
    load_account,
    mishap_from,
    plan_from,
)
from .problems import ApiError, invalid
from .records import Run
from .shapes import shape_connection, shape_transformation, timestamp
from .simulator import Simulator

T = TypeVar("T")

router = APIRouter()


@router.post("/account")
async def post_account(request: Request) -> JSONResponse:
    """Add everything that an account file may hold."""
    body = await _read(request)
    _do(lambda: load_account(simulator_of(request), body))
    return JSONResponse({"ok": True})


@router.post("/connections")
async def post_connection(request: Request) -> JSONResponse:
    body = await _read(request)
    connection = _do(lambda: add_connection(simulator_of(request), body))
    return JSONResponse(shape_connection(connection), 201)


@router.post("/transformations")
async def post_transformation(request: Request) -> JSONResponse:
    body = await _read(request)
    transformation = _do(lambda: add_transformation(simulator_of(request), body))
    return JSONResponse(shape_transformation(transformation), 201)


@router.post("/connections/{connection_id}/{action}")
async def act(request: Request, connection_id: str, action: str) -> JSONResponse:
    """Do to a connection what a person or Fivetran's own schedule would do."""
    if action not in _ACTIONS:
        raise invalid(f"action is {action!r}; allowed: {', '.join(_ACTIONS)}")
    body = await _read(request)
    simulator = simulator_of(request)
    _do(lambda: _ACTIONS[action](simulator, connection_id, body))
    return JSONResponse({"ok": True})


@router.post("/faults")
async def post_fault(request: Request) -> JSONResponse:
    body = await _read(request)
    _do(lambda: simulator_of(request).faults.add(fault_from(body)))
    return JSONResponse({"ok": True}, 201)


@router.delete("/faults")
async def delete_faults(request: Request) -> JSONResponse:
    simulator_of(request).faults.clear()
    return JSONResponse({"ok": True})


@router.post("/mishaps")
async def post_mishap(request: Request) -> JSONResponse:
    """Let something happen to webhook deliveries to come."""
    body = await _read(request)
    _do(lambda: simulator_of(request).deliveries.mishaps.add(mishap_from(body)))
    return JSONResponse({"ok": True}, 201)


@router.delete("/mishaps")
async def delete_mishaps(request: Request) -> JSONResponse:
    simulator_of(request).deliveries.mishaps.clear()
    return JSONResponse({"ok": True})


@router.get("/deliveries")
async def get_deliveries(request: Request) -> JSONResponse:
    """Every webhook delivery there was to make, with what came of each attempt."""
    rows = [_shape_delivery(delivery) for delivery in simulator_of(request).deliveries.all()]
    return JSONResponse({"deliveries": rows})


@router.post("/deliveries")
async def post_delivery(request: Request) -> JSONResponse:
    """Tell webhooks of an event that has not happened: ``event``, ``connection_id``, ``sync_id``, ``data``."""
    body = await _read(request)
    _do(lambda: _tell(simulator_of(request), body))
    return JSONResponse({"ok": True}, 201)


@router.post("/deliveries/{number}/replay")
async def replay(request: Request, number: int) -> JSONResponse:
    """Send a delivery again, byte for byte."""
    _do(lambda: simulator_of(request).deliveries.replay(number))
    return JSONResponse({"ok": True})


@router.get("/switches")
async def get_switches(request: Request) -> JSONResponse:
    return JSONResponse(vars(simulator_of(request).switches))


@router.post("/switches")
async def post_switches(request: Request) -> JSONResponse:
    body = await _read(request)
    _do(lambda: simulator_of(request).switches.update(**body))
    return JSONResponse(vars(simulator_of(request).switches))


@router.post("/keys/{key}/revoke")
async def revoke_key(request: Request, key: str) -> JSONResponse:
    simulator_of(request).revoke(key)
    return JSONResponse({"ok": True})


@router.get("/clock")
async def get_clock(request: Request) -> JSONResponse:
    clock = simulator_of(request).clock
    return JSONResponse({"now": timestamp(clock.now()), "speed": clock.speed})


@router.post("/clock")
async def post_clock(request: Request) -> JSONResponse:
    """Move the clock: ``{"advance": seconds}``, or ``{"speed": factor}``, or both."""
    body = await _read(request)
    _do(lambda: _move_clock(simulator_of(request), body))
    return await get_clock(request)


@router.get("/runs")
async def get_runs(request: Request) -> JSONResponse:
    """The truth, of one connection (``?connection_id=``) or of all."""
    account = simulator_of(request).account
    wanted = request.query_params.get("connection_id")
    ids = account.known_ids() if wanted is None else [wanted]
    return JSONResponse({"runs": [_shape_run(run) for known in ids for run in account.accepted(known)]})


@router.get("/requests")
async def get_requests(request: Request) -> JSONResponse:
    rows = [{**vars(row), "at": timestamp(row.at)} for row in list(simulator_of(request).requests)]
    return JSONResponse({"requests": rows})


@router.post("/reset")
async def reset(request: Request) -> JSONResponse:
    simulator_of(request).reset()
    return JSONResponse({"ok": True})


def _break_setup(simulator: Simulator, connection_id: str, body: dict[str, Any]) -> None:
    heals = body.get("test_heals", False)
    if not isinstance(heals, bool):
        raise ValueError(f"test_heals is {heals!r}; allowed: true or false")  # noqa: TRY004 - one wrong value
    simulator.break_setup(connection_id, test_heals=heals)


_ACTIONS: dict[str, Callable[[Simulator, str, dict[str, Any]], object]] = {
    "start": lambda simulator, connection_id, _: simulator.start_sync(connection_id),
    "pause": lambda simulator, connection_id, _: simulator.pause(connection_id),
    "unpause": lambda simulator, connection_id, _: simulator.unpause(connection_id),
    "cancel": lambda simulator, connection_id, _: simulator.cancel(connection_id),
    "delete": lambda simulator, connection_id, _: simulator.delete(connection_id),
    "break_setup": _break_setup,
    "authorize": lambda simulator, connection_id, _: simulator.authorize(connection_id),
    "delay": lambda simulator, connection_id, _: simulator.delay(connection_id),
    "plan": lambda simulator, connection_id, body: simulator.set_plan(connection_id, plan_from(body)),
    "source": lambda simulator, connection_id, body: simulator.set_source(connection_id, body),
}


def _tell(simulator: Simulator, body: dict[str, Any]) -> None:
    allowed = {"event": str, "connection_id": str, "sync_id": str, "data": dict}
    for name, value in body.items():
        if name not in allowed:
            raise ValueError(f"field {name!r} is unknown; allowed: {', '.join(allowed)}")
        check_types(name, value, allowed[name])
    if not {"event", "connection_id"} <= body.keys():
        raise ValueError("event and connection_id are required")
    connection = simulator.account.connection(body["connection_id"])
    simulator.deliveries.tell(body["event"], connection, sync_id=body.get("sync_id"), data=body.get("data"))


def _move_clock(simulator: Simulator, body: dict[str, Any]) -> None:
    for name in body:
        if name not in ("advance", "speed"):
            raise ValueError(f"field {name!r} is unknown; allowed: advance, speed")
    if "speed" in body:
        simulator.clock.speed = body["speed"]
    simulator.clock.advance(body.get("advance", 0))


def _shape_run(run: Run) -> dict[str, Any]:
    return {
        "sync_id": run.sync_id,
        "connection_id": run.connection_id,
        "cause": run.cause,
        "status": run.status,
        "reason": run.reason,
        "historical": run.historical,
        "accepted_at": timestamp(run.accepted_at),
        "started_at": timestamp(run.started_at),
        "ended_at": timestamp(run.ended_at),
        "rescheduled_for": timestamp(run.rescheduled_for),
        "volume_mb": list(run.volume_mb),
    }


def _shape_delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "number": delivery.number,
        "webhook_id": delivery.webhook.id,
        "event": delivery.event,
        "connection_id": delivery.connection_id,
        "sync_id": delivery.sync_id,
        "created_at": timestamp(delivery.created_at),
        "state": delivery.state,
        "body": delivery.body.decode(),
        "attempts": [{**vars(attempt), "at": timestamp(attempt.at)} for attempt in delivery.attempts],
    }


async def _read(request: Request) -> dict[str, Any]:
    """The JSON object sent along. Its Content-Type does not matter here, which suits curl."""
    raw = await request.body()
    try:
        body = json.loads(raw or b"{}")
    except ValueError as error:
        raise invalid("The request body is not valid JSON") from error
    if not isinstance(body, dict):
        raise invalid("The request body must be a JSON object")
    return body


def _do(work: Callable[[], T]) -> T:
    try:
        return work()
    except ApiError:
        raise
    except (ValueError, TypeError) as error:
        raise invalid(str(error)) from error
