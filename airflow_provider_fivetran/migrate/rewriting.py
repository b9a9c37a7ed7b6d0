"""From the text of a DAG file to the same for this provider, with what is left to a person."""

from __future__ import annotations

import ast
import warnings
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
    line = 1
    try:
        _check_depth(text)
        return _rewritten(text)
    except cst.ParserSyntaxError as error:
        line, why = error.raw_line, "cannot be parsed as Python 3"
    except ValueError as error:
        why = f"cannot be parsed: {error}"
    except RecursionError:
        why = "is nested too deeply to be looked at"
    return Rewritten(text, (Remark(line, line, f"{why}; left as it is"),))


def _check_depth(text: str) -> None:
    """Raise RecursionError where Python goes no deeper: libcst's parser would end the whole process there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except MemoryError as error:
            raise RecursionError from error
        except SyntaxError as error:
            if "too many nested" in error.msg:
                raise RecursionError from error
        except ValueError:  # a null byte
            pass


def _rewritten(text: str) -> Rewritten:
    source = Source.of(text)
    names = rewrite_imports(source)
    remark_on_the_rest(source, names, rewrite_calls(source, names))
    remarks = {
        Remark(source.line(offset, rewritten=False), source.line(offset, rewritten=True), remark, once)
        for offset, remark, once in source.remarks
    }
    return Rewritten(source.rewritten(), tuple(sorted(remarks)))
