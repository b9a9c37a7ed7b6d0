"""Stopping a sync by pausing: whatever happens on the way, the connection is left as it was found."""

from __future__ import annotations

import json

import pytest

from airflow_provider_fivetran.core.endpoints import get_connection, list_groups
from airflow_provider_fivetran.core.errors import FivetranForbidden, FivetranServerError, FivetranUnreachable
from airflow_provider_fivetran.core.models import Group
from airflow_provider_fivetran.core.protocol import Page
from airflow_provider_fivetran.core.starting import Undo
from airflow_provider_fivetran.core.steps import ask, ask_pages
from airflow_provider_fivetran.core.stopping import stop
from facts import connection
from scripted import Fivetran

LOOK = "GET c"
SYNCING, STOPPED = connection("syncing"), connection("paused", paused=True)
STOPPING = connection("syncing", paused=True)
LOST = FivetranUnreachable("reset")


def change(**fields):
    return f"PATCH c {json.dumps({**fields, 'run_setup_tests': False}, sort_keys=True)}"


def halt(fivetran, undone=None):
    fivetran.drive(stop("c", undone or Undo(), fivetran.clock))
    return fivetran.requests


def test_a_sync_is_stopped_by_a_pause_that_lasts_until_it_has_stopped():
    fivetran = Fivetran(look=[SYNCING, STOPPING, STOPPING, STOPPED])
    assert halt(fivetran) == [LOOK, change(paused=True), LOOK, LOOK, LOOK, change(paused=False)]
    assert fivetran.said == ["c: the sync was stopped"]


def test_what_the_task_had_changed_is_put_back_in_the_same_request():
    fivetran = Fivetran(look=[SYNCING, STOPPED])
    requests = halt(fivetran, Undo(pause=True, schedule_type="auto"))
    assert requests == [LOOK, change(paused=True), LOOK, change(paused=True, schedule_type="auto")]


def test_a_connection_that_is_paused_already_stays_so():
    fivetran = Fivetran(look=[STOPPING, STOPPED])
    assert halt(fivetran) == [LOOK, LOOK]


def test_a_sync_that_does_not_stop_is_said_and_the_connection_is_put_back():
    fivetran = Fivetran(look=[SYNCING, STOPPING])
    assert halt(fivetran)[-1] == change(paused=False)
    assert len(fivetran.warnings) == 1
    assert sum(fivetran.pauses) < 60


@pytest.mark.parametrize("error", [LOST, FivetranServerError("503")])
def test_a_look_that_fails_does_not_leave_the_connection_paused(error):
    fivetran = Fivetran(look=[SYNCING, error, STOPPED])
    assert halt(fivetran) == [LOOK, change(paused=True), LOOK, LOOK, change(paused=False)]


def test_a_pause_whose_answer_was_lost_is_put_back():
    fivetran = Fivetran(look=SYNCING, change=[LOST, None])
    assert halt(fivetran)[-1] == change(paused=False)
    assert len(fivetran.warnings) == 1


@pytest.mark.parametrize("look", [LOST, FivetranForbidden("403")])
def test_a_connection_that_cannot_be_looked_at_is_not_changed(look):
    fivetran = Fivetran(look=look)
    assert halt(fivetran) == [LOOK]
    assert len(fivetran.warnings) == 1


def test_what_cannot_be_put_back_is_said():
    fivetran = Fivetran(look=[SYNCING, STOPPED], change=[None, LOST])
    halt(fivetran)
    assert "c: the connection could not be put back (paused to False); look there: " in fivetran.warnings[-1]
    assert fivetran.warnings[-1].endswith("https://fivetran.com/dashboard/connections/c")


def test_that_a_sync_could_not_be_stopped_is_another_thing():
    fivetran = Fivetran(look=FivetranForbidden("403"))
    halt(fivetran)
    assert fivetran.warnings == [
        "c: the sync could not be stopped; look there: 403. https://fivetran.com/dashboard/connections/c"
    ]


def test_a_driver_that_gives_no_answer_to_a_call_is_told_so():
    asking = ask(get_connection("c"))
    asking.send(None)
    with pytest.raises(RuntimeError, match="without an answer"):
        asking.send(None)


def test_no_page_is_read_twice_and_no_more_than_so_many():
    def pages(*cursors):
        return [Page((Group(id=str(n), name=""),), cursor) for n, cursor in enumerate(cursors)]

    for cursors, most, read in [(["a", "b", None], 9, 3), (["a", "a"], 9, 2), (["a", "b", "c"], 2, 2)]:
        fivetran = Fivetran(look=pages(*cursors))
        assert len(fivetran.drive(ask_pages(list_groups(), most=most))) == read
        assert len(fivetran.requests) == read
