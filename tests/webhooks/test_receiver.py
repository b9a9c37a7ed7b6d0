"""The receiver as the world sees it: what it takes, what it refuses, and how fast it answers."""

from __future__ import annotations

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
import requests

from receiver_stage import Door, asset, declare, events, served
from webhook_bodies import CAPTURED, SECRET, SIGNATURE, delivery, signature, signed

pytest.importorskip("airflow.models.asset_state_store", reason="the receiver needs Airflow 3.3")

from airflow_provider_fivetran.webhooks.application import LARGEST_BODY, Patience

REFUSED = (401, {"message": "the signature is wrong"})


def answer_of(response: requests.Response) -> tuple[int, dict]:
    return response.status_code, response.json()


def raw(door: Door, *parts: bytes, pause: float = 0.0, close: bool = False) -> bytes:
    """Send bytes as they are and return all that comes back until the receiver closes."""
    host, _, port = door.url.removeprefix("http://").partition(":")
    answer = b""

    def send() -> None:
        with suppress(OSError):
            for part in parts:
                sock.sendall(part)
                time.sleep(pause)
            if close:
                sock.shutdown(socket.SHUT_WR)

    with socket.create_connection((host, int(port)), timeout=15) as sock:
        sending = threading.Thread(target=send)
        sending.start()
        with suppress(ConnectionResetError):
            while chunk := sock.recv(65536):
                answer += chunk
    sending.join()
    return answer


def head(account, *headers: str, length: int | str | None = None) -> bytes:
    lines = [f"POST /webhooks/{account.conn_id} HTTP/1.1", "Host: here", *headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# --- what is taken -----------------------------------------------------------------------------------------------


def test_a_good_delivery_becomes_an_event(door, account):
    asset_id = asset(account.uri("speak_menial"))
    body = delivery()
    assert answer_of(door.post(account.conn_id, body)) == (200, {"message": "received"})
    assert [event["status"] for event in events(asset_id)] == ["succeeded"]


def test_a_repeated_delivery_is_taken_and_changes_nothing(door, account):
    asset_id = asset(account.uri("speak_menial"))
    body = delivery()
    assert {door.post(account.conn_id, body).status_code for _ in range(3)} == {200}
    assert len(events(asset_id)) == 1


def test_deliveries_that_arrive_together_on_two_servers_become_one_event(tables, door, account):
    from airflow_provider_fivetran.webhooks.airflow_tables import AirflowTables

    asset_id = asset(account.uri("account"))
    body = delivery()
    with served(AirflowTables()) as other, ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: (door, other)[n % 2].post(account.conn_id, body).status_code, range(16))
        )
    assert set(answers) == {200}
    assert len(events(asset_id)) == 1


def test_the_test_of_a_webhook_is_answered_and_nothing_happens(door, account):
    asset_id = asset(account.uri("_connection_1"))
    answer = door.post(account.conn_id, delivery(connector_id="_connection_1"))
    assert answer_of(answer) == (200, {"message": "test received"})
    assert events(asset_id) == []


@pytest.mark.parametrize("event", ["dbt_run_succeeded", "transformation_failed", "transformation_run_start"])
def test_transformations_are_taken(door, account, event):
    assert door.post(account.conn_id, delivery(event)).status_code == 200


@pytest.mark.parametrize("event", ["sync_start", "an_event_of_2031"])
def test_other_events_are_taken_and_ignored(door, account, event):
    asset_id = asset(account.uri("speak_menial"))
    assert answer_of(door.post(account.conn_id, delivery(event))) == (200, {"message": "ignored"})
    assert events(asset_id) == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense", ""]
)
def test_the_content_type_does_not_matter_for_the_signature_says_it_all(door, account, kind):
    body = delivery()
    answer = door.post(account.conn_id, body, {**signed(body), "Content-Type": kind})
    assert answer.status_code == 200


def test_a_delivery_in_chunks_is_taken(door, account):
    body = delivery()
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(body[i : i + 7]), body[i : i + 7]) for i in range(0, len(body), 7)
    )
    headers = (f"{SIGNATURE}: {signature(body)}", "Transfer-Encoding: chunked", "Connection: close")
    assert b" 200 " in raw(door, head(account, *headers), chunks, b"0\r\n\r\n")


def test_while_a_secret_is_rotated_both_count(door, monkeypatch):
    account = declare(monkeypatch, webhook_secret="new", webhook_secret_previous="old")
    body = delivery()
    for secret in ("new", "old"):
        assert door.post(account.conn_id, body, signed(body, secret)).status_code == 200
    assert door.post(account.conn_id, body, signed(body, "older")).status_code == 401


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claimed", [None, "", "nonsense", "0" * 63, "sha256=" + "0" * 64])
def test_what_is_not_signed_is_refused(door, account, claimed):
    asset_id = asset(account.uri("speak_menial"))
    headers = {} if claimed is None else {SIGNATURE: claimed}
    answer = door.post(account.conn_id, delivery(), headers)
    assert answer_of(answer) == (401, {"message": "the delivery is not signed"})
    assert events(asset_id) == []


def test_a_wrong_signature_is_refused(door, account):
    asset_id = asset(account.uri("speak_menial"))
    body = delivery()
    assert answer_of(door.post(account.conn_id, body, signed(body, "wrong"))) == REFUSED
    assert answer_of(door.post(account.conn_id, body + b" ", signed(body))) == REFUSED
    assert events(asset_id) == []


def test_the_secret_of_another_connection_is_refused(door, account, monkeypatch):
    other = declare(monkeypatch, webhook_secret="other")
    body = delivery()
    assert door.post(other.conn_id, body, signed(body, "other")).status_code == 200
    assert answer_of(door.post(account.conn_id, body, signed(body, "other"))) == REFUSED


@pytest.mark.parametrize("conn_id", ["nobody", "x" * 300, "a%20b", "a/b", "%00", "..%2f..%2fetc"])
def test_an_unknown_connection_is_answered_like_a_wrong_signature(door, conn_id):
    assert answer_of(door.post(conn_id, CAPTURED)) == REFUSED


@pytest.mark.parametrize("extra", [{}, {"webhook_secret": ""}])
def test_a_connection_without_a_secret_takes_nothing(door, monkeypatch, extra):
    account = declare(monkeypatch, **extra)
    for secret in ("", "None", SECRET):
        assert answer_of(door.post(account.conn_id, CAPTURED, signed(CAPTURED, secret))) == REFUSED


def test_a_signed_delivery_that_makes_no_sense_is_refused(door, account):
    for body in (b"", b"[" * 60000, b"{}", delivery(connector_id="../x")):
        answer = door.post(account.conn_id, body)
        assert answer.status_code == 400
        assert "../x" not in answer.text


def test_a_delivery_from_last_week_is_refused(door, account):
    asset_id = asset(account.uri("speak_menial"))
    assert answer_of(door.post(account.conn_id, CAPTURED)) == (400, {"message": "the delivery is too old"})
    assert events(asset_id) == []


def test_other_methods_and_addresses_are_not_there(door, account):
    assert requests.get(f"{door.url}/webhooks/{account.conn_id}", timeout=15).status_code == 405
    for path in ("/", "/docs", "/openapi.json", "/webhooks"):
        assert requests.get(f"{door.url}{path}", timeout=15).status_code == 404


# --- how much and how fast ---------------------------------------------------------------------------------------


def test_a_body_of_the_largest_size_is_taken(door, account):
    body = delivery(connector_name="x" * 65000)
    body += b" " * (LARGEST_BODY - len(body))
    assert door.post(account.conn_id, body).status_code == 200
    assert door.post(account.conn_id, body + b" ").status_code == 413


def test_a_body_that_says_it_is_too_large_is_refused_unread(door, account):
    header = f"{SIGNATURE}: {signature(b'')}"
    for length in (LARGEST_BODY + 1, 100 * 2**20):
        begin = time.monotonic()
        assert b" 413 " in raw(door, head(account, header, length=length))
        assert time.monotonic() - begin < 2


def test_a_body_that_does_not_say_how_long_it_is_is_cut_off(door, account):
    headers = (f"{SIGNATURE}: {signature(b'')}", "Transfer-Encoding: chunked")
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    assert b" 413 " in raw(door, head(account, *headers), *[chunk] * 64, pause=0.01)


def test_a_slow_body_is_cut_off(tables, account):
    body = delivery()
    header = f"{SIGNATURE}: {signature(body)}"
    with served(tables, Patience(body=0.5)) as door:
        begin = time.monotonic()
        drops = (body[i : i + 1] for i in range(20))
        assert b" 408 " in raw(door, head(account, header, length=len(body)), *drops, pause=0.1)
        assert 0.5 <= time.monotonic() - begin < 3


def test_a_body_that_breaks_off_does_no_harm(door, account):
    body = delivery()
    header = f"{SIGNATURE}: {signature(body)}"
    raw(door, head(account, header, length=len(body)), body[:50], close=True)
    assert door.post(account.conn_id, body).status_code == 200


def test_a_flood_of_wrong_deliveries_asks_airflow_next_to_nothing(account, tables):
    counted = Counted(tables)
    with served(counted) as door, ThreadPoolExecutor(8) as pool:
        ids = [account.conn_id, *(f"guess_{number}" for number in range(400))]
        answers = set(
            pool.map(
                lambda conn_id: door.post(conn_id, CAPTURED, signed(CAPTURED, "wrong")).status_code, ids * 2
            )
        )
    assert answers == {401}
    assert counted.asked <= 8


class Counted:
    """Airflow's tables, and how often they were read for somebody."""

    def __init__(self, tables) -> None:
        self._tables = tables
        self.asked = 0

    def declared(self):
        self.asked += 1
        return self._tables.declared()

    def sender(self, conn_id):
        self.asked += 1
        return self._tables.sender(conn_id)


# --- a database that is slow or gone -----------------------------------------------------------------------------


class Stuck:
    """Tables of which something hangs until it is let go."""

    def __init__(self, tables, *names: str) -> None:
        self._tables = tables
        self._names = names
        self.released = threading.Event()

    def __getattr__(self, name):
        real = getattr(self._tables, name)
        if name not in self._names:
            return real

        def hang(*args):
            self.released.wait(60)
            return real(*args)

        return hang


@contextmanager
def stuck(tables, name, **patience):
    hanging = Stuck(tables, name)
    with served(hanging, Patience(**patience)) as door:
        try:
            yield hanging, door
        finally:
            hanging.released.set()


def test_a_database_that_hangs_is_told_within_the_time_that_fivetran_waits_and_nothing_is_lost(
    tables, account
):
    asset_id = asset(account.uri("speak_menial"))
    body = delivery()
    with stuck(tables, "tell", answer=1) as (hanging, door):
        begin = time.monotonic()
        assert door.post(account.conn_id, body).status_code == 503
        assert 1 <= time.monotonic() - begin < 3
        assert events(asset_id) == []
        hanging.released.set()
        assert door.post(account.conn_id, body).status_code == 200
    assert len(events(asset_id)) == 1


def test_while_the_database_hangs_many_are_refused_at_once_and_none_waits_too_long(tables, account):
    with stuck(tables, "tell", answer=1) as (_, door), ThreadPoolExecutor(100) as pool:
        begin = time.monotonic()
        answers = list(
            pool.map(lambda n: door.post(account.conn_id, delivery(sync_id=f"s{n}")).status_code, range(100))
        )
        assert set(answers) == {503}
        assert time.monotonic() - begin < 5


def test_where_connections_cannot_be_read_known_and_unknown_are_answered_alike(tables, account):
    with stuck(tables, "declared", secret=0.5) as (_, door):
        begin = time.monotonic()
        for conn_id in (account.conn_id, "nobody"):
            answer = door.post(conn_id, delivery())
            assert answer_of(answer) == (503, {"message": "Airflow's connections cannot be read"})
        assert time.monotonic() - begin < 4


def test_the_time_for_an_answer_is_for_all_of_it(tables, account):
    with stuck(tables, "declared", secret=20, answer=0.5) as (_, door):
        begin = time.monotonic()
        answer = door.post(account.conn_id, delivery())
        assert answer_of(answer) == (503, {"message": "Airflow's database takes too long"})
        assert time.monotonic() - begin < 5


def test_fivetran_is_answered_before_it_gives_up():
    patience = Patience()
    assert patience.body < patience.answer < 10
    assert patience.secret < patience.answer


def test_a_locked_database_is_waited_for_and_then_told(door, account):
    """SQLite has one writer: somebody holds its lock, and lets it go."""
    from airflow import settings
    from sqlalchemy import text

    if settings.engine.dialect.name != "sqlite":
        pytest.skip("about SQLite")
    asset_id = asset(account.uri("speak_menial"))
    door.post(account.conn_id, delivery("sync_start"))
    with settings.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(door.post, account.conn_id, delivery())
            time.sleep(1)
            connection.execute(text("SELECT 1"))
            connection.exec_driver_sql("ROLLBACK")
            assert answer.result().status_code == 200
    assert len(events(asset_id)) == 1


# --- what is said of it ------------------------------------------------------------------------------------------


def test_the_log_says_why_once_a_minute_and_nothing_that_a_sender_chose(door, account, caplog):
    body = delivery(connector_name="<b>chosen</b>", connector_id="../chosen")
    with caplog.at_level(logging.DEBUG):
        for _ in range(5):
            door.post(account.conn_id, body, signed(body, "wrong"))
            door.post("chosen", body, signed(body, "wrong"))
            door.post(account.conn_id, body)
    ours = [record for record in caplog.records if record.name.startswith("airflow_provider_fivetran")]
    said = [record.getMessage() for record in ours]
    assert said == [
        f"Fivetran webhook refused: signed with another secret than the webhook_secret of Airflow connection '{account.conn_id}'",
        "Fivetran webhook refused: signed with another secret than the webhook_secret of an unknown one or one without",
        "Fivetran webhook refused: the delivery cannot be read: the field 'connector_id' is not an id",
    ]
    assert SECRET not in caplog.text
    assert "chosen" not in "".join(said)
