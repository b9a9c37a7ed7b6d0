"""New secrets go into Airflow's own connections, through a real api-server of Airflow."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time

import pytest
import requests
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_fivetran.exceptions import FivetranKeyNotStored, FivetranKeyNotUsable
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.key_rotation import KeyRotation
from airflow_provider_fivetran.key_stores import AirflowConnections
from airflow_provider_fivetran.simulator import Simulator
from raw_server import RawServer, free_port, http

AIRFLOW = tuple(map(int, __import__("airflow").__version__.split(".")[:2]))
pytestmark = [
    pytest.mark.newest,
    pytest.mark.skipif(AIRFLOW < (3, 0), reason="the API is that of Airflow 3"),
]
PASSWORDS = {"keeper": secrets.token_hex(8), "viewer": secrets.token_hex(8)}
SYNCS = [{"resource_type": "CONNECTOR", "access_level": "MANAGE"}]


@pytest.fixture(scope="module")
def api(airflow_db, tmp_path_factory):
    """The address of an api-server on the database of these tests, with one user who may change connections."""
    home = tmp_path_factory.mktemp("api-server")
    (home / "passwords").write_text(json.dumps(PASSWORDS))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__FERNET_KEY": "",  # as in this process, which has to read what is stored
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "keeper:op,viewer:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords"),
    }
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "airflow", "api-server", "--apps", "core"],
            env=os.environ | settings,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(url, server, home / "log")
        yield url
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url, server, log):
    limit = time.monotonic() + 120
    while True:
        try:
            if requests.get(f"{url}/api/v2/version", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < limit, log.read_text()
        time.sleep(0.2)


@pytest.fixture
def connections(airflow_db, monkeypatch):
    """Puts connections into Airflow's database, and takes them out again."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # lets this process read what a worker is given
    made = []

    def add(conn_id, **fields):
        with create_session() as session:
            session.add(Connection(conn_id=conn_id, **fields))
        made.append(conn_id)

    yield add
    with create_session() as session:
        for row in session.query(Connection).filter(Connection.conn_id.in_(made)):
            session.delete(row)


@pytest.fixture
def store(api, monkeypatch):
    def of(user="keeper", **fields):
        about = {"conn_type": "http", "login": user, "password": PASSWORDS.get(user, "wrong"), "host": api}
        monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps(about | fields))
        return AirflowConnections("airflow_api")

    return of


def test_login_and_password_are_changed_and_nothing_else(connections, store):
    extra = {"fallback_conn_id": "spare", "webhook_secret": "w", "timeout": 7}
    connections(
        "kept",
        conn_type="fivetran",
        host="https://h.example",
        login="a",
        password="b",
        extra=json.dumps(extra),
    )
    store().check("kept")
    store()("kept", "new-key", "new/secret+%&")
    conn = BaseHook.get_connection("kept")
    assert (conn.login, conn.password) == ("new-key", "new/secret+%&")
    assert (conn.conn_type, conn.host, conn.extra_dejson) == ("fivetran", "https://h.example", extra)


def test_the_address_may_come_from_the_setting(api, connections, store, monkeypatch):
    connections("kept", conn_type="fivetran", login="a", password="b")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", api)
    store(host="")("kept", "c", "d")
    assert BaseHook.get_connection("kept").password == "d"


@pytest.mark.parametrize("login", ["a", "c"])
def test_a_variable_that_hides_the_stored_connection_is_found_out_first(
    connections, store, monkeypatch, login
):
    connections("hidden", conn_type="fivetran", login="a", password="b")
    monkeypatch.setenv(
        "AIRFLOW_CONN_HIDDEN", json.dumps({"conn_type": "fivetran", "login": login, "password": "d"})
    )
    with pytest.raises(
        FivetranKeyNotUsable, match="'hidden' is in the environment variable AIRFLOW_CONN_HID"
    ):
        store().check("hidden")


def test_a_backend_that_hides_the_stored_connection_is_found_out_first(connections, store, monkeypatch):
    connections("hidden", conn_type="fivetran", login="a", password="b")
    the_stored_one = BaseHook.get_connection

    def get_connection(conn_id):
        conn = the_stored_one(conn_id)
        if conn_id == "hidden":
            conn.login = "c"
        return conn

    monkeypatch.setattr(BaseHook, "get_connection", get_connection)
    with pytest.raises(FivetranKeyNotUsable, match="'hidden' has another login in Airflow's database"):
        store().check("hidden")


@pytest.mark.parametrize(
    ("user", "conn_id", "words"),
    [
        ("nobody", "kept", "gave no token to the user of connection 'airflow_api': HTTP 401"),
        ("viewer", "kept", "did not take GET of the connection 'kept': HTTP 403"),
        ("keeper", "absent", "did not take GET of the connection 'absent': HTTP 404"),
    ],
)
def test_who_cannot_store_is_told_why_before_a_secret_is_made(connections, store, user, conn_id, words):
    connections("kept", conn_type="fivetran", login="a", password="b")
    with pytest.raises(FivetranKeyNotUsable, match=words) as refused:
        store(user).check(conn_id)
    assert PASSWORDS.get(user, "wrong") not in str(refused.value)


def test_a_refusal_shows_no_secret(store):
    with pytest.raises(FivetranKeyNotUsable, match="HTTP 404") as refused:
        store()("absent", "key", "needle-of-a-secret")
    assert "needle" not in str(refused.value)


@pytest.mark.parametrize(
    "host", ["http://airflow.example:8080", "ftp://127.0.0.1", "https://user:word@x.example"]
)
def test_secrets_go_over_tls_only(store, host):
    with pytest.raises(FivetranKeyNotUsable, match="Airflow connection 'airflow_api': "):
        store(host=host).check("kept")


def test_something_else_at_that_address_is_no_airflow(store):
    simulator = Simulator()
    with simulator.serving() as url, pytest.raises(FivetranKeyNotUsable, match=r"gave no token.*HTTP 404"):
        store(host=url).check("kept")


def test_an_airflow_that_fails_for_now_is_left_to_a_retry(store):
    with (
        RawServer(lambda _: http(503)).running() as server,
        pytest.raises(FivetranKeyNotStored, match="HTTP 503"),
    ):
        store(host=server.url).check("kept")


@pytest.mark.parametrize("use", [lambda a: a.check("kept"), lambda a: a("kept", "key", "needle-of-a-secret")])
def test_an_airflow_that_cannot_be_reached_is_left_to_a_retry(store, use):
    with pytest.raises(FivetranKeyNotStored, match="gave no answer to POST /auth/token") as failed:
        use(store(host=f"http://127.0.0.1:{free_port()}"))
    assert failed.value.__context__ is None


def test_an_answer_without_a_token_is_no_airflow(store):
    body = {"detail": "created"}
    with (
        RawServer(lambda _: http(201, body, Content_Type="application/json")).running() as server,
        pytest.raises(FivetranKeyNotUsable, match=r"gave no token.*its answer has none"),
    ):
        store(host=server.url).check("kept")


@pytest.mark.parametrize("has_spare_key", [True, False])
def test_a_pair_in_the_database_is_rotated(connections, store, monkeypatch, has_spare_key):
    simulator = Simulator()
    with simulator.serving() as url:
        for name, extra in (("main", {"fallback_conn_id": "pair_spare"}), ("spare", {})):
            about = {"conn_type": "fivetran", "host": url, "extra": json.dumps(extra)}
            if name == "main" or has_spare_key:
                simulator.add_system_key(
                    f"k_{name}", id=name, key=f"ft_{name}", secret="old", permissions=SYNCS
                )
                about |= {"login": f"ft_{name}", "password": "old"}
            connections(f"pair_{name}", **about)
        admin = {"conn_type": "fivetran", "login": "sim-key", "password": "sim-secret", "host": url}
        monkeypatch.setenv("AIRFLOW_CONN_PAIR_ADMIN", json.dumps(admin))
        KeyRotation("pair_main", FivetranHook("pair_admin"), store(), settling=0).rotate()
        keys = {key.name: key for key in simulator.system_keys.all()}
        for name, called in (("main", "k_main"), ("spare", "k_spare" if has_spare_key else "k_main_spare")):
            conn = BaseHook.get_connection(f"pair_{name}")
            assert (
                (conn.login, conn.password) == (keys[called].key, keys[called].secret) != (conn.login, "old")
            )
            assert FivetranHook(f"pair_{name}").own_account().system_key_id == keys[called].id
