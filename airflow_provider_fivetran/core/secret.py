"""A text that must not be seen."""

from __future__ import annotations

__all__ = ["Secret"]


class Secret(str):
    """A text that is itself wherever it is used, and hidden wherever a value is shown for looking at it.

    A call's body that holds one, and a traceback that shows variables, do not show it.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"
