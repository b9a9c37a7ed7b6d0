"""Waiting until somebody has authorised a connection: when it looks, what it says, and how it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_fivetran.core.awaited import Aim
from airflow_provider_fivetran.core.errors import (
    FivetranConnectionDeleted,
    FivetranNotFound,
    FivetranSyncTimeout,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.models import Connection
from airflow_provider_fivetran.core.setup_watch import SetupTicket, read_setup_event, watch_setup
from facts import T0
from scripted import Fivetran

TICKET = SetupTicket(
    connection_id="c",
    aim=Aim.NEXT_END,
    taken_at=T0,
    asked_at=T0,
    begun_at=T0,
    timeout=timedelta(hours=1),
    poll_frequency=timedelta(minutes=1),
)


def is_now(state):
    return Connection.from_json({"id": "c", "group_id": "g", "status": {"setup_state": state}})


def watch(fivetran):
    return fivetran.drive(watch_setup(TICKET, fivetran.clock))


def test_it_looks_at_its_pace_and_says_each_state_once():
    fivetran = Fivetran(look=[*[is_now("incomplete")] * 3, is_now("broken"), is_now("connected")])
    waited = watch(fivetran)
    assert (waited.end, waited.error, waited.connection_id) == ("complete", None, "c")
    assert fivetran.pauses == pytest.approx([60] * 4, abs=0.2)
    assert fivetran.said == [
        "the setup of c is incomplete; waiting for somebody to authorise it",
        "the setup of c is broken; waiting for somebody to authorise it",
    ]


def test_it_looks_once_more_at_the_very_end_and_then_gives_up():
    fivetran = Fivetran(look=is_now("incomplete"))
    waited = watch(fivetran)
    assert isinstance(waited.error, FivetranSyncTimeout)
    assert "the setup of c is incomplete still, after 60 min" in str(waited.error)
    assert (fivetran.asked_at[-1] - T0).total_seconds() == pytest.approx(3600, abs=0.2)


def test_an_outage_until_the_end_is_told_as_such():
    waited = watch(Fivetran(look=[is_now("incomplete"), FivetranUnreachable("no answer")]))
    assert isinstance(waited.error, FivetranSyncTimeout)
    assert "Fivetran cannot be read: no answer" in str(waited.error)


def test_a_connection_that_is_gone_ends_it():
    waited = watch(Fivetran(look=[is_now("incomplete"), FivetranNotFound("gone", status=404)]))
    assert isinstance(waited.error, FivetranConnectionDeleted)
    assert waited.error.permanent


@pytest.mark.parametrize("state", ["connected", "incomplete"])
def test_an_end_and_a_ticket_survive_their_way(state):
    waited = watch(Fivetran(look=is_now(state)))
    assert read_setup_event(waited.to_event()) == waited
    assert SetupTicket.from_json(TICKET.to_json()) == TICKET


@pytest.mark.parametrize(
    "event", [{"verdict": "SetupWaited", "end": "complete"}, {"verdict": "Other"}, "text"]
)
def test_an_event_of_something_else_is_an_error(event):
    with pytest.raises(FivetranUnexpectedAnswer):
        read_setup_event(event)
