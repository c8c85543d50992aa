"""Which columns a snapshot of a decision has, and where each comes from in a table."""

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from core.contracts import ANSWER, PERSON
from core.identity.redaction import VERSION as REDACTION
from core.spec import DecisionSpec, FieldSpec
from lab.snapshots.manifest import digest_of

SEQ = "_seq"  # the order of the rows, made explicit
ARROW_TYPES: dict[str, Any] = {
    "text": pa.string(),
    "category": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("us", "UTC"),
    "documents": pa.list_(pa.string()),
}


@dataclass(frozen=True, kw_only=True)
class PlannedColumn:
    """`name` in the snapshot, `source` in the table.

    `field` says what may stand there; None for a label, documents and the sequence number.
    """

    name: str
    source: str
    role: Literal["field", "label", "documents", "seq", "joined"]
    type: str
    field: FieldSpec | None = None
    required: bool = True
    redacted: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    decision: str
    schema_version: str
    columns: tuple[PlannedColumn, ...]
    time: str | None
    positive: str | int | bool
    answer: str | None = None  # of the truth column: rows that need documents

    @property
    def schema(self) -> Any:
        """Of the rows before they are put in order and joined with what entities did."""
        return pa.schema([(c.name, ARROW_TYPES[c.type]) for c in self.read])

    @property
    def read(self) -> tuple[PlannedColumn, ...]:
        """The columns that a table holds, without the sequence number."""
        return tuple(c for c in self.columns if c.role not in ("seq", "joined"))

    @property
    def whole(self) -> Any:
        """Of a snapshot, the sequence number last."""
        return pa.schema([(c.name, ARROW_TYPES[c.type]) for c in self.columns])

    @property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.columns}


def plan_of(spec: DecisionSpec) -> Plan:
    label = spec.risk.label if spec.risk else None
    told = spec.training
    # Declared as known afterwards, these are kept as what training reads.
    labels = {label, *((told.intent, told.truth, told.documents) if spec.by_text else ())}
    columns = [
        PlannedColumn(
            name=name,
            source=field.column or name,
            role="field",
            type=field.type,
            field=field,
            redacted=field.type == "text" and name not in spec.entity_keys,
        )
        for name, field in sorted(spec.request.fields.items())
        if name not in labels
    ]
    columns += _known_at(spec, {column.name for column in columns})
    if spec.by_text:
        columns += _training(spec)
    if spec.training.kpi and spec.training.kpi not in spec.request.fields:
        measured = FieldSpec(type="number", missing="unknown")
        name = spec.training.kpi
        columns.append(
            PlannedColumn(name=name, source=name, role="field", type="number", field=measured)
        )
    if spec.risk and label:
        source = spec.risk.column or label
        columns.append(PlannedColumn(name=label, source=source, role="label", type="integer"))
    columns += [
        PlannedColumn(name=name, source="", role="joined", type="number", required=False)
        for name in sorted(spec.entity_features)
    ]
    columns.append(PlannedColumn(name=SEQ, source=SEQ, role="seq", type="integer", required=False))
    return Plan(
        decision=spec.name,
        schema_version=schema_version(spec),
        columns=tuple(columns),
        time=spec.request.time_field,
        positive=spec.risk.positive if spec.risk else 1,
        answer=spec.training.truth if spec.by_text else None,
    )


def schema_version(spec: DecisionSpec) -> str:
    """Of all in decision.yaml, and of the redaction, that decides what a column holds."""
    parts = ("type", "missing", "unseen", "values", "column", "format", "known_at")
    fields = spec.request.model_dump(mode="json")["fields"]
    risk = spec.risk
    label = [risk.label, risk.column, risk.positive] if risk and risk.label else None
    return digest_of(
        {
            "fields": {n: {part: field[part] for part in parts} for n, field in fields.items()},
            "label": label,
            "training": spec.training.model_dump(mode="json") if spec.by_text else None,
            "kpi": spec.training.kpi,
            "joined": {name: kind.model_dump(mode="json") for name, kind in spec.entities.items()},
            "entity": spec.request.entity,
            "time": spec.request.time_field,
            "redaction": REDACTION,
        }
    )


def _known_at(spec: DecisionSpec, kept: set[str]) -> list[PlannedColumn]:
    """Times at which a field became known, where they are no fields themselves."""
    when = FieldSpec(type="time", missing="unknown")
    named = {field.known_at for field in spec.request.fields.values() if field.known_at}
    return [
        PlannedColumn(name=name, source=name, role="field", type="time", field=when)
        for name in sorted(named - kept)
    ]


def _training(spec: DecisionSpec) -> list[PlannedColumn]:
    intents = (*spec.intents, *([spec.out_of_scope] if spec.out_of_scope else ()))
    truths = tuple(dict.fromkeys([*spec.outcomes, ANSWER, PERSON]))
    named = ((spec.training.intent, intents), (spec.training.truth, truths))
    columns = [
        PlannedColumn(
            name=name,
            source=name,
            role="field",
            type="category",
            field=FieldSpec(type="category", values=values),
        )
        for name, values in named
    ]
    name = spec.training.documents
    needed = bool(spec.corpora)
    documents = PlannedColumn(
        name=name, source=name, role="documents", type="documents", required=needed
    )
    return [*columns, documents]
