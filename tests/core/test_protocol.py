"""What goes over the wire and what comes back: addresses, credentials, envelopes, errors and pages."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import re
from datetime import UTC, datetime

import pytest

from airflow_provider_fivetran.core import errors
from airflow_provider_fivetran.core.endpoints import get_connection, list_groups, sync_connection
from airflow_provider_fivetran.core.moments import in_words, read_http_date, read_moment
from airflow_provider_fivetran.core.protocol import (
    DEFAULT_BASE_URL,
    Call,
    Credentials,
    Page,
    Settings,
    base_url_of,
    next_page,
    read_answer,
)
from airflow_provider_fivetran.core.retrying import may_repeat
from facts import whole_error

CALL = get_connection("c")
TRIGGER = sync_connection("c")
SECRET = "s3cr3t-do-not-show"


def read(call=CALL, status=200, body=None, headers=None):
    body = {"code": "Success", "data": {"id": "c"}} if body is None else body
    return read_answer(
        call, status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode()
    )


# --- answers --------------------------------------------------------------------------------------------------


def test_the_data_of_an_envelope_are_read():
    assert read().value.id == "c"


@pytest.mark.parametrize("status", [200, 201, 204, 299])
@pytest.mark.parametrize("body", [{"code": "Success", "message": "Sync started"}, {}, {"data": None}])
def test_an_action_answers_with_an_envelope_without_data(status, body):
    assert read(TRIGGER, status, body).value is None


def test_headers_are_read_in_any_case():
    answer = read(headers={"DATE": "Mon, 02 Nov 2026 10:00:00 GMT", "x-RATE-limit-Remaining": "19999"})
    assert answer.server_time == datetime(2026, 11, 2, 10, tzinfo=UTC)
    assert answer.requests_left == 19999


@pytest.mark.parametrize(
    "value", ["", "-1", "1.5", "many", "\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT TWO}", "9" * 5000]
)
def test_a_budget_that_is_no_number_is_unknown(value):
    assert read(headers={"X-Rate-Limit-Remaining": value}).requests_left is None


@pytest.mark.parametrize(
    "value", ["", "yesterday", "Mon, 32 Nov 2026 10:00:00 GMT", "0", "Mon, 02 Nov 99999 10:00:00 GMT"]
)
def test_a_date_that_is_none_is_unknown(value):
    assert read(headers={"Date": value}).server_time is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.FivetranApiError),
        (401, errors.FivetranUnauthorized),
        (402, errors.FivetranApiError),
        (403, errors.FivetranForbidden),
        (404, errors.FivetranNotFound),
        (405, errors.FivetranApiError),
        (409, errors.FivetranConflict),
        (415, errors.FivetranApiError),
        (429, errors.FivetranRateLimited),
        (500, errors.FivetranServerError),
        (503, errors.FivetranServerError),
        (599, errors.FivetranServerError),
    ],
)
def test_each_status_is_an_error_of_its_own_with_fivetrans_words(status, kind):
    with pytest.raises(errors.FivetranError) as caught:
        read(status=status, body={"code": "SomeCode", "message": "some words"})
    error = caught.value
    assert (type(error), error.status, error.code) == (kind, status, "SomeCode")
    assert str(error) == f"Fivetran answered GET /v1/connections/c with HTTP {status} SomeCode: some words"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"code": "Some"}, " Some"),
        ({"message": "words"}, " : words"),
        ({}, ""),
        ({"code": 5, "message": None}, ""),
        ({"code": ["a"], "message": {"a": 1}}, " : {'a': 1}"),
        (b"<html>", ""),
        (b"", ""),
        (b"[1]", ""),
    ],
)
def test_an_error_without_the_usual_words_is_an_error_all_the_same(body, said):
    with pytest.raises(errors.FivetranConflict) as caught:
        read(status=409, body=body)
    assert str(caught.value) == f"Fivetran answered GET /v1/connections/c with HTTP 409{said}"


def test_the_words_of_an_error_can_be_stored_and_logged():
    with pytest.raises(errors.FivetranConflict) as caught:
        read(status=409, body=b'{"code": "a\\u0000b\\ud800", "message": "c\\u0000d\\ud800"}')
    assert caught.value.code == "a\ufffdb?"
    assert str(caught.value).endswith("a\ufffdb?: c\ufffdd?")


def test_a_long_error_is_shortened():
    with pytest.raises(errors.FivetranConflict) as caught:
        read(status=409, body={"message": "x" * 10**6})
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("body", [b"<html>No</html>", b"", b"[1]", b'"no"'])
@pytest.mark.parametrize("status", [400, 403, 404, 405, 407, 408, 413, 418, 425, 451])
def test_only_an_answer_in_json_is_a_refusal_of_fivetrans(status, body):
    """A page in place of JSON comes from something on the way, and must not end a wait."""
    with pytest.raises(errors.FivetranUnexpectedAnswer) as caught:
        read(status=status, body=body)
    assert caught.value.status == status
    assert not caught.value.permanent


@pytest.mark.parametrize("body", [b"<html>No</html>", b"", {"code": "Some"}])
@pytest.mark.parametrize(
    ("status", "kind"), [(401, errors.FivetranUnauthorized), (409, errors.FivetranConflict)]
)
def test_a_key_is_refused_and_a_conflict_told_whatever_comes_with_it(status, kind, body):
    with pytest.raises(kind):
        read(status=status, body=body)


@pytest.mark.parametrize("status", [408, 425])
def test_an_answer_about_the_moment_is_not_for_good(status):
    with pytest.raises(errors.FivetranUnexpectedAnswer, match="Some: words") as caught:
        read(status=status, body={"code": "Some", "message": "words"})
    assert not caught.value.permanent
    assert may_repeat(CALL, caught.value)
    assert not may_repeat(TRIGGER, caught.value)


@pytest.mark.parametrize("status", [100, 199, 300, 301, 302, 304, 308, 399])
def test_a_status_that_the_api_does_not_use_is_unexpected(status):
    with pytest.raises(errors.FivetranUnexpectedAnswer, match=f"HTTP {status}"):
        read(status=status)


GARBAGE = {
    "empty": b"",
    "html": b"<html><body>502 Bad Gateway</body></html>",
    "cut off": b'{"code": "Success", "data": {"id": "c"',
    "a list": b"[]",
    "a text": b'"Success"',
    "null": b"null",
    "not a number": b'{"data": {"id": "c", "sync_frequency": NaN}}',
    "infinity": b'{"data": {"id": "c", "sync_frequency": -Infinity}}',
    "not UTF-8": b'{"data": {"id": "\xff\xfe\xff"}}',
    "deep": b'{"data":' * 200_000 + b"1" + b"}" * 200_000,
    "deep list": b"[" * 10**6,
    "a number of a million digits": b'{"data": {"id": "c", "sync_frequency": ' + b"9" * 10**6 + b"}}",
    "two values": b"{}{}",
    "zeros": bytes(100),
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_unexpected_and_shown_in_part(body):
    with pytest.raises(errors.FivetranUnexpectedAnswer, match="not with JSON") as caught:
        read(body=body)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("begin", [b"", b" \n"])
def test_a_new_secret_in_an_answer_that_breaks_off_is_not_shown(begin):
    with pytest.raises(
        errors.FivetranUnexpectedAnswer, match=r"not with JSON: .* bytes that begin like"
    ) as caught:
        read(body=begin + b'{"code": "Success", "data": {"secret": "needle-of-a-sec')
    assert "needle" not in str(caught.value)


@pytest.mark.parametrize("data", ["text", 5, True, [], [{}]])
def test_data_of_another_shape_are_unexpected(data):
    with pytest.raises(errors.FivetranUnexpectedAnswer, match="'data' where an object"):
        read(body={"data": data})


# --- retry-after ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"retry-after": "0"}, 0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "Mon, 02 Nov 2026 10:01:00 GMT", "Date": "Mon, 02 Nov 2026 10:00:00 GMT"}, 60),
        ({"Retry-After": "Mon, 02 Nov 2026 09:00:00 GMT", "Date": "Mon, 02 Nov 2026 10:00:00 GMT"}, 0),
        ({"Retry-After": "Mon, 02 Nov 2026 10:01:00 GMT"}, None),
        ({}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e400"}, None),
    ],
)
def test_retry_after(headers, seconds):
    with pytest.raises(errors.FivetranRateLimited) as caught:
        read(status=429, body={}, headers=headers)
    assert caught.value.retry_after == seconds


# --- pages ----------------------------------------------------------------------------------------------------


def page(items=(), cursor=None):
    data = {"items": [{"id": item} for item in items]} | ({} if cursor is None else {"next_cursor": cursor})
    return read(list_groups(), body={"data": data}).value


def test_pages_follow_the_cursor_and_keep_the_other_parameters():
    following = next_page(list_groups(), page("ab", "second"))
    assert following.params == {"limit": "1000", "cursor": "second"}
    assert next_page(following, page("c", "third")).params["cursor"] == "third"


@pytest.mark.parametrize("cursor", [None, ""])
def test_the_last_page_has_no_cursor(cursor):
    assert next_page(list_groups(), page("a", cursor)) is None


def test_a_repeated_cursor_is_the_end():
    following = next_page(list_groups(), page("a", "again"))
    assert next_page(following, page("b", "again")) is None


def test_a_page_with_no_items_is_empty():
    assert page() == Page((), None)


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {}}, {"data": {"items": None}}])
def test_a_page_that_lacks_its_list_is_not_taken_for_an_empty_one(body):
    with pytest.raises(errors.FivetranUnexpectedAnswer, match="without the list"):
        read(list_groups(), body=body)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"items": {"0": {}}}, "items"),
        ({"items": "text"}, "items"),
        ({"items": [1]}, "items"),
        ({"items": [None]}, "items"),
        ({"items": [{"name": "no id"}]}, "id"),
        ({"items": [], "next_cursor": 5}, "next_cursor"),
    ],
)
def test_a_page_of_another_shape_names_the_field(data, field):
    with pytest.raises(errors.FivetranUnexpectedAnswer, match=f"'{field}'"):
        read(list_groups(), body={"data": data})


# --- addresses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "more", "address"),
    [
        (None, {}, DEFAULT_BASE_URL),
        ("", {}, DEFAULT_BASE_URL),
        ("  ", {}, DEFAULT_BASE_URL),
        ("api.fivetran.com", {}, "https://api.fivetran.com"),
        (" https://api.fivetran.com \n", {}, "https://api.fivetran.com"),
        ("https://api.fivetran.com/", {}, "https://api.fivetran.com"),
        ("https://api.fivetran.com/v1", {}, "https://api.fivetran.com"),
        ("https://api.fivetran.com/v1/", {}, "https://api.fivetran.com"),
        ("https://gateway/fivetran/v1/", {}, "https://gateway/fivetran"),
        ("https://gateway/fivetran", {}, "https://gateway/fivetran"),
        ("HTTPS://API.Fivetran.COM", {}, "https://api.fivetran.com"),
        ("api.fivetran.com:8443", {}, "https://api.fivetran.com:8443"),
        ("api.fivetran.com", {"port": 8443}, "https://api.fivetran.com:8443"),
        ("api.fivetran.com:1", {"port": 8443}, "https://api.fivetran.com:1"),
        ("api.fivetran.com", {"scheme": "https"}, "https://api.fivetran.com"),
        ("localhost", {"port": 8080}, "http://localhost:8080"),
        ("LOCALHOST:8080", {}, "http://localhost:8080"),
        ("127.0.0.1:8080", {}, "http://127.0.0.1:8080"),
        ("127.8.9.10", {}, "http://127.8.9.10"),
        ("http://127.0.0.1:8080/", {}, "http://127.0.0.1:8080"),
        ("https://localhost", {}, "https://localhost"),
        ("localhost", {"scheme": "https"}, "https://localhost"),
        ("::1", {"port": 8080}, "http://[::1]:8080"),
        ("[::1]", {}, "http://[::1]"),
        ("[::1]:8080", {}, "http://[::1]:8080"),
        ("http://[::1]:8080", {}, "http://[::1]:8080"),
        ("2001:db8::5", {}, "https://[2001:db8::5]"),
        ("https://[2001:db8::5]:8443/v1", {}, "https://[2001:db8::5]:8443"),
    ],
)
def test_the_address_that_requests_go_to(host, more, address):
    assert base_url_of(host, **more) == address


@pytest.mark.parametrize(
    ("host", "more", "says"),
    [
        ("http://api.fivetran.com", {}, "unencrypted"),
        ("api.fivetran.com", {"scheme": "http"}, "unencrypted"),
        ("http://10.0.0.1", {}, "unencrypted"),
        ("http://0.0.0.0", {}, "unencrypted"),
        ("http://169.254.1.1", {}, "unencrypted"),
        ("http://127.0.0.1.evil.example", {}, "unencrypted"),
        ("http://localhost.evil.example", {}, "unencrypted"),
        ("http://127.1", {}, "unencrypted"),
        ("http://2130706433", {}, "unencrypted"),
        ("http://[2001:db8::5]", {}, "unencrypted"),
        ("https://key:secret@api.fivetran.com", {}, "must not carry credentials"),
        ("key@api.fivetran.com", {}, "must not carry credentials"),
        ("http://localhost@evil.example", {}, "must not carry credentials"),
        ("http://localhost:80@evil.example", {}, "must not carry credentials"),
        ("http://evil.example\\@localhost", {}, "must not carry credentials"),
        ("https://api.fivetran.com?x=1", {}, "query or a fragment"),
        ("https://api.fivetran.com#x", {}, "query or a fragment"),
        ("https://api.fivetran.com/v1?x", {}, "query or a fragment"),
        ("ftp://api.fivetran.com", {}, "must begin with https"),
        ("file:///etc/passwd", {}, "not an address"),
        ("javascript://x", {}, "must begin with https"),
        ("api.fivetran.com", {"scheme": "ftp"}, "must begin with https"),
        ("https://", {}, "not an address"),
        ("//", {}, "not an address"),
        ("https://api fivetran com", {}, "not an address"),
        ("https://api.fivetran.com:port", {}, "not an address"),
        ("https://api.fivetran.com:99999", {}, "not an address"),
        ("https://[::1", {}, "not an address"),
        ("https://api%2efivetran.com", {}, "not an address"),
    ],
)
def test_an_address_that_is_refused(host, more, says):
    with pytest.raises(ValueError, match=says) as caught:
        base_url_of(host, **more)
    assert "key:secret" not in str(caught.value).replace("'key:secret'", "")


@pytest.mark.parametrize(
    "host",
    [
        f"mykey:{SECRET}",
        f"https://mykey:{SECRET}",
        f"mykey:{SECRET}:more",
        f"https://mykey:{SECRET}/v1",
        f"https://mykey:{SECRET}@api.fivetran.com",
        f"https://mykey:{SECRET}@api.fivetran.com:port",
        f"mykey:{SECRET}@",
        f"mykey%3A{SECRET}",
        f"mykey {SECRET}",
        f"mykey:443{SECRET}",
        f"https://api.fivetran.com?secret={SECRET}",
        f"https://api.fivetran.com:port?secret={SECRET}",
        f"https://api.fivetran.com#{SECRET}",
        f"http://mykey:{SECRET}",
        f"ftp://mykey:{SECRET}",
        f"[{SECRET}]",
        f"https://[mykey:{SECRET}]",
        f"mykey:{SECRET}//",
        f"mykey\\{SECRET}",
        f"http://api.fivetran.com/mykey:{SECRET}",
    ],
)
def test_a_secret_in_the_host_is_refused_without_being_shown(host):
    with pytest.raises(ValueError, match="the host") as caught:
        base_url_of(host)
    error = caught.value
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("host", ["http://10.0.0.1:80", "http://[2001:db8::5]", "http://gateway/fivetran"])
def test_an_ordinary_host_that_is_refused_is_named(host):
    with pytest.raises(ValueError, match=re.escape(repr(host))):
        base_url_of(host)


def test_a_tab_does_not_smuggle_another_host_in():
    for host in ("http://127.0.0.1\t.evil.example", "http://127.0.0.1\n.evil.example"):
        with pytest.raises(ValueError, match=r"unencrypted|not an address"):
            base_url_of(host)


# --- credentials ----------------------------------------------------------------------------------------------

ENCODED = base64.b64encode(f"key:{SECRET}".encode()).decode()


def test_key_and_secret_make_a_header():
    assert Credentials.of("key", SECRET).header == f"Basic {ENCODED}"


@pytest.mark.parametrize("key", [None, ""])
def test_an_encoded_pair_is_a_header_as_it_stands(key):
    assert Credentials.of(key, ENCODED).header == f"Basic {ENCODED}"


def test_letters_of_all_languages_are_encoded():
    header = Credentials.of("schlüssel", "пароль").header
    assert base64.b64decode(header.removeprefix("Basic ")).decode() == "schlüssel:пароль"


@pytest.mark.parametrize(
    ("key", "secret", "says"),
    [
        ("key", None, "API secret. is empty"),
        ("key", "", "API secret. is empty"),
        (None, None, "API secret. is empty"),
        (None, SECRET, "not a base64-encoded"),
        ("", "c2VjcmV0", "not a base64-encoded"),
        ("", ENCODED[:-1], "not a base64-encoded"),
        ("", base64.b64encode(b"\xff:\xff").decode(), "not a base64-encoded"),
        ("", f"{ENCODED}\nX-Evil: 1", "not a base64-encoded"),
        ("", "пароль", "not a base64-encoded"),
    ],
)
def test_credentials_that_are_none_are_refused_without_being_shown(key, secret, says):
    with pytest.raises(ValueError, match=says) as caught:
        Credentials.of(key, secret)
    assert not secret or secret not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_secret_is_in_no_repr():
    settings = Settings(credentials=Credentials.of("key", SECRET))
    for shown in (repr(settings), str(settings), repr(settings.credentials), f"{settings}"):
        assert SECRET not in shown
        assert ENCODED not in shown


def test_a_line_break_in_a_secret_adds_no_header():
    assert "\n" not in Credentials.of("key", "a\r\nX-Evil: 1" * 50).header


# --- errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", errors.__all__)
def test_each_error_survives_pickling_and_copying(name):
    error = whole_error(name)
    assert None not in vars(error).values()
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(again), str(again), vars(again)) == (type(error), "it broke", vars(error))


def test_a_call_is_a_value():
    assert get_connection("c") == get_connection("c")
    assert Call(method="GET", path="/", read=dict) != Call(method="POST", path="/", read=dict)


# --- times ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-02T10:00:00.123456Z",
        "2026-11-02T10:00:00.123456+00:00",
        "2026-11-02T12:00:00.123456+02:00",
        "2026-11-02T10:00:00.123456",
        "2026-11-02 10:00:00.123456Z",
        "20261102T100000.123456Z",
        "2026-11-02T10:00:00.123456789Z",
    ],
)
def test_times_are_read_in_each_form_of_iso_8601(text):
    assert read_moment(text) == datetime(2026, 11, 2, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "now", "1793613600", "2026-13-01T00:00:00Z", "02.11.2026"])
def test_other_times_are_refused(text):
    with pytest.raises(ValueError, match=r"."):
        read_moment(text)


@pytest.mark.parametrize(
    "text", ["Mon, 02 Nov 2026 10:00:00 GMT", "02 Nov 2026 10:00:00", "Mon, 02 Nov 2026 12:00:00 +0200"]
)
def test_the_date_header(text):
    assert read_http_date(text) == datetime(2026, 11, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (45.4, "45 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (12000, "3 h 20 min"),
        (172800, "2 d"),
        (187200, "2 d 4 h"),
    ],
)
def test_spans_in_words(seconds, words):
    from datetime import timedelta

    assert in_words(timedelta(seconds=seconds)) == words
