"""System keys: API keys that belong to the account and to no user, with permissions of their own.

Source: Fivetran's REST API definition, schemas ``SystemKeyResponse`` and ``SystemKeyPermissionRequest``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from airflow_provider_fivetran.core.fields import maybe_moment, maybe_text, records, section, text, texts
from airflow_provider_fivetran.core.policies import AccessLevel, ResourceType
from airflow_provider_fivetran.core.sealed import Sealed

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Permission", "SystemKey", "lesser_rights"]

_Right: TypeAlias = tuple[str, frozenset[str], frozenset[str]]
_RANKS = {"NONE": 0, "READ": 1, "MANAGE": 2}
_FIELDS = ("resource_type", "access_level", "ids", "group_ids")


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What a system key may do with one type of resources."""

    resource_type: str
    """One of ``core.policies.ResourceType``, or a word that is newer than this code."""
    access_level: str
    """One of ``core.policies.AccessLevel``; ``MANAGE`` includes ``READ``."""
    ids: tuple[str, ...] = ()
    """Only for these destinations or connections; empty: for all."""
    group_ids: tuple[str, ...] = ()
    """Only for what is in these groups; empty: in all."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Permission:
        """Read what Fivetran shows."""
        only = section(data, "resource_filter")
        return cls(
            resource_type=maybe_text(data, "resource_type") or "",
            access_level=maybe_text(data, "access_level") or "",
            ids=texts(only, "ids"),
            group_ids=texts(only, "group_ids"),
        )

    @classmethod
    def of(cls, given: Permission | Mapping[str, Any]) -> Permission:
        """Read what a user wants: a permission, or a mapping with the same fields.

        :raises ValueError: a field does not exist or is missing, or a value is not allowed.
        """
        if isinstance(given, Permission):
            return given
        if not isinstance(given, Mapping):
            raise ValueError(f"a permission is {given!r}; allowed is a Permission or a mapping")  # noqa: TRY004
        for name in given:
            if name not in _FIELDS:
                raise ValueError(f"a permission has no {name!r}; allowed are {', '.join(_FIELDS)}")
        for name, kind in (("resource_type", ResourceType), ("access_level", AccessLevel)):
            if given.get(name) not in get_args(kind):
                choices = ", ".join(map(repr, get_args(kind)))
                raise ValueError(f"the {name} of a permission is {given.get(name)!r}; allowed are {choices}")
        return cls(
            resource_type=given["resource_type"],
            access_level=given["access_level"],
            ids=_ids(given, "ids"),
            group_ids=_ids(given, "group_ids"),
        )

    def to_json(self) -> dict[str, Any]:
        """Write it as a request has it."""
        filters = {"ids": list(self.ids), "group_ids": list(self.group_ids)}
        only = {name: wanted for name, wanted in filters.items() if wanted}
        data: dict[str, Any] = {"resource_type": self.resource_type, "access_level": self.access_level}
        return data | ({"resource_filter": only} if only else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemKey:
    """A system key, which only the answer that made or rotated it shows with its secret."""

    id: str
    name: str
    key: str = field(repr=False)
    """The key itself, the login of an Airflow connection. Rotating leaves it as it is."""
    permissions: tuple[Permission, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    secret: Sealed | None = field(default=None, compare=False)
    """The password of an Airflow connection; ``None`` in every answer but that to a rotation or a creation."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SystemKey:
        secret = maybe_text(data, "secret")
        return cls(
            id=text(data, "id"),
            name=maybe_text(data, "name") or "",
            key=maybe_text(data, "key") or "",
            permissions=records(data, "permissions", Permission.from_json),
            created_at=maybe_moment(data, "created_at"),
            updated_at=maybe_moment(data, "updated_at"),
            expires_at=maybe_moment(data, "expired_at"),
            last_used_at=maybe_moment(data, "last_used_at"),
            secret=Sealed(secret) if secret else None,
        )


def lesser_rights(key: SystemKey, *, than: SystemKey) -> list[str]:
    """The types of resources with which a key may do less than another, as far as can be told.

    With a type it may do as much if it has the same permissions, or a single one, for all such resources, of at
    least the highest level of the other's.
    """
    types = {permission.resource_type for permission in than.permissions}
    return sorted(type_ for type_ in types if not _may_as_much(_rights(key, type_), _rights(than, type_)))


def _rights(key: SystemKey, resource_type: str) -> set[_Right]:
    return {
        (permission.access_level, frozenset(permission.ids), frozenset(permission.group_ids))
        for permission in key.permissions
        if permission.resource_type == resource_type
    }


def _may_as_much(rights: set[_Right], others: set[_Right]) -> bool:
    highest = max(_RANKS.get(level, len(_RANKS)) for level, _, _ in others)
    if rights == others or highest == 0:
        return True
    [(level, ids, group_ids), *more] = rights or {("NONE", frozenset(), frozenset())}
    return not (ids or group_ids or more) and _RANKS.get(level, 0) >= highest


def _ids(given: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of ids. An empty one is refused: Fivetran would take it for *all*."""
    value = given.get(name)
    if value is None:
        return ()
    if (
        not isinstance(value, list | tuple)
        or not value
        or not all(isinstance(one, str) and one for one in value)
    ):
        raise ValueError(
            f"the {name} of a permission is {value!r}; allowed is a list of ids, or to leave it out"
        )
    return tuple(value)
