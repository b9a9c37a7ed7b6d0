"""Fivetran for Apache Airflow. This module is read by Airflow's provider discovery and imports nothing."""

from __future__ import annotations

from typing import Any

__all__ = ["__version__", "get_provider_info"]

__version__ = "2.0.0.dev0"

_PACKAGE = "airflow_provider_fivetran"
_ASSET_URIS = [
    {
        "schemes": ["fivetran"],
        "handler": f"{_PACKAGE}.assets.normalize",
        "factory": f"{_PACKAGE}.assets.create_asset",
        "to_openlineage_converter": f"{_PACKAGE}.assets.to_openlineage",
    }
]


def get_provider_info() -> dict[str, Any]:
    """Describe this provider as plain data, in the shape of Airflow's ``provider_info.schema.json``.

    ``conn-fields`` and ``ui-field-behaviour`` are read by Airflow 3.2 and newer without importing the hook;
    older versions ask :class:`~airflow_provider_fivetran.hooks.FivetranHook`.
    """
    return {
        "package-name": "airflow-provider-fivetran",
        "name": "Fivetran",
        "description": "Start Fivetran syncs from Apache Airflow and know what became of each of them.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "Fivetran",
                "external-doc-url": "https://fivetran.com/docs/rest-api",
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": "Fivetran", "python-modules": [f"{_PACKAGE}.hooks"]}],
        "operators": [{"integration-name": "Fivetran", "python-modules": [f"{_PACKAGE}.operators"]}],
        "sensors": [{"integration-name": "Fivetran", "python-modules": [f"{_PACKAGE}.sensors"]}],
        "triggers": [{"integration-name": "Fivetran", "python-modules": [f"{_PACKAGE}.triggers"]}],
        "asset-uris": _ASSET_URIS,
        "dataset-uris": _ASSET_URIS,  # as Airflow 2 calls them
        "plugins": [{"name": "fivetran", "plugin-class": f"{_PACKAGE}.plugin.FivetranPlugin"}],
        "cli": [f"{_PACKAGE}.command_line.get_commands"],
        "extra-links": [
            f"{_PACKAGE}.links.FivetranConnectionLink",
            f"{_PACKAGE}.links.FivetranTransformationLink",
        ],
        "connection-types": [
            {
                "connection-type": "fivetran",
                "hook-class-name": f"{_PACKAGE}.hooks.FivetranHook",
                "hook-name": "Fivetran",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port", "extra"],
                    "relabeling": {"login": "API key", "password": "API secret", "host": "API address"},
                    "placeholders": {
                        "login": "key of a Fivetran API key",
                        "password": "its secret",
                        "host": "https://api.fivetran.com",
                    },
                },
                "conn-fields": {
                    "timeout": {
                        "label": "Timeout (seconds)",
                        "description": "How long one answer of the API may take; 90 when empty.",
                        "schema": {
                            "type": ["number", "null"],
                            "default": None,
                            "minimum": 1,
                            "maximum": 3600,
                        },
                    },
                    "fallback_conn_id": {
                        "label": "Fallback connection id",
                        "description": "Airflow connection whose key is tried when this one is refused.",
                        "schema": {"type": ["string", "null"], "default": None},
                    },
                    "webhook_secret": {
                        "label": "Webhook secret",
                        "description": "With which Fivetran signs its webhooks, for the receiver in the api-server.",
                        "schema": {"type": ["string", "null"], "default": None, "format": "password"},
                    },
                    "webhook_secret_previous": {
                        "label": "Previous webhook secret",
                        "description": "The secret before, accepted too while Fivetran changes over to a new one.",
                        "schema": {"type": ["string", "null"], "default": None, "format": "password"},
                    },
                },
            }
        ],
    }
