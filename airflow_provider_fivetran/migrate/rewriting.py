"""From the text of a DAG file to the same for this provider, with what is left to a person."""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst

from airflow_provider_fivetran.migrate.calls import rewrite_calls
from airflow_provider_fivetran.migrate.names import rewrite_imports
from airflow_provider_fivetran.migrate.peers import CONCERNED
from airflow_provider_fivetran.migrate.remarks import remark_on_the_rest
from airflow_provider_fivetran.migrate.source import Source

__all__ = ["Remark", "Rewritten", "rewrite"]


@dataclass(frozen=True, slots=True, order=True)
class Remark:
    """Something that a person has to look at."""

    line: int
    """In the text as it was."""
    new_line: int
    """In the text as it is rewritten."""
    text: str
    once: bool = False
    """It cannot be told again when the text is rewritten: nothing in it shows what it was before."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What became of a text."""

    text: str
    remarks: tuple[Remark, ...] = ()


def rewrite(text: str) -> Rewritten:
    """Rewrite a text. One that has to do with no provider comes back as it is, and so does one that is no Python."""
    if not CONCERNED.search(text):
        return Rewritten(text)
    try:
        source = Source.of(text)
    except cst.ParserSyntaxError as error:
        line, why = error.raw_line, error.message
        return Rewritten(text, (Remark(line, line, f"cannot be parsed, and is left as it is: {why}"),))
    except (ValueError, RecursionError) as error:
        return Rewritten(text, (Remark(1, 1, f"cannot be parsed, and is left as it is: {error}"),))
    names = rewrite_imports(source)
    remark_on_the_rest(source, names, rewrite_calls(source, names))
    remarks = {
        Remark(source.line(offset, rewritten=False), source.line(offset, rewritten=True), remark, once)
        for offset, remark, once in source.remarks
    }
    return Rewritten(source.rewritten(), tuple(sorted(remarks)))
