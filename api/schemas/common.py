"""What every body shares, and the form of an error."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
DocumentId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Note = Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")]
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # before it, a clock was never set


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


class ErrorDetail(Outgoing):
    code: str = Field(examples=["RUNG-FACTS-VALUE"])
    message: str
    way_out: str
    line: int | None


class ErrorBody(Outgoing):
    error: ErrorDetail
