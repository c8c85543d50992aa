"""What rules say of columns is what the engine says of each row."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from router.batch_facts import FactColumns
from router.batch_rules import spoken
from rules.ruleset import RulesEngine

FACTS: dict[str, tuple[Any, Any]] = {
    "n": (pa.float64(), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0**53])),
    "i": (pa.int64(), st.sampled_from([-1, 0, 1, 7, 2**53])),
    "b": (pa.bool_(), st.booleans()),
    "s": (pa.string(), st.sampled_from(["", "a", "ab", "b", "1"])),
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | cells for name, (_, cells) in FACTS.items()}),
    min_size=1,
    max_size=12,
)
CONSTANTS = st.sampled_from([-1, 0, 1, 0.5, 7, 2**53, 2**53 + 1, True, False, "a", "ab", "1"])
NAMES = st.sampled_from([*FACTS, "absent"])
ONE = st.builds(
    lambda name, op, constant: {"field": name, op: constant},
    NAMES,
    st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]),
    CONSTANTS,
)
OTHER = st.builds(
    lambda name, told: {"field": name, **told},
    NAMES,
    st.sampled_from(
        [
            {"in": [1, 0.5, "a"]},
            {"in": [True, 2**53]},
            {"prefix": "a"},
            {"between": [0, 1]},
            {"between": ["a", "b"]},
            {"exists": True},
            {"exists": False},
        ]
    ),
)
EXPRESSION = st.just({"expr": "facts.n > 0.0"})
CONDITIONS = st.recursive(
    ONE | OTHER | EXPRESSION,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=6,
)
RULES = st.lists(
    st.tuples(CONDITIONS, st.sampled_from(["skip", "match", "escalate"]), st.integers(0, 2)),
    max_size=4,
)


@given(RULES, st.sampled_from(["first", "priority", "collect"]), ROWS)
@settings(max_examples=100, deadline=None)
def test_every_row_is_settled_as_the_engine_settles_it(
    rules: list[Any], policy: str, rows: list[dict[str, Any]]
) -> None:
    written = {
        "version": "1",
        "hit_policy": policy,
        "rules": [
            {
                "id": f"r{place}",
                "when": when,
                "on_unknown": unknown,
                "priority": priority,
                "outcome": f"o{place}",
                "reason": "a reason",
            }
            for place, (when, unknown, priority) in enumerate(rules)
        ],
    }
    engine = RulesEngine.from_text(json.dumps(written))
    columns = FactColumns(
        rows=len(rows),
        facts={
            name: pa.array([row[name] for row in rows], kind) for name, (kind, _) in FACTS.items()
        },
        moments={},
    )
    told = spoken(engine, columns)
    assert columns.taken(np.arange(len(rows))) == rows
    for place, row in enumerate(rows):
        if told.unsure[place]:
            continue  # the engine is asked
        verdict = engine.decide(row)
        assert verdict.escalate == bool(told.escalates[place])
        settled = told.rule[place] >= 0 and not verdict.escalate
        said = (told.rules[told.rule[place]].outcome,) if settled else ()
        assert verdict.outcomes == said


def test_plain_conditions_never_need_the_engine() -> None:
    when = {"all": [{"field": "n", "gt": 0}, {"not": {"field": "s", "prefix": "a"}}]}
    rule = {"id": "r", "when": when, "outcome": "o", "reason": "a reason"}
    engine = RulesEngine.from_text(
        json.dumps({"version": "1", "hit_policy": "first", "rules": [rule]})
    )
    facts = {"n": pa.array([1.0, 1.0, None]), "s": pa.array(["b", "ab", "b"])}
    told = spoken(engine, FactColumns(rows=3, facts=facts, moments={}))
    assert not told.unsure.any()
    assert told.rule.tolist() == [0, -1, -1]
