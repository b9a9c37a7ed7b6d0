"""The few threads in which the receiver lets others block."""

from __future__ import annotations

import asyncio
import threading

import pytest

from airflow_provider_fivetran.webhooks.workers import MOST_AT_ONCE, THREADS, TooMuchError, Workers


async def test_work_is_done_elsewhere_and_its_result_returned():
    assert await Workers().do(threading.get_ident, 5) != threading.get_ident()


async def test_what_the_work_raises_is_raised():
    def fail():
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        await Workers().do(fail, 5)


async def test_more_than_fits_is_refused_at_once_and_what_gave_up_leaves_its_place():
    workers, release, begun = Workers(), threading.Event(), []

    def hang():
        begun.append(threading.get_ident())
        release.wait(30)

    waiting = [asyncio.create_task(workers.do(hang, 0.5)) for _ in range(MOST_AT_ONCE)]
    await asyncio.sleep(0)
    with pytest.raises(TooMuchError, match="too much work waits"):
        await workers.do(hang, 30)

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {TooMuchError}
    places_left = MOST_AT_ONCE - THREADS
    more = [asyncio.create_task(workers.do(hang, 0.01)) for _ in range(places_left)]
    await asyncio.gather(*more, return_exceptions=True)
    release.set()
    assert await workers.do(lambda: "works again", 5) == "works again"
    assert len(begun) == THREADS, "what had not begun in time never does"
