"""The queue of those that people decide."""

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from api.schemas.common import DocumentId, Incoming, Moment, Note, Outgoing, Word
from api.schemas.decisions import AnswerBody, PassageBody


class ClaimBody(Incoming):
    """Without `who`, the key itself is the person."""

    who: Word | None = Field(default=None, examples=["ada@example.com"])


class ResolveBody(ClaimBody):
    truth: Word = Field(description="An outcome, answer or person.", examples=["answer"])
    document: DocumentId | None = Field(default=None, description="The document that answers.")
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
    facts: dict[str, JsonValue]
    reasons: tuple[str, ...]
    candidates: tuple[CandidateBody, ...] = Field(description="Likeliest first.")
    evidence: tuple[PassageBody, ...]
    draft: AnswerBody | None = Field(description="A text that a rung made and was not sure of.")
    note: str | None


class ReviewDetailBody(ReviewBody):
    events: tuple[EventBody, ...]


class ReviewsBody(Outgoing):
    reviews: tuple[ReviewBody, ...]
