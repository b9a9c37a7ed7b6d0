"""Reading single fields of Fivetran's JSON: each function names the field when its value is not as documented."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_fivetran.core.errors import FivetranUnexpectedAnswer
from airflow_provider_fivetran.core.moments import read_moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

__all__ = [
    "flag",
    "maybe_moment",
    "maybe_number",
    "maybe_text",
    "records",
    "section",
    "storable",
    "text",
    "texts",
]

T = TypeVar("T")


def _wrong(data: Mapping[str, Any], name: str, wanted: str) -> FivetranUnexpectedAnswer:
    found = type(data[name]).__name__ if name in data else "nothing"
    return FivetranUnexpectedAnswer(
        f"Fivetran's answer has {found} for {name!r} where {wanted} is documented"
    )


def storable(value: str) -> str:
    """The text without what JSON allows, but no database and no log takes: NUL, and halves of characters."""
    if value.isprintable():
        return value
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise _wrong(data, name, "a text")
    return storable(value)


def maybe_text(data: Mapping[str, Any], name: str) -> str | None:
    return None if data.get(name) is None else text(data, name)


def texts(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts; an absent list is empty."""
    value = data.get(name)
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise _wrong(data, name, "a list of texts")
    return tuple(storable(item) for item in value)


def flag(data: Mapping[str, Any], name: str) -> bool:
    """A missing flag is off: Fivetran leaves out what does not apply."""
    value = data.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _wrong(data, name, "true or false")
    return value


def maybe_number(data: Mapping[str, Any], name: str) -> float | None:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(data, name, "a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _wrong(data, name, "a number of a sensible size")
    return number


def maybe_moment(data: Mapping[str, Any], name: str) -> datetime | None:
    value = maybe_text(data, name)
    if value is None:
        return None
    try:
        return read_moment(value)
    except (ValueError, OverflowError):
        raise _wrong(data, name, "an ISO 8601 time") from None


def section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A nested object; an absent one is empty."""
    value = data.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong(data, name, "an object")
    return value


def records(data: Mapping[str, Any], name: str, read: Callable[[Mapping[str, Any]], T]) -> tuple[T, ...]:
    """A list of objects, each read by ``read``; an absent list is empty."""
    value = data.get(name)
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _wrong(data, name, "a list")
    if not all(isinstance(item, Mapping) for item in value):
        raise _wrong(data, name, "a list of objects")
    return tuple(read(item) for item in value)
