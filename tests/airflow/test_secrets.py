"""No key and no secret is anywhere in what a whole Airflow writes: logs, database, XComs, triggers, terminal."""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from cryptography.fernet import Fernet

from airflow_provider_fivetran.simulator import Fault, Simulator, SyncPlan
from raw_server import free_port
from stories import Eavesdropper
from webhook_receiver import listening

ROOT = Path(__file__).parent.parent.parent
SUPPORT = ROOT / "tests" / "support"
# Letters that every encoding writes in another way.
KEYS = {
    name: (f"needle-key-{name}/+%&7Q", f"needle-secret-{name}/+%&9Z")
    for name in ("main", "spare", "dying", "doomed", "source", "source_client", "source_token")
}
PAIRS = ("kept", "kept_spare", "lost", "lost_spare")
KEYS |= {name: (f"needle-key-{name}/+%&7Q", f"needle-secret-{name}/+%&9Z") for name in PAIRS}
KEYS["wrong"] = (KEYS["main"][0], "needle-secret-wrong/+%&9Z")

DAGS = """
import json
import logging
import os
import traceback
from datetime import datetime, timedelta

from airflow.sdk import dag, task

from airflow_provider_fivetran.core import steps
from airflow_provider_fivetran.core.protocol import Call
from airflow_provider_fivetran.hooks import FivetranHook
from airflow_provider_fivetran.operators import (
    FivetranConnectionOperator,
    FivetranOperator,
    FivetranRotateKeyOperator,
    FivetranWebhookOperator,
)
from airflow_provider_fivetran.sensors import FivetranSensor, FivetranSetupSensor

steps.REFUSAL_PATIENCE = timedelta(seconds=1)
log = logging.getLogger("airflow.task")


def keep(conn_id, login, password):
    # A secrets backend that is this process.
    name = f"AIRFLOW_CONN_{conn_id.upper()}"
    os.environ[name] = json.dumps(json.loads(os.environ[name]) | {"login": login, "password": str(password)})


def complain(conn_id, login, password):
    log.error("storing %s in %s", password, conn_id)
    raise OSError(f"no room for {login}:{password}")


def sync(name, conn_id, **arguments):
    FivetranOperator(
        task_id=name,
        connector_id=name,
        fivetran_conn_id=conn_id,
        run_name="{{ conn." + conn_id + ".conn_id }}",
        poll_frequency=0.2,
        fivetran_retry_delay=0.05,
        **arguments,
    )


def describe(name, service, **arguments):
    return FivetranConnectionOperator(
        task_id=name,
        connector_name=name,
        group_id="sim_group",
        service=service,
        fivetran_conn_id="by_db",
        fivetran_retry_delay=0.05,
        **arguments,
    )


@dag(start_date=datetime(2026, 1, 1), schedule=None)
def supervised():
    describe(
        "by_password",
        "postgres",
        config={"host": "db.example"},
        secrets={"config.user": ("source", "login"), "config.password": ("source", "password")},
    )
    describe(
        "by_auth",
        "google_ads",
        auth={"client_access": {"client_id": "id"}},
        secrets={
            "auth.client_access.client_secret": ("source", "extra.client"),
            "auth.refresh_token": ("source", "extra.refresh"),
        },
    )
    describe("by_token", "github", secrets={"config.pat": ("source", "extra.token")})
    describe("by_key", "stripe", secrets={"config.secret_key": ("source", "extra.key")})
    by_card = describe("by_card", "salesforce", connect_card={"redirect_uri": "https://airflow.example"})
    FivetranSetupSensor(
        task_id="authorised",
        connector_id=by_card.output,
        fivetran_conn_id="by_db",
        poke_interval=0.2,
        deferrable=True,
    )
    describe(
        "repeated_in_the_refusal",
        "postgres",
        config={"schema_prefix": "repeated_in_the_refusal"},
        secrets={"config.update_method": ("source", "password")},
        check_metadata=False,
    )
    sync("rotated", "dying_with_spare", deferrable=True)
    sync("blocking", "by_db")
    sync("failing", "by_env")
    sync("refused_at_the_start", "wrong")
    sync("refused_midway", "doomed")
    FivetranSensor(
        task_id="sensed",
        connector_id="sensed",
        fivetran_conn_id="by_env",
        completed_after_time="2020-01-01",
        deferrable=True,
    )

    for name, store, pair in (("keys_rotated", keep, "kept"), ("keys_lost", complain, "lost")):
        FivetranRotateKeyOperator(
            task_id=name, store=store, admin_conn_id="by_env", fivetran_conn_id=pair, settling=0
        )

    FivetranWebhookOperator(task_id="webhook", url=RECEIVER, fivetran_conn_id="by_env")

    @task
    def troubles():
        for conn_id, connection_id in TROUBLES:
            try:
                with FivetranHook(conn_id, fivetran_retry_limit=1) as hook:
                    hook.get_fivetran_connection(connection_id)
            except Exception as error:
                log.exception("%s with %s", connection_id, conn_id)
                shown = traceback.TracebackException.from_exception(error, capture_locals=True)
                log.error("".join(shown.format()))
            else:
                raise AssertionError(connection_id)

        with FivetranHook("by_db") as hook:
            try:
                hook.create_webhook("http://127.0.0.1:1/nobody", events=["sync_end"])
            except Exception as error:
                log.exception("a webhook that cannot be")
                shown = traceback.TracebackException.from_exception(error, capture_locals=True)
                log.error("".join(shown.format()))

        def mistaken(data):
            raise KeyError("a mistake in the midst of the provider")

        with FivetranHook("by_db") as hook:
            hook.get_conn().send(Call(method="GET", path="/v1/account/info", read=mistaken))

    troubles()


@dag(start_date=datetime(2026, 1, 1), schedule=None)
def at_the_desk():
    sync("mistaken_trigger", "by_db", deferrable=True)


supervised()
at_the_desk()
"""
TROUBLES = [
    ("by_db", "absent"),
    ("by_db", "garbage"),
    ("by_db", "page"),
    ("by_db", "redirected"),
    ("by_db", "shape"),
    ("by_db", "server"),
    ("by_db", "limited"),
    ("by_db", "reset"),
    ("wrong", "c"),
    ("nobody_there", "c"),
    ("no_secret", "c"),
    ("no_pair", "c"),
    ("unencrypted", "c"),
    ("elsewhere", "c"),
]
STATES = {
    "rotated": "success",
    "blocking": "success",
    "failing": "failed",
    "refused_at_the_start": "failed",
    "refused_midway": "failed",
    "sensed": "success",
    "troubles": "failed",
    "webhook": "success",
    "keys_rotated": "success",
    "keys_lost": "failed",
    "mistaken_trigger": "failed",
    **dict.fromkeys(("by_password", "by_auth", "by_token", "by_key", "by_card"), "success"),
    "authorised": "success",
    "repeated_in_the_refusal": "failed",
}
# The secrets of sources, by the fields of the Airflow connection that holds them.
SOURCE = {
    "client": KEYS["source_client"][0],
    "refresh": KEYS["source_client"][1],
    "token": KEYS["source_token"][0],
    "key": KEYS["source_token"][1],
}


def needles():
    """Each key and secret, and the forms in which they go over a wire, by the bytes to look for."""
    found = {}
    for name, (key, secret) in KEYS.items():
        pair = f"{key}:{secret}".encode()
        forms = {
            "key": [key],
            "secret": [secret],
            "pair": [base64.b64encode(pair).decode(), base64.urlsafe_b64encode(pair).decode()],
        }
        for what, texts in forms.items():
            for text in texts:
                for form in {
                    text,
                    quote(text, safe=""),
                    quote(text),
                    quote_plus(text),
                    json.dumps(text)[1:-1],
                }:
                    found.setdefault(form.encode(), f"{what} {name}")
    return found


# At the level DEBUG dag.test() prints each secret that it is asked to mask. That is Airflow's own.
ASKED_TO_MASK = re.compile(rb".* Sending request .*loc=supervisor\.py:.* msg=MaskSecret\(.*")


@dataclass
class Search:
    """What was looked at, and what was found there."""

    files: int = 0
    size: int = 0
    tables: int = 0
    rows: int = 0
    hits: list[str] = field(default_factory=list)
    needles: dict[bytes, str] = field(default_factory=needles)

    def of_home(self, home: Path) -> Search:
        """Look into every file, and into every column of every table of every database."""
        for path in sorted(home.rglob("*")):
            if not path.is_file():
                continue
            content = ASKED_TO_MASK.sub(b"", path.read_bytes())
            self.files += 1
            self.size += len(content)
            if content.startswith(b"SQLite format 3"):
                stored_keys = self._of_database(path)
                for needle, what in self.needles.items():
                    if content.count(needle) > stored_keys.count(needle):
                        self.hits.append(f"{what} in the bytes of {path}")
            else:
                self._of_bytes(content, str(path))
        return self

    def _of_bytes(self, content: bytes, where: str) -> None:
        self.hits += [f"{what} in {where}" for needle, what in self.needles.items() if needle in content]

    def _of_database(self, path: Path) -> list[bytes]:
        """Look into all rows; the keys that are where Airflow itself stores them in clear.

        Airflow encrypts the password and the extra of a connection, and nothing else. So the column ``login`` of
        the table ``connection`` is the one place where a key, and only a key, is allowed.
        """
        stored = []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = [
                name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            self.tables += len(tables)
            for table in tables:
                rows = database.execute(f'SELECT * FROM "{table}"')
                columns = [column for column, *_ in rows.description]
                for row in rows:
                    self.rows += 1
                    for column, value in zip(columns, row, strict=True):
                        content = value if isinstance(value, bytes) else str(value).encode()
                        if (table, column) == ("connection", "login") and content in self.needles:
                            stored.append(content)
                        else:
                            self._of_bytes(content, f"{path.name}, {table}.{column}")
        return stored


@pytest.fixture
def account():
    simulator = Simulator()
    simulator.requests = Eavesdropper()
    for name in ("main", "spare", "dying", "doomed"):
        simulator.add_key(*KEYS[name])
    for name in PAIRS:
        key, secret = KEYS[name]
        simulator.add_system_key(name, id=name, key=key, secret=secret)
    for name in ("rotated", "blocking", "refused_midway", "mistaken_trigger"):
        simulator.add_connection(name, default_plan=SyncPlan(duration=0.5))
    simulator.add_connection("failing", default_plan=SyncPlan(duration=0.2, outcome="failure"))
    simulator.add_connection("sensed", succeeded_at=simulator.clock.now())
    for name, fault in {
        "garbage": {"kind": "garbage"},
        "page": {"kind": "html"},
        "redirected": {"kind": "status", "status": 302},
        "shape": {"kind": "wrong_shape"},
        "server": {"kind": "status", "status": 503},
        "limited": {"kind": "status", "status": 429, "retry_after": 3600},
        "reset": {"kind": "reset"},
    }.items():
        simulator.add_connection(name)
        simulator.faults.add(Fault(path=f"/v1/connections/{name}$", times=None, **fault))
    for name, connection in (("dying", "rotated"), ("doomed", "refused_midway")):
        revoke = lambda key=KEYS[name][0]: simulator.revoke(key)  # noqa: E731
        simulator.requests.at("POST", f"/{connection}/sync$", revoke)
    simulator.requests.at("POST", "/connect-card$", lambda: authorize_in_a_while(simulator))
    with simulator.serving(port=0):
        yield simulator


def authorize_in_a_while(simulator):
    """Let somebody fill in the card when the sensor has looked twice."""
    made = next(c.id for c in simulator.account.connections.values() if c.schema == "by_card")
    simulator.requests.at("GET", f"/{made}$", lambda: simulator.authorize(made), nth=2)


@pytest.fixture
def receiver():
    with listening() as receiver:
        yield receiver


def connection(name, url, **fields):
    key, secret = KEYS[name]
    return {"conn_type": "fivetran", "login": key, "password": secret, "host": url} | fields


def environment(home, url):
    declared = {
        "by_env": connection("main", url, extra={"webhook_secret": KEYS["spare"][1]}),
        "wrong": connection("wrong", url),
        "spare": connection("spare", url),
        "kept": connection("kept", url, extra={"fallback_conn_id": "kept_spare"}),
        "kept_spare": connection("kept_spare", url),
        "lost": connection("lost", url, extra={"fallback_conn_id": "lost_spare"}),
        "lost_spare": connection("lost_spare", url),
        "doomed": connection("doomed", url),
        "nobody_there": connection("main", f"http://127.0.0.1:{free_port()}"),
        "no_secret": connection("main", url, password=""),
        "no_pair": connection("main", url, login=""),
        "unencrypted": connection("main", "http://fivetran.example"),
        "elsewhere": connection("main", f"https://127.0.0.1:{free_port()}"),
    }
    stored = {
        "by_db": connection("main", url, extra=json.dumps({"webhook_secret": KEYS["spare"][1]})),
        "source": {
            "conn_type": "generic",
            "login": KEYS["source"][0],
            "password": KEYS["source"][1],
            "extra": json.dumps(SOURCE),
        },
        "dying_with_spare": connection("dying", url, extra=json.dumps({"fallback_conn_id": "spare"})),
    }
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return ours | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(SUPPORT)]),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__EXECUTOR": "home_with_secrets.Supervising",
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",  # so often it looks whether a task has ended
        "STORED": json.dumps(stored),
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in declared.items()},
    }


@pytest.mark.newest
@pytest.mark.timeout(600)  # a minute on a machine that has nothing else to do
def test_nothing_that_airflow_writes_holds_a_key_or_a_secret(tmp_path, account, receiver, capsys):
    (tmp_path / "dags").mkdir()
    source = DAGS.replace("in TROUBLES", f"in {TROUBLES!r}").replace("RECEIVER", repr(receiver.url))
    (tmp_path / "dags" / "dags.py").write_text(source)
    with (tmp_path / "terminal.txt").open("wb") as terminal:
        done = subprocess.run(
            [sys.executable, str(SUPPORT / "home_with_secrets.py")],
            check=False,
            env=environment(tmp_path, account.url),
            stdout=terminal,
            stderr=subprocess.STDOUT,
        )
    said = (tmp_path / "terminal.txt").read_text(errors="replace")
    assert done.returncode == 0, said[-5000:]

    # It all happened, and is where it is looked for.
    assert json.loads((tmp_path / "states.json").read_text()) == STATES
    logs = {path: path.read_text() for path in (tmp_path / "logs").rglob("*.log*")}
    told = "".join(logs.values())
    assert '"level":"debug"' in told.replace(" ", "")
    for words in (
        "now using the key of 'spare'",
        "its task waits",
        "was created; it leads to",
        "a webhook that cannot be",
        "Airflow connection kept has the new secret, and Fivetran accepts it",
        "the new secret of Airflow connection 'lost_spare' could not be stored (OSError: no room for ***:***)",
        "storing *** in lost_spare",
        "a mistake in the midst of the provider",
        "by_password is created as",
        "the link to its Connect Card, good for a day, is the XCom",
        "waiting for somebody to authorise it",
        "Field 'config.update_method' is '***'",
        *(f"{connection_id} with {conn_id}" for conn_id, connection_id in TROUBLES),
    ):
        assert words in told, words
    assert "a mistake of this program" in said
    assert any(".trigger." in path.name for path in logs)
    assert "FivetranSyncTrigger {'ticket'" in (tmp_path / "trigger_kwargs.txt").read_text()

    assert "connect-card/setup" not in told
    assert "card-" not in told
    kept = {c.schema: c for c in account.account.connections.values()}
    assert (kept["by_password"].config["user"], kept["by_password"].config["password"]) == KEYS["source"]
    assert kept["by_auth"].auth["client_access"] == {"client_id": "id", "client_secret": SOURCE["client"]}
    assert (kept["by_token"].config["pat"], kept["by_key"].config["secret_key"]) == (
        SOURCE["token"],
        SOURCE["key"],
    )
    assert {kept[name].setup_state for name in kept if name.startswith("by_")} == {"connected"}

    assert receiver.arrivals[0].is_signed_with(KEYS["spare"][1])

    made = {row.name: (row.key, row.secret) for row in account.system_keys.all()}
    assert {name for name in PAIRS if made[name] != KEYS[name]} == {"kept", "kept_spare", "lost_spare"}
    KEYS.update({f"new {name}": pair for name, pair in made.items()})
    search = Search().of_home(tmp_path)
    with capsys.disabled():
        print(  # noqa: T201
            f"\nsearched {search.files} files of {search.size:,} bytes ({len(logs)} logs), {search.rows:,} rows in "
            f"{search.tables} tables, for {len(search.needles)} needles: {len(search.hits)} hits"
        )
    assert search.hits == []


class TestTheSearchItself:
    """It finds what is there."""

    @pytest.mark.parametrize("needle", sorted(needles()))
    def test_in_a_file_in_a_folder(self, tmp_path, needle):
        place = tmp_path / "logs" / "attempt=1.log"
        place.parent.mkdir()
        place.write_bytes(b"\x00\xff before " + needle + b" after")
        assert len(Search().of_home(tmp_path).hits) >= 1

    @pytest.mark.parametrize(
        ("table", "column", "value", "hits"),
        [
            ("xcom", "value", "text with {key}", 2),
            ("xcom", "value", b"bytes with {secret}", 2),
            ("connection", "password", "{secret}", 2),
            ("connection", "login", "{secret}", 0),
            ("connection", "login", "{key}", 0),
            ("connection", "login", "{key} and more", 2),
        ],
    )
    def test_in_a_database(self, tmp_path, table, column, value, hits):
        key, secret = KEYS["main"]
        filled = (
            value.replace(b"{secret}", secret.encode())
            if isinstance(value, bytes)
            else value.format(key=key, secret=secret)
        )
        with closing(sqlite3.connect(tmp_path / "airflow.db")) as database:
            database.execute(f"CREATE TABLE {table} (id, {column})")
            database.execute(f"INSERT INTO {table} VALUES (1, ?)", [filled])
            database.commit()
        search = Search().of_home(tmp_path)
        assert (search.files, search.tables, search.rows) == (1, 1, 1)
        assert len(search.hits) >= hits

    def test_in_the_free_pages_of_a_database(self, tmp_path):
        """What was there once, and was only overwritten in its row."""
        with closing(sqlite3.connect(tmp_path / "airflow.db")) as database:
            database.execute("PRAGMA secure_delete = OFF")
            database.execute("CREATE TABLE connection (login, password)")
            database.execute("INSERT INTO connection VALUES (?, ?)", KEYS["main"])
            database.commit()
            database.execute("DELETE FROM connection")
            database.commit()
        assert {hit.partition(" in ")[0] for hit in Search().of_home(tmp_path).hits} == {
            "key main",
            "secret main",
        }
