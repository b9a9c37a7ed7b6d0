"""What `airflow fivetran migrate` makes of the text of a DAG file, and what it leaves to a person."""

from __future__ import annotations

import ast
import importlib
import io
import textwrap
import tokenize
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_fivetran.migrate.rewriting import Remark, Rewritten, rewrite

DAGS = sorted((Path(__file__).parent / "dags").glob("*.py"))


def text(written: str) -> str:
    return textwrap.dedent(written).lstrip("\n")


def remarks(before: str) -> list[str]:
    return [remark.text for remark in rewrite(text(before)).remarks]


# --- imports ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_a_dag_of_the_async_provider_becomes_what_a_person_would_have_made_of_it(path):
    ours = path.read_text(encoding="utf-8")
    assert rewrite(ours.replace("airflow_provider_fivetran", "fivetran_provider_async")).text == ours


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "from fivetran_provider_async.operators import FivetranOperator  # noqa: I001\n",
            "from airflow_provider_fivetran.operators import FivetranOperator  # noqa: I001\n",
            id="one name",
        ),
        pytest.param(
            """
            from fivetran_provider_async.operators import (  # both
                FivetranOperator as Sync,   # one
                FivetranResyncOperator,

                # nothing else
            )
            """,
            """
            from airflow_provider_fivetran.operators import (  # both
                FivetranOperator as Sync,   # one
                FivetranResyncOperator,

                # nothing else
            )
            """,
            id="several names, comments, an alias",
        ),
        pytest.param(
            """
            import os, fivetran_provider_async.operators, fivetran_provider_async.sensors as s

            fivetran_provider_async.operators.FivetranOperator(task_id="a", reschedule_wait_time=1)
            s.FivetranSensor(task_id="b", xcom="x", deferrable=True)
            x: list[fivetran_provider_async . operators . FivetranOperator] = []
            """,
            """
            import os, airflow_provider_fivetran.operators, airflow_provider_fivetran.sensors as s

            airflow_provider_fivetran.operators.FivetranOperator(task_id="a", reschedule_wait_time=1)
            s.FivetranSensor(task_id="b", completed_after_time="x", deferrable=True)
            x: list[airflow_provider_fivetran.operators . FivetranOperator] = []
            """,
            id="modules",
        ),
        pytest.param(
            """
            from fivetran_provider_async import operators, sensors as waits
            operators.FivetranOperator(task_id="a", timeout_seconds=60)
            waits.FivetranSensor(task_id="b", reschedule_time=60)
            """,
            """
            from airflow_provider_fivetran import operators, sensors as waits
            operators.FivetranOperator(task_id="a", timeout=60)
            waits.FivetranSensor(task_id="b", reschedule_wait_time=60)
            """,
            id="modules from the package",
        ),
        pytest.param(
            """
            from fivetran_provider.operators import fivetran
            from fivetran_provider.sensors import fivetran as waits
            import fivetran_provider.hooks.fivetran
            fivetran.FivetranOperator(task_id="a", fivetran_conn_id="f", wait_for_completion=False)
            waits.FivetranSensor(task_id="b", fivetran_conn_id="f", xcom="x")
            fivetran_provider.hooks.fivetran.FivetranHook("f", retry_limit=1)
            """,
            """
            from airflow_provider_fivetran import operators as fivetran
            from airflow_provider_fivetran import sensors as waits
            import airflow_provider_fivetran.hooks
            fivetran.FivetranOperator(task_id="a", fivetran_conn_id="f", wait_for_completion=False)
            waits.FivetranSensor(task_id="b", fivetran_conn_id="f", completed_after_time="x")
            airflow_provider_fivetran.hooks.FivetranHook("f", fivetran_retry_limit=1)
            """,
            id="modules of the older provider, which are called otherwise here",
        ),
        pytest.param(
            """
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                from fivetran_provider_async.hooks import FivetranHook
            def make():
                from fivetran_provider_async.sensors import FivetranSensor
                return FivetranSensor(task_id="a", xcom="x")
            """,
            """
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                from airflow_provider_fivetran.hooks import FivetranHook
            def make():
                from airflow_provider_fivetran.sensors import FivetranSensor
                return FivetranSensor(task_id="a", completed_after_time="x")
            """,
            id="inside functions and for the type checker",
        ),
        pytest.param(
            """
            try:
                from fivetran_provider_async.sensors import FivetranSensor
            except ImportError:
                FivetranSensor = None
            a = FivetranSensor(task_id="a", deferrable=True, xcom="x") if FivetranSensor else None
            """,
            """
            try:
                from airflow_provider_fivetran.sensors import FivetranSensor
            except ImportError:
                FivetranSensor = None
            a = FivetranSensor(task_id="a", deferrable=True, completed_after_time="x") if FivetranSensor else None
            """,
            id="where it may be missing",
        ),
        pytest.param(
            """
            import my_fivetran_provider_async, airflow_provider_fivetran.operators
            from . import fivetran_provider_async
            from .fivetran_provider_async.operators import FivetranOperator
            FivetranOperator(timeout_seconds=1)
            FivetranSensor(xcom="x")
            """,
            None,
            id="what is not the peer's",
        ),
    ],
)
def test_imports(before, after):
    assert rewrite(text(before)).text == text(before if after is None else after)


@pytest.mark.parametrize(
    ("source", "remark"),
    [
        ("from fivetran_provider_async.triggers import FivetranTrigger", "FivetranTrigger does not exist in this provider: use FivetranSensor"),
        ("from fivetran_provider_async.hooks import FivetranHookAsync as H", "use FivetranHook in a worker"),
        ("from fivetran_provider_async.operators import RegistryLink", "links.FivetranConnectionLink"),
        ("from fivetran_provider.operators.fivetran import RegistryLink", "links.FivetranConnectionLink"),
        ("from fivetran_provider_async.operators import FivetranOperatorAsync", "use FivetranOperator with deferrable=True"),
        ("from fivetran_provider_async.utils.operator_utils import datasets", "see table_assets"),
        ("from fivetran_provider_async import __version__", "fivetran_provider_async.__version__ does not exist in this provider"),
        ("from fivetran_provider_async.operators import *", "import * does not say which names of fivetran_provider_async.operators"),
        ("import fivetran_provider_async.utils", "fivetran_provider_async.utils does not exist in this provider"),
        ("import fivetran_provider_async.triggers as t\nt.FivetranTrigger()", "FivetranTrigger does not exist in this provider"),
        ("import fivetran_provider_async.hooks\nreload(fivetran_provider_async.hooks)", "is passed around"),
        ("import importlib\nimportlib.import_module('fivetran_provider_async.operators')", "is named in a text"),
        ("__import__('fivetran_provider')", "fivetran_provider is named in a text"),
        ("swapped('fivetran_provider.hooks.fivetran.FivetranHook')", "is named in a text"),
        ("run(f'pip install {index} airflow-provider-fivetran-async')", "airflow-provider-fivetran-async is named in"),
    ],
)  # fmt: skip
def test_what_is_not_here_is_left_with_a_remark(source, remark):
    assert rewrite(source).text == source
    assert remark in " ".join(remarks(source))


def test_what_is_not_here_keeps_the_rest_of_its_import_and_what_uses_it_as_they_are():
    before = text("""
        import fivetran_provider_async.hooks
        from fivetran_provider_async.operators import FivetranOperator, RegistryLink
        from fivetran_provider_async.sensors import FivetranSensor

        FivetranOperator(task_id="a", timeout_seconds=1)
        FivetranSensor(task_id="b", deferrable=True, xcom="x")
        fivetran_provider_async.hooks.FivetranHookAsync()
    """)
    result = rewrite(before)
    assert result.text == before.replace(
        "from fivetran_provider_async.sensors", "from airflow_provider_fivetran.sensors"
    ).replace("xcom=", "completed_after_time=")
    assert [(remark.line, remark.text.partition(":")[0]) for remark in result.remarks] == [
        (1, "the import of fivetran_provider_async is left as it is, with all that uses it"),
        (2, "fivetran_provider_async.operators.RegistryLink does not exist in this provider"),
        (2, "the import of FivetranOperator is left as it is, with all that uses it"),
        (7, "fivetran_provider_async.hooks.FivetranHookAsync does not exist in this provider"),
    ]  # fmt: skip


# --- arguments --------------------------------------------------------------------------------------------

OLD = "from fivetran_provider.{0}s.fivetran import Fivetran{1}\n"
NEW = "from airflow_provider_fivetran.{0}s import Fivetran{1}\n"


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("operator", 'X(task_id="a", connector_id="b")', 'X(task_id="a", connector_id="b", fivetran_conn_id="fivetran", wait_for_completion=False)'),
        ("operator", 'X(task_id="a",)', 'X(task_id="a", fivetran_conn_id="fivetran", wait_for_completion=False,)'),
        ("operator", 'X(\n    task_id="a",  # why\n    # and\n)', 'X(\n    task_id="a",  # why\n    fivetran_conn_id="fivetran",\n    wait_for_completion=False,\n    # and\n)'),
        ("operator", 'X(\n    task_id="a"  # é\n)', 'X(\n    task_id="a",  # é\n    fivetran_conn_id="fivetran",\n    wait_for_completion=False,\n)'),
        ("operator", 'X(\r\n\ttask_id="a"\r\n)', 'X(\r\n\ttask_id="a",\r\n\tfivetran_conn_id="fivetran",\r\n\twait_for_completion=False,\r\n)'),
        ("operator", 'X(task_id="a",\n  fivetran_conn_id="c")', 'X(task_id="a",\n  fivetran_conn_id="c", wait_for_completion=False)'),
        ("operator", 'X.partial(task_id="a").expand(connector_id=["b"])', 'X.partial(task_id="a", fivetran_conn_id="fivetran", wait_for_completion=False).expand(connector_id=["b"])'),
        ("operator", 'X.partial(task_id="a").expand(fivetran_conn_id=["b"])', 'X.partial(task_id="a", wait_for_completion=False).expand(fivetran_conn_id=["b"])'),
        ("sensor", 'X(task_id="a", xcom="")', 'X(task_id="a", completed_after_time="", fivetran_conn_id="fivetran")'),
        ("sensor", 'X.partial(task_id="a", fivetran_conn_id="c").expand(xcom=[1])', 'X.partial(task_id="a", fivetran_conn_id="c").expand(completed_after_time=[1])'),
        ("hook", "X()", 'X(fivetran_conn_id="fivetran")'),
        ("hook", "(X)( ).x(X('c'))", "(X)( fivetran_conn_id=\"fivetran\").x(X('c'))"),
        ("hook", "X('c', retry_delay=2)", "X('c', fivetran_retry_delay=2)"),
    ],
)  # fmt: skip
def test_arguments_of_the_older_provider(kind, before, after):
    imported, name = (kind, kind.capitalize()), f"Fivetran{kind.capitalize()}"
    newline = "\r\n" if "\r\n" in before else "\n"
    first, then = (form.format(*imported).replace("\n", newline) for form in (OLD, NEW))
    assert rewrite(first + before.replace("X", name)).text == then + after.replace("X", name)


@pytest.mark.parametrize(
    ("given", "is_added", "is_asked"),
    [
        ("DAG()", True, False),
        ("DAG(default_args={'owner': 'me'})", True, False),
        ("DAG(default_args=common)", True, False),
        ("DAG(default_args={'fivetran_conn_id': 'mine'})", False, False),
        ("DAG(default_args=dict(fivetran_conn_id='mine', **others))", False, False),
        ("DAG(default_args={'fivetran_conn_id': 'mine'}), DAG(default_args=common)", False, True),
        ("DAG(default_args=dict(others))", False, True),
        ("DAG(default_args={**others})", False, True),
        ("DAG(default_args=others)", False, True),
        ("make_dag({'fivetran_conn_id': 'mine'})", False, True),
    ],
)
def test_the_older_default_connection_is_added_only_where_nothing_else_gives_one(given, is_added, is_asked):
    before = (
        OLD.format("sensor", "Sensor")
        + f"common = dict(owner='me')\nwith {given}:\n    FivetranSensor(task_id='a')\n"
    )
    result = rewrite(before)
    assert ('fivetran_conn_id="fivetran")' in result.text) is is_added
    assert ("unless default_args or ** give one" in str(result.remarks)) is is_asked


def test_an_argument_that_is_there_under_both_names_is_left():
    before = (
        "from fivetran_provider_async.sensors import FivetranSensor as S\nS(xcom=1, completed_after_time=2)\n"
    )
    result = rewrite(before)
    assert "S(xcom=1, completed_after_time=2)" in result.text
    assert "xcom is called completed_after_time in this provider, and both are given" in str(result.remarks)


def test_what_is_one_provider_here_and_another_there_is_not_guessed():
    before = text("""
        try:
            from fivetran_provider_async.sensors import FivetranSensor
        except ImportError:
            from fivetran_provider.sensors.fivetran import FivetranSensor
        FivetranSensor(task_id="a", xcom="x")
    """)
    result = rewrite(before)
    # Both call it so; what their defaults were is not known.
    assert 'FivetranSensor(task_id="a", completed_after_time="x")\n' in result.text
    assert "fivetran_provider" not in result.text.replace("airflow_provider_fivetran", "")
    assert [remark.line for remark in result.remarks] == [5]


# --- what is left to a person ---------------------------------------------------------------------------------

IMPORTS = text("""
    from fivetran_provider_async.hooks import FivetranHook
    from fivetran_provider_async.operators import FivetranOperator, FivetranResyncOperator
    from fivetran_provider_async.sensors import FivetranSensor
""")
ALL = "deferrable=True, schedule_type='manual', when_paused='fail', when_running='attach', when_broken='try', timeout=1"


@pytest.mark.parametrize(
    ("code", "remark"),
    [
        ("FivetranOperator(task_id='a')", 'deferrable=True, schedule_type="manual", when_paused="unpause", when_running="restart", when_broken="test"'),
        ("FivetranOperator(task_id='a')", "a wait ends after 24 hours"),
        ("FivetranOperator(task_id='a', pool='p')", "and one of its pool"),
        ("FivetranOperator(deferrable=False, schedule_type='auto')", 'add when_paused="unpause", when_running'),
        ("FivetranResyncOperator(task_id='a')", 'schedule_type="manual", when_paused="unpause", when_broken="test"'),
        ("FivetranResyncOperator(task_id='a', connector_id=x['y'])", "if that is meant, add confirm=x['y']"),
        ("FivetranResyncOperator(task_id='a', connector_name='x')", "if that is meant, add confirm='x'"),
        ("FivetranResyncOperator.partial(task_id='a').expand(connector_id=ids)", "wants confirmed"),
        ("FivetranSensor(task_id='a')", "add deferrable=True (without it"),
        ("FivetranSensor(deferrable=True, reschedule_wait_time=5)", "reschedule_wait_time does nothing in this provider"),
        ("FivetranSensor(deferrable=True, reschedule_time=5)", "reschedule_wait_time does nothing in this provider"),
        ("FivetranHook('c', timeout_seconds=5)", "timeout_seconds is no argument of this provider's hook"),
        ("FivetranHook(fivetran_conn=c)", "fivetran_conn is no argument of this provider's hook"),
        ("FivetranHook('c', None, 5)", "takes only fivetran_conn_id by position"),
        ("class Mine(FivetranOperator): ...", "Mine is a subclass of FivetranOperator"),
        ("class Mine(abc.ABC, FivetranHook): ...", "Mine is a subclass of FivetranHook"),
        ("FivetranHook('c').get_connector('x')", "hook.get_connector does not exist in this provider: use get_fivetran_connection"),
        ("hook = FivetranHook('c')\nhook.start_fivetran_sync('x')", "start_sync(connection_id) returns a ticket"),
        ("class C:\n  def f(self):\n    self.hook = FivetranHook('c')\n  def g(self):\n    self.hook.set_schedule_type('x', 'auto')", "a record with attributes"),
        ("h: FivetranHook = FivetranHook('c')\nh.get_groups()", "or list_groups() for all"),
        ("if h := FivetranHook('c'): h.get_metadata('x', 'y')", "taken that API away"),
        ("def f(h: FivetranHook): h.get_connector_id('x', 'y')", "find_connection(connector_name, destination_name).id"),
        (f"a = FivetranOperator({ALL})\na.hook.prep_connector('x', 'auto')", "FivetranOperator has no hook in this provider"),
        (f"a = FivetranOperator({ALL})\na.hook.prep_connector('x', 'auto')", "set_schedule_type sets the schedule"),
        (f"a = FivetranOperator({ALL})\nb(a.output)", "the result of a is always the time"),
        (f"FivetranOperator(task_id='a', {ALL})\nti.xcom_pull('a')", "the result of a is always the time"),
        (f"FivetranOperator(task_id='a', {ALL})\nti.xcom_pull(task_ids=['a', 'b'])", "the result of a is always the time"),
        (f"FivetranOperator(task_id='a', {ALL})\nB(x='{{{{ ti.xcom_pull(\"a\") }}}}')", "the result of a is always the time"),
        ("Sync = FivetranOperator\nSync(timeout_seconds=1)", "FivetranOperator is passed on"),
        ("make(FivetranSensor, xcom='x')", "FivetranSensor is passed on"),
        ("make = FivetranOperator.partial", "FivetranOperator is passed on"),
        ("Sync = FivetranOperator if x else None", "FivetranOperator is passed on"),
        ("@task\ndef f():\n    return FivetranSensor(task_id='a').execute({})", "execute is called by hand"),
        (f"a = FivetranOperator({ALL})\na.execute(context)", "execute is called by hand"),
        ("dict(default_args={'xcom': 1})\nFivetranSensor(deferrable=True)", "xcom is called completed_after_time in airflow_provider_fivetran"),
    ],
)  # fmt: skip
def test_a_person_is_told_of(code, remark):
    assert remark in " ".join(remarks(IMPORTS + code))


@pytest.mark.parametrize(
    "code",
    [
        f"FivetranOperator(task_id='a', {ALL})",
        f"FivetranResyncOperator(task_id='a', scope=x, {ALL})",
        f"FivetranResyncOperator(task_id='a', confirm=x, {ALL})",
        f"FivetranResyncOperator.partial(task_id='a', {ALL}).expand(scope=x)",
        "FivetranSensor(task_id='a', deferrable=True)",
        "FivetranOperator\nisinstance(x, FivetranSensor)",
        "def f(x: list[FivetranSensor]) -> FivetranHook | None:\n    y: FivetranSensor = x[0]",
        "FivetranOperator.template_fields",
        "if FivetranOperator is None:\n    FivetranOperator = None\n1 if FivetranSensor else 2",
        "default_args = {'deferrable': True}\nFivetranSensor(task_id='a')",
        f"a = FivetranOperator(task_id='a', {ALL})\nFivetranSensor(deferrable=True, completed_after_time=a.output)",
        f"a = FivetranOperator(task_id='a', {ALL})\nFivetranSensor(deferrable=True, xcom=\"{{{{ ti.xcom_pull('a') }}}}\")",
        f"FivetranOperator(task_id='a', {ALL})\nti.xcom_pull('another')",
        "other.get_connector('x')\nhook = FivetranHook('c')\nhook.test_connection()",
        "'''About fivetran_provider_async.'''",
        "tags = ['fivetran_provider dags']  # fivetran_provider_async",
    ],
)
def test_a_person_is_not_bothered_with(code):
    assert remarks(IMPORTS + code) == []


# --- what is told again ---------------------------------------------------------------------------------------

OURS = text("""
    from airflow_provider_fivetran.hooks import FivetranHook
    from airflow_provider_fivetran.operators import FivetranOperator, FivetranResyncOperator
    from airflow_provider_fivetran.sensors import FivetranSensor
""")


@pytest.mark.parametrize(
    ("code", "remark"),
    [
        ("FivetranHook('c').get_connector('x')['status']", "hook.get_connector does not exist"),
        ("with FivetranHook() as h: h.get_groups()", "hook.get_groups does not exist"),
        ("h = FivetranHook()\ndef f():\n  h.prep_connector('x', 'auto')", "hook.prep_connector does not exist"),
        ("def dag():\n  h = FivetranHook()\n  def task():\n    return h.get_last_sync('x')", "hook.get_last_sync does not exist"),
        ("class C:\n  h = FivetranHook()\n  def f(self): self.h.get_metadata()", "hook.get_metadata does not exist"),
        ("h: FivetranHook = made()\nh._do_api_call(x)", "hook._do_api_call does not exist"),
        ("FivetranHook().retry_limit", "use fivetran_retry_limit"),
        ("class Mine(FivetranHook):\n  def f(self): self.get_connector('x')", "hook.get_connector does not exist"),
        ("class Mine(FivetranOperator):\n  def execute(self, c): self.hook.prep_connector()", "hook.prep_connector does not exist"),
        ("FivetranSensor(task_id='a').hook.get_connector('x')", "FivetranSensor has no hook"),
        ("FivetranSensor(task_id='a').hook.get_connector('x')", "hook.get_connector does not exist"),
        ("from airflow_provider_fivetran import hooks as h\nh.FivetranHook().check_connector()", "hook.check_connector does not"),
        ("import airflow_provider_fivetran.hooks\nairflow_provider_fivetran.hooks.FivetranHook().check_connector()", "hook.check_connector does not"),
        ("FivetranHook('c', timeout_seconds=5)", "timeout_seconds is no argument"),
        ("FivetranHook('c', None)", "takes only fivetran_conn_id by position"),
        ("FivetranSensor(task_id='a', reschedule_wait_time=5)", "reschedule_wait_time does nothing"),
        ("FivetranSensor(xcom=1, completed_after_time=2)", "both are given"),
        ("FivetranResyncOperator(task_id='a', connector_id=x)", "add confirm=x"),
        ("FivetranSensor(task_id='a').execute({})", "execute is called by hand"),
        ("a = {'xcom': 'x'}\nDAG(default_args=a)\nFivetranSensor(task_id='a')", "xcom is called completed_after_time"),
        ("K = {'retry_limit': 1}\nFivetranHook(**K)", "retry_limit is called fivetran_retry_limit"),
        ("FivetranHook(**{'timeout_seconds': 1})", "timeout_seconds is no argument"),
        ("FivetranSensor.partial().expand_kwargs([dict(xcom='x')])", "xcom is called completed_after_time"),
        ("def f(h: FivetranHook | None): h.get_groups()", "hook.get_groups does not exist"),
        ("from airflow_provider_fivetran.hooks import FivetranHookAsync", "FivetranHookAsync does not exist"),
        ("import airflow_provider_fivetran.operators.fivetran", "it is airflow_provider_fivetran.operators"),
        ("from airflow_provider_fivetran.hooks.fivetran import FivetranHook as H", "it is airflow_provider_fivetran.hooks"),
    ],
)  # fmt: skip
def test_what_cannot_work_here_is_told_of_a_file_that_imports_this_provider(code, remark):
    found = rewrite(OURS + code)
    assert found.text == OURS + code
    assert [told.once for told in found.remarks if remark in told.text] == [False]


@pytest.mark.parametrize(
    "code",
    [
        "FivetranOperator(task_id='a', connector_id='b')\nFivetranSensor(task_id='b')",
        "FivetranHook().set_schedule_type('x', 'auto').paused",
        "def f(h: FivetranHook): ...\ndef g(h): h.get_groups()",
        "h = FivetranHook()\ndef f():\n  h = OktaHook()\n  return h.get_groups()",
        "class A:\n  def f(self): self.h = FivetranHook()\nclass B:\n  def f(self): self.h.get_groups()",
        "class A(Other):\n  def execute(self, c): self.hook.get_metadata()",
        "class Mine(FivetranHook):\n  def get_connector(self): ...\n  def f(self): self.get_connector()",
        "class Mine(FivetranOperator):\n  def execute(self, context): return super().execute(context)",
        "class Mine(FivetranOperator):\n  def execute(self, context): self.fivetran_conn_id",
        "FivetranOperator(task_id='a').execute(context)",
        "a = FivetranOperator(task_id='a')\nb(a.output)\nti.xcom_pull('a')",
        "make(FivetranSensor)\nSync = FivetranOperator",
        "FivetranResyncOperator(task_id='a', **given)",
        "FivetranResyncOperator.partial(task_id='a').expand_kwargs(given)",
        "FivetranOperator(task_id='a')\nJob(json={'timeout_seconds': 3600})",
        "from airflow_provider_fivetran.operators import *",
        "from airflow_provider_fivetran.triggers import FivetranSyncEndedTrigger",
        "import airflow_provider_fivetran\nairflow_provider_fivetran.__version__\nf(airflow_provider_fivetran)",
    ],
)
def test_nothing_is_said_of_a_file_that_was_written_for_this_provider(code):
    assert rewrite(OURS + code) == Rewritten(OURS + code)


def test_arguments_of_other_names_are_rewritten_where_only_the_package_was_changed_by_hand():
    before = OURS + "FivetranSensor(task_id='a', xcom='x')\nFivetranHook('c', retry_limit=2)\n"
    assert rewrite(before) == Rewritten(
        before.replace("xcom", "completed_after_time").replace("retry_limit", "fivetran_retry_limit")
    )


EXAMPLES = sorted((Path(__file__).parents[2] / "example_dags").rglob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_nothing_is_said_of_the_example_dags(path):
    example = path.read_text(encoding="utf-8")
    assert rewrite(example) == Rewritten(example)


def test_lines_are_those_of_before_and_of_after():
    before = (
        OLD.format("sensor", "Sensor")
        + "FivetranSensor(\n    task_id='a',\n)\nx = 'fivetran_provider.hooks'\n"
    )
    [remark] = rewrite(before).remarks
    assert (remark.line, remark.new_line) == (5, 6)


@pytest.mark.parametrize(
    ("source", "line"),
    [("import fivetran_provider\nx = (\n", 3), ("print 'fivetran_provider_async'\n", 1), ("# fivetran_provider\nfor\n", 2)],
)  # fmt: skip
def test_what_is_no_python_is_left_with_a_remark(source, line):
    result = rewrite(source)
    assert result.text == source
    [remark] = result.remarks
    assert remark.text == "cannot be parsed as Python 3; left as it is"
    assert abs(remark.line - line) <= 1


@pytest.mark.parametrize(
    "value", ["(" * 5000 + ")" * 5000, "lambda:" * 5000 + "1", "+".join(["1"] * 5000), "a" + ".b" * 1500]
)
def test_what_is_nested_too_deeply_is_left_with_a_remark(value):
    source = f"import fivetran_provider_async.hooks\nx = {value}\n"
    assert rewrite(source) == Rewritten(
        source, (Remark(1, 1, "is nested too deeply to be looked at; left as it is"),)
    )


def test_what_is_no_python_and_names_no_peer_is_nobodys_business():
    assert rewrite("print 'x'").remarks == ()


# --- for any file -----------------------------------------------------------------------------------------

LINES = (
    "from fivetran_provider_async.operators import FivetranOperator",
    "from fivetran_provider_async.operators import FivetranOperator as Sync, FivetranResyncOperator",
    "from fivetran_provider_async.operators import FivetranOperator, RegistryLink",
    "from fivetran_provider_async import sensors, operators as ops",
    "from fivetran_provider_async.sensors import *",
    "import fivetran_provider_async.operators, fivetran_provider_async.triggers",
    "import fivetran_provider_async.sensors as waits",
    "from fivetran_provider.operators.fivetran import FivetranOperator",
    "from fivetran_provider_async.hooks import FivetranHook",
    "from fivetran_provider.sensors import fivetran",
    "import fivetran_provider.hooks.fivetran",
    "from airflow_provider_fivetran.operators import FivetranOperator",
    "a = FivetranOperator(task_id='a', timeout_seconds=1)",
    "b = Sync.partial(task_id='b'  ).expand(connector_id=['x'])",
    "c = sensors.FivetranSensor(task_id='c', xcom='x', reschedule_time=2)",
    "d = fivetran.FivetranSensor(task_id='d', )",
    "e = ops.FivetranOperator(**more)",
    "f = fivetran_provider_async.operators.FivetranOperator(task_id='f')",
    "g = fivetran_provider_async.triggers.FivetranTrigger",
    "h = fivetran_provider.hooks.fivetran.FivetranHook()",
    "h = waits.FivetranSensor(\n    task_id='h'\n)",
    "j = FivetranHook('c', None, timeout_seconds=1).get_connector('x')",
    "d.hook.get_groups()",
    "a.execute({})",
    "k = ops.FivetranResyncOperator(task_id='k')",
    "DAG(default_args={'xcom': 1})",
    "i = FivetranOperator(\n    task_id='i',  # é\n    # the last\n)",
    "default_args = {'fivetran_conn_id': 'c', 'xcom': 1}",
    "x = 'fivetran_provider_async'",
)


@st.composite
def programs(draw):
    """Some lines, each alone or in a function, with comments, and one way to end lines."""
    parts = []
    for number, line in enumerate(draw(st.lists(st.sampled_from(LINES), max_size=12))):
        comment = draw(st.sampled_from(["", "  # noqa: E501", "\t#é"]))
        if draw(st.booleans()):
            body = textwrap.indent(line, draw(st.sampled_from(["  ", "\t"])))
            parts.append(f"def function_{number}():\n{body}{comment}\n")
        else:
            parts.append(f"{line}{comment}\n")
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    return "".join(parts).replace("\n", newline)


def comments(source: str) -> list[str]:
    lines = io.StringIO(source.replace("\r\n", "\n").replace("\r", "\n"))
    return [
        token.string for token in tokenize.generate_tokens(lines.readline) if token.type == tokenize.COMMENT
    ]


@settings(deadline=None)
@given(programs())
def test_a_second_time_changes_nothing(source):
    once = rewrite(source).text
    assert rewrite(once).text == once


@settings(deadline=None)
@given(programs())
def test_what_is_left_to_a_person_is_told_again_by_the_next_run(source):
    first = rewrite(source)
    left = {(remark.new_line, remark.text) for remark in first.remarks if not remark.once}
    again = {(remark.line, remark.text) for remark in rewrite(first.text).remarks}
    assert left <= again


@settings(deadline=None)
@given(programs())
def test_it_stays_python_with_all_its_comments_and_line_endings(source):
    after = rewrite(source).text
    ast.parse(after)
    assert comments(after) == comments(source)
    if source:
        newline = next(end for end in ("\r\n", "\r", "\n") if end in source)
        assert not set("\r\n") & set(after.replace(newline, ""))


@settings(deadline=None)
@given(programs())
def test_what_is_rewritten_asks_for_nothing_that_is_not_here(source):
    for node in ast.walk(ast.parse(rewrite(source).text)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("airflow_provider_fivetran."):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)


@settings(deadline=None)
@given(st.text(), st.text())
def test_no_text_makes_it_fail(before, after):
    result = rewrite(f"{before}fivetran_provider_async{after}")
    assert rewrite(result.text).text == result.text
