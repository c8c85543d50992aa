"""Compiled conditions against an independent reading of Kleene's logic."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rules.conditions import Condition, compile_condition

ADAPTER: TypeAdapter[Any] = TypeAdapter(Condition)
LEAVES = {
    "t": {"field": "t", "eq": True},
    "f": {"field": "f", "eq": True},
    "u": {"field": "u", "eq": True},
}
FACTS = {"t": True, "f": False, "u": None}
VALUE = {"t": 1.0, "f": 0.0, "u": 0.5}


def truth(condition: Any, facts: dict[str, Any]) -> bool | None:
    return compile_condition(ADAPTER.validate_python(condition))(facts).truth


def trees() -> st.SearchStrategy[Any]:
    leaf = st.sampled_from(sorted(LEAVES))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3)),
            st.tuples(st.just("not"), inner),
        ),
        max_leaves=12,
    )


def as_condition(tree: Any) -> Any:
    if isinstance(tree, str):
        return LEAVES[tree]
    word, parts = tree
    return {word: as_condition(parts) if word == "not" else [as_condition(p) for p in parts]}


def kleene(tree: Any) -> float:
    """Łukasiewicz's reading: false 0, unknown 1/2, true 1; and = min, or = max, not = 1 - x."""
    if isinstance(tree, str):
        return VALUE[tree]
    word, parts = tree
    if word == "not":
        return 1 - kleene(parts)
    return (min if word == "all" else max)(kleene(part) for part in parts)


@given(trees())
def test_nested_conditions_follow_kleene(tree: Any) -> None:
    assert truth(as_condition(tree), FACTS) is {1.0: True, 0.0: False, 0.5: None}[kleene(tree)]


@given(st.integers(-5, 5), st.integers(-5, 5))
def test_comparisons_agree_with_python(fact: int, constant: int) -> None:
    facts = {"x": fact}
    assert truth({"field": "x", "eq": constant}, facts) is (fact == constant)
    assert truth({"field": "x", "ne": constant}, facts) is (fact != constant)
    assert truth({"field": "x", "lt": constant}, facts) is (fact < constant)
    assert truth({"field": "x", "le": constant}, facts) is (fact <= constant)
    assert truth({"field": "x", "gt": constant}, facts) is (fact > constant)
    assert truth({"field": "x", "ge": constant}, facts) is (fact >= constant)


@pytest.mark.parametrize(
    ("condition", "fact", "expected"),
    [
        ({"between": [0, 2]}, 2, True),
        ({"between": [0, 2]}, 2.1, False),
        ({"in": ["a", "b"]}, "b", True),
        ({"in": ["a", "b"]}, "c", False),
        ({"in": ["a", "b"]}, 1, None),
        ({"prefix": "re"}, "refund", True),
        ({"prefix": "re"}, 3, None),
        ({"gt": 1000}, "2000", None),
        ({"eq": 1}, True, None),  # a bool is no number
        ({"gt": 1}, float("nan"), None),
        ({"exists": True}, None, False),
        ({"exists": False}, None, True),
        ({"exists": True}, 0, True),
        ({"eq": 1}, [1], None),
    ],
)
def test_kinds_and_edges(condition: Any, fact: Any, expected: bool | None) -> None:
    assert truth({"field": "x", **condition}, {"x": fact}) is expected


@pytest.mark.parametrize(
    "condition",
    [
        {"field": "x"},
        {"field": "x", "eq": 1, "lt": 2},
        {"field": "x", "lt": float("inf")},
        {"field": "x", "between": [2, 1]},
        {"field": "x", "between": [1, "b"]},
        {"field": "x", "equals": 1},
        {"all": []},
        {"all": [{"field": "x", "eq": 1}], "any": [{"field": "x", "eq": 1}]},
        "x > 1",
    ],
)
def test_malformed_conditions_are_refused(condition: Any) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(condition)
