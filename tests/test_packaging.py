"""What a user's pip and a user's Airflow see of this distribution."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import airflow_provider_fivetran
from airflow_provider_fivetran import get_provider_info

ROOT = Path(__file__).parent.parent
DISTRIBUTION = "airflow-provider-fivetran"
PACKAGE = "airflow_provider_fivetran"
PROMISED = {
    "hooks": {"FivetranHook"},
    "operators": {
        "FivetranConnectionOperator",
        "FivetranFreshnessOperator",
        "FivetranOperator",
        "FivetranResyncOperator",
        "FivetranSnapshotOperator",
        "FivetranTransformationOperator",
        "FivetranWebhookOperator",
    },
    "sensors": {
        "FivetranFreshnessSensor",
        "FivetranSensor",
        "FivetranSetupSensor",
        "FivetranTransformationSensor",
    },
    "triggers": set(),
    "assets": {"account_asset", "connection_asset", "failure_asset", "group_asset", "sync_record_of"},
    "exceptions": set(),
}


def airflow_version() -> tuple[int, int]:
    major, minor = importlib.metadata.version("apache-airflow").split(".")[:2]
    return int(major), int(minor)


if airflow_version() >= (3, 3):  # before that, importing it says what it needs
    PROMISED["retry_policy"] = {"FivetranRetryPolicy"}


def run_python(script: str) -> str:
    """Run a script in an interpreter that has imported nothing yet; return the last line that it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def dotted_paths() -> list[str]:
    info = get_provider_info()
    paths = list(info.get("extra-links", ()))
    for kind in ("hooks", "operators", "sensors", "triggers"):
        paths += [module for entry in info.get(kind, ()) for module in entry["python-modules"]]
    paths += [entry["hook-class-name"] for entry in info.get("connection-types", ())]
    paths += [entry["plugin-class"] for entry in info.get("plugins", ())]
    paths += [entry["class-name"] for entry in info.get("task-decorators", ())]
    paths += info.get("cli", ())
    for entry in info.get("asset-uris", ()):
        paths += [entry[part] for part in ("handler", "factory", "to_openlineage_converter")]
    return paths


def resolve(path: str) -> object:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


# --- the metadata ---------------------------------------------------------------------------------------


def test_version_is_that_of_the_installed_distribution():
    assert airflow_provider_fivetran.__version__ == importlib.metadata.version(DISTRIBUTION)
    assert get_provider_info()["versions"][0] == airflow_provider_fivetran.__version__


def test_changelog_knows_the_version():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == airflow_provider_fivetran.__version__


def test_airflow_finds_the_entry_point():
    points = importlib.metadata.entry_points(group="apache_airflow_provider")
    (ours,) = [point for point in points if point.value.startswith(PACKAGE)]
    assert ours.load() is get_provider_info


def test_reading_the_metadata_imports_nothing_of_airflow():
    loaded = run_python(
        f"import sys, {PACKAGE}; {PACKAGE}.get_provider_info();"
        "print(sorted(m for m in sys.modules if m.partition('.')[0] in ('airflow', 'requests', 'aiohttp')))"
    )
    assert loaded == "[]"


def test_metadata_is_valid_by_airflows_own_schema():
    import airflow
    import jsonschema

    schema = Path(airflow.__file__).with_name("provider_info.schema.json")
    jsonschema.validate(get_provider_info(), json.loads(schema.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", dotted_paths())
def test_every_path_in_the_metadata_leads_somewhere(path):
    assert resolve(path) is not None


# --- the connection form --------------------------------------------------------------------------------

# What the page for connections asks for: an answer of Airflow's own API, or before 3.0 what its forms are made of.
FORM = f"""
import json, sys
if {airflow_version() >= (3, 0)}:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
    (form,) = [form for form in HookMetaService.hook_meta_data() if form.connection_type == "fivetran"]
    name, fields = form.hook_name, list(form.extra_fields or ())
    titles = {{field: what.title for field, what in form.standard_fields or () if what and what.title}}
else:
    from airflow.providers_manager import ProvidersManager
    manager = ProvidersManager()
    name = manager.hooks["fivetran"].hook_name
    prefix = "extra__fivetran__"
    fields = [f.removeprefix(prefix) for f in manager.connection_form_widgets if f.startswith(prefix)]
    titles = manager.field_behaviours["fivetran"]["relabeling"]
print(json.dumps({{"name": name, "fields": fields, "titles": titles, "imported": "{PACKAGE}.hooks" in sys.modules}}))
"""


def test_airflow_shows_the_connection_form():
    form = json.loads(run_python(FORM))
    declared = get_provider_info()["connection-types"][0]

    assert form["name"] == "Fivetran"
    if airflow_version() != (3, 0):  # which shows no provider's fields where wtforms is not installed
        assert set(form["fields"]) == set(declared["conn-fields"])
        assert form["titles"] == declared["ui-field-behaviour"]["relabeling"]


@pytest.mark.newest
def test_the_form_shows_without_importing_the_hook():
    assert json.loads(run_python(FORM))["imported"] is False


# --- the public names -----------------------------------------------------------------------------------


def public_names(module) -> set[str]:
    """Names without an underscore of classes and functions that the module, or one below it, defines."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isroutine(value))
        and f"{getattr(value, '__module__', '')}.".startswith(f"{module.__name__}.")
    }


@pytest.mark.parametrize("name", PROMISED)
def test_public_names_are_declared(name):
    module = importlib.import_module(f"{PACKAGE}.{name}")

    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) >= public_names(module)
    for public in module.__all__:
        assert getattr(module, public).__module__.startswith(PACKAGE), f"{public} is not ours to promise"


def test_promised_names_are_there():
    missing = {
        f"{PACKAGE}.{name}.{public}"
        for name, promised in PROMISED.items()
        for public in promised - set(importlib.import_module(f"{PACKAGE}.{name}").__all__)
    }
    assert missing == set()


def undocumented(module) -> list[str]:
    missing = []
    for name in module.__all__:
        value = getattr(module, name)
        if not callable(value):
            continue
        if not value.__doc__:
            missing.append(name)
        for member, what in vars(value).items() if inspect.isclass(value) else ():
            explained = inspect.isroutine(what) or isinstance(what, (property, classmethod, staticmethod))
            if explained and not member.startswith("_") and not inspect.getdoc(getattr(value, member)):
                missing.append(f"{name}.{member}")
    return missing


@pytest.mark.parametrize("name", PROMISED)
def test_public_names_are_documented(name):
    assert undocumented(importlib.import_module(f"{PACKAGE}.{name}")) == []


# --- the wheel ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        check=True,
        cwd=ROOT,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.mark.newest
def test_wheel_holds_the_package_and_nothing_else(wheel):
    names = wheel.namelist()
    (info,) = {name.partition("/")[0] for name in names} - {PACKAGE}

    assert info.endswith(".dist-info")
    assert f"{PACKAGE}/py.typed" in names
    assert f"{info}/licenses/LICENSE" in names
    assert not [name for name in names if "test" in Path(name).name or name.endswith(".pyc")]


@pytest.mark.newest
def test_wheel_holds_every_file_of_the_package(wheel):
    tracked = subprocess.run(
        ["git", "ls-files", PACKAGE], check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    assert set(tracked) <= set(wheel.namelist())


@pytest.mark.newest
def test_wheel_declares_its_entry_points(wheel):
    (path,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    text = wheel.read(path).decode()
    assert "[apache_airflow_provider]" in text
    assert f"provider_info = {PACKAGE}:get_provider_info" in text
