"""A rule file: rules, how they combine, and the test cases that hold them."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.contracts import RuleTrace, Verdict
from core.errors import InvalidFacts
from core.yaml_source import parse_document
from rules.conditions import Condition, Facts, compile_condition

# The CEL binding recurses over a value: 100,000 levels ended the process with a segmentation fault.
MAX_FACTS_DEPTH = 32


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    id: str = Field(min_length=1)
    when: Condition
    outcome: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    priority: int = 0
    on_unknown: Literal["skip", "match", "escalate"] = "skip"


class Expectation(_Strict):
    outcomes: tuple[str, ...] = ()
    escalate: bool = False


class Case(_Strict):
    name: str = Field(min_length=1)
    facts: dict[str, Any]
    expect: Expectation


class RuleSet(_Strict):
    """hit_policy: `first` in file order, `priority` (highest, then file order) or `collect`."""

    version: str = Field(min_length=1)
    hit_policy: Literal["first", "priority", "collect"]
    rules: tuple[Rule, ...] = ()  # a decision may begin without any
    tests: tuple[Case, ...] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "RuleSet":
        ids = [rule.id for rule in self.rules]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"rule ids must be unique; twice: {', '.join(twice)}")
        return self


class CaseFailure(_Strict):
    name: str
    expected: Expectation
    actual: Expectation


class RulesEngine:
    """The rules of one file, compiled once.

    A rule that escalates takes part in the hit policy like a match: under `first` and `priority`
    it ends the search with an abstention, under `collect` it withdraws every outcome. What is
    uncertain about a stronger rule can so never be settled by a weaker one.
    """

    def __init__(self, ruleset: RuleSet, version: str) -> None:
        rules = list(ruleset.rules)
        if ruleset.hit_policy == "priority":
            rules.sort(key=lambda rule: -rule.priority)  # stable: file order within a priority
        self.ruleset = ruleset
        self.version = version
        self._compiled = [(rule, compile_condition(rule.when)) for rule in rules]

    @classmethod
    def from_text(cls, text: str) -> "RulesEngine":
        """Raises InvalidDocument with the line of what is wrong."""
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        ruleset = parse_document(text, RuleSet)
        return cls(ruleset, f"{ruleset.version}+{digest}")

    def decide(self, facts: Facts) -> Verdict:
        """Raises InvalidFacts where `facts` is no object or is nested too deep."""
        if not isinstance(facts, Mapping):
            raise InvalidFacts(
                "RUNG-FACTS-TYPE",
                "the facts of a request are an object of names and values",
                way_out='Send for example {"amount": 12.5}.',
            )
        _refuse_deep(facts)
        trace: list[RuleTrace] = []
        hits: list[Rule] = []
        escalating: Rule | None = None
        for rule, evaluate in self._compiled:
            node = evaluate(facts)
            effect = _effect(rule, node.truth)
            trace.append(RuleTrace(rule=rule.id, effect=effect, node=node))
            if effect == "escalate":
                escalating = escalating or rule
            elif effect == "match":
                hits.append(rule)
            if effect != "skip" and self.ruleset.hit_policy != "collect":
                break
        reasons = tuple(rule.reason for rule in hits)
        if escalating:
            hits, reasons = [], (f"rule {escalating.id} cannot be judged: a fact is missing",)
        return Verdict(
            outcomes=tuple(dict.fromkeys(rule.outcome for rule in hits)),
            reasons=reasons,
            version=self.version,
            escalate=escalating is not None,
            trace=tuple(trace),
        )

    def run_cases(self, progress: Callable[[Case], None] = lambda case: None) -> list[CaseFailure]:
        """The test cases of the file that do not hold."""
        failures = []
        for case in self.ruleset.tests:
            progress(case)
            verdict = self.decide(case.facts)
            actual = Expectation(outcomes=verdict.outcomes, escalate=verdict.escalate)
            if actual != case.expect:
                failures.append(CaseFailure(name=case.name, expected=case.expect, actual=actual))
        return failures


def _refuse_deep(facts: Facts) -> None:
    level: list[Any] = [facts]
    for _ in range(MAX_FACTS_DEPTH):
        level = [
            part
            for value in level
            for part in (value.values() if isinstance(value, Mapping) else value)
            if isinstance(part, Mapping | list | tuple)
        ]
        if not level:
            return
    raise InvalidFacts(
        "RUNG-FACTS-DEPTH",
        f"the facts are nested deeper than {MAX_FACTS_DEPTH}",
        way_out="Send flat names and values.",
    )


def _effect(rule: Rule, truth: bool | None) -> str:
    if truth is None:
        return rule.on_unknown
    return "match" if truth else "skip"
