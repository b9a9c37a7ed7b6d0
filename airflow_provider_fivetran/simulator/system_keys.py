"""The system keys of the account, which let requests in until they are rotated, expire, or are deleted."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .problems import not_found
from .records import Key

if TYPE_CHECKING:
    from datetime import datetime

    from .account import Account
    from .clock import Clock

_MONTH = timedelta(days=30)
_PERIODS = {
    "ONE_WEEK": timedelta(weeks=1),
    "ONE_MONTH": _MONTH,
    "THREE_MONTHS": 3 * _MONTH,
    "SIX_MONTHS": 6 * _MONTH,
    "INFINITE": None,
}
# What a key needs for everything that an orchestrator does.
ALL_PERMISSIONS: tuple[dict[str, Any], ...] = tuple(
    {"resource_type": kind, "access_level": "MANAGE"}
    for kind in ("ACCOUNT", "USER", "WEBHOOK", "TEAM", "ROLES", "DESTINATION", "TRANSFORMATION", "CONNECTOR")
)


@dataclass(kw_only=True)
class SystemKey:
    """A system key. Of its permissions the filters by groups count; those by ids are kept, and do nothing."""

    id: str
    name: str
    key: str
    secret: str = field(repr=False)
    permissions: list[dict[str, Any]]
    created_at: datetime
    updated_at: datetime
    expired_at: datetime | None = None
    last_used_at: datetime | None = None


class SystemKeys:
    """All system keys, oldest first."""

    def __init__(self, clock: Clock, account: Account, *, seed: int = 0) -> None:
        self._clock = clock
        self._account = account
        self._random = random.Random(seed)
        self._rows: dict[str, SystemKey] = {}

    def clear(self) -> None:
        self._rows.clear()

    def all(self) -> list[SystemKey]:
        return list(self._rows.values())

    def get(self, key_id: str) -> SystemKey:
        if key_id not in self._rows:
            raise not_found("SystemKey", key_id)
        return self._rows[key_id]

    def add(
        self,
        name: str,
        permissions: list[dict[str, Any]],
        *,
        expiration_period: str = "INFINITE",
        id: str = "",  # noqa: A002 - as it is called in an account file
        key: str = "",
        secret: str = "",
    ) -> SystemKey:
        """Add a key; ``id``, ``key`` and ``secret`` are chosen where they are not given."""
        now = self._clock.now()
        made = SystemKey(
            id=id or self._letters(12),
            name=name,
            key=key or f"ft_{self._letters(16)}",
            secret=secret or self._letters(48),
            permissions=permissions,
            created_at=now,
            updated_at=now,
            expired_at=_end(now, expiration_period),
        )
        self._rows[made.id] = made
        self._admit(made)
        return made

    def rotate(self, key_id: str, expiration_period: str) -> SystemKey:
        """A new secret, in place of the old one at once: no time in which both hold is documented."""
        row = self.get(key_id)
        row.secret = self._letters(48)
        row.updated_at = self._clock.now()
        row.expired_at = _end(row.updated_at, expiration_period)
        self._admit(row)
        return row

    def change(self, key_id: str, *, name: str | None, permissions: list[dict[str, Any]] | None) -> SystemKey:
        row = self.get(key_id)
        row.name = row.name if name is None else name
        row.permissions = row.permissions if permissions is None else permissions
        row.updated_at = self._clock.now()
        self._admit(row)
        return row

    def remove(self, key_id: str) -> None:
        self._account.keys.pop(self.get(key_id).key, None)
        del self._rows[key_id]

    def note_use(self, key_id: str, now: datetime) -> None:
        if key_id in self._rows:
            self._rows[key_id].last_used_at = now

    def _admit(self, row: SystemKey) -> None:
        """Let requests with this key and its secret of now in, and none with another."""
        groups = {
            group_id
            for permission in row.permissions
            for group_id in (permission.get("resource_filter") or {}).get("group_ids") or ()
        }
        general = [row for row in row.permissions if not (row.get("resource_filter") or {}).get("ids")]
        levels = {
            permission.get("resource_type", ""): permission.get("access_level", "NONE")
            for permission in general
        }
        self._account.put_key(
            Key(
                key=row.key,
                secret=row.secret,
                system=True,
                system_key_id=row.id,
                levels=levels,
                groups=frozenset(groups) if groups else None,
                expires_at=row.expired_at,
            )
        )

    def _letters(self, number: int) -> str:
        return "".join(self._random.choices(string.ascii_letters + string.digits, k=number))


def _end(now: datetime, period: str) -> datetime | None:
    length = _PERIODS[period]
    return None if length is None else now + length
