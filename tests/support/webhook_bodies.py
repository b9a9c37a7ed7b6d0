"""Deliveries as Fivetran sends them, signed with nothing of the package under test."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from datetime import UTC, datetime

SECRET = "a secret of thirty-two characters"
SIGNATURE = "X-Fivetran-Signature-256"

# As captured on 2026-05-22, with other names. Fivetran writes no spaces.
CAPTURED = (
    b'{"event":"sync_end","created":"2026-05-22T00:06:08.638Z","connector_type":"google_cloud_postgresql",'
    b'"connector_id":"speak_menial","connector_name":"orders_pg",'
    b'"sync_id":"0c7a1a2e-6f0a-4f39-9d0c-5b0a4a6f4f11","destination_group_id":"projected_sickle",'
    b'"data":{"status":"SUCCESSFUL"}}'
)


def delivery(
    event: str = "sync_end",
    *,
    status: str | None = "SUCCESSFUL",
    details: dict | None = None,
    **changes: object,
) -> bytes:
    """Write a body like the captured one; a field that is set to ``None`` is left out."""
    fields = {
        "event": event,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "connector_type": "google_cloud_postgresql",
        "connector_id": "speak_menial",
        "connector_name": "orders_pg",
        "sync_id": str(uuid.uuid4()),
        "destination_group_id": "projected_sickle",
        "data": {**({"status": status} if status else {}), **(details or {})},
    }
    kept = {name: value for name, value in {**fields, **changes}.items() if value is not None}
    return json.dumps(kept, separators=(",", ":")).encode()


def signature(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().upper()


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The headers of a delivery."""
    return {SIGNATURE: signature(body, secret), "Content-Type": "application/json"}
