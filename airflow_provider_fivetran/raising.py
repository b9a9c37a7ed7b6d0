"""From the errors of this package to what Airflow does about them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranSyncTimeout,
    FivetranTransformationTimeout,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.common.compat.sdk import BaseSensorOperator

__all__ = ["as_airflow_promises", "failing_at_once_when_pointless"]


@contextmanager
def failing_at_once_when_pointless() -> Iterator[None]:
    """Turn an error that no retry can mend into ``AirflowFailException``, which ends the task without retries.

    The original error is its ``__cause__``. All other errors pass as they are and leave the retries to the task;
    so does Airflow's own of an Airflow connection that is not there, for it says the same while a secrets backend
    cannot be reached, or a connection is being imported anew.
    """
    try:
        yield
    except FivetranError as error:
        if not error.permanent:
            raise
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error


@contextmanager
def as_airflow_promises(sensor: BaseSensorOperator) -> Iterator[None]:
    """Of a sensor ``timeout`` has an error of its own, and ``soft_fail`` and ``never_fail`` make skips of errors."""
    try:
        with failing_at_once_when_pointless():
            yield
    except (FivetranSyncTimeout, FivetranTransformationTimeout) as error:
        if sensor.soft_fail or sensor.never_fail:
            raise _skipping(sensor, error) from error
        raise AirflowSensorTimeout(str(error)) from error
    except (FivetranError, AirflowFailException) as error:
        if not sensor.soft_fail and not sensor.never_fail:
            raise
        raise _skipping(sensor, error) from error


def _skipping(sensor: BaseSensorOperator, error: Exception) -> AirflowSkipException:
    leniency = "soft_fail" if sensor.soft_fail else "never_fail"
    return AirflowSkipException(f"Skipping because {leniency} is set: {error}")
