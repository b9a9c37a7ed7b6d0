"""When a sensor in reschedule mode began, as far as each version of Airflow remembers that."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_fivetran.core.moments import read_moment, write_moment

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

__all__ = ["began_at"]

# What Airflow 3 tells of the beginning of a rescheduled task is the end of its first look. A sync that ended between
# that look and then must not be missed.
FIRST_LOOK = timedelta(seconds=5)


def began_at(context: Context, now: datetime) -> datetime:
    """When this try of a sensor began. Airflow 3.3 remembers it exactly, older versions to about five seconds.

    :param now: when this look of it begins.
    """
    store = context.get("task_state_store")
    key = f"fivetran_sensor_began_{context['ti'].try_number}"
    noted = store.get(key, None) if store is not None else None
    if noted is not None:
        return read_moment(str(noted))
    first = _first_rescheduled_at(context)
    if first is not None:
        return first - FIRST_LOOK
    if store is not None:
        store.set(key, write_moment(now))
    return now


def _first_rescheduled_at(context: Context) -> datetime | None:
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
