"""What an answer looks like after a fault has struck it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from .faults import Fault

_MEGABYTE = 1_000_000
# Fivetran's code words for statuses that a fault may imitate.
_CODES = {
    400: "InvalidInput",
    401: "AuthFailed",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    429: "TooManyRequests",
}
_HTML = "<html><head><title>{status} {phrase}</title></head><body><h1>{phrase}</h1></body></html>"


@dataclass(frozen=True)
class Spoilt:
    """An answer that replaces the real one."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def spoil(fault: Fault, status: int, body: bytes, chance: random.Random) -> Spoilt | None:
    """The answer that ``fault`` makes of the real one; None where no answer goes out at all."""
    if fault.kind in ("reset", "lost"):
        return None
    return _SPOILERS[fault.kind](fault, status, body, chance)


def _status(fault: Fault, _status: int, _body: bytes, _chance: random.Random) -> Spoilt:
    status = fault.status or HTTPStatus.SERVICE_UNAVAILABLE
    envelope = {"code": _CODES.get(status, "InternalError"), "message": f"HTTP {status} {_phrase(status)}"}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        envelope["message"] = "Max 20000 api calls allowed in one-hour rolling time period"
    return _spoilt(status, json.dumps(envelope).encode(), retry_after=fault.retry_after)


def _html(fault: Fault, _status: int, _body: bytes, _chance: random.Random) -> Spoilt:
    status = fault.status or HTTPStatus.BAD_GATEWAY
    text = _HTML.format(status=int(status), phrase=_phrase(status))
    return _spoilt(status, text.encode(), content_type=b"text/html", retry_after=fault.retry_after)


def _garbage(fault: Fault, status: int, body: bytes, chance: random.Random) -> Spoilt:
    """Cut the JSON off somewhere in the middle, as a broken proxy does."""
    cut = chance.randrange(1, max(2, len(body) - 1))
    return _spoilt(fault.status or status, body[:cut])


def _slow(fault: Fault, status: int, body: bytes, _chance: random.Random) -> Spoilt:
    return _spoilt(fault.status or status, body)


def _huge(fault: Fault, status: int, body: bytes, _chance: random.Random) -> Spoilt:
    envelope = _parsed(body)
    envelope["padding"] = "x" * int(fault.size_mb * _MEGABYTE)
    return _spoilt(fault.status or status, json.dumps(envelope).encode())


def _wrong_shape(fault: Fault, status: int, body: bytes, chance: random.Random) -> Spoilt:
    """Keep the envelope and twist what is in it."""
    envelope = _parsed(body)
    data = envelope.pop("data", None)
    twists: list[Callable[[], dict[str, Any]]] = [
        dict,
        lambda: {"data": None},
        lambda: {"data": "none"},
        lambda: {"data": [data]},
        lambda: {"data": {"items": {"0": data}}},
        lambda: {"data": _twisted(data)},
    ]
    envelope |= chance.choice(twists)()
    return _spoilt(fault.status or status, json.dumps(envelope).encode())


def _twisted(value: Any) -> Any:
    """Every value of another type than it was, with the names kept."""
    if isinstance(value, dict):
        return {name: _twisted(item) for name, item in value.items()}
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    if isinstance(value, str):
        return [value]
    return {} if value is None else str(value)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _spoilt(
    status: int,
    body: bytes,
    *,
    content_type: bytes = b"application/json",
    retry_after: float | str | None = None,
) -> Spoilt:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    if retry_after is not None:
        text = retry_after if isinstance(retry_after, str) else f"{retry_after:g}"
        headers.append((b"retry-after", text.encode()))
    return Spoilt(int(status), headers, body)


_SPOILERS: dict[str, Callable[[Fault, int, bytes, random.Random], Spoilt]] = {
    "status": _status,
    "html": _html,
    "garbage": _garbage,
    "slow": _slow,
    "huge": _huge,
    "wrong_shape": _wrong_shape,
}
