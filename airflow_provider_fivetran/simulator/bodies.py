"""What the definition allows in request bodies: the type of each field, or its values where listed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .problems import ApiError, invalid
from .records import SyncFrequency
from .source import EXCLUDE_MODES, HANDLING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request

Fields = dict[str, type | tuple[object, ...]]

_ID: Fields = {
    "proxy_agent_id": str,
    "private_link_id": str,
    "hybrid_deployment_agent_id": str,
    "external_secrets_manager_id": str,
}
_CONNECTION: Fields = {
    **_ID,
    "config": dict,
    "auth": dict,
    "paused": bool,
    "trust_certificates": bool,
    "trust_fingerprints": bool,
    "run_setup_tests": bool,
    "sync_frequency": SyncFrequency,
    "data_delay_threshold": int,
    "data_delay_sensitivity": ("LOW", "NORMAL", "HIGH", "CUSTOM", "SYNC_FREQUENCY"),
    "daily_sync_time": str,
    "pause_after_trial": bool,
    "schedule_type": ("auto", "manual"),
    "networking_method": ("Directly", "PrivateLink", "SshTunnel", "ProxyAgent"),
    "destination_configuration": dict,
}
NEW_CONNECTION: Fields = {
    **_CONNECTION,
    "group_id": str,
    "service": str,
    "connect_card_config": dict,
    "destination_schema_names": ("FIVETRAN_NAMING", "SOURCE_NAMING"),
}
CHANGED_CONNECTION: Fields = {
    **_CONNECTION,
    "schema_status": ("blocked_on_capture", "ready"),
    "is_historical_sync": bool,
    "external_secrets_keys_config": dict,
    "schedule": dict,
}
SYNC: Fields = {"force": bool}
RESYNC: Fields = {"scope": dict}
SETUP_TESTS: Fields = {"trust_certificates": bool, "trust_fingerprints": bool}
CHANGED_SCHEMAS: Fields = {
    "schemas": dict,
    "schema_change_handling": HANDLING,
    "is_type_locked": bool,
}
RELOAD: Fields = {"exclude_mode": EXCLUDE_MODES}
RUN_TRANSFORMATION: Fields = {"full_refresh": bool}
WEBHOOK: Fields = {"url": str, "events": list, "active": bool, "secret": str}
WEBHOOK_TEST: Fields = {"event": str}
GROUP: Fields = {"name": str}
GROUP_USER: Fields = {"email": str, "role": str}
USER: Fields = dict.fromkeys(("email", "given_name", "family_name", "phone", "picture", "role"), str)
TEAM: Fields = {"name": str, "description": str, "role": str}
TEAM_MEMBER: Fields = {"user_id": str, "role": str}
MEMBERSHIP: Fields = {"id": str, "role": str}
_PERIODS = ("ONE_WEEK", "ONE_MONTH", "THREE_MONTHS", "SIX_MONTHS", "INFINITE")
SYSTEM_KEY: Fields = {"name": str, "expiration_period": _PERIODS, "permissions": list}
# The definition lists all but the last two, which Fivetran's page on system keys names.
_RESOURCE_TYPES = (
    *("ACCOUNT", "USER", "WEBHOOK", "TEAM", "ROLES", "DESTINATION", "TRANSFORMATION"),
    *("REMOTE_EXECUTION_AGENT", "CONNECTOR", "PRIVATE_LINK", "PROXY"),
)
PERMISSION: Fields = {
    "resource_type": _RESOURCE_TYPES,
    "access_level": ("NONE", "READ", "MANAGE"),
    "resource_filter": dict,
}
PERMISSION_FILTER: Fields = {"ids": list, "group_ids": list}
DISMISSED_WARNINGS: Fields = {"warning_types": list}

_WORDS: dict[type, str] = {
    bool: "true or false",
    int: "an integer",
    str: "a string",
    dict: "an object",
    list: "a list",
}


async def read_body(request: Request) -> dict[str, Any] | None:
    """The JSON object of a POST or PATCH, or None where the body is empty."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = await request.body()
    if content_type != "application/json":
        raise ApiError(415, "UnsupportedMediaType", "HTTP 415 Unsupported Media Type")
    if not raw:
        return None
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise invalid("The request body is not valid JSON") from error
    if not isinstance(body, dict):
        raise invalid("The request body must be a JSON object")
    return body


def check_fields(body: Mapping[str, Any], fields: Fields) -> None:
    """Refuse a value of the wrong type. Unknown fields pass, as the definition does not forbid them."""
    for name, value in body.items():
        allowed = fields.get(name)
        if isinstance(allowed, tuple):
            if isinstance(value, bool) or value not in allowed:
                choices = ", ".join(map(str, allowed))
                raise invalid(f"Field '{name}' is {value!r}; allowed: {choices}")
        elif allowed is not None and not _is(value, allowed):
            raise invalid(f"Field '{name}' is {value!r}; allowed: {_WORDS[allowed]}")


def require_fields(body: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if name not in body:
            raise invalid(f"Field '{name}' is required")


def check_card(body: Mapping[str, Any]) -> None:
    """Refuse a Connect Card that does not know where to send people afterwards."""
    card = body.get("connect_card_config")
    if card is not None:
        if not isinstance(card.get("redirect_uri"), str):
            raise invalid("Field 'connect_card_config.redirect_uri' is required; allowed: a string")
        check_fields(card, {"hide_setup_guide": bool, "all_fields": bool})


def check_tables(tables: Mapping[str, Any], where: str) -> dict[str, list[str]]:
    """Refuse anything but ``{"schema": ["table", ...]}`` with at least one table in each schema."""
    if not tables:
        raise invalid(f"{where} must name at least one schema")
    for schema, names in tables.items():
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise invalid(f"{where}: schema '{schema}' must hold a list of at least one table name")
        if len(set(names)) != len(names):
            raise invalid(f"{where}: schema '{schema}' names a table twice")
    return dict(tables)


def _is(value: object, kind: type) -> bool:
    # JSON's true is no integer, though Python's is.
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))
