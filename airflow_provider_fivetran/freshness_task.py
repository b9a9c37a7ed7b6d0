"""What the check and the sensor of freshness share: their arguments, and what they leave behind."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_fivetran.arguments import (
    WAYS,
    check_choice,
    check_found,
    check_ids,
    check_text,
    check_ways,
    ids_of,
    span_of,
)
from airflow_provider_fivetran.core.moments import check_since_or_within, read_after
from airflow_provider_fivetran.core.policies import WhenEmpty
from airflow_provider_fivetran.fivetran_task import FivetranTask
from airflow_provider_fivetran.links import FivetranConnectionLink

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime, timedelta

    from airflow.providers.common.compat.sdk import BaseOperatorLink, Context

    from airflow_provider_fivetran.core.freshness import Demand, FreshnessReport
    from airflow_provider_fivetran.core.survey import Selection
    from airflow_provider_fivetran.hooks import FivetranHook

__all__ = ["FRESHNESS_XCOM", "FreshnessTask", "allowing"]

log = logging.getLogger(__name__)

# The XCom with the whole report.
FRESHNESS_XCOM = "fivetran_freshness"
TROUBLES = ("when_broken", "when_paused", "when_delayed", "when_rescheduled")


def allowing(troubled: object, missing: object) -> Mapping[str, object]:
    """Which words each policy allows: those about a trouble, and that about a connection that is missing."""
    return {**dict.fromkeys(TROUBLES, troubled), "when_missing": missing}


class FreshnessTask(FivetranTask):
    """A task that looks at many connections. Importing it loads no hook."""

    template_fields: Collection[str] = (*WAYS, "exclude", "fresh_since", "fivetran_conn_id")
    operator_extra_links: Collection[BaseOperatorLink] = (FivetranConnectionLink(),)
    ui_color = "#e6f0ff"

    # Which words each policy allows.
    policies: ClassVar[Mapping[str, object]]

    connector_ids: str | Sequence[str] | None
    group_id: str | None
    destination_name: str | None
    exclude: str | Sequence[str]
    fresh_since: str | datetime | None
    fresh_within: float | timedelta | None
    when_empty: WhenEmpty

    def _check_arguments(self) -> None:
        """Check what can be checked when the DAG is parsed."""
        check_ways({name: getattr(self, name) for name in WAYS})
        for name, allowed in self.policies.items():
            check_choice(name, getattr(self, name), allowed)
        check_choice("when_empty", self.when_empty, WhenEmpty)
        if self.connector_ids is not None:
            check_ids("connector_ids", self.connector_ids, empty=self.when_empty == "pass")
        for name in ("group_id", "destination_name"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name))
        check_ids("exclude", self.exclude, empty=True)
        self._check_demand()
        self._expect((*WAYS, "exclude"))
        self._check_way_to_fivetran()

    def _check_demand(self) -> None:
        check_since_or_within(self.fresh_since, self.fresh_within)
        span_of("fresh_within", self.fresh_within)
        if not hasattr(self.fresh_since, "resolve") and "{" not in str(self.fresh_since):
            self._since()

    def _since(self) -> datetime | None:
        since = read_after(self.fresh_since, "fresh_since")
        if since is None and self.fresh_within is None:
            check_found("fresh_since", self.fresh_since)
        return since

    # What runs a task is imported when it runs: a DAG file is parsed over and over.

    def _selection(self, hook: FivetranHook) -> Selection:
        self._check_found()
        return hook.select_connections(
            None if self.connector_ids is None else ids_of("connector_ids", self.connector_ids),
            group_id=self.group_id,
            destination_name=self.destination_name,
            exclude=self.exclude,
        )

    def _demand(self) -> Demand:
        from airflow_provider_fivetran.core.freshness import Demand  # noqa: PLC0415

        return Demand(
            fresh_since=self._since(),
            fresh_within=span_of("fresh_within", self.fresh_within),
            when_empty=self.when_empty,
            **{name: getattr(self, name) for name in self.policies},
        )

    def _leave(self, context: Context, report: FreshnessReport) -> None:
        """Push the whole report, and a link to the connection that matters most."""
        context["ti"].xcom_push(key=FRESHNESS_XCOM, value=report.to_json())
        if report.findings:
            FivetranConnectionLink.persist(context, report.findings[0].link)

    def _conclude(self, context: Context, report: FreshnessReport) -> str | None:
        """Say what was found, and return the time up to which all data are there.

        :raises FivetranNotFresh: something is not as demanded.
        """
        from airflow_provider_fivetran.core.freshness_words import (  # noqa: PLC0415
            error_of,
            remarks_of,
            summary_of,
        )

        self._leave(context, report)
        log.info("%s", summary_of(report))
        remarks = remarks_of(report)
        if remarks:
            log.warning("%s", remarks)
        error = error_of(report)
        if error is not None:
            raise error
        return report.oldest_success_text
