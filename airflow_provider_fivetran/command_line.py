"""``airflow fivetran``: connections, syncs, webhooks and DAG files of other providers, at a terminal.

For Airflow 3.2 and newer.

Airflow imports this module with every command, so it imports what a command needs when that runs: most of them
are in :mod:`airflow_provider_fivetran.commands`.
"""

from __future__ import annotations

from functools import wraps
from textwrap import fill
from typing import TYPE_CHECKING, Any, get_args

from airflow_provider_fivetran.broken_pipe import ending_quietly_when_cut_off
from airflow_provider_fivetran.core.policies import WebhookEvent, WhenBroken
from airflow_provider_fivetran.migrate.words import DESCRIPTION, OUTPUT_HELP, OUTPUTS, PATH_HELP, WRITE_HELP

if TYPE_CHECKING:
    import argparse

    from airflow.cli.cli_config import Arg, CLICommand


__all__ = ["get_commands"]

STATES = ("scheduled", "syncing", "paused", "rescheduled", "connected", "incomplete", "broken")
# Beside the options on a terminal of 80 columns, and beside the commands: Airflow prints these texts as they are.
HELP_WIDTH = 54


def get_commands() -> list[CLICommand]:
    """What this provider adds to Airflow's command line."""
    from airflow.cli.cli_config import (  # noqa: PLC0415
        ARG_OUTPUT,
        ARG_VERBOSE,
        ActionCommand,
        GroupCommand,
    )

    conn_id = _arg(
        ("-c", "--conn-id"),
        "Airflow connection with the key and the secret (default: fivetran_default)",
        default="fivetran_default",
    )
    group_id = _arg(
        ("-g", "--group-id"), "webhook of this Fivetran group, not of the whole account", type=_text
    )
    url = _arg(
        ("-u", "--url"),
        "where it leads (default: the receiver of this Airflow, at the base_url of its api-server)",
        type=_text,
    )
    events = _arg(
        ("-e", "--events"),
        "events to deliver, separated by commas (default: sync_end)",
        type=_events,
        default=["sync_end"],
    )
    event = _arg(
        ("-e", "--event"),
        "event to deliver (default: sync_end)",
        choices=get_args(WebhookEvent),
        metavar="EVENT",
        default="sync_end",
    )
    paths = _arg(("path",), PATH_HELP, nargs="+")
    write = _arg(("--write",), WRITE_HELP, action="store_true")
    output = _arg(("--output",), OUTPUT_HELP, choices=OUTPUTS, default="text")
    which = (conn_id, group_id, url, ARG_VERBOSE)
    return [
        GroupCommand(
            name="fivetran",
            help="Look after connections and syncs; rewrite DAGs of other providers",
            subcommands=[
                *_about_connections(conn_id),
                ActionCommand(
                    "migrate",
                    fill(DESCRIPTION, HELP_WIDTH),
                    migrate,
                    (paths, write, output),
                    description=fill(DESCRIPTION, 78),
                ),
                GroupCommand(
                    name="webhooks",
                    help="Manage the webhook that points at this Airflow",
                    subcommands=[
                        ActionCommand(
                            "list",
                            "List all webhooks that the key may see",
                            _command("webhooks.list_"),
                            (conn_id, ARG_OUTPUT, ARG_VERBOSE),
                        ),
                        ActionCommand(
                            "create",
                            "Make it, or make it be as described",
                            _command("webhooks.create"),
                            (*which, events),
                        ),
                        ActionCommand(
                            "test",
                            "Let Fivetran deliver an event of a made-up connection",
                            _command("webhooks.test"),
                            (*which, event),
                        ),
                        ActionCommand(
                            "rotate",
                            "Let Fivetran sign with a new secret, losing no delivery",
                            _command("webhooks.rotate"),
                            which,
                        ),
                        ActionCommand("remove", "Delete it", _command("webhooks.remove"), which),
                    ],
                ),
            ],
        )
    ]


def _about_connections(conn_id: Arg) -> list[CLICommand]:
    from airflow.cli.cli_config import (  # noqa: PLC0415
        ARG_OUTPUT,
        ARG_VERBOSE,
        ActionCommand,
        GroupCommand,
    )

    usual = (conn_id, ARG_OUTPUT, ARG_VERBOSE)
    which = (
        _arg(("connection",), "id of the Fivetran connection", nargs="?"),
        _arg(("-n", "--name"), "instead of the id: its schema name; needs --destination"),
        _arg(("-d", "--destination"), "name of its destination"),
    )
    group_id = _arg(("-g", "--group-id"), "only those of the Fivetran group with this id", type=_text)
    state = _arg(
        ("-s", "--state"),
        f"only those in one of these states, separated by commas: {', '.join(STATES)}",
        type=_states,
        default=[],
    )
    limit = _arg(("-l", "--limit"), "how many syncs to show at most (default: 20)", type=_count, default=20)
    example = _arg(("--connection",), "id of a Fivetran connection to try (default: the first it may list)")
    no_wait = _arg(("--no-wait",), "start the sync and leave it to itself", action="store_true")
    timeout = _arg(
        ("-t", "--timeout"),
        "seconds to wait at most (default: a day, a week for a historical sync); the sync goes on",
        type=_seconds,
    )
    policies = (
        _policy(
            "running", "a sync runs already: join it, stop it first, or fail", ("attach", "restart", "fail")
        ),
        _policy(
            "paused", "the connection is paused: fail, or unpause it and leave it so", ("fail", "unpause")
        ),
        _policy(
            "broken", "its setup is broken: sync all the same, test it first, or fail", get_args(WhenBroken)
        ),
    )
    return [
        GroupCommand(
            name="connections",
            help="Look at Fivetran's connections",
            subcommands=[
                ActionCommand(
                    "list",
                    "List the connections that the key may see",
                    _command("connections.list_"),
                    (*usual, group_id, state),
                )
            ],
        ),
        ActionCommand(
            "sync",
            "Start a sync and wait for its end",
            _command("sync.sync"),
            (*which, *usual, no_wait, timeout, *policies),
            # Airflow prints a description as it is, however narrow the terminal.
            description="Start a sync, or join the one that runs, and wait for its end.\n\nExit code 0: that sync "
            "ended well.\n1: it did not, or could not be started.\n130: interrupted; the sync goes on.",
        ),
        ActionCommand(
            "history",
            "Show the last syncs of a connection",
            _command("history.history"),
            (*which, *usual, limit),
        ),
        ActionCommand(
            "doctor",
            "Check an Airflow connection, and what its key may do",
            _command("doctor.doctor"),
            (*usual, example),
            description="Check an Airflow connection and the way to Fivetran step by step,\nand say what to do. "
            "Changes nothing.\n\nExit code 1: something is wrong.",
        ),
    ]


def _arg(flags: tuple[str, ...], text: str, **options: Any) -> Arg:
    from airflow.cli.cli_config import Arg  # noqa: PLC0415

    return Arg(flags, help=fill(text, HELP_WIDTH, break_on_hyphens=False), **options)


def _command(path: str) -> Any:
    from airflow.cli.cli_config import lazy_load_command  # noqa: PLC0415

    command = lazy_load_command(f"airflow_provider_fivetran.commands.{path}")

    @wraps(command)
    def until_nobody_reads(args: argparse.Namespace) -> None:
        with ending_quietly_when_cut_off():
            command(args)

    return until_nobody_reads


def _policy(state: str, meaning: str, choices: tuple[str, ...]) -> Arg:
    return _arg(
        (f"--when-{state}",),
        f"{meaning} (default: {choices[0]})",
        choices=choices,
        metavar=f"({', '.join(choices)})",
        default=choices[0],
    )


def migrate(args: argparse.Namespace) -> None:
    """``airflow fivetran migrate``; it fails where something is left to a person."""
    from airflow_provider_fivetran.migrate.command import run  # noqa: PLC0415

    with ending_quietly_when_cut_off():
        code = run(args.path, write=args.write, output=args.output)
    if code:
        raise SystemExit(code)


def _events(text: str) -> list[str]:
    return _words(text, "event", get_args(WebhookEvent))


def _states(text: str) -> list[str]:
    return _words(text, "state", STATES)


def _words(text: str, kind: str, known: tuple[str, ...]) -> list[str]:
    import argparse  # noqa: PLC0415

    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in known:
            raise argparse.ArgumentTypeError(f"{word!r} is no {kind}; allowed are {', '.join(known)}")
    if not words:
        raise argparse.ArgumentTypeError(f"there is no {kind}; allowed are {', '.join(known)}")
    return words


def _text(text: str) -> str:
    import argparse  # noqa: PLC0415

    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is empty")
    return text


def _count(text: str) -> int:
    import argparse  # noqa: PLC0415

    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    import argparse  # noqa: PLC0415

    from airflow_provider_fivetran.arguments import span_of  # noqa: PLC0415

    try:
        seconds = float(text)
        span_of("--timeout", seconds)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0") from None
    return seconds
