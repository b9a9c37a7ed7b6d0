"""The page docs/hook.md, made of the hook's signatures and docstrings: ``make hook-page`` writes it.

Which methods there are, what they take, and what the records that they return hold is read from the code; here stand
only the titles and what opens the page.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import timedelta
from pathlib import Path

from airflow_provider_fivetran.hook_account import AccountCalls
from airflow_provider_fivetran.hook_choosing import ChoosingCalls
from airflow_provider_fivetran.hook_connections import ConnectionSetups
from airflow_provider_fivetran.hook_freshness import FreshnessChecks
from airflow_provider_fivetran.hook_lookups import LookUps
from airflow_provider_fivetran.hook_resync import ResyncCalls
from airflow_provider_fivetran.hook_schemas import SchemaCalls
from airflow_provider_fivetran.hook_snapshot import Snapshots
from airflow_provider_fivetran.hook_system_keys import SystemKeyCalls
from airflow_provider_fivetran.hook_transformations import TransformationCalls
from airflow_provider_fivetran.hook_webhooks import WebhookCalls
from airflow_provider_fivetran.hooks import FivetranHook

PAGE = Path(__file__).parents[2] / "docs" / "hook.md"
SECTIONS = {
    FivetranHook: "Syncs and connections",
    LookUps: "Finding by name",
    ResyncCalls: "Re-syncs",
    ChoosingCalls: "Choosing connections",
    FreshnessChecks: "Freshness",
    Snapshots: "Snapshots",
    TransformationCalls: "Transformations",
    ConnectionSetups: "Setting connections up",
    SchemaCalls: "Schema configurations",
    AccountCalls: "Groups, users, teams and roles",
    SystemKeyCalls: "System keys",
    WebhookCalls: "Webhooks",
}
UNDERNEATH = "Underneath"
# These serve Airflow and the operators.
FOR_OTHERS = {
    *("carry_out", "carry_out_to_pause", "find_id", "find_transformation_id", "get_connection_form_widgets"),
    *("get_ui_field_behaviour", "report_on", "see_sync_through", "select_connections"),
}
# Handed from one method to the next, or not ours.
NO_RECORDS = {"BlockingTransport", "Final", "RunTicket", "Selection", "Ticket"}
WIDTH = 117

OPENING = """\
# The hook

`FivetranHook` is Fivetran's API for tasks of your own: one method for each thing that can be asked or done. It uses
the key of an [Airflow connection](connection.md), repeats what may be repeated, reads all pages of a list, and raises
the errors of [this page](errors.md).

```python
from airflow.sdk import task

from airflow_provider_fivetran.hooks import FivetranHook


@task
def sync_and_count() -> float:
    with FivetranHook("fivetran_default") as hook:
        ticket = hook.start_sync("iodized_turnip", when_running="attach")
        record = hook.wait_for_sync(ticket)  # or an error that says what became of the sync
        return record.volume_mb.get("load", 0.0)


sync_and_count()
```

Outside of a task it works too, with `AIRFLOW_CONN_FIVETRAN_DEFAULT` exported.

{about}

Any method may raise a `FivetranError`; those that it is worth knowing of are named. Ids are Fivetran's. A *ticket*
says which sync is meant: give it to the method that waits, as it is.

<!-- All below is made from the code by tests/support/hook_page.py. -->
"""


def methods() -> dict[str, tuple[str, object]]:
    """All public methods by name, each with the title of its section."""
    found = {}
    for owner, title in SECTIONS.items():
        for name, value in vars(owner).items():
            plain = getattr(value, "__func__", value)
            if not name.startswith("_") and inspect.isfunction(plain):
                found[name] = (UNDERNEATH if name in FOR_OTHERS else title, plain)
    return found


def page() -> str:
    known = methods()
    titles = [*SECTIONS.values(), UNDERNEATH, "Records"]
    parts = [OPENING.format(about=_prose(inspect.getdoc(FivetranHook) or ""))]
    parts += ["| about | methods |\n|---|---|"]
    for title in titles[:-2]:
        links = ", ".join(f"[`{name}`](#{name})" for name, (where, _) in known.items() if where == title)
        parts[-1] += f"\n| [{title}](#{_anchor(title)}) | {links} |"
    for title in titles[:-1]:
        parts.append(f"## {title}")
        if title == UNDERNEATH:
            parts.append("These serve Airflow and the operators. They may change without a word.")
        parts += [_method(name, what) for name, (where, what) in known.items() if where == title]
    parts += ["## Records", "What methods return. Times are aware datetimes in UTC."]
    parts += [_record(record) for record in _records(known)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


# --- a method -------------------------------------------------------------------------------------------------


def _method(name: str, function: object) -> str:
    signature = inspect.signature(function)
    text = f"### {name}\n\n```text\n{_call(name, signature)}\n```\n\n{_prose(inspect.getdoc(function) or '')}"
    links = [f"[{_title(record)}](#{_anchor(_title(record))})" for record in _returned(function)]
    return f"{text}\n\nFields: {', '.join(links)}." if links else text


def _call(name: str, signature: inspect.Signature) -> str:
    shown, starred = [], False
    for parameter in list(signature.parameters.values())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            shown.append("*")
            starred = True
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        default = "" if parameter.default is parameter.empty else f" = {_default(parameter.default)}"
        shown.append(f"{stars}{parameter.name}: {parameter.annotation}{default}")
    line = f"{name}({', '.join(shown)}) -> {signature.return_annotation}"
    if len(line) <= WIDTH:
        return line
    rows = "".join(f"    {part},\n" for part in shown)
    return f"{name}(\n{rows}) -> {signature.return_annotation}"


def _default(value: object) -> str:
    if isinstance(value, timedelta):
        return f"timedelta(seconds={value.total_seconds():.0f})"
    return "..." if callable(value) else repr(value)


# --- a docstring ----------------------------------------------------------------------------------------------

_FIELD = re.compile(r"^:(param|raises|return)\s*([\w]*):\s*(.*)$")


def _prose(docstring: str) -> str:
    """The docstring as Markdown: paragraphs, and a list of what it says of parameters, errors and the result."""
    paragraphs, items = [], []
    for line in _joined(docstring):
        field = _FIELD.match(line)
        if field is None:
            paragraphs.append(
                textwrap.fill(_marked(line), WIDTH, break_long_words=False, break_on_hyphens=False)
            )
            continue
        kind, name, rest = field.groups()
        lead = {"param": f"`{name}`", "raises": f"raises `{name}`", "return": "returns"}[kind]
        items.append(_item(f"{lead}: {_marked(rest)}"))
    return "\n\n".join(paragraphs) + ("\n\n" + "\n".join(items) if items else "")


def _item(text: str) -> str:
    return textwrap.fill(
        f"- {text}", WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _joined(docstring: str) -> Iterator[str]:
    """Each paragraph and each field on one line."""
    for paragraph in docstring.split("\n\n"):
        for whole in re.split(r"\n(?=:\w)", paragraph.strip("\n")):
            yield " ".join(whole.split())


def _marked(text: str) -> str:
    text = text.replace("``", "`")
    text = re.sub(r":meth:`(\w+)`", r"[`\1`](#\1)", text)
    text = re.sub(r":mod:`([\w.]+)`", r"`\1`", text)
    return re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)


# --- records --------------------------------------------------------------------------------------------------


def _dataclasses(annotation: object, module: str) -> Iterator[type]:
    """The records that an annotation names, as the module in which it stands knows them."""
    for name in re.findall(r"\b[A-Z]\w+", str(annotation)):
        found = vars(sys.modules[module]).get(name) or _imported_for_types(module, name)
        if isinstance(found, type) and is_dataclass(found) and name not in NO_RECORDS:
            yield found


def _imported_for_types(module: str, name: str) -> object:
    """What a module imports below ``if TYPE_CHECKING``."""
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return getattr(importlib.import_module(node.module), name)
    return None


def _returned(function: object) -> Iterator[type]:
    return _dataclasses(inspect.signature(function).return_annotation, function.__module__)


def _records(known: dict[str, tuple[str, object]]) -> list[type]:
    """What the methods return, and what that holds."""
    found, wanted = set(), [record for _, function in known.values() for record in _returned(function)]
    while wanted:
        record = wanted.pop()
        if record not in found:
            found.add(record)
            wanted += [
                inner for field in fields(record) for inner in _dataclasses(field.type, record.__module__)
            ]
    return sorted(found, key=_title)


def _title(record: type) -> str:
    """Its name; two are called the same."""
    module = record.__module__.rpartition(".")[2]
    return f"{record.__name__} of schemas" if module == "schema_differences" else record.__name__


def _record(record: type) -> str:
    rows = [f"| `{name}` | `{kind}` | {said} |" for name, kind, said in _attributes(record)]
    table = "\n".join(["| | type | |", "|---|---|---|", *rows])
    return f"### {_title(record)}\n\n{_prose(inspect.getdoc(record) or '')}\n\n{table}"


def _attributes(record: type) -> Iterator[tuple[str, str, str]]:
    """Fields and properties, each with its type and what the text below it says."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(record))).body
    body = [*definition.body, None]
    for node, after in itertools.pairwise(body):
        if isinstance(node, ast.AnnAssign) and not node.target.id.startswith("_"):
            said = after.value.value if isinstance(after, ast.Expr) else ""
            yield node.target.id, _cell(ast.unparse(node.annotation)), _cell(said)
        is_property = isinstance(node, ast.FunctionDef) and isinstance(vars(record)[node.name], property)
        if is_property and not node.name.startswith("_"):
            said = (ast.get_docstring(node) or "").partition("\n\n")[0]
            yield node.name, _cell(ast.unparse(node.returns)), _cell(said)


def _cell(text: str) -> str:
    return _marked(" ".join(text.split())).replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
