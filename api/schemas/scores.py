"""Scores that a batch has kept, and how they are asked for."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictInt, WithJsonSchema

from api.schemas.common import ErrorDetail, Incoming, Outgoing


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
