"""How the receiver gets into the api-server, and that it costs nothing where there is none."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys

import pytest

from airflow_provider_fivetran import get_provider_info
from airflow_provider_fivetran.plugin import FivetranPlugin

AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])


def run_python(script: str) -> object:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_both_ways_to_the_plugin_lead_to_the_same():
    """Airflow loads the one of the metadata only where providers are not loaded lazily."""
    (point,) = importlib.metadata.entry_points(group="airflow.plugins", name="fivetran")
    (declared,) = get_provider_info()["plugins"]
    assert point.load() is FivetranPlugin
    assert point.value.replace(":", ".") == declared["plugin-class"]
    assert declared["name"] == FivetranPlugin.name


def test_every_part_of_airflow_can_import_the_plugin_without_the_web():
    loaded = run_python(
        "import json, sys\n"
        "from airflow.providers.common.compat.sdk import AirflowPlugin\n"
        "before = set(sys.modules)\n"
        "import airflow_provider_fivetran.plugin\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    assert set(loaded) <= {"airflow_provider_fivetran", "airflow_provider_fivetran.plugin"}


def test_airflow_loads_the_plugin_once():
    names = run_python(
        "import json\n"
        "from airflow import plugins_manager as manager\n"
        "if hasattr(manager, '_get_plugins'):\n"
        "    plugins, errors = manager._get_plugins()\n"
        "else:\n"
        "    manager.ensure_plugins_loaded()\n"
        "    plugins, errors = manager.plugins, manager.import_errors\n"
        "print(json.dumps([[p.name for p in plugins], errors]))"
    )
    assert names[0].count("fivetran") == 1
    assert names[1] == {}


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 has no FastAPI to mount anything in")
def test_the_api_server_mounts_the_receiver():
    """Asked through Airflow's own application, as far as it goes without a server around it."""
    answers = run_python(
        "import asyncio, json\n"
        "from fastapi import FastAPI\n"
        "from airflow.api_fastapi.app import init_plugins\n"
        "app = FastAPI()\n"
        "init_plugins(app)\n"
        "async def ask(path):\n"
        "    sent = []\n"
        "    async def receive(): return {'type': 'http.request', 'body': b'{}', 'more_body': False}\n"
        "    async def send(message): sent.append(message)\n"
        "    scope = {'type': 'http', 'method': 'POST', 'path': path, 'raw_path': path.encode(), 'root_path': '',\n"
        "             'headers': [], 'query_string': b'', 'http_version': '1.1', 'scheme': 'http',\n"
        "             'server': ('here', 80), 'client': ('here', 1)}\n"
        "    await app(scope, receive, send)\n"
        "    return [sent[0]['status'], json.loads(sent[1]['body'])]\n"
        "print(json.dumps([asyncio.run(ask('/fivetran/webhooks/any'))]))"
    )
    if AIRFLOW >= (3, 3):
        assert answers == [[401, {"message": "the delivery is not signed"}]]
    else:
        assert answers == [[501, {"message": "Fivetran's webhooks need Airflow 3.3 or newer"}]]
