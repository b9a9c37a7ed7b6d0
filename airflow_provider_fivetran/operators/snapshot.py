"""The operator that takes a snapshot of what there is in an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_fivetran.fivetran_task import FivetranTask
from airflow_provider_fivetran.snapshot_arguments import LEAVE_REQUESTS, MOST_DAYS, check_shape, check_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.policies import FileFormat, SnapshotTable

__all__ = ["FivetranSnapshotOperator"]

# A mapped argument may turn out to be None, which is not the same.
_NOT_GIVEN: Any = object()


class FivetranSnapshotOperator(FivetranTask, BaseOperator):
    """Writes down what there is in a Fivetran account: for catalogues, reports and questions of the next day.

    The tables are ``users``, ``groups``, ``destinations``, ``transformations``, ``connections``, ``syncs`` (the sync
    history of the last seven days, with run times and volumes), ``latest_status`` (one row for each connection: its
    owner, what became of its latest ingestion, how the others went) and ``not_seen``. It only reads, and a key that
    may only view is enough; what the key may not see, and a history that Fivetran does not give, is told in
    ``not_seen`` and fails nothing.

    An account of 1,000 connections takes 1,005 requests, or 5 with ``history_days=0``, one after the other. A retry
    goes on where the try before stopped, for whatever reason: give the task ``retries``, and a ``retry_delay`` after
    which there are requests again.

    The return value is a summary: ``begun_at``, ``ended_at``, ``tries``, ``requests``, ``history_days``, ``rows`` by
    table, ``target``, ``file_format`` and ``parts`` by table. Without a target it has ``tables`` instead of the last
    three, with all rows, which then have to fit into 256 KiB.

    :param target: a folder for this snapshot alone, in any form that ``ObjectStoragePath`` takes:
        ``s3://bucket/fivetran/{{ ds }}``, ``file:///folder``, ... It is complete once ``_snapshot.json`` is there.
        What an earlier snapshot left there is removed first. Unset: the rows are in the return value. None is an
        error: a mapped task, or one whose template found no value, must not fill Airflow's database.
    :param target_conn_id: id of the Airflow connection for the target; unset: what the filesystem finds by itself.
    :param file_format: ``"jsonl"`` (JSON Lines), or ``"parquet"``, which needs pyarrow in the worker.
    :param tables: which of the tables; unset: all. What only others need is not asked for.
    :param history_days: how many days of sync history are read, at most 7; 0: none.
    :param max_requests: how many requests one try makes at most: at least ten, and one for each thousand
        connections, which the lists need; unset: no limit.
    :param leave_requests: how many requests of the account's hour are left to others; 2,000, or half of what was
        left when the snapshot began, where that is less.
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param fivetran_retry_limit: how often a request is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :raises ValueError: an argument is not allowed (when the DAG is parsed, or after its template was rendered).
    :raises FivetranSnapshotIncomplete: the requests that may be made did not suffice; a retry goes on.
    :raises FivetranUnreachable: Fivetran could not be reached for two minutes; a retry goes on.
    :raises AirflowFailException: trying again would change nothing: the key is wrong or may see none of it, a
        package is missing, nothing can be written to the target, the rows do not fit into an XCom. The error itself
        is its ``__cause__``.
    """

    template_fields: Sequence[str] = ("target", "target_conn_id", "fivetran_conn_id")
    ui_color = "#e6f0ff"

    def __init__(
        self,
        *,
        target: str = _NOT_GIVEN,
        target_conn_id: str | None = None,
        file_format: FileFormat = "jsonl",
        tables: Sequence[SnapshotTable] | None = None,
        history_days: float = MOST_DAYS,
        max_requests: int | None = None,
        leave_requests: int = LEAVE_REQUESTS,
        fivetran_conn_id: str = "fivetran_default",
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target: str | None = None if target is _NOT_GIVEN else target
        self.target_conn_id = target_conn_id
        self.file_format = file_format
        self.tables = tables
        self.history_days = history_days
        self.max_requests = max_requests
        self.leave_requests = leave_requests
        self.fivetran_conn_id = fivetran_conn_id
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        check_shape(
            tables=tables,
            file_format=file_format,
            history_days=history_days,
            max_requests=max_requests,
            leave_requests=leave_requests,
        )
        # A template or a mapped argument without a value must not fill the database instead.
        self._has_target = target is not _NOT_GIVEN
        self._check_has_found_a_target()
        check_target(self.target, target_conn_id)
        self._expect(["target_conn_id"])
        self._check_way_to_fivetran()

    def _check_has_found_a_target(self) -> None:
        if self._has_target and self.target in (None, "", "None"):
            from airflow_provider_fivetran.core.errors import FivetranArgumentMissing  # noqa: PLC0415

            raise FivetranArgumentMissing(
                f"target is {self.target!r}: did its template, or the task it comes from, find no value? To have "
                "the rows in the return value, leave target out"
            )

    def execute(self, context: Context) -> dict[str, Any]:
        """Take the snapshot, or go on with it."""
        from airflow.providers.common.compat.sdk import AirflowFailException  # noqa: PLC0415

        from airflow_provider_fivetran.raising import failing_at_once_when_pointless  # noqa: PLC0415
        from airflow_provider_fivetran.snapshot_files import UnusableTarget  # noqa: PLC0415

        ti = context["ti"]
        with failing_at_once_when_pointless(), self._hook() as hook:
            self._check_has_found_a_target()
            self._check_found()
            try:
                return hook.take_snapshot(
                    self.target,
                    target_conn_id=self.target_conn_id,
                    file_format=self.file_format,
                    tables=self.tables,
                    history_days=self.history_days,
                    max_requests=self.max_requests,
                    leave_requests=self.leave_requests,
                    resume_key=f"{ti.dag_id}/{ti.task_id}/{ti.run_id}/{ti.map_index}",
                )
            except (ModuleNotFoundError, UnusableTarget) as error:
                raise AirflowFailException(str(error)) from error
