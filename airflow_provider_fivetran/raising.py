"""From the errors of this package to what Airflow does about them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_fivetran.core.errors import FivetranError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["failing_at_once_when_pointless"]


@contextmanager
def failing_at_once_when_pointless() -> Iterator[None]:
    """Turn an error that no retry can mend into ``AirflowFailException``, which ends the task without retries.

    The original error is its ``__cause__``. All other errors pass as they are and leave the retries to the task.
    """
    try:
        yield
    except FivetranError as error:
        if not error.permanent:
            raise
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error
