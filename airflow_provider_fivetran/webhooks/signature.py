"""Whether the body of a delivery was signed with a secret that we know."""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HEADER", "MOST_SECRETS", "is_signature", "is_signed"]

HEADER = "X-Fivetran-Signature-256"
# The one in use and, while it is rotated, the one before.
MOST_SECRETS = 2

_SIGNATURE = re.compile(r"[0-9A-Fa-f]{64}")
# Stands in for a secret that there is not, so that a missing one takes as long as a wrong one. Nobody knows it.
_NOBODYS = secrets.token_bytes(32)


def is_signature(text: str) -> bool:
    """Whether this can be a signature at all: 64 hexadecimal digits."""
    return _SIGNATURE.fullmatch(text) is not None


def is_signed(body: bytes, signature: str, known: Sequence[str]) -> bool:
    """Whether the signature is the HMAC-SHA-256 of the body with one of the secrets.

    How long it takes depends on the body alone: not on which secret fits, nor on whether there is any. Fivetran
    writes the digits in upper case, its documentation compares upper case, others have seen lower case: both count.

    :param body: as it was sent, before any parsing.
    :param signature: the header ``X-Fivetran-Signature-256``.
    :param known: at most two secrets; an empty one never fits.
    """
    claimed = signature.lower().encode(errors="replace")
    fits = False
    for place in range(MOST_SECRETS):
        secret = known[place].encode() if place < len(known) else b""
        right = hmac.new(secret or _NOBODYS, body, sha256).hexdigest().encode()
        fits |= hmac.compare_digest(right, claimed)
    return fits
