"""decision.yaml: what is refused, on which line, and what to write instead."""

from pathlib import Path

import pytest

from core.errors import InvalidDocument, InvalidFacts
from core.spec import DecisionSpec, load_spec, parse_spec

TEMPLATE = Path(__file__).parents[3] / "cli/template/decision.yaml"
TEXT = TEMPLATE.read_text("utf-8")


def refused(text: str) -> InvalidDocument:
    with pytest.raises(InvalidDocument) as caught:
        parse_spec(text)
    return caught.value


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


def test_the_template_is_a_decision() -> None:
    spec = load_spec(TEMPLATE)
    assert isinstance(spec, DecisionSpec)
    assert spec.corpora == ("corpus",)
    assert spec.truth_of_intent("question") == "answer"
    assert spec.truth_of_intent("wants_refund") == "refund"


@pytest.mark.parametrize(
    ("old", "new", "says", "at"),
    [
        (
            "target: the action that settled the message, as found within 30 days of it",
            "target: churn",
            "too vague",
            "target",
        ),
        ("  horizon_days: 30\n", "", "horizon_days", "framing"),
        ("  label_delay_days: 7\n", "", "label_delay_days", "framing"),
        ("horizon_days: 30", "horizon_days: .nan", "finite", "horizon_days"),
        ("outcome: refund}", "outcome: repay}", "'repay', which is no outcome", "repay"),
        ("handler: help}", "handler: helps}", "'helps', which is no handler", "helps"),
        ("  text: message", "  text: body", "'body', which is no field", "body"),
        ("currency: EUR", "currency: euro", "pattern", "currency"),
        ("error: 10", "error: free", "number", "error"),
        ("error: 10", "error: true", "number", "error"),
        ("error: 10", 'error: "10"', "number", "error"),
        ("truth: escalate, cost", "truth: refund, cost", "costs nothing", "costs"),
        ("{outcome: refund, truth", "{outcome: person, truth", "error_rate", "costs"),
        ("price_per_decision: 0.05", "price_per_decision: 0.001", "sum to 0.01", "name"),
        ("help: {corpus: corpus}", "help: {corpus: ../secrets}", "pattern", "corpus"),
        ("  time: occurred_at", "  entity: amount", "must be of type text", "amount"),
        ("  time: occurred_at", "  entity: message", "pseudonym", "request"),
        (
            "type: text, meaning",
            "type: text, missing: unknown, meaning",
            "cannot be missing",
            "message:",
        ),
        ('version: "1"', 'version: "1"\nversoin: 2', "no such key", "versoin"),
        (
            "{outcome: refund, truth: escalate, cost: 60}",
            "{outcome: refund, truth: escalate, cost: -1}",
            "greater",
            "cost",
        ),
        (
            "  help: {corpus: corpus}",
            "  help: {corpus: corpus, ladder: [llm, retrieval]}",
            "order",
            "help",
        ),
        (
            "  help: {corpus: corpus}",
            "  help: {corpus: corpus, ladder: [retrieval]}",
            "end with person",
            "help",
        ),
        ("  help: {corpus: corpus}", "  help: {}", "name its folder", "help"),
    ],
)
def test_what_is_refused(old: str, new: str, says: str, at: str) -> None:
    error = refused(changed(old, new))
    assert error.code == "RUNG-YAML-CONTENT"
    assert says in error.message
    assert "docs/reference/decision.md" in error.way_out
    line = changed(old, new).split("\n")[(error.line or 1) - 1]
    assert at in line


def test_a_feature_of_a_field_that_is_known_later_is_refused() -> None:
    risk = (
        "risk:\n  outcome: escalate\n  label: bad\n  features:\n"
        "    later: {kind: number, of: amount}\n"
    )
    text = changed("unit: EUR, missing: unknown}", "unit: EUR, missing: unknown, available: false}")
    assert "not available at prediction time" in refused(text + risk).message
    assert "hour reads time" in refused(TEXT + risk.replace("number", "hour")).message


def test_a_label_that_is_asked_for_is_refused() -> None:
    risk = (
        "risk:\n  outcome: escalate\n  label: amount\n  features: {a: {kind: number, of: amount}}\n"
    )
    assert "a label and a field" in refused(TEXT + risk).message


def test_a_feature_of_the_entity_is_refused() -> None:
    text = changed("  time: occurred_at", "  entity: who").replace(
        "    amount:", "    who: {type: text, missing: unknown}\n    amount:", 1
    )
    risk = "risk:\n  outcome: escalate\n  label: bad\n  features: {a: {kind: length, of: who}}\n"
    assert "pseudonym" in refused(text + risk).message


def test_a_key_written_as_null_is_told() -> None:
    assert refused(changed("missing: unknown}\n    amount", "null: unknown}\n    amount")).line


FACTS = {"message": "hello there", "occurred_at": "2026-01-31T12:00:00+01:00", "amount": 3}


def test_facts_come_back_whole_with_unknowns_as_null() -> None:
    schema = parse_spec(TEXT).request
    assert schema.validate_facts(FACTS)["amount"] == 3.0
    assert schema.validate_facts({"message": "hi"}) == {
        "message": "hi",
        "occurred_at": None,
        "amount": None,
    }


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ([], "RUNG-FACTS-TYPE"),
        ("text", "RUNG-FACTS-TYPE"),
        ({}, "RUNG-FACTS-NULL"),
        ({"message": None}, "RUNG-FACTS-NULL"),
        ({"message": "a", "stranger": 1}, "RUNG-FACTS-UNKNOWN"),
        ({"message": "a", "\ud800": 1}, "RUNG-FACTS-UNKNOWN"),
        ({"message": " "}, "RUNG-FACTS-VALUE"),
        ({"message": 1}, "RUNG-FACTS-VALUE"),
        ({"message": "a" * 4001}, "RUNG-FACTS-VALUE"),
        ({"message": "a\0b"}, "RUNG-FACTS-VALUE"),
        ({"message": "a\ud800b"}, "RUNG-FACTS-VALUE"),
        ({"message": "a", "amount": "3"}, "RUNG-FACTS-VALUE"),
        ({"message": "a", "amount": True}, "RUNG-FACTS-VALUE"),
        ({"message": "a", "amount": float("nan")}, "RUNG-FACTS-VALUE"),
        ({"message": "a", "amount": float("inf")}, "RUNG-FACTS-VALUE"),
        ({"message": "a", "amount": 10**400}, "RUNG-FACTS-VALUE"),
        ({"message": "a", "amount": -1}, "RUNG-FACTS-VALUE"),
        ({"message": "a", "amount": {"deep": []}}, "RUNG-FACTS-VALUE"),
        ({"message": "a", "occurred_at": "yesterday"}, "RUNG-FACTS-VALUE"),
        ({"message": "a", "occurred_at": "2026-01-31T12:00:00"}, "RUNG-FACTS-VALUE"),
        ({"message": "a", "occurred_at": "0001-01-01T00:00:00+14:00"}, "RUNG-FACTS-VALUE"),
    ],
)
def test_facts_outside_the_schema(facts: object, code: str) -> None:
    with pytest.raises(InvalidFacts) as caught:
        parse_spec(TEXT).request.validate_facts(facts)
    assert caught.value.code == code
    assert caught.value.way_out
    str(caught.value).encode()  # a surrogate in the request does not reach the message
