"""What turned out to be true."""

from typing import Literal

from pydantic import ConfigDict, Field, StrictFloat

from api.schemas.common import DocumentId, Incoming, Moment, Outgoing, Word
from api.schemas.decisions import DECISION_ID


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
    document: DocumentId | None = Field(
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
