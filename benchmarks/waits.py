"""Many waits that begin together.

For each number of syncs and each contender: a simulator is started in a process of its own; a worker process begins
all tasks, four at a time, by running their operators up to their deferral; a triggerer process then gets all
triggers, spread over one interval between two looks, and runs them in one event loop as Airflow does.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from benchmarks.processes import PATIENCE, SPAWN, Place, begin, process, received, wait
from benchmarks.rows import Row, Spread
from benchmarks.witness import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from benchmarks.processes import Waited
    from benchmarks.witness import Run

WARM_UP = "warm_up"
ONE_IN_SO_MANY_FAILS = 10
# Real seconds that beginning one task may take, so that the first sync does not end before the last has begun.
TO_BEGIN_ONE = 0.04
# Seconds that late events are waited for.
EVEN_AT = 500
ROUNDS = 5
GRACE = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How long the syncs take, and how often they are looked at."""

    name: str
    title: str
    shortest: float
    longest: float
    poll: float | None
    """Seconds; ``None``: what the contender does by default."""
    interval: float
    """Seconds between two looks, roughly."""
    skips: bool
    """Whether idle time is skipped."""
    counts: Mapping[str, Sequence[int]]
    """How many syncs at once, by contender, unless the command says otherwise."""
    freezes: bool = False
    """Whether the waiting process looks for garbage only in what it makes from then on."""
    rounds: int = 1
    """How often all is measured anew."""

    def plans(self, count: int) -> dict[str, dict[str, object]]:
        """How the syncs go, by connection; the same for both contenders."""
        chance = random.Random(count)
        lead = 1 + count * TO_BEGIN_ONE
        plans: dict[str, dict[str, object]] = {WARM_UP: {"duration": 2.0}}
        return plans | {
            f"connection_{number}": {
                "duration": lead + chance.uniform(self.shortest, self.longest),
                "outcome": "failure" if number % ONE_IN_SO_MANY_FAILS == 1 else "success",
            }
            for number in range(count)
        }


def loads(longest_quick: float) -> dict[str, Load]:
    quick = Load(
        name="quick",
        title=f"Syncs of {longest_quick / 4:g} to {longest_quick:g} seconds, looked at every 2 seconds",
        shortest=longest_quick / 4,
        longest=longest_quick,
        poll=2,
        interval=2,
        skips=False,
        counts=dict.fromkeys(("ours", "peer"), (1, 10, 100, 500, 1000, 5000)),
    )
    long = Load(
        name="long",
        title="Syncs of ten minutes, looked at as by default",
        shortest=592.5,  # so that the ends fall anywhere between two looks
        longest=607.5,
        poll=None,
        interval=15,
        skips=True,
        counts={"ours": (1, 10, 100, 500, 1000, 5000), "peer": (1, 10, 100, 500, 1000)},
    )
    hour = Load(
        name="hour",
        title="Syncs of one hour, looked at as by default",
        shortest=3592.5,
        longest=3607.5,
        poll=None,
        interval=15,
        skips=True,
        counts={"ours": (1, 10, 100, 1000, 5000), "peer": (1, 10, 50, 100)},
    )
    even = replace(
        quick,
        name="even",
        title=f"The same with {EVEN_AT} syncs, {ROUNDS} times over",
        rounds=ROUNDS,
        counts=dict.fromkeys(quick.counts, (EVEN_AT,)),
    )
    frozen = replace(
        quick,
        name="frozen",
        title="The same after `gc.freeze()`",
        freezes=True,
        counts=dict.fromkeys(quick.counts, (1000,)),
    )
    return {load.name: load for load in (quick, even, frozen, long, hour)}


def measure(load: Load, who: str, count: int) -> Row:
    """Let one contender wait for so many syncs, as often as the load says."""
    rounds = [_measure_once(load, who, count) for _ in range(load.rounds)]
    return rounds[0] if load.rounds == 1 else taken_together(rounds)


def taken_together(rounds: Sequence[Row]) -> Row:
    """All that came late, the worst stall, every fault, and of the rest what is usual in one round."""

    def usual(value: Callable[[Row], float]) -> float:
        return fmean(value(row) for row in rounds)

    def worst(value: Callable[[Row], float | None]) -> float:
        return max(value(row) or 0.0 for row in rounds)

    return replace(
        rounds[0],
        to_begin=round(usual(lambda row: row.to_begin)),
        asked={what: round(fmean(row.asked[what] for row in rounds)) for what in rounds[0].asked},
        late=Spread.of(value for row in rounds for value in row.late.values),
        cpu_seconds=usual(lambda row: row.cpu_seconds),
        cpu_share=usual(lambda row: row.cpu_share),
        peak_mib=worst(lambda row: row.peak_mib),
        added_mib=worst(lambda row: row.added_mib),
        longest_hold=worst(lambda row: row.longest_hold),
        longest_work=worst(lambda row: row.longest_work),
        longest_collection=worst(lambda row: row.longest_collection),
        wrong=sum(row.wrong for row in rounds),
        early=sum(row.early for row in rounds),
        missing=sum(row.missing for row in rounds),
        simulator_share=usual(lambda row: row.simulator_share),
        machine=worst(lambda row: row.machine),
    )


def _measure_once(load: Load, who: str, count: int) -> Row:
    plans = load.plans(count)
    names = [name for name in plans if name != WARM_UP]
    limit = load.longest + count * TO_BEGIN_ONE + GRACE
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, serving(plans, Path(folder)) as fivetran:
        place = Place(who, fivetran.url, fivetran.passing.path, load.skips, load.poll, load.freezes)
        with (
            ProcessPoolExecutor(1, mp_context=SPAWN) as worker,
            process(wait, place, load.interval, limit) as pipe,
        ):
            pipe.send(worker.submit(begin, place, [WARM_UP]).result())
            received(pipe)
            fivetran.delete(WARM_UP)  # so that the account has as many connections as there are syncs
            before = fivetran.counts()
            tasks = worker.submit(begin, place, names).result()
            begun, server_cpu = fivetran.counts(), fivetran.cpu_seconds()
            pipe.send(tasks)
            waited: Waited = received(pipe, limit + PATIENCE)
        server_cpu = fivetran.cpu_seconds() - server_cpu
        after, runs = fivetran.counts(), {name: runs[-1] for name, runs in fivetran.runs().items() if runs}
    ends = [runs[name].ended_at for name in names]
    over = sum(end is not None and end < waited.began for end in ends)
    if over:
        print(f"  {over} syncs were over before their waits began", file=sys.stderr, flush=True)
    return Row(
        load=load.name,
        title=load.title,
        who=who,
        count=count,
        to_begin=begun.total() - before.total(),
        asked={
            what: after.total(what=what) - begun.total(what=what)
            for what in ("list", "look", "trigger", "history", "other")
        },
        late=Spread.of(_latencies(waited, runs)),
        cpu_seconds=waited.cpu_seconds,
        cpu_share=waited.cpu_seconds / waited.seconds,
        peak_mib=waited.peak_mib,
        added_mib=waited.added_mib,
        longest_hold=waited.longest.hold,
        longest_work=waited.longest.work,
        longest_collection=waited.longest.collection,
        wrong=sum(
            green != runs[name].ended_well
            for name, (at, green) in waited.events.items()
            if not _is_early(runs[name], at)
        ),
        early=sum(_is_early(runs[name], at) for name, (at, _) in waited.events.items()),
        missing=count - len(waited.events),
        simulator_share=server_cpu / waited.seconds,
        machine=os.getloadavg()[0],
    )


def _is_early(run: Run, at: datetime) -> bool:
    return run.ended_at is None or at < run.ended_at


def _latencies(waited: Waited, runs: Mapping[str, Run]) -> Iterator[float]:
    """Seconds from the end of each sync to its event; a sync that ended before the wait began counts from there."""
    for name, (at, _) in waited.events.items():
        ended_at = runs[name].ended_at
        if ended_at is not None:
            yield (at - max(ended_at, waited.began)).total_seconds()
