"""Structured conditions: validated data, compiled to closures with three-valued logic.

The logic is Kleene's: `all` is the minimum and `any` the maximum of false < unknown < true,
and `not` leaves unknown as it is. A comparison with a missing or null fact is unknown, as is one
between kinds that have no order (a text with a number). `exists` alone is never unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    model_validator,
)

from core.contracts import NodeTrace, Truth
from rules.expressions import check_expression, compile_expression

Scalar = StrictBool | StrictInt | StrictFloat | StrictStr
Facts = Mapping[str, Any]
Compiled = Callable[[Facts], NodeTrace]
FORMS = ("all", "any", "not", "expr")
OPERATORS = ("eq", "ne", "lt", "le", "gt", "ge", "in", "prefix", "between", "exists")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Comparison(_Strict):
    """One fact against a constant; exactly one operator."""

    field: str = Field(min_length=1)
    eq: Scalar | None = None
    ne: Scalar | None = None
    lt: Scalar | None = None
    le: Scalar | None = None
    gt: Scalar | None = None
    ge: Scalar | None = None
    in_: Annotated[tuple[Scalar, ...], Field(min_length=1)] | None = Field(None, alias="in")
    prefix: StrictStr | None = None
    between: tuple[Scalar, Scalar] | None = None
    exists: StrictBool | None = None

    @model_validator(mode="after")
    def _one_finite_operator(self) -> Comparison:
        given = [op for op in OPERATORS if self.constant(op) is not None]
        if len(given) != 1:
            raise ValueError(
                f"write exactly one of {', '.join(OPERATORS)}; here: {given or 'none'}"
            )
        constant = self.constant(given[0])
        for value in constant if isinstance(constant, tuple) else (constant,):
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError("a constant must be a finite number")
        if self.between and _compare(self.between[0], self.between[1]) not in (-1, 0):
            raise ValueError("between needs [low, high] of one kind with low <= high")
        return self

    def constant(self, op: str) -> Any:
        return getattr(self, "in_" if op == "in" else op)


class Expression(_Strict):
    """A CEL expression over `facts`."""

    expr: Annotated[StrictStr, AfterValidator(check_expression)]


class All(_Strict):
    all: Annotated[tuple[Condition, ...], Field(min_length=1)]


class Any_(_Strict):
    any: Annotated[tuple[Condition, ...], Field(min_length=1)]


class Not(_Strict):
    not_: Condition = Field(alias="not")


def _tag(value: Any) -> str:
    """Which form of condition this is: the first of its keys that says so."""
    if isinstance(value, _Strict):
        return {All: "all", Any_: "any", Not: "not", Expression: "expr"}.get(
            type(value), "comparison"
        )
    if isinstance(value, Mapping):
        return next((word for word in FORMS if word in value), "comparison")
    return "comparison"


Condition = Annotated[
    Annotated[All, Tag("all")]
    | Annotated[Any_, Tag("any")]
    | Annotated[Not, Tag("not")]
    | Annotated[Expression, Tag("expr")]
    | Annotated[Comparison, Tag("comparison")],
    Discriminator(_tag),
]
for _model in (All, Any_, Not):
    _model.model_rebuild()


def _compare(left: Any, right: Any) -> int | None:
    """-1, 0 or 1; None where the two have no common order. A bool is no number here."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (left, right))
    if not numbers and type(left) is not type(right):
        return None
    try:
        if left == right:
            return 0
        return -1 if left < right else 1 if left > right else None
    except TypeError:
        return None


def _test(op: str, fact: Any, constant: Any) -> Truth:
    if op == "prefix":
        return fact.startswith(constant) if isinstance(fact, str) else None
    if op == "in":
        orders = [_compare(fact, item) for item in constant]
        return True if 0 in orders else None if set(orders) == {None} else False
    if op == "between":
        low, high = _compare(fact, constant[0]), _compare(fact, constant[1])
        return None if low is None or high is None else low >= 0 and high <= 0
    order = _compare(fact, constant)
    if order is None:
        return None
    return {
        "eq": order == 0,
        "ne": order != 0,
        "lt": order < 0,
        "le": order <= 0,
        "gt": order > 0,
        "ge": order >= 0,
    }[op]


def _compile_comparison(condition: Comparison) -> Compiled:
    op = next(op for op in OPERATORS if condition.constant(op) is not None)
    constant, name = condition.constant(op), condition.field
    shown = list(constant) if isinstance(constant, tuple) else constant
    label = f"{name} {op} {shown!r}"
    # A node of each truth is made once: an evaluation then allocates nothing.
    nodes: dict[Truth, NodeTrace] = {
        t: NodeTrace(label=label, truth=t) for t in (True, False, None)
    }
    if op == "exists":
        return lambda facts: nodes[(facts.get(name) is not None) is constant]

    def evaluate(facts: Facts) -> NodeTrace:
        fact = facts.get(name)
        return nodes[None if fact is None else _test(op, fact, constant)]

    return evaluate


def _all(truths: list[Truth]) -> Truth:
    return False if False in truths else None if None in truths else True


def _any(truths: list[Truth]) -> Truth:
    return True if True in truths else None if None in truths else False


def _not(truths: list[Truth]) -> Truth:
    return None if truths[0] is None else not truths[0]


def fields_of(condition: Condition) -> set[str]:
    """The facts that its comparisons read; what an expression reads is not listed."""
    if isinstance(condition, Comparison):
        return {condition.field}
    if isinstance(condition, Expression):
        return set()
    parts = (condition.not_,) if isinstance(condition, Not) else _parts(condition)
    return {name for part in parts for name in fields_of(part)}


def _parts(condition: All | Any_) -> tuple[Condition, ...]:
    return condition.all if isinstance(condition, All) else condition.any


def compile_condition(condition: Condition) -> Compiled:
    """A function from facts to the truth of every node; no node is skipped, so that a trace is
    whole."""
    if isinstance(condition, Comparison):
        return _compile_comparison(condition)
    if isinstance(condition, Expression):
        return compile_expression(condition.expr)
    parts: tuple[Condition, ...]
    if isinstance(condition, Not):
        label, parts, join = "not", (condition.not_,), _not
    elif isinstance(condition, All):
        label, parts, join = "all", _parts(condition), _all
    else:
        label, parts, join = "any", _parts(condition), _any
    compiled = [compile_condition(part) for part in parts]

    def evaluate(facts: Facts) -> NodeTrace:
        children = tuple(part(facts) for part in compiled)
        truth = join([child.truth for child in children])
        return NodeTrace(label=label, truth=truth, children=children)

    return evaluate
