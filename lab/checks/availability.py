"""LEAK-UNAVAILABLE: nothing that decides may read what is known only afterwards."""

import re

from lab.checks.result import Check, Finding, issue, listed, passed, tip
from lab.checks.subject import Subject
from rules.conditions import All, Comparison, Condition, Expression, Not


def _judge(subject: Subject) -> Finding:
    """The description itself refuses a feature that reads such a field (RUNG-YAML-CONTENT)."""
    fields = subject.spec.request.fields
    hidden = sorted(name for name, field in fields.items() if not field.available)
    figures = {
        "excluded": hidden,
        "rules": _reading_rules(subject, set(hidden)),
        "slices": {part.name: part.of for part in subject.spec.slice_specs if part.of in hidden},
    }
    if figures["rules"]:
        rules = sorted(figures["rules"])
        return issue(
            f"rules read fields that are known only afterwards: {listed(rules)}", **figures
        )
    if figures["slices"]:
        return tip(
            f"slices by fields that are known only afterwards: {listed(sorted(figures['slices']))}"
            "; they show where errors were, and no request can be told by them",
            **figures,
        )
    if hidden:
        return passed(f"no rule and no feature reads what is excluded: {listed(hidden)}", **figures)
    return passed("every field is declared to be known when a request is decided", **figures)


def _reading_rules(subject: Subject, hidden: set[str]) -> dict[str, list[str]]:
    rules = subject.rules.ruleset.rules if subject.rules else ()
    read = {rule.id: sorted(_read_by(rule.when) & hidden) for rule in rules}
    return {rule: fields for rule, fields in read.items() if fields}


def _read_by(condition: Condition) -> set[str]:
    """The facts of its comparisons, and those that its expressions write as facts.name."""
    if isinstance(condition, Comparison):
        return {condition.field}
    if isinstance(condition, Expression):
        return set(re.findall(r"\bfacts\.([a-z][a-z0-9_]*)", condition.expr))
    if isinstance(condition, Not):
        return _read_by(condition.not_)
    parts = condition.all if isinstance(condition, All) else condition.any
    return {name for part in parts for name in _read_by(part)}


CHECKS = (
    Check(
        code="LEAK-UNAVAILABLE",
        title="What decides reads nothing that is known only afterwards",
        severity="high",
        way_out="Take the field out of the rules and slices, or declare it available if it is.",
        judge=_judge,
    ),
)
