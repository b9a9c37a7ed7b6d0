"""The operator that keeps the schema configuration of a connection as it is described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_fivetran.core.policies import CheckMissing, OtherTables, WhenDifferent, WhenNoSchema
from airflow_provider_fivetran.schema_task import SchemaTask

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.schema_ensuring import SchemaChanges

__all__ = ["CHANGES_XCOM", "FivetranSchemaOperator"]

# The XCom with what was, or would be, changed.
CHANGES_XCOM = "fivetran_schema_changes"


class FivetranSchemaOperator(SchemaTask, BaseOperator):
    """Makes the schema configuration of a connection be as described: what is synced, how, and what is hashed.

    It looks first, says in the log what differs, and changes that in one request and nothing else; then it looks
    whether Fivetran did so. What the description names and does not exist, and what Fivetran does not let be
    changed, such as a system table that is to be disabled, is told before anything is changed. A task that finds
    all as described changes nothing, so it may run as often as it likes.

    The return value is the number of differences: 0 where all was as described. The XCom ``fivetran_schema_changes``
    holds them: ``is_changed``, ``is_prepared``, ``count``, ``link`` and ``differences`` (the first thousand), each
    with its words as ``text``.

    What is newly enabled is filled by the next sync; nothing is re-synced here.

    :param connector_id: id of the connection;
    :param connector_name: or its name, which is that of its schema in the destination, with
    :param destination_name: the name of its destination.
    :param schemas: what is to be, by the names of the source, as a mapping or as JSON text, each with what matters
        of it: ``{"shop": {"tables": {"orders": {"enabled": True, "sync_mode": "HISTORY"}, "customers": {"columns":
        {"email": {"hashed": True}, "fax": False}}, "logs": False}}}``. ``True`` and ``False`` alone are short for
        ``enabled``, and a list of names, at least one, for what is enabled: ``{"shop": ["orders", "customers"]}``.
        What is not named stays as it is.
    :param schema_change_handling: what becomes of what is new in the source: ``"ALLOW_ALL"``, ``"ALLOW_COLUMNS"`` or
        ``"BLOCK_ALL"``; unset leaves it. Of this and ``schemas`` at least one is given.
    :param others: schemas beside those that are described, and tables beside those that are described of a schema:
        ``"leave"``, or ``"disable"``, which leaves alone only what Fivetran does not let be disabled.
    :param when_different: ``"change"``; ``"show"``: only say what would be changed (a dry run); ``"fail"``: an error
        that lists it. The latter two change nothing.
    :param when_missing: something described is not there, or was deleted in the source: ``"fail"``, or ``"ignore"``,
        which leaves it out with a warning.
    :param when_no_schema: Fivetran has not read the schema of the source yet, as of a connection that has never
        synced: ``"reload"``: let it read it now; ``"prepare"``: hand over the description, which Fivetran applies
        when it reads the schema; ``"fail"``.
    :param reload: let Fivetran read the source anew before; False.
    :param reload_timeout: for how long to ask again while a reload gives no usable answer, a timedelta or seconds;
        30 minutes.
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param fivetran_retry_limit: how often a request that may be repeated is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :raises ValueError: an argument is not allowed (when the DAG is parsed, or after its template was rendered).
    :raises FivetranConflict: for two minutes Fivetran could not stop the sync that runs; a retry may find it ended.
    :raises FivetranUnreachable: Fivetran could not be reached for two minutes.
    :raises AirflowFailException: trying again would change nothing: the description cannot be
        (``FivetranWrongDescription``), something is not as described (``FivetranNotAsDescribed``), there is no
        schema yet, the key may not change it, ... The error itself is its ``__cause__``.
    """

    policies: ClassVar[Mapping[str, object]] = {
        "others": OtherTables,
        "when_different": WhenDifferent,
        "when_missing": CheckMissing,
        "when_no_schema": WhenNoSchema,
    }

    def __init__(
        self,
        *,
        connector_id: str | None = None,
        connector_name: str | None = None,
        destination_name: str | None = None,
        schemas: Mapping[str, Any] | str | None = None,
        schema_change_handling: str | None = None,
        others: OtherTables = "leave",
        when_different: WhenDifferent = "change",
        when_missing: CheckMissing = "fail",
        when_no_schema: WhenNoSchema = "reload",
        reload: bool = False,
        reload_timeout: float | timedelta = 1800,
        fivetran_conn_id: str = "fivetran_default",
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.connector_id = connector_id
        self.connector_name = connector_name
        self.destination_name = destination_name
        self.schemas = schemas
        self.schema_change_handling = schema_change_handling
        self.others = others
        self.when_different = when_different
        self.when_missing = when_missing
        self.when_no_schema = when_no_schema
        self.reload = reload
        self.reload_timeout = reload_timeout
        self.fivetran_conn_id = fivetran_conn_id
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self._check_arguments()
        self._check_description()

    def execute(self, context: Context) -> int:
        """Look what there is, and change what differs."""
        from airflow_provider_fivetran.raising import failing_at_once_when_pointless  # noqa: PLC0415

        def tell(changes: SchemaChanges) -> None:
            context["ti"].xcom_push(key=CHANGES_XCOM, value=changes.to_json())

        with failing_at_once_when_pointless(), self._hook() as hook:
            self._check_found()
            changes = hook.ensure_schema_config(
                self._find(context, hook),
                self.schemas,
                schema_change_handling=self.schema_change_handling,  # type: ignore[arg-type]  # checked there
                others=self.others,
                when_different=self.when_different,
                when_missing=self.when_missing,
                when_no_schema=self.when_no_schema,
                reload=self.reload,
                reload_timeout=self.reload_timeout,
                tell=tell,
            )
        return len(changes.differences)
