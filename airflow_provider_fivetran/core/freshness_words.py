"""The words for people about many connections at once: one text, of bounded length, that names what matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_fivetran.core.errors import FivetranNeedsAttention, FivetranNotFresh
from airflow_provider_fivetran.core.lines import connections, in_lines
from airflow_provider_fivetran.core.moments import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_provider_fivetran.core.freshness import Finding, FreshnessReport

__all__ = ["error_of", "remarks_of", "summary_of", "what_is_wrong"]

# Characters.
MOST_IN_ALL = 8000
LONGEST_NAME = 100

_WORDS = {
    "broken": "is broken",
    "missing": "is missing",
    "never_succeeded": "has never succeeded",
    "paused": "is paused",
    "stale": "is stale",
    "delayed": "is delayed",
    "rescheduled": "is put off",
    "fresh": "is fresh",
}


def summary_of(report: FreshnessReport) -> str:
    """How many are in which state, in one line."""
    counts = ", ".join(
        f"{count} {state.replace('_', ' ')}" for state, count in report.counts.items() if count
    )
    return (
        f"{connections(len(report.findings))}: {counts or 'none'}; fresh is what ended well {_demand(report)}"
    )


def what_is_wrong(report: FreshnessReport) -> str:
    """Each connection that is not as demanded, the most important first: why, since when, and where to look."""
    failures = report.failures
    head = (
        f"{len(failures)} of {connections(len(report.findings))} "
        f"{'is' if len(failures) == 1 else 'are'} not as demanded; each should have ended well {_demand(report)}:"
    )
    return _listed(head, failures, report.checked_at)


def error_of(report: FreshnessReport) -> FivetranNotFresh | None:
    """The error that a report means for a task; it names the most important connection. ``None``: all is well."""
    if report.is_as_demanded:
        return None
    kind = FivetranNeedsAttention if report.needs_a_person else FivetranNotFresh
    first = report.failures[0]
    return kind(what_is_wrong(report), connection_id=first.connection_id, link=first.link)


def remarks_of(report: FreshnessReport) -> str:
    """What is as demanded, and yet worth a look; empty if there is nothing."""
    found = [f for f in report.findings if not f.is_failure and f.state != "fresh"]
    if not found:
        return ""
    return _listed(f"As demanded, but not healthy: {connections(len(found))}:", found, report.checked_at)


def _listed(head: str, findings: Sequence[Finding], now: datetime) -> str:
    return in_lines(
        head,
        [_described(finding, now) for finding in findings],
        rest=lambda shown, length: _named(findings[shown:], MOST_IN_ALL - length),
    )


def _named(findings: Sequence[Finding], room: int) -> str:
    """The ids of more connections, as far as there is room."""
    names: list[str] = []
    for finding in findings:
        name = f"{finding.connection_id[:LONGEST_NAME]} ({finding.state})"
        room -= len(name) + 2
        if room < 0:
            break
        names.append(name)
    left = len(findings) - len(names)
    more = f"{' and' if names else ''} {left} that do not fit here" if left else ""
    return f"and {len(findings)} more: {', '.join(names)}{more}; the XCom fivetran_freshness has all"


def _described(finding: Finding, now: datetime) -> str:
    name = finding.name[:LONGEST_NAME]
    who = f"{name} ({finding.service}, {finding.connection_id})" if name else finding.connection_id
    parts = [f"{who} {_WORDS[finding.state]}{_until(finding)}"]
    if finding.succeeded_at is not None:
        parts.append(
            f"last success {in_words(now - finding.succeeded_at)} ago at {_clock(finding.succeeded_at)}"
        )
    elif finding.state not in {"missing", "never_succeeded"}:
        parts.append("it has never succeeded")
    if _is_later(finding.failed_at, finding.succeeded_at):
        parts.append(f"last failure at {_clock(finding.failed_at)}")
    if finding.is_syncing:
        parts.append("a sync is running")
    if finding.reasons:
        parts.append(finding.reasons)
    return f"{'; '.join(parts)}. {finding.link}"


def _until(finding: Finding) -> str:
    announced = finding.rescheduled_for
    return f" until {_clock(announced)}" if finding.state == "rescheduled" and announced else ""


def _is_later(moment: datetime | None, other: datetime | None) -> bool:
    return moment is not None and (other is None or moment > other)


def _demand(report: FreshnessReport) -> str:
    return f"at {_clock(report.fresh_since)} or later"


def _clock(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment is not None else "a time not known"
