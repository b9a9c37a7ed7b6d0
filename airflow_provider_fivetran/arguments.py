"""Checking the arguments of operators and sensors while the DAG is parsed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeGuard, get_args

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "SHORTEST_POLL",
    "WAYS",
    "check_attempts",
    "check_choice",
    "check_chosen",
    "check_columns",
    "check_confirmed",
    "check_delay",
    "check_flag",
    "check_found",
    "check_identified",
    "check_ids",
    "check_share",
    "check_text",
    "check_transformation",
    "check_ways",
    "check_whole",
    "deferrable_of",
    "ids_of",
    "is_known",
    "scope_of",
    "span_of",
]

# Seconds. Asked more often than this, Fivetran refuses the whole account after minutes.
SHORTEST_POLL = 0.05
# In one of these ways connections are named; the rest narrows the choice.
WAYS = ("connector_ids", "group_id", "destination_name")
_NEVER_TEXT = (bool, int, float, bytes, list, tuple, dict, set)


def check_choice(name: str, value: object, kind: object, *, optional: bool = False) -> None:
    """Check that the value is one that the ``Literal`` type ``kind`` allows.

    :raises ValueError: it is not; the text lists what is allowed.
    """
    allowed: Sequence[object] = get_args(kind)
    if value in allowed or (optional and value is None):
        return
    listed = ", ".join(repr(choice) for choice in allowed)
    raise ValueError(f"{name} is {value!r}; allowed {'are' if len(allowed) > 1 else 'is'} {listed}")


def span_of(
    name: str, value: float | timedelta | None, *, zero: bool = False, least: float | None = None
) -> timedelta | None:
    """Read a duration given as a timedelta or in seconds.

    :param zero: whether 0 is allowed too.
    :param least: seconds that it has to be at least.
    :raises ValueError: it is neither, or shorter than is allowed.
    """
    if value is None:
        return None
    span = _as_span(value)
    shortest = timedelta(seconds=least or 0)
    if span is not None and (span > shortest or (span == shortest and (zero or least is not None))):
        return span
    allowed = f"of at least {least or 0:g}" if zero or least is not None else "above 0"
    raise ValueError(f"{name} is {value!r}; allowed is a timedelta or a number of seconds {allowed}")


def _as_span(value: object) -> timedelta | None:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return timedelta(seconds=value)
        except (ValueError, OverflowError):
            return None
    return None


def check_identified(connector_id: object, connector_name: object, destination_name: object) -> None:
    """Check that a connection is named in exactly one of the two ways.

    :raises ValueError: it is not.
    """
    for name, value in (
        ("connector_id", connector_id),
        ("connector_name", connector_name),
        ("destination_name", destination_name),
    ):
        if value is not None:
            check_text(name, value)
    if connector_id is not None and connector_name is None and destination_name is None:
        return
    if connector_id is None and connector_name is not None and destination_name is not None:
        return
    raise ValueError(
        "give either connector_id, or both connector_name and destination_name; "
        f"connector_id is {connector_id!r}, connector_name is {connector_name!r}, "
        f"destination_name is {destination_name!r}"
    )


def check_transformation(
    transformation_id: object, transformation_name: object, destination_name: object
) -> None:
    """Check that a transformation is given by its id, or by its name.

    :raises ValueError: it is not.
    """
    for name, value in (
        ("transformation_id", transformation_id),
        ("transformation_name", transformation_name),
        ("destination_name", destination_name),
    ):
        if value is not None:
            check_text(name, value)
    by_id = transformation_id is not None and transformation_name is None and destination_name is None
    if by_id or (transformation_id is None and transformation_name is not None):
        return
    raise ValueError(
        "give either transformation_id, or transformation_name and, if that alone leaves a doubt, destination_name; "
        f"transformation_id is {transformation_id!r}, transformation_name is {transformation_name!r}, "
        f"destination_name is {destination_name!r}"
    )


def check_text(name: str, value: object) -> None:
    """Check an argument that is a text. What another task returns is none yet, and is left alone.

    :raises ValueError: it is empty, or can never become a text.
    """
    is_empty = isinstance(value, str) and not value.strip()
    if is_empty or value is None or isinstance(value, _NEVER_TEXT):
        raise ValueError(f"{name} is {value!r}; allowed is a text that is not empty")


def check_ways(ways: Mapping[str, object]) -> str | None:
    """Check that connections are named in one way at most; which it is.

    :param ways: arguments with their values.
    :raises ValueError: they are named in more.
    """
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1:
        raise ValueError(
            f"{' and '.join(f'{name} ({ways[name]!r})' for name in given)} are given; allowed is one of "
            f"{', '.join(ways)}"
        )
    return given[0] if given else None


def check_whole(name: str, value: object, *, most: int) -> None:
    """Check an argument that is a whole number from 1 on.

    :raises ValueError: it is not, or more than ``most``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ValueError(f"{name} is {value!r}; allowed is a whole number from 1 to {most}")


def check_share(name: str, value: object) -> None:
    """Check an argument that is a share of a whole.

    :raises ValueError: it is not a number between 0 and 1.
    """
    if not isinstance(value, float) or not 0 < value < 1:
        raise ValueError(f"{name} is {value!r}; allowed is a share above 0 and below 1, such as 0.1")


def check_ids(name: str, value: object, *, empty: bool = False, what: str = "id") -> None:
    """Check an argument that is an id or several. What another task returns is none yet, and is left alone.

    :param empty: whether there may be none.
    :param what: what each of them is.
    :raises ValueError: it can never become that.
    """
    if isinstance(value, (list, tuple, set, frozenset)):
        if not value and not empty:
            raise ValueError(f"{name} is {value!r}; {_listed(what)}, at least one")
        for each in value:
            check_text(f"one {what} in {name}", each)
    elif value is None or value == "" or isinstance(value, _NEVER_TEXT):
        raise ValueError(f"{name} is {value!r}; {_listed(what)}")
    else:
        check_text(name, value)


def ids_of(name: str, value: object, *, what: str = "id") -> tuple[str, ...]:
    """Read an id or several, as a sequence or as a text with commas, when the task runs; each is there once.

    :param what: what each of them is.
    :raises ValueError: it is neither; or an id is empty, which is what a template makes of nothing.
    """
    parts = value.split(",") if isinstance(value, str) and value.strip() else value
    if not isinstance(parts, (list, tuple, set, frozenset)):
        raise ValueError(f"{name} is {value!r}; {_listed(what)}")  # noqa: TRY004 - as elsewhere
    ids = [part.strip() if isinstance(part, str) else part for part in parts]
    for each in ids:
        if not isinstance(each, str) or each in {"", "None", ".", ".."} or set(each) & set("[]{}'\""):
            raise ValueError(
                f"{name} is {value!r}, in which {each!r} is no {what}; {_listed(what)}. "
                "A template that makes a list needs render_template_as_native_obj of the DAG"
            )
    return tuple(dict.fromkeys(sorted(ids) if isinstance(value, (set, frozenset)) else ids))


def _listed(what: str) -> str:
    return f"allowed are {what}s, as a list or as a text with commas"


def check_chosen(given: Mapping[str, object], *, empty: bool = False) -> None:
    """Check that it is said which of all connections are meant: what comes to nothing must not mean all.

    :param given: the values of ``connector_ids``, ``group_id``, ``destination_name``, ``services``,
        ``name_pattern``, ``only_failed`` and ``exclude``.
    :param empty: whether ``connector_ids`` may have none.
    :raises ValueError: it is not said, or one of them can never become what it has to be.
    """
    way = check_ways({name: given[name] for name in WAYS})
    check_flag("only_failed", given["only_failed"])
    if way is None and given["services"] is given["name_pattern"] is None and not given["only_failed"]:
        raise ValueError(
            f"which connections is not said; give one of {', '.join(WAYS)}, or services, name_pattern or "
            "only_failed. name_pattern='*' means all that the key may see"
        )
    if given["connector_ids"] is not None:
        check_ids("connector_ids", given["connector_ids"], empty=empty)
    if given["services"] is not None:
        check_ids("services", given["services"], what="type")
    for name in ("group_id", "destination_name", "name_pattern"):
        if given[name] is not None:
            check_text(name, given[name])
    check_ids("exclude", given["exclude"], empty=True)


def check_flag(name: str, value: object, *, optional: bool = False) -> None:
    """Check an argument that is True or False; ``"False"`` would otherwise be true.

    :raises ValueError: it is neither.
    """
    if not isinstance(value, bool) and not (optional and value is None):
        raise ValueError(f"{name} is {value!r}; allowed are True and False{' and None' if optional else ''}")


def deferrable_of(value: bool | None) -> bool:  # noqa: FBT001 - as in the constructors
    """Read ``deferrable`` of a task; unset follows ``[operators] default_deferrable``.

    :raises ValueError: it is neither True nor False nor unset.
    """
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - the rest of this file needs no Airflow

    check_flag("deferrable", value, optional=True)
    return conf.getboolean("operators", "default_deferrable", fallback=False) if value is None else value


def is_known(value: object) -> bool:
    """Whether an argument is, in all its parts, what it will be when the task runs: no template, no XCom."""
    if isinstance(value, Mapping):
        return all(map(is_known, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(is_known, value))
    is_template = isinstance(value, str) and ("{{" in value or "{%" in value)
    return not is_template and not hasattr(value, "resolve")


def check_found(name: str, value: object) -> None:
    """Check, when a task runs, that a template, or the task that an argument comes from, has found something.

    :raises FivetranArgumentMissing: it has not.
    """
    if value is None or (isinstance(value, str) and value.strip() in {"", "None"}):
        from airflow_provider_fivetran.core.errors import FivetranArgumentMissing  # noqa: PLC0415

        raise FivetranArgumentMissing(
            f"{name} is {value!r}: did its template, or the task it comes from, find no value?"
        )


def check_attempts(value: int) -> None:
    """Check ``fivetran_retry_limit``.

    :raises ValueError: it is not a whole number of at least 1.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"fivetran_retry_limit is {value!r}; allowed is a whole number of 1 or more")


def check_delay(value: float) -> None:
    """Check ``fivetran_retry_delay``.

    :raises ValueError: it is not a number of seconds of at least 0.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value < math.inf:
        raise ValueError(f"fivetran_retry_delay is {value!r}; allowed is a number of seconds of at least 0")


def scope_of(value: object, name: str = "scope") -> dict[str, tuple[str, ...]]:
    """Read the tables of a re-sync, by schema, which a template may have turned into JSON text.

    :param name: the argument, for the error.
    :return: the same, with no table twice, which Fivetran would refuse.
    :raises ValueError: it is something else, or names no table: that would be a re-sync of everything.
    """
    read = value
    if isinstance(value, str):
        try:
            read = json.loads(value)
        except ValueError:
            read = None
    if (
        isinstance(read, Mapping)
        and read
        and all(_is_name(schema) and _are_names(tables) for schema, tables in read.items())
    ):
        return {schema: tuple(dict.fromkeys(tables)) for schema, tables in read.items()}
    raise ValueError(
        f"{name} is {value!r}; allowed are tables by schema, such as {{'shop': ['orders']}}, with no list empty. "
        "A template of it ends in '| tojson', and has to find a value"
    )


def check_columns(value: object) -> None:
    """Check names of columns by schema and table.

    :raises ValueError: it is something else, or names no column of a table.
    """
    if not _has_names(value) or not all(
        _has_names(tables) and all(map(_are_names, tables.values())) for tables in value.values()
    ):
        raise ValueError(
            f"columns is {value!r}; allowed are names of columns by schema and table, such as "
            "{'shop': {'customers': ['fax']}}, with no list empty"
        )


def _has_names(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping) and len(value) > 0 and all(map(_is_name, value))


def _are_names(tables: object) -> bool:
    return isinstance(tables, list | tuple) and len(tables) > 0 and all(_is_name(table) for table in tables)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name.strip())


def check_confirmed(confirm: object, name: str, wanted: object) -> None:
    """Check that a re-sync of everything is confirmed: by what the connection is called.

    :param name: the argument that calls it so.
    :param wanted: its value.
    :raises ValueError: it is not.
    """
    if not isinstance(confirm, str) or confirm != wanted:
        raise ValueError(
            f"confirm is {confirm!r}; allowed, where no scope is given, is {name} once more, {wanted!r}: everything "
            "in that connection would be loaded anew, which can take days. To load some tables anew, give a scope "
            "such as {'shop': ['orders']} instead"
        )
