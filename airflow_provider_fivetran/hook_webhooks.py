"""The part of the hook that manages Fivetran's webhooks: one method for each request of the API.

What makes a webhook point at this Airflow, step by step, stands in
:mod:`airflow_provider_fivetran.webhook_setup`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_fivetran.airflow_connection import WEBHOOK_SECRETS, webhook_secrets_of
from airflow_provider_fivetran.core import endpoints
from airflow_provider_fivetran.core.errors import FivetranNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_fivetran.core.models import Webhook, WebhookTest
    from airflow_provider_fivetran.core.protocol import Call, Page
    from airflow_provider_fivetran.core.secret import Secret

__all__ = ["WebhookCalls"]

T = TypeVar("T")

MEANINGS = {
    "webhook_secret": "the secret with which Fivetran signs",
    "webhook_secret_previous": "the secret with which Fivetran has signed so far",
}


class WebhookCalls:
    """Methods of :class:`~airflow_provider_fivetran.hooks.FivetranHook`.

    The secret with which Fivetran signs is never an argument: it is the extra ``webhook_secret`` of the Airflow
    connection, read anew for each request that sends it.
    """

    fivetran_conn_id: str

    if TYPE_CHECKING:  # what the hook has

        def _value(self, call: Call[T]) -> T: ...

        def _pages(self, call: Call[Page[T]]) -> tuple[T, ...]: ...

    def list_webhooks(self) -> tuple[Webhook, ...]:
        """Read all webhooks that the key may see (``GET /v1/webhooks``, all pages)."""
        return self._pages(endpoints.list_webhooks())

    def get_webhook(self, webhook_id: str) -> Webhook:
        """Read one webhook (``GET /v1/webhooks/{id}``).

        :raises FivetranNotFound: it does not exist, or the key may not see it.
        """
        return self._value(endpoints.get_webhook(webhook_id))

    def create_webhook(
        self, url: str, *, events: Sequence[str], group_id: str | None = None, active: bool = True
    ) -> Webhook:
        """Make a webhook of the account, or of one group (``POST /v1/webhooks/account`` or ``.../group/{id}``).

        An active one is made only if the receiver takes a test delivery within ten seconds. Where the answer to
        this request is lost, :meth:`list_webhooks` tells whether it took.

        :param url: where Fivetran is to deliver: an https address that it can reach.
        :param events: names of events, such as ``sync_end``.
        :param group_id: of this group's connections only; unset: of the whole account.
        :param active: whether to deliver; if not, nothing is tested before :meth:`change_webhook` says so.
        :raises FivetranApiError: Fivetran refused (400): the address is not https, or the test failed.
        :raises ValueError: the Airflow connection has no ``webhook_secret``.
        """
        body = {
            "url": url,
            "events": list(events),
            "active": active,
            "secret": self._current_secret(),
        }
        return self._value(endpoints.create_webhook(body, group_id=group_id))

    def change_webhook(self, webhook_id: str, **changes: Any) -> Webhook:
        """Change a webhook (``PATCH /v1/webhooks/{id}``). One that becomes active is tested first.

        :param changes: ``url``, ``events`` and ``active``, those of them that change.
        :raises FivetranApiError: Fivetran refused (400): the address is not https, or the test failed.
        :raises ValueError: something else is to be changed.
        """
        for name in changes:
            if name not in {"url", "events", "active"}:
                raise ValueError(f"{name} cannot be changed here; allowed are url, events and active")
        return self._value(endpoints.change_webhook(webhook_id, changes))

    def rotate_webhook_secret(self, webhook_id: str) -> Webhook:
        """Let Fivetran sign with the ``webhook_secret`` that the Airflow connection has now.

        :raises ValueError: it has none.
        """
        return self._value(endpoints.change_webhook(webhook_id, {"secret": self._current_secret()}))

    def restore_webhook_secret(self, webhook_id: str) -> Webhook:
        """Let Fivetran sign with the ``webhook_secret_previous`` of the Airflow connection again.

        :raises ValueError: it has none.
        """
        return self._value(endpoints.change_webhook(webhook_id, {"secret": self._previous_secret()}))

    def test_webhook(self, webhook_id: str, event: str = "sync_end") -> WebhookTest:
        """Let Fivetran deliver an event of a made-up connection now (``POST /v1/webhooks/{id}/test``).

        :return: what became of it; a receiver that refuses is no error here.
        """
        return self._value(endpoints.test_webhook(webhook_id, event))

    def delete_webhook(self, webhook_id: str) -> None:
        """Delete a webhook (``DELETE /v1/webhooks/{id}``). One that does not exist is no error."""
        try:
            self._value(endpoints.delete_webhook(webhook_id))
        except FivetranNotFound:  # as wanted; a request that was repeated finds it gone
            return

    def check_rotation(self) -> None:
        """Check that the Airflow connection has a new secret and, for as long as Fivetran may use it, the old one.

        :raises ValueError: it has not, or both are the same.
        """
        if self._current_secret() == self._previous_secret():
            raise ValueError(
                f"Airflow connection {self.fivetran_conn_id!r}: the extras 'webhook_secret' and "
                "'webhook_secret_previous' are the same; the former must be a new one"
            )

    def _current_secret(self) -> Secret:
        return self._secret("webhook_secret")

    def _previous_secret(self) -> Secret:
        return self._secret("webhook_secret_previous")

    def _secret(self, name: str) -> Secret:
        secrets = webhook_secrets_of(BaseHook.get_connection(self.fivetran_conn_id).extra_dejson)
        secret = secrets[WEBHOOK_SECRETS.index(name)]
        if secret is None:
            raise ValueError(
                f"Airflow connection {self.fivetran_conn_id!r} has no extra {name!r}, {MEANINGS[name]}"
            )
        mask_secret(str(secret))
        return secret
