"""Checks of values handed in from outside; each message names the field, the value and what is allowed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORDS = {bool: "true or false", str: "a string", type(None): "null", dict: "an object", list: "a list"}


def check_choices(name: str, value: object, allowed: Iterable[object]) -> None:
    choices = list(allowed)
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; allowed: {', '.join(map(str, choices))}")


def check_types(name: str, value: object, *types: type) -> None:
    if not isinstance(value, types):
        allowed = " or ".join(_WORDS.get(kind, kind.__name__) for kind in types)
        # To whoever handed it in it is one wrong value among others.
        raise ValueError(f"{name} is {value!r}; allowed: {allowed}")  # noqa: TRY004


def check_numbers(name: str, value: object, *, least: float = 0.0) -> None:
    # A bool is an int in Python, but nobody means one second by True.
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
        raise ValueError(f"{name} is {value!r}; allowed: a number of at least {least:g}")
