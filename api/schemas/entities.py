"""Events of entities, and the features that they make."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field, WithJsonSchema

from api.schemas.common import Incoming, Moment, Outgoing, Word


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
