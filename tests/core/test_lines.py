"""One text about many things."""

from __future__ import annotations

from airflow_provider_fivetran.core.lines import MOST_IN_LINES, in_lines


def test_each_has_its_line():
    assert in_lines("head:", ["one", "two"]) == "head:\n- one\n- two"


def test_what_is_too_much_is_cut_between_two_lines_and_counted():
    text = in_lines("head:", ["x" * 97] * 1000)
    assert MOST_IN_LINES - 200 < len(text) < MOST_IN_LINES + 200
    shown = text.count("x" * 97)
    assert text.endswith(f"\n- and {1000 - shown} more")


def test_the_first_is_told_however_long_it_is():
    assert in_lines("head:", ["y" * 50_000, "z"]).endswith("yy\n- and 1 more")


def test_the_others_may_have_words_of_their_own():
    told = in_lines("head:", ["y" * 50_000, "z"], rest=lambda shown, length: f"{shown} {length > 50_000}")
    assert told.endswith("yy\n- 1 True")
