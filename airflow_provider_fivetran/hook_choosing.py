"""The part of the hook that chooses among many connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_fivetran.arguments import check_chosen, check_found, ids_of
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.choosing import Choice
from airflow_provider_fivetran.core.steps import PATIENCE, patiently
from airflow_provider_fivetran.core.survey import survey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_fivetran.core.steps import Procedure
    from airflow_provider_fivetran.core.survey import Selection

__all__ = ["ChoosingCalls"]

T = TypeVar("T")


class ChoosingCalls:
    """Methods of :class:`~airflow_provider_fivetran.hooks.FivetranHook`. They only read."""

    if TYPE_CHECKING:  # what the hook has

        def carry_out(self, procedure: Procedure[T]) -> T: ...

        def select_connections(
            self,
            connector_ids: object = None,
            *,
            group_id: str | None = None,
            destination_name: str | None = None,
            exclude: object = (),
        ) -> Selection: ...

    def choose_connections(
        self,
        connector_ids: str | Sequence[str] | None = None,
        *,
        group_id: str | None = None,
        destination_name: str | None = None,
        exclude: str | Sequence[str] = (),
        services: str | Sequence[str] | None = None,
        name_pattern: str | None = None,
        only_failed: bool = False,
    ) -> tuple[str, ...]:
        """Choose connections: those of which all that is given is so.

        At least one of the arguments but ``exclude`` is given; ``name_pattern="*"`` alone: all that the key may see.
        Ids alone take no request. Otherwise ``GET /v1/connections`` takes one for each thousand connections of the
        account or the group; up to three ids take a ``GET /v1/connections/{id}`` each instead.

        :param connector_ids: among those with these ids. One that Fivetran does not show is chosen all the same:
            whoever uses it meets the error that says so;
        :param group_id: or of this group;
        :param destination_name: or of the group with this name, which takes a request more.
        :param exclude: ids that are left out; an empty list or tuple leaves out none, and ``None`` or ``""``, which
            a template makes of nothing, is an error.
        :param services: types of connections, such as ``"postgres"``: one, several, or a text with commas.
        :param name_pattern: of the name of the schema, which the dashboard shows: ``*`` stands for any text, ``?``
            for any character. Case counts.
        :param only_failed: only those whose last sync that ended did not end well (``failed_at`` is newer than
            ``succeeded_at``).
        :return: ids, in the order in which they were given or listed, each once.
        :raises ValueError: none is given, or one is not allowed.
        :raises FivetranLookupError: no group, or more than one, has that name.
        :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached for two minutes.
        """
        named: dict[str, Any] = {
            "connector_ids": connector_ids,
            "group_id": group_id,
            "destination_name": destination_name,
            "exclude": exclude,
        }
        narrowed = {"services": services, "name_pattern": name_pattern, "only_failed": only_failed}
        check_chosen({**named, **narrowed}, empty=True)
        if name_pattern is not None:
            check_found("name_pattern", name_pattern)
        choice = Choice(
            services=frozenset(() if services is None else ids_of("services", services, what="type")),
            name_pattern=name_pattern,
            only_failed=only_failed,
        )
        selection = self.select_connections(**named)
        if selection.connection_ids is not None and choice.takes_all:
            return selection.ids
        seen = self.carry_out(patiently(lambda: survey(selection), utcnow, patience=PATIENCE))
        wanted = {connection.id for connection in choice.of(seen.connections.values())} | set(seen.missing)
        order = selection.ids if selection.connection_ids is not None else tuple(seen.connections)
        return tuple(name for name in order if name in wanted)
