"""Hit policies, unknown facts, and what a broken rule file is told."""

import pytest

from core.errors import InvalidDocument, InvalidFacts
from rules.ruleset import RulesEngine

RULES = """\
version: "1"
hit_policy: {policy}
rules:
  - {{id: low, priority: 1, when: {{field: x, gt: 0}}, outcome: small, reason: positive}}
  - {{id: high, priority: 2, when: {{field: x, gt: 5}}, outcome: large, reason: above five}}
  - {{id: odd, when: {{field: y, eq: 1}}, outcome: odd, reason: y is one, on_unknown: {unknown}}}
"""


def engine(policy: str, unknown: str = "skip") -> RulesEngine:
    return RulesEngine.from_text(RULES.format(policy=policy, unknown=unknown))


@pytest.mark.parametrize(
    ("policy", "outcomes"),
    [("first", ("small",)), ("priority", ("large",)), ("collect", ("small", "large", "odd"))],
)
def test_hit_policies(policy: str, outcomes: tuple[str, ...]) -> None:
    assert engine(policy).decide({"x": 6, "y": 1}).outcomes == outcomes


def test_unknown_is_skipped_matched_or_escalated() -> None:
    assert engine("first", "skip").decide({}).abstained
    assert engine("first", "match").decide({}).outcomes == ("odd",)
    verdict = engine("first", "escalate").decide({})
    assert verdict.abstained and verdict.escalate
    assert "odd" in verdict.reasons[0]


def test_escalation_withdraws_what_collect_gathered() -> None:
    verdict = engine("collect", "escalate").decide({"x": 6})
    assert verdict.escalate and verdict.outcomes == ()


def test_every_asked_rule_is_in_the_trace() -> None:
    verdict = engine("first").decide({"x": -1, "y": 1})
    assert [(t.rule, t.effect) for t in verdict.trace] == [
        ("low", "skip"),
        ("high", "skip"),
        ("odd", "match"),
    ]
    assert verdict.trace[0].node.label == "x gt 0"


def test_version_names_the_text() -> None:
    assert engine("first").version == engine("first").version
    assert engine("first").version != engine("collect").version


def test_facts_must_be_an_object() -> None:
    with pytest.raises(InvalidFacts) as caught:
        engine("first").decide([1])  # type: ignore[arg-type]
    assert caught.value.code == "RUNG-FACTS-TYPE"


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("version: [", "RUNG-YAML-SYNTAX", 1),
        ("a: 1\na: 2\n", "RUNG-YAML-SYNTAX", 2),
        ("a: &x 1\nb: *x\n", "RUNG-YAML-ALIAS", 2),
        ("[" * 40, "RUNG-YAML-DEPTH", 1),
        ("a: \x00", "RUNG-YAML-SYNTAX", None),
        ("a: \ud800", "RUNG-YAML-SYNTAX", None),
        ("a: 2026-99-99", "RUNG-YAML-SYNTAX", None),
        ("x" * 1_000_001, "RUNG-YAML-SIZE", None),
        ("", "RUNG-YAML-CONTENT", None),
        (RULES.format(policy="best", unknown="skip"), "RUNG-YAML-CONTENT", 2),
        (RULES.format(policy="first", unknown="perhaps"), "RUNG-YAML-CONTENT", 6),
        (
            RULES.format(policy="first", unknown="skip").replace("gt: 5", "gtt: 5"),
            "RUNG-YAML-CONTENT",
            5,
        ),
        (
            RULES.format(policy="first", unknown="skip").replace("id: odd", "id: low"),
            "RUNG-YAML-CONTENT",
            1,
        ),
    ],
)
def test_a_broken_file_is_told_its_line(text: str, code: str, line: int | None) -> None:
    with pytest.raises(InvalidDocument) as caught:
        RulesEngine.from_text(text)
    assert (caught.value.code, caught.value.line) == (code, line)
    assert caught.value.way_out
