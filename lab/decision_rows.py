"""Training rows of a decision that reads a text: its facts, and what turned out to be true."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.contracts import ANSWER, PERSON, Json
from core.errors import InvalidDocument
from core.spec import DecisionSpec
from lab.table_data import Columns


@dataclass(frozen=True, kw_only=True)
class DecisionRow:
    """`documents` are all that an answer must rest on, where the truth is an answer."""

    facts: Mapping[str, Json]  # validated and redacted, as serving sees them
    intent: str
    truth: str
    documents: frozenset[str]
    risky: int | None
    kpi: float | None = None


def decision_rows(spec: DecisionSpec, snapshot: Columns) -> list[DecisionRow]:
    """In the order of the snapshot, which is that of time. Raises InvalidDocument."""
    available = [name for name, field in spec.request.fields.items() if field.available]
    available += spec.entity_features
    told = spec.training
    label = spec.risk.label if spec.risk else None
    others = [name for name in (told.intent, told.truth, told.documents, label, told.kpi) if name]
    columns = snapshot.columns([*available, *others])
    rows = [
        _row(spec, available, dict(zip(columns, values, strict=True)), number)
        for number, values in enumerate(zip(*columns.values(), strict=True), start=1)
    ]
    if not rows:
        raise _refused("there are no rows", None)
    return rows


def _row(
    spec: DecisionSpec, available: Sequence[str], content: Mapping[str, Any], number: int
) -> DecisionRow:
    columns = spec.training
    intents = {*spec.intents, *([spec.out_of_scope] if spec.out_of_scope else [])}
    truths = {*spec.outcomes, ANSWER, PERSON}
    documents = content[columns.documents] or []
    truth = _one_of(content, columns.truth, truths, number)
    if truth == ANSWER and not documents:
        raise _refused(f"an answer needs its documents in '{columns.documents}'", number)
    kpi = content[columns.kpi] if columns.kpi else None
    return DecisionRow(
        facts={name: content[name] for name in available},
        intent=_one_of(content, columns.intent, intents, number),
        truth=truth,
        documents=frozenset(documents),
        risky=content[spec.risk.label] if spec.risk and spec.risk.label else None,
        kpi=None if kpi is None else float(kpi),
    )


def _one_of(content: Mapping[str, Any], column: str, admitted: set[str], row: int) -> str:
    value = content[column]
    if value not in admitted:
        raise _refused(f"column '{column}' must be one of {', '.join(sorted(admitted))}", row)
    return str(value)


def _refused(message: str, row: int | None) -> InvalidDocument:
    where = f"row {row} in the order of time: " if row else ""
    return InvalidDocument(
        "RUNG-TABLE-CONTENT",
        where + message,
        way_out="See docs/reference/decision.md for the columns of training rows.",
    )
