"""The operator that tells when the schema configuration of a connection has drifted."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_fivetran.arguments import is_known, scope_of
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.moments import write_moment
from airflow_provider_fivetran.core.policies import WhenDrifted
from airflow_provider_fivetran.schema_task import SchemaTask

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.schema_drift import DriftReport

__all__ = ["DRIFT_XCOM", "SCHEMA_XCOM", "FivetranSchemaDriftOperator"]

# The XCom with what was found, and the one with the configuration, for the next run to compare with.
DRIFT_XCOM = "fivetran_schema_drift"
SCHEMA_XCOM = "fivetran_schema"
# Which run has looked when: of runs with a logical date, and of those without one.
LOOK_XCOMS = ("fivetran_schema_look", "fivetran_schema_look_undated")


class FivetranSchemaDriftOperator(SchemaTask, BaseOperator):
    """Compares the schema configuration of a connection with a description, or with what its run before has seen.

    It tells tables and schemas that have disappeared or are new, with whether they are enabled; what was enabled,
    disabled, hashed or unhashed; another sync mode; another handling of changes. One error lists all that fails.
    Without a description each difference is told once: by the first run that sees it. With one it is told until the
    configuration, or the description, is changed.

    The return value is the number of differences that are not ignored. The XCom ``fivetran_schema_drift`` holds
    them, of a failed check too: ``is_as_expected``, ``compared_with`` (``description``, ``earlier`` or ``nothing``),
    ``count``, ``failures``, ``reported`` and ``link``, each difference with its words as ``text``. The XCom
    ``fivetran_schema`` holds the configuration as it is now, in the form of a description.

    It changes nothing: only a ``reload`` lets Fivetran learn what is new in the source. Without one it sees what
    Fivetran learned with its last sync.

    :param connector_id: id of the connection;
    :param connector_name: or its name, which is that of its schema in the destination, with
    :param destination_name: the name of its destination.
    :param schemas: what should be, as for :class:`FivetranSchemaOperator`, with
    :param schema_change_handling: where that matters. With neither, the XCom ``fivetran_schema`` of this task's run
        before is compared with; the first run only leaves one. Where a description names schemas, or tables of a
        schema, those that it does not name are new.
    :param columns_of: tables by schema, all of whose columns are read from the source, one request each:
        ``{"shop": ["customers"]}``, or the same as JSON text. Otherwise Fivetran shows only columns that somebody
        has ever enabled, disabled or hashed, and new ones are not seen. A described table with ``"all_columns":
        True`` is read so too, and columns beside those that it names are new.
    :param when_changed: something is enabled, disabled, hashed, ... and should not be: ``"fail"``, ``"report"`` (a
        warning and the XCom) or ``"ignore"``;
    :param when_missing: it is not there, or was deleted in the source: the same; ``"fail"``;
    :param when_new: it was not described, or not there before: the same; ``"report"``.
    :param reload: let Fivetran read the source anew before; False.
    :param reload_timeout: for how long to ask again while a reload gives no usable answer, a timedelta or seconds;
        30 minutes.
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param fivetran_retry_limit: how often a request that may be repeated is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :raises ValueError: an argument is not allowed (when the DAG is parsed, or after its template was rendered).
    :raises FivetranUnreachable: Fivetran could not be reached for two minutes.
    :raises AirflowFailException: trying again would change nothing: something differs (``FivetranSchemaDrift``),
        there is no schema yet, the key may not read it, ... The error itself is its ``__cause__``.
    """

    template_fields: Collection[str] = (*SchemaTask.template_fields, "columns_of")
    template_fields_renderers: ClassVar[dict[str, str]] = {"schemas": "json", "columns_of": "json"}

    policies: ClassVar[Mapping[str, object]] = dict.fromkeys(
        ("when_changed", "when_missing", "when_new"), WhenDrifted
    )

    def __init__(
        self,
        *,
        connector_id: str | None = None,
        connector_name: str | None = None,
        destination_name: str | None = None,
        schemas: Mapping[str, Any] | str | None = None,
        schema_change_handling: str | None = None,
        columns_of: Mapping[str, Sequence[str]] | str | None = None,
        when_changed: WhenDrifted = "fail",
        when_missing: WhenDrifted = "fail",
        when_new: WhenDrifted = "report",
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
        self.columns_of = columns_of
        self.when_changed = when_changed
        self.when_missing = when_missing
        self.when_new = when_new
        self.reload = reload
        self.reload_timeout = reload_timeout
        self.fivetran_conn_id = fivetran_conn_id
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self._check_arguments()
        if columns_of is not None and is_known(columns_of):
            scope_of(columns_of, "columns_of")
        if schemas is not None or schema_change_handling is not None:
            self._check_description()

    def execute(self, context: Context) -> int:
        """Look once, and compare."""
        from airflow_provider_fivetran.raising import failing_at_once_when_pointless  # noqa: PLC0415

        with failing_at_once_when_pointless(), self._hook() as hook:
            self._check_found()
            is_described = self.schemas is not None or self.schema_change_handling is not None
            connection_id = self._find(context, hook)
            report = hook.check_schema_drift(
                connection_id,
                self.schemas,
                schema_change_handling=self.schema_change_handling,  # type: ignore[arg-type]  # checked there
                earlier=None if is_described else self._seen_before(context, connection_id),
                columns_of=None if self.columns_of is None else scope_of(self.columns_of, "columns_of"),
                reload=self.reload,
                reload_timeout=self.reload_timeout,
                when_changed=self.when_changed,
                when_missing=self.when_missing,
                when_new=self.when_new,
            )
            return self._conclude(context, report)

    def _seen_before(self, context: Context, connection_id: str) -> Any:
        """What the run before has left, if it was about this connection.

        Airflow has emptied this run's own XComs, also before a retry. Of prior runs it finds the newest by their
        logical date, and those without one all before or all after the others, as the database has it: so each
        kind is asked for by itself.
        """
        from airflow_provider_fivetran.assets import IS_AIRFLOW_2  # noqa: PLC0415

        ti = context["ti"]

        def left(key: str, **where: Any) -> Any:
            return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index, **where)

        looks = [left(key, include_prior_dates=True) for key in LOOK_XCOMS]
        known = [look for look in looks if isinstance(look, Mapping)]
        if not known:
            return None
        last = max(known, key=itemgetter("at"))
        about = last["connection_id"]
        if about != connection_id:
            self.log.warning(
                "The run before has looked at %s, with which %s is not compared", about, connection_id
            )
            return None
        # Airflow 2 cannot be asked for those of one run; there each run has a logical date.
        return left(
            SCHEMA_XCOM, **{"include_prior_dates": True} if IS_AIRFLOW_2 else {"run_id": last["run_id"]}
        )

    def _conclude(self, context: Context, report: DriftReport) -> int:
        ti = context["ti"]
        ti.xcom_push(key=DRIFT_XCOM, value=report.to_json())
        ti.xcom_push(key=SCHEMA_XCOM, value=report.config.to_json())
        look = {"connection_id": report.connection_id, "run_id": ti.run_id, "at": write_moment(utcnow())}
        ti.xcom_push(key=LOOK_XCOMS[context.get("logical_date") is None], value=look)
        self.log.info("%s", report.summary())
        if report.reported:
            self.log.warning("%s", report.remarks())
        error = report.error()
        if error is not None:
            raise error
        return report.count
