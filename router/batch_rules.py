"""What rules say of many rows; the engine itself reads those alone that conditions leave open.

Each condition is bounded by an interval of Kleene's truth values, false 0 < unknown 1 < true 2:
`all` is the minimum, `any` the maximum of both bounds, and `not` turns them around. What an
expression says is left open (0 to 2), so a row is settled here only where both bounds are one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.contracts import Truth
from router.batch_facts import FactColumns, is_known
from rules.conditions import (
    OPERATORS,
    All,
    Any_,
    Comparison,
    Condition,
    Expression,
    Not,
    compile_condition,
)
from rules.ruleset import Rule, RulesEngine

Bound = npt.NDArray[np.int8]
FALSE, UNKNOWN, TRUE = 0, 1, 2
_OF_TRUTH: dict[Truth, int] = {False: FALSE, None: UNKNOWN, True: TRUE}
_ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The least and the most that a condition can come to, each (rows,)."""

    least: Bound
    most: Bound


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """What the rules say of each row (rows,): the place of the rule that settles it, -1 for none,
    whether that rule escalates, and the rows that the engine must be asked about."""

    rules: Sequence[Rule]
    rule: npt.NDArray[np.int32]
    escalates: npt.NDArray[np.bool_]
    unsure: npt.NDArray[np.bool_]


def spoken(engine: RulesEngine, columns: FactColumns) -> Spoken:
    """As `RulesEngine.decide` says of each row, where conditions alone can tell."""
    ruleset = engine.ruleset
    rules = list(ruleset.rules)
    if ruleset.hit_policy == "priority":
        rules.sort(key=lambda rule: -rule.priority)  # stable: file order within a priority
    settles = np.full(columns.rows, -1, dtype=np.int32)
    escalates = np.zeros(columns.rows, dtype=bool)
    unsure = np.zeros(columns.rows, dtype=bool)
    for place, rule in enumerate(rules):
        truth = _bounds(rule.when, columns)
        speaks = _may_speak(rule, truth) & (settles < 0) & ~unsure
        # Under `collect` a later rule has its say too, which the engine puts together.
        clear = (truth.least == truth.most) & (ruleset.hit_policy != "collect")
        unsure |= speaks & ~clear
        settles[speaks & clear] = place
        if rule.on_unknown == "escalate":
            escalates |= speaks & clear & (truth.most == UNKNOWN)
    return Spoken(rules=rules, rule=settles, escalates=escalates, unsure=unsure)


def _may_speak(rule: Rule, truth: Interval) -> npt.NDArray[np.bool_]:
    """Where it may match or escalate."""
    matches: npt.NDArray[np.bool_] = truth.most == TRUE
    if rule.on_unknown == "skip":
        return matches
    unknown: npt.NDArray[np.bool_] = (truth.least <= UNKNOWN) & (truth.most >= UNKNOWN)
    return matches | unknown


def _bounds(condition: Condition, columns: FactColumns) -> Interval:
    if isinstance(condition, Expression):
        return _open(columns.rows)
    if isinstance(condition, Comparison):
        return _comparison(condition, columns)
    if isinstance(condition, Not):
        inner = _bounds(condition.not_, columns)
        return Interval(least=2 - inner.most, most=2 - inner.least)
    parts = condition.all if isinstance(condition, All) else condition.any
    join = np.minimum if isinstance(condition, All) else np.maximum
    assert isinstance(condition, All | Any_)
    bounds = [_bounds(part, columns) for part in parts]
    return Interval(
        least=join.reduce([part.least for part in bounds]),
        most=join.reduce([part.most for part in bounds]),
    )


def _open(rows: int) -> Interval:
    return Interval(
        least=np.full(rows, FALSE, dtype=np.int8), most=np.full(rows, TRUE, dtype=np.int8)
    )


def _comparison(condition: Comparison, columns: FactColumns) -> Interval:
    array = columns.facts.get(condition.field)
    if array is None:
        array = pa.nulls(columns.rows, pa.string())
    operator = next(op for op in OPERATORS if condition.constant(op) is not None)
    constant = condition.constant(operator)
    if operator == "exists":
        truth = np.where(is_known(array) == constant, TRUE, FALSE)
    elif pa.types.is_floating(array.type) or pa.types.is_integer(array.type):
        if not _is_exact(constant):
            return _open(columns.rows)
        truth = _of_numbers(operator, array, constant)
    else:
        truth = _of_each(condition, array)
    bound = truth.astype(np.int8)
    return Interval(least=bound, most=bound)


def _is_exact(constant: Any) -> bool:
    """Whether every number of a constant is a double; Python compares larger integers exactly."""
    parts = constant if isinstance(constant, tuple) else (constant,)
    return all(not isinstance(part, int) or abs(part) <= 2**53 for part in parts)


def _of_numbers(operator: str, array: Any, constant: Any) -> npt.NDArray[Any]:
    """As `rules.conditions` compares a number with a constant; a truth value is no number."""
    known = is_known(array)
    values = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
    parts: Sequence[Any] = constant if isinstance(constant, tuple) else (constant,)
    numbers = [p for p in parts if isinstance(p, int | float) and not isinstance(p, bool)]
    if operator == "prefix" or not numbers or (operator != "in" and len(numbers) < len(parts)):
        return np.full(len(values), UNKNOWN)
    if operator == "in":
        holds = np.isin(values, np.array(numbers, dtype=np.float64))
    elif operator == "between":
        holds = (values >= numbers[0]) & (values <= numbers[1])
    else:
        holds = _ORDERED[operator](values, numbers[0])
    return np.where(known, np.where(holds, TRUE, FALSE), UNKNOWN)


def _of_each(condition: Comparison, array: Any) -> npt.NDArray[Any]:
    """Each different value once, by the condition itself."""
    evaluate = compile_condition(condition)
    encoded = array.dictionary_encode()

    def truth(facts: Mapping[str, Any]) -> int:
        return _OF_TRUTH[evaluate(facts).truth]

    told = [truth({condition.field: value}) for value in encoded.dictionary.to_pylist()]
    unknown = truth({})
    indices = encoded.indices.fill_null(len(told)).to_numpy(zero_copy_only=False)
    truths: npt.NDArray[Any] = np.array([*told, unknown])[indices]
    return truths
