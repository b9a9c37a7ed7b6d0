"""Whether a schema configuration has drifted away from a description, or from what it was: a report in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.errors import FivetranSchemaDrift
from airflow_provider_fivetran.core.lines import in_lines
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.schema_differences import differences
from airflow_provider_fivetran.core.schema_reading import (
    RELOAD_TIMEOUT,
    read_config,
    reload_config,
    with_all_columns,
)
from airflow_provider_fivetran.core.steps import Note

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import timedelta

    from airflow_provider_fivetran.core.policies import WhenDrifted
    from airflow_provider_fivetran.core.schema_config import SchemaConfig
    from airflow_provider_fivetran.core.schema_description import SchemaDescription
    from airflow_provider_fivetran.core.schema_differences import Difference
    from airflow_provider_fivetran.core.steps import Clock, Procedure

__all__ = ["DriftCheck", "DriftReport", "judge_drift", "look_for_drift"]

# Of so many differences an XCom tells each.
MOST_TOLD = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftCheck:
    """What is compared with what, and what each kind of difference means."""

    connection_id: str
    description: SchemaDescription | None
    """``None``: there is nothing to compare with yet."""
    is_earlier: bool = False
    """The description is what was seen before."""
    columns_of: Mapping[str, Sequence[str]]
    """The tables, by schema, all of whose columns are read from the source."""
    reload: bool = False
    reload_timeout: timedelta = RELOAD_TIMEOUT
    when_changed: WhenDrifted = "fail"
    when_missing: WhenDrifted = "fail"
    when_new: WhenDrifted = "report"

    def policy_of(self, difference: Difference) -> WhenDrifted:
        policies: dict[str, WhenDrifted] = {
            "changed": self.when_changed,
            "missing": self.when_missing,
            "new": self.when_new,
        }
        return policies[difference.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """What was found."""

    connection_id: str
    config: SchemaConfig
    """The configuration as it is now."""
    compared_with: str
    """``description``, ``earlier``, or ``nothing``."""
    failures: tuple[Difference, ...] = ()
    reported: tuple[Difference, ...] = ()

    @property
    def is_as_expected(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def count(self) -> int:
        """How many differences there are that are not ignored."""
        return len(self.failures) + len(self.reported)

    def texts_of(self, found: Sequence[Difference]) -> list[str]:
        return [one.in_words(before=self.compared_with == "earlier") for one in found]

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON, as it stands in the XCom ``fivetran_schema_drift``."""
        before = self.compared_with == "earlier"
        return {
            "connection_id": self.connection_id,
            "is_as_expected": self.is_as_expected,
            "compared_with": self.compared_with,
            "count": self.count,
            "failures": [one.to_json(before=before) for one in self.failures[:MOST_TOLD]],
            "reported": [one.to_json(before=before) for one in self.reported[:MOST_TOLD]],
            "link": dashboard_link(self.connection_id),
        }

    def summary(self) -> str:
        """Say in one line how it stands."""
        if self.compared_with == "nothing":
            return f"{self.connection_id}: there is no earlier schema configuration to compare with yet"
        than = "as it was before" if self.compared_with == "earlier" else "as described"
        if not self.count:
            return f"{self.connection_id}: the schema configuration is {than}"
        failed, reported = len(self.failures), len(self.reported)
        return f"{self.connection_id}: the schema configuration is not {than}: {failed} failed, {reported} reported"

    def remarks(self) -> str:
        """What is reported and no failure; empty if there is nothing."""
        if not self.reported:
            return ""
        head = f"{self.connection_id}: reported of the schema configuration:"
        return in_lines(head, self.texts_of(self.reported))

    def error(self) -> FivetranSchemaDrift | None:
        """The error that it means for a task; ``None``: all is as expected."""
        if self.is_as_expected:
            return None
        link = dashboard_link(self.connection_id)
        told = in_lines(f"{self.summary()}:", self.texts_of(self.failures))
        return FivetranSchemaDrift(f"{told}\n{link}", connection_id=self.connection_id, link=link)


def judge_drift(config: SchemaConfig, check: DriftCheck) -> DriftReport:
    """Compare a configuration with what it is to be."""
    if check.description is None:
        return DriftReport(connection_id=check.connection_id, config=config, compared_with="nothing")
    found = tuple(differences(config, check.description))
    return DriftReport(
        connection_id=check.connection_id,
        config=config,
        compared_with="earlier" if check.is_earlier else "description",
        failures=tuple(one for one in found if check.policy_of(one) == "fail"),
        reported=tuple(one for one in found if check.policy_of(one) == "report"),
    )


def look_for_drift(check: DriftCheck, clock: Clock) -> Procedure[DriftReport]:
    """Look at the configuration, and judge it. One request, one more for each table whose columns are read.

    :raises FivetranNotFound: Fivetran has not read the schema of the source yet.
    :raises FivetranError: (one of its kinds) it cannot be read.
    """
    if check.reload:
        config = yield from reload_config(check.connection_id, clock, timeout=check.reload_timeout)
    else:
        config = yield from read_config(check.connection_id, clock)
    tables = dict.fromkeys(_tables_to_read(check))
    absent = [f"{name!r} in {schema!r}" for schema, name in tables if config.table(schema, name) is None]
    if absent:
        head = f"{check.connection_id}: columns are to be read of tables that do not exist:"
        yield Note(in_lines(head, absent), is_warning=True)
    config = yield from with_all_columns(check.connection_id, config, tables, clock)
    return judge_drift(config, check)


def _tables_to_read(check: DriftCheck) -> Iterator[tuple[str, str]]:
    for schema, names in check.columns_of.items():
        yield from ((schema, name) for name in names)
    if check.description is not None and not check.is_earlier:
        for schema, described in (check.description.schemas or {}).items():
            for name, one in (described.tables or {}).items():
                if one.has_all_columns:
                    yield schema, name
