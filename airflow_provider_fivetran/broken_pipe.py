"""The quiet end of a command whose output nobody reads any more, as in ``airflow fivetran doctor | head``."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CUT_OFF", "ending_quietly_when_cut_off"]

CUT_OFF = 141
"""Exit code, as shells have it for a program that was ended by SIGPIPE."""


@contextmanager
def ending_quietly_when_cut_off() -> Iterator[None]:
    """End with :data:`CUT_OFF` and no traceback when the reader of the output is gone.

    Python ignores SIGPIPE and raises instead. To let SIGPIPE end the process would end it also for any socket that
    the other side has closed, so CPython's documentation ("Note on SIGPIPE" of the module signal) advises this.
    """
    try:
        try:
            yield
        finally:
            # What is written only at the exit of the interpreter could not be caught here. Unlike the method flush,
            # this also works where stdout was closed from the beginning.
            print(end="", flush=True)
    except BrokenPipeError:
        # At that exit what is still in the buffer is written once more: let it go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(CUT_OFF) from None
