"""``airflow fivetran doctor``: look at an Airflow connection step by step."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow_provider_fivetran.commands.examining import examine
from airflow_provider_fivetran.commands.tables import fold, terminal_width
from airflow_provider_fivetran.commands.terminal import INTERRUPTED, behave_as_airflows_own, show

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from airflow_provider_fivetran.commands.examining import Finding

__all__ = ["doctor"]

NOT_TRIED = "Whether the key may start syncs was not tried, since nothing was to be changed."
# The column where the text of a finding begins.
TEXT_AT = 28


def doctor(args: argparse.Namespace) -> None:
    """Tell of each step whether all is well, and what to do if not; it fails if something is wrong."""
    behave_as_airflows_own()
    for_people = args.output == "table"
    findings: list[Finding] = []
    try:
        for finding in examine(args.conn_id, connection_id=args.connection):
            if for_people:
                _tell(finding, findings[-1].conn_id if findings else None)
            findings.append(finding)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    if for_people:
        print(f"\n{fold(_summary(findings), terminal_width(), indent=0)}")
    else:
        show([asdict(finding) for finding in findings], args.output, nothing="")
    if any(finding.state == "wrong" for finding in findings):
        raise SystemExit(1)


def _tell(finding: Finding, last_conn_id: str | None) -> None:
    if finding.conn_id != last_conn_id:
        print(f"{'' if last_conn_id is None else chr(10)}Airflow connection {finding.conn_id}")
    width = terminal_width()
    says = fold(finding.says, width, indent=TEXT_AT)
    print(f"  {finding.state:<8} {finding.check:<16} {says}", flush=True)
    if finding.advice:
        advice = fold(finding.advice, width, indent=TEXT_AT + len("-> "))
        print(f"{'':<{TEXT_AT}}-> {advice}", flush=True)


def _summary(findings: Sequence[Finding]) -> str:
    wrong, warnings = (sum(finding.state == state for finding in findings) for state in ("wrong", "warning"))
    warned = f"{warnings or 'no'} warning{'' if warnings == 1 else 's'}"
    if wrong:
        return f"{wrong} wrong, {warned}."
    return f"{f'Nothing is wrong, {warned}.' if warnings else 'All is well.'} {NOT_TRIED}"
