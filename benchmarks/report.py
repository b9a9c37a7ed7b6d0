"""What was measured, as a page of tables."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, TypeVar

import psutil

from benchmarks.projection import HOURLY_BUDGET, fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.rows import Import, Notes, Row, Spread, Steady

T = TypeVar("T")

PEER = "airflow-provider-fivetran-async"
LEGEND = f"""\
Nothing here is judged; the figures are what one run on one machine showed. The peer is *{PEER}*. Fivetran is the
simulator, in a process of its own. Not measured: TLS, distance, and what Airflow itself does for a trigger (its
database, its logs, and asking the supervisor for the connection).

*to start*: requests of the worker, before the task waits; *lists*: of all connections at once, by the page;
*looks*: at one connection; *history*: of one connection's syncs. *late*: seconds from the real end of a sync, by
the simulator's record, to the event of its trigger. *wrong*: red for a good sync or green for a bad one; *early*:
decided before the sync had ended; *none*: not decided within two minutes after the last sync. *CPU*: seconds of
the waiting process. *by the waits*: how much its memory grew from the moment before. *worst stall*: how long its
event loop was held up at worst; *worst work*: how much it computed in one go at worst, and *garbage*: what
Python's longest collection of garbage took, which goes through all that Airflow has loaded, so that no wait can
help it (where none is shown, it is in *worst work*). These two are what would be left of the stall on an idle
machine. *simulator*: how much of a core that used; near 100 % it was the simulator that was measured. *machine*:
its load average; above its number of cores, stalls and delays are also others'.
"""
QUICK = """\
Syncs of many last longer, by what it takes to begin them all before the first is over.
"""
EVEN = """\
Of one run of 500 syncs, whose ends fall anywhere between two looks, the median is uncertain by some 0.04 s: about as
much as the two differ. Here *late* is that of all runs, stalls and memory are the worst, and the rest is the mean.
"""
FROZEN = """\
What is left of the stalls when Python no longer goes through all that Airflow has loaded whenever it looks for
garbage. A provider has no business to change that for a whole triggerer; whoever runs one may: `docs/waiting.md`
says how.
"""
REMARKS = {"quick": QUICK, "even": EVEN, "frozen": FROZEN}
SKIPPED = """\
Where syncs are longer, idle time is skipped: whenever the waiting process has nothing to do, and nothing is on its
way to it, the clock of all processes is moved to its next appointment. Requests and calculations take as long as
they really do.
"""
PROJECTION = f"""\
**How many syncs of one hour fit into the {HOURLY_BUDGET:,} requests that an account has in an hour.** Each sync is
started, waited for and judged within the hour, so the requests of the table are what so many syncs at once cost.
Between two numbers of syncs, and beyond the last, a straight line.
"""
MIX = """\
40 % of the syncs take 8 to 60 seconds, 40 % two to twenty minutes, 20 % up to six hours, each connection within a
fifth of its usual time, which its last five syncs have shown; 2 % fail early, and 2 % take two to three times as
long. A task begins when its predecessor has ended. Nothing is set but the connection. The first seven hours, in
which all this becomes steady, are not counted.
"""


def page(notes: Notes, command: str, plots: Mapping[str, str] | None = None) -> str:
    """The whole page."""
    plots = plots or {}
    parts = ["# Many waits", _measured(command), LEGEND, SKIPPED]
    for load, rows in notes.waits().items():
        parts += [f"## {rows[0].title}", REMARKS.get(load, "")]
        parts += [_table(_requests_of, rows), *_shown(plots, load, rows[0].title), _table(_cost_of, rows)]
        if load == "hour":
            parts += [PROJECTION, _projection(rows)]
    for load, days in notes.days().items():
        parts += [f"## {days[0].title}", MIX if load == "mix" else ""]
        parts += [_table(_requests_in_an_hour, days), *_shown(plots, load, days[0].title)]
        parts += [_table(_verdicts_of, days), "Late, by the kind of sync:", _kinds(days)]
    if notes.imports():
        parts += ["## Importing the operators and sensors", _imports(notes.imports())]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _shown(plots: Mapping[str, str], load: str, title: str) -> list[str]:
    return [f"![{title}]({plots[load]})"] if load in plots else []


def _measured(command: str) -> str:
    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total / 2**30
    versions = ", ".join(
        f"{name} {metadata.version(name)}"
        for name in ("apache-airflow", "airflow-provider-fivetran", PEER, "aiohttp")
    )
    return (
        f"{command} on {datetime.now(UTC):%Y-%m-%d}, {cores} cores, {memory:.0f} GiB of memory, "
        f"{platform.system()}, Python {platform.python_version()}, {versions}."
    )


# --- waits that began together --------------------------------------------------------------------------------


def _requests_of(row: Row) -> dict[str, str]:
    return {
        "syncs": f"{row.count:,}",
        "waits by": row.who,
        "requests": f"{row.requests:,}",
        "per sync": f"{row.requests / row.count:.2f}",
        "to start": f"{row.to_begin:,}",
        **_kinds_of_requests(row.asked),
        **_late(row.late),
        **_faults(row),
    }


def _cost_of(row: Row) -> dict[str, str]:
    return {
        "syncs": f"{row.count:,}",
        "waits by": row.who,
        "CPU": f"{row.cpu_seconds:.1f} s",
        "of a core": f"{row.cpu_share:.0%}",
        "peak memory": f"{row.peak_mib:.0f} MiB",
        "by the waits": f"{row.added_mib:.0f} MiB",
        **_stalls(row),
        "simulator": f"{row.simulator_share:.0%}",
        "machine": _load(row.machine),
    }


def _projection(rows: Sequence[Row]) -> str:
    lines = []
    for who in {row.who: None for row in rows}:
        costs = {row.count: row.requests for row in rows if row.who == who}
        count = fitting(costs)
        beyond = "" if count <= max(costs) else f", beyond the {max(costs):,} that were measured"
        lines.append(f"- {who}: {count:,.0f}{beyond}")
    return "\n".join(lines)


# --- waits that began one after the other ---------------------------------------------------------------------


def _requests_in_an_hour(day: Steady) -> dict[str, str]:
    return {
        "waits by": day.who,
        "syncs at once": f"{day.slots:,}",
        "begun in an hour": f"{day.begun / day.hours:,.0f}",
        "requests in an hour": f"{day.requests:,.0f}",
        f"of {day.budget:,}": f"{day.requests / day.budget:.1%}",
        "to start": f"{day.to_begin:,.0f}",
        **_kinds_of_requests(day.asked),
        "most in any hour": f"{day.most_in_an_hour:,.0f}",
        "refused (429)": f"{day.refused:,}",
    }


def _verdicts_of(day: Steady) -> dict[str, str]:
    return {
        "waits by": day.who,
        "hours": f"{day.hours:g}",
        "verdicts": f"{len(day.late['all'].values):,}",
        **_late(day.late["all"]),
        **_faults(day),
        "did not begin": f"{day.not_begun:,}",
        "CPU in an hour": f"{day.cpu_seconds:.1f} s",
        **_stalls(day),
        "simulator": f"{day.simulator_share:.0%}",
        "machine": _load(day.machine),
    }


def _kinds(days: Sequence[Steady]) -> str:
    rows = [(day.who, name, spread) for day in days for name, spread in day.late.items() if name != "all"]
    return _table(
        lambda row: {
            "waits by": row[0],
            "syncs": row[1],
            "verdicts": f"{len(row[2].values):,}",
            **_late(row[2]),
        },
        rows,
    )


# --- imports --------------------------------------------------------------------------------------------------


def _imports(rows: Sequence[Import]) -> str:
    table = _table(
        lambda row: {
            "imported": "Airflow's DAG and base classes alone" if row.airflow else f"{row.who}, after that",
            "milliseconds: median": f"{row.milliseconds.at(0.5):.0f}",
            "least": f"{row.milliseconds.at(0):.0f}",
            "most": f"{row.milliseconds.at(1):.0f}",
            "modules": f"{row.modules:,}",
        },
        rows,
    )
    return f"Each in {len(rows[0].milliseconds.values)} new processes, in turn.\n\n{table}"


# --- their parts ----------------------------------------------------------------------------------------------


def _table(cells: Callable[[T], dict[str, str]], rows: Sequence[T]) -> str:
    lines = [cells(row) for row in rows]
    headings = list(lines[0])
    words = ("waits by", "imported")
    rule = ["---" if heading in words else "---:" for heading in headings]
    return "\n".join(
        f"| {' | '.join(line)} |" for line in (headings, rule, *(line.values() for line in lines))
    )


def _kinds_of_requests(asked: Mapping[str, float]) -> dict[str, str]:
    others = sum(number for what, number in asked.items() if what not in ("list", "look", "history"))
    return {
        "lists": f"{asked.get('list', 0):,.0f}",
        "looks": f"{asked.get('look', 0):,.0f}",
        "history": f"{asked.get('history', 0):,.0f}",
        **({"other": f"{others:,.0f}"} if others else {}),
    }


def _late(late: Spread) -> dict[str, str]:
    return {
        "late: median": _seconds(late.at(0.5)),
        "95 %": _seconds(late.at(0.95)),
        "max": _seconds(late.at(1)),
    }


def _faults(row: Row | Steady) -> dict[str, str]:
    return {"wrong": f"{row.wrong:,}", "early": f"{row.early:,}", "none": f"{row.missing:,}"}


def _stalls(row: Row | Steady) -> dict[str, str]:
    work, collection = (
        "-" if seconds is None else f"{seconds * 1000:.0f} ms"
        for seconds in (row.longest_work, row.longest_collection)
    )
    return {"worst stall": f"{row.longest_hold * 1000:.0f} ms", "worst work": work, "garbage": collection}


def _load(average: float | None) -> str:
    return "-" if average is None else f"{average:.1f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
