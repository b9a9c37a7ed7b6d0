"""The matrix: who is disturbed, how, and what was promised for that case.

The promise stands beside each row. A sync that was started by a task's request is ``api``; how it ended is in the
words of Fivetran's sync history: ``PAUSED`` is a sync that was stopped by pausing its connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.simulator import SyncPlan
from story import HELD, Outcome, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from story import Story

# A connection that follows its own schedule is switched to manual for the task; or a paused one is unpaused for it.
SCHEDULE: dict[str, Any] = {
    "arguments": {"schedule_type": "manual", "restore_schedule": True},
    "found": {"schedule_type": "auto"},
}
PAUSE: dict[str, Any] = {"arguments": {"when_paused": "unpause_and_restore"}, "found": {"paused": True}}
FAILS_THEN_HELD = (SyncPlan(duration=2, outcome="failure"), HELD)

WELL, STOPPED, FAILED = "api COMPLETED", "api PAUSED", "api FAILURE"
ONE_SYNC = Outcome(syncs=(WELL,), state="success", tries=1)
ONE_SYNC_TWO_TRIES = Outcome(syncs=(WELL,), state="success", tries=2)
TWO_SYNCS = Outcome(syncs=(WELL, WELL), state="success", tries=2)
LEFT_AND_FAILED = Outcome(syncs=(WELL,), state="failed", tries=1)
STOPPED_AND_FAILED = Outcome(syncs=(STOPPED,), state="failed", tries=1)


def all_rows() -> list[Row]:
    return [
        *worker_killed(),
        *triggerer_disturbed(),
        *marked(),
        *cleared(),
        *out_of_time(),
        *server_disturbed(),
    ]


# --- the worker -------------------------------------------------------------------------------------------


def worker_killed() -> Iterator[Row]:
    promised = ONE_SYNC_TWO_TRIES
    for name, undone in (("schedule", SCHEDULE), ("paused", PAUSE)):
        yield Row(
            name=f"worker_killed_{name}",
            group=1,
            what="worker process killed while the sync runs",
            deferrable=False,
            disturb=kill_while_waiting,
            promised=promised,
            kills_worker=True,
            **undone,
        )
    yield Row(
        name="worker_killed_and_sync_ends",
        group=1,
        what="worker process killed, the sync ends before the retry",
        deferrable=False,
        disturb=kill_and_end,
        promised=promised,
        kills_worker=True,
        arguments={**SCHEDULE["arguments"], "retry_delay": 6},
    )
    yield Row(
        name="worker_killed_and_sync_cancelled",
        group=1,
        what="worker process killed, the sync is cancelled before the retry",
        deferrable=False,
        disturb=kill_and_cancel,
        promised=Outcome(syncs=("api CANCELED",), state="failed", tries=2),
        kills_worker=True,
        **SCHEDULE,
    )
    for when_killed, retries, ended in (
        ("stop", 1, promised),
        ("stop", 0, STOPPED_AND_FAILED),
        ("leave", 0, LEFT_AND_FAILED),
    ):
        yield Row(
            name=f"worker_shut_down_{when_killed}_{retries}",
            group=1,
            what=f"worker shut down (SIGTERM, then SIGKILL), {'one retry' if retries else 'no retries'}",
            deferrable=False,
            when_killed=when_killed,
            disturb=shut_down,
            promised=ended,
            kills_worker=True,
            found=SCHEDULE["found"],
            arguments={**SCHEDULE["arguments"], "retries": retries},
        )
    for deferrable in (False, True):
        yield Row(
            name=f"worker_killed_in_trigger_{'deferrable' if deferrable else 'worker'}",
            group=1,
            what="worker process killed before it has the answer to its trigger",
            deferrable=deferrable,
            disturb=kill_in_trigger,
            promised=promised,
            kills_worker=True,
            **SCHEDULE,
        )
    yield Row(
        name="worker_killed_resuming",
        group=1,
        what="worker process killed after the wait, before the schedule is put back",
        deferrable=True,
        disturb=kill_while_resuming,
        promised=promised,
        kills_worker=True,
        **SCHEDULE,
    )


def kill_while_waiting(story: Story) -> None:
    story.begin()
    story.until_waiting()
    story.kill_worker()
    story.until_waiting(tries=2)
    story.let_end()
    story.until_over()


def shut_down(story: Story) -> None:
    story.begin()
    story.until_waiting()
    story.shut_worker_down()
    if story.row.promised.tries > 1:
        story.until_waiting(tries=2)
    else:
        story.until_over()
    if story.row.promised.syncs == (STOPPED,):
        story.until_sync("PAUSED")
    else:
        story.stays_alive()
        story.let_end()


def kill_and_end(story: Story) -> None:
    story.begin()
    story.until_waiting()
    story.kill_worker()
    story.let_end()
    story.until_over()


def kill_and_cancel(story: Story) -> None:
    story.begin()
    story.until_waiting()
    story.kill_worker()
    story.cancel()
    story.until_over()


def kill_in_trigger(story: Story) -> None:
    story.hold("POST", "/sync", takes_effect=True)
    story.begin()
    story.until_asked("POST", "/sync")
    story.until_state("running")
    story.kill_worker()
    story.until_waiting(tries=2)
    story.let_end()
    story.until_over()


def kill_while_resuming(story: Story) -> None:
    story.begin()
    story.until_waiting()
    changes = story.count("PATCH")
    story.hold("PATCH", "", takes_effect=False)
    story.let_end()
    story.until(lambda: story.count("PATCH") > changes, "the schedule is being put back")
    story.until_state("running")
    story.kill_worker()
    story.until_over()


# --- the triggerer ------------------------------------------------------------------------------------------


def triggerer_disturbed() -> Iterator[Row]:
    for group, scene, what in (
        (2, "triggerer killed", "triggerer killed, the other one takes over"),
        (3, "triggerer stalled", "triggerer stopped for 40 s, the other one takes over"),
        (14, "triggerer restarted", "triggerer ended gracefully, another one started"),
    ):
        for when_killed, undone in (("stop", PAUSE), ("leave", SCHEDULE)):
            yield Row(
                name=f"{scene.replace(' ', '_')}_{when_killed}",
                group=group,
                what=what,
                deferrable=True,
                scene=scene,
                when_killed=when_killed,
                promised=ONE_SYNC,
                **undone,
            )


# --- a person -----------------------------------------------------------------------------------------------


def marked() -> Iterator[Row]:
    for deferrable in (True, False):
        where = "deferred" if deferrable else "running"
        yield Row(
            name=f"marked_failed_{where}_stop",
            group=4,
            what=f"marked failed while {where}",
            deferrable=deferrable,
            when_killed="stop",
            disturb=mark_failed_and_see_it_stopped,
            promised=STOPPED_AND_FAILED,
            **SCHEDULE,
        )
        yield Row(
            name=f"marked_failed_{where}_leave",
            group=4,
            what=f"marked failed while {where}",
            deferrable=deferrable,
            disturb=mark_failed_and_see_it_live,
            promised=LEFT_AND_FAILED,
            **SCHEDULE,
        )
    yield Row(
        name="marked_failed_paused",
        group=4,
        what="marked failed while deferred",
        deferrable=True,
        when_killed="stop",
        disturb=mark_failed_and_see_it_stopped,
        promised=STOPPED_AND_FAILED,
        **PAUSE,
    )
    yield Row(
        name="marked_failed_mapped",
        group=4,
        what="one of two mapped tasks marked failed while deferred",
        deferrable=True,
        mapped=True,
        when_killed="stop",
        disturb=mark_one_of_two_failed,
        promised=STOPPED_AND_FAILED,
        **SCHEDULE,
    )
    for deferrable in (True, False):
        where = "deferred" if deferrable else "running"
        yield Row(
            name=f"marked_success_{where}",
            group=5,
            what=f"marked success while {where}",
            deferrable=deferrable,
            when_killed="stop",
            disturb=mark_success,
            promised=ONE_SYNC,
            **SCHEDULE,
        )


def mark_failed_and_see_it_stopped(story: Story) -> None:
    story.begin()
    story.until_waiting()
    story.mark("failed")
    story.until_sync("PAUSED")


def mark_failed_and_see_it_live(story: Story) -> None:
    story.begin()
    story.until_waiting()
    story.mark("failed")
    if story.row.deferrable:
        story.until_told()
    story.stays_alive()
    story.let_end()


def mark_one_of_two_failed(story: Story) -> None:
    story.begin()
    story.until_waiting()
    story.until(lambda: story.beside == "api RUNNING", "the sync of the other task runs")
    story.mark("failed")
    story.until_sync("PAUSED")
    story.beside_stays_alive_and_ends()


def mark_success(story: Story) -> None:
    story.begin()
    story.until_waiting()
    story.mark("success")
    if story.row.deferrable:
        story.until_told()
    story.stays_alive()
    story.let_end()


def cleared() -> Iterator[Row]:
    for deferrable, when_killed, undone in (
        (True, "stop", PAUSE),
        (True, "leave", SCHEDULE),
        (False, "stop", SCHEDULE),
        (False, "leave", PAUSE),
    ):
        where = "deferred" if deferrable else "running"
        yield Row(
            name=f"cleared_{where}_{when_killed}",
            group=6,
            what=f"cleared while {where}",
            deferrable=deferrable,
            when_killed=when_killed,
            disturb=clear_while_waiting,
            promised=ONE_SYNC_TWO_TRIES,
            **undone,
        )
    for deferrable in (True, False):
        yield Row(
            name=f"cleared_after_success_{'deferrable' if deferrable else 'worker'}",
            group=7,
            what="cleared after success",
            deferrable=deferrable,
            disturb=clear_after_success,
            promised=TWO_SYNCS,
            **SCHEDULE,
        )
    yield Row(
        name="cleared_after_failure",
        group=8,
        what="cleared after its sync failed",
        deferrable=True,
        disturb=clear_after_failure,
        plans=FAILS_THEN_HELD,
        promised=Outcome(syncs=(FAILED, WELL), state="success", tries=2),
        arguments={"retries": 0},
    )
    for name, disturb, what in (
        ("marked_failed_then_cleared", mark_failed_then_clear, "marked failed while deferred, then cleared"),
        (
            "cleared_while_stopping",
            clear_while_stopping,
            "marked failed, cleared while its sync is being stopped",
        ),
    ):
        yield Row(
            name=name,
            group=9,
            what=what,
            deferrable=True,
            when_killed="stop",
            disturb=disturb,
            promised=Outcome(syncs=(STOPPED, WELL), state="success", tries=2),
            **SCHEDULE,
        )


def clear_while_waiting(story: Story) -> None:
    story.begin()
    story.until_waiting()
    story.clear()
    story.until_waiting(tries=2)
    if story.row.deferrable:
        story.until_told()
    story.stays_alive()
    story.let_end()
    story.until_over()


def clear_after_success(story: Story) -> None:
    story.begin()
    story.until_waiting()
    story.let_end()
    story.until_state("success")
    clear_and_sync_again(story)


def clear_after_failure(story: Story) -> None:
    story.begin()
    story.until_state("failed")
    clear_and_sync_again(story)


def mark_failed_then_clear(story: Story) -> None:
    mark_failed_and_see_it_stopped(story)
    # Until the sync has stopped, the connection is paused.
    story.until(lambda: story.outcome().as_found, "the connection is put back")
    clear_and_sync_again(story)


def clear_while_stopping(story: Story) -> None:
    story.begin()
    story.until_waiting()
    # The answer to pausing takes so long, and the connection is paused meanwhile.
    story.hold("PATCH", "", takes_effect=True, seconds=15)
    story.mark("failed")
    story.until_sync("PAUSED")
    clear_and_sync_again(story)


def clear_and_sync_again(story: Story) -> None:
    # Cleared before the scheduler has seen that all is over, Airflow ends the run and leaves the task without a state.
    story.until_run_over()
    story.clear()
    story.until_waiting(tries=2)
    story.let_end()
    story.until_over()


# --- time ---------------------------------------------------------------------------------------------------


def out_of_time() -> Iterator[Row]:
    for when_killed in ("stop", "leave"):
        stops = when_killed == "stop"
        yield Row(
            name=f"dagrun_timeout_{when_killed}",
            group=10,
            what="dagrun_timeout passes while deferred",
            deferrable=True,
            when_killed=when_killed,
            disturb=see_it_stopped if stops else see_it_live,
            promised=Outcome(syncs=(STOPPED if stops else WELL,), state="skipped", tries=1),
            dagrun_timeout=50,
            **SCHEDULE,
        )
        for limit, seconds in (("timeout", 12), ("execution_timeout", 20)):
            for deferrable in (True, False):
                yield Row(
                    name=f"{limit}_{'deferred' if deferrable else 'running'}_{when_killed}",
                    group=12,
                    what=f"{limit} passes while {'deferred' if deferrable else 'running'}",
                    deferrable=deferrable,
                    when_killed=when_killed,
                    disturb=see_it_stopped if stops else see_it_live,
                    promised=STOPPED_AND_FAILED if stops else LEFT_AND_FAILED,
                    found=SCHEDULE["found"],
                    arguments={**SCHEDULE["arguments"], limit: seconds, "retries": 0},
                )


def see_it_stopped(story: Story) -> None:
    story.begin()
    story.until_over()
    story.until_sync("PAUSED")


def see_it_live(story: Story) -> None:
    story.begin()
    story.until_over()
    story.stays_alive()
    story.let_end()


# --- the scheduler and the API server -----------------------------------------------------------------------


def server_disturbed() -> Iterator[Row]:
    for deferrable, when_killed, undone in (
        (True, "stop", PAUSE),
        (True, "leave", SCHEDULE),
        (False, "stop", SCHEDULE),
        (False, "leave", PAUSE),
    ):
        yield Row(
            name=f"scheduler_killed_{'deferred' if deferrable else 'running'}_{when_killed}",
            group=11,
            what="scheduler killed with its workers, then started again",
            deferrable=deferrable,
            scene="scheduler killed",
            when_killed=when_killed,
            # A task in a worker dies with it.
            promised=ONE_SYNC if deferrable else ONE_SYNC_TWO_TRIES,
            kills_worker=not deferrable,
            **undone,
        )
    for deferrable in (True, False):
        yield Row(
            name=f"api_server_killed_{'deferred' if deferrable else 'running'}",
            group=15,
            what="API server killed, then started again",
            deferrable=deferrable,
            scene="API server killed",
            when_killed="stop",
            promised=ONE_SYNC,
            **SCHEDULE,
        )
