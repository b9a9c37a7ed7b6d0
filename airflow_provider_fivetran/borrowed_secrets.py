"""Secrets that are borrowed from Airflow connections: read when a task runs, and masked in its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, mask_secret

from airflow_provider_fivetran.core.secret import Secret, looks_secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["read_secrets"]


def read_secrets(sources: Mapping[str, Sequence[str]]) -> dict[str, Secret | int]:
    """Read each secret from the Airflow connection that holds it.

    All texts are hidden wherever they are shown. Masked by Airflow are those that an Airflow connection keeps
    secret, passwords and extras: to mask a login such as ``postgres`` would mask that word in the whole log.

    :param sources: for each field the id of an Airflow connection and its attribute: ``password``, ``login``,
        ``host``, ``schema``, ``port`` or ``extra.KEY``.
    :raises AirflowNotFoundException: there is no such Airflow connection.
    :raises ValueError: an Airflow connection has not that attribute, or nothing in it.
    """
    return {path: _read(path, conn_id, attribute) for path, (conn_id, attribute) in sources.items()}


def _read(path: str, conn_id: str, attribute: str) -> Secret | int:
    try:
        conn = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise AirflowNotFoundException(
            f"secrets[{path!r}] is to come from the Airflow connection {conn_id!r}, which is not there: {error}"
        ) from error
    kind, _, key = attribute.partition(".")
    if kind == "extra":
        value = conn.extra_dejson.get(key)
    elif kind in {"password", "login", "host", "schema", "port"} and not key:
        value = getattr(conn, kind)
    else:
        raise ValueError(f"secrets[{path!r}] names {attribute!r}, which an Airflow connection has not")
    del conn  # a traceback that shows variables would show its password
    if kind == "port" and isinstance(value, int):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(
            value
        )  # a number in the extra is as secret as a text; its field's type makes one of it again
    if not isinstance(value, str) or not value:
        raise ValueError(
            f"the Airflow connection {conn_id!r} has no text as its {attribute!r}, which is to be {path}"
        )
    if kind in {"password", "extra"} or looks_secret(path):
        mask_secret(value)
    return Secret(value)
