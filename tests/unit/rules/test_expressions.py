"""CEL conditions: what they come to, and that hostile ones end in a clear answer."""

from typing import Any

import pytest

from core.errors import InvalidDocument, InvalidFacts
from rules.expressions import check_expression, compile_expression
from rules.ruleset import RulesEngine

DIGITS = "[0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9]"
FIVE_LOOPS = "true"
for variable in "abcde":
    FIVE_LOOPS = f"{DIGITS}.all({variable}, {FIVE_LOOPS})"


@pytest.mark.parametrize(
    ("source", "facts", "truth"),
    [
        ("facts.amount > 1000", {"amount": 1000.5}, True),
        ("facts.amount > 1000.5", {"amount": 1000}, False),
        ("facts.a == 1 || facts.b == 2", {"a": 1}, True),
        ("facts.a == 1 && facts.b == 2", {"a": 2}, False),
        ("has(facts.a)", {"a": None}, False),
        ("facts.s.matches('^(a+)+$')", {"s": "a" * 40 + "b"}, False),
        ("facts.amount > 1000", {}, None),
        ("facts.amount > 1000", {"amount": None}, None),
        ("facts.amount > 1000", {"amount": "2000"}, None),
        ("facts.a / 0 == 1", {"a": 1}, None),
        ("facts.a", {"a": 1}, None),
        ("facts.a == 1", {"a": 2**70}, None),
        ("facts.a == 'x'", {"a": "\ud800"}, None),
        (FIVE_LOOPS, {}, None),
    ],
)
def test_truth(source: str, facts: dict[str, Any], truth: bool | None) -> None:
    node = compile_expression(source)(facts)
    assert node.truth is truth
    assert bool(node.note) is (truth is None)


@pytest.mark.parametrize(
    ("source", "note"),
    [
        ("facts.message", "not a truth: STRING"),
        ("facts.number", "not a truth: INT"),
        ("facts[facts.message] == 1", "not a truth: ERROR NOT_FOUND"),
        ("'a'.matches(facts.message)", "not a truth: ERROR INVALID_ARGUMENT"),
        ("[facts.message, 1][2]", "not a truth: ERROR UNKNOWN"),
        ("{facts.message: 1, facts.message: 2}.size() == 1", "it could not be evaluated"),
    ],
)
def test_a_note_tells_no_value(source: str, note: str) -> None:
    node = compile_expression(source)({"message": "NOT_FOUND: my (secret", "number": 7})
    assert (node.truth, node.note) == (None, note)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "facts.a >",
        "1 + 1",
        "other == 1",
        "(" * 100 + "true" + ")" * 100,
        "+".join("1" * 2000),
        "true" + " " * 4096,
        "true\x00",
        "'\ud800' == ''",
    ],
)
def test_what_is_no_condition_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="expression"):
        check_expression(source)


RULES = """\
version: "1"
hit_policy: first
rules:
  - id: limit
    when:
      not: {expr: "SOURCE"}
    outcome: approve
    reason: within the limit
    on_unknown: escalate
"""


def test_an_expression_is_a_condition_like_any_other() -> None:
    engine = RulesEngine.from_text(RULES.replace("SOURCE", "facts.a > facts.b"))
    assert engine.decide({"a": 1, "b": 2}).outcomes == ("approve",)
    assert engine.decide({"a": 3, "b": 2}).abstained
    assert engine.decide({"a": 3}).escalate


def test_a_broken_expression_names_its_line() -> None:
    with pytest.raises(InvalidDocument) as caught:
        RulesEngine.from_text(RULES.replace("SOURCE", "facts.a >"))
    assert (caught.value.code, caught.value.line) == ("RUNG-YAML-CONTENT", 6)


@pytest.mark.parametrize("depth", [33, 100_000])
def test_deep_facts_are_refused_before_the_binding_sees_them(depth: int) -> None:
    deep: Any = 1
    for _ in range(depth):
        deep = [deep]
    engine = RulesEngine.from_text(RULES.replace("SOURCE", "facts.a == 1"))
    with pytest.raises(InvalidFacts) as caught:
        engine.decide({"a": deep})
    assert caught.value.code == "RUNG-FACTS-DEPTH"


def test_facts_of_ordinary_depth_are_decided() -> None:
    engine = RulesEngine.from_text(RULES.replace("SOURCE", "facts.a.b[0] == 1"))
    assert engine.decide({"a": {"b": [2]}}).outcomes == ("approve",)
