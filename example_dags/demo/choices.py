"""What the demo was asked to do, from its arguments and the environment."""

from __future__ import annotations

import argparse
import ipaddress
import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

KEY, SECRET, CONNECTION, URL = (
    "FIVETRAN_API_KEY",
    "FIVETRAN_API_SECRET",
    "FIVETRAN_CONNECTION",
    "FIVETRAN_API_URL",
)


SYNC_TAKES, WATCHED_SYNC_TAKES = 15.0, 4.0


class RefusedError(Exception):
    """What was asked cannot be done; the text says why and what to change."""


@dataclass(frozen=True)
class Account:
    """A real Fivetran account, and the connection to sync in it."""

    key: str
    secret: str = field(repr=False)
    connection: str = ""
    url: str = ""


@dataclass(frozen=True)
class Choices:
    ui: bool
    watched: bool
    seconds_per_sync: float
    time_limit: float
    keep: bool
    account: Account | None


def read_choices(arguments: list[str] | None = None) -> Choices:
    """Read the command line and the environment.

    :raises RefusedError: for a combination that cannot work, naming the variable that is missing.
    """
    asked = _parser().parse_args(arguments)
    if asked.watched:
        _check_watched(asked)
    usual = WATCHED_SYNC_TAKES if asked.watched else SYNC_TAKES
    account = None if asked.simulator else _account(asked.connection)
    return Choices(
        ui=asked.ui,
        watched=asked.watched,
        seconds_per_sync=usual if asked.seconds_per_sync is None else asked.seconds_per_sync,
        time_limit=asked.time_limit,
        keep=asked.keep,
        account=account,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Run a Fivetran sync and then dbt in a real Airflow, and watch.",
        epilog=f"Without {KEY} a simulated Fivetran is used, which needs no account and no network. "
        f"With {KEY} and {SECRET} set and a connection named, one sync of it runs in the real Fivetran.",
    )
    parser.add_argument(
        "--ui", action="store_true", help="leave Airflow with its web interface running until Ctrl-C"
    )
    parser.add_argument(
        "--watched",
        action="store_true",
        help="start no sync: the simulated Fivetran keeps its own schedule, and a DAG runs when data has landed",
    )
    parser.add_argument(
        "--connection",
        metavar="ID",
        default=os.environ.get(CONNECTION, ""),
        help=f"id of the connection to sync in the real Fivetran (or set {CONNECTION})",
    )
    parser.add_argument(
        "--simulator", action="store_true", help="use the simulator even though a Fivetran key is set"
    )
    parser.add_argument(
        "--seconds-per-sync",
        metavar="N",
        type=float,
        help=f"how long a simulated sync takes (default: {SYNC_TAKES:g}, with --watched {WATCHED_SYNC_TAKES:g})",
    )
    parser.add_argument(
        "--time-limit",
        metavar="SECONDS",
        type=float,
        default=300.0,
        help="give up on a simulated run after this time (default: 300); a real sync may take its time",
    )
    parser.add_argument("--keep", action="store_true", help="keep the scratch folder, to look into it")
    return parser


def _check_watched(asked: argparse.Namespace) -> None:
    if asked.ui:
        raise RefusedError(
            "--watched ends with the run that it waits for, and --ui goes on until Ctrl-C: choose one of them."
        )
    real = [name for name in (KEY, SECRET, URL) if os.environ.get(name)]
    real += [CONNECTION] if asked.connection else []
    if real and not asked.simulator:
        raise RefusedError(
            f"--watched waits for the schedule of a simulated Fivetran, but {' and '.join(real)} "
            f"{'is' if len(real) == 1 else 'are'} set, which is for a real one. Say --simulator as well."
        )


def _account(connection: str) -> Account | None:
    given = {KEY: os.environ.get(KEY, ""), SECRET: os.environ.get(SECRET, ""), CONNECTION: connection}
    url = os.environ.get(URL, "")
    if not any(given.values()):
        if url:
            raise RefusedError(f"{URL} is set, but {KEY}, {SECRET} and {CONNECTION} are not.")
        return None
    missing = [name for name, value in given.items() if not value]
    if missing:
        there = " and ".join(name for name, value in given.items() if value)
        raise RefusedError(
            f"A sync in the real Fivetran needs {' and '.join(missing)} as well as {there}. "
            f"Set what is missing, or say --simulator to run without Fivetran."
        )
    if url and not _is_safe(url):
        raise RefusedError(
            f"{URL} must begin with https://, or a secret would cross the network in the clear."
        )
    return Account(key=given[KEY], secret=given[SECRET], connection=connection, url=url)


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return True
    if parts.scheme != "http" or not parts.hostname:
        return False
    try:
        return parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False
