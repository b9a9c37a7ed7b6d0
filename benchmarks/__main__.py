"""Measure many waits: ``make bench``. Figures are printed, never judged."""

from __future__ import annotations

import argparse
import resource
import shlex
import signal
import sys
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import imports, steady, waits
from benchmarks.plots import draw
from benchmarks.report import page
from benchmarks.rows import Notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.rows import Measured

CONTENDERS = ("ours", "peer")
LOADS = ("quick", "even", "frozen", "long", "hour", "mix", "trial", "imports")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    _allow_many_sockets()
    # Whoever ends a run early still gets what was measured, and leaves no process behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    notes = Notes(options.notes)
    try:
        for what, measure in _wanted(options):
            print(what, file=sys.stderr, flush=True)
            try:
                for row in measure():
                    notes.add(row)
            except (TimeoutError, EOFError, BrokenProcessPool) as error:
                print(f"  gave up: {error!r}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("  stopped", file=sys.stderr, flush=True)
    command = _command(options, sys.argv[1:])
    print(page(notes, command))
    if options.write is not None:
        plots = draw(notes, options.write)
        options.write.write_text(page(notes, command, plots), encoding="utf-8")
    return 0


def _command(options: argparse.Namespace, given: Sequence[str]) -> str:
    if options.notes is not None:
        return "`make bench` in parts"
    return "`make bench" + (f' ARGS="{shlex.join(given)}"`' if given else "`")


def _wanted(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Iterable[Measured]]]]:
    whos = [who for who in CONTENDERS if options.only in {None, who}]
    for name, load in waits.loads(options.duration).items():
        counts = {who: options.counts or load.counts[who] for who in whos}
        for count in sorted({count for each in counts.values() for count in each}):
            for who in whos:
                if name in options.load and count in counts[who]:
                    yield f"{name}: {who}, {count} at once", partial(_waits, load, who, count)
    for name, day in steady.LOADS.items():
        for who in whos:
            if name in options.load:
                yield f"{name}: {who}, {options.hours:g} hours", partial(_day, day, who, options.hours)
    if "imports" in options.load:
        yield "imports", partial(imports.measure, options.only)


def _waits(load: waits.Load, who: str, count: int) -> list[Measured]:
    return [waits.measure(load, who, count)]


def _day(load: steady.Load, who: str, hours: float) -> list[Measured]:
    return [steady.measure(load, who, hours)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure many waits.")
    add = parser.add_argument
    add("--load", type=_loads, default=LOADS, help=f"some of {','.join(LOADS)}, with commas; all")
    add("--only", choices=CONTENDERS, help="one contender instead of both in turn")
    add("--counts", type=_counts, help="of quick, long and hour: how many syncs at once, with commas")
    add("--duration", type=float, default=40.0, help="of quick: seconds of the longest sync; %(default)g")
    add("--hours", type=float, default=6.0, help="of mix and trial: simulated hours that count; %(default)g")
    add("--notes", type=Path, metavar="FILE", help="keep what is measured here, with what was before")
    add("--write", type=Path, metavar="FILE", help="write the page, and its plots beside it")
    return parser


def _loads(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(LOADS):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: unknown; there are {', '.join(LOADS)}"
        )
    return names


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _allow_many_sockets() -> None:
    """As many open files as the system lets us have, here and in the processes to come."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
