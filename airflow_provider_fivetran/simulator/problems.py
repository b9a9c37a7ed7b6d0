"""The refusals of the API: an HTTP status, Fivetran's code word and a message."""

from __future__ import annotations


class ApiError(Exception):
    """A request that Fivetran would refuse."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def invalid(message: str) -> ApiError:
    return ApiError(400, "InvalidInput", message)


def forbidden(message: str) -> ApiError:
    return ApiError(403, "Forbidden", message)


def not_found(kind: str, identifier: str) -> ApiError:
    return ApiError(404, f"NotFound_{kind}", f"Cannot find {kind.lower()} with id '{identifier}'")


def no_such_route() -> ApiError:
    return ApiError(404, "NotFound", "HTTP 404 Not Found")


def conflict(message: str) -> ApiError:
    return ApiError(409, "Conflict", message)


def too_many(limit: int, seconds: float) -> ApiError:
    message = f"Max {limit} api calls allowed in one-hour rolling time period"
    return ApiError(429, "TooManyRequests", message, {"Retry-After": str(max(1, round(seconds)))})
