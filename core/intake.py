"""The one way from a raw request to facts, in training and serving alike: validate, then redact."""

from typing import Any

from core.contracts import Json
from core.identity.redaction import redact
from core.spec import RequestSchema


def admit(schema: RequestSchema, raw: Any) -> dict[str, Json]:
    """The facts as every rung sees them. Raises InvalidFacts.

    Personal data is taken out of texts before any feature is made of them. The entity is a key,
    not a text to read, so it stays whole.
    """
    facts = schema.validate_facts(raw)
    for name, field in schema.fields.items():
        value = facts.get(name)
        if field.type == "text" and isinstance(value, str) and name != schema.entity:
            facts[name] = redact(value).text
    return facts
