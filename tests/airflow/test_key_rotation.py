"""Two system keys are rotated one after the other, and at every moment one of them works."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import os
import threading
import traceback

import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_fivetran.exceptions import (
    FivetranError,
    FivetranForbidden,
    FivetranKeyNotStored,
    FivetranKeyNotUsable,
    FivetranUnauthorized,
    FivetranUnreachable,
)
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.key_rotation import KeyRotation
from airflow_provider_fivetran.key_stores import AirflowConnections
from airflow_provider_fivetran.operators import FivetranRotateKeyOperator
from airflow_provider_fivetran.simulator import Fault, SyncPlan
from stories import CONNECTION, ID, IS_AIRFLOW_2, TaskInstance, eventually, execute

SYNCS = [{"resource_type": "CONNECTOR", "access_level": "MANAGE"}]
USERS = {"resource_type": "USER", "access_level": "MANAGE"}
OLD = {"main": "needle-old-main", "spare": "needle-old-spare"}


class DeathError(BaseException):
    """The worker is gone: nothing that catches errors gets to see this."""


class MortalAdmin(FivetranHook):
    """The administrator's hook in a process that can die before or after a request."""

    dies = ""

    def rotate_system_key(self, key_id, **how):
        self._live(f"before rotating {key_id}")
        rotated = super().rotate_system_key(key_id, **how)
        self._live(f"after rotating {key_id}")
        return rotated

    def create_system_key(self, name, **how):
        made = super().create_system_key(name, **how)
        self._live("after making")
        return made

    def _live(self, moment):
        if moment == self.dies:
            raise DeathError(moment)


class Pair:
    """Two Airflow connections in the environment, a store that writes them, and what they were given."""

    def __init__(self, way, monkeypatch):
        self.sim = way.sim
        self.main, self.spare, self.admin = way.conn_id, f"{way.conn_id}_spare", f"{way.conn_id}_admin"
        self.given = []
        self.dies = ""
        self._monkeypatch = monkeypatch
        for name, conn_id in (("main", self.main), ("spare", self.spare)):
            self.sim.add_system_key(
                f"loader_{name}", id=name, key=f"ft_{name}", secret=OLD[name], permissions=SYNCS
            )
            self.declare(conn_id, f"ft_{name}", OLD[name])
        self.declare(self.admin, "sim-key", "sim-secret")

    def declare(self, conn_id, login, password, **fields):
        more = {"extra": {"fallback_conn_id": self.spare}} if conn_id == self.main else {}
        about = {"conn_type": "fivetran", "login": login, "password": password, "host": self.sim.url}
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(about | more | fields))

    def store(self, conn_id, login, password):
        if self.dies == f"before storing in {conn_id}":
            raise DeathError(self.dies)
        self.given.append((conn_id, str(password)))
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        known = json.loads(os.environ[variable])
        os.environ[variable] = json.dumps(known | {"login": login, "password": str(password)})
        if self.dies == f"after storing in {conn_id}":
            raise DeathError(self.dies)

    def rotation(self, store=None, *, dies="", **how):
        admin = MortalAdmin(self.admin, fivetran_retry_delay=0.01)
        admin.dies = dies
        how = {"settling": 0, "sleep": lambda _: None} | how
        return KeyRotation(self.main, admin, store or self.store, **how)

    def rotate(self, *args, **how):
        return self.rotation(*args, **how).rotate()

    def works(self, conn_id):
        """Whether the connection's own key is accepted."""
        try:
            FivetranHook(conn_id).own_account()
        except FivetranUnauthorized:
            return False
        return True

    @property
    def living(self):
        return {name for name in ("main", "spare") if self.works(getattr(self, name))}

    def a_task_works(self):
        """Whether what every task does works: the key of the connection, or its fallback."""
        with FivetranHook(self.main) as hook:
            return hook.get_account().system_key_id in {"main", "spare"}

    @property
    def rotations(self):
        return [request.path.split("/")[-2] for request in self.sim.requests if "rotate" in request.path]


@pytest.fixture
def pair(blocking, monkeypatch):
    return Pair(blocking, monkeypatch)


@pytest.fixture
def said(caplog, capsys):
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text + "".join(capsys.readouterr())


def test_both_get_new_secrets_the_spare_one_first(pair):
    result = pair.rotate(expiration_period="SIX_MONTHS")
    assert [row["conn_id"] for row in result] == [pair.spare, pair.main]
    assert [row["system_key_id"] for row in result] == pair.rotations == ["spare", "main"]
    assert [row["name"] for row in result] == ["loader_spare", "loader_main"]
    assert all(row["expires_at"] for row in result)
    assert len(pair.sim.requests) == 12
    assert pair.living == {"main", "spare"}
    assert {conn_id for conn_id, _ in pair.given} == {pair.main, pair.spare}
    assert not set(OLD.values()) & {secret for _, secret in pair.given}


def test_before_each_rotation_the_other_key_is_seen_to_work(pair):
    pair.rotate()
    asked = [(request.key, request.path, request.status) for request in pair.sim.requests]
    for key, other in (("spare", "ft_main"), ("main", "ft_spare")):
        at = asked.index(("sim-key", f"/v1/system-keys/{key}/rotate", 200))
        assert asked[at - 1] == (other, "/v1/account/info", 200)
        assert asked[at + 1] == (f"ft_{key}", "/v1/account/info", 200)


MOMENTS = {
    "before rotating spare": {"main", "spare"},
    "after rotating spare": {"main"},
    "before storing in {spare}": {"main"},
    "after storing in {spare}": {"main", "spare"},
    "before rotating main": {"main", "spare"},
    "after rotating main": {"spare"},
    "before storing in {main}": {"spare"},
    "after storing in {main}": {"main", "spare"},
}


@pytest.mark.parametrize(("moment", "left"), MOMENTS.items())
def test_a_worker_that_dies_leaves_a_key_that_works_and_the_next_try_mends_the_other(pair, moment, left):
    moment = moment.format(main=pair.main, spare=pair.spare)
    pair.dies = moment
    with pytest.raises(DeathError):
        pair.rotate(dies=moment)
    assert pair.living == left
    assert pair.a_task_works()
    pair.dies = ""
    before = len(pair.rotations)
    pair.rotate()
    dead_first = ["main", "spare"] if left == {"spare"} else ["spare", "main"]
    assert pair.rotations[before:] == dead_first
    assert pair.living == {"main", "spare"}
    assert not set(OLD.values()) & {secret for _, secret in pair.given}


def test_the_other_key_is_not_touched_where_storing_fails(pair):
    def store(conn_id, login, password):
        raise OSError(f"no room for {password}")

    with pytest.raises(
        FivetranKeyNotStored, match=r"could not be stored \(OSError: no room for \*\*\*\)"
    ) as failed:
        pair.rotate(store)
    assert f"that of '{pair.main}' works" in str(failed.value)
    assert pair.rotations == ["spare"]
    assert pair.living == {"main"}
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None
    shown = "".join(traceback.format_exception(failed.value))
    assert pair.sim.system_keys.get("spare").secret not in shown


def test_storing_that_fails_once_is_tried_again_with_the_same_secret(pair):
    tries = []

    def store(conn_id, login, password):
        tries.append((conn_id, str(password)))
        if len(tries) == 1:
            raise OSError("not now")
        pair.store(conn_id, login, password)

    pair.rotate(store)
    assert tries[0] == tries[1]
    assert pair.living == {"main", "spare"}


def test_the_other_key_is_not_touched_where_airflow_hands_out_the_old_secret(pair):
    with pytest.raises(
        FivetranKeyNotStored, match=r"does not work: .*401.*Is the connection defined elsewhere too\?"
    ):
        pair.rotate(lambda *_: None)
    assert pair.rotations == ["spare"]
    assert pair.living == {"main"}


def test_what_is_stored_may_take_a_while_to_be_handed_out(pair):
    pending = []

    def sleep(seconds):
        pair.store(*pending.pop())

    def sleep_after(seconds):
        return sleep(seconds) if pending else None

    pair.rotate(lambda *given: pending.append(given), settling=30, sleep=sleep_after)
    assert pair.living == {"main", "spare"}


def test_what_other_processes_are_handed_from_a_cache_has_time_to_change(pair):
    """Another process sees what was stored when the cache runs out, which this one has never asked."""
    cached = dict(OLD)
    said = []

    def works(name):
        credentials = base64.b64encode(f"ft_{name}:{cached[name]}".encode()).decode()
        answer = requests.get(
            f"{pair.sim.url}/v1/account/info", headers={"Authorization": f"Basic {credentials}"}, timeout=10
        )
        return answer.status_code == 200

    def store(conn_id, login, password):
        pair.store(conn_id, login, password)
        said.append({name for name in cached if works(name)})

    def sleep(seconds):
        assert seconds == 900
        cached.update((name, pair.sim.system_keys.get(name).secret) for name in cached)

    pair.rotate(store, settling=900, sleep=sleep)
    assert said == [{"main"}, {"spare"}]


def test_an_airflow_that_hands_out_nothing_for_a_while_is_asked_again(pair):
    hidden = {}

    def store(*given):
        pair.store(*given)
        variable = f"AIRFLOW_CONN_{given[0].upper()}"
        hidden[variable] = os.environ.pop(variable)

    def sleep(seconds):
        os.environ.update(hidden)
        hidden.clear()

    pair.rotate(store, settling=30, sleep=sleep)
    assert pair.living == {"main", "spare"}


def test_a_new_secret_that_may_nothing_yet_is_tried_again(pair):
    def store(*given):
        pair.store(*given)
        pair.sim.faults.add(Fault("status", path="/account/info$", status=403))

    pair.rotate(store, settling=30)
    assert pair.rotations == ["spare", "main"]
    with pytest.raises(FivetranKeyNotStored, match=f"403.*that of '{pair.main}' works"):
        pair.rotate(store)


def test_a_first_key_that_dies_meanwhile_saves_the_second(pair):
    def store(conn_id, login, password):
        pair.store(conn_id, login, password)
        if conn_id == pair.spare:
            pair.store(pair.spare, "ft_spare", "somebody was quicker")

    with pytest.raises(FivetranKeyNotStored):
        pair.rotate(store)
    assert pair.rotations == ["spare"]
    assert pair.living == {"main"}


def test_a_main_key_that_is_revoked_between_look_and_rotation_saves_the_spare(pair):
    rotation = pair.rotation()
    pair.sim.requests.at("GET", "/v1/account/info", lambda: pair.sim.account.keys.pop("ft_main"), nth=3)
    with pytest.raises(
        FivetranKeyNotStored, match=rf"'{pair.spare}' was not rotated, for that of '{pair.main}'"
    ):
        rotation.rotate()
    assert pair.rotations == []
    assert pair.living == {"spare"}


def test_a_lost_answer_to_a_rotation_costs_one_more(pair):
    pair.sim.faults.add(Fault("lost", method="POST", path="/rotate$"))
    pair.rotate()
    assert pair.rotations == ["spare", "spare", "main"]
    assert pair.living == {"main", "spare"}


@pytest.mark.parametrize("status", [403, 404, 500])
@pytest.mark.parametrize(("name", "other"), [("spare", "main"), ("main", "spare")])
def test_a_refusal_after_a_lost_answer_says_which_key_is_dead_and_the_next_try_mends_it(
    pair, name, other, status
):
    path = f"/{name}/rotate$"
    pair.sim.faults.add(Fault("lost", method="POST", path=path))
    pair.sim.faults.add(Fault("status", method="POST", path=path, status=status, times=2))
    with pytest.raises(
        FivetranKeyNotStored,
        match=rf"{name} of Airflow .* was to be rotated \(.*{status}.*\), and does not work now \(.*401.*an answer "
        rf"with a new secret may have been lost\. .* dead until .*; that of '{getattr(pair, other)}' works",
    ) as failed:
        pair.rotate()
    assert not failed.value.permanent
    assert pair.living == {other}
    assert pair.a_task_works()
    pair.sim.faults.clear()
    pair.rotate()
    assert pair.living == {"main", "spare"}


def test_a_refusal_that_lost_nothing_is_told_as_it_is(pair):
    pair.sim.faults.add(Fault("status", method="POST", path="/rotate$", status=403))
    with pytest.raises(FivetranForbidden):
        pair.rotate()
    assert pair.rotations == ["spare"]
    assert pair.living == {"main", "spare"}


def test_a_fivetran_that_is_gone_after_a_rotation_is_told_with_what_is_left(pair):
    def store(*given):
        pair.store(*given)
        pair.sim.faults.add(Fault("reset", path="/account/info$", times=3))

    with pytest.raises(FivetranKeyNotStored, match=f"that of '{pair.main}' works"):
        pair.rotate(store)
    assert pair.rotations == ["spare"]


def test_a_fivetran_that_is_gone_leaves_everything_as_it_was(pair):
    pair.sim.faults.add(Fault("reset", method="POST", times=5))
    with pytest.raises(FivetranUnreachable):
        pair.rotate()
    assert pair.living == {"main", "spare"}
    assert pair.given == []


def test_keys_that_have_both_expired_are_mended(pair):
    pair.declare(pair.main, "ft_main", "expired")
    pair.declare(pair.spare, "ft_spare", "expired")
    assert pair.living == set()
    pair.rotate()
    assert pair.living == {"main", "spare"}


def test_a_spare_key_may_do_more(pair):
    pair.sim.system_keys.change("spare", name=None, permissions=[*SYNCS, USERS])
    pair.rotate()
    assert pair.living == {"main", "spare"}


def test_a_dead_first_key_is_mended_though_the_spare_one_may_do_less(pair):
    pair.sim.system_keys.change("spare", name=None, permissions=[USERS])
    pair.declare(pair.main, "ft_main", "expired")
    pair.rotate()
    assert pair.rotations == ["main", "spare"]
    assert pair.living == {"main", "spare"}


@pytest.mark.parametrize("nothing", ["", None])
def test_a_spare_connection_without_a_key_gets_one_with_the_rights_of_the_first(pair, nothing):
    pair.sim.system_keys.remove("spare")
    pair.declare(pair.spare, nothing, nothing)
    result = pair.rotate()
    made = next(row for row in pair.sim.system_keys.all() if row.id != "main")
    assert (made.name, made.permissions) == ("loader_main_spare", SYNCS)
    assert [row["system_key_id"] for row in result] == [made.id, "main"]
    assert pair.living == {"main", "spare"}


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_key_that_was_made_before_a_death_is_to_be_deleted(pair, is_lost):
    pair.sim.system_keys.remove("spare")
    pair.declare(pair.spare, "", "")
    if is_lost:
        pair.sim.faults.add(Fault("lost", method="POST", path="/system-keys$"))
    with pytest.raises(FivetranUnreachable if is_lost else DeathError):
        pair.rotate(dies="after making")
    [left] = [row for row in pair.sim.system_keys.all() if row.id != "main"]
    secret = left.secret
    with pytest.raises(FivetranKeyNotUsable, match=r"If an earlier try of this task has made it.*delete it"):
        pair.rotate()
    assert left.secret == secret
    assert pair.works(pair.main)
    pair.sim.system_keys.remove(left.id)
    pair.rotate()
    assert [row.name for row in pair.sim.system_keys.all()] == ["loader_main", "loader_main_spare"]
    assert pair.living == {"main", "spare"}


@pytest.mark.parametrize("deletes", [True, False])
def test_a_key_that_was_made_and_cannot_be_stored_is_deleted_again(pair, deletes):
    pair.sim.system_keys.remove("spare")
    pair.declare(pair.spare, "", "")
    if not deletes:
        pair.sim.faults.add(Fault("status", status=500, method="DELETE", path="/system-keys/", times=10))
    with pytest.raises(FivetranKeyNotStored, match="not you") as failed:
        pair.rotate(_refusing)
    left = [row.id for row in pair.sim.system_keys.all() if row.id != "main"]
    assert len(left) == (0 if deletes else 1)
    assert ("was deleted again" in str(failed.value)) == deletes
    assert ("delete it before the next try" in str(failed.value)) == (not deletes)
    assert pair.works(pair.main)
    if deletes:
        pair.rotate()
        assert pair.living == {"main", "spare"}


def _refusing(*_given):
    raise PermissionError("not you")


@pytest.mark.parametrize("secret", ["", None, "wrong"])
@pytest.mark.parametrize("name", ["main", "spare"])
def test_a_key_without_its_secret_is_known_by_the_login(pair, name, secret):
    pair.declare(getattr(pair, name), f"ft_{name}", secret)
    pair.rotate()
    assert pair.rotations == (["main", "spare"] if name == "main" else ["spare", "main"])
    assert pair.living == {"main", "spare"}


def test_an_encoded_pair_in_the_password_is_understood(pair):
    pair.declare(pair.spare, "", "ZnRfc3BhcmU6bmVlZGxlLWRlYWQ=")  # ft_spare, and a secret that is dead
    pair.rotate()
    assert pair.rotations == ["spare", "main"]
    assert pair.living == {"main", "spare"}


class TestWhatIsNoPair:
    def refused(self, pair, words):
        before = [(row.key, row.secret) for row in pair.sim.system_keys.all()]
        with pytest.raises(FivetranKeyNotUsable, match=words):
            pair.rotate()
        assert [(row.key, row.secret) for row in pair.sim.system_keys.all()] == before
        assert pair.given == []

    def test_there_must_be_a_fallback(self, pair):
        pair.declare(pair.main, "ft_main", OLD["main"], extra={})
        self.refused(pair, "has no 'fallback_conn_id': without a second key")

    def test_the_fallback_must_exist(self, pair):
        pair.declare(pair.main, "ft_main", OLD["main"], extra={"fallback_conn_id": "nowhere"})
        # A busy Airflow says the same of one that exists: so this is for a retry.
        with pytest.raises(
            FivetranError, match=r"'nowhere' cannot be read .* If it does not exist, add it"
        ) as failed:
            pair.rotate()
        assert not failed.value.permanent
        assert pair.rotations == []

    def test_one_key_in_both_is_never_rotated(self, pair):
        pair.declare(pair.spare, "ft_main", OLD["main"])
        self.refused(pair, r"have the same system key \(main\)")

    def test_one_key_in_both_is_known_by_its_login_where_one_secret_is_dead(self, pair):
        pair.declare(pair.spare, "ft_main", "needle-dead")
        self.refused(pair, r"have the same system key \(main\)")

    @pytest.mark.parametrize("name", ["main", "spare"])
    def test_the_key_of_a_user_is_left_to_the_user(self, pair, name):
        pair.declare(getattr(pair, name), "sim-key", "sim-secret")
        self.refused(pair, "has the API key of a user")

    @pytest.mark.parametrize(
        "permissions",
        [
            [],
            [{"resource_type": "CONNECTOR", "access_level": "READ"}],
            [SYNCS[0] | {"resource_filter": {"group_ids": ["g"]}}],
            [SYNCS[0], SYNCS[0] | {"access_level": "NONE", "resource_filter": {"ids": ["c"]}}],
        ],
    )
    def test_a_spare_key_that_may_do_less_is_not_gone_on_with(self, pair, permissions):
        pair.sim.system_keys.change("spare", name=None, permissions=permissions)
        self.refused(
            pair, r"key spare of .* may do less than main, that of .*, with CONNECTOR: tasks that go on"
        )

    @pytest.mark.parametrize("secret", ["wrong", ""])
    @pytest.mark.parametrize("login", ["somebodys", "sim-key"])
    @pytest.mark.parametrize("name", ["main", "spare"])
    def test_a_refused_key_that_is_no_system_key_is_left_alone(self, pair, name, login, secret):
        pair.declare(getattr(pair, name), login, secret)
        self.refused(
            pair,
            f"the key of Airflow connection '{getattr(pair, name)}' is refused, and is no system key of the account",
        )

    @pytest.mark.parametrize("name", ["main", "spare"])
    def test_a_password_that_is_no_encoded_pair_is_left_alone(self, pair, name):
        pair.declare(getattr(pair, name), "", "needle-that-nobody-understands")
        self.refused(
            pair, f"'{getattr(pair, name)}': the login .* is empty, and the password is not a base64"
        )

    def test_a_first_connection_without_a_key_is_not_given_one(self, pair):
        pair.declare(pair.main, "", "")
        self.refused(pair, f"Airflow connection '{pair.main}' holds no key")

    def test_a_system_key_is_no_administrator(self, pair):
        pair.declare(pair.admin, "ft_main", OLD["main"])
        self.refused(pair, "has a system key, but system keys are managed only with")

    def test_a_user_who_is_no_administrator_is_named(self, pair):
        pair.sim.add_key("sim-key", "sim-secret", administrator=False)
        self.refused(pair, rf"'{pair.admin}' is no account administrator.*403")

    def test_another_account_is_not_touched(self, pair, deferrable):
        deferrable.sim.account.account_id = "another"
        deferrable.sim.add_system_key("x", id="main", key="ft_main", secret=OLD["main"])
        try:
            pair.declare(pair.main, "ft_main", OLD["main"], host=deferrable.sim.url)
            self.refused(
                pair, "leads to the Fivetran account another, that of the administrator to sim_account"
            )
        finally:
            deferrable.sim.account.account_id = "sim_account"

    @pytest.mark.parametrize("is_used", [False, True])
    def test_a_key_of_the_name_of_a_spare_one_is_not_taken(self, pair, is_used):
        pair.sim.system_keys.remove("spare")
        pair.sim.add_system_key("loader_main_spare", key="ft_other", secret="in use", permissions=SYNCS)
        if is_used:
            pair.declare(pair.spare, "ft_other", "in use")
            assert pair.works(pair.spare)
        pair.declare(pair.spare, "", "")
        self.refused(pair, "'loader_main_spare', is to be made .* otherwise rename it, or put it into that")

    def test_a_store_that_cannot_store_is_found_out_first(self, pair):
        class Closed:
            def check(self, conn_id):
                raise FivetranKeyNotUsable(f"no right to {conn_id}")

            def __call__(self, conn_id, login, password):
                raise AssertionError("it was asked to store")

        with pytest.raises(FivetranKeyNotUsable, match=f"no right to {pair.main}"):
            pair.rotate(Closed())
        assert pair.rotations == []


class TestOperator:
    def operator(self, pair, **arguments):
        usual = {
            "store": pair.store,
            "admin_conn_id": pair.admin,
            "fivetran_conn_id": pair.main,
            "settling": 0,
        }
        return FivetranRotateKeyOperator(task_id="rotate", **usual | arguments)

    def run(self, pair, **arguments):
        ti = TaskInstance("rotate")
        return execute(self.operator(pair, **arguments), {"ti": ti, "task_instance": ti})

    def test_the_administrator_is_none_of_the_pair(self, pair):
        with pytest.raises(ValueError, match=rf"admin_conn_id and fivetran_conn_id are both '{pair.main}'"):
            self.operator(pair, admin_conn_id=pair.main)

    def test_it_rotates_and_returns_no_secret(self, pair, said):
        result = self.run(pair)
        assert pair.living == {"main", "spare"}
        everything = said() + json.dumps(result) + repr(vars(self.operator(pair)))
        for secret in [*OLD.values(), *(secret for _, secret in pair.given)]:
            assert secret not in everything
        assert "Rotated the system key spare" in everything

    def test_what_no_retry_mends_fails_the_task_at_once(self, pair):
        pair.declare(pair.main, "ft_main", OLD["main"], extra={})
        with pytest.raises(AirflowFailException, match="FivetranKeyNotUsable"):
            self.run(pair)

    def test_what_a_retry_mends_is_left_to_it(self, pair):
        with pytest.raises(FivetranKeyNotStored):
            self.run(pair, store=lambda *_: None)
        self.run(pair)
        assert pair.living == {"main", "spare"}

    def test_only_one_runs_at_a_time(self, pair):
        assert self.operator(pair).max_active_tis_per_dag == 1
        assert self.operator(pair, max_active_tis_per_dag=2).max_active_tis_per_dag == 2

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"store": "vault"}, "store is 'vault'; allowed is a callable"),
            ({"admin_conn_id": ""}, "admin_conn_id is ''"),
            ({"fivetran_conn_id": None}, "fivetran_conn_id is None"),
            ({"expiration_period": "ONE_DAY"}, "expiration_period is 'ONE_DAY'; allowed are 'INFINITE'"),
            ({"settling": -1}, "settling is -1; allowed is a timedelta"),
            ({"fivetran_retry_limit": 0}, "fivetran_retry_limit"),
        ],
    )
    def test_a_wrong_argument_shows_when_the_dag_is_parsed(self, pair, arguments, words):
        with pytest.raises(ValueError, match=words):
            self.operator(pair, **arguments)


@pytest.mark.skipif(not IS_AIRFLOW_2, reason="Airflow 3 has the API that Airflow 2 lacks")
def test_an_airflow_without_that_api_says_so_before_a_secret_is_made(pair):
    with pytest.raises(
        FivetranKeyNotUsable, match=r"AirflowConnections needs Airflow 3\.0 or newer, this is 2\."
    ):
        pair.rotate(AirflowConnections("airflow_api"))
    assert pair.rotations == []


def end_now(sim):
    """Let the sync that runs end well."""
    [run] = sim.runs(ID)
    with sim.account.lock:
        lasted = sim.clock.now() - run.started_at
        run.plan = dataclasses.replace(run.plan, duration=lasted.total_seconds())


def test_a_sync_that_runs_meanwhile_notices_nothing(way, monkeypatch):
    """The key that it waits with dies before the new one is stored: it goes on with the other, again and again."""
    way.add(SyncPlan(duration=3600))
    pair = Pair(way, monkeypatch)

    def refused():
        return [request for request in way.heard if request.status == 401 and request.path.endswith(f"/{ID}")]

    def store(conn_id, login, password):
        if login == in_use():
            eventually(lambda: len(refused()) > seen, seconds=60)
        pair.store(conn_id, login, password)

    def in_use():
        looks = [request.key for request in way.heard if request.path.endswith(f"/connections/{ID}")]
        return next(key for key in reversed(looks) if key)

    stories = []
    thread = threading.Thread(target=lambda: stories.append(way.sync()))
    looked = threading.Event()
    way.heard.at("POST", "/sync$", lambda: way.heard.at("GET", CONNECTION, looked.set, nth=2))
    thread.start()
    assert looked.wait(60)
    for _ in range(2):
        seen = len(refused())
        pair.rotate(store)
    end_now(way.sim)
    thread.join(60)
    story = stories[0].ended_well()
    assert len(story.triggers) == 1
    assert len(refused()) >= 2
    assert pair.rotations == ["spare", "main"] * 2
