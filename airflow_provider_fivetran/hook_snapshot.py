"""The part of the hook that takes a snapshot of what there is in an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.moments import write_moment
from airflow_provider_fivetran.core.snapshot import take_snapshot
from airflow_provider_fivetran.core.snapshot_plan import Plan, Progress
from airflow_provider_fivetran.snapshot_arguments import (
    LEAVE_REQUESTS,
    MOST_DAYS,
    check_shape,
    check_target,
    check_target_is_text,
    tables_of,
)
from airflow_provider_fivetran.snapshot_files import Files, Memory, target_at
from airflow_provider_fivetran.snapshot_formats import writer_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_provider_fivetran.core.policies import FileFormat, SnapshotTable
    from airflow_provider_fivetran.core.steps import Procedure

__all__ = ["MOST_BYTES", "Snapshots"]

T = TypeVar("T")

# Of a snapshot without a target: as an XCom it stands in Airflow's database.
MOST_BYTES = 256 * 1024


class Snapshots:
    """Methods of :class:`~airflow_provider_fivetran.hooks.FivetranHook`. They only read."""

    if TYPE_CHECKING:  # what the hook has
        fivetran_conn_id: str

        def carry_out(self, procedure: Procedure[T]) -> T: ...

    def take_snapshot(
        self,
        target: str | None = None,
        *,
        target_conn_id: str | None = None,
        file_format: FileFormat = "jsonl",
        tables: Sequence[SnapshotTable] | None = None,
        history_days: float = MOST_DAYS,
        max_requests: int | None = None,
        leave_requests: int = LEAVE_REQUESTS,
        most_bytes: int = MOST_BYTES,
        resume_key: str = "",
    ) -> dict[str, Any]:
        """Read what the key may see of the account, and write it to files, or return it.

        ``GET /v1/users``, ``/v1/groups``, ``/v1/destinations``, ``/v1/transformations`` and ``/v1/connections`` take
        one request each for a thousand rows, and ``GET /v1/connections/{connectionId}/sync-history`` one for each
        connection, or each thousand of its syncs: 1,005 for an account of 1,000 connections, 5 with
        ``history_days=0``. They are made one after the other.

        What the key may not see is told in the table ``not_seen``. A snapshot with a target that was interrupted
        within the last 24 hours, by whatever, is gone on with by a call with the same arguments; a complete one, or
        another, is removed first. ``docs/snapshot.md`` describes the tables and their columns.

        :param target: a folder for this snapshot alone, in any form that ``ObjectStoragePath`` takes:
            ``s3://bucket/folder``, ``file:///folder``, ...; unset: the tables are returned.
        :param target_conn_id: id of the Airflow connection for the target.
        :param file_format: ``"jsonl"``, or ``"parquet"``, which needs pyarrow.
        :param tables: of ``users``, ``groups``, ``destinations``, ``transformations``, ``connections``, ``syncs``
            and ``latest_status``; unset: all.
        :param history_days: how many days of sync history are read, at most 7; 0: none.
        :param max_requests: of this try, at most; it must suffice for the lists; unset: no limit.
        :param leave_requests: how many requests of the account's hour are left to others; 2,000, or half of what was
            left when the snapshot began, where that is less.
        :param most_bytes: without a target: how long the tables may be as JSON; 262,144.
        :param resume_key: only a snapshot that was begun with the same key is gone on with.
        :return: ``begun_at``, ``ended_at``, ``tries``, ``requests``, ``history_days``, ``rows`` by table; with a
            target also ``target``, ``file_format`` and ``parts`` by table, without one ``tables``, each of which is
            a list of dictionaries.
        :raises ValueError: an argument is not allowed, no installed package knows the scheme of the target, or
            nothing can be written there.
        :raises ModuleNotFoundError: pyarrow is needed and not installed.
        :raises FivetranSnapshotIncomplete: the requests that may be made do not suffice.
        :raises FivetranSnapshotTooLarge: without a target: there is more than ``most_bytes``.
        :raises FivetranApiError: the key may see nothing of these tables.
        :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached for two minutes.
        """
        check_shape(
            tables=tables,
            file_format=file_format,
            history_days=history_days,
            max_requests=max_requests,
            leave_requests=leave_requests,
        )
        check_target(target, target_conn_id)
        plan = Plan(
            tables=tables_of(tables),
            history_days=history_days,
            max_requests=max_requests,
            leave_requests=leave_requests,
        )
        if target is None:
            return self._snapshot_in_memory(plan, most_bytes)
        check_target_is_text(target)
        identity = {
            "key": resume_key,
            "fivetran_conn_id": self.fivetran_conn_id,
            "file_format": file_format,
            **plan.to_json(),
        }
        with Files(
            target_at(target, target_conn_id),
            suffix=file_format,
            open_part=writer_of(file_format),
            identity=identity,
            now=utcnow(),
        ) as files:
            progress = self.carry_out(take_snapshot(plan, files, utcnow, files.progress))
            summary = {
                **_summary(plan, progress, files.begun_at, files.rows),
                "target": target,
                "file_format": file_format,
                "parts": files.parts,
            }
            files.finish(summary)
        return summary

    def _snapshot_in_memory(self, plan: Plan, most_bytes: int) -> dict[str, Any]:
        memory, begun_at = Memory(most_bytes), utcnow()
        progress = self.carry_out(take_snapshot(plan, memory, utcnow, Progress()))
        rows = {table: len(found) for table, found in memory.tables.items()}
        tables = {table: memory.tables.get(table, []) for table in (*plan.tables, *memory.tables)}
        return {**_summary(plan, progress, begun_at, rows), "tables": tables}


def _summary(plan: Plan, progress: Progress, begun_at: datetime, rows: Mapping[str, int]) -> dict[str, Any]:
    return {
        "begun_at": write_moment(begun_at),
        "ended_at": write_moment(utcnow()),
        "tries": progress.tries,
        "requests": progress.requests,
        "history_days": plan.history_days,
        "rows": {table: rows.get(table, 0) for table in (*plan.tables, "not_seen")},
    }
