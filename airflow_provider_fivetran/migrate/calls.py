"""The arguments of operators, sensors and hooks: of other names, missing, or gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from airflow_provider_fivetran.migrate.peers import OURS

if TYPE_CHECKING:
    from airflow_provider_fivetran.migrate.names import Names
    from airflow_provider_fivetran.migrate.peers import OperatorOrSo
    from airflow_provider_fivetran.migrate.source import Source

__all__ = ["Elsewhere", "rewrite_calls"]


class Elsewhere(cst.CSTVisitor):
    """What the rest of a file says about arguments: keys of dicts, which may be ``default_args``."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, cst.CSTNode] = {}
        self.names: set[str] = set()
        self.defaults: list[cst.BaseExpression] = []

    def visit_DictElement(self, node: cst.DictElement) -> None:
        if isinstance(node.key, cst.SimpleString):
            self.keys.setdefault(str(node.key.evaluated_value), node)

    def visit_Call(self, node: cst.Call) -> None:
        for arg in node.args:
            if arg.keyword is None:
                continue
            if isinstance(node.func, cst.Name) and node.func.value == "dict":
                self.keys.setdefault(arg.keyword.value, arg)
            if arg.keyword.value == "default_args":
                self.defaults.append(arg.value)

    def visit_Assign(self, node: cst.Assign) -> None:
        if self._is_dict(node.value):
            self.names |= {
                target.target.value for target in node.targets if isinstance(target.target, cst.Name)
            }

    @property
    def is_all_here(self) -> bool:
        """Whether all ``default_args`` are written out in this file."""
        return all(
            self._is_dict(value) or (isinstance(value, cst.Name) and value.value in self.names)
            for value in self.defaults
        )

    @staticmethod
    def _is_dict(value: cst.BaseExpression) -> bool:
        if isinstance(value, cst.Dict):
            return all(isinstance(element, cst.DictElement) for element in value.elements)
        return (
            isinstance(value, cst.Call)
            and isinstance(value.func, cst.Name)
            and value.func.value == "dict"
            and all(arg.keyword is not None for arg in value.args)
        )


def rewrite_calls(source: Source, names: Names) -> list[tuple[cst.Call, OperatorOrSo]]:
    """Rewrite arguments, and remark on those that a person has to look at.

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
        if any(known != found[0] for known in found):
            source.remark(
                call, "it depends on what is installed which provider this is of: its arguments are left"
            )
            continue
        made.append((call, found[0]))
        _Rewriting(source, elsewhere, call, found[0]).rewrite()
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
                self._source.remark(arg, f"{name} {why}")
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
            self._source.remark(keyword, f"{old} is called {new} here, which is given too: keep one of them")
        else:
            self._source.replace(keyword, new)

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
        if self._is_complete and self._elsewhere.is_all_here and name not in self._elsewhere.keys:
            return True
        self._source.remark(
            self._call,
            f'{self._name} took the Airflow connection "fivetran" by default, and here takes "fivetran_default": '
            "if fivetran_conn_id does not come with default_args or **, give it",
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
            self._source.remark(self._call, f"{self._name}: {self._known.remark}")
        different = [
            f"{name}={value}"
            for name, value in self._known.kept_with.items()
            if self._argument(name) is None and name not in self._elsewhere.keys
        ]
        if not different:
            return
        text = f"{self._name}: other defaults here, on purpose; as before it is with {', '.join(different)}"
        if "deferrable=True" in different:
            text += " (deferrable follows [operators] default_deferrable here; off, the wait holds a worker's slot"
            text += " and one of its pool)" if "pool" in self._given else ")"
        waits = self._known.kind == "operator" and "wait_for_completion" not in self._known.added
        if waits and self._argument("timeout") is None:
            text += "; and unless timeout says otherwise a wait ends after 24 hours"
        self._source.remark(self._call, text)


def _is_positional(arg: cst.Arg) -> bool:
    return arg.keyword is None and not arg.star


def _remark_on_default_args(source: Source, elsewhere: Elsewhere, made: list[OperatorOrSo]) -> None:
    """Keys of dicts are not rewritten: who gets them cannot be told for certain."""
    renamed = {old: new for known in made if known.kind != "hook" for old, new in known.renamed.items()}
    for old, new in renamed.items():
        if old in elsewhere.keys:
            source.remark(
                elsewhere.keys[old], f"if this is for a task of {OURS}, {old} is called {new} here: rename it"
            )
