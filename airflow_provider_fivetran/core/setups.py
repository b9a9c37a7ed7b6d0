"""How a connection is set up: what Fivetran shows of it, and how it is described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from airflow_provider_fivetran.core.errors import FivetranUnexpectedAnswer
from airflow_provider_fivetran.core.fields import maybe_number, maybe_text, section, text, texts
from airflow_provider_fivetran.core.models import Connection
from airflow_provider_fivetran.core.policies import SetupSetting
from airflow_provider_fivetran.core.secret import Secret
from airflow_provider_fivetran.core.sync_schedule import A_DAY, SyncSchedule, cron_of, days_of

__all__ = ["SETTINGS", "ConnectCard", "Description", "Setup", "put"]

Json = Mapping[str, Any]

# Besides ``config``, ``auth`` and what says when it syncs.
SETTINGS = get_args(SetupSetting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A connection as Fivetran shows it, with how it is set up."""

    connection: Connection
    config: Json = field(default_factory=dict, repr=False)
    """Fivetran masks the secrets, and shows nothing of ``auth``."""
    settings: Json = field(default_factory=dict)
    schedule: SyncSchedule | None = None

    @classmethod
    def from_json(cls, data: Json) -> Setup:
        return cls(
            connection=Connection.from_json(data),
            config=section(data, "config"),
            settings={name: data.get(name) for name in SETTINGS if data.get(name) is not None},
            schedule=_schedule_of(data),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a connection is to be. Of what is not described, nothing is looked at and nothing changed."""

    group_id: str
    name: str
    """The name of its schema in the destination, which is what the dashboard calls it."""
    service: str
    """Its type, such as ``postgres``."""
    config: Json = field(default_factory=dict, repr=False)
    """Fields of its type; the secrets among them are :class:`Secret`."""
    auth: Json = field(default_factory=dict, repr=False)
    settings: Json = field(default_factory=dict)
    schedule: SyncSchedule | None = None
    paused: bool | None = None

    @property
    def reach(self) -> dict[str, Json]:
        """How the source is reached."""
        return {"config": self.config, "auth": self.auth}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectCard:
    """A page of Fivetran's, on which somebody authorises one connection. Good for a day."""

    uri: Secret
    """Whoever has it can set up the connection."""
    token: Secret
    """It is in the address too."""

    @classmethod
    def from_json(cls, data: Json) -> ConnectCard:
        """Read the answer.

        :raises FivetranUnexpectedAnswer: there is no link in it.
        """
        card = section(data, "connect_card")
        uri = text(card, "uri")
        if not uri.strip():
            raise FivetranUnexpectedAnswer("Fivetran's answer has an empty 'uri' for the Connect Card")
        return cls(uri=Secret(uri), token=Secret(maybe_text(card, "token") or ""))


def _schedule_of(data: Json) -> SyncSchedule | None:
    """What Fivetran says of a connection; ``None`` where it is no schedule known here.

    The schema ``ConnectorSchedule`` stands above the older fields, and the lower-case ``schedule_type`` above both.
    """
    if (maybe_text(data, "schedule_type") or "").lower() == "manual":
        return SyncSchedule(kind="manual")
    flexible = section(data, "schedule")
    kind = (maybe_text(flexible, "schedule_type") or "").upper()
    if kind == "CRON":
        return SyncSchedule(kind="cron", cron=cron_of(maybe_text(flexible, "cron") or ""))
    if kind == "TIME_OF_DAY":
        days = days_of(texts(flexible, "days_of_week"))
        return SyncSchedule(
            kind="time_of_day", time_of_day=maybe_text(flexible, "time_of_day") or "", days=days
        )
    interval = maybe_number(flexible, "interval") or maybe_number(data, "sync_frequency")
    at = maybe_text(data, "daily_sync_time")
    if interval == A_DAY and at:
        return SyncSchedule(kind="time_of_day", time_of_day=at)
    return None if interval is None else SyncSchedule(kind="interval", interval=int(interval))


def put(tree: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of some JSON with a value at a path such as ``config.secrets_list.0.value``.

    :raises ValueError: the path leads through something that has no such part.
    """
    name, _, rest = path.partition(".")
    return {**tree, name: _put(tree.get(name), rest.split(".") if rest else [], value, path)}


def _put(node: object, parts: list[str], value: object, path: str) -> Any:
    if not parts:
        return value
    first, *rest = parts
    if isinstance(node, list | tuple):
        if not first.isdecimal() or int(first) >= len(node):
            raise ValueError(f"the path {path!r} leads to {first!r} of a list of {len(node)}")
        return [
            _put(inner, rest, value, path) if number == int(first) else inner
            for number, inner in enumerate(node)
        ]
    if node is not None and not isinstance(node, Mapping):
        raise ValueError(f"the path {path!r} leads through {first!r} of what is no object")
    return {**(node or {}), first: _put((node or {}).get(first), rest, value, path)}
