"""The arguments of operators, sensors and hooks: of other names, missing, or gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from airflow_provider_fivetran.migrate.peers import CLASSES, OURS

if TYPE_CHECKING:
    from airflow_provider_fivetran.migrate.names import Names
    from airflow_provider_fivetran.migrate.peers import OperatorOrSo
    from airflow_provider_fivetran.migrate.source import Source

__all__ = ["Elsewhere", "rewrite_calls"]


class Elsewhere(cst.CSTVisitor):
    """What the rest of a file says about arguments: dicts, which may be ``default_args``."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, cst.CSTNode] = {}
        self._assigned: dict[str, cst.BaseExpression] = {}
        self._default_args: list[cst.BaseExpression] = []

    def visit_Dict(self, node: cst.Dict) -> None:
        self.keys = {**_keys_of(node)[0], **self.keys}

    def visit_Call(self, node: cst.Call) -> None:
        self.keys = {**_keys_of(node)[0], **self.keys}
        self._default_args += [
            arg.value for arg in node.args if arg.keyword is not None and arg.keyword.value == "default_args"
        ]

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            if isinstance(target.target, cst.Name):
                self._assigned[target.target.value] = node.value

    def gives(self, name: str) -> bool | None:
        """Whether ``default_args`` give an argument to all tasks of the file; ``None``: that cannot be told."""
        answers = {self._has(value, name) for value in self._default_args}
        if answers == {True}:
            return True
        return None if answers - {False} or name in self.keys else False

    def default_args(self) -> list[tuple[str, cst.CSTNode]]:
        """What ``default_args`` have, so far as it is written out."""
        return [item for value in self._default_args for item in self.items(value)]

    def items(self, value: cst.BaseExpression) -> list[tuple[str, cst.CSTNode]]:
        """The keys of a dict, or of those of a list, with where they stand, so far as it is written out."""
        value = self._value(value)
        if isinstance(value, cst.List | cst.Tuple):
            return [item for element in value.elements for item in self.items(element.value)]
        return list(_keys_of(value)[0].items())

    def _value(self, value: cst.BaseExpression) -> cst.BaseExpression:
        """What was assigned to a name."""
        return self._assigned.get(value.value, value) if isinstance(value, cst.Name) else value

    def _has(self, value: cst.BaseExpression, name: str) -> bool | None:
        keys, all_known = _keys_of(self._value(value))
        return True if name in keys else False if all_known else None


def _keys_of(value: cst.BaseExpression) -> tuple[dict[str, cst.CSTNode], bool]:
    """The keys of a dict that is written out, and whether these are all that it has."""
    if isinstance(value, cst.Dict):
        keys = {
            str(element.key.evaluated_value): element
            for element in value.elements
            if isinstance(element, cst.DictElement) and isinstance(element.key, cst.SimpleString)
        }
        return dict(keys), len(keys) == len(value.elements)
    if isinstance(value, cst.Call) and isinstance(value.func, cst.Name) and value.func.value == "dict":
        named = {arg.keyword.value: arg for arg in value.args if arg.keyword is not None}
        return dict(named), len(named) == len(value.args)
    return {}, False


def rewrite_calls(source: Source, names: Names) -> list[tuple[cst.Call, OperatorOrSo]]:
    """Rewrite arguments, those of our own classes too, and remark on those that a person has to look at.

    :return: the calls that make an operator, a sensor or a hook.
    """
    elsewhere = Elsewhere()
    source.module.visit(elsewhere)
    finder = _Calls()
    source.module.visit(finder)
    made = []
    for call in finder.calls:
        found = [known for known, rest in names.classes_of(call.func) if rest in {"", "partial"}]
        if not found:
            continue
        known = found[0]
        if any(other != known for other in found):
            source.remark(
                call,
                "which provider this was written for depended on what was installed: its defaults differ from those "
                "of both, and are left to you",
                once=True,
            )
            known = CLASSES[known.here]
        made.append((call, known))
        _Rewriting(source, elsewhere, call, known).rewrite()
    _remark_on_default_args(source, elsewhere, [known for _call, known in made])
    return made


class _Calls(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[cst.Call] = []

    def visit_Call(self, node: cst.Call) -> None:
        self.calls.append(node)


class _Rewriting:
    """One call, and that of ``expand`` behind it, if it is mapped."""

    def __init__(self, source: Source, elsewhere: Elsewhere, call: cst.Call, known: OperatorOrSo) -> None:
        self._source, self._elsewhere, self._call, self._known = source, elsewhere, call, known
        self._args = [*call.args, *self._expanded()]
        self._given = {arg.keyword.value: arg for arg in self._args if arg.keyword is not None}
        self._name = known.here.rpartition(".")[2]

    def rewrite(self) -> None:
        for old, new in self._known.renamed.items():
            self._rename(old, new)
        for name, why in self._known.gone.items():
            arg = self._argument(name)
            if arg is not None:
                self._source.remark(arg, f"{self._name}: {name} {why}")
        self._remark_on_unpacked()
        if self._known.kind == "hook" and len([arg for arg in self._call.args if _is_positional(arg)]) > 1:
            self._source.remark(
                self._call, f"{self._name} takes only fivetran_conn_id by position; name the rest"
            )
        self._add([(name, value) for name, value in self._known.added.items() if self._is_to_be_added(name)])
        self._remark()

    def _expanded(self) -> list[cst.Arg]:
        parents = self._source.parents(self._call)
        attribute, outer = next(parents, None), next(parents, None)
        if (
            isinstance(attribute, cst.Attribute)
            and attribute.attr.value in {"expand", "expand_kwargs"}
            and isinstance(outer, cst.Call)
        ):
            # What expand_kwargs gets cannot be read here.
            return [
                arg if attribute.attr.value == "expand" else arg.with_changes(star="**") for arg in outer.args
            ]
        return []

    def _argument(self, name: str) -> cst.Arg | None:
        """The argument of that name, or the one that gets it."""
        was = {new: old for old, new in self._known.renamed.items()}.get(name)
        return self._given.get(name) or (self._given.get(was) if was else None)

    def _rename(self, old: str, new: str) -> None:
        if old not in self._given:
            return
        keyword = self._given[old].keyword
        assert keyword is not None  # noqa: S101  # or else it would not have been found
        if new in self._given:
            self._source.remark(
                keyword, f"{old} is called {new} in this provider, and both are given: keep one of them"
            )
        else:
            self._source.replace(keyword, new)

    def _remark_on_unpacked(self) -> None:
        """Keys of dicts are not rewritten: others may read them too."""
        items = [item for arg in self._args if arg.star == "**" for item in self._elsewhere.items(arg.value)]
        for key, node in items:
            if key in self._known.renamed:
                new = self._known.renamed[key]
                self._source.remark(node, f"{self._name}: {key} is called {new} in this provider: rename it")
            elif key in self._known.gone:
                self._source.remark(node, f"{self._name}: {key} {self._known.gone[key]}")

    # --- what is missing --------------------------------------------------------------------------------------

    @property
    def _is_complete(self) -> bool:
        """Whether all that the call gets stands in it."""
        return not any(arg.star for arg in self._args)

    def _is_to_be_added(self, name: str) -> bool:
        if self._argument(name) is not None:
            return False
        if name != "fivetran_conn_id":
            return True
        if self._known.kind == "hook":
            return self._is_complete and not self._call.args
        given = self._elsewhere.gives(name) if self._is_complete else None
        if given is not None:
            return not given
        self._source.remark(
            self._call,
            f'{self._name}: the Airflow connection was "fivetran" by default, and is "fivetran_default" in this '
            'provider: give fivetran_conn_id="fivetran", unless default_args or ** give one',
            once=True,
        )
        return False

    def _add(self, arguments: list[tuple[str, str]]) -> None:
        texts = [f"{name}={value}" for name, value in arguments]
        if not texts:
            return
        if not self._call.args:
            self._source.insert(self._source.end(self._call) - 1, ", ".join(texts))
            return
        last = self._call.args[-1]
        comma = last.comma if isinstance(last.comma, cst.Comma) else None
        space = self._source.code(comma.whitespace_after if comma else last.whitespace_after_arg)
        end = self._source.end(comma or last)
        if "\n" not in space and "\r" not in space:
            self._source.insert(end, (" " if comma else ", ") + ", ".join(texts) + ("," if comma else ""))
            return
        if comma is None:
            self._source.insert(end, ",")
        rest_of_line = space.splitlines()[0]
        newline = self._source.module.default_newline
        lines = "".join(f"{newline}{self._indentation(last)}{text}," for text in texts)
        self._source.insert(end + len(rest_of_line.encode()), lines)

    def _indentation(self, node: cst.CSTNode) -> str:
        before = self._source.text[: self._source.start(node)].decode()
        line = before.replace("\r", "\n").rpartition("\n")[2]
        return line[: len(line) - len(line.lstrip(" \t"))]

    # --- what differs -----------------------------------------------------------------------------------------

    def _remark(self) -> None:
        if self._known.remark and "wait_for_completion" not in self._given:
            self._source.remark(self._call, f"{self._name}: {self._known.remark}", once=True)
        choices = self._known.one_of
        # What ** gives cannot be read here, and may well be what a call of ours seems to lack.
        is_judged = self._is_complete or not self._known.is_ours
        is_given = any(self._argument(name) or name in self._elsewhere.keys for name in choices)
        if choices and is_judged and not is_given:
            self._source.remark(
                self._call, f"{self._name}: {self._unconfirmed()}", once=not self._is_complete
            )
        different = [
            f"{name}={value}"
            for name, value in self._known.kept_with.items()
            if self._argument(name) is None and name not in self._elsewhere.keys
        ]
        if not different:
            return
        text = f"{self._name}: this provider has other defaults, on purpose; to keep the old ones add "
        text += ", ".join(different)
        if "deferrable=True" in different:
            text += (
                " (without it, deferrable follows [operators] default_deferrable; where that is off, the wait"
            )
            text += (
                " holds a worker's slot and one of its pool)"
                if "pool" in self._given
                else " holds a worker's slot)"
            )
        waits = self._known.kind == "operator" and "wait_for_completion" not in self._known.added
        if waits and self._argument("timeout") is None:
            text += (
                "; a wait ends after 24 hours (7 days for a historical sync) unless timeout says otherwise"
            )
        self._source.remark(self._call, text, once=True)

    def _unconfirmed(self) -> str:
        called = self._argument("connector_id") or self._argument("connector_name")
        value = self._source.code(called.value) if called else "what connector_id is"
        return (
            "without scope it loads everything in the connection anew, which this provider wants confirmed: if that "
            f"is meant, add confirm={value}"
        )


def _is_positional(arg: cst.Arg) -> bool:
    return arg.keyword is None and not arg.star


def _remark_on_default_args(source: Source, elsewhere: Elsewhere, made: list[OperatorOrSo]) -> None:
    """Keys of dicts are not rewritten: which task gets them cannot be told for certain."""
    renamed = {old: new for known in made if known.kind != "hook" for old, new in known.renamed.items()}
    for key, node in elsewhere.default_args():
        if key in renamed:
            source.remark(
                node,
                f"{key} is called {renamed[key]} in {OURS}, whose tasks ignore the old name in default_args: "
                "rename it, if it is for them",
            )
