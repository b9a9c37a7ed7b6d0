"""When a sensor in reschedule mode began, as far as each version of Airflow remembers that."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

__all__ = ["first_rescheduled_at"]


def first_rescheduled_at(context: Context) -> datetime | None:
    """When this try was rescheduled for the first time; ``None`` when this is its first look.

    Airflow 3 tells the end of the first look, Airflow 2 its beginning. XComs are no place to remember a
    beginning: both clear them whenever a rescheduled task starts again.
    """
    ti = context["ti"]
    if hasattr(ti, "get_first_reschedule_date"):
        first: datetime | None = ti.get_first_reschedule_date(context)
        return first
    # Airflow 2, which has no public way to ask.
    from airflow.sensors.base import _orig_start_date  # noqa: PLC0415

    began: datetime | None = _orig_start_date(ti.dag_id, ti.task_id, ti.run_id, ti.map_index, ti.try_number)
    return began
