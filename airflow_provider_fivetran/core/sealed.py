"""A secret that has to be taken out of its cover before it can be seen or sent."""

from __future__ import annotations

from typing import Any, NoReturn

from airflow_provider_fivetran.core.secret import Secret

__all__ = ["Sealed"]


class Sealed:
    """Holds a secret that Fivetran shows once, so that only a deliberate :meth:`reveal` gives it away.

    It is no text: whatever would write it down (an XCom, a rendered template, a pickle, a copy of the record that it
    is part of) fails with an error instead.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        self._secret = Secret(secret)

    def reveal(self) -> Secret:
        """The secret, for whoever puts it where it belongs."""
        return self._secret

    def __repr__(self) -> str:
        return "Sealed('***')"

    def __reduce_ex__(self, _protocol: Any) -> NoReturn:
        raise TypeError("a secret of Fivetran's is not written anywhere: take it with reveal() and store it")
