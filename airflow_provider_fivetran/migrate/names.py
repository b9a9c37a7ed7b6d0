"""Imports of the peers' modules and classes, and the places where these or our own are used under whatever name.

An import is rewritten only if everything that the file takes from it is here; otherwise it is left, with all that
uses it, for a person to look at first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from airflow_provider_fivetran.migrate.peers import CLASSES, MODULES, is_missing_here, is_of_a_peer, why_gone
from airflow_provider_fivetran.migrate.source import chain_of, dotted_name, module_of

if TYPE_CHECKING:
    from airflow_provider_fivetran.migrate.peers import OperatorOrSo
    from airflow_provider_fivetran.migrate.source import Source

__all__ = ["Names", "Use", "rewrite_imports"]


@dataclass(frozen=True, slots=True)
class Import:
    """One name that an import statement brings into the file."""

    statement: cst.Import | cst.ImportFrom
    alias: cst.ImportAlias
    dotted: str
    local: str
    """The name under which it is used, or the first part of that."""

    @property
    def here(self) -> str | None:
        """What it is called here; ``None``: it is not here."""
        known = CLASSES.get(self.dotted)
        return known.here if known else MODULES.get(self.dotted)


@dataclass(frozen=True, slots=True)
class Use:
    """A place where something is used that was imported from a peer, or one of our classes."""

    node: cst.BaseExpression
    dotted: tuple[str, ...]
    """What it may stand for; several, if several imports bring the same name."""
    local: str

    @property
    def classes(self) -> list[tuple[OperatorOrSo, str]]:
        """The classes that it may stand for, each with what is asked of it, such as ``partial``.

        Ours beside one of a peer is the same, imported where this package is installed already.
        """
        found = []
        for dotted in self.dotted:
            for name, known in CLASSES.items():
                if _leads_into(dotted, name):
                    found.append((known, dotted.removeprefix(name).removeprefix(".")))
        return [(known, rest) for known, rest in found if not known.is_ours] or found

    @property
    def reasons(self) -> list[str]:
        """Why it cannot be rewritten."""
        return [
            f"the module {dotted} is passed around, which is not followed: left as it is"
            if dotted in MODULES
            else why_gone(dotted)
            for dotted in self.dotted
            if not any(_leads_into(dotted, name) for name in CLASSES)
        ]


def _leads_into(dotted: str, name: str) -> bool:
    return f"{dotted}.".startswith(f"{name}.")


@dataclass
class Names:
    """All imports from peers in a file, and all that uses them or our classes."""

    imports: list[Import] = field(default_factory=list)
    stars: list[cst.ImportFrom] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    """Local names that are not rewritten."""

    def classes_of(self, node: cst.CSTNode) -> list[tuple[OperatorOrSo, str]]:
        """What :attr:`Use.classes` says of a node; empty also if it is left as it is."""
        for use in self.uses:
            if use.node is node and use.local not in self.left:
                return use.classes
        return []


def rewrite_imports(source: Source) -> Names:
    """Rewrite what can be, and remark on the rest."""
    finder = _Finder(source)
    source.module.visit(finder)
    names = finder.names
    for star in names.stars:
        source.remark(
            star,
            f"import * does not say which names of {module_of(star)} are used: left as it is; import them by name, "
            "and run this again",
        )
    _settle(source, names)
    for statement in _statements(names):
        _rewrite_statement(source, names, statement)
    for use in names.uses:
        if use.local not in names.left:
            _rewrite_use(source, use)
    return names


class _Finder(cst.CSTVisitor):
    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self.names = Names()

    def visit_Import(self, node: cst.Import) -> bool:
        for alias in node.names:
            dotted = dotted_name(alias.name)
            if is_missing_here(dotted):
                self._source.remark(alias, why_gone(dotted))
            elif is_of_a_peer(dotted):
                local = alias.evaluated_alias or dotted.partition(".")[0]
                self.names.imports.append(Import(node, alias, dotted, local))
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        module = module_of(node)
        if not is_of_a_peer(module):
            self._remark_on_missing(node, module)
            return False
        if isinstance(node.names, cst.ImportStar):
            self.names.stars.append(node)
            return False
        for alias in node.names:
            name = alias.evaluated_name
            self.names.imports.append(Import(node, alias, f"{module}.{name}", alias.evaluated_alias or name))
        return False

    def _remark_on_missing(self, node: cst.ImportFrom, module: str) -> None:
        if isinstance(node.names, cst.ImportStar):
            return
        for alias in node.names:
            dotted = f"{module}.{alias.evaluated_name}"
            if is_missing_here(dotted):
                self._source.remark(alias, why_gone(dotted))

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        return not self._note_use(node)

    def visit_Name(self, node: cst.Name) -> None:
        self._note_use(node)

    def _note_use(self, node: cst.Attribute | cst.Name) -> bool:
        dotted = tuple(
            name
            for name in self._source.imported_names(node)
            if is_of_a_peer(name) or any(_leads_into(name, known) for known in CLASSES)
        )
        chain = chain_of(node)
        if not dotted or not chain:
            return False
        self.names.uses.append(Use(node, dotted, dotted_name(chain[-1])))
        return True


def _statements(names: Names) -> list[cst.Import | cst.ImportFrom]:
    return list({id(found.statement): found.statement for found in names.imports}.values())


def _settle(source: Source, names: Names) -> None:
    """Find out which local names have to be left, and remark on why."""
    for found in names.imports:
        if found.here is None:
            names.left.add(found.local)
            source.remark(found.alias, why_gone(found.dotted))
    for use in names.uses:
        if use.reasons and use.local not in {found.local for found in names.imports if found.here is None}:
            source.remark(use.node, "; ".join(use.reasons))
            names.left.add(use.local)
    # Names that one statement imports from one module stay together.
    while True:
        together = {
            found.local
            for found in names.imports
            for other in names.imports
            if other.statement is found.statement
            and isinstance(found.statement, cst.ImportFrom)
            and other.local in names.left
        }
        if together <= names.left:
            return
        names.left |= together


def _rewrite_statement(source: Source, names: Names, statement: cst.Import | cst.ImportFrom) -> None:
    imports = [found for found in names.imports if found.statement is statement]
    kept = [found for found in imports if found.local in names.left]
    left = [found.local for found in kept if found.here is not None]
    if left:
        source.remark(
            statement,
            f"the import of {', '.join(left)} is left as it is, with all that uses it: remove what this provider "
            "does not have, and run this again",
        )
    if isinstance(statement, cst.ImportFrom):
        if not kept:
            _rewrite_from(source, statement, imports)
        return
    for found in imports:
        if found.local not in names.left:
            source.replace(found.alias.name, str(found.here))


def _rewrite_from(source: Source, statement: cst.ImportFrom, imports: list[Import]) -> None:
    assert statement.module is not None  # noqa: S101  # a relative import is none of a peer
    source.replace(statement.module, str(imports[0].here).rpartition(".")[0])
    for found in imports:
        name = str(found.here).rpartition(".")[2]
        if name != found.alias.evaluated_name:  # of a module that is called otherwise here
            renaming = "" if found.alias.asname else f" as {found.local}"
            source.replace(found.alias.name, f"{name}{renaming}")


def _rewrite_use(source: Source, use: Use) -> None:
    """Only what spells out the module changes: classes have the same names here."""
    for part in chain_of(use.node):
        name = dotted_name(part)
        if name in MODULES and any(f"{dotted}.".startswith(f"{name}.") for dotted in use.dotted):
            source.replace(part, MODULES[name])
            return
