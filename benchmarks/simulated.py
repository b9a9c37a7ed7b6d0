"""The simulator as the benchmark serves it: by the clock of the measurement, and with a count of all requests.

Started with a description (see :func:`benchmarks.witness.serving`). It answers each line on its standard input with
the counts so far, and ends with that input.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.simulator import Simulator, SyncPlan
from airflow_provider_fivetran.simulator.clock import Clock
from airflow_provider_fivetran.simulator.describing import load_account
from benchmarks.counts import what_it_is
from benchmarks.passing import Passing

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_fivetran.simulator import Request

COUNTED_EVERY = 10
"""Requests are counted by so many seconds, in which they arrived."""
PAUSE = 600.0


class _Clock(Clock):
    def __init__(self, passing: Passing) -> None:
        super().__init__()
        self._passing = passing

    def advance(self, seconds: float) -> datetime:
        self._passing.skip(seconds)
        return self.now()

    def _read(self) -> datetime:
        return self._passing.now()


class Counting(Simulator):
    """Counts requests instead of keeping them."""

    def __init__(self, passing: Passing) -> None:
        super().__init__()
        self.clock = self.account.clock = _Clock(passing)
        self.counts: Counter[tuple[int, str, str, int]] = Counter()

    def note(self, request: Request) -> None:
        at = int(request.at.timestamp()) // COUNTED_EVERY * COUNTED_EVERY
        what = what_it_is(request.method, request.path)
        self.counts[at, request.key or "", what, request.status or 0] += 1


def sync_before(simulator: Simulator, rounds: list[dict[str, float]]) -> None:
    """Let the connections have synced before, in rounds: so many seconds each."""
    for durations in rounds:
        for name, duration in durations.items():
            simulator.set_plan(name, SyncPlan(duration=duration))
            simulator.start_sync(name)
        simulator.clock.advance(max(durations.values()) + PAUSE)
        simulator.account.advance()


def main() -> None:
    description: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    simulator = Counting(Passing(Path(description["clock"])))
    load_account(simulator, description["account"])
    sync_before(simulator, description["earlier"])
    with simulator.serving() as url:
        print(json.dumps(url), flush=True)
        for _ in sys.stdin:
            print(
                json.dumps([[*what, number] for what, number in simulator.counts.copy().items()]), flush=True
            )


if __name__ == "__main__":
    main()
