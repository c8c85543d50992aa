"""What a rung hands to the ladder: an outcome or an abstention, with its reasons."""

from dataclasses import dataclass, field

Truth = bool | None  # None is "unknown": a fact that the condition needs is missing or null


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeTrace:
    """What one condition came to, and its parts. `note` says why an expression is unknown."""

    label: str
    truth: Truth
    note: str = ""
    children: tuple["NodeTrace", ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleTrace:
    """What one rule came to. `effect` is match, skip or escalate."""

    rule: str
    effect: str
    node: NodeTrace


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A rung's answer. An empty `outcomes` is an abstention, and `escalate` asks for a person."""

    outcomes: tuple[str, ...]
    reasons: tuple[str, ...]
    version: str
    escalate: bool = False
    trace: tuple[RuleTrace, ...] = field(default=())

    @property
    def abstained(self) -> bool:
        return not self.outcomes
