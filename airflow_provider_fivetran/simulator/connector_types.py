"""The few connector types that the simulator knows, with their fields, in the shape of Fivetran's metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .problems import ApiError, invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Fields = dict[str, dict[str, Any]]


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, "readonly": False, **more}


def _secret(description: str) -> dict[str, Any]:
    return _text(description, format="password")


def _whole(description: str) -> dict[str, Any]:
    return {"type": "integer", "description": description, "readonly": False, "format": "int32"}


def _switch(description: str) -> dict[str, Any]:
    return {"type": "boolean", "description": description, "readonly": False}


def _choice(description: str, *allowed: str) -> dict[str, Any]:
    # Fivetran's metadata calls some of the fields with listed values objects, though they are texts.
    return {"type": "object", "description": description, "readonly": False, "enum": list(allowed)}


def _list_of(item: dict[str, Any], description: str) -> dict[str, Any]:
    return {"type": "array", "description": description, "readonly": False, "items": item}


def _object(fields: Fields, *required: str, description: str = "") -> dict[str, Any]:
    shape = {"type": "object", "description": description, "readonly": False, "properties": fields}
    return {**shape, "required": list(required)} if required else shape


_SCHEMA = _text("Destination schema. It is permanent and cannot be changed after connection creation")
_PREFIX = _text("Destination schema prefix. It is permanent and cannot be changed after connection creation")
_OAUTH = {
    "client_access": _object(
        {"client_id": _text("Client ID"), "client_secret": _text("Client secret")},
        description="Your own client",
    ),
    "refresh_token": _text("The long-lived refresh token"),
}

# By id: what the list shows, the configuration, the ``auth`` section where there is one, and what lets Fivetran into
# the source: one of these fields.
_TYPES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None, tuple[str, ...]]] = {
    "postgres": (
        {"name": "PostgreSQL", "type": "Database"},
        _object(
            {
                "schema_prefix": _PREFIX,
                "host": _text("Host or IP address"),
                "port": _whole("Port number"),
                "database": _text("Database name"),
                "user": _text("User name"),
                "password": _secret("The user's password"),
                "update_method": _choice(
                    "How changes are detected", "QUERY_BASED", "WAL_PGOUTPUT", "TELEPORT"
                ),
                "replication_slot": _text("Replication slot name"),
                "publication_name": _text("Publication name"),
                "always_encrypted": _switch("Require TLS through tunnel"),
                "tunnel_host": _text("SSH host"),
                "tunnel_port": _whole("SSH port"),
                "tunnel_user": _text("SSH user"),
            },
            "schema_prefix",
        ),
        None,
        ("config.password",),
    ),
    "google_sheets": (
        {"name": "Google Sheets", "type": "File"},
        _object(
            {
                "schema": _SCHEMA,
                "table": _text("Destination table. It is permanent"),
                "sheet_id": _text("Address of the sheet"),
                "named_range": _text("Named range"),
                "auth_type": _choice("How to get in", "ServiceAccount", "OAuth"),
            },
            "schema",
            "table",
        ),
        _object(_OAUTH),
        ("auth.refresh_token",),
    ),
    "google_ads": (
        {"name": "Google Ads", "type": "Marketing"},
        _object(
            {
                "schema": _SCHEMA,
                "sync_mode": _choice(
                    "Accounts to sync", "ManagerAccounts", "AllAccounts", "SpecificAccounts"
                ),
                "timeframe_months": _choice(
                    "How far back", "THREE", "SIX", "TWELVE", "TWENTY_FOUR", "ALL_TIME"
                ),
                "accounts": _list_of(_text(""), "Ids of accounts"),
                "customer_id": _text("Id of the customer"),
                "conversion_window_size": _whole("Days in which conversions are recorded"),
                "reports": _list_of(
                    _object(
                        {
                            "table": _text("Destination table"),
                            "report_type": _text("Type of the report"),
                            "fields": _list_of(_text(""), "Fields"),
                        }
                    ),
                    "Reports to sync",
                ),
                "skip_empty_reports": _switch("Skip empty reports"),
            },
            "schema",
        ),
        _object(
            {
                "client_access": _object(
                    {
                        "client_id": _text("Client ID"),
                        "client_secret": _text("Client secret"),
                        "developer_token": _text("Developer token"),
                    }
                ),
                "refresh_token": _text("The long-lived refresh token"),
            }
        ),
        ("auth.refresh_token",),
    ),
    "github": (
        {"name": "GitHub", "type": "Engineering"},
        _object(
            {
                "schema": _SCHEMA,
                "auth_mode": _choice("How to get in", "PersonalAccessToken", "OAuth", "AppInstallation"),
                "username": _text("User name"),
                "pat": _secret("Personal access token"),
                "sync_mode": _choice("What to sync", "AllRepositories", "SpecificRepositories"),
                "repositories": _list_of(_text(""), "Repositories"),
            },
            "schema",
        ),
        _object(_OAUTH),
        ("config.pat", "auth.refresh_token"),
    ),
    "stripe": (
        {"name": "Stripe", "type": "API"},
        _object(
            {
                "schema": _SCHEMA,
                "secret_key": _secret("Secret key"),
                "is_account_level_connector": _switch("Sync the account itself"),
                "sync_mode": _choice("Accounts to sync", "AllAccounts", "SpecificAccounts"),
                "connected_accounts": _list_of(_text(""), "Ids of accounts"),
            },
            "schema",
        ),
        None,
        ("config.secret_key", "config.api_key"),
    ),
    "salesforce": (
        {"name": "Salesforce", "type": "API"},
        _object({"schema": _SCHEMA, "domain": _text("Custom domain")}, "schema"),
        _object(_OAUTH),
        ("auth.refresh_token",),
    ),
}


def connector_types() -> list[dict[str, Any]]:
    """What the list of types shows."""
    return [_row(service) for service in _TYPES]


def connector_type(service: str) -> dict[str, Any]:
    """One type with its fields, or the refusal where there is none."""
    if service not in _TYPES:
        raise ApiError(404, "NotFound", f"Cannot find connector type with id '{service}'")
    _, config, auth, _ = _TYPES[service]
    return {**_row(service), "config": config, **({} if auth is None else {"auth": auth})}


def _row(service: str) -> dict[str, Any]:
    about = _TYPES[service][0]
    link = f"https://fivetran.com/docs/connectors/{service}"
    return {"id": service, **about, "service_status": "general_availability", "link_to_docs": link}


def check_setup(service: str, config: Mapping[str, Any]) -> None:
    """Refuse an unknown type, and values that are not among those listed for a field."""
    if service not in _TYPES:
        raise invalid(f"Unsupported service '{service}'")
    for name, field in _TYPES[service][1]["properties"].items():
        allowed = field.get("enum")
        if allowed and name in config and config[name] not in allowed:
            raise invalid(f"Field 'config.{name}' is '{config[name]}'; allowed: {', '.join(allowed)}")


def schema_name(service: str, config: Mapping[str, Any]) -> str | None:
    """What a connection with this configuration will be called; None where nothing says."""
    if "schema_prefix" in config:
        return str(config["schema_prefix"])
    if "schema" in config and "table" in config and "table" in _TYPES[service][1]["properties"]:
        return f"{config['schema']}.{config['table']}"
    return str(config["schema"]) if "schema" in config else None


def lets_in(service: str, config: Mapping[str, Any], auth: Mapping[str, Any]) -> bool:
    """Whether something of what lets Fivetran into the source is there."""
    given = {"config": config, "auth": auth}
    return any(_at(given, path) for path in _TYPES[service][3])


def secret_fields(service: str) -> frozenset[str]:
    """The names of the fields that are secrets by declaration."""
    return frozenset(_secrets_in(_TYPES[service][1])) if service in _TYPES else frozenset()


def _secrets_in(field: Mapping[str, Any]) -> Iterator[str]:
    for name, inner in field.get("properties", {}).items():
        if inner.get("format") == "password":
            yield name
        yield from _secrets_in(inner)


def _at(tree: Mapping[str, Any], path: str) -> Any:
    value: Any = tree
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
