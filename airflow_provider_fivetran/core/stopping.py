"""Stopping a running sync. Fivetran has no cancel: the connection is paused until the sync has really stopped."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_fivetran.core.endpoints import change_connection, get_connection
from airflow_provider_fivetran.core.errors import FivetranError
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.moments import in_words
from airflow_provider_fivetran.core.steps import Note, Pause, ask, ask_patiently

if TYPE_CHECKING:
    from airflow_provider_fivetran.core.starting import Undo
    from airflow_provider_fivetran.core.steps import Clock, Procedure

__all__ = ["PATIENCE_WHEN_KILLED", "let_it_be_stopped", "stop"]

# Fivetran itself gives up stopping a sync after a minute.
PATIENCE = timedelta(seconds=45)
# Airflow 3 gives a killed task five seconds between SIGTERM and SIGKILL, and a connection that is still paused then
# would stay so for good.
PATIENCE_WHEN_KILLED = timedelta(seconds=3)
BETWEEN_LOOKS = timedelta(seconds=1)


def stop(
    connection_id: str, undone: Undo, clock: Clock, *, patience: timedelta = PATIENCE
) -> Procedure[None]:
    """Stop the sync that runs, and put ``paused`` back as it was.

    :param undone: what the task that is killed had changed, which is put back in the same request.
    :param patience: how long to wait for the sync to stop before that.
    """
    try:
        was_paused = (yield from ask(get_connection(connection_id))).value.paused
    except FivetranError as error:
        yield _look_there(connection_id, "the sync could not be stopped", error)
        return
    try:
        if not was_paused:
            yield from ask(change_connection(connection_id, {"paused": True}))
        yield from _wait_until_stopped(connection_id, clock, patience)
    except FivetranError as error:
        yield _look_there(connection_id, "the sync could not be stopped", error)
    # Whatever went wrong: a connection that is left paused would sync no more.
    back = {"paused": was_paused, **undone.changes()}
    if back == {"paused": True}:
        return
    try:
        yield from ask_patiently(change_connection(connection_id, back), clock, patience=patience)
    except FivetranError as error:
        changes = ", ".join(f"{name} to {value}" for name, value in back.items())
        yield _look_there(connection_id, f"the connection could not be put back ({changes})", error)


def let_it_be_stopped(connection_id: str, clock: Clock) -> Procedure[None]:
    """Wait while another process may be stopping a sync, for as long as that may take: until it has unpaused."""
    limit = clock() + PATIENCE + PATIENCE_WHEN_KILLED
    while clock() < limit:
        try:
            paused = (yield from ask(get_connection(connection_id))).value.paused
        except FivetranError as error:
            if error.permanent:
                return
            paused = True  # not readable at the moment: look again
        if not paused:
            return
        yield Pause(clock() + BETWEEN_LOOKS)


def _look_there(connection_id: str, what: str, error: FivetranError) -> Note:
    text = f"{connection_id}: {what}; look there: {error}. {dashboard_link(connection_id)}"
    return Note(text, is_warning=True)


def _wait_until_stopped(connection_id: str, clock: Clock, patience: timedelta) -> Procedure[None]:
    limit = clock() + patience
    while clock() < limit:
        try:
            syncs = (yield from ask(get_connection(connection_id))).value.is_syncing
        except FivetranError as error:
            if error.permanent:
                raise
            syncs = True  # not readable at the moment: look again
        if not syncs:
            yield Note(f"{connection_id}: the sync was stopped")
            return
        yield Pause(clock() + BETWEEN_LOOKS)
    yield Note(
        f"{connection_id}: the sync was told to stop, but did not within {in_words(patience)}; look there. "
        f"{dashboard_link(connection_id)}",
        is_warning=True,
    )
