"""The JSON Schemas that docs/reference promises, each ready to hold a document against it."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]
from referencing import Registry, Resource

FOLDER = Path(__file__).parents[1] / "docs" / "reference" / "schemas"
SCHEMAS: dict[str, Any] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
REGISTRY: Any = Registry().with_resources(
    [(f"{name}.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()]
)


def faults(name: str, document: Any) -> list[str]:
    """Where `document` is not what the schema of that name says, and why."""
    validator = Draft202012Validator(
        SCHEMAS[name], registry=REGISTRY, format_checker=FormatChecker()
    )
    deepest = [best_match([error]) for error in validator.iter_errors(document)]
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[-300:]}" for error in deepest
    ]
