"""The part of the hook that tells how fresh and how healthy many connections are."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_fivetran.arguments import (
    WAYS,
    check_choice,
    check_found,
    check_text,
    check_ways,
    ids_of,
    span_of,
)
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.freshness import Demand
from airflow_provider_fivetran.core.moments import read_after
from airflow_provider_fivetran.core.policies import CheckMissing, CheckTroubled, WhenEmpty
from airflow_provider_fivetran.core.steps import PATIENCE, patiently
from airflow_provider_fivetran.core.survey import Selection, report_on, survey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_provider_fivetran.core.freshness import FreshnessReport
    from airflow_provider_fivetran.core.models import Group
    from airflow_provider_fivetran.core.steps import Procedure

__all__ = ["FreshnessChecks"]

T = TypeVar("T")


class FreshnessChecks:
    """Methods of :class:`~airflow_provider_fivetran.hooks.FivetranHook`. They only read."""

    if TYPE_CHECKING:  # what the hook has

        def carry_out(self, procedure: Procedure[T]) -> T: ...

        def find_group(self, destination_name: str) -> Group: ...

    def check_freshness(
        self,
        connector_ids: Sequence[str] | None = None,
        *,
        group_id: str | None = None,
        destination_name: str | None = None,
        exclude: Sequence[str] = (),
        fresh_since: str | datetime | None = None,
        fresh_within: float | timedelta | None = None,
        when_broken: CheckTroubled = "fail_if_stale",
        when_paused: CheckTroubled = "fail_if_stale",
        when_delayed: CheckTroubled = "fail_if_stale",
        when_rescheduled: CheckTroubled = "fail_if_stale",
        when_missing: CheckMissing = "fail",
        when_empty: WhenEmpty = "fail",
    ) -> FreshnessReport:
        """Look at many connections and report which are as fresh as demanded. Nothing but the report says so.

        ``GET /v1/connections`` takes one request for each thousand connections of the account or the group; up to
        three connections that are given by their ids take a ``GET /v1/connections/{id}`` each instead, and so do
        those that the list does not show, and all where the key may not list. Fresh is what Fivetran's
        ``succeeded_at``, the end of the last sync that ended well, says. The policies are those of
        :class:`~airflow_provider_fivetran.operators.FivetranFreshnessOperator`.

        :param connector_ids: those connections; with neither these nor a group: all that the key may see.
        :param group_id: all connections of this group;
        :param destination_name: or of the group with this name, which takes a request more.
        :param exclude: ids of connections that are left out; an empty list or tuple leaves out none, and ``None`` or
            ``""`` is an error.
        :param fresh_since: a datetime, or a text in ISO 8601 (UTC, unless it says otherwise): fresh is what ended
            well then or later;
        :param fresh_within: or so recently, a timedelta or seconds, by Fivetran's clock.
        :raises ValueError: an argument is not allowed.
        :raises FivetranLookupError: there is nothing to look at, or no group, or more than one, has that name.
        :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached for two minutes.
        """
        for name, value, kind in (
            ("when_broken", when_broken, CheckTroubled),
            ("when_paused", when_paused, CheckTroubled),
            ("when_delayed", when_delayed, CheckTroubled),
            ("when_rescheduled", when_rescheduled, CheckTroubled),
            ("when_missing", when_missing, CheckMissing),
            ("when_empty", when_empty, WhenEmpty),
        ):
            check_choice(name, value, kind)
        demand = Demand(
            fresh_since=read_after(fresh_since, "fresh_since"),
            fresh_within=span_of("fresh_within", fresh_within),
            when_broken=when_broken,
            when_paused=when_paused,
            when_delayed=when_delayed,
            when_rescheduled=when_rescheduled,
            when_missing=when_missing,
            when_empty=when_empty,
        )
        selection = self.select_connections(
            connector_ids, group_id=group_id, destination_name=destination_name, exclude=exclude
        )
        return self.report_on(selection, demand)

    def select_connections(
        self,
        connector_ids: object = None,
        *,
        group_id: str | None = None,
        destination_name: str | None = None,
        exclude: object = (),
    ) -> Selection:
        """Make a selection of the connections that are named in one of these ways; without any, of all.

        :param connector_ids: ids, as a sequence or as a text with commas.
        :param group_id: id of a group;
        :param destination_name: or its name, which is looked up (``GET /v1/groups``).
        :param exclude: ids of connections that are left out, in the same forms; an empty list or tuple leaves out
            none, and ``None`` or ``""``, which a template makes of nothing, is an error.
        :raises ValueError: they are named in more than one way, or in none that is allowed.
        :raises FivetranLookupError: no group, or more than one, has that name.
        """
        ways = dict(zip(WAYS, (connector_ids, group_id, destination_name), strict=True))
        check_ways(ways)
        for name in ("group_id", "destination_name"):
            if ways[name] is not None:
                check_text(name, ways[name])
                check_found(name, ways[name])
        left_out = frozenset(ids_of("exclude", exclude))
        if connector_ids is not None:
            ids = ids_of("connector_ids", connector_ids)
            return Selection(connection_ids=ids, exclude=left_out)
        if destination_name is not None:
            group_id = self.find_group(destination_name).id
        return Selection(group_id=group_id, exclude=left_out)

    def report_on(
        self,
        selection: Selection,
        demand: Demand,
        *,
        patience: timedelta = PATIENCE,
        with_refusals: timedelta = timedelta(0),
    ) -> FreshnessReport:
        """Look at a selection and judge it.

        :param patience: for how long to go on while Fivetran cannot be reached; two minutes.
        :param with_refusals: for how long to go on while the key is refused; not at all.
        :raises FivetranLookupError: there is nothing to look at.
        :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached for so long.
        """
        seen = self.carry_out(
            patiently(lambda: survey(selection), utcnow, patience=patience, with_refusals=with_refusals)
        )
        return report_on(seen, selection, demand, utcnow())
