"""One request described, one answer understood: what goes over the wire, without a wire.

Sources: Fivetran's pages on the REST API's authentication, response codes, pagination and rate limiting.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

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
)
from airflow_provider_fivetran.core.fields import maybe_text, records, section, storable
from airflow_provider_fivetran.core.models import TRANSFORMATIONS_LINK, dashboard_link
from airflow_provider_fivetran.core.moments import in_words, read_http_date
from airflow_provider_fivetran.core.secret import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from urllib.parse import SplitResult

__all__ = [
    "DEFAULT_BASE_URL",
    "Answer",
    "Call",
    "Credentials",
    "Page",
    "Settings",
    "base_url_of",
    "is_no_better",
    "naming_the_connection",
    "next_page",
    "read_answer",
    "refused_key",
    "speaks_against_key",
]

T = TypeVar("T")
Json = Mapping[str, Any]

DEFAULT_BASE_URL = "https://api.fivetran.com"

DEFAULT_TIMEOUT = 90.0
# What must stop a running sync first may take Fivetran 60 seconds. Broken off before, nobody knows whether it took.
LEAST_FOR_SLOW_CALLS = 75.0
# A schema of thousands of tables is read from its source in minutes, not in seconds.
LEAST_FOR_SOURCE_CALLS = 600.0
CONNECT_TIMEOUT = 10.0

KEY_REPLACED = "Fivetran refuses the key that Airflow connection %r had; now using the key of %r"

MAX_ANSWER_BYTES = 32 * 1024 * 1024
MOST_DIGITS = 18
MOST_OF_A_CODE = 200
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PLAIN_PLACE = re.compile(r"[^\s@?#%:\\\[\]]*(:\d{0,5})?(/[^\s@?#%:\\]*)?")
_ERRORS: Mapping[int, type[FivetranApiError]] = {
    401: FivetranUnauthorized,
    403: FivetranForbidden,
    404: FivetranNotFound,
    409: FivetranConflict,
}
# What these say holds whatever comes with them.
_ERRORS_WITHOUT_WORDS = frozenset({401, 409})
# Neither is a word about the request: the same request may be answered the next time.
_TOO_SLOW_OR_EARLY = frozenset({408, 425})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request, described but not yet sent.

    ``safe`` says that sending it twice does no more than sending it once, so that a transport may repeat it.
    ``connection_id`` is the Fivetran connection that it is about, if it is about one, and ``transformation_id`` the
    transformation: its errors name it.
    ``essential`` says that nobody can go on without the answer: where the key in use lacks the right to it (403),
    other keys are tried, as they are for every call where the key is refused (401).
    ``slow`` says that Fivetran may have to stop a running sync before it answers.
    ``reads_source`` says that Fivetran reads the source before it answers, which may take minutes.
    """

    method: str
    path: str
    read: Callable[[Json], T]
    params: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None
    safe: bool = False
    connection_id: str | None = None
    essential: bool = False
    slow: bool = False
    transformation_id: str | None = None
    reads_source: bool = False

    @property
    def subject(self) -> str:
        """The id of what it is about, if it is about one thing."""
        return self.connection_id or self.transformation_id or ""


@contextmanager
def naming_the_connection(call: Call[Any]) -> Iterator[None]:
    """Let each error of a call name what the call is about, and where to look at it."""
    try:
        yield
    except FivetranError as error:
        if call.transformation_id is not None and error.transformation_id is None:
            error.transformation_id, error.link = call.transformation_id, TRANSFORMATIONS_LINK
        if call.connection_id is not None and error.connection_id is None:
            error.connection_id, error.link = call.connection_id, dashboard_link(call.connection_id)
        raise


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came back: the value, and what the headers said."""

    value: T
    server_time: datetime | None = None
    """The ``Date`` header: whole seconds, rounded down."""
    requests_left: int | None = None
    """``X-Rate-Limit-Remaining``: what is left of the account's hour."""
    shared: bool = False
    """The request answered for other waits too."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A piece of a longer list."""

    items: tuple[T, ...]
    next_cursor: str | None

    @classmethod
    def reader(cls, read: Callable[[Json], T]) -> Callable[[Json], Page[T]]:
        """Make a reader of pages out of a reader of items.

        Fivetran says of nothing that it is nothing: a page without a list is no empty page, but one that something
        on the way has lost, and whoever took it for empty would take a sync for one that never was.
        """

        def page_of(data: Json) -> Page[T]:
            if data.get("items") is None:
                raise FivetranUnexpectedAnswer(
                    "Fivetran answered without the list ('items') that was asked for"
                )
            return cls(records(data, "items", read), maybe_text(data, "next_cursor") or None)

        return page_of


def next_page(call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
    """The call for the page after ``page``; ``None`` at the end, and when Fivetran repeats a cursor."""
    if page.next_cursor is None or page.next_cursor == call.params.get("cursor"):
        return None
    return replace(call, params={**call.params, "cursor": page.next_cursor})


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key in the form of HTTP Basic authentication."""

    header: str = field(repr=False)

    @classmethod
    def of(cls, key: str | None, secret: str | None) -> Credentials:
        """Take key and secret, or no key and the already encoded ``key:secret`` that Fivetran's command line uses.

        :raises ValueError: the secret is missing, or there is no key and the secret is not an encoded pair.
        """
        if not secret:
            raise ValueError("the password (the API secret) is empty")
        if key:
            return cls("Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode())
        try:
            pair = base64.b64decode(secret, validate=True).decode()
        except ValueError:
            pair = ""
        if ":" not in pair:
            raise ValueError(
                "the login (the API key) is empty, and the password is not a base64-encoded 'key:secret'"
            )
        return cls("Basic " + secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a transport needs to know."""

    credentials: Credentials
    conn_id: str = ""
    """The Airflow connection that they are of, for telling keys apart without naming them."""
    base_url: str = DEFAULT_BASE_URL
    timeout: float = DEFAULT_TIMEOUT
    """Seconds that one answer may take, from the request to the last byte; to a slow call at least 75, to one that
    reads the source at least 600."""
    user_agent: str = "airflow-provider-fivetran"

    @property
    def heeds_environment(self) -> bool:
        """Whether proxies and certificates of the environment apply.

        Not to a loopback address without TLS: a proxy would be sent the secret in the clear, over a network.
        """
        return self.base_url.startswith("https://")

    def limit_of(self, call: Call[Any]) -> float:
        """Seconds that the answer to a call may take."""
        if call.reads_source:
            return max(self.timeout, LEAST_FOR_SOURCE_CALLS)
        return max(self.timeout, LEAST_FOR_SLOW_CALLS) if call.slow else self.timeout

    def headers(self) -> dict[str, str]:
        return {
            "Authorization": self.credentials.header,
            "Accept": "application/json",
            "User-Agent": self.user_agent,
        }


def base_url_of(host: str | None, *, port: int | None = None, scheme: str | None = None) -> str:
    """The address that requests go to.

    :param host: a name, an address, or a URL; empty means Fivetran's own.
    :param port: taken when the host does not carry one.
    :param scheme: ``http`` or ``https``, taken when the host does not carry one; then ``https``, or ``http``
        for a loopback address.
    :raises ValueError: the host is not an address, has credentials, a query or a fragment, or would send the
        secret in the clear over a network.
    """
    if not host or not host.strip():
        return DEFAULT_BASE_URL
    host = host.strip()
    if "@" in host:
        raise ValueError("the host must not carry credentials: key and secret belong in login and password")
    if "?" in host or "#" in host:
        raise ValueError("the host must not carry a query or a fragment")
    the_host = _the_host(host)
    if _is_ipv6(host):
        host = f"[{host}]"
    address = _split(host)
    if address is None:
        raise ValueError(f"{the_host} is not an address, or what follows its ':' is not a port")
    parts, name, its_port = address
    if not name or any(c.isspace() or c in "\\%" for c in name):
        raise ValueError(f"{the_host} is not an address")
    its_port = its_port or port
    its_scheme = (parts.scheme or scheme or ("http" if _is_loopback(name) else "https")).lower()
    if its_scheme not in {"http", "https"}:
        raise ValueError(f"{the_host} must begin with https:// (or http:// for a loopback address)")
    if its_scheme == "http" and not _is_loopback(name):
        raise ValueError(
            f"{the_host} would send the API secret unencrypted: "
            "use https://; http:// is allowed for loopback addresses only"
        )
    shown = f"[{name}]" if ":" in name else name
    place = f"{shown}:{its_port}" if its_port else shown
    # A base URL copied from a page often ends in a slash or in the version that every path brings along.
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{its_scheme}://{place}{path}"


def _the_host(host: str) -> str:
    """The host for an error text: its value only where no part of it can be a key or a secret."""
    place = _SCHEME.sub("", host)
    plain = _is_ipv6(place.strip("[]")) or _PLAIN_PLACE.fullmatch(place)
    return f"the host {host!r}" if plain else "the host"


def _split(host: str) -> tuple[SplitResult, str | None, int | None] | None:
    # What ``urlsplit`` says of a wrong address repeats the address: it must not be in the chain of our error.
    try:
        parts = urlsplit(host if "//" in host else f"//{host}")
        port = parts.port
    except ValueError:
        return None
    return parts, parts.hostname, port


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6  # noqa: PLR2004
    except ValueError:
        return False


def _is_loopback(name: str) -> bool:
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def speaks_against_key(call: Call[Any], error: FivetranError) -> bool:
    """Whether another key may help: this one is refused, or lacks the right to what nobody can go on without."""
    return isinstance(error, FivetranUnauthorized) or (
        call.essential and isinstance(error, FivetranForbidden)
    )


def is_no_better(call: Call[Any], refusal: FivetranApiError, error: FivetranError) -> bool:
    """Whether the answer to another key is no better than the refusal of the first.

    That something does not exist is no answer of weight from a key that may not see it, where the first key was told
    that it exists but lacks the right to it.
    """
    hidden = isinstance(refusal, FivetranForbidden) and isinstance(error, FivetranNotFound)
    return hidden or speaks_against_key(call, error)


def refused_key(refusal: FivetranApiError, settings: Settings) -> FivetranApiError:
    """The refusal of a key, with what to do about it."""
    lacks = isinstance(refusal, FivetranForbidden)
    what = "lacks the right to that" if lacks else "is wrong, expired or revoked"
    return type(refusal)(
        f"{refusal}. The key of Airflow connection {settings.conn_id!r} {what}, and no other "
        f"(its fallback_conn_id) works: put a valid key there{', or give it the right' if lacks else ''}",
        status=refusal.status,
        code=refusal.code,
    )


def read_answer(
    call: Call[T], status: int, headers: Mapping[str, str], body: bytes, *, host: str = "Fivetran"
) -> Answer[T]:
    """Turn an HTTP answer into a value, or raise the error that it means.

    :param headers: names in any case.
    :raises FivetranApiError: (one of its kinds) the status is an error.
    :raises FivetranUnexpectedAnswer: the answer is not what Fivetran documents.
    """
    named = {name.lower(): value for name, value in headers.items()}
    envelope = _read_json(body)
    if status >= 400:  # noqa: PLR2004
        raise _error_of(call, status, named, envelope)
    if not 200 <= status < 300:  # noqa: PLR2004
        raise FivetranUnexpectedAnswer(
            f"{host} answered {call.method} {call.path} with HTTP {status}, "
            "which the API does not use: is the host of the Airflow connection right?",
            status=status,
        )
    if envelope is None:
        raise FivetranUnexpectedAnswer(
            f"{host} answered {call.method} {call.path} with HTTP {status}, but not with JSON: "
            f"{_excerpt(body, call)}",
            status=status,
        )
    try:
        value = call.read(section(envelope, "data"))
    except FivetranUnexpectedAnswer as error:
        error.status = status
        raise
    return Answer(
        value,
        server_time=read_http_date(named.get("date")),
        requests_left=_whole_number(named.get("x-rate-limit-remaining")),
    )


def _read_json(body: bytes) -> Json | None:
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # also covers bytes that are not UTF-8
        return None
    return value if isinstance(value, Mapping) else None


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _error_of(
    call: Call[Any], status: int, headers: Mapping[str, str], envelope: Json | None
) -> FivetranApiError | FivetranUnexpectedAnswer:
    code = envelope.get("code") if envelope else None
    said = envelope.get("message") if envelope else None
    code = storable(code)[:MOST_OF_A_CODE] if isinstance(code, str) else None
    message = f"Fivetran answered {call.method} {call.path} with HTTP {status}"
    if code or said:
        # Without secrets before it is cut: half a secret would not be found.
        said = without_secrets(str(said), call.body)[:500] if said else said
        message += f" {code or ''}: {storable(said)}" if said else f" {code}"
    if status == 429:  # noqa: PLR2004
        after = _retry_after(headers)
        if after:
            message += f"; it wants to be asked again in {in_words(timedelta(seconds=after))}"
        return FivetranRateLimited(message, status=status, code=code, retry_after=after)
    if status >= 500:  # noqa: PLR2004
        return FivetranServerError(message, status=status, code=code)
    if envelope is None and status not in _ERRORS_WITHOUT_WORDS:
        # Fivetran's own refusals are JSON; a page instead comes from something in between, and says nothing about
        # the key or the connection.
        return FivetranUnexpectedAnswer(f"{message}, and not in JSON", status=status)
    if status in _TOO_SLOW_OR_EARLY:
        return FivetranUnexpectedAnswer(message, status=status, code=code)
    return _ERRORS.get(status, FivetranApiError)(message, status=status, code=code)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until, now = read_http_date(value), read_http_date(headers.get("date"))
        return max(0.0, (until - now).total_seconds()) if until and now else None
    return seconds if 0 <= seconds < float("inf") else None


def _whole_number(value: str | None) -> int | None:
    if not value or len(value) > MOST_DIGITS or not value.isascii() or not value.isdigit():
        return None
    return int(value)


def _excerpt(body: bytes, call: Call[Any]) -> str:
    """How a page of something in between begins. Fivetran's own answer, broken off, may begin with a new secret."""
    if body.lstrip().startswith(b"{"):
        return f"{len(body)} bytes that begin like it"
    return repr(without_secrets(body.decode("utf-8", "replace"), call.body)[:80].strip())
