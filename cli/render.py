"""Verdicts and decisions as a person reads them."""

import json
from collections.abc import Iterator, Mapping
from textwrap import shorten

from core.contracts import Decision, Json, NodeTrace, RuleTrace, Verdict

MARKS = {True: "yes", False: "no", None: "unknown"}
WIDTH = 96


def readable_facts(facts: Mapping[str, Json]) -> str:
    known = {name: value for name, value in facts.items() if value is not None}
    return shorten(json.dumps(known, ensure_ascii=False), WIDTH * 2, placeholder=" …")


def readable_decision(decision: Decision) -> str:
    """The outcome first, then each rung that was asked and why the next one was or was not."""
    answer = ", ".join(decision.outcomes) or "a person decides"
    sure = "" if decision.probability is None else f", probability {decision.probability:.2f}"
    lines = [f"  => {answer}   (rung: {decision.rung}{sure}, {decision.milliseconds:.0f} ms)"]
    if decision.answer:
        lines.append(f"     {shorten(decision.answer.text, WIDTH * 2, placeholder=' …')}")
        cited = ", ".join(decision.answer.citations)
        lines.append(f"     from {cited} ({decision.answer.made_by})")
    for step in decision.steps:
        verdict = step.verdict
        said = "; ".join(verdict.reasons) or "no rule applies"
        lines.append(f"     {verdict.rung:<10} {said}")
        lines.append(f"     {'':<10} -> {step.action}: {step.why}")
    lines.append(f"     why llm    {decision.llm}")
    return "\n".join(lines)


def readable_rules(verdict: Verdict) -> str:
    answer = ", ".join(verdict.outcomes) or ("a person" if verdict.escalate else "no rule applies")
    lines = [f"  => {answer}" + "".join(f" ({reason})" for reason in verdict.reasons)]
    for rule in verdict.trace:
        lines.extend(_rule(rule))
    return "\n".join(lines)


def _rule(rule: RuleTrace) -> Iterator[str]:
    yield f"     {rule.rule}: {rule.effect}"
    yield from _nodes(rule.node, 8)


def _nodes(node: NodeTrace, indent: int) -> Iterator[str]:
    yield f"{' ' * indent}{node.label}: {MARKS[node.truth]}{f' ({node.note})' if node.note else ''}"
    for child in node.children:
        yield from _nodes(child, indent + 2)
