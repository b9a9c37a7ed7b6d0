"""``airflow fivetran``: the webhook that points at this Airflow, and DAG files of other providers, at a terminal.

For Airflow 3.2 and newer.

Airflow imports this module with every command, so it imports what a command needs when that runs.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, get_args

from airflow_provider_fivetran.core.policies import WebhookEvent

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow.cli.cli_config import CLICommand

    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.webhook_setup import WebhookSetup

__all__ = ["get_commands"]


def get_commands() -> list[CLICommand]:
    """What this provider adds to Airflow's command line."""
    from airflow.cli.cli_config import (  # noqa: PLC0415
        ARG_OUTPUT,
        ARG_VERBOSE,
        ActionCommand,
        Arg,
        GroupCommand,
    )

    conn_id = Arg(
        ("-c", "--conn-id"),
        help="Airflow connection with the key and the secret (default: fivetran_default)",
        default="fivetran_default",
    )
    group_id = Arg(("-g", "--group-id"), help="webhook of this Fivetran group, not of the whole account")
    url = Arg(
        ("-u", "--url"),
        help="where it leads (default: the receiver of this Airflow, at the base_url of its api-server)",
    )
    events = Arg(
        ("-e", "--events"),
        help="events to deliver, separated by commas (default: sync_end)",
        type=_events,
        default=["sync_end"],
    )
    event = Arg(
        ("-e", "--event"),
        help="event to deliver (default: sync_end)",
        choices=get_args(WebhookEvent),
        metavar="EVENT",
        default="sync_end",
    )
    from airflow_provider_fivetran.migrate.command import (  # noqa: PLC0415
        DESCRIPTION,
        OUTPUT_HELP,
        OUTPUTS,
        PATH_HELP,
        WRITE_HELP,
    )

    paths = Arg(("path",), nargs="+", help=PATH_HELP)
    write = Arg(("--write",), action="store_true", help=WRITE_HELP)
    output = Arg(("--output",), choices=OUTPUTS, default="text", help=OUTPUT_HELP)
    which = (conn_id, group_id, url, ARG_VERBOSE)
    return [
        GroupCommand(
            name="fivetran",
            help="Manage what Fivetran knows of this Airflow, and rewrite DAGs of other providers",
            subcommands=[
                ActionCommand("migrate", DESCRIPTION, migrate, (paths, write, output)),
                GroupCommand(
                    name="webhooks",
                    help="Manage the webhook that points at this Airflow",
                    subcommands=[
                        ActionCommand(
                            "list",
                            "List all webhooks that the key may see",
                            list_,
                            (conn_id, ARG_OUTPUT, ARG_VERBOSE),
                        ),
                        ActionCommand(
                            "create", "Make it, or make it be as described", create, (*which, events)
                        ),
                        ActionCommand(
                            "test",
                            "Let Fivetran deliver an event of a made-up connection",
                            test,
                            (*which, event),
                        ),
                        ActionCommand(
                            "rotate", "Let Fivetran sign with a new secret, losing no delivery", rotate, which
                        ),
                        ActionCommand("remove", "Delete it", remove, which),
                    ],
                ),
            ],
        )
    ]


def list_(args: argparse.Namespace) -> None:
    """``airflow fivetran webhooks list``."""
    from airflow.cli.simple_table import AirflowConsole  # noqa: PLC0415

    with _hook(args) as hook:
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
    AirflowConsole().print_as(rows, output=args.output)


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


def migrate(args: argparse.Namespace) -> None:
    """``airflow fivetran migrate``; it fails where something is left to a person."""
    from airflow_provider_fivetran.migrate.command import run  # noqa: PLC0415

    code = run(args.path, write=args.write, output=args.output)
    if code:
        raise SystemExit(code)


@contextmanager
def _setup(args: argparse.Namespace) -> Iterator[WebhookSetup]:
    from airflow_provider_fivetran.webhook_setup import WebhookSetup  # noqa: PLC0415

    with _hook(args) as hook:
        yield WebhookSetup(hook, url=args.url, group_id=args.group_id)


@contextmanager
def _hook(args: argparse.Namespace) -> Iterator[FivetranHook]:
    """The hook; what goes wrong ends the command in one line."""
    from airflow.providers.common.compat.sdk import AirflowException  # noqa: PLC0415

    from airflow_provider_fivetran.core.errors import FivetranError  # noqa: PLC0415
    from airflow_provider_fivetran.hooks import FivetranHook  # noqa: PLC0415

    # As Airflow's own commands do, so that connections are read from its database too.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    try:
        with FivetranHook(args.conn_id) as hook:
            yield hook
    except (FivetranError, AirflowException, ValueError) as error:
        if args.verbose:
            raise
        raise SystemExit(f"{type(error).__name__}: {error}") from None


def _events(text: str) -> list[str]:
    import argparse  # noqa: PLC0415

    events = [name.strip() for name in text.split(",") if name.strip()]
    known = get_args(WebhookEvent)
    for name in events:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is no event; allowed are {', '.join(known)}")
    if not events:
        raise argparse.ArgumentTypeError(f"there is no event; allowed are {', '.join(known)}")
    return events
