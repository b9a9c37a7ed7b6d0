"""``airflow fivetran webhooks``: the webhook that points at this Airflow."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_fivetran.commands.terminal import BAD_USAGE, hook_of, show
from airflow_provider_fivetran.webhook_setup import WebhookSetup

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["create", "list_", "remove", "rotate", "test"]


def list_(args: argparse.Namespace) -> None:
    """``airflow fivetran webhooks list``."""
    with hook_of(args) as hook:
        rows = [
            {
                "id": webhook.id,
                "group": webhook.group_id or "",
                "address": webhook.address,
                "events": ",".join(webhook.events),
                "active": webhook.is_active,
                "signed": webhook.is_signed,
            }
            for webhook in hook.list_webhooks()
        ]
    show(rows, args.output, nothing="the key sees no webhook")


def create(args: argparse.Namespace) -> None:
    """``airflow fivetran webhooks create``."""
    with _setup(args) as setup:
        webhook, deed = setup.ensure(args.events)
    print(f"{webhook.id} was {deed}: {', '.join(webhook.events)} to {webhook.address}")


def test(args: argparse.Namespace) -> None:
    """``airflow fivetran webhooks test``; it fails where the receiver does."""
    with _setup(args) as setup:
        result = setup.test(args.event)
    if not result.has_succeeded:
        raise SystemExit(f"The receiver did not take it: {result.message} (HTTP {result.status})")
    print(f"The receiver took it (HTTP {result.status})")


def rotate(args: argparse.Namespace) -> None:
    """``airflow fivetran webhooks rotate``."""
    with _setup(args) as setup:
        webhook = setup.rotate()
    print(
        f"{webhook.id} is signed with the new secret. Empty webhook_secret_previous in a day or more: so long "
        "Fivetran may repeat a delivery that it signed with the old one."
    )


def remove(args: argparse.Namespace) -> None:
    """``airflow fivetran webhooks remove``."""
    with _setup(args) as setup:
        removed = setup.remove()
    for webhook in removed:
        print(f"{webhook.id} was removed; it led to {webhook.address}")
    if not removed:
        print(f"There is none that leads to {setup.url}")


@contextmanager
def _setup(args: argparse.Namespace) -> Iterator[WebhookSetup]:
    with hook_of(args) as hook:
        hook.get_conn()  # what is wrong with the Airflow connection is no bad usage
        try:
            setup = WebhookSetup(hook, url=args.url, group_id=args.group_id)
        except ValueError as error:
            print(f"{error}. The option is --url", file=sys.stderr)
            raise SystemExit(BAD_USAGE) from None
        yield setup
