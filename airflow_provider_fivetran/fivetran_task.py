"""What every task has in common that asks Fivetran: its key, and arguments that must not come to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.arguments import (
    check_attempts,
    check_delay,
    check_found,
    check_text,
    is_known,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_fivetran.hooks import FivetranHook

__all__ = ["FivetranTask"]


class FivetranTask:
    """A task that holds the id of an Airflow connection with a key. Importing it loads no hook."""

    fivetran_conn_id: str
    fivetran_retry_limit: int
    fivetran_retry_delay: float
    _expected: tuple[tuple[str | int, ...], ...] = ()

    def _check_way_to_fivetran(self) -> None:
        """Check what leads to Fivetran, when the DAG is parsed.

        :raises ValueError: an argument is not allowed.
        """
        check_text("fivetran_conn_id", self.fivetran_conn_id)
        check_attempts(self.fivetran_retry_limit)
        check_delay(self.fivetran_retry_delay)

    def _hook(self, name: str = "fivetran_conn_id") -> FivetranHook:
        """A hook with the key of the Airflow connection that this argument names.

        :raises FivetranArgumentMissing: its template has found no value.
        """
        conn_id = getattr(self, name)
        check_found(name, conn_id)
        # What runs a task is imported when it runs: a DAG file is parsed over and over.
        from airflow_provider_fivetran.hooks import FivetranHook  # noqa: PLC0415

        return FivetranHook(
            conn_id,
            fivetran_retry_limit=self.fivetran_retry_limit,
            fivetran_retry_delay=self.fivetran_retry_delay,
        )

    def _expect(self, names: Iterable[str]) -> None:
        """Note, when the DAG is parsed, which parts of these arguments are yet to be found."""
        self._expected = tuple(path for name in names for path in _open_parts(getattr(self, name), (name,)))

    def _check_found(self) -> None:
        """Check, when the task runs, that something was found for each of them.

        Otherwise what was meant for one connection would be done to all, or nothing be written where there was
        something.

        :raises FivetranArgumentMissing: it was not.
        """
        for name, *rest in self._expected:
            value = getattr(self, str(name))
            for part in rest:
                value = value[part]
            for path, found in _leaves(value, (name, *rest)):
                check_found(".".join(map(str, path)), found)


def _open_parts(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """The paths of templates, and of what other tasks give."""
    return (where for where, leaf in _leaves(value, path) if not is_known(leaf))


def _leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, number))
    else:
        yield path, value
