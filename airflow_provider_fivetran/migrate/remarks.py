"""What no rule can rewrite: subclasses, names in texts, methods that are not here, results of another form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst
from libcst import matchers

from airflow_provider_fivetran.migrate.peers import (
    CLASSES,
    DISTRIBUTION,
    HERE_TOO,
    HOOK_MEMBERS,
    MENTION,
    OLD,
    OURS,
)
from airflow_provider_fivetran.migrate.source import dotted_name

if TYPE_CHECKING:
    from airflow_provider_fivetran.migrate.names import Names
    from airflow_provider_fivetran.migrate.peers import OperatorOrSo
    from airflow_provider_fivetran.migrate.source import Source

__all__ = ["remark_on_the_rest"]

_RESULT = (
    "the result of {} is always the time at which its sync ended in this provider, as a text in ISO 8601; it could "
    "be None before, or the time of an earlier sync"
)
_HOOK = CLASSES[f"{OURS}.hooks.FivetranHook"]
_TIMES = {"completed_after_time", "xcom"}


def remark_on_the_rest(source: Source, names: Names, calls: list[tuple[cst.Call, OperatorOrSo]]) -> None:
    """Remark on what a person has to look at."""
    source.module.visit(_Rest(source, names, calls))
    for use in names.uses:
        known = [known for known, rest in names.classes_of(use.node) if rest in {"", "partial"}]
        if known and not known[0].is_ours and _is_passed_on(source, use.node):
            source.remark(
                use.node,
                f"{_name(known[0])} is passed on: look at the arguments it is called with, which is not followed",
                once=True,
            )


def _is_passed_on(source: Source, node: cst.CSTNode) -> bool:
    """Whether a class is a value here, and is neither called nor only asked what it is."""
    parent, *others = source.parents(node)
    if isinstance(parent, cst.Call | cst.Expr | cst.AssignTarget | cst.Comparison | cst.Del):
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


def _name(known: OperatorOrSo) -> str:
    return known.here.rpartition(".")[2]


class _Rest(cst.CSTVisitor):
    def __init__(self, source: Source, names: Names, calls: list[tuple[cst.Call, OperatorOrSo]]) -> None:
        super().__init__()
        self._source, self._names = source, names
        self._calls = dict(calls)
        self._variables = {name: known for call, known in calls for name in self._assigned(call)}
        self._subclasses: set[str] = set()
        self._own: set[str] = set()
        self._task_ids = {
            task_id
            for call, known in calls
            if known.kind == "operator" and not known.is_ours
            for task_id in _task_ids(call)
        }

    def _assigned(self, call: cst.Call) -> list[str]:
        """The variables that get what a call returns."""
        parent = next(self._source.parents(call), None)
        targets: list[cst.CSTNode] = []
        if isinstance(parent, cst.Assign):
            targets = [target.target for target in parent.targets]
        elif isinstance(parent, cst.AnnAssign | cst.NamedExpr):
            targets = [parent.target]
        elif isinstance(parent, cst.WithItem) and parent.asname is not None:
            targets = [parent.asname.name]
        return [name for name in map(self._source.variable, targets) if name]

    def visit_Param(self, node: cst.Param) -> None:
        if node.annotation is not None:
            self._note(node.name, node.annotation.annotation)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._note(node.target, node.annotation.annotation)

    def _note(self, variable: cst.CSTNode, annotation: cst.CSTNode) -> None:
        """Remember what a variable holds."""
        for part in matchers.findall(annotation, matchers.Name() | matchers.Attribute()):
            for known, rest in self._names.classes_of(part):
                if not rest:
                    self._variables[self._source.variable(variable)] = known

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        variable = self._source.variable(node.name)
        own = [part for part in node.body.body if isinstance(part, cst.FunctionDef)]
        self._own |= {self._source.variable(function.name) for function in own}
        for base in node.bases:
            for known, rest in self._names.classes_of(base.value):
                if rest:
                    continue
                if known.kind == "hook":
                    self._variables[variable] = known  # its self is one
                else:
                    self._subclasses.add(variable)
                if not known.is_ours:
                    self._source.remark(
                        node,
                        f"{node.name.value} is a subclass of {_name(known)}, which is another class in this "
                        "provider: see whether what it overrides or calls is still there",
                        once=True,
                    )

    def visit_Attribute(self, node: cst.Attribute) -> None:
        name, known = node.attr.value, self._made(node.value)
        if known is None:
            return
        if known.kind == "hook":
            if name in HOOK_MEMBERS and not (known.is_ours and name in HERE_TOO) and not self._is_own(node):
                self._source.remark(node, f"hook.{name} {HOOK_MEMBERS[name]}", once=name in HERE_TOO)
        elif name == "execute":
            self._remark_on_execute(node, known)
        elif name == "hook":
            self._source.remark(
                node,
                f"{_name(known)} has no hook in this provider: make a FivetranHook with its fivetran_conn_id",
            )
        elif (
            name == "output" and known.kind == "operator" and not known.is_ours and not self._is_a_time(node)
        ):
            self._source.remark(node, _RESULT.format(self._source.code(node.value)), once=True)

    def _is_own(self, node: cst.Attribute) -> bool:
        """Whether a subclass in the file has that method itself."""
        return self._source.variable(node) in self._own

    def _made(self, node: cst.CSTNode) -> OperatorOrSo | None:
        """Of which class an object is, the hook of a task included."""
        if isinstance(node, cst.Call):
            return self._calls.get(node)
        found = self._variables.get(self._source.variable(node))
        if found is None and isinstance(node, cst.Attribute) and node.attr.value == "hook":
            is_of_a_task = self._made(node.value) or self._source.variable(node.value) in self._subclasses
            return _HOOK if is_of_a_task else None
        return found

    def _remark_on_execute(self, node: cst.Attribute, known: OperatorOrSo) -> None:
        call = next(self._source.parents(node))
        has_context = not isinstance(call, cst.Call) or any(
            self._source.code(arg.value) not in {"{}", "dict()", "None"} for arg in call.args
        )
        if not (known.is_ours and has_context):
            self._source.remark(
                node,
                "execute is called by hand: in this provider it needs the context of the running task",
                once=has_context,
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
                self._source.remark(node, _RESULT.format(task_id), once=True)

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
            self._source.remark(
                node, f"{telling[0]} is named in a text, which is left as it is: change it if it has to"
            )


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
