"""Putting many waits into few bytes.

The arguments of a trigger are one encrypted text in Airflow's database, which in MySQL ends after 64 KB; and the
waits of one task are much alike.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from typing import Any

__all__ = ["pack", "unpack"]


def pack(value: Any) -> str:
    """Plain JSON as a short text."""
    return b64encode(zlib.compress(json.dumps(value).encode(), 9)).decode()


def unpack(text: str) -> Any:
    """Read what :func:`pack` wrote.

    :raises ValueError: it is something else.
    """
    try:
        return json.loads(zlib.decompress(b64decode(text)))
    except (TypeError, zlib.error) as error:
        raise ValueError(f"this was not packed here: {error}") from None
