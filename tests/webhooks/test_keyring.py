"""Whose secret counts, and how little anybody can make us ask."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_fivetran.webhooks.keyring import (
    FAILURE_FRESH_FOR,
    FRESH_FOR,
    MOST_REMEMBERED,
    STRANGERS_A_SECOND,
    STRANGERS_AT_ONCE,
    Declared,
    Keyring,
    Sender,
)

HOST = "api.fivetran.com"


class Connections:
    """A directory that counts how often it is asked."""

    def __init__(self, declared: set[str] = frozenset(), *, elsewhere: dict[str, str] | None = None) -> None:
        self.secrets = dict.fromkeys(declared, "s") | (elsewhere or {})
        self.listed = set(declared)
        self.elsewhere = elsewhere is not None
        self.asked: list[str] = []
        self.lists = 0
        self.broken = False

    def declared(self) -> Declared:
        self.lists += 1
        if self.broken:
            raise OSError("the database is gone")
        return Declared(frozenset(self.listed), self.elsewhere)

    def sender(self, conn_id: str) -> Sender | None:
        self.asked.append(conn_id)
        secret = self.secrets.get(conn_id)
        return Sender(conn_id, HOST, (secret,)) if secret else None


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def at_once(work):
    await asyncio.sleep(0)
    return work()


@pytest.fixture
def clock():
    return Clock()


def keyring(connections: Connections, clock: Clock) -> Keyring:
    return Keyring(connections, at_once, clock)


async def test_a_declared_connection_is_read_once_for_many(clock):
    connections = Connections({"fivetran"})
    ring = keyring(connections, clock)
    found = await asyncio.gather(*(ring.sender("fivetran") for _ in range(100)))
    assert {sender.secrets for sender in found} == {("s",)}
    assert (connections.lists, connections.asked) == (1, ["fivetran"])


async def test_a_new_secret_counts_after_a_few_seconds(clock):
    connections = Connections({"fivetran"})
    ring = keyring(connections, clock)
    await ring.sender("fivetran")
    connections.secrets["fivetran"] = "new"
    clock.now += FRESH_FOR - 0.1
    assert (await ring.sender("fivetran")).secrets == ("s",)
    clock.now += 0.2
    assert (await ring.sender("fivetran")).secrets == ("new",)


async def test_an_id_that_nobody_can_know_costs_nothing(clock):
    connections = Connections({"fivetran"})
    ring = keyring(connections, clock)
    for number in range(1000):
        assert await ring.sender(f"guess_{number}") is None
    assert (connections.lists, connections.asked) == (1, [])


@pytest.mark.parametrize("conn_id", ["", "a b", "a\0b", "x" * 251, "ümlaut", "a?b", "a\n"])
async def test_what_is_no_id_is_not_even_looked_for(clock, conn_id):
    connections = Connections(elsewhere={conn_id: "s"})
    assert await keyring(connections, clock).sender(conn_id) is None
    assert (connections.lists, connections.asked) == (0, [])


async def test_strangers_are_looked_for_a_few_times_a_second_where_there_is_a_secrets_backend(clock):
    connections = Connections(elsewhere={"in_vault": "s"})
    ring = keyring(connections, clock)
    for number in range(1000):
        await ring.sender(f"guess_{number}")
    assert len(connections.asked) == STRANGERS_AT_ONCE
    clock.now += 10
    for number in range(1000):
        await ring.sender(f"guess_{number}")
    assert len(connections.asked) == STRANGERS_AT_ONCE + 10 * STRANGERS_A_SECOND


async def test_one_that_had_a_secret_is_never_rationed(clock):
    connections = Connections(elsewhere={"in_vault": "s"})
    ring = keyring(connections, clock)
    assert await ring.sender("in_vault") is not None
    for second in range(100):
        clock.now += FRESH_FOR
        for number in range(50):
            await ring.sender(f"guess_{second}_{number}")
        assert await ring.sender("in_vault") is not None
    connections.secrets.clear()
    clock.now += FRESH_FOR
    assert await ring.sender("in_vault") is None


async def test_one_that_lost_its_secret_is_a_stranger_again(clock):
    connections = Connections(elsewhere={"in_vault": "s"})
    ring = keyring(connections, clock)
    await ring.sender("in_vault")
    connections.secrets.clear()
    clock.now += FRESH_FOR
    await ring.sender("in_vault")
    clock.now += FRESH_FOR
    for number in range(100):
        await ring.sender(f"guess_{number}")
    before = len(connections.asked)
    assert await ring.sender("in_vault") is None
    assert len(connections.asked) == before


async def test_what_strangers_leave_behind_is_forgotten(clock):
    connections = Connections({"fivetran"}, elsewhere={})
    ring = keyring(connections, clock)
    for second in range(1000):
        clock.now += 1
        await ring.sender(f"guess_{second}")
        await ring.sender("fivetran")
    assert len(connections.asked) > 2 * MOST_REMEMBERED
    assert len(ring._answers) <= MOST_REMEMBERED


async def test_a_database_that_is_gone_is_asked_once_a_second(clock):
    connections = Connections({"fivetran"})
    connections.broken = True
    ring = keyring(connections, clock)
    for _ in range(50):
        with pytest.raises(OSError, match="gone"):
            await ring.sender("fivetran")
    assert connections.lists == 1
    connections.broken = False
    clock.now += FAILURE_FRESH_FOR
    assert await ring.sender("fivetran") is not None


async def test_one_who_gives_up_takes_nothing_from_the_others(clock):
    connections = Connections({"fivetran"})
    ring = keyring(connections, clock)
    impatient = asyncio.create_task(ring.sender("fivetran"))
    patient = asyncio.create_task(ring.sender("fivetran"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient is not None


def test_a_sender_does_not_show_its_secrets():
    assert "hush" not in repr(Sender("fivetran", HOST, ("hush",)))
