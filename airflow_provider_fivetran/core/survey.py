"""Reading many connections with few requests: the list where it pays, single looks where those are cheaper."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.endpoints import get_connection, list_connection_rows, list_connections
from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranForbidden,
    FivetranLookupError,
    FivetranNotFound,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
)
from airflow_provider_fivetran.core.freshness import judge_freshness
from airflow_provider_fivetran.core.models import Connection
from airflow_provider_fivetran.core.protocol import next_page
from airflow_provider_fivetran.core.steps import ask

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_fivetran.core.freshness import Demand, FreshnessReport
    from airflow_provider_fivetran.core.protocol import Call, Page
    from airflow_provider_fivetran.core.steps import Procedure

__all__ = ["FEW", "NOT_SEEN", "Selection", "Survey", "report_on", "survey"]

# So few connections are read one by one, whatever the list would show.
FEW = 3
# An account of a hundred thousand connections is a hundred pages.
MOST_PAGES = 1000

NOT_FOUND = "Fivetran knows no such connection, or hides it from this key (404)"
HIDDEN = "this key may not read it (403)"
NOT_SEEN = "Fivetran knows no such connection, or hides it from this key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which connections are looked at: those with these ids, or of this group, or all that the key may see."""

    connection_ids: tuple[str, ...] | None = None
    group_id: str | None = None
    exclude: frozenset[str] = frozenset()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that are asked for, each once, without those that are excluded."""
        wanted = dict.fromkeys(self.connection_ids or ())
        return tuple(name for name in wanted if name not in self.exclude)

    def __str__(self) -> str:
        if self.connection_ids is not None:
            count = len(self.connection_ids)
            what = (
                f"the {count} connections that are asked for" if count != 1 else "the one that is asked for"
            )
        elif self.group_id is not None:
            what = f"the connections of the group {self.group_id}"
        else:
            what = "all connections that the key may see"
        return f"{what}, without {len(self.exclude)} that are excluded" if self.exclude else what

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON."""
        ids = None if self.connection_ids is None else list(self.connection_ids)
        return {"connection_ids": ids, "group_id": self.group_id, "exclude": sorted(self.exclude)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Selection:
        """Read what :meth:`to_json` wrote."""
        ids = data["connection_ids"]
        return cls(
            connection_ids=None if ids is None else tuple(ids),
            group_id=data["group_id"],
            exclude=frozenset(data["exclude"]),
        )


@dataclass(slots=True)
class Survey:
    """What Fivetran showed."""

    connections: dict[str, Connection] = field(default_factory=dict)
    """By id."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why others could not be seen, by id."""
    at: datetime | None = None
    """By Fivetran's clock, of the last answer; ``None`` where no answer said."""


def survey(selection: Selection) -> Procedure[Survey]:
    """Read the connections of a selection.

    One request for each page of the list, which holds a thousand connections. Up to three connections that are
    asked for by their ids take one request each instead, and so do those that the list does not show, and all where
    the key may not list (403). The list is left for single looks after as many pages as connections are asked for.

    :raises FivetranError: (one of its kinds) the key is refused, Fivetran cannot be reached, or an answer about one
        of these connections cannot be read. Nothing is reported of only a part.
    """
    seen = Survey()
    if selection.connection_ids is None:
        yield from _read_all(seen, selection)
        return seen
    ids = selection.ids
    if len(ids) > FEW:
        yield from _read_list(seen, frozenset(ids))
    for connection_id in ids:
        if connection_id not in seen.connections:
            yield from _read_alone(seen, connection_id)
    return seen


def report_on(seen: Survey, selection: Selection, demand: Demand, now: datetime) -> FreshnessReport:
    """Judge what was seen of a selection.

    :param now: by our clock, for answers that do not tell Fivetran's.
    :raises FivetranLookupError: there was nothing to look at, and the demand does not let that pass.
    """
    report = judge_freshness(seen.connections.values(), seen.missing, demand, seen.at or now)
    if not report.findings and demand.when_empty == "fail":
        raise FivetranLookupError(
            f"there is no Fivetran connection to look at among {selection}; if that is no mistake, set "
            "when_empty to 'pass'"
        )
    return report


def _read_all(seen: Survey, selection: Selection) -> Procedure[None]:
    call: Call[Page[Connection]] | None = list_connections(group_id=selection.group_id)
    for _ in range(MOST_PAGES):
        if call is None:
            return
        answer = yield from ask(call)
        seen.at = answer.server_time or seen.at
        seen.connections |= {c.id: c for c in answer.value.items if c.id not in selection.exclude}
        call = next_page(call, answer.value)
    raise FivetranUnexpectedAnswer(f"the list of connections does not end after {MOST_PAGES} pages")


def _read_list(seen: Survey, wanted: frozenset[str]) -> Procedure[None]:
    """What the list shows of those; where it does not serve, nothing."""
    call: Call[Page[Mapping[str, Any]]] | None = list_connection_rows()
    pages = 0
    while call is not None and pages < len(wanted) and len(wanted) - len(seen.connections) > FEW:
        try:
            answer = yield from ask(call)
        except FivetranUnauthorized:
            raise
        except FivetranApiError as error:
            if not error.permanent:
                raise
            return  # this key may not list, but maybe read each
        pages += 1
        seen.at = answer.server_time or seen.at
        seen.connections |= {
            connection.id: connection
            for row in answer.value.items
            if row.get("id") in wanted and (connection := _read(row)) is not None
        }
        call = next_page(call, answer.value)


def _read(row: Mapping[str, Any]) -> Connection | None:
    try:
        return Connection.from_json(row)
    except FivetranUnexpectedAnswer:  # a look of its own will show whether that is the list's fault
        return None


def _read_alone(seen: Survey, connection_id: str) -> Procedure[None]:
    try:
        answer = yield from ask(get_connection(connection_id))
    except FivetranNotFound:
        seen.missing[connection_id] = NOT_FOUND
    except FivetranForbidden:
        seen.missing[connection_id] = HIDDEN
    else:
        seen.at = answer.server_time or seen.at
        seen.connections[connection_id] = answer.value
