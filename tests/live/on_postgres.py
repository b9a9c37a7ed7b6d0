"""Run tests with a PostgreSQL below Airflow instead of SQLite, where what they promise hangs on its locks.

``python tests/live/on_postgres.py tests/webhooks`` hands everything on to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

# Its parts that start processes and talk to Airflow serve here too.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "example_dags" / "demo"))

from airflow_server import NotReadyError
from running import Place, carry_out
from stage import Database

if TYPE_CHECKING:
    from collections.abc import Sequence


def play(place: Place, arguments: Sequence[str]) -> int:
    """Run pytest; its exit code."""
    database = Database(place.scratch, place.processes, sqlite=False)
    if not (found := database.start()):
        raise NotReadyError(f"There is no PostgreSQL to start: {database.name}")
    place.progress.say(f"pytest runs on {database.name}")
    [url] = found.values()
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, env={**os.environ, "TEST_DATABASE": url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(carry_out("postgres", partial(play, arguments=sys.argv[1:]), keep=False))
