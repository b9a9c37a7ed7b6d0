"""One sync task under disturbance: what may be done to it, what is waited for, and what became of it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psutil

from airflow_provider_fivetran.simulator import Fault, SyncPlan
from stage import TASK, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_fivetran.simulator import Run, Simulator
    from stage import LiveAirflow, Processes, Watch

# A sync that runs until the row lets it end.
HELD = SyncPlan(duration=24 * 3600)
OVER = {"success", "failed", "skipped"}
PATIENCE = 90.0
GRACE = 6.0
# A trigger's first question to Airflow takes about five seconds: whatever would be stopped has been by then.
LONG_ENOUGH_TO_BE_STOPPED = 12.0
# What Airflow 3.3 logs when it tells a trigger that it is killed.
TOLD = "invoking on_kill"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a row, or what is to become of it."""

    # Cause and end of each sync that was accepted, in order.
    syncs: tuple[str, ...]
    state: str | None
    tries: int
    # Paused and schedule_type of the connection at the end are those at the beginning.
    as_found: bool = True

    def differences(self, promised: Outcome) -> list[str]:
        """In words, what of this is not as promised."""
        pairs = (
            ("syncs", ", ".join(self.syncs) or "none", ", ".join(promised.syncs) or "none"),
            ("task", self.state, promised.state),
            ("tries", self.tries, promised.tries),
            ("connection", _left(self.as_found), _left(promised.as_found)),
        )
        return [f"{name}: {found} instead of {wanted}" for name, found, wanted in pairs if found != wanted]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One task, what is done to it, and what was promised for that."""

    name: str
    group: int
    what: str
    deferrable: bool
    promised: Outcome
    # What is done to this task alone; rows of a scene are disturbed together.
    disturb: Callable[[Story], None] | None = None
    scene: str = ""
    when_killed: str = "leave"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)
    plans: tuple[SyncPlan, ...] = ()
    dagrun_timeout: float | None = None
    # Two tasks, the first of which is disturbed.
    mapped: bool = False
    # What the scheduler then says about its executor is no trouble of Airflow's own.
    kills_worker: bool = False

    @property
    def dag_id(self) -> str:
        return f"{self.group:02d}_{self.name}"

    @property
    def waits_in(self) -> str:
        return "triggerer" if self.deferrable else "worker"

    def to_json(self) -> dict[str, Any]:
        """What the DAG file must know."""
        task = {
            "deferrable": self.deferrable,
            "when_killed": self.when_killed,
            "retries": 1,
            "retry_delay": 1,
            **self.arguments,
        }
        return {
            "dag_id": self.dag_id,
            "task": task,
            "mapped": self.mapped,
            "dagrun_timeout": self.dagrun_timeout,
        }


class Unlike(Exception):
    """The story went another way than the row has it."""


class Story:
    """A run of a row."""

    def __init__(
        self,
        row: Row,
        attempt: int,
        airflow: LiveAirflow,
        watch: Watch,
        simulator: Simulator,
        processes: Processes,
        stopped: threading.Event,
    ) -> None:
        self.row = row
        self.connection_id = f"c{row.dag_id}_{attempt}"
        self.run_id = f"attempt_{attempt}"
        self.trouble = ""
        self._airflow = airflow
        self._watch = watch
        self._simulator = simulator
        self._processes = processes
        self._stopped = stopped
        self._triggers: dict[int, int] = {}
        self._ids = [self.connection_id, *([f"{self.connection_id}_beside"] if row.mapped else [])]
        for connection_id in self._ids:
            found = {"schedule_type": "auto", **row.found}
            simulator.add_connection(connection_id, plans=row.plans, default_plan=HELD, **found)

    # --- what is done ---------------------------------------------------------------------------------------

    def begin(self) -> None:
        self._airflow.run_dag(self.row.dag_id, self.run_id, {"connection": self.connection_id})

    def mark(self, state: str) -> None:
        self._airflow.mark(self.row.dag_id, self.run_id, TASK, state, 0 if self.row.mapped else None)

    def clear(self) -> None:
        self._airflow.clear(self.row.dag_id, self.run_id, TASK)

    def hold(self, method: str, path: str, *, takes_effect: bool, seconds: float = 20) -> None:
        """Let one answer to this task take so long, whether or not what it asks for is done at once."""
        pattern = f"/{re.escape(self.connection_id)}{path}$"
        fault = Fault(kind="slow", method=method, path=pattern, delay=seconds, takes_effect=takes_effect)
        self._simulator.faults.add(fault)

    def kill_worker(self) -> None:
        """SIGKILL to the process of the task."""
        os.kill(self._worker(), signal.SIGKILL)

    def shut_worker_down(self) -> None:
        """What a machine does that shuts down: ask the supervisor of the task to end, then end both by force."""
        task = psutil.Process(self._worker())
        supervisor = task.parent()
        if supervisor is None or not self._processes.holds(supervisor.pid):
            raise Unlike("the task has no supervisor")
        supervisor.terminate()
        until(lambda: False, GRACE, self._check)
        for process in (supervisor, task):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _worker(self) -> int:
        """The process of the task, which must be one that came of our own scheduler."""
        pid = (self._task() or {}).get("pid")
        if not pid or not self._processes.holds(pid):
            raise Unlike(f"no worker process to kill (pid {pid})")
        return int(pid)

    def cancel(self) -> None:
        """End the sync as a person does in the dashboard, which moves no timestamp."""
        self._simulator.cancel(self.connection_id)

    def let_end(self) -> None:
        """Let the sync that runs end, as its plan says, now."""
        self._let_end(self.connection_id)

    def beside_stays_alive_and_ends(self) -> None:
        """The same for the sync of the other mapped task, which must not have been stopped with the first."""
        until(lambda: self.beside != "api RUNNING", LONG_ENOUGH_TO_BE_STOPPED, self._check)
        self._let_end(self._ids[-1])
        self.until_run_over()
        if self.beside != "api COMPLETED":
            raise Unlike(f"the sync of the other task: {self.beside}")

    def _let_end(self, connection_id: str) -> None:
        account = self._simulator.account
        with account.lock:
            run = account.connection(connection_id).run
            if run is None or run.started_at is None:
                raise Unlike("no sync runs that could end")
            age = self._simulator.clock.now() - run.started_at
            run.plan = replace(run.plan, duration=age.total_seconds())
            account.connection(connection_id)

    # --- what is waited for ---------------------------------------------------------------------------------

    def until_waiting(self, *, tries: int = 1) -> None:
        """Until the sync runs and the task, where it waits, has looked at it."""
        self.until(lambda: self._is_syncing, "a sync runs")
        if self.row.deferrable:
            self.until(lambda: self._is("deferred", tries) and self._is_taken(tries), "the task is deferred")
        else:
            self.until(lambda: self._is("running", tries), "the task runs")
        self.until_looked_at()

    def until_looked_at(self) -> None:
        """Until the task has looked at the sync a few times more, by itself or along with others."""
        looks = self._looks
        self.until(lambda: self._looks >= looks + 3, "the task looks at the sync")

    def until_state(self, state: str, *, tries: int | None = None) -> None:
        self.until(lambda: self._is(state, tries), f"the task is {state}")

    def until_told(self) -> None:
        """Until Airflow has told the trigger that it is killed, rightly or not."""
        self.until(
            lambda: TOLD in self._airflow.task_logs(self.row.dag_id, self.run_id),
            "the trigger is told that it is killed",
        )

    def until_over(self) -> None:
        self.until(lambda: self._state() in OVER, "the task has ended")

    def until_run_over(self) -> None:
        """Until the whole run of the DAG has ended, which is a little later."""
        self.until(
            lambda: self._airflow.run_state(self.row.dag_id, self.run_id) in OVER,
            "the run of the DAG has ended",
        )

    def until_sync(self, status: str) -> None:
        self.until(lambda: any(run.status == status for run in self._runs()), f"a sync is {status}")

    def until_asked(self, method: str, path: str = "") -> None:
        self.until(lambda: self.count(method, path) > 0, f"{method} {path} was sent")

    def until(self, reached: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        if not until(reached, seconds, self._check):
            raise Unlike(f"waited in vain until {what}; the task is {self._state()}, {self._words()}")

    def stays_alive(self, seconds: float = LONG_ENOUGH_TO_BE_STOPPED) -> None:
        """See for so long that nothing stops the sync."""
        until(lambda: not self._is_syncing, seconds, self._check)
        if not self._is_syncing:
            raise Unlike(f"the sync was stopped, {self._words()}")

    def count(self, method: str, path: str = "") -> int:
        return self._simulator.count(method, f"/{re.escape(self.connection_id)}{path}$")

    @property
    def _looks(self) -> int:
        """How often the task looked at its connection. In the triggerer many waits look at one list."""
        together = self._simulator.count("GET", "/connections$") if self.row.deferrable else 0
        return self.count("GET") + together

    @property
    def triggerer(self) -> int | None:
        """The job that has the task's trigger."""
        trigger = (self._task() or {}).get("trigger") or {}
        job: int | None = trigger.get("triggerer_id")
        return job

    # --- what became of it ----------------------------------------------------------------------------------

    def outcome(self) -> Outcome:
        connections = [self._simulator.account.connection(connection_id) for connection_id in self._ids]
        found = {"paused": False, "schedule_type": "auto", **self.row.found}
        task = self._task() or {}
        return Outcome(
            syncs=tuple(f"{run.cause} {run.status}" for run in self._runs()),
            state=task.get("state"),
            tries=task.get("try_number", 0),
            as_found=all(
                getattr(connection, name) == value
                for connection in connections
                for name, value in found.items()
            ),
        )

    @property
    def seen(self) -> list[str]:
        """The states and tries that the task went through, as far as they were seen."""
        return self._watch.seen(self.row.dag_id, self.run_id)

    @property
    def quarrels(self) -> list[str]:
        """What the scheduler said about this task and its executor, where the row itself gave no cause for it."""
        lines = self._airflow.quarrels(self.row.dag_id, self.run_id)
        # Of a worker that was killed the scheduler rightly says that its task should not be running any more.
        return [line for line in lines if not (self.row.kills_worker and "attribute is running" in line)]

    def settles(self) -> None:
        """Wait a moment for what comes a little later than the end of the task."""
        until(lambda: not self.outcome().differences(self.row.promised), 20, self._check)

    # --- its eyes -------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Unlike("everything is being stopped")

    def _task(self) -> dict[str, Any] | None:
        return self._watch.task(self.row.dag_id, self.run_id)

    def _state(self) -> str | None:
        return (self._task() or {}).get("state")

    def _is(self, state: str, tries: int | None) -> bool:
        task = self._task() or {}
        return task.get("state") == state and (tries is None or task.get("try_number") == tries)

    def _is_taken(self, tries: int) -> bool:
        """Whether a triggerer has the trigger of this try."""
        trigger = (self._task() or {}).get("trigger") or {}
        others = [known for of_try, known in self._triggers.items() if of_try != tries]
        if trigger.get("triggerer_id") is None or trigger["id"] in others:
            return False
        self._triggers[tries] = trigger["id"]
        return True

    def _runs(self) -> list[Run]:
        return self._simulator.accepted(self.connection_id)

    @property
    def beside(self) -> str:
        """The syncs of the other mapped task."""
        return ", ".join(f"{run.cause} {run.status}" for run in self._simulator.accepted(self._ids[-1]))

    @property
    def _is_syncing(self) -> bool:
        return any(run.running for run in self._runs())

    def _words(self) -> str:
        return "syncs: " + (", ".join(f"{run.cause} {run.status}" for run in self._runs()) or "none")


def _left(as_found: bool) -> str:
    return "as found" if as_found else "changed"
