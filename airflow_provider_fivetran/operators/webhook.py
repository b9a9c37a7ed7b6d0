"""The operator that keeps the webhook which points at this Airflow as it is described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_fivetran.arguments import check_choice, check_text
from airflow_provider_fivetran.core.policies import WebhookEvent
from airflow_provider_fivetran.fivetran_task import FivetranTask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

__all__ = ["FivetranWebhookOperator"]

State = Literal["present", "absent"]


class FivetranWebhookOperator(FivetranTask, BaseOperator):
    """Makes the webhook that points at this Airflow be as described, or not be there.

    It is found by its address and its scope, so the task may run as often as it likes; each run activates a webhook
    that Fivetran has deactivated, and sends the secret, which is the extra ``webhook_secret`` of the Airflow
    connection. ``airflow fivetran webhooks`` does the same at a terminal.

    The return value is the id of the webhook, or ``None`` where it is absent.

    :param state: ``"present"``: it exists, is active, delivers ``events`` and no others, and signs with the secret
        of now; ``"absent"``: it does not exist.
    :param group_id: of the connections of this group; unset: of the whole account.
    :param url: where it leads; unset: to this Airflow's receiver, ``<[api] base_url>/fivetran/webhooks/`` and the id
        of the Airflow connection, which needs Airflow 3.3 and newer. It is shown in the web interface, so it must
        not carry a token.
    :param events: what is delivered, names of Fivetran's events; ``("sync_end",)``, which is all that the receiver
        needs.
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param fivetran_retry_limit: how often a request that may be repeated is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :raises ValueError: an argument is not allowed (when the DAG is parsed); or the Airflow connection has no
        ``webhook_secret``, or there is no address that Fivetran delivers to (when the task runs).
    :raises AirflowFailException: trying again would change nothing: the key may not manage webhooks, Fivetran's
        test delivery was refused, ... The error itself is its ``__cause__``.
    """

    template_fields: Sequence[str] = ("group_id", "url", "fivetran_conn_id")
    ui_color = "#e6f0ff"

    def __init__(
        self,
        *,
        state: State = "present",
        group_id: str | None = None,
        url: str | None = None,
        events: Sequence[WebhookEvent] = ("sync_end",),
        fivetran_conn_id: str = "fivetran_default",
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.state = state
        self.group_id = group_id
        self.url = url
        self.events = events
        self.fivetran_conn_id = fivetran_conn_id
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self._check_arguments()

    def _check_arguments(self) -> None:
        check_choice("state", self.state, State)
        for name in ("group_id", "url"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name))
        self._check_way_to_fivetran()
        if not isinstance(self.events, list | tuple) or not self.events:
            raise ValueError(
                f"events is {self.events!r}; allowed is a list of names of events, such as ['sync_end']"
            )
        for event in self.events:
            check_choice("an event", event, WebhookEvent)
        self._expect(self.template_fields)

    def execute(self, context: Context) -> str | None:  # noqa: ARG002 - Airflow's signature
        """Look what there is, and do what is missing."""
        from airflow_provider_fivetran.raising import failing_at_once_when_pointless  # noqa: PLC0415
        from airflow_provider_fivetran.webhook_setup import WebhookSetup  # noqa: PLC0415

        with failing_at_once_when_pointless(), self._hook() as hook:
            self._check_found()
            setup = WebhookSetup(hook, url=self.url, group_id=self.group_id)
            if self.state == "present":
                webhook, deed = setup.ensure(self.events)
                self.log.info("Webhook %s was %s; it leads to %s", webhook.id, deed, webhook.address)
                return webhook.id
            for webhook in setup.remove():
                self.log.info("Webhook %s was removed; it led to %s", webhook.id, webhook.address)
            return None
