"""The task `extract`: an object that a JSON schema admits, read out of a text."""

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
from referencing import Registry
from referencing.exceptions import Unresolvable

from core.contracts import Json
from core.errors import InvalidDocument
from llm.guard import RULE_FOR_DATA, element, restored_json
from llm.prompting import version
from llm.task import Task, Turned, read_object

_FORM = (
    RULE_FOR_DATA.format(elements="<text>")
    + """
Reply with one JSON object and nothing around it: {"fields": an object that this schema admits}
To decline: {"fields": null}

Schema:
"""
)


def extract_task(
    text: str, schema: Mapping[str, Any], *, instructions: str, max_bytes: int
) -> Task[dict[str, Json]]:
    """Raises InvalidDocument for a wrong schema, Turned where the text does not fit."""
    validator = schema_validator(schema)
    system = f"{instructions}\n\n{_FORM}{json.dumps(dict(schema), sort_keys=True)}"
    task = Task(
        prompt=version("extract", system),
        system=system,
        user=element("text", text),
        read=lambda reply: _read(reply, validator),
    )
    if task.size > max_bytes:
        raise Turned("llm_too_long")
    return task


def schema_validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    """Raises InvalidDocument where `schema` is no JSON Schema of an object."""
    try:
        Draft202012Validator.check_schema(schema)
        wrong = "" if schema.get("type") == "object" else 'its "type" is not "object"'
    except SchemaError as error:
        wrong = error.message[:200]
    if wrong:
        raise InvalidDocument(
            "RUNG-SCHEMA-INVALID",
            f"what is to be extracted is described by no usable JSON Schema: {wrong}",
            way_out='Write one of draft 2020-12 with "type": "object" and its "properties".',
        )
    # An empty registry: a $ref to another place is an error, never a download.
    return Draft202012Validator(schema, registry=Registry())


def _read(reply: str, validator: Draft202012Validator) -> dict[str, Json]:
    said = read_object(reply)
    if "fields" not in said:
        raise Turned("llm_invalid_output")
    fields = restored_json(said["fields"])
    if fields is None:
        raise Turned("llm_declined")
    try:
        admitted = isinstance(fields, dict) and validator.is_valid(fields)
    except (Unresolvable, RecursionError):
        admitted = False
    if not admitted or not isinstance(fields, dict):
        raise Turned("llm_invalid_output")
    return fields
