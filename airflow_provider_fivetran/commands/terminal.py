"""What all commands share: the hook, how errors and interruptions end them, and how results are shown."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException
from airflow.utils import yaml
from rich.console import Console
from rich.progress import Progress as Live
from rich.progress import SpinnerColumn, TimeElapsedColumn

from airflow_provider_fivetran.arguments import check_identified
from airflow_provider_fivetran.commands import tables
from airflow_provider_fivetran.core.errors import (
    FivetranConnectionPaused,
    FivetranError,
    FivetranNotFound,
    FivetranSyncTimeout,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.moments import in_words, write_moment
from airflow_provider_fivetran.hooks import FivetranHook

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_fivetran.core.steps import Note

__all__ = [
    "BAD_USAGE",
    "INTERRUPTED",
    "Progress",
    "behave_as_airflows_own",
    "check_names_a_connection",
    "find_id",
    "hook_of",
    "show",
    "show_one",
    "unreachable",
]

# Exit codes, as shells have them.
BAD_USAGE = 2
INTERRUPTED = 130

# Seconds between two lines that say that nothing has changed: many build servers end a job that is silent for long.
SILENCE = 300.0


# --- the way to Fivetran ------------------------------------------------------------------------------------


def behave_as_airflows_own() -> None:
    """Do as Airflow's own commands: read Airflow connections from its database too, and keep logs out of results."""
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    for handler in logging.getLogger().handlers:  # before Airflow 3.3 nobody else does this
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


@contextmanager
def hook_of(args: argparse.Namespace, say: Callable[[str], None] = _tell) -> Iterator[FivetranHook]:
    """The hook; what goes wrong ends the command in one line, and an interruption in none.

    :param say: takes what the hook otherwise tells the log.
    """
    behave_as_airflows_own()
    try:
        with _TalkingHook(args.conn_id, say) as hook:
            yield hook
    except (FivetranError, AirflowException, ValueError) as error:
        if args.verbose:
            raise
        raise SystemExit(_in_words(error, args.conn_id)) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


class _TalkingHook(FivetranHook):
    def __init__(self, conn_id: str, say: Callable[[str], None]) -> None:
        super().__init__(conn_id)
        self._say = say

    def _log_note(self, note: Note) -> None:
        self._say(f"warning: {note.text}" if note.is_warning else note.text)


def _in_words(error: Exception, conn_id: str) -> str:
    said = f"{type(error).__name__}: {error}"
    match error:
        case AirflowNotFoundException():
            return f"{said}. Add {conn_id!r} with `airflow connections add`, or name another with --conn-id"
        case FivetranNotFound(connection_id=str()):
            return f"{said}. `airflow fivetran connections list` shows those that the key may see"
        case FivetranConnectionPaused():
            return f"{said} (here: --when-paused unpause)"
        case FivetranSyncTimeout(connection_id=str() as connection_id):
            return f"{said}. The sync goes on; `airflow fivetran sync {connection_id}` waits for it again"
        case FivetranUnreachable():
            return f"{said.partition(': ')[0]}: {unreachable(error)}. `airflow fivetran doctor` looks closer"
    return said


def unreachable(error: FivetranUnreachable) -> str:
    """Why there was no answer, in the words of the system instead of those of each library in between."""
    root: BaseException = error
    while (deeper := root.__cause__ or root.__context__) is not None and not isinstance(
        deeper, FivetranError
    ):
        root = deeper
    place = str(error).partition(" gave no answer")[0]
    return f"{place} gave no answer: {root}" if root is not error and str(root) else str(error)


def check_names_a_connection(args: argparse.Namespace) -> None:
    """Check that the Fivetran connection is named in one of the two ways; otherwise this is bad usage."""
    try:
        check_identified(args.connection, args.name, args.destination)
    except ValueError:
        print("give either CONNECTION, or both --name and --destination", file=sys.stderr)
        raise SystemExit(BAD_USAGE) from None


def find_id(hook: FivetranHook, args: argparse.Namespace) -> str:
    """The id of the Fivetran connection that is named.

    :raises FivetranLookupError: no connection, or more than one, has these names.
    """
    if args.connection is not None:
        return str(args.connection)
    # Not ``find_id``, which tells the log what it found: Airflow may log to where results are expected.
    return hook.find_connection(args.name, args.destination).id


# --- results ------------------------------------------------------------------------------------------------


def show(rows: Sequence[Mapping[str, Any]], output: str, *, nothing: str) -> None:
    """Print rows in one of the formats of Airflow's commands.

    :param nothing: what to tell people if there are none.
    """
    if output in {"json", "yaml"}:
        _print_data([_plain(row) for row in rows], output)
    elif not rows:
        print(nothing)
    else:
        cells = [{name: _cell(value) for name, value in row.items()} for row in rows]
        is_plain = output == "plain"
        _print_lines(tables.plain(cells) if is_plain else tables.table(cells, tables.terminal_width()))


def show_one(record: Mapping[str, Any], output: str) -> None:
    """Print one record; for people line by line, without what is not known."""
    if output in {"json", "yaml"}:
        _print_data(_plain(record), output)
    else:
        _print_lines(tables.record({name: _cell(value) for name, value in record.items()}))


def _print_lines(lines: Sequence[str]) -> None:
    # What others wrote is shown as it is: brackets and colons are no markup.
    print("\n".join(lines))


def _print_data(data: object, output: str) -> None:
    if output == "json":
        print(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        print(yaml.dump(data, sort_keys=False, allow_unicode=True), end="")


def _plain(value: Any) -> Any:
    """For programs: durations are seconds."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, datetime):
        return write_moment(value)
    return value.total_seconds() if isinstance(value, timedelta) else value


def _cell(value: Any) -> str:
    """For people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(item)}" for name, item in value.items())
    match value:
        case None | bool():
            words = {None: "", True: "yes", False: "no"}
            return words[value]
        case float():
            return f"{value:g}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S} UTC"
        case timedelta():
            return in_words(value)
    return str(value)


# --- progress -----------------------------------------------------------------------------------------------


class Progress:
    """One line on stderr for each change, with the time since the beginning.

    On a terminal that time goes on; elsewhere the last line is said again every five minutes.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, markup=False, emoji=False, highlight=False)
        self._live = Live(
            TimeElapsedColumn(),
            SpinnerColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._began = time.monotonic()
        self._last = "waiting"
        self._is_over = threading.Event()

    def __enter__(self) -> Self:
        self._live.start()
        self._live.add_task("")
        if not self._console.is_terminal:
            threading.Thread(target=self._break_silence, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._is_over.set()
        self._live.stop()

    def say(self, text: str) -> None:
        """Tell of a change."""
        self._last = text
        elapsed = timedelta(seconds=int(time.monotonic() - self._began))
        self._console.print(f"{elapsed}  {text}", soft_wrap=True)

    def _break_silence(self) -> None:
        while not self._is_over.wait(SILENCE):
            self.say(self._last)
