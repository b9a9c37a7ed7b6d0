"""Many deferred tasks in an Airflow of several parts: ``make cluster``.

PostgreSQL, Redis, API server, scheduler, DAG processor, Celery workers and triggerers are started on loopback ports
and in a scratch folder, with the simulator as Fivetran, and stopped at the end, also by Ctrl-C. Then one DAG runs
with all its tasks, once undisturbed and once with a triggerer killed in the middle. The exit code is 1 if a task was
not what its sync was, or a connection was triggered twice.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_server import NotReadyError
from benchmarks.cluster import ROOT
from benchmarks.cluster.findings import find
from benchmarks.cluster.packages import install_missing
from benchmarks.cluster.parts import Cluster, Parts, Redis, settings
from benchmarks.cluster.record import DAG, Ledger, Truth
from benchmarks.cluster.report import markdown, write
from benchmarks.cluster.scenes import Load, Stage
from benchmarks.fivetran import serving
from progress import Progress
from services import Interrupts, ServiceDiedError, Stopped
from stage import Database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.cluster.findings import Findings

PAGE = ROOT / "docs" / "cluster.md"
SCENES = {"undisturbed": "undisturbed", "killed": "a triggerer killed"}
# Seconds that it takes two cores to begin a task, on average, and until the first one has begun.
TO_BEGIN_ONE, TO_BEGIN = 0.8, 20.0
SHOWN = 20


class Run:
    """The cluster, and the scenes that are played in it."""

    def __init__(self, options: argparse.Namespace, scratch: Path, parts: Parts, progress: Progress) -> None:
        self._options = options
        self._scratch = scratch
        self._parts = parts
        self._progress = progress
        self.load = Load(
            tasks=options.tasks,
            lead=TO_BEGIN + options.tasks * TO_BEGIN_ONE,
            shortest=options.shortest,
            longest=options.longest,
        )
        self.database = Database(scratch, parts, sqlite=False)

    def play(self) -> list[Findings]:
        with serving({}, self._scratch) as fivetran:
            cluster, address = self._start(fivetran.url)
            ledger = Ledger(address)
            stage = Stage(cluster, self._parts, ledger, Truth(fivetran.url), self.load, self._progress)
            all_findings = []
            for name, title in SCENES.items():
                if self._options.only in {None, name}:
                    played = stage.play(name, title, self._options.triggerers, kill=name == "killed")
                    all_findings.append(find(played))
            ledger.close()
            return all_findings

    def _start(self, url: str) -> tuple[Cluster, str]:
        dags = self._scratch / "dags"
        dags.mkdir()
        shutil.copy(Path(__file__).with_name("dags") / "many_syncs.py", dags)
        (dags / "connections.json").write_text(json.dumps(self.load.connections()), encoding="utf-8")
        redis = Redis(self._scratch, self._parts)
        cluster = Cluster(self._scratch / "airflow", dags, self._parts)
        self._progress.say(f"{self.database.name}, Redis and Airflow start")
        redis.start()
        reached = self.database.start()
        fivetran = {"login": "sim-key", "password": "sim-secret", "host": url}
        cluster.start(cluster.environment(fivetran, **settings(redis.url, self.load.tasks), **reached))
        cluster.log_in()
        cluster.wait_until_known(DAG)
        return cluster, reached["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the scenes; the exit code says whether all was as it must be."""
    options = _options(arguments)
    interrupts, progress = Interrupts(), Progress()
    scratch = Path(tempfile.mkdtemp(prefix="fivetran-cluster-"))
    # The database runs as somebody else, who must get to its own folder in there.
    scratch.chmod(0o711)
    for folder in ("logs", "tmp"):
        (scratch / folder).mkdir()
    parts = Parts(scratch / "logs", interrupts)
    run, code = None, 2
    try:
        install_missing(parts, interrupts, progress)
        run = Run(options, scratch, parts, progress)
        code = _report(run, run.play(), options, progress)
    except Stopped as stop:
        progress.plain("\nStopping everything ...")
        code = stop.exit_code
    except (NotReadyError, ServiceDiedError) as problem:
        progress.plain(f"\n{problem}")
    finally:
        interrupts.ignore()
        database = parts.set_aside("PostgreSQL")
        parts.stop()
        Database.stop(database)
        if code or options.keep:
            progress.plain(f"The logs are kept: {scratch}")
        else:
            shutil.rmtree(scratch, ignore_errors=True)
    return code


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster.run", description=_summary())
    add = parser.add_argument
    add("--tasks", type=int, default=300, help="how many deferred tasks; %(default)s")
    add("--only", choices=tuple(SCENES), help="one run instead of both")
    add("--triggerers", type=int, default=2, help="how many triggerers; %(default)s")
    add("--shortest", type=float, default=60.0, help="seconds for which all tasks wait together; %(default)s")
    add("--longest", type=float, default=120.0, help="seconds of the longest sync after that; %(default)s")
    add("--write", action="store_true", help=f"put the figures into {PAGE.relative_to(ROOT)}")
    add("--keep", action="store_true", help="keep the scratch folder with all logs")
    options = parser.parse_args(arguments)
    if options.triggerers < 1 or (options.triggerers == 1 and options.only != "undisturbed"):
        parser.error("with one triggerer nobody can take over: --only undisturbed")
    return options


def _summary() -> str:
    return (__doc__ or "").partition("\n")[0]


def _report(
    run: Run, all_findings: Sequence[Findings], options: argparse.Namespace, progress: Progress
) -> int:
    command = "make cluster" + (f' ARGS="{shlex.join(sys.argv[1:])}"' if sys.argv[1:] else "")
    figures = markdown(all_findings, run.load, command, run.database.name)
    progress.plain(f"\n{figures}\n")
    wrong = [f"{found.played.title}: {text}" for found in all_findings for text in found.wrong]
    for text in wrong[:SHOWN]:
        progress.plain(text)
    minutes, seconds = divmod(int(progress.seconds()), 60)
    progress.say(
        f"{len(wrong)} of {len(all_findings) * run.load.tasks} tasks wrong; {minutes} min {seconds} s"
    )
    if options.write:
        write(PAGE, figures)
        progress.say(f"written to {PAGE.relative_to(ROOT)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
