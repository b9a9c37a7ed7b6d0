"""The plots of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.rows import Notes, Row, Steady

KINDS_OF_REQUESTS = ("to start", "list", "look", "history")


def draw(notes: Notes, page: Path) -> dict[str, str]:
    """Draw a plot for each load beside the page; their names, by load."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "benchmark"  # the same ids in each run
    mpl.rcParams["svg.fonttype"] = "none"
    names = {}
    for load, rows in notes.waits().items():
        if len({row.count for row in rows}) == 1:
            continue
        names[load] = f"{page.stem}-{load}.svg"
        _waits(page.with_name(names[load]), rows)
    for load, days in notes.days().items():
        names[load] = f"{page.stem}-{load}.svg"
        _days(page.with_name(names[load]), days)
    return names


def _waits(path: Path, rows: Sequence[Row]) -> None:
    from matplotlib import pyplot as plt

    shown: dict[str, Callable[[Row], float | None]] = {
        "requests per sync": lambda row: row.requests / row.count,
        "detected late, 95 % (s)": lambda row: row.late.at(0.95),
        "CPU (s)": lambda row: row.cpu_seconds,
        "memory by the waits (MiB)": lambda row: row.added_mib,
        "worst stall (ms)": lambda row: row.longest_hold * 1000,
        "no verdict": lambda row: row.missing,
    }
    figure, axes = plt.subplots(2, 3, figsize=(12, 6), layout="constrained")
    for ax, (title, value) in zip(axes.flat, shown.items(), strict=True):
        for who in sorted({row.who for row in rows}):
            points = [(row.count, value(row)) for row in rows if row.who == who]
            ax.plot(*zip(*points, strict=True), marker="o", label=who)
        ax.set(title=title, xscale="log", ylim=(0, None), xlabel="syncs at once")
    axes.flat[0].legend()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _days(path: Path, days: Sequence[Steady]) -> None:
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
    for day in days:
        values = day.late["all"].values
        shares = [(number + 1) / len(values) * 100 for number in range(len(values))]
        left.step([max(value, 0.01) for value in values], shares, where="post", label=day.who)
    left.set(title="verdicts (%) within so many seconds of the end", xscale="log", ylim=(0, 100))
    left.legend()
    names = [day.who for day in days]
    bottom = [0.0] * len(days)
    for what in KINDS_OF_REQUESTS:
        heights = [(day.to_begin if what == "to start" else day.asked.get(what, 0)) for day in days]
        right.barh(names, heights, left=bottom, label=what)
        bottom = [sum(pair) for pair in zip(bottom, heights, strict=True)]
    right.axvline(days[0].budget, linestyle="--", color="black", label="allowed")
    right.set(title="requests in an hour")
    right.legend()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
