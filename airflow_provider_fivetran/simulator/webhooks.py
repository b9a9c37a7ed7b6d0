"""The webhooks of the account: who wants to hear of what, and where."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from .problems import invalid, not_found

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .switches import Switches

# Every name that Fivetran's pages have listed so far: those of 2025, the newer ones of transformations, and
# those that are deprecated. Which of them are accepted today is not documented, so all are.
EVENTS = (
    "sync_start",
    "sync_end",
    "status",
    "connection_successful",
    "connection_failure",
    "create_connector",
    "pause_connector",
    "resume_connector",
    "edit_connector",
    "delete_connector",
    "force_update_connector",
    "resync_connector",
    "resync_table",
    "dbt_run_start",
    "dbt_run_succeeded",
    "dbt_run_failed",
    "transformation_start",
    "transformation_succeeded",
    "transformation_failed",
    "transformation_run_start",
    "transformation_run_succeeded",
    "transformation_run_failed",
)


@dataclass(kw_only=True, eq=False)
class Webhook:
    """An address to which events of the account, or of one group, are sent."""

    id: str
    type: Literal["account", "group"]
    url: str
    events: list[str]
    created_at: datetime
    created_by: str
    active: bool = True
    group_id: str | None = None
    secret: str | None = field(default=None, repr=False)
    # Since when no delivery has arrived; None while they do.
    failing_since: datetime | None = None


class Webhooks:
    """All webhooks, oldest first."""

    def __init__(self) -> None:
        self._rows: dict[str, Webhook] = {}
        self._made = 0

    def clear(self) -> None:
        self._rows.clear()
        self._made = 0

    def all(self) -> list[Webhook]:
        return list(self._rows.values())

    def new_id(self) -> str:
        self._made += 1
        return f"webhook_{self._made}"

    def add(self, webhook: Webhook) -> None:
        self._rows[webhook.id] = webhook

    def get(self, webhook_id: str) -> Webhook:
        if webhook_id not in self._rows:
            raise not_found("Webhook", webhook_id)
        return self._rows[webhook_id]

    def remove(self, webhook_id: str) -> None:
        self._rows.pop(webhook_id, None)

    def has(self, webhook: Webhook) -> bool:
        return self._rows.get(webhook.id) is webhook

    def wanting(self, event: str, group_id: str) -> list[Webhook]:
        """Those to which an event of this group goes."""
        return [
            webhook
            for webhook in self._rows.values()
            if webhook.active and event in webhook.events and webhook.group_id in (None, group_id)
        ]


def check_url(url: str, switches: Switches) -> None:
    """Refuse an address to which Fivetran would send nothing: it must be HTTPS.

    Plain HTTP to this very machine is let through, for receivers on laptops, unless the switch forbids it.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise invalid(f"Field 'url' is {url!r}; allowed: an HTTPS address") from error
    if parts.scheme == "https" and host:
        return
    if not (parts.scheme == "http" and switches.webhook_http_to_loopback and _is_loopback(host)):
        raise invalid(f"Field 'url' is {url!r}; allowed: an HTTPS address")


def check_events(events: Iterable[object]) -> None:
    names = list(events)
    for name in names:
        if name not in EVENTS:
            raise invalid(f"Field 'events' holds {name!r}; allowed: {', '.join(EVENTS)}")
    if not names:
        raise invalid(f"Field 'events' is empty; allowed: some of {', '.join(EVENTS)}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
