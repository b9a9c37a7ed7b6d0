"""The waits that want to look, as the poller knows them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_fivetran.core.endpoints import list_connection_rows, list_transformation_rows
from airflow_provider_fivetran.core.models import Connection
from airflow_provider_fivetran.core.transformations import Transformation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from airflow_provider_fivetran.core.protocol import Answer, Call, Page
    from airflow_provider_fivetran.core.steps import Look

__all__ = ["CONNECTIONS", "TRANSFORMATIONS", "Ask", "Listed", "group_of", "with_breaths"]

T = TypeVar("T")

# The loop gets a breath after so many answers: each wait that is woken computes for half a millisecond.
AT_A_TIME = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """A kind of thing that can be waited for, one by one or by its list."""

    name: str
    """Of many, as the log calls them."""
    rows: Callable[[str | None], Call[Page[Mapping[str, Any]]]]
    """The list, narrowed by group."""
    read: Callable[[Mapping[str, Any]], Any]
    """Reads one row."""


CONNECTIONS = Listed(
    "connections", lambda group_id: list_connection_rows(group_id=group_id), Connection.from_json
)
TRANSFORMATIONS = Listed(
    "transformations", lambda group_id: list_transformation_rows(group_id=group_id), Transformation.from_json
)


@dataclass(eq=False, slots=True)
class Ask:
    """A wait that wants to look."""

    look: Look[Any]
    due: float
    latest: float
    answer: asyncio.Future[Answer[Any] | None] = field(default_factory=asyncio.Future)

    @property
    def subject(self) -> str:
        """The id of what it looks at."""
        return self.look.call.subject

    @property
    def pace(self) -> float:
        return self.look.pace.total_seconds()

    def is_due(self, now: float) -> bool:
        return self.due <= now or self.latest <= now

    def accepts(self, now: float) -> bool:
        """Whether a free answer may come now."""
        return not self.look.is_floor or self.is_due(now)

    def is_due_soon(self, now: float) -> bool:
        """Whether even an answer with nothing new is worth waking up for: so it joins the others for good."""
        return self.is_due(now + self.pace / 2)


def group_of(asks: Sequence[Ask] | set[Ask]) -> str:
    """The group that all share, if they do."""
    groups = {ask.look.group_id for ask in asks}
    return groups.pop() if len(groups) == 1 else ""


async def with_breaths(items: Iterable[T]) -> AsyncIterator[T]:
    """One after the other, so that the loop gets to those who have been told, and to everything else."""
    for number, item in enumerate(items, start=1):
        if number % AT_A_TIME == 0:
            await asyncio.sleep(0)
        yield item
