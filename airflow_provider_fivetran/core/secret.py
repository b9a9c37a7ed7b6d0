"""A text that must not be seen, and how to keep texts like it out of what is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HIDDEN", "Secret", "hide_by_name", "looks_secret", "secrets_in", "shown", "without_secrets"]

HIDDEN = "***"
# A field whose name has one of these in it holds a secret, whatever else is known of it.
_WORDS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "private_key",
    "api_key",
    "apikey",
    "credential",
)


class Secret(str):
    """A text that is itself wherever it is used, and hidden wherever a value is shown for looking at it.

    A call's body that holds one, and a traceback that shows variables, do not show it.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def looks_secret(name: str) -> bool:
    """Whether a field of this name holds a secret, as far as a name can tell."""
    return any(word in name.lower() for word in _WORDS)


def hide_by_name(value: Any, name: str = "") -> Any:
    """The same JSON, with each text whose field looks like one of a secret made a :class:`Secret`."""
    if isinstance(value, Mapping):
        return {
            key: hide_by_name(inner, name if looks_secret(name) else str(key)) for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [hide_by_name(inner, name) for inner in value]
    return Secret(value) if isinstance(value, str) and looks_secret(name) else value


def shown(value: Any, name: str = "") -> Any:
    """The same JSON as it may be shown: each secret, and each field that looks like one, is hidden."""
    if isinstance(value, Mapping):
        return {key: shown(inner, name if looks_secret(name) else str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [shown(inner, name) for inner in value]
    if isinstance(value, Secret) or (isinstance(value, str) and looks_secret(name)):
        return HIDDEN
    return value


def secrets_in(value: object) -> Iterator[Secret]:
    """Every secret in a piece of JSON."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from secrets_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from secrets_in(inner)


def without_secrets(text: str, body: object) -> str:
    """The text without the secrets of a body: an answer may repeat what it refuses."""
    forms = {form for secret in secrets_in(body) for form in _forms_of(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def _forms_of(secret: str) -> Iterator[str]:
    plain = str(secret)
    if plain.strip():
        yield from (plain, plain.strip(), json.dumps(plain)[1:-1], repr(plain)[1:-1])
