"""The URLs with which connections are set up, as described calls like those of ``endpoints``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.connector_types import ConnectorType
from airflow_provider_fivetran.core.paths import PAGE, no_data, of_connection, segment
from airflow_provider_fivetran.core.protocol import Call, Page
from airflow_provider_fivetran.core.setups import ConnectCard, Setup

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "change_setup",
    "create_connect_card",
    "create_connection",
    "delete_connection",
    "get_connector_type",
    "list_connector_types",
    "list_setups",
]


def list_setups(*, group_id: str, schema: str) -> Call[Page[Setup]]:
    """``GET /v1/connections``, narrowed by group and by exact schema name, with how the connections are set up."""
    return Call(
        method="GET",
        path="/v1/connections",
        params={"limit": PAGE, "group_id": group_id, "schema": schema},
        read=Page.reader(Setup.from_json),
        safe=True,
    )


def create_connection(body: Mapping[str, Any]) -> Call[Setup]:
    """``POST /v1/connections``, without setup tests, which take long and can be run afterwards.

    Never to be repeated blindly: after a lost answer the list tells whether it took.
    """
    return Call(
        method="POST",
        path="/v1/connections",
        body={**body, "run_setup_tests": False},
        read=Setup.from_json,
        slow=True,
    )


def change_setup(
    connection_id: str,
    changes: Mapping[str, Any],
    *,
    setup_tests: bool = False,
    trust: Mapping[str, bool] | None = None,
) -> Call[Setup]:
    """``PATCH /v1/connections/{connectionId}``, with setup tests only if they are asked for.

    Setting a field to a value twice is the same as once, so it may be repeated; with setup tests, of which Fivetran
    allows only so many, it is not.

    :param trust: ``trust_certificates`` and ``trust_fingerprints`` for the setup tests.

    Before it changes how the source is reached, Fivetran stops a running sync (source: its page on the error "Failed
    to stop in-progress sync").
    """
    return Call(
        method="PATCH",
        **of_connection(connection_id),
        body={**changes, **(trust or {}), "run_setup_tests": setup_tests},
        read=Setup.from_json,
        safe=not setup_tests,
        slow=True,
    )


def delete_connection(connection_id: str) -> Call[None]:
    """``DELETE /v1/connections/{connectionId}``: a repetition is answered with 404, and deletes no more."""
    return Call(method="DELETE", **of_connection(connection_id), read=no_data, safe=True, slow=True)


def create_connect_card(connection_id: str, config: Mapping[str, Any]) -> Call[ConnectCard]:
    """``POST /v1/connections/{connectionId}/connect-card``: a link for somebody who authorises the connection.

    It changes nothing about the connection, so it may be repeated: then there is another link.
    """
    return Call(
        method="POST",
        **of_connection(connection_id, "/connect-card"),
        body={"connect_card_config": dict(config)},
        read=ConnectCard.from_json,
        safe=True,
    )


def list_connector_types() -> Call[Page[ConnectorType]]:
    """``GET /v1/metadata/connector-types``. Rows tell nothing of fields."""
    return Call(
        method="GET",
        path="/v1/metadata/connector-types",
        params={"limit": PAGE},
        read=Page.reader(ConnectorType.row_from_json),
        safe=True,
    )


def get_connector_type(service: str) -> Call[ConnectorType]:
    """``GET /v1/metadata/connector-types/{service}``."""
    return Call(
        method="GET",
        path=f"/v1/metadata/connector-types/{segment(service)}",
        read=ConnectorType.from_json,
        safe=True,
    )
