"""Connections as code: created once, changed only where they differ, authorised in every way, and no secret seen."""

from __future__ import annotations

import json
import logging
import re
import traceback

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, AirflowNotFoundException

from airflow_provider_fivetran.core import ensuring
from airflow_provider_fivetran.core.setups import ConnectCard
from airflow_provider_fivetran.exceptions import (
    FivetranApiError,
    FivetranArgumentMissing,
    FivetranLookupError,
    FivetranNotAsDescribed,
    FivetranSetupTestFailed,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
    FivetranWrongDescription,
)
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators import FivetranConnectionOperator, FivetranFreshnessOperator
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from stories import TaskInstance, TaskStateStore, execute

GROUP = "sim_group"
CHANGE = "PATCH"
# Letters that every encoding writes in another way.
NEEDLES = {
    "password": 'needle-of-a-"password"/+%&7Q',
    "client": "needle-of-a-client-secret\\8R",
    "refresh": "needle-of-a-refresh-token/9S",
    "token": "needle-of-a-token/+%&5T",
    "key": "needle-of-a-key\n-in-two-lines",
}
# Every way that the API offers: the arguments, and what the simulator keeps of them where.
WAYS = {
    "login and password": (
        {
            "service": "postgres",
            "config": {"host": "db.example", "port": 5432, "database": "shop"},
            "secrets": {"config.user": ("source", "login"), "config.password": ("source", "password")},
        },
        {"config": {"user": "fivetran", "password": NEEDLES["password"]}},
    ),
    "the auth section": (
        {
            "service": "google_ads",
            "config": {"customer_id": "1"},
            "auth": {"client_access": {"client_id": "id"}},
            "secrets": {
                "auth.client_access.client_secret": ("source", "extra.client"),
                "auth.refresh_token": ("source", "extra.refresh"),
            },
        },
        {
            "auth": {
                "client_access": {"client_id": "id", "client_secret": NEEDLES["client"]},
                "refresh_token": NEEDLES["refresh"],
            }
        },
    ),
    "a token": (
        {
            "service": "github",
            "config": {"auth_mode": "PersonalAccessToken", "username": "bot"},
            "secrets": {"config.pat": ("source", "extra.token")},
        },
        {"config": {"pat": NEEDLES["token"]}},
    ),
    "a key": (
        {"service": "stripe", "secrets": {"config.secret_key": ("source", "extra.key")}},
        {"config": {"secret_key": NEEDLES["key"]}},
    ),
    "a connect card": (
        {"service": "salesforce", "connect_card": {"redirect_uri": "https://airflow.example/done"}},
        {},
    ),
}
POSTGRES = WAYS["login and password"][0]


@pytest.fixture(autouse=True)
def source(monkeypatch):
    """Let an Airflow connection hold the secrets of the sources."""
    extra = {name: needle for name, needle in NEEDLES.items() if name != "password"}
    conn = {"conn_type": "generic", "login": "fivetran", "password": NEEDLES["password"], "extra": extra}

    def declare(**fields):
        monkeypatch.setenv("AIRFLOW_CONN_SOURCE", json.dumps(conn | fields))

    declare()
    return declare


@pytest.fixture
def said(caplog, capsys):
    """What was logged, wherever this Airflow's logs go."""
    caplog.set_level(logging.DEBUG)
    printed = []

    def said():
        printed.extend(capsys.readouterr())
        return caplog.text + "".join(printed)

    return said


class Done:
    """What became of a task."""

    def __init__(self, way, kind, *, store=None, **arguments):
        self.ti = TaskInstance()
        before = len(way.heard)
        given = {"task_id": "task", "fivetran_conn_id": way.conn_id, "fivetran_retry_delay": 0.01}
        self.value, self.error = None, None
        context = {"ti": self.ti, "task_state_store": store}
        try:
            self.task = kind(**given | arguments)
            self.value = execute(self.task, context)
        except Exception as error:  # noqa: BLE001 - what it is, is what the tests look at
            self.error = error
        self.requests = list(way.heard)[before:]

    @property
    def cause(self):
        return self.error.__cause__ if isinstance(self.error, AirflowFailException) else self.error

    @property
    def record(self):
        return json.loads(self.ti.pushed["fivetran_connection"])

    @property
    def changes(self):
        """What was asked for, without looks."""
        return [
            (r.method, r.path.partition("/v1/connections")[2]) for r in self.requests if r.method != "GET"
        ]

    def well(self):
        if self.error is not None:
            raise AssertionError("it failed") from self.error
        return self


def ensure(way, **arguments):
    given = {"connector_name": "shop", "group_id": GROUP, **POSTGRES}
    return Done(way, FivetranConnectionOperator, **given | arguments)


def truth(way):
    [connection] = way.sim.account.connections.values()
    return connection


class TestCreating:
    def test_an_airflow_connection_that_is_not_there_is_told_with_what_it_is_for(self, blocking):
        secrets = {"config.password": ("nix", "password")}
        done = ensure(blocking, secrets=secrets)
        assert isinstance(done.error, AirflowNotFoundException)
        assert "secrets['config.password'] is to come from the Airflow connection 'nix'" in str(done.error)
        assert blocking.sim.account.connections == {}

    def test_it_is_made_once_paused_and_nothing_is_synced(self, blocking):
        first = ensure(blocking).well()
        assert first.value == truth(blocking).id
        assert first.record["action"] == "created"
        assert (first.record["not_comparable"], first.record["secrets_sent"]) == (["config.password"], True)
        assert (truth(blocking).schema, truth(blocking).paused) == ("shop", True)
        assert truth(blocking).config["schema_prefix"] == "shop"
        assert truth(blocking).settings["destination_schema_names"] == "FIVETRAN_NAMING"
        second = ensure(blocking, send_secrets="when_needed").well()
        assert (second.value, second.record["action"], second.changes) == (first.value, "unchanged", [])
        assert [request.method for request in second.requests] == ["GET", "GET"]
        assert blocking.sim.accepted(first.value) == []

    def test_it_is_let_go_only_when_its_setup_tests_have_passed(self, blocking):
        done = ensure(blocking, paused=False, schedule={"interval": 60}).well()
        assert done.changes == [("POST", ""), ("POST", f"/{done.value}/test"), (CHANGE, f"/{done.value}")]
        assert (truth(blocking).paused, truth(blocking).sync_frequency) == (False, 60)
        assert done.record["setup_state"] == "connected"

    def test_one_whose_setup_tests_fail_stays_paused_and_the_next_run_finishes_it(self, blocking):
        blocking.sim.switches.setup_tests_need_trust = True
        failed = ensure(blocking, paused=False)
        assert isinstance(failed.error, FivetranSetupTestFailed)
        assert "Could not log in to the source" in str(failed.error)
        assert failed.error.link in str(failed.error)
        assert truth(blocking).paused
        assert [t["status"] for t in failed.record["setup_tests"]] == ["passed", "failed"]
        done = ensure(blocking, paused=False, trust_certificates=True).well()
        assert done.value == failed.record["connection_id"]
        assert not truth(blocking).paused

    def test_the_group_is_found_by_the_name_of_its_destination(self, blocking):
        done = ensure(blocking, group_id=None, destination_name="Warehouse").well()
        assert truth(blocking).group_id == GROUP
        assert done.record["group_id"] == GROUP
        lost = ensure(blocking, group_id=None, destination_name="Warehous")
        assert isinstance(lost.cause, FivetranLookupError)
        assert "did you mean 'Warehouse'?" in str(lost.error)

    def test_a_type_that_loads_one_table_is_named_by_both(self, blocking):
        arguments = {
            "service": "google_sheets",
            "config": {"sheet_id": "s"},
            "secrets": {},
            "setup_tests": "never",
        }
        done = ensure(blocking, connector_name="sheets.budget", **arguments).well()
        assert truth(blocking).schema == "sheets.budget"
        assert truth(blocking).config == {"schema": "sheets", "table": "budget", "sheet_id": "s"}
        again = ensure(blocking, connector_name="sheets.budget", **arguments).well()
        assert (again.value, again.record["action"]) == (done.value, "unchanged")

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(kind="lost", method="POST", path=r"/v1/connections$"),
            Fault(kind="garbage", method="POST", path=r"/v1/connections$"),
            Fault(kind="status", status=500, method="POST", path=r"/v1/connections$", takes_effect=True),
        ],
        ids=lambda fault: fault.kind,
    )
    def test_an_answer_that_is_lost_is_looked_for_and_nothing_is_made_twice(self, blocking, said, fault):
        blocking.sim.faults.add(fault)
        done = ensure(blocking).well()
        assert done.value == truth(blocking).id
        assert [path for method, path in done.changes if method == "POST"] == ["", f"/{done.value}/test"]
        assert "looking whether it was created" in said()

    def test_one_that_never_arrived_is_made_by_the_next_try(self, blocking, monkeypatch):
        monkeypatch.setattr(ensuring, "LOOKS_AFTER_LOST_ANSWER", (0, 0))
        blocking.sim.faults.add(Fault(kind="reset", method="POST", path=r"/v1/connections$"))
        lost = ensure(blocking)
        assert isinstance(lost.error, FivetranUnreachable)  # which Airflow retries
        assert blocking.sim.account.connections == {}
        assert ensure(blocking).well().record["action"] == "created"

    def test_two_that_make_it_at_once_make_one(self, blocking, said):
        def somebody_is_faster():
            blocking.sim.add_connection("theirs", schema="shop", config={"host": "elsewhere"})

        blocking.heard.at("GET", r"/connector-types/", somebody_is_faster)
        done = ensure(blocking).well()
        assert (done.value, done.record["action"]) == ("theirs", "changed")
        assert "somebody else has created it as theirs" in said()
        assert truth(blocking).config["host"] == "db.example"

    def test_two_of_one_name_stay_paused_and_are_told(self, blocking):
        blocking.sim.switches.names_are_unique = False
        blocking.heard.at(
            "GET", r"/connector-types/", lambda: blocking.sim.add_connection("d", schema="shop")
        )
        done = ensure(blocking, paused=False)
        assert isinstance(done.cause, FivetranLookupError)
        assert "d" in str(done.error)
        assert [c.paused for c in blocking.sim.account.connections.values() if c.id != "d"] == [True]

    def test_a_worker_that_dies_right_after_it_has_been_made_leaves_no_second(self, blocking):
        class DiedError(BaseException):
            pass

        def die(_step):
            raise DiedError

        with FivetranHook(blocking.conn_id) as hook:
            hook._log_note = die  # what comes first after the answer
            with pytest.raises(DiedError):
                hook.ensure_connection("shop", group_id=GROUP, **POSTGRES)
        assert len(blocking.sim.account.connections) == 1
        assert ensure(blocking, paused=False).well().value == truth(blocking).id
        assert truth(blocking).setup_state == "connected"


class TestChanging:
    @pytest.fixture
    def made(self, blocking):
        return ensure(blocking).well().value

    def test_only_what_differs_is_sent_and_the_log_shows_it(self, blocking, made, said):
        config = {**POSTGRES["config"], "host": "new.example"}
        done = ensure(blocking, config=config, schedule={"interval": 15}, send_secrets="when_needed").well()
        [change] = [r for r in done.requests if r.method == CHANGE]
        assert change.body == {
            "config": {"host": "new.example", "password": NEEDLES["password"]},
            "schedule_type": "auto",
            "sync_frequency": 15,
            "run_setup_tests": False,
        }
        assert done.record["differences"] == [
            {"field": "config.host", "now": "db.example", "wanted": "new.example"},
            {"field": "schedule", "now": "every 360 min", "wanted": "every 15 min"},
        ]
        log = said()
        assert "config.host: 'db.example' -> 'new.example'" in log
        assert "schedule: 'every 360 min' -> 'every 15 min'" in log
        assert ("POST", f"/{made}/test") in done.changes

    def test_what_is_not_described_is_left_alone(self, blocking, made):
        blocking.sim.unpause(made)
        truth(blocking).config["update_method"] = "WAL_PGOUTPUT"
        done = ensure(blocking, send_secrets="when_needed").well()
        assert (done.record["action"], done.changes) == ("unchanged", [])
        assert not truth(blocking).paused

    def test_a_masked_secret_is_no_difference_and_is_sent_anew(self, blocking, made, source, said):
        source(password="another needle")
        done = ensure(blocking).well()
        assert done.record["action"] == "renewed"
        assert done.record["differences"] == []
        assert done.record["not_comparable"] == ["config.password"]
        assert truth(blocking).config["password"] == "another needle"
        assert "Fivetran does not show config.password, so nobody can compare that; it is sent anew" in said()
        assert [path for method, path in done.changes if method == "POST"] == []

    def test_secrets_are_not_sent_when_nothing_needs_it_if_that_is_wanted(self, blocking, made, source, said):
        source(password="another needle")
        assert ensure(blocking, send_secrets="when_needed").well().changes == []
        assert "it is not sent" in said()
        assert truth(blocking).config["password"] == NEEDLES["password"]
        blocking.sim.break_setup(made, test_heals=True)
        ensure(blocking, send_secrets="when_needed").well()
        assert truth(blocking).config["password"] == "another needle"

    def test_a_sync_that_runs_is_not_stopped_to_send_secrets_anew(self, blocking, made, said):
        blocking.sim.set_plan(made, SyncPlan(duration=60))
        blocking.sim.unpause(made)
        run = blocking.sim.start_sync(made)
        done = ensure(blocking).well()
        assert (done.changes, done.record["secrets_sent"]) == ([], False)
        assert "a sync runs, which sending the secrets anew would stop" in said()
        assert run.running
        ensure(blocking, config={**POSTGRES["config"], "host": "new.example"}).well()
        assert "Fivetran stops it for this change" in said()
        assert run.status == "CANCELED"

    def test_a_dry_run_only_reads(self, blocking, made, said):
        done = ensure(blocking, config={"host": "new.example"}, paused=False, when_different="show").well()
        assert (done.value, done.record["action"], done.changes) == (made, "would_change", [])
        assert [d["field"] for d in done.record["differences"]] == ["config.host", "paused"]
        assert "config.host: 'db.example' -> 'new.example'" in said()
        missing = ensure(blocking, connector_name="other", when_different="show").well()
        assert (missing.value, missing.record["action"], missing.changes) == (None, "would_create", [])
        gone = ensure(blocking, state="absent", confirm="shop", when_different="show").well()
        assert (gone.value, gone.record["action"], gone.changes) == (made, "would_delete", [])

    def test_a_difference_can_be_an_error(self, blocking, made):
        done = ensure(blocking, config={"host": "new.example"}, when_different="fail")
        assert isinstance(done.cause, FivetranNotAsDescribed)
        assert "config.host: 'db.example' -> 'new.example'" in str(done.error)
        assert (done.record["action"], done.changes) == ("would_change", [])
        assert ensure(blocking, when_different="fail").well().value == made
        missing = ensure(blocking, connector_name="other", when_different="fail")
        assert "other in the group sim_group does not exist" in str(missing.error)

    def test_what_can_only_be_chosen_at_first_is_refused(self, blocking):
        ads = {"service": "google_ads", "secrets": {}, "setup_tests": "never"}
        ensure(blocking, **ads, config={"timeframe_months": "SIX"}).well()
        done = ensure(blocking, **ads, config={"timeframe_months": "TWELVE", "customer_id": "2"})
        assert isinstance(done.cause, FivetranNotAsDescribed)
        assert "cannot be changed once it is created" in str(done.error)
        assert "config.timeframe_months: 'SIX' -> 'TWELVE'" in str(done.error)
        assert (done.record["action"], done.changes) == ("refused", [])
        other = ensure(blocking, service="stripe", config={}, secrets={})
        assert "service: 'google_ads' -> 'stripe'" in str(other.error)

    def test_what_fivetran_shows_otherwise_after_the_change_too_is_an_error(self, blocking, made):
        blocking.sim.switches.flexible_schedules = "ignored"
        done = ensure(blocking, schedule={"cron": "0 6 * * 1-5"})
        assert isinstance(done.cause, FivetranNotAsDescribed)
        assert "was changed, but Fivetran still shows schedule: 'every 360 min' -> 'cron 0 6 * * 1-5'" in str(
            done.error
        )

    def test_names_that_two_connections_have_are_an_error(self, blocking, made):
        blocking.sim.add_connection("twin", schema="shop")
        assert isinstance(ensure(blocking).cause, FivetranLookupError)

    def test_a_change_for_which_fivetran_cannot_stop_the_sync_is_asked_for_again(self, blocking, made, said):
        blocking.sim.switches.stop_fails = True
        blocking.sim.set_plan(made, SyncPlan(duration=1))
        blocking.sim.unpause(made)
        run = blocking.sim.start_sync(made)
        done = ensure(blocking, config={"host": "new.example"}).well()
        assert "Failed to stop in-progress sync after trying for 60 seconds" in said()
        assert (run.status, done.record["action"]) == ("COMPLETED", "changed")

    def test_a_borrowed_text_that_fivetran_shows_is_compared_and_not_shown(
        self, blocking, made, source, said
    ):
        source(login="somebody else")
        done = ensure(blocking).well()
        assert done.record["differences"] == [{"field": "config.user", "now": "***", "wanted": "***"}]
        assert truth(blocking).config["user"] == "somebody else"
        assert "somebody else" not in said()


CHANGED = {**POSTGRES["config"], "host": "new.example"}


class TestBrokenOffBeforeItsSetupTests:
    @pytest.fixture
    def made(self, blocking):
        return ensure(blocking).well().value

    @pytest.fixture
    def store(self, tmp_path):
        return TaskStateStore(tmp_path / "store")

    @pytest.fixture
    def died(self, blocking, made, store, monkeypatch):
        """A worker dies between the change and its setup tests."""

        class DiedError(BaseException):
            pass

        def die(*_args, **_kwargs):
            raise DiedError

        with monkeypatch.context() as patch:
            patch.setattr(ensuring, "run_setup_tests", die)
            with pytest.raises(DiedError):
                ensure(blocking, config=CHANGED, store=store)
        assert truth(blocking).config["host"] == "new.example"

    @staticmethod
    def _tests_of(done):
        return [path for _, path in done.changes if path.endswith("/test")]

    @pytest.mark.usefixtures("died")
    def test_the_next_try_runs_them_and_no_later_one(self, blocking, store):
        retry = ensure(blocking, config=CHANGED, store=store).well()
        assert (retry.record["action"], len(self._tests_of(retry))) == ("renewed", 1)
        assert self._tests_of(ensure(blocking, config=CHANGED, store=store).well()) == []

    @pytest.mark.usefixtures("died")
    def test_what_they_find_is_an_error_and_the_try_after_that_runs_them_too(self, blocking, store):
        blocking.sim.switches.setup_tests_need_trust = True
        for _ in range(2):
            retry = ensure(blocking, config=CHANGED, store=store)
            assert isinstance(retry.error, FivetranSetupTestFailed)
            assert len(self._tests_of(retry)) == 1

    @pytest.mark.usefixtures("died")
    def test_of_another_connection_they_are_not_run(self, blocking, store):
        other = {"connector_name": "other", "config": CHANGED}
        ensure(blocking, **other).well()
        assert self._tests_of(ensure(blocking, **other, store=store).well()) == []

    @pytest.mark.usefixtures("made")
    def test_nothing_is_noted_where_none_are_wanted(self, blocking, store):
        ensure(blocking, config=CHANGED, setup_tests="never", store=store).well()
        assert store.get("fivetran_errand") is None

    @pytest.mark.usefixtures("died")
    def test_a_note_that_cannot_be_read_stops_nothing(self, blocking, store):
        store.set("fivetran_errand", {"try_number": 1, "limits": [], "memo": {"other": 1}})
        ensure(blocking, config=CHANGED, store=store).well()


class TestPaused:
    @pytest.mark.parametrize("paused", [None, False])
    def test_one_that_runs_already_goes_on_when_its_setup_tests_fail(self, blocking, paused):
        ensure(blocking, paused=False).well()
        blocking.sim.switches.setup_tests_need_trust = True
        failed = ensure(blocking, config=CHANGED, paused=paused)
        assert isinstance(failed.error, FivetranSetupTestFailed)
        assert (truth(blocking).config["host"], truth(blocking).paused) == ("new.example", False)


class TestSchedules:
    ALL = (
        pytest.param("manual", {"schedule_type": "MANUAL"}, id="manual"),
        pytest.param({"interval": 30}, {"schedule_type": "INTERVAL", "interval": 30}, id="an interval"),
        pytest.param({"cron": "0 6 * * 1-5"}, {"schedule_type": "CRON", "cron": "0 6 * * 1-5"}, id="cron"),
        pytest.param(
            {"time_of_day": "06:30", "days_of_week": ["friday", "MONDAY"]},
            {"schedule_type": "TIME_OF_DAY", "time_of_day": "06:30", "days_of_week": ["MONDAY", "FRIDAY"]},
            id="a time on some days",
        ),
    )

    @pytest.mark.parametrize(("schedule", "shown"), ALL)
    @pytest.mark.parametrize(
        "before", ["manual", {"interval": 720}, {"cron": "5 5 * * *"}, {"time_of_day": "07:00"}]
    )
    def test_each_takes_the_place_of_each(self, blocking, before, schedule, shown):
        from airflow_provider_fivetran.simulator.schedules import shape_schedule

        ensure(blocking, schedule=before).well()
        ensure(blocking, schedule=schedule).well()
        assert shape_schedule(truth(blocking)) == shown
        again = ensure(blocking, schedule=schedule, send_secrets="when_needed").well()
        assert (again.record["action"], again.changes) == ("unchanged", [])

    def test_a_time_each_day_is_said_with_what_every_account_has(self, blocking):
        blocking.sim.switches.flexible_schedules = "ignored"
        ensure(blocking, schedule={"time_of_day": "06:00"}).well()
        assert (truth(blocking).sync_frequency, truth(blocking).daily_sync_time) == (1440, "06:00")

    def test_the_hook_sets_one(self, blocking):
        connection_id = ensure(blocking).well().value
        with FivetranHook(blocking.conn_id) as hook:
            assert str(hook.set_schedule(connection_id, {"interval": 5}).schedule) == "every 5 min"
            assert str(hook.set_schedule(connection_id, "manual").schedule) == "manual"

    @pytest.mark.parametrize(("schedule", "shown"), [*ALL[:2], *ALL[3:]])
    def test_the_hook_ends_a_flexible_one(self, blocking, schedule, shown):
        from airflow_provider_fivetran.simulator.schedules import shape_schedule

        connection_id = ensure(blocking, schedule={"cron": "5 5 * * *"}).well().value
        with FivetranHook(blocking.conn_id) as hook:
            hook.set_schedule(connection_id, schedule)
        assert shape_schedule(truth(blocking)) == shown

    def test_the_hook_tells_one_that_fivetran_passes_over(self, blocking):
        connection_id = ensure(blocking).well().value
        blocking.sim.switches.flexible_schedules = "ignored"
        with FivetranHook(blocking.conn_id) as hook, pytest.raises(FivetranNotAsDescribed, match="cron 0 6"):
            hook.set_schedule(connection_id, {"cron": "0 6 * * *"})


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            pytest.param(
                {"service": "postgress"},
                "service is 'postgress', but Fivetran has no such type of connections (did you mean 'postgres'?)",
                id="an unknown type",
            ),
            pytest.param(
                {"config": {"hots": "db"}},
                "config.hots does not exist (did you mean 'host'?)",
                id="an unknown field",
            ),
            pytest.param(
                {"config": {"update_method": "XMIN"}},
                "config.update_method is 'XMIN'; allowed are 'QUERY_BASED', 'WAL_PGOUTPUT', 'TELEPORT'",
                id="a wrong choice",
            ),
            pytest.param(
                {"config": {"port": "many"}},
                "config.port is 'many'; allowed is a whole number",
                id="a wrong type",
            ),
            pytest.param(
                {"config": {"password": "pA55"}, "secrets": {}},
                "config.password is a secret: name the Airflow connection that holds it in secrets instead",
                id="a secret that everybody could read",
            ),
            pytest.param(
                {
                    "service": "google_ads",
                    "config": {},
                    "secrets": {},
                    "auth": {"client_access": {"client_secret": "pA55"}},
                },
                "auth.client_access.client_secret is a secret",
                id="a secret in the auth section",
            ),
            pytest.param(
                {"config": {"schema_prefix": "other"}},
                "its config names it 'other', and not 'shop'",
                id="two names",
            ),
            pytest.param(
                {"service": "google_sheets", "config": {}, "secrets": {}},
                "config.table is required",
                id="a missing field",
            ),
        ],
    )
    def test_it_is_told_before_anything_is_sent(self, blocking, said, arguments, text):
        done = ensure(blocking, **arguments)
        assert isinstance(done.cause, FivetranWrongDescription)
        assert text in str(done.error)
        assert "pA55" not in str(done.error) + said()
        assert done.changes == []

    def test_all_mistakes_are_told_at_once(self, blocking):
        done = ensure(blocking, config={"hots": "db", "port": "many", "always_encrypted": "perhaps"})
        for name in ("config.hots", "config.port", "config.always_encrypted"):
            assert name in str(done.error)

    def test_what_templates_made_of_numbers_is_put_into_its_type(self, blocking):
        ensure(blocking, config={"port": "5432", "always_encrypted": "True"}).well()
        assert (truth(blocking).config["port"], truth(blocking).config["always_encrypted"]) == (5432, True)

    def test_without_its_metadata_fivetran_judges(self, blocking, said):
        blocking.sim.faults.add(Fault(kind="status", status=403, path="/connector-types/"))
        refused = ensure(blocking, config={"schema_prefix": "shop", "update_method": "XMIN"})
        assert isinstance(refused.cause, FivetranApiError)
        assert "config.update_method" in str(refused.error)
        assert "the fields of the type 'postgres' are not checked" in said()
        unchecked = ensure(
            blocking, config={"schema_prefix": "shop", "newer": 1}, check_metadata=False
        ).well()
        assert not [r for r in unchecked.requests if "metadata" in r.path]
        assert truth(blocking).config["newer"] == 1

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"connector_name": " "}, "connector_name is ' '"),
            ({"group_id": None}, "give either group_id or destination_name"),
            ({"destination_name": "W"}, "give either group_id or destination_name"),
            ({"service": None}, "service is None"),
            ({"config": ["host"]}, "config is a list"),
            ({"secrets": {"password": ("a", "password")}}, "a field in secrets is 'password'"),
            ({"secrets": {"config.password": "pA55"}}, "secrets['config.password'] is not the id"),
            (
                {"secrets": {"config.password": ("a", "pA55")}},
                "names an attribute that an Airflow connection has not",
            ),
            ({"settings": {"colour": "red"}}, "a name in settings is 'colour'"),
            ({"settings": {"networking_method": "Tunnel"}}, "settings['networking_method'] is 'Tunnel'"),
            ({"settings": {"data_delay_threshold": "5"}}, "settings['data_delay_threshold'] is '5'"),
            ({"schedule": "hourly"}, "schedule is 'hourly'; allowed are 'manual', {'interval': minutes}"),
            ({"schedule": {"interval": 7}}, "the interval of schedule is 7; allowed are 1, 5, 15"),
            ({"schedule": {"cron": "daily"}}, "the cron of schedule is 'daily'"),
            ({"schedule": {"time_of_day": "6"}}, "the time_of_day of schedule is '6'"),
            (
                {"schedule": {"time_of_day": "06:00", "days_of_week": ["X"]}},
                "the days_of_week of schedule are ['X']",
            ),
            ({"schedule": {"interval": 5, "cron": "* * * * *"}}, "'cron' is not allowed beside 'interval'"),
            ({"paused": "yes"}, "paused is 'yes'"),
            ({"connect_card": {}}, "the redirect_uri of connect_card is None"),
            ({"connect_card": {"redirect_uri": "ftp://x"}}, "the redirect_uri of connect_card is 'ftp://x'"),
            ({"connect_card": {"redirect_uri": "https://x", "size": 1}}, "a name in connect_card is 'size'"),
            ({"state": "gone"}, "state is 'gone'; allowed are 'present', 'absent'"),
            ({"state": "absent"}, "confirm is None; allowed is connector_name once more, 'shop'"),
            ({"confirm": "shop"}, "confirm is 'shop'; allowed is nothing"),
            (
                {"when_different": "ignore"},
                "when_different is 'ignore'; allowed are 'change', 'show', 'fail'",
            ),
            ({"send_secrets": "never"}, "send_secrets is 'never'"),
            ({"setup_tests": True}, "setup_tests is True"),
            ({"trust_certificates": "yes"}, "trust_certificates is 'yes'"),
        ],
    )
    def test_a_wrong_argument_is_told_when_the_dag_is_parsed(self, arguments, text):
        given = {"task_id": "t", "connector_name": "shop", "group_id": GROUP, **POSTGRES}
        with pytest.raises(ValueError, match=re.escape(text)) as raised:
            FivetranConnectionOperator(**given | arguments)
        assert "pA55" not in str(raised.value)

    @pytest.mark.parametrize("native", [False, True])
    @pytest.mark.parametrize("found", [None, ""])
    @pytest.mark.parametrize(
        ("given", "where"),
        [
            ({"connector_name": "{{ wanted }}"}, "connector_name"),
            ({"group_id": "{{ wanted }}"}, "group_id"),
            ({"config": {**POSTGRES["config"], "host": "{{ wanted }}"}}, "config.host"),
            ({"config": {**POSTGRES["config"], "hosts": ["a", "{{ wanted }}"]}}, "config.hosts.1"),
            ({"secrets": {"config.password": ("{{ wanted }}", "password")}}, "secrets.config.password.0"),
            ({"settings": {"data_delay_sensitivity": "{{ wanted }}"}}, "settings.data_delay_sensitivity"),
        ],
    )
    def test_a_template_that_finds_nothing_makes_nothing(self, blocking, given, where, found, native):
        with DAG("d", schedule=None, render_template_as_native_obj=native) as dag:
            task = FivetranConnectionOperator(
                task_id="task",
                fivetran_conn_id=blocking.conn_id,
                **{"connector_name": "shop", "group_id": GROUP, **POSTGRES} | given,
            )
        task.render_template_fields({"wanted": found}, dag.get_template_env())
        with pytest.raises(
            AirflowFailException, match=f"{re.escape(where)} is .*: did its template"
        ) as failed:
            execute(task, {"ti": TaskInstance()})
        assert isinstance(failed.value.__cause__, FivetranArgumentMissing)
        assert not blocking.heard

    @pytest.mark.parametrize(
        ("found", "kind", "text"),
        [
            ({"host": None, "port": 5432}, AirflowFailException, "config.host is None: did its template"),
            ({"host": "db", "hosts": ["a", ""]}, AirflowFailException, "config.hosts.1 is ''"),
            (None, AirflowFailException, "config is None: did its template"),
            ([], ValueError, "config is a list; allowed is a dictionary of fields"),
        ],
    )
    def test_nor_does_another_task_that_returns_nothing(self, blocking, found, kind, text):
        with DAG("d", schedule=None) as dag:
            config = FivetranFreshnessOperator(task_id="upstream", group_id="g", fresh_within=60).output
            task = FivetranConnectionOperator(
                task_id="task",
                fivetran_conn_id=blocking.conn_id,
                **{"connector_name": "shop", "group_id": GROUP, **POSTGRES} | {"config": config},
            )
        assert dag.task_ids
        task.config = found  # as Airflow leaves it there
        with pytest.raises(kind, match=re.escape(text)):
            execute(task, {"ti": TaskInstance()})
        assert not blocking.heard

    @pytest.mark.parametrize(
        ("attribute", "text"),
        [
            (
                "schema",
                "the Airflow connection 'source' has no text as its 'schema', which is to be config.password",
            ),
            ("extra.nothing", "the Airflow connection 'source' has no text as its 'extra.nothing'"),
        ],
    )
    def test_a_secret_that_is_not_there_is_told(self, blocking, attribute, text):
        done = ensure(blocking, secrets={"config.password": ("source", attribute)})
        assert isinstance(done.error, ValueError)
        assert text in str(done.error)
        assert done.changes == []


class TestDeleting:
    def test_it_is_deleted_once_and_stays_away(self, blocking):
        made = ensure(blocking).well().value
        done = ensure(blocking, state="absent", confirm="shop", service=None).well()
        assert (done.value, done.record["action"], done.changes) == (
            None,
            "deleted",
            [("DELETE", f"/{made}")],
        )
        assert blocking.sim.account.connections == {}
        again = ensure(blocking, state="absent", confirm="shop", service=None).well()
        assert (again.record["action"], again.changes) == ("absent", [])

    def test_an_answer_that_is_lost_does_not_fail_it(self, blocking):
        ensure(blocking).well()
        blocking.sim.faults.add(Fault(kind="lost", method="DELETE"))
        assert ensure(blocking, state="absent", confirm="shop").well().record["action"] == "deleted"

    def test_the_hook_deletes_by_id(self, blocking):
        made = ensure(blocking).well().value
        with FivetranHook(blocking.conn_id) as hook:
            hook.delete_connection(made)
            hook.delete_connection(made)
        assert blocking.sim.account.connections == {}

    def test_a_template_that_finds_another_name_deletes_nothing(self, blocking):
        ensure(blocking).well()
        task = FivetranConnectionOperator(
            task_id="t",
            connector_name="shop",
            confirm="shop",
            group_id=GROUP,
            state="absent",
            fivetran_conn_id=blocking.conn_id,
        )
        task.confirm = "None"
        with pytest.raises(ValueError, match="confirm is 'None'"):
            execute(task, {"ti": TaskInstance()})
        assert len(blocking.sim.account.connections) == 1


class TestAuthorising:
    @pytest.mark.parametrize("way", WAYS)
    def test_it_is_authorised_in_every_way_and_no_secret_is_seen(self, blocking, said, way):
        arguments, kept = WAYS[way]
        given = {"connector_name": "shop", "group_id": GROUP, "paused": False, **arguments}
        done = Done(blocking, FivetranConnectionOperator, **given).well()
        for section, fields in kept.items():
            assert getattr(truth(blocking), section).items() >= fields.items()
        if way == "a connect card":
            assert (truth(blocking).setup_state, truth(blocking).paused) == ("incomplete", True)
            assert "shop stays paused until somebody has authorised it" in said()
            assert json.loads(done.ti.pushed["fivetran_connect_card"]).startswith(
                "https://fivetran.com/connect-card/"
            )
            assert f"card-{done.value}" not in said()
        else:
            assert (truth(blocking).setup_state, truth(blocking).paused) == ("connected", False)
            assert "fivetran_connect_card" not in done.ti.pushed  # nobody has to
        again = Done(blocking, FivetranConnectionOperator, **given).well()
        assert again.value == done.value
        seen = said() + repr(vars(done.task)) + json.dumps([done.ti.pushed, again.ti.pushed])
        assert "shop" in seen
        for needle in NEEDLES.values():
            assert needle not in seen
            assert json.dumps(needle)[1:-1] not in seen

    def test_a_refusal_that_repeats_the_secret_does_not_show_it(self, blocking, said):
        secrets = {"config.update_method": ("source", "password")}
        done = ensure(blocking, config={"schema_prefix": "shop"}, secrets=secrets, check_metadata=False)
        assert isinstance(done.cause, FivetranApiError)
        assert "Field 'config.update_method' is '***'" in str(done.error)
        shown = "".join(traceback.format_exception(done.error))
        assert NEEDLES["password"] not in shown + said()

    def test_a_secret_of_the_wrong_type_is_not_shown(self, blocking, said):
        done = ensure(blocking, secrets={"config.port": ("source", "password")})
        assert "config.port is '***'; allowed is a whole number" in str(done.error)
        assert NEEDLES["password"] not in str(done.error) + said()

    def test_a_number_in_an_extra_is_as_secret_as_a_text(self, blocking, source, said):
        source(extra={"pin": 90817263})
        github = {"service": "github", "config": {}, "setup_tests": "never"}
        for field in ("pat", "username"):
            done = ensure(blocking, **github, secrets={f"config.{field}": ("source", "extra.pin")}).well()
            assert "90817263" not in said() + json.dumps(done.ti.pushed)
        assert truth(blocking).config["username"] == "90817263"

    def test_somebody_authorises_it_by_the_card_and_then_it_is_let_go(self, blocking, said):
        card = {"connect_card": {"redirect_uri": "https://airflow.example/done", "hide_setup_guide": True}}
        arguments = {
            "service": "salesforce",
            "config": {},
            "secrets": {},
            "setup_tests": "when_needed",
            **card,
        }
        made = ensure(blocking, **arguments).well().value
        blocking.sim.authorize(made)
        done = ensure(blocking, **arguments, paused=False).well()
        assert json.loads(done.ti.pushed["fivetran_connect_card"]) is None
        assert (done.record["setup_state"], truth(blocking).paused) == ("connected", False)

    def test_a_dry_run_makes_no_card(self, blocking):
        blocking.sim.add_connection("c", schema="shop", service="salesforce", setup_state="incomplete")
        card = {"redirect_uri": "https://airflow.example/done"}
        done = ensure(
            blocking, service="salesforce", config={}, secrets={}, connect_card=card, when_different="show"
        )
        assert done.well().changes == []


class TestHook:
    def test_types_are_listed_and_shown_with_their_fields(self, blocking):
        with FivetranHook(blocking.conn_id) as hook:
            assert {"postgres", "google_ads"} <= {kind.id for kind in hook.list_connector_types()}
            kind = hook.get_connector_type("postgres")
        assert kind.config.fields["password"].is_secret
        assert kind.config.required == ("schema_prefix",)
        assert kind.config.fields["update_method"].choices[0] == "QUERY_BASED"

    def test_a_change_takes_its_secrets_from_airflow_connections(self, blocking):
        made = ensure(blocking).well().value
        with FivetranHook(blocking.conn_id) as hook:
            secrets = {"config.password": ("source", "extra.token")}
            setup = hook.change_connection(
                made, config={"host": "new.example"}, secrets=secrets, paused=False
            )
            assert setup.config["host"] == "new.example"
            assert NEEDLES["token"] not in repr(setup)
            with pytest.raises(ValueError, match="nothing is to be changed"):
                hook.change_connection(made)
        assert (truth(blocking).config["password"], truth(blocking).paused) == (NEEDLES["token"], False)

    def test_a_change_runs_setup_tests_only_if_that_is_asked_for(self, blocking):
        made = ensure(blocking, setup_tests="never").well().value
        blocking.sim.switches.setup_tests_need_trust = True
        with FivetranHook(blocking.conn_id) as hook:
            silent = hook.change_connection(made, config={"host": "a.example"})
            tested = hook.change_connection(made, config={"host": "b.example"}, run_setup_tests=True)
            trusting = hook.change_connection(
                made, config={"host": "c.example"}, run_setup_tests=True, trust_certificates=True
            )
        asked = [request.body for request in blocking.heard if request.method == CHANGE]
        assert [body["run_setup_tests"] for body in asked] == [False, True, True]
        assert [body.get("trust_certificates") for body in asked] == [None, None, True]
        assert silent.connection.setup_tests == ()
        assert [test.has_failed for test in tested.connection.setup_tests] == [False, True]
        assert not any(test.has_failed for test in trusting.connection.setup_tests)

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"run_setup_tests": "yes", "paused": True}, "run_setup_tests is 'yes'"),
            ({"run_setup_tests": True}, "nothing is to be changed"),
            ({"config": None}, "config is a NoneType; allowed is a dictionary"),
            ({"auth": ["token"]}, "auth is a list; allowed is a dictionary"),
            ({"trust_certificates": True, "paused": True}, "trust_certificates is True, but run_setup_tests"),
        ],
    )
    def test_a_change_that_cannot_be_is_refused_before_it_is_sent(self, blocking, arguments, text):
        with FivetranHook(blocking.conn_id) as hook, pytest.raises(ValueError, match=text):
            hook.change_connection("c", **arguments)
        assert not blocking.heard

    @pytest.mark.parametrize("card", [{}, {"token": "t"}, {"token": "t", "uri": ""}])
    def test_a_card_without_a_link_is_an_error_and_no_empty_link(self, card):
        with pytest.raises(FivetranUnexpectedAnswer, match="'uri'"):
            ConnectCard.from_json({"connector_id": "c", "connect_card": card})

    def test_a_card_does_not_show_itself(self, blocking):
        blocking.sim.add_connection("c")
        with FivetranHook(blocking.conn_id) as hook:
            card = hook.create_connect_card("c", {"redirect_uri": "https://airflow.example"})
        assert card.token in card.uri
        assert card.token not in repr(card)
