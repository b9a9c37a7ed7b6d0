"""How rows of texts are laid out for people: side by side, or below each other where the terminal is too narrow."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import TYPE_CHECKING

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["fold", "plain", "record", "table", "terminal_width"]


def terminal_width() -> int | None:
    """How many columns the terminal has; None where stdout is none, and lines may have any length."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):  # not a terminal, or not even a file
        return None


def table(rows: Sequence[Mapping[str, str]], width: int | None) -> list[str]:
    """Lines of a table that looks like those of Airflow's commands.

    No cell is ever broken, so that an id can be copied: where the table is wider than the terminal, each row
    becomes a record instead, with an empty line before the next.
    """
    heading, *lines = _beside_each_other(rows, " | ")
    rule = "".join("+" if sign == "|" else "=" for sign in heading)
    laid_out = [heading, rule, *lines]
    if width is None or max(map(cell_len, laid_out)) <= width:
        return [line.rstrip(" ") for line in laid_out]
    return [line for row in rows for line in ("", *record(row))][1:]


def plain(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Lines of a table without lines."""
    return [line.rstrip(" ") for line in _beside_each_other(rows, "  ")]


def record(row: Mapping[str, str]) -> list[str]:
    """A line for each thing that is known of one row."""
    known = {name: cell for name, cell in row.items() if cell}
    widest = max(map(len, known), default=0)
    return [f"{name:<{widest}}  {_on_one_line(cell)}" for name, cell in known.items()]


def fold(text: str, width: int | None, *, indent: int) -> str:
    """Break a text at its spaces where the terminal ends; its first line has something else before it."""
    if width is None or width <= indent:
        return text
    whole_words = textwrap.TextWrapper(width - indent, break_long_words=False, break_on_hyphens=False)
    return f"\n{'':<{indent}}".join(whole_words.wrap(text))


def _beside_each_other(rows: Sequence[Mapping[str, str]], between: str) -> list[str]:
    lines = [list(rows[0]), *([_on_one_line(cell) for cell in row.values()] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    return [
        between.join(cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]


def _on_one_line(cell: str) -> str:
    """Text that others wrote, without what would break the line or order the terminal about."""
    return "".join(sign if sign.isprintable() else " " for sign in cell)
