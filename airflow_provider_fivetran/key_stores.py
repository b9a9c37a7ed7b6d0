"""Where a new secret is put: into Airflow's own connections, by way of Airflow's public API.

A worker of Airflow 3 can read connections but not write them: among the requests that a task may send to its
supervisor there is none for that, and the database is closed to it. What is left is the API that people and scripts
use, with the name and password of an Airflow user, or the secrets backend in which the connections are. Hence a
*store* is any callable that takes the id of an Airflow connection, its new login and its new password, and may be
called again with the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseHook, conf, mask_secret

from airflow_provider_fivetran.arguments import check_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

__all__ = ["AirflowConnections", "Store"]

Store: TypeAlias = Callable[[str, str, str], None]

TIMEOUT = 30.0
OK = 200
CREATED = 201
SERVER_ERROR = 500


class AirflowConnections:
    """Stores keys in Airflow's database, through the API of this Airflow (3.0 and newer).

    The Airflow user needs the right to read and to change connections, and no other. It is for auth managers that
    give tokens for a name and a password (``POST /auth/token``: the simple one, FAB). For others, and for
    connections in a secrets backend, give a callable of your own.

    :param airflow_conn_id: id of the Airflow connection, of any type, with the name (login) and the password of that
        user. Its host is the address of the api-server; empty means the setting ``[api] base_url``. It must be
        https, or a loopback address, for secrets go over it.
    """

    def __init__(self, airflow_conn_id: str) -> None:
        check_text("airflow_conn_id", airflow_conn_id)
        self.airflow_conn_id = airflow_conn_id

    def check(self, conn_id: str) -> None:
        """Find out, before a secret is made, whether it could be stored and would then be read.

        :raises FivetranKeyNotUsable: the connection is not in Airflow's database, something that Airflow asks first
            hides it (an environment variable, a secrets backend), or this user may not read it.
        :raises FivetranKeyNotStored: this Airflow failed for now.
        """
        # DAG files import this module: what only runs tasks is imported where it is needed.
        from airflow_provider_fivetran.core.errors import FivetranKeyNotUsable  # noqa: PLC0415

        with self._api() as api:
            stored = api.ask("GET", conn_id).json().get("login")
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        if variable in os.environ:  # most often with the same login: rotating leaves that as it is
            raise FivetranKeyNotUsable(
                f"Airflow connection {conn_id!r} is in the environment variable {variable}, which hides what is "
                "stored in Airflow's database: remove it from the workers"
            )
        seen = BaseHook.get_connection(conn_id).login
        if (stored or None) != (seen or None):
            raise FivetranKeyNotUsable(
                f"Airflow connection {conn_id!r} has another login in Airflow's database than tasks are given: "
                "a secrets backend hides it, so what is stored in the database would not be read"
            )

    def __call__(self, conn_id: str, login: str, password: str) -> None:
        """Give an Airflow connection a new login and a new password, and leave all else as it is."""
        with self._api() as api:
            body = {
                "connection_id": conn_id,
                "conn_type": "fivetran",
                "login": login,
                "password": str(password),
            }
            # Fields that the mask does not name stay as they are, but the type has to be in the body.
            api.ask("PATCH", conn_id, params={"update_mask": ["login", "password"]}, json=body)

    @contextmanager
    def _api(self) -> Iterator[_Api]:
        """The API, to which the Airflow user has logged in."""
        import requests
        from airflow import __version__ as airflow_version  # noqa: PLC0415

        from airflow_provider_fivetran.core.errors import FivetranKeyNotUsable  # noqa: PLC0415
        from airflow_provider_fivetran.core.protocol import base_url_of  # noqa: PLC0415

        if airflow_version.startswith("2."):
            raise FivetranKeyNotUsable(
                f"AirflowConnections needs Airflow 3.0 or newer, this is {airflow_version}: give store a callable"
            )
        user = BaseHook.get_connection(self.airflow_conn_id)
        try:
            configured = conf.get("api", "base_url", fallback="") or ""
            address = base_url_of(user.host or configured or "http://localhost:8080", port=user.port)
        except ValueError as error:
            raise FivetranKeyNotUsable(f"Airflow connection {self.airflow_conn_id!r}: {error}") from None
        with requests.Session() as session:
            session.trust_env = address.startswith("https://")
            api = _Api(address, session)
            api.log_in(user.login, user.password, of=self.airflow_conn_id)
            yield api


class _Api:
    """Airflow's API at an address. No error shows what was sent, or the text of an answer, which may repeat it."""

    def __init__(self, address: str, session: requests.Session) -> None:
        self._address = address
        self._session = session

    def log_in(self, name: str | None, password: str | None, *, of: str) -> None:
        """Get a token for the user whom the Airflow connection ``of`` names, for all further requests."""
        from airflow_provider_fivetran.core.errors import FivetranKeyNotUsable  # noqa: PLC0415

        no_token = f"gave no token to the user of connection {of!r}"
        answer = self._sent("POST", "/auth/token", json={"username": name, "password": password})
        self._require(answer, CREATED, no_token)
        token = answer.json().get("access_token")
        if not token:
            raise FivetranKeyNotUsable(f"Airflow at {self._address} {no_token}: its answer has none")
        mask_secret(token)
        self._session.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, conn_id: str, **options: Any) -> requests.Response:
        """Read or change an Airflow connection."""
        answer = self._sent(method, f"/api/v2/connections/{quote(conn_id, safe='')}", **options)
        self._require(answer, OK, f"did not take {method} of the connection {conn_id!r}")
        return answer

    def _sent(self, method: str, path: str, **options: Any) -> requests.Response:
        import requests

        from airflow_provider_fivetran.core.errors import FivetranKeyNotStored  # noqa: PLC0415

        try:
            return self._session.request(
                method, f"{self._address}{path}", timeout=TIMEOUT, allow_redirects=False, **options
            )
        except requests.RequestException as error:
            why = f"Airflow at {self._address} gave no answer to {method} {path}: {type(error).__name__}"
        # Out of the except clause, for the error has the request with its body.
        raise FivetranKeyNotStored(why)

    def _require(self, answer: requests.Response, status: int, what: str) -> None:
        from airflow_provider_fivetran.core.errors import (  # noqa: PLC0415
            FivetranKeyNotStored,
            FivetranKeyNotUsable,
        )

        if answer.status_code == status and "json" in answer.headers.get("content-type", ""):
            return
        kind = FivetranKeyNotStored if answer.status_code >= SERVER_ERROR else FivetranKeyNotUsable
        raise kind(f"Airflow at {self._address} {what}: HTTP {answer.status_code}")
