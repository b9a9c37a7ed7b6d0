"""The webhook that points at this Airflow: where it leads, and how it is made, tested, rotated and removed.

There is at most one for the account and one for each group, found by its address. Fivetran's secret cannot be read
back, so whatever makes the webhook as described also sends the secret.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_provider_fivetran.core.errors import FivetranLookupError, FivetranWebhookTestFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_fivetran.core.models import Webhook, WebhookTest
    from airflow_provider_fivetran.hooks import FivetranHook

__all__ = ["RECEIVER_PATH", "SETTLING", "Deed", "WebhookSetup", "receiver_url"]

# Where the receiver is, under the address of Airflow's api-server.
RECEIVER_PATH = "/fivetran/webhooks/"
# Seconds until every api-server knows of a new secret: a receiver remembers what it has read for a moment.
SETTLING = 15.0
BETWEEN_TESTS = 2.0

Deed = Literal["created", "changed", "renewed"]


def receiver_url(conn_id: str) -> str:
    """Address of this Airflow's receiver for the account of an Airflow connection.

    :raises ValueError: Airflow has no receiver, or its configuration does not say where Airflow can be reached.
    """
    from airflow import __version__ as airflow_version  # noqa: PLC0415

    if tuple(map(int, airflow_version.split(".")[:2])) < (3, 3):
        raise ValueError(
            f"url is not given, and this Airflow ({airflow_version}) has no receiver of webhooks, "
            "which needs 3.3 or newer: give url"
        )
    base_url = (conf.get("api", "base_url", fallback="") or "").strip().rstrip("/")
    if not base_url:
        raise ValueError(
            "url is not given, and the setting base_url of the section [api], which would tell where Fivetran can "
            "reach this Airflow, is not set: give url, or set that"
        )
    return f"{base_url}{RECEIVER_PATH}{quote(conn_id, safe='')}"


class WebhookSetup:
    """The webhook of the account, or of one group, that leads to one address.

    :param hook: the hook with whose key, and whose secret, all is done.
    :param url: the address; unset: that of this Airflow's receiver for the hook's Airflow connection.
    :param group_id: the group; unset: the account.
    :param sleep: how to pass seconds.
    :raises ValueError: there is no address, or it is none that Fivetran delivers to.
    """

    def __init__(
        self,
        hook: FivetranHook,
        *,
        url: str | None = None,
        group_id: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._hook = hook
        self.url = url or receiver_url(hook.fivetran_conn_id)
        self.group_id = group_id
        self._sleep = sleep
        self._check_address()

    def _check_address(self) -> None:
        scheme = urlsplit(self.url).scheme
        # Only an API on this machine is reached without TLS, and that one may deliver to this machine.
        is_local = self._hook.get_conn().settings.base_url.startswith("http://")
        if scheme != "https" and not (scheme == "http" and is_local):
            raise ValueError(
                f"the webhook would lead to {self.url!r}, but Fivetran delivers to https addresses only: set "
                "base_url of the section [api] to the one at which Fivetran can reach this Airflow, or give url"
            )

    def existing(self) -> tuple[Webhook, ...]:
        """Read what there is, as a rule one or none; the oldest first."""
        wanted = self.url.rstrip("/")
        return tuple(
            webhook
            for webhook in self._hook.list_webhooks()
            if webhook.url.rstrip("/") == wanted and webhook.group_id == self.group_id
        )

    def ensure(self, events: Sequence[str]) -> tuple[Webhook, Deed]:
        """Make it exist, be active, deliver these events and no others, and sign with the secret that holds now.

        Fivetran deactivates a webhook whose deliveries fail for three days: this activates it again.

        :return: the webhook, and what was done: nothing but sending the secret anew is ``renewed``.
        :raises FivetranApiError: Fivetran refused; with 400, as a rule, because the receiver refused a test.
        :raises ValueError: the Airflow connection has no ``webhook_secret``.
        """
        known = self.existing()
        if not known:
            created = self._hook.create_webhook(self.url, events=events, group_id=self.group_id)
            return created, "created"
        if len(known) > 1:
            ids = ", ".join(webhook.id for webhook in known[1:])
            self._hook.log.warning("There are more webhooks of this address: %s; each delivers all anew", ids)
        webhook = known[0]
        # First the secret: what activating sends as a test must be signed with it.
        renewed = self._hook.rotate_webhook_secret(webhook.id)
        if renewed.is_active and set(renewed.events) == set(events):
            return renewed, "renewed"
        return self._hook.change_webhook(webhook.id, events=list(events), active=True), "changed"

    def test(self, event: str = "sync_end") -> WebhookTest:
        """Let Fivetran deliver an event of a made-up connection, and tell what became of it.

        :raises FivetranLookupError: there is no such webhook.
        """
        return self._hook.test_webhook(self._one().id, event)

    def rotate(self) -> Webhook:
        """Let Fivetran sign with a new secret, losing no delivery.

        The Airflow connection has the new one as ``webhook_secret`` already, and the one that Fivetran uses so far
        as ``webhook_secret_previous``, so that the receiver takes both. Where the receiver does not take a test
        delivery that is signed with the new one, Fivetran goes back to the old.

        :raises ValueError: the Airflow connection has not both.
        :raises FivetranLookupError: there is no such webhook.
        :raises FivetranWebhookTestFailed: the receiver takes no test delivery, before or with the new secret;
            Fivetran signs with the old one.
        """
        self._hook.check_rotation()
        webhook = self._one()
        before = self._taken(webhook)
        if before is not None:
            raise FivetranWebhookTestFailed(
                f"nothing was changed, for the receiver already refuses: {before.message} (HTTP {before.status})"
            )
        rotated = self._hook.rotate_webhook_secret(webhook.id)
        after = self._taken(webhook)
        if after is not None:
            self._hook.restore_webhook_secret(webhook.id)
            raise FivetranWebhookTestFailed(
                "Fivetran signs with the previous secret again, for the receiver refuses what is signed with the "
                f"new one: {after.message} (HTTP {after.status})"
            )
        return rotated

    def remove(self) -> tuple[Webhook, ...]:
        """Delete it, and others of the same address. Where there is none, nothing is done.

        :return: what was deleted.
        """
        known = self.existing()
        for webhook in known:
            self._hook.delete_webhook(webhook.id)
        return known

    def _one(self) -> Webhook:
        known = self.existing()
        if not known:
            whose = f"the group {self.group_id!r}" if self.group_id else "the account"
            raise FivetranLookupError(f"{whose} has no webhook that leads to {self.url}")
        return known[0]

    def _taken(self, webhook: Webhook) -> WebhookTest | None:
        """The last refusal of a test delivery; ``None`` as soon as one is taken."""
        waited = 0.0
        while True:
            result = self._hook.test_webhook(webhook.id)
            if result.has_succeeded:
                return None
            if waited >= SETTLING:
                return result
            self._sleep(BETWEEN_TESTS)
            waited += BETWEEN_TESTS
