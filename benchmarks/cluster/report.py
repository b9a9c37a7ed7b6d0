"""The figures as markdown, and their place in the page."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING

import psutil

from benchmarks.cluster.parts import TASKS_PER_WORKER, TRIGGERER_HEALTH_CHECK_THRESHOLD, WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.cluster.findings import Findings
    from benchmarks.cluster.meters import Use
    from benchmarks.cluster.scenes import Load
    from benchmarks.rows import Spread

KINDS = {
    "list": "the list of all connections",
    "look": "one connection",
    "history": "the sync history of one",
    "trigger": "the trigger of a sync",
    "other": "others",
}
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def markdown(all_findings: Sequence[Findings], load: Load, command: str, database: str) -> str:
    """All figures of a run."""
    return "\n\n".join(
        (_measured(load, command, database), _outcomes(all_findings, load), _triggerers(all_findings))
    )


def write(page: Path, figures: str) -> None:
    """Put the figures where the page has its marks."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{page} has no place for figures: {BEGIN} ... {END}")
    page.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}", encoding="utf-8")


def _measured(load: Load, command: str, database: str) -> str:
    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total / 2**30
    names = ("apache-airflow", "apache-airflow-providers-celery", "airflow-provider-fivetran")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    return (
        f"`{command}` on {datetime.now(UTC):%Y-%m-%d}, {cores} cores, {memory:.0f} GiB of memory, "
        f"{platform.system()}, Python {platform.python_version()}, {database}, {versions}. "
        f"{WORKERS} workers of {TASKS_PER_WORKER} tasks each. {load.tasks} tasks, whose syncs took "
        f"{load.lead + load.shortest:.0f} to {load.lead + load.longest:.0f} s: longer by {load.lead:.0f} s than "
        f"they were to wait together, because so long it takes this machine to begin all tasks. Load of the "
        f"machine at the end {os.getloadavg()[0]:.1f}."
    )


def _outcomes(all_findings: Sequence[Findings], load: Load) -> str:
    rows: list[tuple[str, Callable[[Findings], str]]] = [
        ("tasks green, red", lambda found: f"{found.green}, {found.red}"),
        (
            "tasks that say of their sync what Fivetran's record says",
            lambda found: f"{found.as_recorded} of {load.tasks}",
        ),
        ("triggers that a connection got, at most", lambda found: str(found.most_triggers)),
        ("tries that a task took, at most", lambda found: str(found.most_tries)),
        (
            "deferred at once, at most",
            lambda found: f"{found.played.most_deferred}, after {found.played.deferred_after:.0f} s",
        ),
        ("whole run", lambda found: f"{found.played.seconds:.0f} s"),
        (
            "requests, and per sync",
            lambda found: f"{found.kinds.total():,}, {found.kinds.total() / load.tasks:.1f}",
        ),
        *((f"- {title}", lambda found, kind=kind: f"{found.kinds[kind]:,}") for kind, title in KINDS.items()),
        ("requests in the busiest minute", lambda found: str(found.busiest_minute)),
        ("end of the sync to its event in Airflow", lambda found: _spread(found.noticed)),
        ("- where the triggerer was killed", lambda found: _spread(found.noticed_after_kill)),
        ("end of the sync to the end of its task", lambda found: _spread(found.over)),
        ("hand-over of the killed triggerer's triggers", _hand_over),
    ]
    titles = [found.played.title for found in all_findings]
    lines = [f"| | {' | '.join(titles)} |", f"| --- {'| ---: ' * len(titles)}|"]
    lines += [f"| {name} | {' | '.join(map(cell, all_findings))} |" for name, cell in rows]
    return "\n".join(lines) + "\n\nDelays: median; 95 of 100 were shorter; longest."


def _hand_over(found: Findings) -> str:
    over = found.played.hand_over
    if over is None:
        return "-"
    moved, seconds = len(over.connections), f"{over.seconds:.0f} s"
    return f"{moved} triggers, {seconds}; {found.ended_unwatched} of their syncs ended meanwhile"


def _spread(spread: Spread) -> str:
    values = [spread.at(share) for share in (0.5, 0.95, 1)]
    return "; ".join(f"{value:.1f} s" for value in values if value is not None) or "-"


def _triggerers(all_findings: Sequence[Findings]) -> str:
    lines = [
        "| | triggerer | triggers at most | memory idle | at most | CPU | of a core | loop blocked |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for found in all_findings:
        lines += [_triggerer(found, number, use) for number, use in enumerate(found.played.uses, 1)]
    legend = (
        "Memory and CPU are those of all processes of a triggerer; its event loop counts as blocked after 0.2 s, "
        "and the longest of these times is shown. A triggerer counts as dead when it has not told that it "
        f"lives for {TRIGGERER_HEALTH_CHECK_THRESHOLD} s (`[triggerer] triggerer_health_check_threshold`)."
    )
    return "\n".join(lines) + f"\n\n{legend}"


def _triggerer(found: Findings, number: int, use: Use) -> str:
    lived = found.played.seconds if use.ended_after is None else use.ended_after
    cells = (
        found.played.title,
        str(number) if use.ended_after is None else f"{number}, killed after {use.ended_after:.0f} s",
        str(use.most_triggers),
        f"{use.idle_mib:.0f} MiB",
        f"{use.peak_mib:.0f} MiB",
        f"{use.cpu_seconds:.1f} s",
        f"{use.cpu_seconds / lived:.0%}",
        f"{len(use.stalls)} times, {max(use.stalls):.1f} s" if use.stalls else "never",
    )
    return f"| {' | '.join(cells)} |"
