"""What a model's features mean, in full: two releases with one digest read requests alike.

A release keeps the schema that it was fitted with. Where the code that would serve it, or its own
decision.yaml, has come to mean another thing, it is refused before it decides anything.
"""

import hashlib
import json
from typing import Any

from core.errors import CorruptArtifact
from core.features import FeatureSpec
from core.identity import redaction
from core.spec import DecisionSpec

FORMAT = 1
FILE = "feature_schema.json"
# Of the code of each kind: a change of what it computes is another number, as models fitted on the
# old one would be fed the new one. A test holds each to the values that it gave.
KIND_VERSIONS: dict[str, int] = {
    "number": 1,
    "log1p": 1,
    "missing": 1,
    "hour": 1,
    "weekday": 1,
    "length": 1,
    "ratio": 1,
    "differs": 1,
    "category": 1,
}
AGGREGATE_VERSION = 1  # of core.entity_features, in the same way

Schema = dict[str, Any]


def schema_of(spec: DecisionSpec) -> Schema:
    """Features in the order of the model's columns, the fields they read, entities, redaction."""
    features = spec.risk.features if spec.risk else {}
    read = {source for feature in features.values() for source in feature.sources}
    fields = {name: spec.request.fields[name] for name in sorted(read & spec.request.fields.keys())}
    return {
        "format": FORMAT,
        "redaction": redaction.VERSION,
        "features": [_feature(name, feature) for name, feature in features.items()],
        "fields": {
            name: {
                "type": field.type,
                "missing": field.missing,
                "unseen": field.unseen,
                "encoding": {value: place for place, value in enumerate(field.values)},
            }
            for name, field in fields.items()
        },
        "entities": {
            name: {**kind.model_dump(mode="json"), "implementation": AGGREGATE_VERSION}
            for name, kind in spec.entities.items()
        },
    }


def _feature(name: str, feature: FeatureSpec) -> dict[str, Any]:
    return {
        "name": name,
        "kind": feature.kind,
        "sources": list(feature.sources),
        "version": feature.version,
        "owner": feature.owner,
        "meaning": feature.meaning,
        "implementation": KIND_VERSIONS[feature.kind],
    }


def to_bytes(schema: Schema) -> bytes:
    return json.dumps(schema, sort_keys=True, allow_nan=False).encode()


def digest(schema: Schema) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(to_bytes(schema)).hexdigest()


def refuse_other(stored: bytes | None, spec: DecisionSpec) -> None:
    """Raises CorruptArtifact where a release was fitted on other features than it would be fed."""
    now = schema_of(spec)
    before = _read(stored)
    if before == now:
        return
    changed = sorted(key for key in now if before.get(key) != now[key]) or ["keys"]
    raise CorruptArtifact(
        "RUNG-FEATURES-SCHEMA",
        "the release was fitted on other features than this code computes: "
        + (f"its {', '.join(changed)} differ" if before else "it does not say on which"),
        way_out="Train the decision again with `rung train`, or run the Rung that trained it.",
    )


def _read(stored: bytes | None) -> Schema:
    try:
        content = json.loads(stored or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
