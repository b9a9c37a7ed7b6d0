"""Whether connections are as fresh as is demanded: one pure function from what Fivetran shows to a report.

It does no I/O and reads no clock. What it judges by are fields of a connection in Fivetran's REST API (schema
``ConnectorResponseV1``): ``succeeded_at``, the end of the last sync that ended well, ``paused``, and of ``status``
``setup_state``, ``sync_state``, ``update_state``, ``tasks`` and ``warnings``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.moments import check_since_or_within, read_moment, write_moment
from airflow_provider_fivetran.core.reports import reasons_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from airflow_provider_fivetran.core.models import Connection
    from airflow_provider_fivetran.core.policies import WhenEmpty, WhenTroubled

__all__ = ["STATES", "Demand", "Finding", "FreshnessReport", "State", "Waited", "judge_freshness"]

State: TypeAlias = Literal[
    "broken", "missing", "never_succeeded", "paused", "stale", "delayed", "rescheduled", "fresh"
]
# What a person has to look at first comes first.
STATES: tuple[State, ...] = get_args(State)

# No waiting and no retry mends these: a person has to.
_NEED_A_PERSON = frozenset({"broken", "missing", "paused"})
# Of several troubles that a connection has, the strictest word decides.
_STRICTEST_FIRST: tuple[WhenTroubled, ...] = ("fail", "ignore", "fail_if_stale", "wait")
# A report of a thousand connections must fit into an XCom.
LONGEST_REASONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is demanded of each connection: exactly one of the first two, and what its troubles mean.

    Each trouble is one of ``"fail"`` (a failure, however fresh the data are), ``"ignore"`` (never a failure),
    ``"fail_if_stale"`` (a failure if the data are not fresh) and ``"wait"`` (the same, but who waits waits on). Of
    several troubles at once the first of these words decides.
    """

    fresh_since: datetime | None = None
    """The last sync that ended well ended at this time or later;"""
    fresh_within: timedelta | None = None
    """or it ended so recently."""
    when_broken: WhenTroubled = "fail_if_stale"
    when_paused: WhenTroubled = "fail_if_stale"
    when_delayed: WhenTroubled = "wait"
    when_rescheduled: WhenTroubled = "wait"
    when_missing: WhenTroubled = "fail"
    when_empty: WhenEmpty = "fail"
    """What it means that there are no connections to look at."""

    def __post_init__(self) -> None:
        check_since_or_within(self.fresh_since, self.fresh_within)

    def since(self, now: datetime) -> datetime:
        """The earliest end of a sync that is fresh enough."""
        return now - self.fresh_within if self.fresh_within is not None else self._since

    @property
    def _since(self) -> datetime:
        assert self.fresh_since is not None  # noqa: S101  # one of the two is there
        return self.fresh_since

    def policy_of(self, troubles: Sequence[State], *, is_syncing: bool = False) -> WhenTroubled:
        """What those troubles of one connection mean; without any its data alone count."""
        policies = {self._policy_of(state, is_syncing=is_syncing) for state in troubles}
        return next((policy for policy in _STRICTEST_FIRST if policy in policies), "wait")

    def _policy_of(self, state: State, *, is_syncing: bool) -> WhenTroubled:
        policy: WhenTroubled = getattr(self, f"when_{state}")
        # A sync that ends well mends a broken setup: then nobody else has to.
        return "wait" if state == "broken" and policy == "fail_if_stale" and is_syncing else policy

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return given | {
            "fresh_since": _write(self.fresh_since),
            "fresh_within": self.fresh_within and self.fresh_within.total_seconds(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Demand:
        """Read what :meth:`to_json` wrote."""
        within = data["fresh_within"]
        return cls(
            **{name: policy for name, policy in data.items() if name.startswith("when_")},
            fresh_since=_read(data["fresh_since"]),
            fresh_within=None if within is None else timedelta(seconds=within),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of one connection."""

    connection_id: str
    state: State
    """The first of these that is so: ``missing``, ``broken`` (or never set up), ``paused``, ``never_succeeded``,
    ``rescheduled`` (Fivetran put its sync off), ``delayed`` (Fivetran calls it so), ``stale``, ``fresh``."""
    is_fresh: bool
    """Its last sync that ended well ended late enough, whatever its state is."""
    is_failure: bool
    """It is not as demanded."""
    ends_wait: bool
    """It is not as demanded, and not waited for either."""
    link: str
    name: str = ""
    """The name of its schema, which the dashboard shows."""
    service: str = ""
    group_id: str = ""
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    rescheduled_for: datetime | None = None
    is_syncing: bool = False
    reasons: str = ""
    """What Fivetran says about why: tasks, warnings, a setup that is not connected."""

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return given | {name: _write(given[name]) for name in _TIMES}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """Read what :meth:`to_json` wrote."""
        known = {field.name: data[field.name] for field in fields(cls)}
        if known["state"] not in STATES:
            raise ValueError(f"{known['state']!r} is not a state")
        return cls(**known | {name: _read(known[name]) for name in _TIMES})


_TIMES = ("succeeded_at", "failed_at", "rescheduled_for")


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessReport:
    """What was found of all connections that were looked at, each of them once."""

    checked_at: datetime
    """By Fivetran's clock."""
    fresh_since: datetime
    """What ended before this is stale."""
    findings: tuple[Finding, ...]
    """What is not as demanded first, and of that what matters most; of each kind the oldest success first."""

    @property
    def failures(self) -> tuple[Finding, ...]:
        """What is not as demanded."""
        return tuple(finding for finding in self.findings if finding.is_failure)

    @property
    def is_as_demanded(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def needs_a_person(self) -> bool:
        """Whether something failed that no waiting and no retry mends."""
        return any(finding.ends_wait and finding.state in _NEED_A_PERSON for finding in self.findings)

    @property
    def ends_wait(self) -> bool:
        """Whether something failed that is not to be waited for."""
        return any(finding.ends_wait for finding in self.findings)

    @property
    def counts(self) -> dict[State, int]:
        """How many connections are in each state; all states are there."""
        counts = dict.fromkeys(STATES, 0)
        for finding in self.findings:
            counts[finding.state] += 1
        return counts

    @property
    def oldest_success(self) -> datetime | None:
        """The end up to which all data are there: the oldest last success of the fresh ones, if there are any."""
        ends = [f.succeeded_at for f in self.findings if f.is_fresh and f.succeeded_at is not None]
        return min(ends, default=None)

    @property
    def oldest_success_text(self) -> str | None:
        """The same in ISO 8601."""
        return _write(self.oldest_success)

    def to_json(self) -> dict[str, Any]:
        """Write the report as plain JSON, as it stands in the XCom ``fivetran_freshness``."""
        return {
            "is_as_demanded": self.is_as_demanded,
            "checked_at": write_moment(self.checked_at),
            "fresh_since": write_moment(self.fresh_since),
            "counts": self.counts,
            "connections": [finding.to_json() for finding in self.findings],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FreshnessReport:
        """Read what :meth:`to_json` wrote.

        :raises ValueError: it is something else.
        """
        try:
            return cls(
                checked_at=read_moment(data["checked_at"]),
                fresh_since=read_moment(data["fresh_since"]),
                findings=tuple(Finding.from_json(each) for each in data["connections"]),
            )
        except (AttributeError, KeyError, OverflowError, TypeError) as error:
            raise ValueError(f"this is not a report of freshness: {error!r}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """How a wait in the triggerer ended: all is as demanded, no waiting helps, or its time is over."""

    report: FreshnessReport | None
    """What was seen last; ``None`` where Fivetran could not be read at all."""
    is_over: bool = False
    """The time is over."""
    trouble: str | None = None
    """Why Fivetran could not be read in the end."""

    def to_json(self) -> dict[str, Any]:
        """Write it as the event of a trigger."""
        return {
            "verdict": "Waited",
            "report": None if self.report is None else self.report.to_json(),
            "is_over": self.is_over,
            "trouble": self.trouble,
        }

    @classmethod
    def from_event(cls, event: object) -> Waited | None:
        """Read what :meth:`to_json` wrote; ``None``: the event is of another kind.

        :raises ValueError: it is of this kind, but cannot be understood.
        """
        if not isinstance(event, Mapping) or event.get("verdict") != "Waited":
            return None
        report, is_over = event.get("report"), event.get("is_over")
        if not isinstance(is_over, bool) or (report is None and not is_over):
            raise ValueError("the trigger sent neither a report nor that the time is over")
        return cls(
            report=None if report is None else FreshnessReport.from_json(report),
            is_over=is_over,
            trouble=event.get("trouble"),
        )


def judge_freshness(
    connections: Iterable[Connection], missing: Mapping[str, str], demand: Demand, now: datetime
) -> FreshnessReport:
    """Judge what Fivetran shows.

    :param connections: each at most once.
    :param missing: why others, by id, could not be seen.
    :param demand: what is demanded of each.
    :param now: by Fivetran's clock.
    """
    since = demand.since(now)
    findings = [_finding(connection, demand, since) for connection in connections]
    findings += [_absence(connection_id, why, demand) for connection_id, why in missing.items()]
    return FreshnessReport(
        checked_at=now, fresh_since=since, findings=tuple(sorted(findings, key=_by_importance))
    )


def _finding(connection: Connection, demand: Demand, since: datetime) -> Finding:
    success = connection.succeeded_at
    is_fresh = success is not None and success >= since
    troubles = _troubles_of(connection)
    policy = demand.policy_of(troubles, is_syncing=connection.is_syncing)
    is_failure = policy == "fail" or (policy != "ignore" and not is_fresh)
    return Finding(
        connection_id=connection.id,
        state=_state_of(connection, troubles, is_fresh=is_fresh),
        is_fresh=is_fresh,
        is_failure=is_failure,
        ends_wait=is_failure and policy != "wait",
        link=connection.link,
        name=connection.schema,
        service=connection.service,
        group_id=connection.group_id,
        succeeded_at=success,
        failed_at=connection.failed_at,
        rescheduled_for=connection.status.rescheduled_for,
        is_syncing=connection.is_syncing,
        reasons=_bounded("; ".join(filter(None, (*_besides(troubles), reasons_of(connection, None))))),
    )


def _absence(connection_id: str, why: str, demand: Demand) -> Finding:
    policy = demand.policy_of(["missing"])
    return Finding(
        connection_id=connection_id,
        state="missing",
        is_fresh=False,
        is_failure=policy != "ignore",
        ends_wait=policy in {"fail", "fail_if_stale"},
        link=dashboard_link(connection_id),
        reasons=why,
    )


def _troubles_of(connection: Connection) -> list[State]:
    """All that is wrong with a connection besides the age of its data, the worst first."""
    status = connection.status
    found: Mapping[State, bool] = {
        "broken": status.setup_state in {"broken", "incomplete"},
        "paused": connection.paused or status.sync_state == "paused",
        "rescheduled": connection.is_rescheduled,
        "delayed": status.update_state == "delayed",
    }
    return [state for state, is_so in found.items() if is_so]


def _state_of(connection: Connection, troubles: Sequence[State], *, is_fresh: bool) -> State:
    worst = troubles[0] if troubles else None
    if worst in {"broken", "paused"} or (worst and connection.succeeded_at is not None):
        return worst
    if connection.succeeded_at is None:
        return "never_succeeded"
    return "fresh" if is_fresh else "stale"


def _besides(troubles: Sequence[State]) -> list[str]:
    """What one word for the state leaves out. A setup that is not connected is among Fivetran's own reasons."""
    return [f"it is {state} too" for state in troubles[1:] if state != "broken"]


def _by_importance(finding: Finding) -> tuple[bool, int, float, str]:
    since = finding.succeeded_at.timestamp() if finding.succeeded_at is not None else float("-inf")
    return not finding.is_failure, STATES.index(finding.state), since, finding.connection_id


def _bounded(text: str) -> str:
    return text if len(text) <= LONGEST_REASONS else f"{text[:LONGEST_REASONS]} [...]"


def _write(moment: datetime | None) -> str | None:
    return None if moment is None else write_moment(moment)


def _read(text: str | None) -> datetime | None:
    return None if text is None else read_moment(text)
