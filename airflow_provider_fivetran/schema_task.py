"""What the operators about schema configurations share: which connection it is, its description, and the hook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_fivetran.arguments import (
    check_attempts,
    check_choice,
    check_delay,
    check_flag,
    check_identified,
    check_text,
    is_known,
    span_of,
)
from airflow_provider_fivetran.links import FivetranConnectionLink

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import BaseOperatorLink, Context

    from airflow_provider_fivetran.hooks import FivetranHook

__all__ = ["SchemaTask"]

_DESCRIBING = ("schemas", "schema_change_handling")


class SchemaTask:
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
    fivetran_conn_id: str
    fivetran_retry_limit: int
    fivetran_retry_delay: float
    _described_by: tuple[str, ...] = ()

    def _check_arguments(self) -> None:
        """Check what can be checked when the DAG is parsed."""
        check_identified(self.connector_id, self.connector_name, self.destination_name)
        check_flag("reload", self.reload)
        span_of("reload_timeout", self.reload_timeout)
        check_text("fivetran_conn_id", self.fivetran_conn_id)
        check_attempts(self.fivetran_retry_limit)
        check_delay(self.fivetran_retry_delay)
        for name, allowed in self.policies.items():
            check_choice(name, getattr(self, name), allowed)

    def _check_description(self) -> None:
        # Which of the two are given is decided here for good: a template may make nothing of them.
        self._described_by = tuple(name for name in _DESCRIBING if getattr(self, name) is not None)
        if is_known(self.schemas) and is_known(self.schema_change_handling):
            from airflow_provider_fivetran.core.schema_description import read_description  # noqa: PLC0415

            read_description(self.schemas, self.schema_change_handling)

    def _check_found(self) -> None:
        """Check, when the task runs, that templates have found what describes it."""
        for name in self._described_by:
            if getattr(self, name) is None:
                raise ValueError(
                    f"{name} is None: did its template, or the task it comes from, find no value?"
                )

    # What runs a task is imported when it runs: a DAG file is parsed over and over.

    def _hook(self) -> FivetranHook:
        from airflow_provider_fivetran.hooks import FivetranHook  # noqa: PLC0415

        return FivetranHook(
            self.fivetran_conn_id,
            fivetran_retry_limit=self.fivetran_retry_limit,
            fivetran_retry_delay=self.fivetran_retry_delay,
        )

    def _find(self, context: Context, hook: FivetranHook) -> str:
        """The id of the connection; its link shows from now on."""
        from airflow_provider_fivetran.core.models import dashboard_link  # noqa: PLC0415

        connection_id = hook.find_id(self.connector_id, self.connector_name, self.destination_name)
        FivetranConnectionLink.persist(context, dashboard_link(connection_id))
        return connection_id
