"""Checking what a snapshot is asked to be, while the DAG is parsed and when it is taken."""

from __future__ import annotations

import re
from typing import get_args

from airflow_provider_fivetran.arguments import check_choice, check_text, is_known
from airflow_provider_fivetran.core.policies import FileFormat, SnapshotTable

__all__ = [
    "LEAST_REQUESTS",
    "LEAVE_REQUESTS",
    "MOST_DAYS",
    "check_shape",
    "check_target",
    "check_target_is_text",
    "tables_of",
]

# As far back as Fivetran's history reaches.
MOST_DAYS = 7
# Of the account's hour, to others: a tenth of what most accounts have.
LEAVE_REQUESTS = 2_000
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
_LOCAL = ("", "file", "local")
# With fewer a try might not get through the lists.
LEAST_REQUESTS = 10


def check_shape(
    *,
    tables: object,
    file_format: object,
    history_days: object,
    max_requests: object,
    leave_requests: object,
) -> None:
    """Check what is read, how it is written, and how many requests that may take.

    :raises ValueError: one of them is not allowed.
    """
    tables_of(tables)
    check_choice("file_format", file_format, FileFormat)
    is_number = isinstance(history_days, int | float) and not isinstance(history_days, bool)
    if not is_number or not 0 <= history_days <= MOST_DAYS:  # type: ignore[operator]
        raise ValueError(
            f"history_days is {history_days!r}; allowed is a number of days from 0 to {MOST_DAYS}"
        )
    if max_requests is not None and not _is_whole(max_requests, LEAST_REQUESTS):
        raise ValueError(
            f"max_requests is {max_requests!r}; allowed is a whole number of at least {LEAST_REQUESTS}, or None"
        )
    if not _is_whole(leave_requests, 0):
        raise ValueError(f"leave_requests is {leave_requests!r}; allowed is a whole number of at least 0")


def tables_of(tables: object) -> tuple[SnapshotTable, ...]:
    """Read which tables are wanted; each is there once, in the order in which they are read.

    :raises ValueError: one does not exist, or there are none.
    """
    known: tuple[SnapshotTable, ...] = get_args(SnapshotTable)
    if tables is None:
        return known
    if not isinstance(tables, list | tuple | set | frozenset) or not tables:
        raise ValueError(f"tables is {tables!r}; allowed is None, for all, or a list of {', '.join(known)}")
    for table in tables:
        check_choice("a table", table, SnapshotTable)
    return tuple(table for table in known if table in tables)


def check_target(target: object, target_conn_id: object) -> None:
    """Check where the files go. What another task returns is not known yet, and is left alone.

    :raises ValueError: it names no folder, or one that is another on each worker, or has a password in it, which
        would be shown in many places.
    """
    if target is not None:
        check_text("target", target)
    if target_conn_id is not None:
        check_text("target_conn_id", target_conn_id)
        if target is None:
            raise ValueError(f"target_conn_id is {target_conn_id!r} and target is None; give a target too")
    if isinstance(target, str):
        _check_place(target)


def _check_place(target: str) -> None:
    scheme, _, place = _TEMPLATE.sub("", target).rpartition("://")
    host, slash, path = place.partition("/")
    user, _, host = host.rpartition("@")
    if ":" in user:
        raise ValueError(
            "target has a password in it; allowed is a URL such as 's3://bucket/folder', with the id of an Airflow "
            "connection in target_conn_id"
        )
    if not is_known(target):
        return
    folder = f"{host}{slash}{path}"
    allowed = "allowed is a text such as 's3://bucket/folder', 'file:///folder' or '/folder'"
    if not folder.strip("/. "):
        raise ValueError(f"target is {target!r}, which names no folder; {allowed}")
    if scheme in _LOCAL and not folder.startswith("/"):
        raise ValueError(f"target is {target!r}, which depends on where a worker runs; {allowed}")


def check_target_is_text(target: object) -> None:
    """Check what a target has become. A path could not be written into the summary, when all is read.

    :raises ValueError: it is no text.
    """
    if not isinstance(target, str):
        raise ValueError(  # noqa: TRY004 - to its author one wrong argument among others
            f"target is {target!r}; allowed is a text such as 's3://bucket/folder'"
        )


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
