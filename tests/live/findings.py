"""What the matrix found, as a table for a terminal and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from story import Outcome, Row

HEAD = (
    "row",
    "what happens",
    "waits in",
    "when_killed",
    "put back at the end",
    "syncs that ran",
    "task",
    "tries",
    "connection",
    "as promised",
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row as it went."""

    row: Row
    outcome: Outcome
    trouble: str
    # The states and tries that were seen, in order.
    seen: Sequence[str]
    # What the scheduler said about a quarrel with its executor.
    quarrels: Sequence[str]
    attempts: int = 1

    @property
    def differences(self) -> list[str]:
        return [*self.outcome.differences(self.row.promised), *([self.trouble] if self.trouble else [])]

    def cells(self) -> tuple[str, ...]:
        outcome = self.outcome
        verdict = "yes" if not self.differences else "**no**: " + "; ".join(self.differences)
        if self.attempts > 1:
            verdict += f" (run {self.attempts} times: Airflow lost an event of its executor)"
        return (
            str(self.row.group),
            self.row.what,
            self.row.waits_in,
            self.row.when_killed,
            _undone(self.row),
            ", ".join(outcome.syncs) or "none",
            str(outcome.state),
            str(outcome.tries),
            "as found" if outcome.as_found else "changed",
            verdict,
        )


def _undone(row: Row) -> str:
    if "restore_schedule" in row.arguments:
        return "schedule_type"
    return "paused" if "when_paused" in row.arguments else ""


def markdown(findings: Sequence[Finding]) -> str:
    lines = [HEAD, tuple("---" for _ in HEAD), *(finding.cells() for finding in findings)]
    return "\n".join(f"| {' | '.join(_plain(cell) for cell in line)} |" for line in lines)


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def page(findings: Sequence[Finding], facts: Sequence[str], shortened: dict[str, str]) -> str:
    """The page that is kept."""
    kept = sum(1 for finding in findings if not finding.differences)
    settings = "\n".join(f"- `{name}={value}`" for name, value in sorted(shortened.items()))
    return f"""# What a disturbed task does to its sync

Each row is a sync task in a real Airflow, disturbed as the row says, against the project's own simulator. "Syncs that
ran" is the simulator's record: what asked for a sync (`api`: a task's request) and how it ended in the words of
Fivetran's sync history (`PAUSED`: stopped by pausing the connection). "Connection" compares `paused` and
`schedule_type` at the very end with what they were at the beginning; "put back at the end" is what the task had
changed and promised to put back. Each expectation stands beside its row in `tests/live/rows.py`.

{chr(10).join(f"- {fact}" for fact in facts)}
- {kept} of {len(findings)} rows as promised

{markdown(findings)}

Airflow's patience is shortened for this, so that no row has to wait for minutes:

{settings}
"""
