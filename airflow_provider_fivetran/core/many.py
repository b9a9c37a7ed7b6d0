"""What became of many syncs at once: a result for each connection, and what all of them mean for their task.

It does no I/O and reads no clock. What became of each sync is decided elsewhere, by the one decision.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.errors import FivetranSyncsFailed, FivetranSyncsNeedAttention
from airflow_provider_fivetran.core.lines import connections, in_lines
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.moments import read_moment
from airflow_provider_fivetran.core.verdicts import SyncRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_fivetran.core.policies import WhenSomeFail

__all__ = [
    "RUNNING",
    "WAITING",
    "Result",
    "Tolerance",
    "as_xcom",
    "counts_of",
    "line_of",
    "summary_of",
    "what_failed",
]

# Before a connection's turn has come, and while its sync is awaited.
WAITING, RUNNING = "waiting", "running"
_OPEN = frozenset({WAITING, RUNNING})
_GOOD = frozenset({"succeeded", "fresh"})
# Characters. The results of a thousand connections must fit into an XCom, and an error into what people read.
LONGEST_REASON = 300
MOST_NAMES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of the sync of one connection."""

    connection_id: str
    status: str
    """That of the record of a sync (:class:`~airflow_provider_fivetran.core.verdicts.SyncRecord`); or ``waiting``
    (its turn has not come), ``running`` (with a reason: its trigger may have taken), ``not_started`` (it could not
    be, or there was no time for it) or ``unknown`` (the wait broke off, or nothing tells whether a trigger took)."""
    ended_at: str | None = None
    """The end of the sync in ISO 8601, where known."""
    reason: str | None = None
    error: str | None = None
    """The kind of error that it means, a name from ``airflow_provider_fivetran.exceptions``."""
    permanent: bool = False
    """No retry mends it."""

    @classmethod
    def of(
        cls,
        connection_id: str,
        status: str,
        *,
        reason: str | None = None,
        error: Exception | None = None,
        ended_at: str | None = None,
    ) -> Result:
        """A result of bounded length."""
        text = reason or (str(error) if error is not None else None)
        link = dashboard_link(connection_id)
        if text is not None and text.endswith(link):  # which stands beside it
            text = text.removesuffix(link).rstrip().removesuffix(".")
        if text is not None and len(text) > LONGEST_REASON:
            text = f"{text[:LONGEST_REASON]} [...]"
        return cls(
            connection_id=connection_id,
            status=status,
            ended_at=ended_at,
            reason=text,
            error=type(error).__name__ if error is not None else None,
            permanent=getattr(error, "permanent", False) is True,
        )

    @property
    def is_open(self) -> bool:
        """Whether it is not decided yet."""
        return self.status in _OPEN

    @property
    def is_good(self) -> bool:
        """Whether the data are there."""
        return self.status in _GOOD

    @property
    def is_failure(self) -> bool:
        """Whether the data that were wanted are not there. What a policy skips was not wanted."""
        return not self.is_good and not self.is_open and self.status != "skipped"

    @property
    def link(self) -> str:
        """Where to look in the Fivetran dashboard."""
        return dashboard_link(self.connection_id)

    @property
    def record(self) -> SyncRecord:
        """As the record of a sync, with what is known here."""
        return SyncRecord(
            connection_id=self.connection_id,
            status=self.status,
            link=self.link,
            ended_at=read_moment(self.ended_at) if self.ended_at else None,
            reason=self.reason,
        )

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON, with the link."""
        return asdict(self) | {"link": self.link}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Read what :meth:`to_json` wrote; what is something else raises one of Python's own errors."""
        return cls(**{field.name: data[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What it means for a task that some of its syncs did not end well. If none did, it always fails."""

    when_some_fail: WhenSomeFail = "fail"
    fail_above: float | None = None
    """With ``"fail_above"``: the share of connections, from 0 to 1, that may fail."""

    def error_of(self, results: Sequence[Result]) -> FivetranSyncsFailed | None:
        """The error that the results mean; ``None``: they are good enough."""
        failures = [result for result in results if result.is_failure]
        good = sum(result.is_good for result in results)
        if not failures or (good and self._bears(len(failures), good)):
            return None
        kind = FivetranSyncsNeedAttention if all(each.permanent for each in failures) else FivetranSyncsFailed
        first = failures[0]
        return kind(what_failed(results), connection_id=first.connection_id, link=first.link)

    def _bears(self, failures: int, good: int) -> bool:
        if self.when_some_fail == "fail_above" and self.fail_above is not None:
            return failures <= self.fail_above * (failures + good)
        return self.when_some_fail == "succeed"


def counts_of(results: Iterable[Result]) -> dict[str, int]:
    """How many connections have which status, the most frequent first."""
    return dict(Counter(result.status for result in results).most_common())


def as_xcom(results: Sequence[Result]) -> dict[str, Any]:
    """The results as they stand in the XCom ``fivetran_syncs``."""
    return {"counts": counts_of(results), "connections": [result.to_json() for result in results]}


def summary_of(results: Sequence[Result]) -> str:
    """How many have which status, in one line."""
    counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts_of(results).items())
    return f"{connections(len(results))}: {counts or 'none'}"


def line_of(result: Result) -> str:
    """What became of one connection whose sync did not end well, why, and where to look."""
    why = f": {result.reason}" if result.reason else ""
    link = "" if result.link and result.link in why else f" {result.link}"
    return f"{result.connection_id} {result.status.replace('_', ' ')}{why}{link}"


def what_failed(results: Sequence[Result]) -> str:
    """Each connection whose sync did not end well, why, and where to look: one text of bounded length."""
    failures = [result for result in results if result.is_failure]
    return in_lines(
        f"{len(failures)} of {connections(len(results))} did not sync well:",
        [line_of(each) for each in failures],
        rest=lambda shown, _: _named(failures[shown:]),
    )


def _named(results: Sequence[Result]) -> str:
    names = ", ".join(each.connection_id for each in results[:MOST_NAMES])
    more = ", ..." if len(results) > MOST_NAMES else ""
    return f"and {len(results)} more: {names}{more}; the XCom fivetran_syncs has all"
