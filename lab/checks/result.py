"""What a check says: one outcome with its evidence, in the same shape from every check."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from lab.checks.subject import Subject

Outcome = Literal["issue", "tip", "passed", "not applicable", "insufficient data"]
Severity = Literal["high", "medium", "low"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
PAGE = "docs/reference/checks.md"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`figures` are JSON: every estimated one with its interval and n."""

    outcome: Outcome
    evidence: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    code: str
    title: str
    severity: Severity
    outcome: Outcome
    evidence: str
    figures: Mapping[str, Any]
    page: str
    way_out: str  # empty where there is nothing to do

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "figures": dict(self.figures)}


@dataclass(frozen=True, kw_only=True)
class Check:
    """`needs` are asked first; the first that finds its data lacking ends the check.

    `way_out` is what its owner does about an issue or a tip.
    """

    code: str
    title: str
    severity: Severity
    way_out: str
    judge: "Callable[[Subject], Finding]"
    needs: "tuple[Callable[[Subject], Finding | None], ...]" = ()

    @property
    def page(self) -> str:
        return f"{PAGE}#{self.code.lower()}"

    def run(self, subject: "Subject") -> CheckResult:
        lacking = (need(subject) for need in self.needs)
        finding = next((found for found in lacking if found), None) or self.judge(subject)
        return CheckResult(
            code=self.code,
            title=self.title,
            severity=self.severity,
            outcome=finding.outcome,
            evidence=finding.evidence,
            figures=finding.figures,
            page=self.page,
            way_out=self.way_out if finding.outcome in ("issue", "tip") else "",
        )


def passed(evidence: str, **figures: Any) -> Finding:
    return Finding(outcome="passed", evidence=evidence, figures=figures)


def issue(evidence: str, **figures: Any) -> Finding:
    return Finding(outcome="issue", evidence=evidence, figures=figures)


def tip(evidence: str, **figures: Any) -> Finding:
    return Finding(outcome="tip", evidence=evidence, figures=figures)


def not_applicable(evidence: str, **figures: Any) -> Finding:
    return Finding(outcome="not applicable", evidence=evidence, figures=figures)


def insufficient(evidence: str, **figures: Any) -> Finding:
    return Finding(outcome="insufficient data", evidence=evidence, figures=figures)


def listed(names: "list[str] | tuple[str, ...]", most: int = 5) -> str:
    """A few names for a sentence; the figures hold them all."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
