"""When a call is worth sending again, and after which pause. Both transports ask here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranRateLimited,
    FivetranServerError,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)

if TYPE_CHECKING:
    from airflow_provider_fivetran.core.protocol import Call

__all__ = ["LONGEST_PAUSE", "may_repeat", "pause_before_repeating"]

LONGEST_PAUSE = 60.0
_TRANSIENT = (FivetranUnreachable, FivetranServerError, FivetranUnexpectedAnswer)


def may_repeat(call: Call[Any], error: BaseException) -> bool:
    """Whether to send ``call`` again after ``error``.

    What starts something (a call that is not safe) is repeated only when it certainly did nothing: Fivetran
    refused it for the rate limit, or it never reached Fivetran.
    """
    if not isinstance(error, FivetranError):
        return False
    if isinstance(error, FivetranRateLimited):
        return (error.retry_after or 0) <= LONGEST_PAUSE
    if call.safe:
        return isinstance(error, _TRANSIENT)
    return isinstance(error, FivetranUnreachable) and not error.maybe_received


def pause_before_repeating(
    error: BaseException | None, attempt: int, *, first: float, jitter: float
) -> float:
    """Seconds to pause before the next attempt: growing, capped, never less than Fivetran asked for.

    :param attempt: how many attempts were made, from 1.
    :param first: seconds of the first pause.
    :param jitter: a number from 0 to 1 that spreads the pauses of many callers.
    """
    grown = min(first * (1 << min(attempt - 1, 16)), LONGEST_PAUSE) * (1 + jitter / 2)
    asked = error.retry_after if isinstance(error, FivetranRateLimited) and error.retry_after else 0.0
    return max(grown, asked + jitter * 0.2)
