"""Our Airflow plugin: it puts the receiver of Fivetran's webhooks into the api-server.

Every part of Airflow imports this module, and only the api-server uses it. So nothing of the web is imported before
the first delivery, or ever where there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowPlugin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

__all__ = ["FivetranPlugin"]

URL_PREFIX = "/fivetran"


class WebhookReceiver:
    """The receiver as an ASGI application, made when it is first asked for something."""

    def __init__(self) -> None:
        self._app: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            self._app = _make()
        await self._app(scope, receive, send)


def _make() -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    from airflow_provider_fivetran.webhooks.airflow_tables import (  # noqa: PLC0415
        AirflowTables,
        is_airflow_new_enough,
    )

    if not is_airflow_new_enough():
        from starlette.responses import JSONResponse  # noqa: PLC0415

        return JSONResponse({"message": "Fivetran's webhooks need Airflow 3.3 or newer"}, 501)
    from airflow_provider_fivetran.webhooks.application import Receiver, build_application  # noqa: PLC0415

    return build_application(Receiver(AirflowTables()))


class FivetranPlugin(AirflowPlugin):
    """Offers ``POST /fivetran/webhooks/<id of an Airflow connection>`` on the api-server of Airflow 3.3 and newer.

    Airflow 2 has no place for such an application and ignores it; Airflow 3.0 to 3.2 cannot remember for an asset
    what was emitted, and answer 501 there.
    """

    name = "fivetran"
    fastapi_apps = [  # noqa: RUF012  # Airflow's own declaration
        {"app": WebhookReceiver(), "url_prefix": URL_PREFIX, "name": "Fivetran webhooks"}
    ]
