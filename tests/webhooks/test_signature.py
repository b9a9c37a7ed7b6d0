"""Only what was signed with a known secret counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_fivetran.webhooks.signature import is_signature, is_signed
from webhook_bodies import CAPTURED, SECRET, signature

KNOWN = "3c2a6ee64a6f2e6b55c13bb77ba4a8a2d1bd1c0e"


def test_the_example_of_the_standard_is_right():
    """Test case 2 of RFC 4231, computed by others."""
    digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert is_signed(b"what do ya want for nothing?", digest, ["Jefe"])


@pytest.mark.parametrize("written", [str.upper, str.lower, str.title])
def test_the_case_of_the_digits_does_not_matter(written):
    assert is_signed(CAPTURED, written(signature(CAPTURED)), [SECRET])


def test_during_a_rotation_either_secret_fits():
    for secret in (SECRET, KNOWN):
        assert is_signed(CAPTURED, signature(CAPTURED, secret), [SECRET, KNOWN])


@pytest.mark.parametrize("known", [[], [""], ["", ""], [KNOWN]])
def test_without_the_secret_nothing_fits(known):
    assert not is_signed(CAPTURED, signature(CAPTURED), known)


def test_an_empty_secret_fits_nothing():
    assert not is_signed(CAPTURED, signature(CAPTURED, ""), ["", SECRET])


def test_a_third_secret_is_not_looked_at():
    assert not is_signed(CAPTURED, signature(CAPTURED, "third"), [SECRET, KNOWN, "third"])


@given(st.integers(0, len(CAPTURED) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place, change):
    tampered = CAPTURED[:place] + bytes([CAPTURED[place] ^ change]) + CAPTURED[place + 1 :]
    assert not is_signed(tampered, signature(CAPTURED), [SECRET])


@given(st.integers(0, len(CAPTURED) - 1))
def test_a_cut_body_is_noticed(length):
    assert not is_signed(CAPTURED[:length], signature(CAPTURED), [SECRET])


@given(st.text(), st.binary())
def test_any_text_can_be_asked_about(claimed, body):
    assert not is_signed(body, claimed, [SECRET]) or claimed.lower() == signature(body).lower()
    is_signature(claimed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256=" + "0" * 64,
        "0" * 63,
        "0" * 65,
        "g" * 64,
        " " + "0" * 64,
        "0" * 64 + "\n",
        "\N{FULLWIDTH DIGIT ZERO}" * 64,
    ],
)
def test_what_cannot_be_a_signature_is_told_from_its_form(text):
    assert not is_signature(text)
