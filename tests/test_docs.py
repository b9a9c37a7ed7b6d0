"""The README and the pages in docs/ say what is so: links lead somewhere, and no name of the code is left out."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def prose(path: Path) -> str:
    """The text without its blocks of code."""
    return FENCED.sub("", path.read_text(encoding="utf-8"))


@cache
def anchors(path: Path) -> set[str]:
    """What the headings of a page are called in links, as GitHub does it."""
    titles = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def rows(path: Path) -> list[list[str]]:
    """The rows of all tables, cell by cell."""
    lines = [line for line in prose(path).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def names_in(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


# --- links ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    broken = []
    for link in LINK.findall(prose(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_index_of_the_docs_has_every_page_and_every_example():
    linked = set(LINK.findall(prose(DOCS / "README.md")))
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    examples = {f"../example_dags/{path.name}" for path in (ROOT / "example_dags").glob("*.py")}
    assert (pages | examples) - linked == set()


# --- the README -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["operators", "sensors"])
def test_the_readme_says_where_each_operator_and_sensor_is_imported_from_and_described(module):
    public = importlib.import_module(f"airflow_provider_fivetran.{module}").__all__
    index = {name: row for row in rows(ROOT / "README.md") for name in names_in(row[0])}
    for name in public:
        _, where, what_for, page = index[name]
        (target,) = LINK.findall(page)
        assert where == f"`{module}`"
        assert what_for
        text = (ROOT / target.partition("#")[0]).read_text(encoding="utf-8")
        assert re.search(rf"^from airflow_provider_fivetran.{module} import .*\b{name}\b", text, re.MULTILINE)


# --- the reference pages --------------------------------------------------------------------------------


def test_the_page_of_errors_has_each_error_and_says_whether_it_is_retried():
    from airflow_provider_fivetran import exceptions

    table = [row for row in rows(DOCS / "errors.md") if row[-1] in ("yes", "no")]
    told = {name: row[-1] for row in table for name in names_in(row[0])}

    assert set(told) == set(exceptions.__all__)
    for name in exceptions.__all__:
        assert told[name] == ("no" if getattr(exceptions, name).permanent else "yes"), name


def test_the_page_of_the_hook_is_made_from_the_hook_as_it_is():
    import hook_page

    assert hook_page.page() == hook_page.PAGE.read_text(encoding="utf-8"), "write it anew: make hook-page"


# What runs of a transformation keep there; nobody describes it.
MACHINERY = {"full_refresh", "has_begun", "stops_at"}


def section(page: Path, title: str) -> str:
    """What stands below a heading, up to the next one."""
    (found,) = re.findall(
        rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return found


@pytest.mark.parametrize(
    ("title", "record"),
    [
        ("keys", "records.Key"),
        ("connections", "records.Connection"),
        ("Plans", "records.SyncPlan"),
        ("transformations", "transformations.Transformation"),
        ("Faults", "faults.Fault"),
        ("Mishaps", "mishaps.Mishap"),
        ("Switches", "switches.Switches"),
    ],
)
def test_the_page_of_the_simulator_names_each_field(title, record):
    from airflow_provider_fivetran.simulator.describing import _INTERNAL

    module, _, name = record.partition(".")
    kind = getattr(importlib.import_module(f"airflow_provider_fivetran.simulator.{module}"), name)

    described = {field.name for field in fields(kind)} - _INTERNAL - MACHINERY
    assert described - names_in(section(DOCS / "simulator.md", title)) == set()


def test_the_page_of_the_simulator_names_each_section_and_each_action():
    from airflow_provider_fivetran.simulator import Simulator
    from airflow_provider_fivetran.simulator.control import _ACTIONS
    from airflow_provider_fivetran.simulator.describing import load_account

    with pytest.raises(ValueError, match="allowed: ") as refused:
        load_account(Simulator(), {"no": []})
    sections = set(str(refused.value).partition("allowed: ")[2].split(", "))

    assert sections - names_in(section(DOCS / "simulator.md", "The account file")) == set()
    assert set(_ACTIONS) - names_in(section(DOCS / "simulator.md", "The control endpoint")) == set()


def test_the_account_file_on_the_page_of_the_simulator_is_taken():
    from airflow_provider_fivetran.simulator import Simulator
    from airflow_provider_fivetran.simulator.describing import load_account

    (example,) = re.findall(
        r"```json\n(.*?)```", section(DOCS / "simulator.md", "The account file"), re.DOTALL
    )
    simulator = Simulator()
    load_account(simulator, json.loads(example))

    assert set(simulator.account.connections) == {"shop_orders", "crm"}
