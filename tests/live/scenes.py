"""Disturbances that hit everything at once: those of a triggerer or of the scheduler, with several tasks in them."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from airflow_server import NotReadyError
from stage import until
from story import LONG_ENOUGH_TO_BE_STOPPED, Unlike

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stage import LiveAirflow, Processes
    from story import Story

STALLED_FOR = 40.0


class Scenes:
    """The triggerers as they come and go. Each scene begins with one of them alone, which holds all triggers."""

    def __init__(self, airflow: LiveAirflow, processes: Processes) -> None:
        self._airflow = airflow
        self._processes = processes
        self._current = ""

    def start(self) -> None:
        """Start the first triggerer."""
        self._current = self._airflow.start_triggerer()

    def wait_until_ready(self) -> None:
        self._airflow.wait_for_triggerer(self._current)

    def play(self, scene: str, stories: Sequence[Story]) -> None:
        """Disturb all these tasks together. What is unlike the scene is noted in the story."""
        scenes: dict[str, Callable[[Sequence[Story]], None]] = {
            "triggerer restarted": self._triggerer_restarted,
            "triggerer killed": self._triggerer_killed,
            "triggerer stalled": self._triggerer_stalled,
            "scheduler killed": self._scheduler_killed,
            "API server killed": self._api_server_killed,
        }
        each(stories, lambda story: story.begin())
        each(stories, lambda story: story.until_waiting())
        scenes[scene](stories)
        each(stories, lambda story: story.until_over())

    def _triggerer_restarted(self, stories: Sequence[Story]) -> None:
        before = self._one_more()
        self._processes.terminate(before)
        self._taken_over(stories)
        each(stories, lambda story: story.let_end())

    def _triggerer_killed(self, stories: Sequence[Story]) -> None:
        before = self._one_more()
        self._processes.kill(before)
        self._taken_over(stories)
        each(stories, lambda story: story.let_end())

    def _triggerer_stalled(self, stories: Sequence[Story]) -> None:
        before = self._one_more()
        began = time.monotonic()
        self._processes.signal(before, signal.SIGSTOP)
        self._taken_over(stories)
        self._pause(STALLED_FOR - (time.monotonic() - began))
        self._processes.signal(before, signal.SIGCONT)
        each(stories, lambda story: story.until_told())
        self._all_stay_alive(stories)
        each(stories, lambda story: story.let_end())
        each(stories, lambda story: story.until_over())
        self._processes.kill(before)

    def _scheduler_killed(self, stories: Sequence[Story]) -> None:
        self._airflow.kill_scheduler()
        # One sync of a deferred task ends while there is no scheduler.
        first = [story for story in stories if story.row.deferrable][:1]
        each(first, lambda story: story.let_end())
        self._airflow.start_scheduler()
        rest = [story for story in stories if story not in first]
        each(rest, lambda story: story.until_waiting(tries=story.row.promised.tries))
        self._all_stay_alive(rest)
        each(rest, lambda story: story.let_end())

    def _api_server_killed(self, stories: Sequence[Story]) -> None:
        self._airflow.kill_api_server()
        self._airflow.start_api_server()
        self._airflow.log_in()
        self._all_stay_alive(stories)
        each(stories, lambda story: story.let_end())

    def _one_more(self) -> str:
        """Start another triggerer beside the one there is; return the one there was."""
        before, self._current = self._current, self._airflow.start_triggerer()
        self._airflow.wait_for_triggerer(self._current)
        return before

    def _all_stay_alive(self, stories: Sequence[Story]) -> None:
        self._pause(LONG_ENOUGH_TO_BE_STOPPED)
        each(stories, lambda story: story.stays_alive(0))

    def _pause(self, seconds: float) -> None:
        """Let some time pass in which something might happen."""
        until(lambda: False, seconds, self._processes.check)

    def _taken_over(self, stories: Sequence[Story]) -> None:
        job = self._airflow.job(self._current)

        def taken_over(story: Story) -> None:
            story.until(lambda: story.triggerer == job, "the other triggerer has the task")
            story.until_looked_at()

        each(stories, taken_over)


def each(stories: Sequence[Story], act: Callable[[Story], None]) -> None:
    """Do something with all stories that go as they should so far."""
    for story in stories:
        if not story.trouble:
            try:
                act(story)
            except (Unlike, NotReadyError) as trouble:
                story.trouble = str(trouble)
