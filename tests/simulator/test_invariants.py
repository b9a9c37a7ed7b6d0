"""Whatever happens in whatever order, the truth stays consistent and the API shows nothing that contradicts it."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_fivetran.simulator import Simulator, SyncPlan
from airflow_provider_fivetran.simulator.shapes import shape_connection

OUTCOMES = ["success", "failure", "rescheduled", "canceled", "incomplete", "never_starts"]
SECONDS = st.sampled_from([0.0, 0.5, 1.0, 3.0, 10.0])
PLANS = st.builds(
    SyncPlan,
    duration=SECONDS,
    queue_delay=SECONDS,
    outcome=st.sampled_from(OUTCOMES),
    reschedule_after=st.sampled_from([None, 1.0, 5.0]),
    retry_after=st.sampled_from([None, 2.0]),
    breaks_setup=st.booleans(),
)
ACTIONS = {
    "trigger": lambda sim: sim.account.trigger("c"),
    "force": lambda sim: sim.account.trigger("c", force=True),
    "start": lambda sim: sim.start_sync("c"),
    "pause": lambda sim: sim.pause("c"),
    "unpause": lambda sim: sim.unpause("c"),
    "cancel": lambda sim: sim.cancel("c"),
    "break": lambda sim: sim.break_setup("c"),
    "test": lambda sim: sim.account.run_setup_tests("c"),
    "manual": lambda sim: sim.account.set_schedule_type("c", "manual"),
    "auto": lambda sim: sim.account.set_schedule_type("c", "auto"),
    "resync": lambda sim: sim.account.resync("c"),
    "historical": lambda sim: sim.account.restart_as_historical("c"),
}
STEPS = st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), SECONDS), max_size=25)


@settings(deadline=None, max_examples=150)
@given(plans=st.lists(PLANS, max_size=8), every=st.sampled_from([None, 4.0]), steps=STEPS)
def test_the_truth_is_consistent_and_the_api_agrees_with_it(plans, every, steps):
    sim = Simulator(speed=0)
    sim.switches.stop_lag = 1.0
    sim.add_connection("c", plans=plans, every=every, default_plan=SyncPlan(duration=2.0))
    last = sim.clock.now()
    for action, seconds in steps:
        ACTIONS[action](sim)
        check(sim, last)
        last = sim.clock.now()
        sim.clock.advance(seconds)
        check(sim, last)


def check(sim, last):
    connection = sim.account.connection("c")
    runs = sim.runs("c")
    now = sim.clock.now()
    for run, following in itertools.pairwise(runs):
        assert run.ended_at is not None
        assert run.ended_at <= following.started_at
    for run in runs:
        assert run.started_at <= (run.ended_at or now) <= now
        assert (run.ended_at is None) == (run.status == "RUNNING")
    # Nothing is ever told afterwards: what starts now starts after the last look.
    assert all(run.started_at >= last for run in runs if run.ended_at is None and run.accepted_at > last)
    newest = {
        status: max((run.ended_at for run in runs if run.status == status), default=None)
        for status in ("COMPLETED", "FAILURE")
    }
    assert (connection.succeeded_at, connection.failed_at) == (newest["COMPLETED"], newest["FAILURE"])
    running = bool(runs) and runs[-1].ended_at is None
    state = shape_connection(connection)["status"]["sync_state"]
    assert (state == "syncing") == running
    assert (state == "paused") == (connection.paused and not running)
    if state == "rescheduled":
        assert runs[-1].status == "RESCHEDULED"
