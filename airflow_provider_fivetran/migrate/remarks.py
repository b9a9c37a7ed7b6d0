"""What no rule can rewrite: subclasses, names in texts, methods that are not here, results of another form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from airflow_provider_fivetran.migrate.peers import DISTRIBUTION, HOOK_METHODS, MENTION, OLD
from airflow_provider_fivetran.migrate.source import dotted_name

if TYPE_CHECKING:
    from airflow_provider_fivetran.migrate.names import Names
    from airflow_provider_fivetran.migrate.peers import OperatorOrSo
    from airflow_provider_fivetran.migrate.source import Source

__all__ = ["remark_on_the_rest"]

_RESULT = (
    "the result of {} is always the time at which its sync ended, as a text in ISO 8601, where it could be None, or "
    "the time of the sync before"
)
_TIMES = {"completed_after_time", "xcom"}


def remark_on_the_rest(source: Source, names: Names, calls: list[tuple[cst.Call, OperatorOrSo]]) -> None:
    """Remark on what a person has to look at."""
    source.module.visit(_Rest(source, names, calls))
    for use in names.uses:
        known = [known for known, rest in names.classes_of(use.node) if rest in {"", "partial"}]
        if known and _is_passed_on(source, use.node):
            name = known[0].here.rpartition(".")[2]
            source.remark(use.node, f"{name} is passed on: what it is called with is not followed")


def _is_passed_on(source: Source, node: cst.CSTNode) -> bool:
    """Whether a class is a value here, and is neither called nor only asked what it is."""
    parent, *others = source.parents(node)
    if isinstance(parent, cst.Call | cst.Expr | cst.AssignTarget | cst.Comparison):
        return False
    if isinstance(parent, cst.If | cst.IfExp) and parent.test is node:
        return False
    if any(isinstance(other, cst.Annotation) for other in (parent, *others)):
        return False
    if isinstance(parent, cst.Arg):
        owner = others[0]
        is_asked = isinstance(owner, cst.Call) and dotted_name(owner.func) in {"isinstance", "issubclass"}
        return not is_asked and not isinstance(owner, cst.ClassDef)
    return True


class _Rest(cst.CSTVisitor):
    def __init__(self, source: Source, names: Names, calls: list[tuple[cst.Call, OperatorOrSo]]) -> None:
        super().__init__()
        self._source, self._names = source, names
        operators = [call for call, known in calls if known.kind == "operator"]
        self._tasks = [call for call, known in calls if known.kind != "hook"]
        self._operators = {name for call in operators for name in self._assigned(call)}
        self._task_ids = {task_id for call in operators for task_id in _task_ids(call)}
        self._hook_calls = [call for call, known in calls if known.kind == "hook"]
        self._hooks = {name for call in self._hook_calls for name in self._assigned(call)}

    def _assigned(self, call: cst.Call) -> list[str]:
        """The names and attributes that get what a call returns."""
        for parent in self._source.parents(call):
            if isinstance(parent, cst.Assign) and parent.value is call:
                return [self._source.code(target.target) for target in parent.targets]
            if isinstance(parent, cst.AnnAssign | cst.NamedExpr) and parent.value is call:
                return [self._source.code(parent.target)]
        return []

    def visit_Param(self, node: cst.Param) -> None:
        if node.annotation is not None and self._is_hook(node.annotation.annotation):
            self._hooks.add(node.name.value)

    def _is_hook(self, node: cst.CSTNode) -> bool:
        return any(known.kind == "hook" and not rest for known, rest in self._names.classes_of(node))

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        for base in node.bases:
            for known, rest in self._names.classes_of(base.value):
                if not rest:
                    parent = known.here.rpartition(".")[2]
                    self._source.remark(
                        node,
                        f"{node.name.value} is a {parent} of its own making: inside, {parent} is another one here",
                    )

    def visit_Attribute(self, node: cst.Attribute) -> None:
        owner, name = self._source.code(node.value), node.attr.value
        is_hook = (
            owner in self._hooks
            or node.value in self._hook_calls
            or (isinstance(node.value, cst.Attribute) and node.value.attr.value == "hook")
        )
        if is_hook and name in HOOK_METHODS:
            self._source.remark(node, f"{name}: {HOOK_METHODS[name]}")
        elif name == "execute" and (node.value in self._tasks or owner in self._operators):
            self._source.remark(
                node, "execute is called by hand, which here needs the context of a running task"
            )
        elif owner in self._operators and name == "output" and not self._is_a_time(node):
            self._source.remark(node, _RESULT.format(owner))
        elif owner in self._operators and name == "hook":
            self._source.remark(
                node, f"{owner} has no hook here: make a FivetranHook of its fivetran_conn_id"
            )

    def visit_Call(self, node: cst.Call) -> None:
        if isinstance(node.func, cst.Attribute) and node.func.attr.value == "xcom_pull":
            pulled = [str(string.evaluated_value) for arg in node.args for string in _strings(arg.value)]
            self._remark_on_results(node, pulled)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        text = str(node.evaluated_value)
        if "xcom_pull" in text:
            self._remark_on_results(
                node,
                [task_id for task_id in self._task_ids if f"'{task_id}'" in text or f'"{task_id}"' in text],
            )
        self._remark_on_mention(node, text)

    def visit_FormattedStringText(self, node: cst.FormattedStringText) -> None:
        self._remark_on_mention(node, node.value)

    def _remark_on_results(self, node: cst.CSTNode, pulled: list[str]) -> None:
        for task_id in sorted(self._task_ids & set(pulled)):
            if not self._is_a_time(node):
                self._source.remark(node, _RESULT.format(task_id))

    def _is_a_time(self, node: cst.CSTNode) -> bool:
        """Whether a sensor gets it, for which it is made."""
        return any(
            isinstance(parent, cst.Arg) and parent.keyword is not None and parent.keyword.value in _TIMES
            for parent in self._source.parents(node)
        )

    def _remark_on_mention(self, node: cst.CSTNode, text: str) -> None:
        if isinstance(next(self._source.parents(node), None), cst.Expr):  # a docstring
            return
        mentions = [*MENTION.findall(text), *([DISTRIBUTION] if DISTRIBUTION in text else [])]
        # The older one's name alone may be anything: a tag, a folder.
        telling = [name for name in mentions if name != OLD or text.strip(".") == OLD]
        if telling:
            self._source.remark(node, f"{telling[0]} stands in a text, which is left as it is")


def _task_ids(call: cst.Call) -> list[str]:
    return [
        str(string.evaluated_value)
        for arg in call.args
        if arg.keyword is not None and arg.keyword.value == "task_id"
        for string in _strings(arg.value)
    ]


def _strings(node: cst.BaseExpression) -> list[cst.SimpleString]:
    """The texts that an expression is made of: one, or those of a list."""
    if isinstance(node, cst.SimpleString):
        return [node]
    if isinstance(node, cst.List | cst.Tuple):
        return [text for element in node.elements for text in _strings(element.value)]
    return []
