"""Webhooks: listing, creating for the account or a group, changing, testing, deleting."""

# Route modules do without postponed annotations: FastAPI reads the types of the parameters at run time.
import asyncio
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from airflow_provider_fivetran.simulator.answers import page, simulator_of, success
from airflow_provider_fivetran.simulator.bodies import WEBHOOK, WEBHOOK_TEST, check_fields, read_body
from airflow_provider_fivetran.simulator.payloads import TEST_EVENT
from airflow_provider_fivetran.simulator.postman import Receipt
from airflow_provider_fivetran.simulator.problems import invalid
from airflow_provider_fivetran.simulator.rights import (
    key_of,
    readable_group,
    require_webhooks,
    visible_webhook,
    visible_webhooks,
)
from airflow_provider_fivetran.simulator.shapes import shape_webhook
from airflow_provider_fivetran.simulator.webhooks import EVENTS, Webhook, check_events, check_url

router = APIRouter()


@router.get("")
async def list_webhooks(request: Request) -> Response:
    require_webhooks(request, "read")
    return page(request, "Webhooks retrieved successfully", visible_webhooks(request), shape_webhook)


@router.post("/account")
async def create_account_webhook(request: Request) -> JSONResponse:
    return await _create(request, "account", None)


@router.post("/group/{group_id}")
async def create_group_webhook(request: Request, group_id: str) -> JSONResponse:
    return await _create(request, "group", group_id)


@router.get("/{webhook_id}")
async def get_webhook(request: Request, webhook_id: str) -> JSONResponse:
    require_webhooks(request, "read")
    webhook = visible_webhook(request, webhook_id)
    return success(request, "Webhook details retrieved successfully", shape_webhook(webhook))


@router.patch("/{webhook_id}")
async def change_webhook(request: Request, webhook_id: str) -> JSONResponse:
    require_webhooks(request, "manage")
    webhook = visible_webhook(request, webhook_id)
    body = await read_body(request) or {}
    _check(request, body)
    if body.get("active") is True and not webhook.active:
        await _require_receiver(request, Webhook(**{**vars(webhook), **_fields(body)}))
    with simulator_of(request).account.lock:
        if body.get("active") is True:
            webhook.failing_since = None
        for name, value in _fields(body).items():
            setattr(webhook, name, value)
    return success(request, "Webhook has been updated", shape_webhook(webhook))


@router.delete("/{webhook_id}")
async def delete_webhook(request: Request, webhook_id: str) -> JSONResponse:
    require_webhooks(request, "manage")
    visible_webhook(request, webhook_id)
    simulator = simulator_of(request)
    with simulator.account.lock:
        simulator.webhooks.remove(webhook_id)
    return success(request, f"Webhook with id '{webhook_id}' has been deleted")


@router.post("/{webhook_id}/test")
async def test_webhook(request: Request, webhook_id: str) -> JSONResponse:
    require_webhooks(request, "manage")
    webhook = visible_webhook(request, webhook_id)
    body = await read_body(request) or {}
    if "event" not in body:
        raise invalid("Field 'event' is required")
    check_fields(body, WEBHOOK_TEST)
    if body["event"] not in EVENTS:
        raise invalid(f"Field 'event' is {body['event']!r}; allowed: {', '.join(EVENTS)}")
    receipt = await _send_test(request, webhook, body["event"])
    data = {
        "succeed": receipt.arrived,
        # The definition demands a status. Which one stands for a receiver that gave none is not documented.
        "status": receipt.status or 0,
        "message": "Success" if receipt.arrived else receipt.error or f"HTTP status {receipt.status}",
    }
    return success(request, "Webhook test completed successfully", data)


async def _create(request: Request, kind: Literal["account", "group"], group_id: str | None) -> JSONResponse:
    require_webhooks(request, "manage", account=group_id is None)
    if group_id is not None:
        readable_group(request, group_id)
    body = await read_body(request) or {}
    for name in ("url", "events"):
        if name not in body:
            raise invalid(f"Field '{name}' is required")
    _check(request, body)
    simulator, key = simulator_of(request), key_of(request)
    webhook = Webhook(
        id=simulator.webhooks.new_id(),
        type=kind,
        group_id=group_id,
        created_at=simulator.clock.now(),
        created_by=key.key if key.system else next(iter(simulator.account.users)),
        **_fields(body),
    )
    if webhook.active:
        await _require_receiver(request, webhook)
    with simulator.account.lock:
        simulator.webhooks.add(webhook)
    return success(request, f"{kind.capitalize()} webhook has been created", shape_webhook(webhook))


def _check(request: Request, body: dict[str, Any]) -> None:
    check_fields(body, WEBHOOK)
    if "url" in body:
        check_url(body["url"], simulator_of(request).switches)
    if "events" in body:
        check_events(body["events"])


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    known = {name: body[name] for name in WEBHOOK if name in body}
    return {**known, "secret": known["secret"] or None} if "secret" in known else known


async def _require_receiver(request: Request, webhook: Webhook) -> None:
    """Refuse a webhook that would be active while nobody listens where it leads."""
    receipt = await _send_test(request, webhook, TEST_EVENT)
    if not receipt.arrived:
        why = receipt.error or f"it answered with HTTP status {receipt.status}"
        raise invalid(f"The test payload could not be delivered to {webhook.url}: {why}")


async def _send_test(request: Request, webhook: Webhook, event: str) -> Receipt:
    return await asyncio.wrap_future(simulator_of(request).deliveries.test(webhook, event))
