"""Training rows of a decision: the requests as they came, and what turned out to be true."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from core.contracts import ANSWER, PERSON, Json
from core.errors import InvalidDocument, InvalidFacts
from core.intake import admit
from core.json_source import parse_json_lines
from core.spec import DecisionSpec
from core.text_file import read_text


@dataclass(frozen=True, kw_only=True)
class DecisionRow:
    """`documents` are all that an answer must rest on, where the truth is an answer."""

    facts: Mapping[str, Json]  # validated and redacted, as serving sees them
    intent: str
    truth: str
    documents: frozenset[str]
    risky: int | None


def read_decision_rows(spec: DecisionSpec, path: Path) -> list[DecisionRow]:
    """Reads JSON Lines in time order. Raises InvalidDocument that names the line."""
    text = read_text(path)
    rows = [_row(spec, content, number) for number, content in parse_json_lines(text)]
    if not rows:
        raise _refused("there are no rows", None)
    _refuse_disorder(spec, rows)
    return rows


def _row(spec: DecisionSpec, content: Json, number: int) -> DecisionRow:
    if not isinstance(content, dict):
        raise _refused("a row is an object of columns", number)
    available = {name for name, field in spec.request.fields.items() if field.available}
    try:
        facts = admit(spec.request, {k: v for k, v in content.items() if k in available})
    except InvalidFacts as error:
        raise InvalidDocument(
            error.code, error.message, way_out=error.way_out, line=number
        ) from error
    columns = spec.training
    intents = {*spec.intents, *([spec.out_of_scope] if spec.out_of_scope else [])}
    truths = {*spec.outcomes, ANSWER, PERSON}
    documents = content.get(columns.documents) or []
    if not isinstance(documents, list) or not all(isinstance(d, str) for d in documents):
        raise _refused(f"column '{columns.documents}' must be a list of document ids", number)
    truth = _one_of(content, columns.truth, truths, number)
    if truth == ANSWER and not documents:
        raise _refused(f"an answer needs its documents in '{columns.documents}'", number)
    time = spec.request.time_field
    if time and facts[time] is None:
        raise _refused(f"training goes by time, and '{time}' is missing", number)
    return DecisionRow(
        facts=facts,
        intent=_one_of(content, columns.intent, intents, number),
        truth=truth,
        documents=frozenset(str(document) for document in documents),
        risky=_risky(spec, content, number),
    )


def _one_of(content: Mapping[str, Any], column: str, admitted: set[str], line: int) -> str:
    value = content.get(column)
    if not isinstance(value, str) or value not in admitted:
        raise _refused(f"column '{column}' must be one of {', '.join(sorted(admitted))}", line)
    return value


def _risky(spec: DecisionSpec, content: Mapping[str, Any], line: int) -> int | None:
    if spec.risk is None or spec.risk.label is None:
        return None
    value = content.get(spec.risk.label)
    if value not in (0, 1):
        raise _refused(f"column '{spec.risk.label}' must be 0 or 1", line)
    return int(value)


def _refuse_disorder(spec: DecisionSpec, rows: list[DecisionRow]) -> None:
    """Splits are by time, so the rows must be; a shuffled file would leak the future."""
    time = spec.request.time_field
    if time is None:
        return
    moments = [datetime.fromisoformat(str(row.facts[time])) for row in rows]
    for number, (earlier, later) in enumerate(pairwise(moments), start=2):
        if later < earlier:
            raise InvalidDocument(
                "RUNG-TABLE-ORDER",
                f"row {number} happened before the one above it",
                way_out=f"Sort the rows by '{time}'.",
            )


def _refused(message: str, line: int | None) -> InvalidDocument:
    return InvalidDocument(
        "RUNG-TABLE-CONTENT",
        message,
        way_out="See docs/reference/decision.md for the columns of training rows.",
        line=line,
    )
