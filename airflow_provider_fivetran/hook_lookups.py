"""The part of the hook that finds things by the names that the Fivetran dashboard shows."""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_fivetran.arguments import check_found
from airflow_provider_fivetran.core.errors import FivetranArgumentMissing, FivetranLookupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_fivetran.core.models import Connection, Group

__all__ = ["LookUps", "only_one"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class LookUps:
    """Methods of :class:`~airflow_provider_fivetran.hooks.FivetranHook`."""

    if TYPE_CHECKING:  # what the hook has

        def list_groups(self) -> tuple[Group, ...]: ...

        def list_connections(
            self, *, group_id: str | None = None, schema: str | None = None
        ) -> tuple[Connection, ...]: ...

    def find_group(self, destination_name: str) -> Group:
        """Find the group of a destination by the name that the Fivetran dashboard shows (``GET /v1/groups``).

        :param destination_name: the name of the destination (its group), exactly.
        :raises FivetranLookupError: none has this name, or more than one has.
        """
        groups = self.list_groups()
        return only_one(
            [group for group in groups if group.name == destination_name],
            f"destination named {destination_name!r}",
            known=[group.name for group in groups],
            wanted=destination_name,
        )

    def find_connection(self, connector_name: str, destination_name: str) -> Connection:
        """Find a connection by the names that the Fivetran dashboard shows.

        :param connector_name: the connection's schema name, exactly.
        :param destination_name: the name of its destination (its group), exactly.
        :raises FivetranLookupError: none has these names, or more than one has.
        """
        group = self.find_group(destination_name)
        matches = self.list_connections(group_id=group.id, schema=connector_name)
        known = [] if matches else [c.schema for c in self.list_connections(group_id=group.id)]
        return only_one(
            [connection for connection in matches if connection.schema == connector_name],
            f"connection named {connector_name!r} in the destination {destination_name!r}",
            known=known,
            wanted=connector_name,
        )

    def find_id(
        self, connector_id: str | None, connector_name: str | None, destination_name: str | None
    ) -> str:
        """The id of a connection that is named in either of the two ways.

        :raises FivetranArgumentMissing: neither is given, or what is given is empty.
        :raises FivetranLookupError: as :meth:`find_connection`.
        """
        if connector_id is not None:
            check_found("connector_id", connector_id)
            return connector_id
        if connector_name is None or destination_name is None:
            raise FivetranArgumentMissing(
                "neither connector_id nor connector_name and destination_name are given: did their templates, or "
                "the tasks they come from, find no value?"
            )
        check_found("connector_name", connector_name)
        check_found("destination_name", destination_name)
        found = self.find_connection(connector_name, destination_name)
        log.info("%s in %s is %s", connector_name, destination_name, found.id)
        return found.id


def only_one(
    matches: Sequence[T], what: str, *, known: Sequence[str], wanted: str, instead: str = "the id"
) -> T:
    """The only match.

    :param known: the names that there are, one of which may have been meant.
    :param instead: what leaves no doubt.
    :raises FivetranLookupError: there is none, or more than one.
    """
    if len(matches) == 1:
        return matches[0]
    if matches:
        ids = ", ".join(sorted(str(getattr(match, "id", match)) for match in matches))
        raise FivetranLookupError(f"there is more than one {what}: {ids}; use {instead} instead")
    near = difflib.get_close_matches(wanted, known)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise FivetranLookupError(f"there is no {what} that this key may see{hint}")
