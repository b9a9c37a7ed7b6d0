"""Texts that must not be seen are hidden where values are shown, and found where an answer repeats them."""

from __future__ import annotations

import json

import pytest

from airflow_provider_fivetran.core.errors import FivetranApiError
from airflow_provider_fivetran.core.protocol import Call, read_answer
from airflow_provider_fivetran.core.secret import Secret, hide_by_name, shown, without_secrets

NEEDLE = 'a "needle"\nin\\two lines'


def test_a_field_that_looks_like_one_of_a_secret_is_hidden_with_all_below_it():
    value = {
        "host": "db",
        "api_token": {"value": "x"},
        "rows": [{"client_secret": "y", "n": 1}],
        "k": Secret("z"),
    }
    assert shown(value) == {
        "host": "db",
        "api_token": {"value": "***"},
        "rows": [{"client_secret": "***", "n": 1}],
        "k": "***",
    }
    hidden = hide_by_name(value)
    assert hidden == value
    assert not {"'x'", "'y'", "'z'"} & set(repr(hidden).replace(",", " ").replace("}", " ").split())


@pytest.mark.parametrize(
    "told", [NEEDLE, json.dumps(NEEDLE), repr(NEEDLE)], ids=["plain", "as JSON", "as Python"]
)
def test_a_secret_is_taken_out_of_a_text_however_it_is_written(told):
    text = without_secrets(
        f"Field 'x' is {told}; allowed: a, b", {"config": {"list": [{"x": Secret(NEEDLE)}]}}
    )
    assert "needle" not in text
    assert text.startswith("Field 'x' is ")
    assert text.endswith("; allowed: a, b")


def test_a_secret_within_a_secret_leaves_nothing():
    assert without_secrets("long-needle-more", [Secret("needle"), Secret("long-needle-more")]) == "***"


def test_a_text_without_secrets_stays_as_it_is():
    assert without_secrets("a b", {"a": "a", "b": Secret("  ")}) == "a b"


def test_an_error_answer_that_repeats_a_secret_shows_no_part_of_it():
    secret = Secret("needle" * 200)
    call = Call(method="POST", path="/v1/connections", read=dict, body={"config": {"key": secret}})
    said = json.dumps({"code": "InvalidInput", "message": f"{'x' * 490} {secret}"}).encode()
    with pytest.raises(FivetranApiError) as raised:
        read_answer(call, 400, {}, said)
    assert "need" not in str(raised.value)
    assert "***" in str(raised.value)
