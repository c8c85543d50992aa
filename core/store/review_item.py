"""A review as a person needs it: what was sent, why no rung was sure, and what it may be."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row

from core.contracts import Answer, Decision, Json, Passage, Step
from core.store.codec import rebuild

ReviewState = Literal["open", "claimed", "snoozed", "resolved"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    outcome: str
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewEvent:
    at: datetime
    who: str
    event: Literal["opened", "claimed", "snoozed", "resolved"]
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewItem:
    """`state` is as of the moment of reading; `held_until` ends a claim or a snooze.

    `reasons` are sentences, one or more for each rung that was asked; `candidates` are the last
    calibrated belief, likeliest first; `draft` is a text that a rung made and was not sure of.
    """

    id: str
    tenant_id: str
    decision_id: str
    decision: str
    state: ReviewState
    created_at: datetime
    due_at: datetime
    overdue: bool
    claimed_by: str | None
    held_until: datetime | None
    facts: Mapping[str, Json]
    reasons: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    evidence: tuple[Passage, ...]
    draft: Answer | None
    resolved_at: datetime | None
    truth: str | None
    document: str | None
    note: str | None


def review_item(row: Row[Any], now: datetime) -> ReviewItem:
    decision = rebuild(Decision, row.decided)
    state = _state(row, now)
    open_again = state == "open"
    return ReviewItem(
        id=row.id,
        tenant_id=row.tenant_id,
        decision_id=row.decision_id,
        decision=row.decision,
        state=state,
        created_at=row.created_at,
        due_at=row.due_at,
        overdue=state != "resolved" and row.due_at < now,
        claimed_by=None if open_again else row.claimed_by,
        held_until=None if open_again else row.held_until,
        facts=row.facts,
        reasons=tuple(sentence for step in decision.steps for sentence in _reasons(step)),
        candidates=_candidates(decision),
        evidence=_last(decision, lambda step: step.verdict.evidence) or (),
        draft=_last(decision, lambda step: step.verdict.answer),
        resolved_at=row.resolved_at,
        truth=row.truth,
        document=row.document,
        note=row.note,
    )


def _state(row: Row[Any], now: datetime) -> ReviewState:
    lapsed = row.state in ("claimed", "snoozed") and row.held_until <= now
    state: ReviewState = "open" if lapsed else row.state
    return state


def _reasons(step: Step) -> tuple[str, ...]:
    told = (*step.verdict.reasons, step.why)
    return tuple(f"{step.verdict.rung}: {sentence}" for sentence in told if sentence)


def _candidates(decision: Decision) -> tuple[Candidate, ...]:
    belief: Mapping[str, float] = _last(decision, lambda step: step.verdict.belief) or {}
    ranked = sorted(belief.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(Candidate(outcome=name, probability=chance) for name, chance in ranked)


def _last(decision: Decision, part: Any) -> Any:
    """That part of the last step which has it."""
    return next((part(step) for step in reversed(decision.steps) if part(step)), None)
