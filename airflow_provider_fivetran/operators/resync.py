"""The operator that starts historical re-syncs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.arguments import check_confirmed, is_known, scope_of
from airflow_provider_fivetran.operators.sync import FivetranOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_fivetran.core.orders import Order

__all__ = ["FivetranResyncOperator"]


class FivetranResyncOperator(FivetranOperator):
    """Starts a historical re-sync, of some tables or of everything, and waits for it like for a sync.

    A re-sync of everything can take days. So that none is started by accident, it has to be confirmed with the name
    of what it is about; and a ``scope`` that was given, but names no table in the end, is an error and never a
    re-sync of everything.

    Before tables are re-synced, one request reads the connection's schema configuration: they must exist and be
    enabled in it. Where this key may not read it, or there is none yet, a warning says so and Fivetran judges.

    A sync that is running already is not the re-sync: unless ``when_running`` says otherwise its end is waited
    for first.

    :param scope: the tables to re-sync, by schema: ``{"shop": ["orders"]}``, or the same as JSON text. Names as in
        the source and the schema configuration, case-sensitive. Only some types of connections, typically databases,
        can re-sync single tables (source: ``ResyncConnectorRequest`` of Fivetran's definition). Unset: everything.
    :param confirm: for a re-sync of everything, and only for that: ``connector_id`` once more, or ``connector_name``
        where the connection is named so. Unset by default.
    :param kwargs: as for :class:`FivetranOperator`.
    :raises ValueError: an argument is not allowed, everything is to be re-synced and not confirmed, or ``scope`` and
        ``confirm`` are both given (when the DAG is parsed).
    :raises AirflowFailException: as for :class:`FivetranOperator`; and, with ``FivetranResyncRefused`` as its
        ``__cause__``, where templates have made such arguments, a table does not exist or is disabled, or the
        connection cannot re-sync single tables. Nothing was started then.
    """

    template_fields: Sequence[str] = (*FivetranOperator.template_fields, "scope", "confirm")

    def __init__(
        self,
        *,
        scope: Mapping[str, Sequence[str]] | str | None = None,
        confirm: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.scope = scope
        self.confirm = confirm
        # Decided here for good: a template may make nothing of a scope.
        self._is_of_tables = scope is not None
        if self._is_of_tables and confirm is not None:
            raise ValueError(f"confirm is {confirm!r} and scope is {scope!r}: give only one of them")
        if self._is_of_tables:
            if is_known(scope):
                scope_of(scope)
        elif is_known(confirm) and (not isinstance(confirm, str) or is_known(self._called[1])):
            check_confirmed(confirm, *self._called)

    def _check_arguments(self) -> None:
        super()._check_arguments()
        if self.fresh_within is not None:
            raise ValueError(
                f"fresh_within is {self.fresh_within!r}; a fresh sync does not replace a re-sync"
            )

    def _check_rendered(self) -> None:
        self._checked_scope()

    def _order(self, connection_id: str) -> Order:
        return replace(super()._order(connection_id), resync=True, scope=self._checked_scope())

    @property
    def _called(self) -> tuple[str, str | None]:
        """The argument that says which connection it is, and its value."""
        if self.connector_id is not None:
            return "connector_id", self.connector_id
        return "connector_name", self.connector_name

    def _checked_scope(self) -> Mapping[str, Sequence[str]] | None:
        """The tables to re-sync, or ``None`` for everything, which is confirmed then.

        :raises FivetranResyncRefused: neither.
        """
        from airflow_provider_fivetran.core.errors import FivetranResyncRefused

        try:
            if self._is_of_tables:
                return scope_of(self.scope)
            check_confirmed(self.confirm, *self._called)
        except ValueError as error:
            raise FivetranResyncRefused(f"{error}. Nothing was started") from None
        return None
