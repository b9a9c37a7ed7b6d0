"""What was measured, as a table, a projection, and plots."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from itertools import pairwise
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

HOURLY_BUDGET = 20_000
PEER = "airflow-provider-fivetran-async"
HEADINGS = (
    *("syncs", "waits by", "requests", "per sync", "late: median", "95 %", "max", "CPU", "of a core"),
    *("peak memory", "by the waits", "worst stall", "wrong", "early", "none", "simulator"),
)
LEGEND = f"""\
*requests*: all of them, the start of each sync included. *late*: seconds from the real end of a sync, by the
simulator's record, to the event of its trigger. *CPU*: seconds of the waiting process. *by the waits*: how much
its memory grew from the moment before, when one wait had been and gone. *worst stall*: how late a sleep of 5 ms
ended at worst, on a busy machine also for other reasons. *wrong*: red for a good sync or green for a bad one;
*early*: decided before the sync had ended; *none*: not decided within two minutes after the last sync.
*simulator*: how much of a core it used; near 100 % it was the simulator that was measured.

Not measured: TLS, distance, and what Airflow itself does for a trigger (its database, its logs, and asking the
supervisor for the connection). One sync in ten fails. Time passes faster where it says so below a table, whose
seconds are simulated ones then, except for CPU and stall. The peer is *{PEER}*.
"""
PROJECTION = f"""\
**Projection: requests that syncs of one hour cost, and how many of them fit into {HOURLY_BUDGET:,} an hour.**
Measured are ten minutes; the other fifty are taken to cost what minutes five to nine did. Between two numbers of
syncs, and beyond the last, a straight line.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One contender with one number of waits under one load."""

    load: str
    title: str
    who: str
    count: int
    speed: float
    to_begin: int
    """Requests before the waits, by the worker."""
    requests: int
    latency_median: float | None
    latency_95: float | None
    latency_max: float | None
    cpu_seconds: float
    cpu_share: float
    peak_mib: float
    added_mib: float
    worst_stall: float
    wrong: int
    """Red instead of green, or green instead of red."""
    premature: int
    """Decided although the sync had not ended at all."""
    missing: int
    simulator_share: float
    in_an_hour: float | None
    """Requests that syncs of one hour would cost; only under the long load."""


def markdown(rows: Sequence[Row], command: str, plots: Mapping[str, str] | None = None) -> str:
    """The whole page."""
    parts = ["# Many waits", _measured(command), LEGEND]
    for load, title in {row.load: row.title for row in rows}.items():
        shown = [row for row in rows if row.load == load]
        parts += [f"## {title}", _table(shown)]
        if plots:
            parts.append(f"![{title}]({plots[load]})")
        if any(row.in_an_hour is not None for row in shown):
            parts.append(_projection(shown))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def write(path: Path, rows: Sequence[Row], command: str) -> None:
    """Write the page, and a plot for each load beside it."""
    plots = {load: f"{path.stem}-{load}.svg" for load in {row.load: None for row in rows}}
    for load, name in plots.items():
        _plot(path.with_name(name), [row for row in rows if row.load == load])
    path.write_text(markdown(rows, command, plots), encoding="utf-8")


def _measured(command: str) -> str:
    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total / 2**30
    versions = ", ".join(
        f"{name} {metadata.version(name)}"
        for name in ("apache-airflow", "airflow-provider-fivetran", PEER, "aiohttp")
    )
    return (
        f"`{command}` on {datetime.now(UTC):%Y-%m-%d}, {cores} cores, {memory:.0f} GiB of memory, "
        f"{platform.system()}, Python {platform.python_version()}, {versions}; "
        f"load of the machine at the end {os.getloadavg()[0]:.1f}."
    )


def _table(rows: Sequence[Row]) -> str:
    lines = [
        HEADINGS,
        ["---:" if heading != "waits by" else "---" for heading in HEADINGS],
        *map(_cells, rows),
    ]
    speeds = {row.speed: None for row in rows}
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if speeds.keys() == {1.0}:
        return text
    said = {row.count: f"{row.count}: {row.speed:g}" for row in rows}
    return f"{text}\n\nSimulated seconds per second, by the number of syncs: {', '.join(said.values())}."


def _cells(row: Row) -> list[str]:
    return [
        f"{row.count:,}",
        row.who,
        f"{row.requests:,}",
        f"{row.requests / row.count:.1f} ({row.to_begin / row.count:.1f} to start)",
        *(_seconds(value) for value in (row.latency_median, row.latency_95, row.latency_max)),
        f"{row.cpu_seconds:.1f} s",
        f"{row.cpu_share:.0%}",
        f"{row.peak_mib:.0f} MiB",
        f"{row.added_mib:.0f} MiB",
        f"{row.worst_stall * 1000:.0f} ms",
        *(f"{number:,}" for number in (row.wrong, row.premature, row.missing)),
        f"{row.simulator_share:.0%}",
    ]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _projection(rows: Sequence[Row]) -> str:
    """How many syncs of one hour fit into the budget of an account."""
    counts = list({row.count: None for row in rows})
    lines = [
        PROJECTION,
        "| waits by | " + " | ".join(f"{count:,} syncs" for count in counts) + " | fit |",
        "| --- " + "| ---: " * (len(counts) + 1) + "|",
    ]
    for who in {row.who: None for row in rows}:
        costs = {row.count: row.in_an_hour for row in rows if row.who == who and row.in_an_hour is not None}
        shown = [
            f"{costs[count]:,.0f}" if count in costs else "-" for count in {row.count: None for row in rows}
        ]
        lines.append(f"| {who} | {' | '.join(shown)} | {_fitting(costs):,.0f} |")
    return "\n".join(lines)


def _fitting(costs: Mapping[int, float]) -> float:
    """How many syncs cost the whole budget, by the piece of the measured line that comes next to it."""
    points = [(0, 0.0), *sorted(costs.items())]
    pieces = list(pairwise(points))
    (fewer, less), (more, much) = next(
        (piece for piece in pieces if piece[1][1] >= HOURLY_BUDGET), pieces[-1]
    )
    return fewer + (more - fewer) * (HOURLY_BUDGET - less) / (much - less)


def _plot(path: Path, rows: Sequence[Row]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "benchmark"  # the same ids in each run
    from matplotlib import pyplot as plt

    shown: dict[str, Callable[[Row], float | None]] = {
        "requests per sync": lambda row: row.requests / row.count,
        "detected late, 95 % (s)": lambda row: row.latency_95,
        "CPU (s)": lambda row: row.cpu_seconds,
        "memory by the waits (MiB)": lambda row: row.added_mib,
        "worst stall (ms)": lambda row: row.worst_stall * 1000,
        "no verdict": lambda row: row.missing,
    }
    figure, axes = plt.subplots(2, 3, figsize=(12, 6), layout="constrained")
    for ax, (title, value) in zip(axes.flat, shown.items(), strict=True):
        for who in {row.who: None for row in rows}:
            points = [(row.count, value(row)) for row in rows if row.who == who]
            ax.plot(*zip(*points, strict=True), marker="o", label=who)
        ax.set(title=title, xscale="log", ylim=(0, None), xlabel="syncs at once")
    axes.flat[0].legend()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
