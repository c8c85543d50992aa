"""What the rooms hand to one another: a request in, verdicts on the way, one decision out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Truth = bool | None  # None is "unknown": a fact that the condition needs is missing or null
Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

ANSWER = "answer"  # the outcome that is a text from the corpus, where others are actions
WRONG_ANSWER = "wrong_answer"  # the truth in which a text was wanted, but another one
PERSON = "person"


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
class Passage:
    """A retrieved piece of a document. `attribution` splits `score` among the rank's features."""

    document: str
    title: str
    text: str
    score: float
    attribution: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A text for the one who asked. `made_by` says how much of it a model wrote."""

    text: str
    citations: tuple[str, ...]  # ids of the documents it rests on
    made_by: Literal["article", "extractive", "llm"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A rung's answer. An empty `outcomes` is an abstention, and `escalate` asks for a person.

    `belief` is the calibrated probability of each truth given all that is known so far; it is
    empty where the rung is certain (a rule) or knows nothing. `price` is in the spec's currency.
    """

    outcomes: tuple[str, ...]
    reasons: tuple[str, ...]
    version: str
    rung: str = "rules"
    escalate: bool = False
    belief: Mapping[str, float] = field(default_factory=dict)
    answer: Answer | None = None
    evidence: tuple[Passage, ...] = ()
    price: float = 0.0
    milliseconds: float = 0.0
    details: Mapping[str, Json] = field(default_factory=dict)
    trace: tuple[RuleTrace, ...] = field(default=())

    @property
    def abstained(self) -> bool:
        return not self.outcomes


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One validated request. `facts` are as the schema admits them, redacted texts included."""

    id: str
    tenant_id: str
    decision: str
    facts: Mapping[str, Json]
    received_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One rung asked, and what the policy made of its verdict, in expected money.

    `earlier` ends the ladder with the answer of a rung that was asked before.
    """

    verdict: Verdict
    action: Literal["answer", "next", "earlier", "person"]
    cost_now: float | None
    cost_next: float | None
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The answer to one request with its whole trace. `rung` is who answered."""

    id: str
    request_id: str
    tenant_id: str
    name: str
    outcomes: tuple[str, ...]
    rung: str
    probability: float | None
    answer: Answer | None
    steps: tuple[Step, ...]
    llm: str  # why a language model was, or was not, needed
    release: str
    features_digest: str
    language: str
    price: float
    milliseconds: float
    decided_at: datetime

    @property
    def evidence(self) -> tuple[Passage, ...]:
        """What the rung that answered rested on, best first."""
        answering = [s.verdict for s in self.steps if s.verdict.rung == self.rung]
        return answering[-1].evidence if answering else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Feedback:
    """What turned out to be true about a decision, however late, or a value of the KPI."""

    decision_id: str
    truth: str | None
    document: str | None  # the document that would have answered, where the truth is an answer
    kpi: float | None
    source: str
    happened_at: datetime
