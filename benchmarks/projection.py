"""How much fits into what an account may ask in an hour."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HOURLY_BUDGET = 20_000


def fitting(costs: Mapping[int, float], budget: float = HOURLY_BUDGET) -> float:
    """How many syncs cost the whole budget, by the piece of the measured line that it lies on."""
    points = [(0, 0.0), *sorted(costs.items())]
    pieces = list(pairwise(points))
    (fewer, less), (more, much) = next((piece for piece in pieces if piece[1][1] >= budget), pieces[-1])
    return fewer + (more - fewer) * (budget - less) / (much - less)
