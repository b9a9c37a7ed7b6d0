"""The live matrix: a real Airflow, each of its parts disturbed in turn, and a look at what became of the syncs.

``python tests/live/disturb.py`` runs all rows and writes the table to docs/live-matrix.md; ``--only REGEX`` runs some
and writes nothing. Everything runs on loopback ports and in a scratch folder; at the end, also by Ctrl-C, nothing of
it is left. The exit code is 1 if a row was not as promised.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import re
import shutil
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

# Its parts that start processes and talk to Airflow serve here too.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "example_dags" / "demo"))

from airflow_provider_fivetran.simulator import Simulator
from airflow_server import NotReadyError
from findings import Finding, markdown, page
from rows import all_rows
from running import carry_out
from scenes import Scenes, each
from stage import SHORTENED, Database, LiveAirflow, Watch, until
from story import Story, Unlike

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from progress import Progress
    from running import Place
    from story import Row

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "live-matrix.md"
AT_ONCE = 12
STARTS_WITHIN = 150.0
MOST_ATTEMPTS = 3


class Matrix:
    """One run of the rows."""

    def __init__(self, rows: Sequence[Row], place: Place, *, sqlite: bool) -> None:
        self._rows = rows
        self._processes = place.processes
        self._say = place.progress.say
        self._simulator = Simulator()
        self._dags = place.scratch / "dags"
        self.database = Database(place.scratch, place.processes, sqlite=sqlite)
        self._airflow = LiveAirflow(place.scratch / "airflow", self._dags, place.processes)
        self._scenes = Scenes(self._airflow, place.processes)
        self._watch = Watch(self._airflow)
        self._stopped = threading.Event()
        self._attempts: dict[str, list[Story]] = {}

    def run(self) -> list[Finding]:
        with self._simulator.serving() as url:
            self._start(url)
            self._play(self._rows)
            for _ in range(MOST_ATTEMPTS - 1):
                again = [row for row in self._rows if self._is_airflows_own(row)]
                if again:
                    self._say(f"Airflow lost events of its executor; again: {len(again)} rows")
                    self._play(again)
            # Looked at anew, after everything: nothing may have changed since the end of a row.
            findings = [self._finding(row) for row in self._rows]
            return sorted(findings, key=lambda finding: finding.row.group)

    def stop(self) -> None:
        self._stopped.set()
        self._watch.stop()

    # --- its parts ------------------------------------------------------------------------------------------

    def _start(self, url: str) -> None:
        self._dags.mkdir()
        shutil.copy(HERE / "dags" / "disturbed.py", self._dags)
        described = [row.to_json() for row in self._rows]
        (self._dags / "rows.json").write_text(json.dumps(described), encoding="utf-8")
        self._say(f"{self.database.name} and Airflow {importlib.metadata.version('apache-airflow')} start")
        fivetran = {"login": "sim-key", "password": "sim-secret", "host": url}
        more = {"AIRFLOW__CORE__PARALLELISM": "16", **SHORTENED, **self.database.start()}
        self._airflow.start(self._airflow.environment(fivetran, **more))
        self._scenes.start()
        self._airflow.log_in()
        self._scenes.wait_until_ready()
        missing = [row.dag_id for row in self._rows]

        def all_there() -> bool:
            missing[:] = [dag_id for dag_id in missing if not self._airflow.has(dag_id)]
            return not missing

        if not until(all_there, STARTS_WITHIN, self._processes.check):
            raise NotReadyError(f"Airflow does not know {', '.join(missing)}")
        self._watch.start()
        self._say(f"Airflow is ready; {len(self._rows)} rows")

    def _play(self, rows: Sequence[Row]) -> None:
        self._play_alone([row for row in rows if not row.scene])
        for scene in dict.fromkeys(row.scene for row in rows if row.scene):
            self._say(f"scene: {scene}")
            stories = [self._story(row) for row in rows if row.scene == scene]
            self._scenes.play(scene, stories)
            each(stories, Story.settles)
            for story in stories:
                self._tell(story)

    def _play_alone(self, rows: Iterable[Row]) -> None:
        """Play rows that disturb nobody else, several at once."""
        slots = threading.Semaphore(AT_ONCE)
        threads = [threading.Thread(target=self._alone, args=(row, slots), daemon=True) for row in rows]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self._processes.check()
            time.sleep(0.3)

    def _alone(self, row: Row, slots: threading.Semaphore) -> None:
        with slots:
            if self._stopped.is_set():
                return
            story = self._story(row)
            assert row.disturb is not None
            try:
                row.disturb(story)
                story.until_over()
                story.settles()
            except (Unlike, NotReadyError) as trouble:
                story.trouble = str(trouble)
            if not self._stopped.is_set():
                self._tell(story)

    def _story(self, row: Row) -> Story:
        stories = self._attempts.setdefault(row.dag_id, [])
        number = len(stories) + 1
        story = Story(
            row, number, self._airflow, self._watch, self._simulator, self._processes, self._stopped
        )
        stories.append(story)
        return story

    def _tell(self, story: Story) -> None:
        finding = self._finding(story.row)
        verdict = "; ".join(finding.differences) or "as promised"
        self._say(f"{story.row.dag_id:<45} {verdict}   [{' '.join(story.seen)}]")

    def _finding(self, row: Row) -> Finding:
        stories = self._attempts[row.dag_id]
        story = stories[-1]
        return Finding(
            row=row,
            outcome=story.outcome(),
            trouble=story.trouble,
            seen=story.seen,
            quarrels=story.quarrels,
            attempts=len(stories),
        )

    def _is_airflows_own(self, row: Row) -> bool:
        """Whether the scheduler itself says that it failed the task over an event that came late."""
        finding = self._finding(row)
        return bool(finding.differences and finding.quarrels)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix; the exit code says whether all was as promised."""
    choices = _choices(arguments)
    rows = [row for row in all_rows() if re.search(choices.only, row.dag_id)]

    def play(place: Place) -> int:
        matrix = Matrix(rows, place, sqlite=choices.sqlite)
        try:
            return _report(matrix, matrix.run(), place.progress, complete=choices.only == "")
        finally:
            matrix.stop()

    return carry_out("live", play, keep=choices.keep)


def _choices(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", default="", metavar="REGEX", help="rows whose DAG ids match; no page is written"
    )
    parser.add_argument("--sqlite", action="store_true", help="do without PostgreSQL")
    parser.add_argument("--keep", action="store_true", help="keep the scratch folder with all logs")
    return parser.parse_args(arguments)


def _report(matrix: Matrix, findings: Sequence[Finding], progress: Progress, *, complete: bool) -> int:
    progress.plain(f"\n{markdown(findings)}\n")
    wrong = [finding for finding in findings if finding.differences]
    for finding in wrong:
        progress.plain(f"{finding.row.dag_id}: {'; '.join(finding.differences)}")
        progress.plain(f"    seen: {' '.join(finding.seen)}")
        for line in finding.quarrels:
            progress.plain(f"    the scheduler: {line[:300]}")
    progress.say(f"{len(findings) - len(wrong)} of {len(findings)} rows as promised")
    if complete:
        minutes, seconds = divmod(int(progress.seconds()), 60)
        airflow, python = importlib.metadata.version("apache-airflow"), platform.python_version()
        facts = (
            f"{datetime.now(UTC):%Y-%m-%d}, Airflow {airflow}, Python {python}, {matrix.database.name}, LocalExecutor",
            f"`make live` (`python tests/live/disturb.py`), {minutes} min {seconds} s",
        )
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(findings, facts, SHORTENED), encoding="utf-8")
        progress.say(f"written to {PAGE.relative_to(ROOT)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
