"""What the modules that describe endpoints share: segments of paths, the size of a page, an answer without data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PAGE", "no_data", "of_connection", "segment"]

# Rows of a page, the most that Fivetran gives.
PAGE = "1000"


def segment(value: str) -> str:
    """One segment of a path, so encoded that it stays one whatever it holds.

    :raises ValueError: it is no text, or cannot be an id.
    """
    if not isinstance(value, str) or value in {"", ".", ".."}:
        raise ValueError(f"{value!r} cannot be an id")
    return quote(value, safe="")


def of_connection(connection_id: str, action: str = "") -> dict[str, Any]:
    """What all calls about one connection share."""
    return {"path": f"/v1/connections/{segment(connection_id)}{action}", "connection_id": connection_id}


def no_data(_data: Mapping[str, Any]) -> None:
    """Read an envelope that carries no data, as actions answer."""
