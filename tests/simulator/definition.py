"""Fivetran's definition as JSON Schema, with the places mended in which it contradicts itself or the wire."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


class Definition:
    """Validators for the answers and the bodies of each call.

    ``nulls`` also allows null for a field that is not required, which is what Fivetran sends for one that has
    no value, though its definition declares only a few of them nullable.
    """

    def __init__(self, document: dict[str, Any], *, nulls: bool = False) -> None:
        self.paths = document["paths"]
        self._components = _converted(copy.deepcopy(document["components"]), nulls=nulls)
        self._nulls = nulls

    def answer(self, method: str, path: str, status: int) -> Draft202012Validator | None:
        """The validator of an answer; None where the definition declares the status without a body."""
        declared = self.paths[path][method]["responses"][str(status)].get("content", {})
        return self._validator(declared)

    def body(self, method: str, path: str) -> Draft202012Validator | None:
        declared = self.paths[path][method].get("requestBody", {}).get("content", {})
        return self._validator(declared)

    def properties(self, method: str, path: str) -> dict[str, Any]:
        """The declared fields of a request body."""
        content = next(iter(self.paths[path][method]["requestBody"]["content"].values()))
        schema = content["schema"]
        if "$ref" in schema:
            schema = self._components["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema["properties"]

    def _validator(self, content: dict[str, Any]) -> Draft202012Validator | None:
        if not content:
            return None
        schema = copy.deepcopy(next(iter(content.values()))["schema"])
        schema = {**_converted(schema, nulls=self._nulls), "components": self._components}
        Draft202012Validator.check_schema(schema)
        return Draft202012Validator(schema, format_checker=FORMATS)


def _converted(node: Any, *, nulls: bool) -> Any:
    """OpenAPI 3.0 as JSON Schema."""
    if isinstance(node, list):
        return [_converted(item, nulls=nulls) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: _converted(value, nulls=nulls) for name, value in node.items() if name != "example"}
    if node.get("type") == "integer" and "enum" in node:
        # The allowed integers are written as strings, which no integer equals.
        node["enum"] = [int(choice) for choice in node["enum"]]
    if node.get("type") == "array" and "enum" in node:
        # The allowed values of the items are given as those of the list.
        node["items"] = {**node.get("items", {}), "enum": node.pop("enum")}
    if node.get("additionalProperties") == {"type": "object"}:
        # Says that every field of a config is an object; a host is a string and a port a number.
        node["additionalProperties"] = True
    if list(node.get("properties", ())) in (["schema"], ["table"], ["column"]) and "title" in node:
        # Stands for any number of schemas, tables or columns, each under its own name.
        node["additionalProperties"] = next(iter(node.pop("properties").values()))
    if node.pop("nullable", False):
        node = {"anyOf": [node, {"type": "null"}]}
    if nulls and isinstance(node.get("properties"), dict):
        required = node.get("required", ())
        node["properties"] = {
            name: schema if name in required else {"anyOf": [schema, {"type": "null"}]}
            for name, schema in node["properties"].items()
        }
    return node
