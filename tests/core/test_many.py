"""What many syncs mean for their task, which connections are chosen, and how many waits take little room."""

from __future__ import annotations

import json

import pytest

from airflow_provider_fivetran.core.choosing import Choice, failed_last
from airflow_provider_fivetran.core.errors import (
    FivetranConnectionPaused,
    FivetranSyncFailed,
    FivetranSyncsFailed,
    FivetranSyncsNeedAttention,
)
from airflow_provider_fivetran.core.many import (
    Result,
    Tolerance,
    as_xcom,
    counts_of,
    line_of,
    summary_of,
    what_failed,
)
from airflow_provider_fivetran.core.packing import pack, unpack
from facts import EARLIER, EARLIER_STILL, at, connection, ticket


def good(count, status="succeeded"):
    return [Result.of(f"good{number}", status) for number in range(count)]


def bad(count, error=None, status="failed"):
    return [Result.of(f"bad{number}", status, error=error) for number in range(count)]


class TestTolerance:
    @pytest.mark.parametrize(
        ("results", "policy", "fails"),
        [
            pytest.param(good(3), {}, False, id="all is well"),
            pytest.param(good(3) + bad(1), {}, True, id="one failed"),
            pytest.param(good(3) + bad(1, status="unknown"), {}, True, id="nobody knows of one"),
            pytest.param(good(3) + bad(1, status="not_started"), {}, True, id="one was not started"),
            pytest.param(good(3) + bad(1, status="skipped"), {}, False, id="one was skipped"),
            pytest.param(good(3) + good(1, "fresh"), {}, False, id="one is fresh enough"),
            pytest.param(good(1) + bad(9), {"when_some_fail": "succeed"}, False, id="some may fail"),
            pytest.param(bad(9), {"when_some_fail": "succeed"}, True, id="but not all"),
            pytest.param(
                good(9) + bad(1),
                {"when_some_fail": "fail_above", "fail_above": 0.1},
                False,
                id="as many as may",
            ),
            pytest.param(
                good(8) + bad(1),
                {"when_some_fail": "fail_above", "fail_above": 0.1},
                True,
                id="more than may",
            ),
            pytest.param(
                good(1) + bad(1) + bad(8, status="skipped"),
                {"when_some_fail": "fail_above", "fail_above": 0.4},
                True,
                id="what is skipped does not make the share smaller",
            ),
            pytest.param([], {}, False, id="there is nothing"),
        ],
    )
    def test_whether_the_task_fails(self, results, policy, fails):
        assert (Tolerance(**policy).error_of(results) is not None) == fails

    def test_the_first_that_failed_is_where_to_look(self):
        error = Tolerance().error_of(good(1) + bad(2))
        assert (error.connection_id, error.link) == (
            "bad0",
            "https://fivetran.com/dashboard/connections/bad0",
        )

    def test_only_where_no_retry_mends_any_the_task_needs_a_person(self):
        paused, failed = FivetranConnectionPaused("it is paused"), FivetranSyncFailed("it failed")
        assert type(Tolerance().error_of(bad(2, paused))) is FivetranSyncsNeedAttention
        assert type(Tolerance().error_of([*bad(1, paused), *bad(1, failed)])) is FivetranSyncsFailed


class TestWords:
    def test_a_summary_is_one_line(self):
        results = [*good(3), *bad(1), *bad(1, status="not_started")]
        assert summary_of(results) == "5 Fivetran connections: 3 succeeded, 1 failed, 1 not started"
        assert counts_of(results) == {"succeeded": 3, "failed": 1, "not_started": 1}

    def test_an_error_names_each_with_its_reason_and_is_of_bounded_length(self):
        text = what_failed([*good(2), *bad(1000, FivetranSyncFailed("x" * 5000))])
        assert text.startswith("1000 of 1002 Fivetran connections did not sync well:\n- bad0 failed: xxx")
        assert "more: bad" in text
        assert text.endswith("the XCom fivetran_syncs has all")
        assert len(text) < 9000

    def test_an_error_and_a_log_have_a_link_once(self):
        link = "https://fivetran.com/dashboard/connections/c"
        for text in (f"sf (salesforce, c) is paused. {link}", "sf (salesforce, c) is paused"):
            result = Result.of("c", "not_started", error=FivetranConnectionPaused(text))
            assert result.reason == "sf (salesforce, c) is paused"
            assert line_of(result) == f"c not started: sf (salesforce, c) is paused {link}"
            assert what_failed([result]).endswith(f":\n- {line_of(result)}")

    def test_the_results_of_a_thousand_are_of_bounded_size(self):
        results = bad(1000, FivetranSyncFailed("x" * 5000))
        assert len(json.dumps(as_xcom(results))) < 1000 * 700

    def test_a_result_survives_its_journey(self):
        result = Result.of(
            "c", "failed", error=FivetranSyncFailed("no"), ended_at="2026-11-02T10:00:00+00:00"
        )
        assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result


class TestChoice:
    def test_all_of_it_must_be_so(self):
        choice = Choice(services=frozenset({"stripe"}), name_pattern="pay*", only_failed=True)
        wanted = connection(failed_at=at(0))
        others = [
            connection(failed_at=at(0), service="postgres"),
            connection(failed_at=at(0), schema="Payments"),
            connection(),
        ]
        assert choice.of([*others, wanted]) == (wanted,)

    def test_nothing_given_takes_all(self):
        assert Choice().takes_all
        assert Choice().wants(connection())

    @pytest.mark.parametrize(
        ("succeeded_at", "failed_at", "failed"),
        [
            (None, None, False),
            (None, EARLIER, True),
            (EARLIER, None, False),
            (EARLIER, EARLIER_STILL, False),
            (EARLIER_STILL, EARLIER, True),
        ],
    )
    def test_which_has_failed_last(self, succeeded_at, failed_at, failed):
        assert failed_last(connection(succeeded_at=succeeded_at, failed_at=failed_at)) == failed


class TestPacking:
    def test_as_many_waits_as_may_be_fit_into_a_text_of_mysql(self):
        """Which ends after 64 KB, a third of which is what the encryption adds."""
        waits = {
            f"quaint_{number * 7919 % 99991}_turnip": {
                "ticket": ticket(
                    connection_id=f"quaint_{number * 7919 % 99991}_turnip",
                    group_id=f"decent_{number % 7}_dropsy",
                    taken_at=at(number * 1.7),
                    asked_at=at(number * 1.713),
                    begun_at=at(number * 1.713),
                    triggered_at=at(number * 1.7 + 1),
                    succeeded_at=at(-number * 137.3),
                    failed_at=at(-number * 1371.3),
                    other_sync_id=f"{number * 2654435761 % 2**64:016x}",
                ).to_json(),
                "errand": {
                    "connection_id": f"quaint_{number * 7919 % 99991}_turnip",
                    "begun_at": at(number * 1.713).isoformat(),
                    "undo": {"pause": False, "schedule_type": "auto"},
                    "then_start_ours": False,
                    "wanted": {
                        "connection_id": f"quaint_{number * 7919 % 99991}_turnip",
                        "resync": False,
                        "scope": None,
                    },
                },
                "when_killed": "leave",
            }
            for number in range(200)
        }
        packed = pack(waits)
        assert unpack(packed) == waits
        assert len(packed) * 4 / 3 < 0.8 * 65_535

    @pytest.mark.parametrize("text", ["", "e30=", "?", None])
    def test_what_was_not_packed_is_an_error(self, text):
        with pytest.raises(ValueError, match=r"not packed|Incorrect padding|base64"):
            unpack(text)
