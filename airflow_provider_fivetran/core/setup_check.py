"""Checking a description of a connection against the metadata of its type, before anything is sent that changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.connector_types import NAMING, nearest
from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranNotFound,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
    FivetranWrongDescription,
)
from airflow_provider_fivetran.core.secret import Secret, looks_secret
from airflow_provider_fivetran.core.setup_endpoints import get_connector_type, list_connector_types
from airflow_provider_fivetran.core.steps import PATIENCE, Note, ask_pages, ask_patiently

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_fivetran.core.connector_types import ConnectorType
    from airflow_provider_fivetran.core.setups import Description
    from airflow_provider_fivetran.core.steps import Clock, Procedure

__all__ = ["checked"]

MOST_PAGES = 10
# The place of an item within a path.
_IN_LIST = re.compile(r"\.\d+(?=\.|$)")


def checked(
    wanted: Description, clock: Clock, *, for_creation: bool, by_metadata: bool = True
) -> Procedure[Description]:
    """The description with each value in its declared type and, for a creation, with the fields that name it.

    :param by_metadata: whether the metadata of the type is asked, which is one request. Where it cannot be read
        (403), that is said in a warning, and Fivetran itself has to judge.
    :raises FivetranWrongDescription: there is no such type, or fields are missing, unknown or wrong; all are named.
    :raises FivetranError: (one of its kinds) it cannot be read at the moment, even after two minutes.
    """
    kind = (yield from _type_of(wanted.service, clock)) if by_metadata else None
    naming = kind.named(wanted.name) if kind is not None else {"schema": wanted.name}
    mistakes = [*_misnamed(wanted, for_creation=for_creation), *_open_secrets(wanted, kind)]
    if for_creation and not wanted.config.keys() & set(NAMING):
        wanted = replace(wanted, config={**naming, **wanted.config})
    if kind is not None:
        fitted, more = kind.fit(wanted.reach, for_creation=for_creation)
        wanted = replace(wanted, **fitted)
        mistakes += more
    if mistakes:
        raise FivetranWrongDescription(
            f"the description of {wanted.name!r} does not fit the type {wanted.service!r}, so nothing was changed: "
            f"{'; '.join(mistakes)}"
        )
    return wanted


def _type_of(service: str, clock: Clock) -> Procedure[ConnectorType | None]:
    try:
        return (yield from ask_patiently(get_connector_type(service), clock, patience=PATIENCE)).value
    except FivetranUnauthorized:
        raise
    except FivetranNotFound:
        known = yield from _known_types()
        if service not in known:
            raise FivetranWrongDescription(
                f"service is {service!r}, but Fivetran has no such type of connections{nearest(service, known)}"
            ) from None
        return None  # there is nothing about its fields
    except FivetranError as error:
        if not error.permanent and not isinstance(error, FivetranUnexpectedAnswer):
            raise
        yield Note(
            f"the fields of the type {service!r} are not checked, for its metadata cannot be read: {error}",
            is_warning=True,
        )
        return None


def _known_types() -> Procedure[list[str]]:
    try:
        return [kind.id for kind in (yield from ask_pages(list_connector_types(), most=MOST_PAGES))]
    except FivetranError:
        return []


def _misnamed(wanted: Description, *, for_creation: bool) -> Iterator[str]:
    """What in the configuration gives another name than the one by which the connection is found.

    One that was found may be described by the name that it was found by.
    """
    config = wanted.config
    first = config.get("schema_prefix", config.get("schema"))
    second = config.get("table", config.get("table_group_name"))
    named = first if second is None else f"{first}.{second}"
    if first is not None and wanted.name != named and (for_creation or wanted.name != first):
        yield f"its config names it {named!r}, and not {wanted.name!r}"


def _open_secrets(wanted: Description, kind: ConnectorType | None) -> Iterator[str]:
    """The secrets that are written down in the description, where everybody could read them."""
    declared = set() if kind is None else {*kind.config.secrets("config"), *kind.auth.secrets("auth")}
    for section, fields in wanted.reach.items():
        for path, name, value in _leaves(fields, section):
            if isinstance(value, Secret):
                continue
            is_declared = _IN_LIST.sub("", path) in declared and isinstance(value, str | int | float)
            if is_declared or (section == "auth" and isinstance(value, str) and looks_secret(name)):
                yield f"{path} is a secret: name the Airflow connection that holds it in secrets instead"


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{number}")
    else:
        yield path, path.rpartition(".")[2], value
