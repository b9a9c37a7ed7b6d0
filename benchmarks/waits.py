"""Measure many waits: ``make bench``. Figures are printed, never judged.

One after the other, for each number of syncs and each contender: a simulator is started in a process of its own; a
worker process begins all tasks, four at a time, by running their operators up to their deferral; a triggerer process
then gets all triggers, spread over one interval between two looks, and runs them in one event loop as Airflow does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import shlex
import signal
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.fivetran import serving
from benchmarks.processes import begin, wait
from benchmarks.report import Row, markdown, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from multiprocessing.connection import Connection as Pipe

    from benchmarks.fivetran import Fivetran, Run
    from benchmarks.processes import Waited

COUNTS = (1, 10, 100, 500, 1000, 5000)
CONTENDERS = ("ours", "peer")
WARM_UP = "warm_up"
SPAWN = multiprocessing.get_context("spawn")
ONE_IN_SO_MANY_FAILS = 10
# Real seconds that beginning one task may take, so that the first sync does not end before the last has begun.
TO_BEGIN_ONE = 0.02
# Simulated seconds that late events are waited for; and real ones in which a process must show life.
GRACE = 120.0
PATIENCE = 300.0
# Simulated seconds into a long wait between which its requests are counted for the projection.
STEADY = (300.0, 540.0)


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
    most_speed: float
    """How much faster than real time may pass; less where many wait, so that no process is at its limit."""

    def speed(self, count: int) -> float:
        return max(1.0, min(self.most_speed, 2000 / count))

    def plans(self, count: int) -> dict[str, dict[str, object]]:
        chance = random.Random(count)  # the same for both contenders
        plans: dict[str, dict[str, object]] = {WARM_UP: {"duration": 2.0}}
        lead = 1 + count * TO_BEGIN_ONE
        return plans | {
            f"connection_{number}": {
                "duration": lead + chance.uniform(self.shortest, self.longest),
                "outcome": "failure" if number % ONE_IN_SO_MANY_FAILS == 1 else "success",
            }
            for number in range(count)
        }


def loads(longest: float) -> dict[str, Load]:
    quick = Load(
        name="quick",
        title=f"Syncs of {longest / 4:g} to {longest:g} seconds, looked at every 2 seconds",
        shortest=longest / 4,
        longest=longest,
        poll=2,
        interval=2,
        most_speed=1,
    )
    long = Load(
        name="long",
        title="Syncs of ten minutes, looked at as by default: at most every 15 seconds",
        shortest=592.5,  # so that the ends fall anywhere between two looks
        longest=607.5,
        poll=None,
        interval=15,
        most_speed=20,
    )
    return {load.name: load for load in (quick, long)}


def measure(load: Load, who: str, count: int) -> Row:
    """Let one contender wait for so many syncs."""
    plans, speed = load.plans(count), load.speed(count)
    names = [name for name in plans if name != WARM_UP]
    limit = load.longest + count * TO_BEGIN_ONE + GRACE
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, serving(plans, Path(folder)) as fivetran:
        os.environ["BENCHMARK_FOLDER"] = folder
        with (
            ProcessPoolExecutor(1, mp_context=SPAWN) as worker,
            _triggerer(who, fivetran.url, load.interval, speed, limit) as pipe,
        ):
            pipe.send(worker.submit(begin, who, fivetran.url, [WARM_UP], load.poll).result())
            _received(pipe, PATIENCE)
            warm = fivetran.requests()
            tasks = worker.submit(begin, who, fivetran.url, names, load.poll).result()
            to_begin, server_cpu = fivetran.requests() - warm, fivetran.cpu_seconds()
            clock = fivetran.clock(speed=speed)
            pipe.send((tasks, clock))
            per_second = _steady_rate(fivetran, speed) if load.poll is None else None
            waited: Waited = _received(pipe, limit / speed + PATIENCE)
        server_cpu = fivetran.cpu_seconds() - server_cpu
        total, runs = fivetran.requests() - warm, fivetran.runs()
    over = sum(run.ended_at < clock.at for name, run in runs.items() if name != WARM_UP)
    if over:
        print(f"  {over} syncs were over before their waits began", file=sys.stderr, flush=True)
    late = sorted(_latencies(waited, runs, clock.at))
    return Row(
        load=load.name,
        title=load.title,
        who=who,
        count=count,
        speed=speed,
        to_begin=to_begin,
        requests=total,
        latency_median=median(late) if late else None,
        latency_95=late[int(0.95 * (len(late) - 1))] if late else None,
        latency_max=late[-1] if late else None,
        cpu_seconds=waited.cpu_seconds,
        cpu_share=waited.cpu_seconds / waited.seconds,
        peak_mib=waited.peak_mib,
        added_mib=waited.added_mib,
        worst_stall=waited.worst_stall,
        wrong=sum(
            green != runs[name].ended_well for name, (_, green) in waited.events.items() if name in runs
        ),
        premature=sum(name not in runs for name in waited.events),
        missing=count - len(waited.events),
        simulator_share=server_cpu / waited.seconds,
        in_an_hour=None if per_second is None else total + per_second * (3600 - load.longest),
    )


@contextmanager
def _triggerer(*arguments: object) -> Iterator[Pipe]:
    pipe, its_pipe = SPAWN.Pipe()
    process = SPAWN.Process(target=wait, args=(its_pipe, *arguments))
    process.start()
    its_pipe.close()  # so that its end is noticed
    try:
        yield pipe
    finally:
        process.join(1)
        process.terminate()
        process.join()


def _received(pipe: Pipe, patience: float) -> Any:
    if not pipe.poll(patience):
        raise TimeoutError(f"the waiting process has said nothing for {patience:.0f} seconds")
    return pipe.recv()


def _latencies(waited: Waited, runs: dict[str, Run], began: datetime) -> Iterator[float]:
    """Seconds from the end of each sync to its event; a sync that ended before the wait began counts from there."""
    for name, (at, _) in waited.events.items():
        if name in runs:
            yield (at - max(runs[name].ended_at, began)).total_seconds()


def _steady_rate(fivetran: Fivetran, speed: float) -> float:
    """Requests in a simulated second when the waits have lasted for a while."""
    time.sleep(STEADY[0] / speed)
    before, began = fivetran.requests(), time.monotonic()
    time.sleep((STEADY[1] - STEADY[0]) / speed)
    return (fivetran.requests() - before) / (time.monotonic() - began) / speed


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    _allow_many_sockets()
    # Whoever ends a run early still gets what was measured, and leaves no process behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rows: list[Row] = []
    try:
        for load, count, who in _wanted(options):
            print(f"{load.name}: {who}, {count} at once", file=sys.stderr, flush=True)
            try:
                rows.append(measure(load, who, count))
            except (TimeoutError, EOFError, BrokenProcessPool) as error:
                print(f"  gave up: {error!r}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("  stopped", file=sys.stderr, flush=True)
    command = "make bench" + (f' ARGS="{shlex.join(sys.argv[1:])}"' if sys.argv[1:] else "")
    print(markdown(rows, command))
    if options.write is not None:
        write(options.write, rows, command)
    return 0


def _wanted(options: argparse.Namespace) -> Iterator[tuple[Load, int, str]]:
    for load in loads(options.duration).values():
        for count in options.counts:
            for who in CONTENDERS:
                if options.load in {None, load.name} and options.only in {None, who}:
                    yield load, count, who


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waits", description="Measure many waits.")
    add = parser.add_argument
    add("--counts", type=_counts, default=COUNTS, help="how many syncs at once, with commas; %(default)s")
    add("--only", choices=CONTENDERS, help="one contender instead of both in turn")
    add(
        "--load",
        choices=tuple(loads(0)),
        help="quick (both look every 2 s) or long (ten minutes, by default)",
    )
    add("--duration", type=float, default=40.0, help="seconds of the longest quick sync; %(default)s")
    add("--write", type=Path, metavar="FILE", help="write the page, and its plots beside it")
    return parser


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _allow_many_sockets() -> None:
    """As many open files as the system lets us have, here and in the processes to come."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
