"""The operator that starts historical re-syncs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import XComArg

from airflow_provider_fivetran.operators.sync import FivetranOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_fivetran.core.orders import Order

__all__ = ["FivetranResyncOperator"]


class FivetranResyncOperator(FivetranOperator):
    """Starts a historical re-sync, of everything or of some tables, and waits for it like for a sync.

    A sync that is running already is not the re-sync: unless ``when_running`` says otherwise its end is waited
    for first.

    :param scope: the tables to re-sync, by schema: ``{"shop": ["orders"]}``; unset means everything, which can
        take days. Names as in the source.
    :param kwargs: as for :class:`FivetranOperator`.
    """

    template_fields: Sequence[str] = (*FivetranOperator.template_fields, "scope")

    def __init__(self, *, scope: Mapping[str, Sequence[str]] | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scope = scope
        if not isinstance(scope, XComArg) and not (
            isinstance(scope, str) and ("{{" in scope or "{%" in scope)
        ):
            _scope_of(scope)

    def _check_arguments(self) -> None:
        super()._check_arguments()
        if self.fresh_within is not None:
            raise ValueError(
                f"fresh_within is {self.fresh_within!r}; a fresh sync does not replace a re-sync"
            )

    def _order(self, connection_id: str) -> Order:
        return replace(super()._order(connection_id), resync=True, scope=_scope_of(self.scope))


def _scope_of(scope: Mapping[str, Sequence[str]] | str | None) -> Mapping[str, Sequence[str]] | None:
    """Read a scope, which a template may have turned into text.

    :raises ValueError: it is not tables by schema.
    """
    read: object = scope
    if isinstance(scope, str):
        try:
            read = json.loads(scope)
        except ValueError:
            read = scope
    if read is None:
        return None
    if (
        isinstance(read, Mapping)
        and read
        and all(map(_is_name, read))
        and all(map(_are_names, read.values()))
    ):
        return read
    raise ValueError(
        f"scope is {scope!r}; allowed is a list of tables by schema, such as {{'shop': ['orders']}}, none empty"
    )


def _are_names(tables: object) -> bool:
    return isinstance(tables, list | tuple) and len(tables) > 0 and all(_is_name(table) for table in tables)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name.strip())
