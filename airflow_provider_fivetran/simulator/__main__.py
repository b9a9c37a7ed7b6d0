"""``python -m airflow_provider_fivetran.simulator``: serve a simulated Fivetran until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from .describing import load_account
from .problems import ApiError
from .records import SyncPlan
from .simulator import DEFAULT_KEY, DEFAULT_SECRET, Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence

LAST_PORT = 65_535


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        simulator = _build(options)
    except (OSError, ValueError, ImportError, ApiError) as error:
        parser.error(str(error))
    try:
        with simulator.serving(host=options.host, port=options.port, any_host=options.any_host) as url:
            # Programs wait for this line: it is printed once the address really answers.
            line = {"url": url, "key": options.key, "connections": list(simulator.account.connections)}
            print(json.dumps(line), flush=True)  # noqa: T201
            _wait_for_the_end()
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_fivetran.simulator",
        description="A local Fivetran. Prints one line of JSON with its address once it listens.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; loopback only unless --any-host is given")
    add("--any-host", action="store_true", help="allow --host to be an address that others can reach")
    add("--port", type=_port, default=0, help="port to listen on; 0, the default, takes a free one")
    add(
        "--account",
        type=Path,
        help="JSON file: keys, groups, connections, transformations, switches ...",
    )
    add("--duckdb", type=Path, help="DuckDB file into which every sync that ends well lands a small shop")
    add("--key", default=DEFAULT_KEY, help="API key (default %(default)s)")
    add("--secret", default=DEFAULT_SECRET, help="API secret (default %(default)s)")
    add(
        "--speed",
        type=float,
        default=1.0,
        help="simulated seconds in one real second (default 1); at 0 time passes only by POST /_control/clock",
    )
    add("--seed", type=int, default=0, help="seed of everything that looks random")
    add("--duration", type=float, default=1.0, help="seconds that a sync takes (default 1)")
    add("--every", type=float, help="seconds between the syncs that the connections start by themselves")
    add(
        "--connection",
        action="append",
        default=[],
        metavar="ID[:SERVICE[:SCHEMA]]",
        help="add a connection; may be given several times",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a whole number from 0 to {LAST_PORT}")
    return int(text)


def _build(options: argparse.Namespace) -> Simulator:
    simulator = Simulator(
        speed=options.speed,
        seed=options.seed,
        duckdb=options.duckdb,
        key=options.key,
        secret=options.secret,
    )
    simulator.account.set_default_plan(SyncPlan(duration=options.duration))
    if options.account is not None:
        load_account(simulator, json.loads(options.account.read_text(encoding="utf-8")))
    for text in options.connection:
        connection_id, _, rest = text.partition(":")
        service, _, schema = rest.partition(":")
        simulator.add_connection(
            connection_id, service=service or "postgres", schema=schema or None, every=options.every
        )
    return simulator


def _wait_for_the_end() -> None:
    stop = threading.Event()
    # A supervisor ends us as politely as Ctrl-C does, and a second Ctrl-C does not disturb the first.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    stop.wait()


if __name__ == "__main__":
    sys.exit(main())
