"""The text of a file, what libcst knows about it, and the changes and remarks that are collected for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from libcst import Attribute, MetadataWrapper, Name, parse_module
from libcst.metadata import (
    ByteSpanPositionProvider,
    ParentNodeProvider,
    QualifiedNameProvider,
    QualifiedNameSource,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from libcst import CSTNode, ImportFrom, Module
    from libcst.metadata import QualifiedName

__all__ = ["Source", "chain_of", "dotted_name", "module_of"]

OF_SELF = re.compile(r"^(.+)\.\w+\.<locals>\.(?:self|cls)\b(?!\.<)")
NEWLINE = re.compile(rb"\r\n?|\n")


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces what stands between two offsets."""

    start: int
    end: int
    text: bytes


@dataclass
class Source:
    """A parsed file. Offsets count the bytes of the text in UTF-8, whatever encoding the file has."""

    module: Module
    text: bytes
    edits: list[Edit] = field(default_factory=list)
    remarks: list[tuple[int, str, bool]] = field(default_factory=list)

    @classmethod
    def of(cls, text: str) -> Source:
        """Parse a text.

        :raises libcst.ParserSyntaxError: it is no Python that libcst knows.
        :raises ValueError: it would not come out of libcst as it went in.
        """
        module = parse_module(text)
        if module.code != text:
            raise ValueError("libcst would not give back its text unchanged")
        return cls(module, text.encode())

    def __post_init__(self) -> None:
        wrapper = MetadataWrapper(self.module, unsafe_skip_copy=True)
        self._spans: Mapping[CSTNode, Any] = wrapper.resolve(ByteSpanPositionProvider)
        self._parents: Mapping[CSTNode, CSTNode] = wrapper.resolve(ParentNodeProvider)
        self._names: Mapping[CSTNode, Any] = wrapper.resolve(QualifiedNameProvider)

    def start(self, node: CSTNode) -> int:
        """Where a node begins."""
        return int(self._spans[node].start)

    def end(self, node: CSTNode) -> int:
        """Where a node has ended."""
        return int(self._spans[node].start + self._spans[node].length)

    def parents(self, node: CSTNode) -> Iterator[CSTNode]:
        """All that a node is part of, the nearest first."""
        parent = self._parents.get(node)
        while parent is not None:
            yield parent
            parent = self._parents.get(parent)

    def imported_names(self, node: CSTNode) -> list[str]:
        """The dotted names of what a name or an attribute may stand for, so far as it was imported."""
        return sorted(name.name for name in self._named(node) if name.source is QualifiedNameSource.IMPORT)

    def _named(self, node: CSTNode) -> Collection[QualifiedName]:
        found = self._names.get(node) or ()
        return found() if callable(found) else found  # worked out when it is asked for

    def variable(self, node: CSTNode) -> str:
        """What a name, or an attribute of it, is called throughout its scope; empty if nothing in the file gives it.

        An attribute of ``self`` is one of the class, in all of its methods.
        """
        local = (name.name for name in self._named(node) if name.source is QualifiedNameSource.LOCAL)
        return OF_SELF.sub(r"\1", next(iter(sorted(local)), ""))

    def code(self, node: CSTNode) -> str:
        """A node as it stands in the file."""
        return self.module.code_for_node(node)

    # --- what is to be done -----------------------------------------------------------------------------------

    def replace(self, node: CSTNode, text: str) -> None:
        """Put another text in the place of a node."""
        self.edits.append(Edit(self.start(node), self.end(node), text.encode()))

    def insert(self, offset: int, text: str) -> None:
        """Put a text in."""
        self.edits.append(Edit(offset, offset, text.encode()))

    def remark(self, node: CSTNode, text: str, *, once: bool = False) -> None:
        """Leave something to a person; ``once``: nothing of it is to be seen in the text when it is rewritten."""
        self.remarks.append((self.start(node), text, once))

    def rewritten(self) -> str:
        """The text with all edits."""
        pieces, done = [], 0
        for edit in sorted(self.edits, key=lambda edit: (edit.start, edit.end)):
            pieces += [self.text[done : edit.start], edit.text]
            done = edit.end
        return b"".join([*pieces, self.text[done:]]).decode()

    def line(self, offset: int, *, rewritten: bool) -> int:
        """The number of a line, in the text as it was or as it is rewritten."""
        before = [self.text[:offset]]
        if rewritten:
            before += [edit.text for edit in self.edits if edit.start < offset]
        return 1 + sum(len(NEWLINE.findall(text)) for text in before)


def chain_of(node: CSTNode) -> list[Attribute | Name]:
    """A dotted name, and the parts that it begins with, the longest first; empty if it is something else."""
    parts: list[Attribute | Name] = []
    while isinstance(node, Attribute):
        parts.append(node)
        node = node.value
    return [*parts, node] if isinstance(node, Name) else []


def dotted_name(node: CSTNode) -> str:
    """``a.b.c`` without any space; empty if it is something else."""
    names = [part.attr.value if isinstance(part, Attribute) else part.value for part in chain_of(node)]
    return ".".join(reversed(names))


def module_of(statement: ImportFrom) -> str:
    """The module that names are imported from; empty for a relative one."""
    return "" if statement.relative or statement.module is None else dotted_name(statement.module)
