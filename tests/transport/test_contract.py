"""What both transports promise, written once and run over each, against a Fivetran and a wire on this machine."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import ssl
import threading
import time
import traceback
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.core.endpoints import (
    change_connection,
    get_connection,
    get_sync_history,
    list_connections,
    sync_connection,
)
from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranConflict,
    FivetranError,
    FivetranForbidden,
    FivetranNotFound,
    FivetranRateLimited,
    FivetranServerError,
    FivetranUnauthorized,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
)
from airflow_provider_fivetran.core.protocol import MAX_ANSWER_BYTES, Credentials, Settings, base_url_of
from airflow_provider_fivetran.core.steps import Note, Pause, ask, ask_pages
from airflow_provider_fivetran.core.ticket import Aim, Ticket
from airflow_provider_fivetran.core.verdicts import Succeeded
from airflow_provider_fivetran.core.watch import watch
from airflow_provider_fivetran.simulator import Fault, Simulator, SyncPlan
from airflow_provider_fivetran.transport import aio
from airflow_provider_fivetran.transport.aio import AsyncTransport, Line, shared_line
from airflow_provider_fivetran.transport.blocking import BlockingTransport
from raw_server import Drip, RawServer, elapsed, envelope, free_port, has_ipv6, http

KEY, SECRET = "sim-key", "sim-secret"
ENCODED = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
LOOK, TRIGGER = get_connection("c"), sync_connection("c")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def asynchronous(keys):
    async def given():
        for settings in keys():
            yield settings

    return given


def only(settings):
    return asynchronous(lambda: iter([settings]))


class Client:
    """One of the two transports, used from blocking code; pauses are written down instead of taken."""

    def __init__(self, kind, url, **options):
        self.kind = kind
        self.pauses = []
        self.notes = []
        self.reads = 0
        self._rest = options.pop("rest", None)
        self._settings = Settings(
            credentials=options.pop("credentials", Credentials.of(KEY, SECRET)),
            base_url=url,
            timeout=options.pop("timeout", 5.0),
            user_agent="contract/1.0",
        )
        self._others = options.pop("other_keys", [])
        self._options = {"pause": 1.0, "note": self.notes.append} | options

    def _keys(self):
        self.reads += 1
        yield self._settings
        for credentials in self._others:
            yield replace(self._settings, credentials=credentials, conn_id="other")

    def send(self, *calls):
        """Send calls over one session; the answers."""
        if self.kind == "blocking":
            with BlockingTransport(self._keys, sleep=self.pauses.append, **self._options) as transport:
                return [transport.send(call) for call in calls]
        return asyncio.run(self._with_aio(lambda transport: self._send_each(transport, calls)))

    def drive(self, procedure):
        if self.kind == "blocking":
            with BlockingTransport(self._keys, sleep=self.pauses.append, **self._options) as transport:
                return transport.drive(procedure)
        return asyncio.run(self._with_aio(lambda transport: transport.drive(procedure)))

    def fails(self, call, error=FivetranError):
        with pytest.raises(error) as caught:
            self.send(call)
        return caught.value

    async def _with_aio(self, use):
        async def sleep(seconds):
            self.pauses.append(seconds)

        async with Line(asynchronous(self._keys), rest=self._rest) as line:
            return await use(AsyncTransport(line, sleep=sleep, **self._options))

    async def _send_each(self, transport, calls):
        return [await transport.send(call) for call in calls]


@pytest.fixture(params=["blocking", "aio"])
def kind(request):
    return request.param


@pytest.fixture
def later(monkeypatch):
    """Let seconds pass for an AsyncTransport's rests, however slow the machine is."""
    passed = 0.0
    real = aio._now

    def wait(seconds):
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(aio, "_now", lambda: real() + passed)
    return wait


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def served():
    simulator = Simulator(speed=0)
    with simulator.serving():
        yield simulator


@pytest.fixture
def sim(served):
    served.reset()
    served.add_connection("c")
    return served


@pytest.fixture
def client(kind, sim):
    return Client(kind, sim.url)


@pytest.fixture
def wire(kind):
    """Make a raw server and a client of it."""
    running = []

    def start(answer, **options):
        context = RawServer(answer if callable(answer) else lambda _head: answer).running()
        server = context.__enter__()
        running.append(context)
        return server, Client(kind, server.url, **options)

    yield start
    for context in running:
        context.__exit__(None, None, None)


# --- answers --------------------------------------------------------------------------------------------------


def test_an_answer_has_its_value_and_what_the_headers_say(client, sim):
    (answer,) = client.send(LOOK)
    assert answer.value.id == "c"
    assert abs(answer.server_time - sim.clock.now()) <= timedelta(seconds=1)
    assert answer.requests_left == 19_999


def test_what_a_request_carries(client, sim):
    client.send(TRIGGER, change_connection("c", {"paused": False}), LOOK)
    trigger, change, look = sim.requests
    for request in (trigger, change):
        assert request.headers["content-type"] == "application/json"
    assert "content-type" not in look.headers
    assert (trigger.body, change.body) == ({"force": False}, {"paused": False, "run_setup_tests": False})
    for request in (trigger, change, look):
        assert request.headers["accept"] == "application/json"
        assert request.headers["user-agent"] == "contract/1.0"


@pytest.mark.parametrize(
    "given_id",
    [
        *["a/b", "a b", "ü", "100%", "a%2Fb", "a?b#c&d", "../x", "a+b;c=d", "a\\b", "a\nb", "..."],
        *["%2e%2e", "%2e%2e%2fx", ".%2E/x", "//evil.example", "@evil.example", "http://evil.example"],
    ],
)
def test_an_id_is_one_part_of_the_path_over_the_wire(wire, given_id):
    server, client = wire(envelope(id="x"))
    client.send(get_connection(given_id))
    _method, path, _version = server.lines[0].split(" ")
    assert [unquote(part) for part in path.split("/")] == ["", "v1", "connections", given_id]
    assert not set(path) & set("?#")


@pytest.mark.parametrize(
    "name", ["a b", "a&b=c", "a+b", "ü", "100%", "a;b", "a/b?c#d", "../x", "%2e%2e", "a%26b"]
)
def test_a_filter_arrives_as_it_was_meant(client, sim, name):
    client.send(list_connections(schema=name))
    assert sim.requests[-1].query == {"limit": "1000", "schema": name}


def test_a_request_carries_the_credentials(wire):
    server, client = wire(envelope(id="c"))
    client.send(LOOK, TRIGGER)
    assert [server.header("Authorization", which) for which in (0, 1)] == [f"Basic {ENCODED}"] * 2


def test_credentials_in_other_letters_arrive_as_they_are(wire):
    pair = Credentials.of("schlüssel", "☃:=")
    server, client = wire(envelope(id="c"), credentials=pair)
    client.send(LOOK)
    assert server.header("Authorization") == pair.header


def test_times_arrive_as_they_were_meant(client, sim):
    since = sim.clock.now() - timedelta(hours=1)
    client.send(get_sync_history("c", since=since, until=since + timedelta(hours=1)))
    assert sim.requests[-1].query["start_time"] == since.isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    )


def test_many_calls_share_one_connection(wire):
    server, client = wire(envelope(id="c"))
    client.send(*[LOOK] * 20, TRIGGER, LOOK)
    assert (len(server.lines), server.connections) == (22, 1)


def test_a_session_survives_an_error_answer_on_the_same_connection(wire):
    server, client = wire(lambda _head: http(500) if len(server.lines) % 2 else envelope(id="c"))
    client.send(LOOK, LOOK, LOOK)
    assert (len(server.lines), server.connections) == (6, 1)


def test_pages_are_read_to_the_end(kind, sim):
    for number in range(5):
        sim.add_connection(f"c{number}")
    call = list_connections()
    call = type(call)(
        **{name: getattr(call, name) for name in call.__dataclass_fields__} | {"params": {"limit": "2"}}
    )
    items = Client(kind, sim.url).drive(ask_pages(call, most=10))
    assert sorted(item.id for item in items) == ["c", "c0", "c1", "c2", "c3", "c4"]


# --- errors and repetitions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "attempts"),
    [
        (400, FivetranApiError, 1),
        (401, FivetranUnauthorized, 1),
        (403, FivetranForbidden, 1),
        (404, FivetranNotFound, 1),
        (409, FivetranConflict, 1),
        (500, FivetranServerError, 3),
        (503, FivetranServerError, 3),
        (429, FivetranRateLimited, 3),
    ],
)
def test_which_answers_are_worth_reading_again(client, sim, status, error, attempts):
    sim.faults.add(Fault("status", status=status, times=None))
    assert client.fails(LOOK, error).status == status
    assert len(sim.requests) == attempts
    assert len(client.pauses) == attempts - 1


@pytest.mark.parametrize("kind_of_fault", ["status", "reset", "lost", "html", "garbage"])
def test_a_read_survives_a_short_fault(client, sim, kind_of_fault):
    sim.faults.add(Fault(kind_of_fault, times=2))
    (answer,) = client.send(LOOK)
    assert answer.value.id == "c"
    assert len(sim.requests) == 3
    assert 1 <= client.pauses[0] <= 1.5
    # aiohttp itself sends a read once more when its connection breaks.
    assert all(2 <= pause <= 3 for pause in client.pauses[1:])


def test_how_often_is_chosen(kind, sim):
    sim.faults.add(Fault("status", times=None))
    client = Client(kind, sim.url, attempts=5, pause=7.0)
    client.fails(LOOK, FivetranServerError)
    assert len(sim.requests) == 5
    assert 7 <= client.pauses[0] <= 10.5


@pytest.mark.parametrize("kind_of_fault", ["status", "reset", "lost", "html", "garbage"])
def test_a_trigger_that_may_have_been_received_is_not_repeated(client, sim, kind_of_fault):
    sim.faults.add(Fault(kind_of_fault, times=None))
    error = client.fails(TRIGGER)
    assert isinstance(error, (FivetranUnreachable, FivetranServerError, FivetranUnexpectedAnswer))
    assert getattr(error, "maybe_received", True)
    assert len(sim.requests) == 1
    assert client.pauses == []


def test_a_trigger_that_was_refused_for_the_rate_limit_is_repeated(client, sim):
    sim.faults.add(Fault("status", status=429, retry_after=5))
    client.send(TRIGGER)
    assert len(sim.runs("c")) == 1
    assert [5 <= pause <= 5.5 for pause in client.pauses] == [True]


def test_a_change_is_safe_to_repeat(client, sim):
    sim.faults.add(Fault("lost"))
    client.send(change_connection("c", {"paused": True}))
    assert len(sim.requests) == 2


@pytest.mark.parametrize("call", [LOOK, TRIGGER], ids=["read", "trigger"])
def test_a_refused_connection_received_nothing_and_is_tried_again(kind, call):
    client = Client(kind, f"http://127.0.0.1:{free_port()}")
    error = client.fails(call, FivetranUnreachable)
    assert not error.maybe_received
    assert len(client.pauses) == 2


@pytest.mark.parametrize("seconds", [0, 3, 60])
def test_the_pause_that_fivetran_asks_for_is_obeyed(client, sim, seconds):
    sim.faults.add(Fault("status", status=429, retry_after=seconds))
    client.send(LOOK)
    assert len(client.pauses) == 1
    assert max(seconds, 1) <= client.pauses[0] <= max(seconds, 1) * 1.5


def test_the_pause_that_fivetran_asks_for_may_be_a_date(wire):
    date = {"Date": "Mon, 02 Nov 2026 10:00:00 GMT", "Retry_After": "Mon, 02 Nov 2026 10:00:40 GMT"}
    server, client = wire(lambda _head: envelope(id="c") if len(server.lines) > 1 else http(429, **date))
    client.send(LOOK)
    assert 40 <= client.pauses[0] <= 41


def test_a_long_pause_is_not_taken_in_place(client, sim):
    sim.faults.add(Fault("status", status=429, retry_after=3600))
    error = client.fails(LOOK, FivetranRateLimited)
    assert (error.retry_after, client.pauses, len(sim.requests)) == (3600, [], 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_carries_no_secret_away(wire, status):
    elsewhere, _ = wire(envelope(id="c"))
    _, client = wire(http(status, Location=f"{elsewhere.url}/v1/connections/c"))
    assert client.fails(LOOK, FivetranUnexpectedAnswer).status == status
    assert client.fails(TRIGGER, FivetranUnexpectedAnswer).status == status
    assert elsewhere.heads == []


# What comes back, and what the error knows of it besides the connection.
TROUBLES = {
    "refused": (Fault("status", status=401, times=None), FivetranUnauthorized, {"status": 401}),
    "forbidden": (Fault("status", status=403, times=None), FivetranForbidden, {"status": 403}),
    "absent": (Fault("status", status=404, times=None), FivetranNotFound, {"status": 404}),
    "conflict": (Fault("status", status=409, times=None), FivetranConflict, {"status": 409}),
    "limited": (
        Fault("status", status=429, retry_after=90, times=None),
        FivetranRateLimited,
        {"status": 429, "retry_after": 90},
    ),
    "server": (Fault("status", status=503, times=None), FivetranServerError, {"status": 503}),
    "page": (Fault("html", status=200, times=None), FivetranUnexpectedAnswer, {"status": 200}),
    "elsewhere": (Fault("status", status=302, times=None), FivetranUnexpectedAnswer, {"status": 302}),
    "shape": (Fault("wrong_shape", times=None), FivetranUnexpectedAnswer, {"status": 200}),
    "reset": (Fault("reset", times=None), FivetranUnreachable, {"status": None, "maybe_received": True}),
}


@pytest.mark.parametrize(("fault", "error", "facts"), TROUBLES.values(), ids=TROUBLES)
def test_an_error_knows_which_connection_it_is_about_and_where_to_look(kind, sim, fault, error, facts):
    sim.faults.add(fault)
    client = Client(kind, sim.url, attempts=1)
    sim.add_connection("a c")
    failed = client.fails(get_connection("a c"), error)
    assert failed.connection_id == "a c"
    assert failed.link == "https://fivetran.com/dashboard/connections/a%20c"
    assert vars(failed) | facts == vars(failed)
    about_none = client.fails(list_connections(), error)
    assert (about_none.connection_id, about_none.link) == (None, None)


def test_an_error_without_an_answer_knows_its_connection_too(kind):
    error = Client(kind, f"http://127.0.0.1:{free_port()}").fails(TRIGGER, FivetranUnreachable)
    assert (error.connection_id, error.maybe_received) == ("c", False)


ODD = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.9\r\n",
    "half a head": b"HTTP/1.1 200",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    "a thousand headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000 + b"\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
    "a body shorter than it says": b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"data": {"id": "c"}}',
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "gzip that is none": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "no status": b"HTTP/1.1 \r\n\r\n",
    "a status that is none": b"HTTP/1.1 abc OK\r\n\r\n",
}


@pytest.mark.parametrize("bytes_sent", ODD.values(), ids=ODD)
@pytest.mark.parametrize("call", [LOOK, TRIGGER], ids=["read", "trigger"])
def test_whatever_comes_over_the_wire_is_an_error_of_this_package(kind, bytes_sent, call):
    def hang_up_after(_head):
        return bytes_sent

    server = RawServer(hang_up_after)
    with server.running():
        client = Client(kind, server.url, timeout=0.2)
        error = client.fails(call, (FivetranUnreachable, FivetranUnexpectedAnswer))
    assert len(server.heads) == (1 if call is TRIGGER else 3)
    assert getattr(error, "maybe_received", True)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"<html></html>", b'{"data": []}', b"\xff\xfe"])
def test_a_body_that_is_not_an_envelope_is_unexpected(wire, body):
    server, client = wire(http(200, body))
    client.fails(LOOK, FivetranUnexpectedAnswer)
    assert len(server.lines) == 3


WRONG = {
    "deep": b'{"data":' * 200_000 + b"1" + b"}" * 200_000,
    "deep within": b'{"data": {"id": "c", "status": ' + b"[" * 10**5 + b"]" * 10**5 + b"}}",
    "not a number": b'{"data": {"id": "c", "sync_frequency": NaN}}',
    "infinity": b'{"data": {"id": "c", "sync_frequency": Infinity}}',
    "more than infinity": b'{"data": {"id": "c", "sync_frequency": 1e999}}',
    "a million digits": b'{"data": {"id": "c", "sync_frequency": ' + b"9" * 10**6 + b"}}",
    "no id": {"data": {"paused": False}},
    "no data": {"code": "Success"},
    "an id that is a number": {"data": {"id": 5}},
    "a flag that is a text": {"data": {"id": "c", "paused": "no"}},
    "a status that is a list": {"data": {"id": "c", "status": []}},
    "tasks that are texts": {"data": {"id": "c", "status": {"tasks": ["reconnect"]}}},
    "setup tests by name": {"data": {"id": "c", "setup_tests": {"a": {}}}},
    "a time in words": {"data": {"id": "c", "succeeded_at": "yesterday"}},
    "a time that is a number": {"data": {"id": "c", "succeeded_at": 1793613600}},
    "a time that is no time": {"data": {"id": "c", "failed_at": "2026-13-45T25:61:61Z"}},
    "a time before all times": {"data": {"id": "c", "failed_at": "0001-01-01T00:00:00+23:59"}},
    "a time that is put off wrongly": {"data": {"id": "c", "status": {"rescheduled_for": "02.11.2026"}}},
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_an_answer_that_says_nothing_of_use_is_unexpected(wire, body):
    server, client = wire(http(200, body), attempts=1)
    error = client.fails(LOOK, FivetranUnexpectedAnswer)
    assert (error.status, error.connection_id, error.permanent) == (200, "c", False)
    assert len(str(error)) < 1000
    assert len(server.lines) == 1


WRONG_PAGES = {
    "not a list": {"data": {"items": {"0": {"id": "c"}}}},
    "a list of nothing": {"data": {"items": [None]}},
    "an item without id": {"data": {"items": [{"id": "c"}, {}]}},
    "a cursor that is a number": {"data": {"items": [], "next_cursor": 5}},
}


@pytest.mark.parametrize("body", WRONG_PAGES.values(), ids=WRONG_PAGES)
def test_a_page_that_says_nothing_of_use_is_unexpected(wire, body):
    _, client = wire(http(200, body), attempts=1)
    client.fails(list_connections(), FivetranUnexpectedAnswer)


def test_a_date_that_is_none_is_unknown(wire):
    _, client = wire(http(200, {"data": {"id": "c"}}, Date="soon", X_Rate_Limit_Remaining="many"))
    (answer,) = client.send(LOOK)
    assert (answer.server_time, answer.requests_left) == (None, None)


def test_an_error_of_fifty_megabytes_is_broken_off(wire):
    sent = http(500, Content_Length=str(50 * 1024**2)) + b" " * (MAX_ANSWER_BYTES + 200_000)
    _, client = wire(sent, attempts=1, timeout=20)
    assert client.fails(LOOK, FivetranUnexpectedAnswer).status == 500


def test_an_address_may_go_on_with_a_path(kind, wire):
    server, client = wire(envelope(id="c"))
    Client(kind, base_url_of(f"{server.url}/gateway/fivetran/v1/")).send(get_connection("a/b"))
    assert server.lines == ["GET /gateway/fivetran/v1/connections/a%2Fb HTTP/1.1"]
    client.send(LOOK)
    assert server.lines[-1] == "GET /v1/connections/c HTTP/1.1"


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no loopback address of IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]", "http://[::1]"])
def test_an_address_may_be_one_of_ipv6(kind, host):
    with RawServer(lambda _head: envelope(id="c"), host="::1").running() as server:
        Client(kind, base_url_of(host, port=server.port)).send(LOOK)
        assert server.header("Host") == f"[::1]:{server.port}"


def test_a_reset_is_an_error_of_this_package(wire):
    def reset(_head):
        return None

    _, client = wire(reset)
    assert client.fails(TRIGGER, FivetranUnreachable).maybe_received


# --- time and size --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [LOOK, TRIGGER], ids=["read", "trigger"])
def test_an_answer_that_takes_too_long_ends_at_the_limit(kind, sim, call):
    sim.faults.add(Fault("slow", delay=3))
    client = Client(kind, sim.url, timeout=0.3, attempts=1)
    begin = time.monotonic()
    assert client.fails(call, FivetranUnreachable).maybe_received
    assert elapsed(begin) < 1.5


@pytest.mark.parametrize(
    "call",
    [change_connection("c", {"paused": True}), sync_connection("c", force=True)],
    ids=["change", "forced start"],
)
def test_what_may_have_to_stop_a_sync_gets_its_time_however_short_the_limit(kind, sim, call):
    sim.faults.add(Fault("slow", delay=0.9))
    client = Client(kind, sim.url, timeout=0.2, attempts=1)
    client.send(call)
    assert len(sim.requests) == 1


DRIPS = {
    "with a length": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{",
    "without a length": b"HTTP/1.1 200 OK\r\n\r\n{",
    "an error": b"HTTP/1.1 500 Oh\r\nContent-Length: 100000\r\n\r\n{",
}


@pytest.mark.parametrize("head", DRIPS.values(), ids=DRIPS)
def test_a_body_that_drips_ends_at_the_limit(wire, head):
    _, client = wire(Drip(head, pause=0.05), timeout=0.4, attempts=1)
    begin = time.monotonic()
    client.fails(LOOK, FivetranUnreachable)
    assert elapsed(begin) < 2


def test_a_large_answer_is_read(client, sim):
    sim.faults.add(Fault("huge", size_mb=3))
    (answer,) = client.send(LOOK)
    assert answer.value.id == "c"


def test_an_answer_beyond_all_measure_is_broken_off(wire):
    size = MAX_ANSWER_BYTES * 4
    sent = http(200, Content_Length=str(size)) + b" " * (MAX_ANSWER_BYTES + 200_000)
    _, client = wire(sent, attempts=1, timeout=20)
    assert "broken off" in str(client.fails(LOOK, FivetranUnexpectedAnswer))


def test_a_small_answer_that_unpacks_beyond_all_measure_is_broken_off(wire):
    import gzip

    packed = gzip.compress(b" " * (MAX_ANSWER_BYTES * 2))
    _, client = wire(http(200, packed, Content_Encoding="gzip"), attempts=1, timeout=20)
    assert "broken off" in str(client.fails(LOOK, FivetranUnexpectedAnswer))


# --- proxies and ~/.netrc -------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
def test_a_secret_to_this_machine_does_not_go_through_a_proxy(client, wire, monkeypatch, variable):
    """The request would cross the network to the proxy in the clear."""
    proxy, _ = wire(envelope(id="c"))
    monkeypatch.setenv(variable, proxy.url)
    client.send(LOOK)
    assert proxy.heads == []


def test_a_proxy_is_used_for_https_and_sees_no_secret(wire, monkeypatch):
    proxy, client = wire(http(403))
    client = Client(client.kind, "https://api.fivetran.example")
    monkeypatch.setenv("https_proxy", proxy.url)
    client.fails(LOOK, FivetranUnreachable)
    assert {line.rpartition(" ")[0] for line in proxy.lines} == {"CONNECT api.fivetran.example:443"}
    assert proxy.header("Authorization") is None


def test_a_proxy_that_asks_for_a_password_gets_that_and_not_ours(wire, monkeypatch):
    proxy, client = wire(http(403))
    client = Client(client.kind, "https://api.fivetran.example")
    monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:proxy-password@"))
    error = client.fails(LOOK, FivetranUnreachable)
    expected = base64.b64encode(b"user:proxy-password").decode()
    assert proxy.header("Proxy-Authorization") == f"Basic {expected}"
    assert "proxy-password" not in shown(error)


def test_no_proxy_is_honoured(wire, monkeypatch):
    proxy, client = wire(http(403))
    client = Client(client.kind, f"https://127.0.0.1:{free_port()}")
    monkeypatch.setenv("https_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    client.fails(LOOK, FivetranUnreachable)
    assert proxy.lines == []
    monkeypatch.delenv("no_proxy")
    client.fails(LOOK, FivetranUnreachable)
    assert proxy.lines != []


def test_a_netrc_never_replaces_our_credentials(wire, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\ndefault login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text(netrc.read_text())
    server, client = wire(envelope(id="c"))
    client.send(LOOK)
    assert server.header("Authorization") == f"Basic {ENCODED}"


# --- certificates ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """The address of a server with a certificate of its own, and the file of that certificate."""
    folder = tmp_path_factory.mktemp("tls")
    certificate = folder / "certificate.pem"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.write_bytes(own_certificate(folder / "key.pem"))
    tls.load_cert_chain(certificate, folder / "key.pem")

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.wfile.write(envelope(id="c"))

        def log_message(self, *_args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.handle_error = lambda *_args: None
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}", certificate
        server.shutdown()


def own_certificate(key_file):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(utcnow() - timedelta(days=1))
        .not_valid_after(utcnow() + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_environment_are_trusted(kind, certified, monkeypatch, variable):
    url, certificate = certified
    monkeypatch.setenv(variable, str(certificate))
    (answer,) = Client(kind, url).send(LOOK)
    assert answer.value.id == "c"


def test_other_certificates_are_not_trusted(kind, certified):
    url, _ = certified
    assert "CERTIFICATE_VERIFY_FAILED" in str(Client(kind, url).fails(LOOK, FivetranUnreachable))


def test_certificates_that_are_not_there_are_an_error_of_this_package(kind, certified, monkeypatch, tmp_path):
    url, _ = certified
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "not_there.pem"))
    Client(kind, url).fails(LOOK, FivetranUnreachable)


# --- secrets --------------------------------------------------------------------------------------------------


def shown(error):
    """Everything that a log could show of an error: its chain, and each repr of it."""
    chain, here = [], error
    while here is not None:
        chain += [repr(here), str(here), repr(vars(here) if hasattr(here, "__dict__") else "")]
        here = here.__cause__ or here.__context__
    return "\n".join([*chain, *traceback.format_exception(error)])


@pytest.mark.parametrize("fault", ["status", "reset", "lost", "html", "garbage", "slow", "wrong_shape"])
@pytest.mark.parametrize("call", [LOOK, TRIGGER], ids=["read", "trigger"])
def test_no_error_shows_a_secret(kind, sim, fault, call):
    sim.faults.add(Fault(fault, times=None, delay=1 if fault == "slow" else None))
    client = Client(kind, sim.url, timeout=0.2, attempts=1)
    try:
        client.send(call)
    except FivetranError as error:
        text = shown(error)
        assert SECRET not in text
        assert ENCODED not in text
    else:
        assert call is TRIGGER  # whose answer has no shape
        assert fault == "wrong_shape"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 429, 500])
def test_no_refusal_shows_a_secret(client, sim, status):
    sim.faults.add(Fault("status", status=status, times=None))
    text = shown(client.fails(LOOK))
    assert SECRET not in text
    assert ENCODED not in text


def test_no_transport_shows_a_secret(kind, sim):
    settings = Settings(credentials=Credentials.of(KEY, SECRET), base_url=sim.url)
    if kind == "blocking":
        shown = [BlockingTransport(lambda: iter([settings]))]
    else:
        shown = [line := Line(only(settings)), AsyncTransport(line)]
    for text in [repr(settings), *map(repr, shown), *map(str, shown)]:
        assert SECRET not in text
        assert ENCODED not in text


# --- procedures -----------------------------------------------------------------------------------------------


def test_a_procedure_is_driven_to_its_result(client):
    def procedure():
        yield Note("begin")
        answer = yield from ask(LOOK)
        yield Pause(utcnow() + timedelta(seconds=50))
        return answer.value.id

    assert client.drive(procedure()) == "c"
    assert client.notes == [Note("begin")]
    assert [49 < pause <= 50 for pause in client.pauses] == [True]


def test_a_pause_that_is_over_is_none(client):
    def procedure():
        yield Pause(utcnow() - timedelta(hours=1))

    client.drive(procedure())
    assert client.pauses == [0]


def test_an_error_is_raised_inside_the_procedure(client):
    def procedure():
        try:
            yield from ask(get_connection("other"))
        except FivetranNotFound as error:
            return error.status
        return None

    assert client.drive(procedure()) == 404


def test_an_error_that_the_procedure_does_not_catch_comes_out(client):
    with pytest.raises(FivetranNotFound):
        client.drive(ask(get_connection("other")))


def test_a_mistake_of_the_procedure_comes_out_as_it_is(client):
    def procedure():
        yield from ask(LOOK)
        raise KeyError("mistake")

    with pytest.raises(KeyError, match="mistake"):
        client.drive(procedure())


# --- keys -----------------------------------------------------------------------------------------------------


def test_a_refused_key_is_replaced_by_the_next_and_nothing_is_lost(kind, sim, caplog):
    sim.add_key("new-key", "new-secret")
    sim.revoke(KEY)
    client = Client(kind, sim.url, other_keys=[Credentials.of("new-key", "new-secret")])
    client.send(LOOK, TRIGGER, LOOK)
    assert [run.cause for run in sim.runs("c")] == ["api"]
    refused = [request for request in sim.requests if request.status == 401]
    assert len(refused) == 1  # from then on the new key is used
    assert "refuses the key" in caplog.text
    assert "new-secret" not in caplog.text


def test_a_refusal_of_every_key_is_the_refusal_of_the_first(kind, sim):
    client = Client(kind, sim.url, other_keys=[Credentials.of("no", "key"), Credentials.of("nor", "this")])
    sim.revoke(KEY)
    error = client.fails(TRIGGER, FivetranUnauthorized)
    assert error.status == 401
    assert sim.runs("c") == []


def test_the_same_key_read_again_is_not_tried_again(kind, sim):
    sim.revoke(KEY)
    client = Client(kind, sim.url, other_keys=[Credentials.of(KEY, SECRET)])
    client.fails(LOOK, FivetranUnauthorized)
    assert len(sim.requests) == 1


HISTORY = get_sync_history("c", since=utcnow() - timedelta(hours=1), until=utcnow())
WIDE = Credentials.of("wide-key", "wide-secret")


def narrow(sim, **rights):
    """Take rights from the key in use, and make another that has them all."""
    sim.add_key(KEY, SECRET, **rights)
    sim.add_key("wide-key", "wide-secret")


def test_a_key_without_the_right_to_the_connection_is_replaced_by_the_next(kind, sim, caplog):
    narrow(sim, groups=["elsewhere"])
    client = Client(kind, sim.url, other_keys=[WIDE])
    answers = client.send(LOOK, LOOK, HISTORY)
    assert answers[0].value.id == "c"
    assert [request.status for request in sim.requests].count(403) == 1
    assert "now using the key of 'other'" in caplog.text


@pytest.mark.parametrize(
    ("call", "rights"),
    [
        (HISTORY, {"may_read_history": False}),
        (list_connections(), {"may_list": False}),
        (TRIGGER, {"may_write": False}),
    ],
    ids=["history", "list", "trigger"],
)
def test_where_one_can_do_without_a_403_costs_no_other_key(kind, sim, call, rights):
    narrow(sim, **rights)
    client = Client(kind, sim.url, other_keys=[WIDE])
    client.fails(call, FivetranForbidden)
    assert [request.status for request in sim.requests] == [403]
    assert client.reads == 1


def test_a_right_that_no_key_has_is_told_with_what_to_do(kind, sim):
    narrow(sim, groups=["elsewhere"])
    client = Client(kind, sim.url, other_keys=[Credentials.of("no", "key")])
    error = client.fails(LOOK, FivetranForbidden)
    assert error.status == 403
    assert "lacks the right to that, and no other (its fallback_conn_id) works" in str(error)
    assert len(sim.requests) == 2


def test_a_key_that_cannot_see_the_connection_does_not_speak_for_its_end(kind, wire):
    """The first key was told that it exists; to another account's key it does not."""
    server, client = wire(
        lambda _head: http(404, {"code": "NotFound"}) if len(server.heads) > 1 else http(403, {"code": "No"}),
        other_keys=[WIDE],
    )
    client.fails(LOOK, FivetranForbidden)
    assert len(server.heads) == 2


@pytest.mark.parametrize("status", [401, 403])
def test_keys_are_read_anew_at_each_refusal(kind, sim, status):
    sim.faults.add(Fault("status", status=status, times=None))
    client = Client(kind, sim.url, rest=0.0)

    def look_three_times():
        for _ in range(3):
            with contextlib.suppress(FivetranApiError):
                yield from ask(LOOK)

    client.drive(look_three_times())
    assert client.reads == 1 + 3


async def test_while_all_keys_are_refused_nothing_is_sent_before_one_has_proved_itself(sim, later):
    keys = Changing(sim.url)
    async with Line(keys, rest=60.0) as line:
        transport = AsyncTransport(line)
        await transport.send(LOOK)
        sim.revoke(KEY)
        with pytest.raises(FivetranUnauthorized):
            await transport.send(LOOK)
        sim.requests.clear()
        for _ in range(3):
            with pytest.raises(FivetranUnauthorized, match="put a valid key there"):
                await transport.send(TRIGGER)
        assert sim.requests == []
        later(61)
        outcomes = await asyncio.gather(*(transport.send(LOOK) for _ in range(50)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {FivetranUnauthorized}
        assert [request.path for request in sim.requests] == ["/v1/account/info"]
        later(61)
        sim.add_key(KEY, SECRET)  # the very same key may be accepted again
        outcomes = await asyncio.gather(*(transport.send(LOOK) for _ in range(50)))
        assert {outcome.value.id for outcome in outcomes} == {"c"}
    assert keys.reads == 4


@pytest.mark.parametrize("fault", ["reset", "html", "status"])
async def test_no_answer_is_no_proof_for_a_key_that_was_refused(sim, fault):
    keys = Changing(sim.url)
    async with Line(keys, rest=0.0) as line:
        transport = AsyncTransport(line, attempts=1)
        await transport.send(LOOK)
        sim.revoke(KEY)
        with pytest.raises(FivetranUnauthorized):
            await transport.send(LOOK)
        sim.faults.add(Fault(fault, path="/v1/account/info", times=None))
        sim.requests.clear()
        with pytest.raises(FivetranUnauthorized):
            await transport.send(LOOK)
        assert {request.path for request in sim.requests} == {"/v1/account/info"}


async def test_a_connection_that_no_key_may_see_costs_the_others_nothing(sim):
    sim.add_group("elsewhere", "Elsewhere")
    sim.add_connection("hidden", group_id="elsewhere")
    sim.add_key(KEY, SECRET, groups=["sim_group"])
    keys = Changing(sim.url)
    hidden = get_connection("hidden")
    async with Line(keys, rest=60.0) as line:
        transport = AsyncTransport(line)
        calls = [hidden, LOOK] * 50
        outcomes = await asyncio.gather(*map(transport.send, calls), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[::2]] == [FivetranForbidden] * 50
    assert {outcome.value.id for outcome in outcomes[1::2]} == {"c"}
    assert keys.reads == 2
    assert len(sim.requests) == 100


async def test_two_keys_of_which_each_lacks_a_right_do_not_take_turns(sim):
    sim.add_group("elsewhere", "Elsewhere")
    sim.add_connection("hidden", group_id="elsewhere")
    sim.add_key(KEY, SECRET, groups=["sim_group"])
    sim.add_key("new-key", "new-secret", groups=["elsewhere"])
    keys = Changing(sim.url)
    keys.now.append(replace(keys.now[0], credentials=NEW, conn_id="new"))
    hidden = get_connection("hidden")
    async with Line(keys, rest=60.0) as line:
        transport = AsyncTransport(line)
        for _ in range(5):
            calls = [LOOK, hidden] * 10
            outcomes = await asyncio.gather(*map(transport.send, calls), return_exceptions=True)
            refused = {type(outcome) for outcome in outcomes if isinstance(outcome, Exception)}
            assert refused <= {FivetranForbidden}
    assert keys.reads == 2
    assert len(sim.requests) <= 2 * 100 + 1


async def test_a_thousand_waits_outlive_the_gap_between_two_keys(sim, capsys):
    """The old key is dead; the new one comes into the Airflow connection only when that is read once more."""
    waits, reads, notes = 1000, [], []
    settings = Settings(credentials=OLD, base_url=sim.url, conn_id="fivetran_default")

    async def keys():
        reads.append(len(sim.requests))
        if len(reads) == 4:
            with sim.account.lock:
                sim.clock.advance(60)  # meanwhile the sync has ended
        yield settings if len(reads) < 4 else replace(settings, credentials=NEW)

    sim.account.connections["c"].default_plan = SyncPlan(duration=30)
    sim.start_sync("c")
    now = utcnow()
    awaited = Ticket(connection_id="c", aim=Aim.RUNNING, taken_at=sim.clock.now(), begun_at=now, asked_at=now)
    async with Line(keys, rest=0.2) as line:
        transport = AsyncTransport(line, note=notes.append, sleep=lambda seconds: asyncio.sleep(seconds / 5))
        waiting = [asyncio.create_task(transport.drive(watch(awaited, utcnow))) for _ in range(waits)]
        while not sim.requests:  # noqa: ASYNC110  # the simulator is in another thread
            await asyncio.sleep(0.05)
        sim.add_key("new-key", "new-secret")
        sim.revoke(KEY)
        before = len(sim.requests)
        outcomes = await asyncio.gather(*waiting)

    assert {type(outcome) for outcome in outcomes} == {Succeeded}
    since = list(sim.requests)[before:]
    refused = [request for request in since if request.status == 401]
    proofs = [request for request in since if request.path == "/v1/account/info"]
    warned = [note for note in notes if note.is_warning]
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{waits} waits through the gap: {len(since)} requests, {len(refused)} of them refused, "
            f"{len(proofs)} proofs of keys, {len(reads)} reads of the Airflow connection"
        )
    assert len(reads) == 4  # at the start, at the first refusal, and twice after a rest
    assert len(proofs) == 2  # of the old key once more, and of the new one
    assert len(refused) <= 5  # one look is for all
    assert len(since) <= waits + 20  # each reads its end in the sync history
    assert len(warned) <= waits
    assert len([note for note in notes if "accepts a key again" in note.text]) == len(warned)


async def test_a_thousand_waits_that_meet_the_same_refusal_look_for_a_key_once(sim):
    reads = []
    settings = Settings(credentials=Credentials.of(KEY, SECRET), base_url=sim.url, conn_id="old")

    async def keys():
        reads.append(1)
        yield settings
        yield replace(settings, credentials=Credentials.of("new-key", "new-secret"), conn_id="new")

    async with shared_line("fivetran", keys) as line:
        await AsyncTransport(line).send(LOOK)
        sim.add_key("new-key", "new-secret")
        sim.revoke(KEY)
        sim.requests.clear()

        async def one():
            async with shared_line("fivetran", keys) as same:
                assert same is line
                return await AsyncTransport(same).send(LOOK)

        answers = await asyncio.gather(*(one() for _ in range(1000)))
    assert {answer.value.id for answer in answers} == {"c"}
    assert len(reads) == 2  # at the start, and at the refusal
    asked = [request.path for request in sim.requests]
    assert asked.count("/v1/account/info") == 1
    assert len(asked) <= 2 * 1000 + 1


async def test_waits_that_meet_a_final_refusal_do_not_ask_for_keys_each(sim):
    reads = []
    settings = Settings(credentials=Credentials.of("wrong", "key"), base_url=sim.url)

    async def keys():
        reads.append(1)
        yield settings

    async with Line(keys) as line:
        transport = AsyncTransport(line)
        outcomes = await asyncio.gather(*(transport.send(LOOK) for _ in range(50)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {FivetranUnauthorized}
    assert len(reads) == 2


OLD = Credentials.of(KEY, SECRET)
NEW = Credentials.of("new-key", "new-secret")


class Changing:
    """Keys that can be changed, or made unreadable, while they are in use."""

    def __init__(self, url):
        self.now = [Settings(credentials=OLD, base_url=url, conn_id="old")]
        self.error = None
        self.reads = 0
        self.closed = 0

    async def __call__(self):
        self.reads += 1
        try:
            if self.error is not None:
                raise self.error
            for settings in self.now:
                yield settings
        finally:
            self.closed += 1


async def test_keys_that_cannot_be_read_at_first_are_read_once_for_all(sim):
    keys = Changing(sim.url)
    keys.error = LookupError("there is no such connection")
    async with Line(keys) as line:
        transport = AsyncTransport(line, attempts=1)
        outcomes = await asyncio.gather(*(transport.send(LOOK) for _ in range(50)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {LookupError}
    assert keys.reads == 1


@pytest.mark.parametrize("error", [ValueError(f"half of {SECRET}"), PermissionError("no"), KeyError("x")])
async def test_keys_that_cannot_be_read_during_a_wait_are_no_refusal(sim, error, later):
    keys = Changing(sim.url)
    async with Line(keys, rest=60.0) as line:
        transport = AsyncTransport(line, attempts=1)
        await transport.send(LOOK)
        sim.revoke(KEY)
        keys.error = error
        outcomes = await asyncio.gather(*(transport.send(LOOK) for _ in range(50)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {FivetranUnreachable}
        assert keys.reads == 2
        for outcome in outcomes:
            assert not outcome.maybe_received
            assert "'old'" in str(outcome)
            assert type(error).__name__ in str(outcome)
            assert SECRET not in str(outcome)
        another = await asyncio.gather(transport.send(get_connection("other")), return_exceptions=True)
        assert [error.connection_id for error in (*outcomes, *another)] == ["c"] * 50 + ["other"]
        sim.add_key("new-key", "new-secret")
        keys.error, keys.now = None, [replace(keys.now[0], credentials=NEW)]
        later(61)
        assert (await transport.send(LOOK)).value.id == "c"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 403},
        {"kind": "status", "status": 500},
        {"kind": "html"},
        {"kind": "reset"},
        {"kind": "slow", "delay": 3},
    ],
    ids=lambda fault: f"{fault['kind']}{fault.get('status', '')}",
)
async def test_only_a_refusal_speaks_against_another_key_and_the_proof_is_short(sim, fault):
    keys = Changing(sim.url)
    keys.now.append(replace(keys.now[0], credentials=NEW, conn_id="new"))
    sim.add_key("new-key", "new-secret")
    sim.faults.add(Fault(**fault, path="/v1/account/info", times=None))
    async with Line(keys, probe_timeout=0.3) as line:
        transport = AsyncTransport(line, attempts=1)
        await transport.send(LOOK)
        sim.revoke(KEY)
        begin = time.monotonic()
        assert (await transport.send(LOOK)).value.id == "c"
        assert elapsed(begin) < 2
    assert keys.closed == keys.reads == 2


async def test_a_key_in_use_is_had_without_waiting(sim):
    keys = Changing(sim.url)
    async with Line(keys) as line:
        await AsyncTransport(line).send(LOOK)
        turns = line._choosing.acquire
        line._choosing.acquire = None
        await AsyncTransport(line).send(LOOK)
        line._choosing.acquire = turns


async def test_a_shared_line_is_closed_by_the_last_that_leaves(sim):
    settings = Settings(credentials=Credentials.of(KEY, SECRET), base_url=sim.url)
    async with shared_line("fivetran", only(settings)) as line:
        async with shared_line("fivetran", only(settings)) as same:
            assert same is line
        await AsyncTransport(line).send(LOOK)
    with pytest.raises(RuntimeError, match="async with"):
        await AsyncTransport(line).send(LOOK)
    async with shared_line("fivetran", only(settings)) as another:
        assert another is not line


# --- one kind only --------------------------------------------------------------------------------------------


async def test_an_async_transport_is_used_inside_its_with():
    transport = AsyncTransport(Line(only(Settings(credentials=Credentials.of(KEY, SECRET)))))
    with pytest.raises(RuntimeError, match="async with"):
        await transport.send(LOOK)


async def test_a_hundred_waits_share_an_async_transport_without_mixing_their_states(sim):
    for number in range(100):
        sim.add_connection(f"c{number}")
    sim.faults.add(Fault("status", times=100))
    settings = Settings(credentials=Credentials.of(KEY, SECRET), base_url=sim.url)
    async with Line(only(settings)) as line:
        transport = AsyncTransport(line, attempts=101, pause=0.0)
        answers = await asyncio.gather(*(transport.send(get_connection(f"c{n}")) for n in range(100)))
    assert [answer.value.id for answer in answers] == [f"c{number}" for number in range(100)]
    assert len(sim.requests) == 200


async def test_a_cancelled_wait_leaves_nothing_open(sim):
    sim.faults.add(Fault("slow", delay=5))
    settings = Settings(credentials=Credentials.of(KEY, SECRET), base_url=sim.url)
    async with Line(only(settings)) as line:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(AsyncTransport(line).send(LOOK), 0.2)


def test_a_blocking_drive_stops_at_a_pause(sim):
    def procedure():
        yield Note("before")
        yield Pause(utcnow() + timedelta(hours=1))
        return "done"

    notes = []
    settings = Settings(credentials=Credentials.of(KEY, SECRET), base_url=sim.url)
    with BlockingTransport(lambda: iter([settings]), note=notes.append) as transport:
        going = procedure()
        pause, result = transport.drive_to_pause(going)
        assert (isinstance(pause, Pause), result, len(notes)) == (True, None, 1)
        assert transport.drive_to_pause(going) == (None, "done")


def test_a_blocking_drive_takes_a_pause_that_is_to_be_held(sim):
    def procedure():
        yield Pause(utcnow() + timedelta(hours=1), held=True)
        return "done"

    pauses = []
    settings = Settings(credentials=Credentials.of(KEY, SECRET), base_url=sim.url)
    with BlockingTransport(lambda: iter([settings]), sleep=pauses.append) as transport:
        assert transport.drive_to_pause(procedure()) == (None, "done")
    assert [3590 < pause <= 3600 for pause in pauses] == [True]
