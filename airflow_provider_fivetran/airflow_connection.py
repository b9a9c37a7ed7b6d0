"""Reading an Airflow connection: which account it leads to, with which keys, and the secrets of webhooks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran import __version__
from airflow_provider_fivetran.core.protocol import DEFAULT_TIMEOUT, Credentials, Settings, base_url_of
from airflow_provider_fivetran.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WEBHOOK_SECRETS", "fallback_of", "settings_of", "webhook_secrets_of"]

# The extras with the secret of webhooks: the one that holds and, during a rotation, the one before.
WEBHOOK_SECRETS = ("webhook_secret", "webhook_secret_previous")


def settings_of(conn: Any, extra: Mapping[str, Any]) -> Settings:
    """Read an Airflow connection.

    :param conn: the Airflow connection.
    :param extra: its extra, read by the caller because on an event loop that needs another way.

    :raises ValueError: it lacks a secret, or its host or timeout is unusable.
    """
    from airflow import __version__ as airflow_version  # noqa: PLC0415

    where = f"Airflow connection {conn.conn_id!r}"
    try:
        scheme = conn.schema if conn.schema in {"http", "https"} else None
        return Settings(
            credentials=Credentials.of(conn.login, conn.password),
            conn_id=conn.conn_id or "",
            base_url=base_url_of(conn.host, port=conn.port, scheme=scheme),
            timeout=_timeout_of(extra.get("timeout")),
            user_agent=f"airflow-provider-fivetran/{__version__} apache-airflow/{airflow_version}",
        )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def fallback_of(extra: Mapping[str, Any], conn_id: str) -> str | None:
    """The id of the Airflow connection whose key is tried when the key of ``conn_id`` is refused.

    One that names itself has none.

    :raises ValueError: the extra ``fallback_conn_id`` is not an id.
    """
    value = extra.get("fallback_conn_id") or None
    if value is not None and not isinstance(value, str):
        raise ValueError(
            f"the extra 'fallback_conn_id' is {value!r}; allowed is the id of an Airflow connection"
        )
    return None if value == conn_id else value


def webhook_secrets_of(extra: Mapping[str, Any]) -> tuple[Secret | None, Secret | None]:
    """The secret with which webhooks are signed, and the one before it, for as long as it is to be accepted.

    :raises ValueError: one of them is not a text.
    """
    values = [extra.get(name) or None for name in WEBHOOK_SECRETS]
    for name, value in zip(WEBHOOK_SECRETS, values, strict=True):
        if value is not None and not isinstance(value, str):
            raise ValueError(f"the extra {name!r} is a {type(value).__name__}; allowed is a text")
    current, previous = (None if value is None else Secret(value) for value in values)
    return current, previous


def _timeout_of(value: object) -> float:
    if value is None or value == "":
        return DEFAULT_TIMEOUT
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"the extra 'timeout' is {value!r}; allowed is a number of seconds above 0")
    return seconds
