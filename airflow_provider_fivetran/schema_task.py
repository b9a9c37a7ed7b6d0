"""What the operators about schema configurations share: which connection it is, its description, and the hook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_fivetran.arguments import (
    check_choice,
    check_flag,
    check_identified,
    is_known,
    span_of,
)
from airflow_provider_fivetran.fivetran_task import FivetranTask
from airflow_provider_fivetran.links import FivetranConnectionLink

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import BaseOperatorLink, Context

    from airflow_provider_fivetran.hooks import FivetranHook

__all__ = ["SchemaTask"]


class SchemaTask(FivetranTask):
    """A task about the schema configuration of one connection. Importing it loads no hook."""

    template_fields: Collection[str] = (
        "connector_id",
        "connector_name",
        "destination_name",
        "schemas",
        "schema_change_handling",
        "fivetran_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"schemas": "json"}
    operator_extra_links: Collection[BaseOperatorLink] = (FivetranConnectionLink(),)
    ui_color = "#e6f0ff"

    # Which words each policy allows.
    policies: ClassVar[Mapping[str, object]]

    connector_id: str | None
    connector_name: str | None
    destination_name: str | None
    schemas: Mapping[str, Any] | str | None
    schema_change_handling: str | None
    reload: bool
    reload_timeout: float | timedelta

    def _check_arguments(self) -> None:
        """Check what can be checked when the DAG is parsed."""
        check_identified(self.connector_id, self.connector_name, self.destination_name)
        check_flag("reload", self.reload)
        span_of("reload_timeout", self.reload_timeout)
        self._check_way_to_fivetran()
        self._expect(self.template_fields)
        for name, allowed in self.policies.items():
            check_choice(name, getattr(self, name), allowed)

    def _check_description(self) -> None:
        if is_known(self.schemas) and is_known(self.schema_change_handling):
            from airflow_provider_fivetran.core.schema_description import read_description  # noqa: PLC0415

            read_description(self.schemas, self.schema_change_handling)

    def _find(self, context: Context, hook: FivetranHook) -> str:
        """The id of the connection; its link shows from now on."""
        from airflow_provider_fivetran.core.models import dashboard_link  # noqa: PLC0415

        connection_id = hook.find_id(self.connector_id, self.connector_name, self.destination_name)
        FivetranConnectionLink.persist(context, dashboard_link(connection_id))
        return connection_id
