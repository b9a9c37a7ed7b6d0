"""The names of what Airflow can be told of: a connection, a group or the account at Fivetran, as URIs.

========================================  ==================================================
``fivetran://<host>/<connection id>``     a sync of this connection ended well
``fivetran://<host>/groups/<group id>``   a sync of any connection of this group ended well
``fivetran://<host>/account``             a sync of any connection that the key may see did
``fivetran://<host>/failures/...``        the same three for syncs that did not end well
========================================  ==================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["DEFAULT_HOST", "SCHEME", "Subject", "host_of"]

SCHEME = "fivetran"
DEFAULT_HOST = "api.fivetran.com"

_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
# The parts of a path that are no connection.
_ACCOUNT, _FAILURES, _GROUPS = "account", "failures", "groups"
_RESERVED = frozenset({_ACCOUNT, _FAILURES, _GROUPS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an asset stands for: one connection, all of a group, or, with neither, all of the account.

    :raises ValueError: an id or the host cannot be one, or both ids are given.
    """

    connection_id: str | None = None
    group_id: str | None = None
    failures: bool = False
    """Whether it is about the syncs that did not end well."""
    host: str = DEFAULT_HOST

    def __post_init__(self) -> None:
        if self.connection_id is not None and self.group_id is not None:
            raise ValueError(
                f"give connector_id or group_id, not both; connector_id is {self.connection_id!r}, "
                f"group_id is {self.group_id!r}"
            )
        _check_id("connector_id", self.connection_id)
        _check_id("group_id", self.group_id)
        if self.connection_id in _RESERVED:
            raise ValueError(
                f"connector_id is {self.connection_id!r}, which no Fivetran connection is called"
            )
        object.__setattr__(self, "host", host_of(self.host))

    @property
    def uri(self) -> str:
        """The URI of the asset."""
        ending = f"{_GROUPS}/{self.group_id}" if self.group_id else self.connection_id or _ACCOUNT
        return f"{SCHEME}://{self.host}/{_FAILURES + '/' if self.failures else ''}{ending}"

    @classmethod
    def of(cls, uri: str) -> Subject | None:
        """What a URI stands for; ``None`` if it is none of ours."""
        try:
            parts = urlsplit(uri)
        except ValueError:
            return None
        if parts.scheme != SCHEME or parts.query or parts.fragment:
            return None
        path = parts.path.strip("/").split("/")
        failures = path[0] == _FAILURES
        try:
            match path[1:] if failures else path:
                case ["groups", group_id]:
                    return cls(group_id=group_id, failures=failures, host=parts.netloc)
                case ["account"]:
                    return cls(failures=failures, host=parts.netloc)
                case [connection_id]:
                    return cls(connection_id=connection_id, failures=failures, host=parts.netloc)
        except ValueError:
            pass
        return None


def host_of(address: object) -> str:
    """The host, with its port if that is not the usual one, of an address as an Airflow connection has it.

    :raises ValueError: there is none.
    """
    if isinstance(address, str):
        scheme, _, rest = address.strip().lower().rpartition("://")
        place = rest.partition("/")[0].removesuffix(":80" if scheme == "http" else ":443")
        if scheme in {"", "http", "https"} and _HOST.fullmatch(place) and not set("@?#") & set(rest):
            return place
    shown = repr(address) if "@" not in str(address) else "something with credentials"
    raise ValueError(f"host is {shown}; allowed is that of an Airflow connection, such as {DEFAULT_HOST!r}")


def _check_id(name: str, value: object) -> None:
    if value is None or (isinstance(value, str) and _ID.fullmatch(value)):
        return
    why = ""
    if isinstance(value, str) and "{" in value:
        why = " (an asset is named when the DAG is parsed, before templates are rendered)"
    raise ValueError(
        f"{name} is {value!r}{why}; allowed is an id as in the address of its page in the Fivetran dashboard: "
        "letters, digits, '_' and '-'"
    )
