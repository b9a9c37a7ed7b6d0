"""What differs between how a connection is described and how Fivetran shows it, and what nobody can compare.

Fivetran shows a secret as ``******`` and nothing at all of ``auth``. Neither is a difference, nor is it sameness:
such a field cannot be compared, and is said to be so. A secret that Fivetran shows all the same is compared like any
other field, and neither of its values is shown here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.connector_types import NAMING
from airflow_provider_fivetran.core.secret import HIDDEN, secrets_in, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_fivetran.core.setups import Description, Setup

__all__ = ["Comparison", "Difference", "compare", "completed", "is_masked"]

# What can be chosen when the connection is made, and never again. Source: "API Configuration" of Fivetran's REST
# API, and the body of ``modify_connection``, which lacks the others.
FIXED = frozenset({"service", "group_id", "destination_schema_names", "config.timeframe_months"})
LONGEST_SHOWN = 200
# Fivetran writes six of them; a text of which it shows a part is hidden too.
_MASK = re.compile(r"\*{3}")
_LACKING = object()
_TRUTHS_OF_TEMPLATES = ("True", "False")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not as described. Both values are as they may be shown."""

    field: str
    """With dots, such as ``config.host``."""
    now: Any
    """``None`` where Fivetran shows nothing."""
    wanted: Any
    is_shown: bool = True
    """Whether Fivetran shows a value for it."""

    @property
    def is_fixed(self) -> bool:
        return self.field in FIXED

    def to_json(self) -> dict[str, Any]:
        return {"field": self.field, "now": self.now, "wanted": self.wanted}

    def __str__(self) -> str:
        now = _cut(self.now) if self.is_shown else "not shown"
        return f"{self.field}: {now} -> {_cut(self.wanted)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs, and what cannot be compared."""

    differences: tuple[Difference, ...]
    unknown: tuple[str, ...]

    @property
    def fixed(self) -> tuple[Difference, ...]:
        return tuple(difference for difference in self.differences if difference.is_fixed)


def is_masked(value: object) -> bool:
    """Whether Fivetran shows stars in place of the value, or of a part of it."""
    return isinstance(value, str) and _MASK.search(value) is not None


def compare(wanted: Description, found: Setup) -> Comparison:
    """Compare all that is described. What Fivetran shows besides is nobody's business here."""
    unknown: list[str] = []
    differences = [*_differences(wanted, found, unknown)]
    return Comparison(tuple(differences), tuple(dict.fromkeys(unknown)))


def completed(wanted: Any, now: Any, path: str, hidden: list[str]) -> Any:
    """A described object with the fields that Fivetran shows of it besides.

    Whether a change puts the whole object in place of the whole is not documented: sent so, it loses nothing.

    :param hidden: is given the path of each value that Fivetran hides and nobody describes, which is left out.
    """
    if not isinstance(wanted, Mapping) or not isinstance(now, Mapping):
        return wanted
    rest = {name: value for name, value in now.items() if name not in wanted}
    hidden += (where for where, value in _values(rest, path) if is_masked(value))
    inner = {
        name: completed(value, now.get(name), f"{path}.{name}", hidden) for name, value in wanted.items()
    }
    return rest | inner


def _differences(wanted: Description, found: Setup, unknown: list[str]) -> Iterator[Difference]:
    for name, now in (("service", found.connection.service), ("group_id", found.connection.group_id)):
        if getattr(wanted, name) != now:
            yield Difference(name, now, getattr(wanted, name))
    config = {name: value for name, value in wanted.config.items() if name not in NAMING}
    yield from _in_fields(config, found.config, "config", unknown)
    unknown += _leaves(wanted.auth, "auth")
    for name, value in wanted.settings.items():
        yield from _in_value(value, found.settings.get(name, _LACKING), name, unknown)
    if wanted.schedule is not None and not wanted.schedule.is_met_by(found.schedule):
        shows = None if found.schedule is None else str(found.schedule)
        yield Difference("schedule", shows, str(wanted.schedule), found.schedule is not None)
    if wanted.paused is not None and wanted.paused != found.connection.paused:
        yield Difference("paused", found.connection.paused, wanted.paused)


def _in_fields(
    wanted: Mapping[str, Any], now: Mapping[str, Any], path: str, unknown: list[str]
) -> Iterator[Difference]:
    for name, value in wanted.items():
        yield from _in_value(value, now.get(name, _LACKING), f"{path}.{name}", unknown)


def _in_value(wanted: Any, now: Any, path: str, unknown: list[str]) -> Iterator[Difference]:
    if is_masked(now):
        unknown.append(path)
    elif now is _LACKING and _has_secret(wanted):
        unknown += _leaves(wanted, path)
    elif isinstance(wanted, Mapping) and isinstance(now, Mapping):
        yield from _in_fields(wanted, now, path, unknown)
    elif isinstance(wanted, list | tuple) and isinstance(now, list) and len(wanted) == len(now):
        if not _same_items(wanted, now):
            for number, (inner, inner_now) in enumerate(zip(wanted, now, strict=True)):
                yield from _in_value(inner, inner_now, f"{path}.{number}", unknown)
    elif (now is _LACKING and (wanted is None or path in FIXED)) or _plain(wanted) == _plain(now):
        return
    else:
        is_shown = now is not _LACKING
        told = None if not is_shown else HIDDEN if _has_secret(wanted) else _shown(now, path)
        yield Difference(path, told, _shown(wanted, path), is_shown)


def _has_secret(value: Any) -> bool:
    return any(True for _ in secrets_in(value))


def _shown(value: Any, path: str) -> Any:
    return shown(value, path.rpartition(".")[2])


def _same_items(wanted: list[Any] | tuple[Any, ...], now: list[Any]) -> bool:
    """Whether two lists of plain values hold the same, in any order: Fivetran keeps none."""
    if any(isinstance(item, Mapping | list | tuple) or is_masked(item) for item in (*wanted, *now)):
        return False
    return sorted(map(_plain, wanted)) == sorted(map(_plain, now))


def _plain(value: Any) -> str:
    """A value so written that 5432, 5432.0 and "5432", and true, "true" and "True", are the same."""
    if isinstance(value, bool) or value in _TRUTHS_OF_TEMPLATES:
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return repr(value) if isinstance(value, Mapping | list | tuple) or value is None else str(value)


def _leaves(value: Any, path: str) -> Iterator[str]:
    return (where for where, _ in _values(value, path))


def _values(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _values(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _values(inner, f"{path}.{number}")
    else:
        yield path, value


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
