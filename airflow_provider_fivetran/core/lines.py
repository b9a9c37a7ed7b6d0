"""One text of bounded length about many things: a line for each, and a word about the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MOST_IN_LINES", "connections", "in_lines"]

# Characters. Airflow shows an error text in one piece; logs and pagers cut longer ones off.
MOST_IN_LINES = 6000


def in_lines(head: str, texts: Sequence[str], *, rest: Callable[[int, int], str] | None = None) -> str:
    """A line for each text, at least for the first; then how many more there are.

    :param rest: what to say of them instead; it is given how many have a line, and how long the text is so far.
    """
    lines, length = [head], len(head)
    for shown, text in enumerate(texts):
        if shown and length + len(text) >= MOST_IN_LINES:
            lines.append(f"- {rest(shown, length) if rest else f'and {len(texts) - shown} more'}")
            break
        lines.append(f"- {text}")
        length += len(text) + 3
    return "\n".join(lines)


def connections(count: int) -> str:
    """So many of them, in words."""
    return f"{count} Fivetran connection{'' if count == 1 else 's'}"
