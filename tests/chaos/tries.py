"""Running a task as Airflow does: in workers and triggerers that die, are replaced, and know nothing of each other.

Workers are threads, triggerers are event loops in threads. What crosses from one to the other is serialized with
Airflow's own code, and each visit to a worker has an operator of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from requests.adapters import HTTPAdapter

from airflow_provider_fivetran.exceptions import FivetranError
from airflow_provider_fivetran.operators import FivetranOperator
from stories import TaskInstance, TaskStateStore, across_processes, all_events, execute, rebuilt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from requests import Response

    from airflow_provider_fivetran.hooks import FivetranHook
    from fates import Death, Fate

CONN_ID = "fivetran_storm"

HowATryEnded = Literal[
    "well", "badly", "for good", "killed", "shut down", "cleared", "cleared while deferred"
]
CUT_OFF = {"killed", "shut down", "cleared", "cleared while deferred"}


@dataclass(kw_only=True)
class Try:
    """One try of a task, and what it made of it."""

    began: datetime
    ended: datetime
    how: HowATryEnded
    """``badly``: a retry may follow; ``for good``: the error says that none can help."""
    verdict: str = ""
    """What became of the sync, or the error that kept the task from it. A verdict that a worker took with it is here
    too, though Airflow never hears of it. Empty: the try came to none."""
    record: dict[str, Any] | None = None
    is_red: bool = False
    was_cleared: bool = False
    """A person cleared the task after this try, when it was not in a worker."""

    @property
    def is_last_of_its_sync(self) -> bool:
        """Whether the next try is to be about another sync."""
        return self.how not in CUT_OFF or self.is_red or (self.was_cleared and bool(self.verdict))


@dataclass
class Task:
    """A task of the storm and its course so far."""

    fate: Fate
    tries: list[Try] = field(default_factory=list)
    is_over: bool = False
    crash: str = ""
    """The storm itself failed, or the operator did something that Airflow would not bear."""
    wait_began: float = field(default_factory=time.monotonic)

    @property
    def course(self) -> str:
        return ", ".join(
            f"{attempt.how} {attempt.began:%H:%M:%S}-{attempt.ended:%H:%M:%S} {attempt.verdict}".rstrip()
            for attempt in self.tries
        )

    @property
    def connection_id(self) -> str:
        return self.fate.connection_id


# --- workers --------------------------------------------------------------------------------------------------


class WorkerDied(BaseException):
    """The process is no more. Not an ``Exception``: nothing that handles errors is to handle this."""


class Life:
    """That of a worker. After its death nothing can be done in it: no request leaves, and nothing is noted."""

    def __init__(self, death: Death | None) -> None:
        self._death = death
        self._requests = 0
        self._left: int | None = None
        self._is_over = False
        self.on_term: Callable[[], None] = lambda: None

    @property
    def end(self) -> HowATryEnded:
        assert self._death is not None
        return self._death.how  # type: ignore[return-value]

    @property
    def was_told_to_stop(self) -> bool:
        return self._left is not None

    def go_on(self) -> None:
        if self._is_over:
            raise WorkerDied

    def before_request(self) -> None:
        self.go_on()
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self._die()
        self._requests += 1
        self._pass_point(answered=False)

    def after_answer(self) -> None:
        self._pass_point(answered=True)

    def outlives_its_work(self) -> bool:
        """Whether Airflow hears of what has been done."""
        death = self._death
        if death is None:
            return True
        # Airflow wants no word of a task that was cleared.
        return death.at_request is not None and not (death.how == "cleared" and self._left is not None)

    def _pass_point(self, *, answered: bool) -> None:
        death = self._death
        at_this_point = death is not None and (death.at_request, death.answered) == (self._requests, answered)
        if death is None or not at_this_point or self._left is not None:
            return
        if death.how == "killed":
            self._die()
        # It gets a signal, whose handler runs right here, and has some seconds more.
        self._left = 1_000_000
        self.on_term()
        self._left = death.requests_more

    def _die(self) -> None:
        self._is_over = True
        raise WorkerDied


class Wire(HTTPAdapter):
    """The network of a worker."""

    def __init__(self, life: Life) -> None:
        super().__init__()
        self._life = life

    def send(self, *args: Any, **kwargs: Any) -> Response:
        self._life.before_request()
        try:
            answer = super().send(*args, **kwargs)
        except Exception:
            self._life.after_answer()
            raise
        try:
            self._life.after_answer()
        except WorkerDied:
            answer.close()
            raise
        return answer


class MortalOperator(FivetranOperator):
    """The operator in a worker that may die."""

    life: Life

    def _hook(self) -> FivetranHook:
        hook = super()._hook()
        hook.get_conn().session.mount("http://", Wire(self.life))
        return hook


class InHands:
    """Something of Airflow's, which a worker can use as long as it lives."""

    def __init__(self, thing: Any, life: Life) -> None:
        self._thing = thing
        self._life = life

    def __getattr__(self, name: str) -> Any:
        self._life.go_on()
        return getattr(self._thing, name)


class Instance(TaskInstance):
    """The task instance, with its state in the database and, from Airflow 3.3 on, its notes."""

    def __init__(self, fate: Fate, folder: Path) -> None:
        super().__init__(fate.connection_id)
        self.max_tries = fate.retries
        self.state = "running"
        self._store = TaskStateStore(folder / f"{fate.connection_id}.json") if fate.has_store else None

    def in_hands(self, life: Life) -> dict[str, Any]:
        """The context of a worker."""
        ti = InHands(self, life)
        notes = {} if self._store is None else {"task_state_store": InHands(self._store, life)}
        return {"ti": ti, "task_instance": ti, **notes}

    def is_started_again(self) -> None:
        self.pushed.clear()
        self.state = "running"
        self.try_number += 1

    def get_task_states(self, **_wanted: Any) -> dict[str, dict[str, str]]:
        return {self.run_id: {self.task_id: self.state}}


# --- triggerers -----------------------------------------------------------------------------------------------


class Triggerer:
    """A process of Airflow that runs triggers: an event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @contextmanager
    def running(self) -> Iterator[Triggerer]:
        self._thread.start()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._put_down_everything(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def run(self, deferral: TaskDeferred) -> Future[list[Any]]:
        """Make the trigger from what Airflow has stored of it, and run it; cancelled, it dies."""
        return asyncio.run_coroutine_threadsafe(all_events(rebuilt(deferral.trigger)), self._loop)

    @staticmethod
    async def _put_down_everything() -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0.1)  # transports close in the rounds of the loop that follow


# --- the whole of it ------------------------------------------------------------------------------------------


class ClearedWhileDeferred(Exception):
    """A person has cleared the task, so that no event of its trigger counts any more."""


Step = Any  # one visit to a worker: what is called with the operator and the context


@dataclass
class Outcome:
    """What a visit to a worker led to."""

    how: HowATryEnded | Literal["deferred"]
    error: str = ""
    deferral: TaskDeferred | None = None
    is_conclusion: bool = True
    """``False``: the worker was gone before its work was done."""


class Airflow:
    """Sees tasks through all their tries."""

    def __init__(self, triggerers: list[Triggerer], folder: Path) -> None:
        self._triggerers = triggerers
        self._folder = folder
        self.happened: Counter[str] = Counter()
        self._counting = threading.Lock()

    def see_through(self, task: Task) -> None:
        """Run a task to its end, whatever that is."""
        ti = Instance(task.fate, self._folder)
        try:
            while True:
                if not task.tries or task.tries[-1].is_last_of_its_sync:
                    task.wait_began = time.monotonic()
                task.tries.append(self._try(task, ti))
                if not self._goes_on(task, ti):
                    break
                threading.Event().wait(task.fate.luck.uniform(0.1, 2))
                ti.is_started_again()
        except Exception as error:  # noqa: BLE001 - whatever is no error of the provider is for the judge to hear
            task.crash = f"{type(error).__name__}: {error}"
        task.is_over = True

    def _goes_on(self, task: Task, ti: Instance) -> bool:
        """Whether Airflow starts the task once more."""
        last = task.tries[-1]
        if last.how == "cleared":
            return self._count("clears in a worker", "clears")
        if last.how in {"killed", "shut down"}:
            self._count("worker deaths")
        if last.how in {"badly", "killed", "shut down"} and ti.try_number <= ti.max_tries:
            return self._count("retries")
        if last.how != "cleared while deferred" and not task.fate.is_cleared_after_its_end():
            return False
        last.was_cleared = True
        ti.max_tries = ti.try_number + task.fate.retries
        return self._count(
            "clears while deferred" if last.how == "cleared while deferred" else "clears after the end"
        )

    def _try(self, task: Task, ti: Instance) -> Try:
        began = datetime.now(UTC)
        outcome = self._visit(task, ti, execute)
        try:
            while outcome.deferral is not None:
                given = {**(outcome.deferral.kwargs or {}), "event": self._event(task, outcome.deferral)}
                outcome = self._visit(
                    task, ti, _resumed(outcome.deferral.method_name, across_processes(given))
                )
        except ClearedWhileDeferred:
            outcome = Outcome("cleared while deferred", is_conclusion=False)
        record = (
            ti.xcom_pull(task_ids=task.connection_id, key="fivetran_sync") if outcome.is_conclusion else None
        )
        return Try(
            began=began,
            ended=datetime.now(UTC),
            how=outcome.how,  # type: ignore[arg-type]
            verdict=record["status"] if record else outcome.error,
            record=record,
            is_red=bool(outcome.error),
        )

    def _visit(self, task: Task, ti: Instance, step: Step) -> Outcome:
        """One visit to a worker."""
        life = Life(task.fate.of_the_worker())
        operator = MortalOperator(task_id=task.connection_id, fivetran_conn_id=CONN_ID, **task.fate.arguments)
        operator.life = life

        def on_term() -> None:
            ti.state = "restarting" if life.end == "cleared" else "running"
            operator.on_kill()

        life.on_term = on_term
        try:
            step(operator, ti.in_hands(life))
            outcome = Outcome("well")
        except TaskDeferred as left:
            outcome = Outcome("deferred", deferral=left)
        except AirflowFailException as failure:
            outcome = Outcome("for good", type(failure.__cause__).__name__)
        except FivetranError as failure:
            outcome = Outcome("badly", type(failure).__name__)
        except WorkerDied:
            return Outcome(life.end, is_conclusion=False)
        if life.was_told_to_stop and outcome.error == "FivetranError":
            return Outcome(life.end, is_conclusion=False)  # it broke off what it had begun
        if life.outlives_its_work():
            return outcome
        return Outcome(life.end, outcome.error, is_conclusion=outcome.deferral is None)

    def _event(self, task: Task, deferral: TaskDeferred) -> Any:
        """What the trigger sends, wherever and however often it has to run for that."""
        here, there = task.fate.luck.sample(self._triggerers, 2)
        running = here.run(deferral)
        while True:
            what, after = task.fate.of_the_trigger()
            if what == "left alone" or wait([running], timeout=after).done:
                return _only(running.result())
            if what == "cleared":
                running.cancel()
                raise ClearedWhileDeferred
            if what == "stalls":  # another triggerer takes it over, and this one does not notice for a while
                self._count("triggers side by side")
                other = there.run(deferral)
                done = wait([running, other], timeout=after, return_when=FIRST_COMPLETED).done
                if done:
                    for copy in {running, other} - done:
                        copy.cancel()
                    return _only(done.pop().result())
                here, there = there, here
            elif what == "moves":
                here, there = there, here
            running.cancel()
            self._count("trigger deaths")
            running = other if what == "stalls" else here.run(deferral)

    def _count(self, *what: str) -> bool:
        with self._counting:
            self.happened.update(what)
        return True


def _resumed(method: str, given: dict[str, Any]) -> Step:
    return lambda operator, context: operator.resume_execution(method, given, context)


def _only(events: list[Any]) -> Any:
    [event] = events
    return event
