"""What the command says is here, is here: its tables are compared with the classes themselves."""

from __future__ import annotations

import ast
import importlib
import inspect
import re

import pytest

from airflow_provider_fivetran.migrate.peers import (
    CLASSES,
    HERE_TOO,
    HOOK_MEMBERS,
    MODULES,
    MISSING_HERE,
    is_of_a_peer,
    why_gone,
)


def resolved(dotted: str) -> type:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def arguments_of(cls: type) -> dict[str, inspect.Parameter]:
    found = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("airflow_provider_fivetran") and "__init__" in vars(base):
            found |= inspect.signature(vars(base)["__init__"]).parameters
    return found


@pytest.mark.parametrize("module", sorted(set(MODULES.values())))
def test_modules_are_here(module):
    assert importlib.import_module(module)


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_here_with_the_arguments_that_are_named(name):
    known = CLASSES[name]
    arguments = arguments_of(resolved(known.here))
    assert known.is_ours is (name == known.here)
    assert known.is_ours or name.rpartition(".")[0] in MODULES
    assert known.is_ours or MODULES[name.rpartition(".")[0]] == known.here.rpartition(".")[0]
    assert set(known.renamed.values()) <= set(arguments)
    assert set(known.renamed) & set(arguments) == set()
    assert set(known.added) <= set(arguments)
    assert set(known.kept_with) <= set(arguments)


@pytest.mark.parametrize("name", CLASSES)
def test_defaults_that_are_said_to_differ_do(name):
    known = CLASSES[name]
    arguments = arguments_of(resolved(known.here))
    for argument, value in {**known.added, **known.kept_with}.items():
        assert arguments[argument].default != ast.literal_eval(value), argument


def test_what_the_remarks_recommend_is_a_method_of_the_hook():
    hook = resolved("airflow_provider_fivetran.hooks.FivetranHook")
    named = {
        word
        for text in HOOK_MEMBERS.values()
        for word in re.findall(r"\b(?:get|list|find|set|start|wait|run)_\w+", text)
    }
    assert "get_fivetran_connection" in named
    assert {word for word in named if not hasattr(hook, word)} == set()


def test_methods_that_are_here_under_the_same_name_are_only_said_to_return_something_else():
    hook = resolved("airflow_provider_fivetran.hooks.FivetranHook")
    assert {name for name in HOOK_MEMBERS if hasattr(hook, name)} == HERE_TOO


@pytest.mark.parametrize(
    ("dotted", "is_one"),
    [("fivetran_provider", True), ("fivetran_provider_async.hooks", True), ("fivetran_providers", False), ("", False),
     ("airflow_provider_fivetran.hooks", False)],
)  # fmt: skip
def test_what_is_of_a_peer(dotted, is_one):
    assert is_of_a_peer(dotted) is is_one


@pytest.mark.parametrize("dotted", MISSING_HERE)
def test_what_is_said_to_be_missing_here_is(dotted):
    with pytest.raises((ImportError, AttributeError)):
        resolved(dotted)


def test_of_what_is_not_here_it_says_at_least_that():
    assert why_gone("fivetran_provider.x") == "fivetran_provider.x does not exist in this provider"
    assert why_gone("fivetran_provider_async.operators.RegistryLinks") == (
        "fivetran_provider_async.operators.RegistryLinks does not exist in this provider"
    )
