"""The types of connections, and the fields that each is set up with: mistakes are told before anything is sent.

Source: operations ``metadata_connectors`` and ``metadata_connector_config`` of Fivetran's definition. The latter
describes ``config`` and ``auth`` much as JSON Schema does.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.fields import flag, maybe_text, section, text
from airflow_provider_fivetran.core.secret import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["NAMING", "ConnectorType", "SetupField", "nearest"]

Json = Mapping[str, Any]

# The fields of a configuration that name the connection, and cannot be changed later.
NAMING = ("schema", "schema_prefix", "table", "table_group_name")
_TRUTHS = {"true": True, "false": False}
_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object with fields",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupField:
    """A field of a configuration, or a group of them."""

    kind: str = ""
    """``string``, ``integer``, ``number``, ``boolean``, ``array``, ``object``, or a word that is newer."""
    choices: tuple[str, ...] = ()
    fields: Mapping[str, SetupField] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    item: SetupField | None = None
    """What the items of a list are."""
    is_secret: bool = False
    is_read_only: bool = False

    @classmethod
    def from_json(cls, data: Json) -> SetupField:
        properties, item = section(data, "properties"), section(data, "items")
        choices, required = data.get("enum"), data.get("required")
        return cls(
            kind=(maybe_text(data, "type") or "").lower(),
            choices=tuple(map(str, choices)) if isinstance(choices, list) else (),
            fields={name: cls.from_json(section(properties, name)) for name in properties},
            required=tuple(map(str, required)) if isinstance(required, list) else (),
            item=cls.from_json(item) if item else None,
            is_secret=maybe_text(data, "format") == "password",
            is_read_only=flag(data, "readonly"),
        )

    def secrets(self, path: str) -> Iterator[str]:
        """The paths of the fields that are declared secret, with one path for all items of a list."""
        for name, inner in self.fields.items():
            if inner.is_secret:
                yield f"{path}.{name}"
            yield from inner.secrets(f"{path}.{name}")
        if self.item is not None:
            if self.item.is_secret:
                yield path
            yield from self.item.secrets(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorType:
    """A type of connections, such as ``postgres``."""

    id: str
    """What the API calls ``service``."""
    name: str
    status: str
    """``general_availability``, ``beta``, ``private_preview``, ``sunset`` or ``development``."""
    config: SetupField = field(default_factory=SetupField)
    auth: SetupField = field(default_factory=SetupField)

    @classmethod
    def from_json(cls, data: Json) -> ConnectorType:
        return cls(
            id=text(data, "id"),
            name=maybe_text(data, "name") or "",
            status=(maybe_text(data, "service_status") or "").lower(),
            config=SetupField.from_json(section(data, "config")),
            auth=SetupField.from_json(section(data, "auth")),
        )

    @classmethod
    def row_from_json(cls, data: Json) -> ConnectorType:
        """Read a row of the list, which tells nothing of fields."""
        return cls(
            id=text(data, "id"),
            name=maybe_text(data, "name") or "",
            status=(maybe_text(data, "service_status") or "").lower(),
        )

    def named(self, name: str) -> dict[str, str]:
        """The fields of a configuration that give a new connection this name."""
        if "schema_prefix" in self.config.fields:
            return {"schema_prefix": name}
        schema, dot, table = name.partition(".")
        if dot and "table" in self.config.fields:
            return {"schema": schema, "table": table}
        return {"schema": name}

    def fit(self, given: Mapping[str, Json], *, for_creation: bool) -> tuple[dict[str, Any], list[str]]:
        """Bring values into the declared types, and say what is wrong with those that do not fit.

        :param given: ``config`` and ``auth``.
        :param for_creation: whether what is required has to be there.
        :return: the same with its values in their types; and one text for each mistake, with the field in it.
        """
        mistakes: list[str] = []
        fitted = {}
        for name, declared in (("config", self.config), ("auth", self.auth)):
            value = given.get(name, {})
            if not declared.fields:  # nothing is known of this type
                fitted[name] = value
                continue
            fitted[name] = _fit_fields(declared, value, name, mistakes)
            if for_creation and (value or name == "config"):
                mistakes += _missing(declared, value, name)
        return fitted, mistakes


def nearest(wanted: str, known: Iterator[str] | list[str]) -> str:
    """What may have been meant, for the end of an error text."""
    near = difflib.get_close_matches(wanted, list(known))
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""


def _missing(declared: SetupField, value: Json, path: str) -> list[str]:
    return [f"{path}.{name} is required" for name in declared.required if value.get(name) in (None, "")]


def _fit_fields(declared: SetupField, value: Json, path: str, mistakes: list[str]) -> dict[str, Any]:
    fitted = {}
    for name, inner in value.items():
        where = f"{path}.{name}"
        known = declared.fields.get(name)
        if known is None:
            mistakes.append(f"{where} does not exist{nearest(name, list(declared.fields))}")
        elif known.is_read_only:
            mistakes.append(f"{where} is set by Fivetran alone")
        else:
            fitted[name] = _fit(known, inner, where, mistakes)
    return fitted


def _fit(declared: SetupField, value: Any, path: str, mistakes: list[str]) -> Any:
    if value is None:
        return None
    if declared.choices:  # a text, whatever type it is said to have
        if str(value) not in declared.choices:
            mistakes.append(f"{_told(value, path)}; allowed are {', '.join(map(repr, declared.choices))}")
        return value
    if declared.kind == "object" and isinstance(value, Mapping):
        mistakes += _missing(declared, value, path)
        return _fit_fields(declared, value, path, mistakes) if declared.fields else value
    if declared.kind == "array" and isinstance(value, list | tuple):
        item = declared.item or SetupField()
        return [_fit(item, inner, f"{path}.{number}", mistakes) for number, inner in enumerate(value)]
    read = _PLAIN.get(declared.kind)
    plain = None if read is None else read(value)
    if plain is None and declared.kind in _KINDS:
        mistakes.append(f"{_told(value, path)}; allowed is {_KINDS[declared.kind]}")
    return value if plain is None else plain


def _told(value: Any, path: str) -> str:
    return f"{path} is {shown(value, path)!r}"


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    # What a template has made is a text.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return _TRUTHS.get(value.strip().lower()) if isinstance(value, str) else None


_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "string": _text,
    "integer": _whole,
    "number": _number,
    "boolean": _truth,
}
