"""Training rows of a decision: read as serving would read them, or refused with the line."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import InvalidDocument
from core.spec import DecisionSpec, load_spec
from lab.decision_rows import read_decision_rows

TEMPLATE = Path(__file__).parents[3] / "cli/template"
ROW: dict[str, Any] = {
    "message": "please write to jo@example.com, I want my money back",
    "occurred_at": "2026-01-01T10:00:00+00:00",
    "amount": 12,
    "intent": "wants_refund",
    "truth": "refund",
    "documents": [],
}


@pytest.fixture
def spec() -> DecisionSpec:
    return load_spec(TEMPLATE)


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_texts_are_redacted_before_anything_is_made_of_them(
    spec: DecisionSpec, tmp_path: Path
) -> None:
    (row,) = read_decision_rows(spec, written(tmp_path, ROW))
    assert row.facts["message"] == "please write to <email>, I want my money back"
    assert row.facts["amount"] == 12.0
    assert (row.intent, row.truth, row.documents, row.risky) == (
        "wants_refund",
        "refund",
        frozenset(),
        None,
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"intent": "unknown"}, "RUNG-TABLE-CONTENT"),
        ({"truth": None}, "RUNG-TABLE-CONTENT"),
        ({"truth": ["refund"]}, "RUNG-TABLE-CONTENT"),
        ({"documents": "one"}, "RUNG-TABLE-CONTENT"),
        ({"documents": [1]}, "RUNG-TABLE-CONTENT"),
        ({"truth": "answer"}, "RUNG-TABLE-CONTENT"),
        ({"occurred_at": None}, "RUNG-TABLE-CONTENT"),
        ({"message": None}, "RUNG-FACTS-NULL"),
        ({"amount": "12"}, "RUNG-FACTS-VALUE"),
        ({"occurred_at": "2025-12-31T10:00:00+00:00"}, "RUNG-TABLE-ORDER"),
    ],
)
def test_a_bad_row_is_named(
    spec: DecisionSpec, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_decision_rows(spec, written(tmp_path, ROW, {**ROW, **change}))
    assert caught.value.code == code
    assert "2" in f"{caught.value.line} {caught.value.message}"


@pytest.mark.parametrize("line", ["[]", "{", "NaN", '"\\ud800"'])
def test_a_line_that_is_no_row(spec: DecisionSpec, tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_decision_rows(spec, written(tmp_path, ROW, line))
    assert caught.value.line == 2


def test_an_empty_and_an_absent_file(spec: DecisionSpec, tmp_path: Path) -> None:
    with pytest.raises(InvalidDocument, match="no rows"):
        read_decision_rows(spec, written(tmp_path, ""))
    with pytest.raises(InvalidDocument, match="cannot be read"):
        read_decision_rows(spec, tmp_path / "absent.jsonl")
