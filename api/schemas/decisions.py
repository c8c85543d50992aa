"""A decision, and the trace of how it came about."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, WithJsonSchema, computed_field
from pydantic.config import JsonDict

from api.schemas.common import Incoming, Outgoing

DECISION_ID = "5f1c1de2-a9d8-4a5f-b7c6-d2a1c1f0a001"
DECISION: JsonDict = {
    "id": DECISION_ID,
    "name": "payments_support",
    "outcomes": ["answer"],
    "rung": "retrieval",
    "probability": 0.94,
    "answer": {
        "text": "A transfer inside the country arrives on the next working day.",
        "citations": ["transfers/arrival"],
        "made_by": "article",
    },
    "evidence": [
        {
            "document": "transfers/arrival",
            "title": "When a transfer arrives",
            "score": 0.91,
            "attribution": {"bm25": 0.38, "dense": 0.53},
        }
    ],
    "llm": "not asked: the passage itself answers at a lower expected cost",
    "language": "en",
    "release": "2026-01-12.1",
    "price": 0.0,
    "milliseconds": 31.4,
    "trace": f"/v1/decisions/{DECISION_ID}",
}


class DecideBody(Incoming):
    """The decision's own schema says which facts there are; it validates them."""

    facts: Annotated[Any, WithJsonSchema({"type": "object"})] = Field(
        examples=[{"message": "When does my transfer arrive?", "amount": 120.5}]
    )


class AnswerBody(Outgoing):
    text: str
    citations: tuple[str, ...] = Field(description="Ids of the documents that the text rests on.")
    made_by: Literal["article", "extractive", "llm"]


class RankedBody(Outgoing):
    document: str
    title: str
    score: float
    attribution: dict[str, float] = Field(
        description="The score, split among the features of the rank."
    )


class DecisionBody(Outgoing):
    model_config = ConfigDict(json_schema_extra={"examples": [DECISION]})

    id: str
    name: str
    outcomes: tuple[str, ...] = Field(description="What to do; empty where a person decides.")
    rung: str = Field(description="Who answered: rules, classical, retrieval, llm or person.")
    probability: float | None = Field(
        description="Calibrated probability that the outcome is right; null for a rule."
    )
    answer: AnswerBody | None
    evidence: tuple[RankedBody, ...] = Field(
        description="The passages that the answering rung had, and why they rank so."
    )
    llm: str = Field(description="Why a language model was, or was not, needed.")
    language: str
    release: str
    price: float = Field(description="In the currency of the decision's costs.")
    milliseconds: float

    @computed_field(description="Where the whole trace is.")  # type: ignore[prop-decorator]
    @property
    def trace(self) -> str:
        return f"/v1/decisions/{self.id}"


class NodeBody(Outgoing):
    label: str
    truth: bool | None = Field(description="null where a fact that the condition needs is missing.")
    note: str
    children: tuple["NodeBody", ...]


class RuleBody(Outgoing):
    rule: str
    effect: str = Field(description="match, skip or escalate.")
    node: NodeBody


class PassageBody(RankedBody):
    text: str


class VerdictBody(Outgoing):
    rung: str
    outcomes: tuple[str, ...] = Field(description="Empty where the rung abstained.")
    reasons: tuple[str, ...]
    version: str
    escalate: bool
    belief: dict[str, float] = Field(description="Calibrated probability of each truth.")
    answer: AnswerBody | None
    evidence: tuple[PassageBody, ...]
    price: float
    milliseconds: float
    details: dict[str, JsonValue]
    trace: tuple[RuleBody, ...]


class StepBody(Outgoing):
    verdict: VerdictBody
    action: Literal["answer", "next", "earlier", "person"]
    cost_now: float | None = Field(description="Expected money of answering with this verdict.")
    cost_next: float | None = Field(description="Expected money of asking the next rung.")
    why: str


class ToldBody(Outgoing):
    truth: str | None
    document: str | None
    kpi: float | None
    source: str
    happened_at: datetime


class TraceBody(DecisionBody):
    """The decision as it was made, and what was told about it since."""

    model_config = ConfigDict(json_schema_extra={})

    request_id: str
    decided_at: datetime
    features_digest: str
    steps: tuple[StepBody, ...]
    feedback: tuple[ToldBody, ...] = ()


class NamesBody(Outgoing):
    decisions: tuple[str, ...]
