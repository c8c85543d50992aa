"""Training rows of a decision that reads a text: as serving would read them, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import InvalidDocument
from core.spec import DecisionSpec, load_spec
from lab.decision_rows import DecisionRow, decision_rows
from lab.snapshots import SnapshotStore
from tests.fakes.clock import FixedClock

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


def read(spec: DecisionSpec, folder: Path, *rows: Any) -> list[DecisionRow]:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return decision_rows(spec, SnapshotStore(folder / "s", FixedClock()).put("t", spec, path))


def test_texts_are_redacted_before_anything_is_made_of_them(
    spec: DecisionSpec, tmp_path: Path
) -> None:
    (row,) = read(spec, tmp_path, ROW)
    assert row.facts["message"] == "please write to <email>, I want my money back"
    assert row.facts["amount"] == 12.0
    assert (row.intent, row.truth, row.documents, row.risky) == (
        "wants_refund",
        "refund",
        frozenset(),
        None,
    )


def test_rows_come_in_the_order_of_time(spec: DecisionSpec, tmp_path: Path) -> None:
    earlier = {**ROW, "occurred_at": "2025-12-31T10:00:00+00:00", "amount": 1}
    assert [row.facts["amount"] for row in read(spec, tmp_path, ROW, earlier)] == [1.0, 12.0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"intent": "unknown"}, "RUNG-FACTS-VALUE"),
        ({"truth": None}, "RUNG-FACTS-NULL"),
        ({"truth": ["refund"]}, "RUNG-FACTS-VALUE"),
        ({"documents": "one"}, "RUNG-TABLE-CONTENT"),
        ({"documents": [1]}, "RUNG-TABLE-CONTENT"),
        ({"truth": "answer"}, "RUNG-TABLE-CONTENT"),
        ({"occurred_at": None}, "RUNG-TABLE-CONTENT"),
        ({"message": None}, "RUNG-FACTS-NULL"),
        ({"amount": "12"}, "RUNG-FACTS-VALUE"),
    ],
)
def test_a_bad_row_is_named(
    spec: DecisionSpec, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read(spec, tmp_path, ROW, {**ROW, **change})
    assert caught.value.code == code
    assert "2" in f"{caught.value.line} {caught.value.message}"


def test_a_snapshot_of_other_intents_is_refused(spec: DecisionSpec, tmp_path: Path) -> None:
    """decision.yaml may have changed since the snapshot was made."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW))
    made = SnapshotStore(tmp_path / "s", FixedClock()).put("t", spec, path)
    intents = {name: one for name, one in spec.intents.items() if name != "wants_refund"}
    with pytest.raises(InvalidDocument, match="intent"):
        decision_rows(spec.model_copy(update={"intents": intents}), made)
