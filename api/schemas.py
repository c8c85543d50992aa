"""The bodies that travel over HTTP, with their units; inside, the contracts are used."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictFloat,
    StrictInt,
    WithJsonSchema,
    computed_field,
)
from pydantic.config import JsonDict

Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Note = Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")]
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # before it, a clock was never set

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


def _text(value: Any) -> Any:
    """Times travel as ISO 8601 only: a bare number leaves its unit to a guess."""
    if not isinstance(value, str):
        raise ValueError("a time is an ISO 8601 text")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_text), Field(ge=EARLIEST)]


class Incoming(BaseModel):
    """Unknown keys are refused: a misspelt one would be lost in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Outgoing(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


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


class FeedbackBody(Incoming):
    """At least one of `truth` and `kpi`. `document` goes with the truth "answer"."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "decision_id": DECISION_ID,
                    "truth": "answer",
                    "document": "transfers/arrival",
                    "happened_at": "2026-01-31T12:00:00+00:00",
                    "source": "agent",
                }
            ]
        }
    )

    decision_id: Word
    truth: Word | None = Field(default=None, description="An outcome, answer or person.")
    document: Word | None = Field(
        default=None, description="The document that would have answered."
    )
    kpi: StrictFloat | None = Field(
        default=None, allow_inf_nan=False, description="A value of the decision's KPI, in its unit."
    )
    source: Word = Field(description="Who or what says so.")
    happened_at: Moment


class FeedbackReceipt(Outgoing):
    decision_id: str
    recorded: Literal[True] = True


class ClaimBody(Incoming):
    """Without `who`, the key itself is the person."""

    who: Word | None = Field(default=None, examples=["ada@example.com"])


class ResolveBody(ClaimBody):
    truth: Word = Field(description="An outcome, answer or person.", examples=["answer"])
    document: Word | None = Field(default=None, description="The document that answers.")
    note: Note = ""


class SnoozeBody(ClaimBody):
    until: Moment = Field(examples=["2026-02-01T09:00:00+00:00"])
    note: Note = ""


class CandidateBody(Outgoing):
    outcome: str
    probability: float


class EventBody(Outgoing):
    at: datetime
    who: str
    event: str
    note: str


class ReviewReceipt(Outgoing):
    """What changed; what a person reads is in GET /v1/reviews/{id}."""

    id: str
    decision_id: str
    decision: str
    state: Literal["open", "claimed", "snoozed", "resolved"]
    due_at: datetime
    claimed_by: str | None
    held_until: datetime | None = Field(description="The end of a claim or a snooze.")
    resolved_at: datetime | None
    truth: str | None
    document: str | None


class ReviewBody(ReviewReceipt):
    """What was sent, why no rung was sure, and what it may be."""

    created_at: datetime
    overdue: bool
    facts: dict[str, JsonValue] | None = Field(description="null where they have been erased.")
    reasons: tuple[str, ...]
    candidates: tuple[CandidateBody, ...] = Field(description="Likeliest first.")
    evidence: tuple[PassageBody, ...]
    draft: AnswerBody | None = Field(description="A text that a rung made and was not sure of.")
    note: str | None


class ReviewDetailBody(ReviewBody):
    events: tuple[EventBody, ...]


class ReviewsBody(Outgoing):
    reviews: tuple[ReviewBody, ...]


class NamesBody(Outgoing):
    decisions: tuple[str, ...]


class AliveBody(Outgoing):
    alive: Literal[True] = True


class ReadyBody(Outgoing):
    ready: bool
    store: bool
    ladders: bool = Field(description="Whether every live decision is loaded.")


class ErrorDetail(Outgoing):
    code: str = Field(examples=["RUNG-FACTS-VALUE"])
    message: str
    way_out: str
    line: int | None


class ErrorBody(Outgoing):
    error: ErrorDetail


class TellBody(Incoming):
    """One event; what `values` may hold is what the entity's type declares for its kind."""

    id: Word = Field(description="The teller's own: told again, it changes nothing.")
    kind: Word
    happened_at: Moment
    values: Annotated[dict[str, Any], WithJsonSchema({"type": "object"})] = Field(
        default_factory=dict
    )


class EventsBody(Incoming):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {
                            "id": "payment-4711",
                            "kind": "payment",
                            "happened_at": "2026-01-31T12:00:00+00:00",
                            "values": {"amount": 25.5},
                        }
                    ]
                }
            ]
        }
    )

    events: tuple[TellBody, ...] = Field(min_length=1, max_length=1000)


class EventsReceipt(Outgoing):
    told: int = Field(description="Events in the request.")
    new: int = Field(description="Of those, the ones that were not told before.")


class EntityFeatureBody(Outgoing):
    decision: str
    name: str
    value: float | None = Field(description="null where unknown, or the feed is stale.")
    version: int
    owner: str
    meaning: str
    stale: bool = Field(description="Whether the feed is older than the decision admits.")


class EntityBody(Outgoing):
    """What the live decisions of this tenant would read of the entity now."""

    type: str
    at: datetime
    age_hours: float | None = Field(
        description="Since the newest event of any entity of this type; null where none came."
    )
    features: tuple[EntityFeatureBody, ...]


class JobBody(Outgoing):
    """`progress` is in units of the job's kind: documents, rows."""

    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    priority: int = Field(description="The greater is claimed first.")
    progress: int
    total: int | None = Field(description="Of how many units; null where that is not known.")
    seconds_left: float | None = Field(
        description="At the pace so far; null where that cannot be said."
    )
    tries: int = Field(description="How often a worker has claimed it.")
    max_tries: int
    reason: str | None = Field(description="Why its last try failed.")
    result: dict[str, JsonValue] | None
    created_at: datetime
    due_at: datetime = Field(
        description="Queued: not claimed before. Running: its lease, which its worker renews."
    )
    started_at: datetime | None = Field(description="Of the last try.")
    finished_at: datetime | None


class JobsBody(Outgoing):
    jobs: tuple[JobBody, ...]
    counts: dict[str, int] = Field(description="Of all the tenant's jobs, by state.")


class ScheduleBody(Outgoing):
    name: str
    kind: str
    every_seconds: int
    next_at: datetime


class SchedulesBody(Outgoing):
    schedules: tuple[ScheduleBody, ...]


class DocumentBody(Incoming):
    id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
    title: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")] = ""
    text: Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*$")]


class DocumentsBody(Incoming):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "documents": [
                        {
                            "id": "transfers/arrival",
                            "title": "When a transfer arrives",
                            "text": "A transfer inside the country arrives the next working day.",
                        }
                    ]
                }
            ]
        }
    )

    documents: tuple[DocumentBody, ...] = Field(min_length=1, max_length=200)


class RefusedLine(Outgoing):
    line: int
    code: str
    message: str
    way_out: str


class DocumentsReceipt(Outgoing):
    accepted: int = Field(description="To be embedded; searched some seconds later.")
    unchanged: int = Field(description="There already with the same content.")
    refused: int = 0
    refusals: tuple[RefusedLine, ...] = Field(default=(), description="The first 100 of them.")


class DeleteBody(Incoming):
    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": ["transfers/arrival"]}]})

    ids: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        min_length=1, max_length=1000
    )


class DeletedReceipt(Outgoing):
    deleted: int = Field(description="How many of them were there.")


class CorpusIndexBody(Outgoing):
    identity: str | None = Field(description="Digest of what is indexed and how.")
    artifact: str
    fingerprint: str | None = Field(description="Of the embedder; only that one can search it.")
    revision: int | None = Field(description="Of the corpus that it holds.")
    documents: int | None
    chunks: int | None
    verified: dict[str, JsonValue] = Field(description="What was measured before it came in force.")
    age_s: float


class CorpusBody(Outgoing):
    decision: str
    corpus: str
    revision: int = Field(description="Grows whenever what an index would hold changes.")
    changed_at: datetime | None
    documents: dict[str, int] = Field(description="By state: waiting, ready, failed, deleted.")
    indexes: tuple[CorpusIndexBody, ...] = Field(
        description="In force, one for each embedder; the newest first."
    )


class DocumentStateBody(Outgoing):
    id: str
    title: str
    state: Literal["waiting", "ready", "failed"]
    reason: str | None = Field(description="Why it failed.")
    source: Literal["api", "folder"]
    written_at: datetime


class ScoreAskBody(Incoming):
    """A key alone, or with the facts of the request as they are now."""

    key: Annotated[str, Field(max_length=4000)] | StrictInt
    facts: Annotated[Any, WithJsonSchema({"type": "object"})] = None


class ScoresBody(Incoming):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"requests": [{"key": "c-0001"}, {"key": "c-0002"}]}],
        }
    )

    requests: tuple[ScoreAskBody, ...] = Field(min_length=1, max_length=1000)
    order_by: Literal["expected_cost", "probability"] = Field(
        default="expected_cost", description="Least cost first, or highest probability first."
    )


class ScoreBody(Outgoing):
    """`source` says where it is from: kept and fresh, decided now, kept and stale, or refused."""

    key: str | int
    rank: int | None = Field(default=None, description="From 1; null where it is refused.")
    outcomes: tuple[str, ...] = Field(default=(), description="What to do, or person.")
    probability: float | None = Field(
        default=None, description="Of the risk's outcome; null where the model was not asked."
    )
    expected_cost: float | None = Field(
        default=None, description="Of the outcome, in the currency of the decision's costs."
    )
    release: str | None = None
    scored_at: datetime | None = None
    age_seconds: float | None = None
    source: Literal["cache", "online", "stale", "refused"]
    why: str = Field(default="", description="Why it is not the kept score, or is a stale one.")
    decision_id: str | None = Field(
        default=None, description="What was decided online is recorded as a decision."
    )
    error: ErrorDetail | None = None


class ScoresTold(Outgoing):
    release: str | None = Field(description="The one that is live.")
    order_by: Literal["expected_cost", "probability"]
    scores: tuple[ScoreBody, ...] = Field(description="By rank.")
