"""``airflow fivetran migrate``, and the same without Airflow: ``python -m airflow_provider_fivetran.migrate``."""

from __future__ import annotations

import argparse
import difflib
import io
import json
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.migrate.files import find, read_python, replace
from airflow_provider_fivetran.migrate.peers import CONCERNED
from airflow_provider_fivetran.migrate.requirements import is_about_requirements, remarks_on
from airflow_provider_fivetran.migrate.words import DESCRIPTION, OUTPUT_HELP, OUTPUTS, PATH_HELP, WRITE_HELP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_fivetran.migrate.files import PythonText
    from airflow_provider_fivetran.migrate.rewriting import Remark

__all__ = ["main", "run"]

NOTHING_LEFT, SOMETHING_LEFT, BAD_USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m airflow_provider_fivetran.migrate``.

    :return: the exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_fivetran.migrate", description=DESCRIPTION
    )
    parser.add_argument("path", nargs="+", help=PATH_HELP)
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    parser.add_argument("--output", choices=OUTPUTS, default="text", help=OUTPUT_HELP)
    given = parser.parse_args(arguments)
    return run(given.path, write=given.write, output=given.output)


def run(paths: Sequence[str], *, write: bool = False, output: str = "text") -> int:
    """Rewrite files, or show how they would be rewritten, and tell of it on the terminal.

    :return: the exit code: 0, 1 if something is left to a person, 2 if this could not be done at all.
    """
    if find_spec("libcst") is None:
        print("This needs libcst: pip install 'airflow-provider-fivetran[migrate]'", file=sys.stderr)
        return BAD_USAGE
    report = Report()
    try:
        files = find(paths, report.remark_on_folder)
    except FileNotFoundError as error:
        print(_printable(str(error)), file=sys.stderr)
        return BAD_USAGE
    # Nothing is written until all has been looked at, and what was written is told in any case.
    found = [(file, looked) for file in files if (looked := _look_at(file)) is not None]
    try:
        for file, looked in found:
            _carry_out(file, looked, report, write=write)
    finally:
        print(report.as_json() if output == "json" else _printable(report.as_text()), end="")
    return SOMETHING_LEFT if report.remarks else NOTHING_LEFT


def _printable(text: str) -> str:
    """A text with what the terminal has no letters for spelled out."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


@dataclass
class Report:
    """What was found, and what was done about it."""

    changes: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[dict[str, Any]] = field(default_factory=list)

    def remark(self, file: Path, line: int, text: str, *, once: bool = False) -> None:
        """Leave something to a person; ``once``: no run after the rewriting can tell it."""
        self.remarks.append({"path": str(file), "line": line, "text": text, "told_once": once})

    def remark_on_folder(self, error: OSError) -> None:
        """Leave a folder to a person."""
        self.remark(Path(error.filename), 1, f"cannot be looked through: {error.strerror}")

    def as_json(self) -> str:
        """All of it for programs."""
        return json.dumps({"files": self.changes, "remarks": self.remarks}, indent=2) + "\n"

    def as_text(self) -> str:
        """All of it for people."""
        lines = [change["diff"] for change in self.changes]
        places_of: dict[str, list[str]] = {}
        for found in self.remarks:
            text = found["text"] + (" [told once]" if found["told_once"] else "")
            places_of.setdefault(text, []).append(f"{found['path']}:{found['line']}")
        for text, places in places_of.items():  # what is said of many places is said once
            lines += (
                [f"{text}:\n", *(f"  {at}\n" for at in places)] if places[1:] else [f"{places[0]}: {text}\n"]
            )
        written = sum(change["written"] for change in self.changes)
        pending = len(self.changes) - written
        parts = [f"{_files(written)} rewritten"] if written else []
        parts += [f"{_files(pending)} to rewrite (with --write)"] if pending else []
        parts = parts or ["nothing to rewrite"]
        left, once = len(self.remarks), sum(found["told_once"] for found in self.remarks)
        parts += [f"{left} place{'s' if left != 1 else ''} left to a person"] if left else []
        lines += ["; ".join(parts), "\n"]
        lines += [f"told once: {once}; no run can tell these once the files are rewritten\n"] if once else []
        return "".join(lines)


def _files(number: int) -> str:
    return f"{number} file{'s' if number != 1 else ''}"


@dataclass(frozen=True, slots=True)
class Looked:
    """What is to be done about a file."""

    remarks: tuple[Remark, ...]
    before: PythonText | None = None
    after: str = ""


def _look_at(file: Path) -> Looked | None:
    """What is to be done about a file; ``None``: nothing."""
    from airflow_provider_fivetran.migrate.rewriting import Remark, rewrite  # noqa: PLC0415

    try:
        data = file.read_bytes()
    except OSError as error:
        return Looked((Remark(1, 1, f"cannot be read: {error.strerror}"),))
    if is_about_requirements(file.name):
        return Looked(
            tuple(Remark(line, line, text) for line, text in remarks_on(data.decode(errors="replace")))
        )
    if not CONCERNED.search(data.decode("latin-1")):
        return None
    try:
        before = read_python(data)
    except ValueError as error:
        return Looked((Remark(1, 1, f"{error}; left as it is"),))
    result = rewrite(before.text)
    return Looked(result.remarks, before if result.text != before.text else None, result.text)


def _carry_out(file: Path, looked: Looked, report: Report, *, write: bool) -> None:
    written = False
    if looked.before is not None:
        if write:
            try:
                replace(file, looked.before.to_bytes(looked.after))
                written = True
            except OSError as error:
                report.remark(file, 1, f"cannot be written, and is left as it is: {error.strerror or error}")
        difference = _difference(str(file), looked.before.text, looked.after)
        report.changes.append({"path": str(file), "written": written, "diff": difference})
    for found in looked.remarks:
        report.remark(file, found.new_line if written else found.line, found.text, once=found.once)


def _difference(name: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        # Split where Python ends a line, and nowhere else.
        list(io.StringIO(before, newline="")),
        list(io.StringIO(after, newline="")),
        name,
        name,
    )
    return "".join(
        line if line.endswith(("\n", "\r")) else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
