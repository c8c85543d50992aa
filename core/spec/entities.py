"""What is kept about an entity: the events that are told of it, and the features made of them."""

from functools import cached_property
from typing import Literal

from pydantic import Field, model_validator

from core.features import NUMERIC
from core.spec.request import FieldSpec, RequestSchema
from core.spec.strict import Name, Strict

Aggregate = Literal["count", "sum", "mean", "min", "max", "last", "days_since"]
OF_EVENTS: frozenset[str] = frozenset({"count", "days_since"})  # they read no field


class EventSpec(Strict):
    """One kind of event, with the values that it brings along."""

    meaning: str = ""
    fields: dict[Name, FieldSpec] = Field(default_factory=dict)

    @cached_property
    def schema_of_values(self) -> RequestSchema | None:
        """None where an event of this kind says no more than that it happened."""
        return RequestSchema(fields=self.fields) if self.fields else None


class EntityFeature(Strict):
    """An aggregate over the events of the `days` before a request, this moment included."""

    event: Name
    aggregate: Aggregate
    of: Name | None = None
    days: float = Field(gt=0, le=3650)
    version: int = Field(default=1, ge=1)
    owner: str = Field(default="", max_length=200)
    meaning: str = Field(default="", max_length=500)

    @model_validator(mode="after")
    def _reads_what_it_needs(self) -> "EntityFeature":
        if (self.of is None) != (self.aggregate in OF_EVENTS):
            raise ValueError(
                f"a {self.aggregate} reads no field; remove of"
                if self.aggregate in OF_EVENTS
                else f"a {self.aggregate} needs a field, such as of: amount"
            )
        return self


class EntityType(Strict):
    """`key` is the request field with the entity's id.

    Where the newest event of the whole type is older than `fresh_within_hours`, the feed has
    stopped: then the features are unknown, or the request goes to a person.
    """

    key: Name
    events: dict[Name, EventSpec] = Field(min_length=1)
    features: dict[Name, EntityFeature] = Field(min_length=1)
    fresh_within_hours: float | None = Field(default=None, gt=0, le=87_600)
    when_stale: Literal["unknown", "person"] = "unknown"

    @model_validator(mode="after")
    def _features_read_declared_events(self) -> "EntityType":
        for name, feature in self.features.items():
            event = self.events.get(feature.event)
            if event is None:
                raise ValueError(f"feature '{name}' reads '{feature.event}', which is no event")
            if feature.of is None:
                continue
            field = event.fields.get(feature.of)
            if field is None:
                raise ValueError(
                    f"feature '{name}' is of '{feature.of}', which is no field of the event "
                    f"'{feature.event}'"
                )
            if field.type not in NUMERIC:
                raise ValueError(
                    f"feature '{name}': a {feature.aggregate} reads numbers, and '{feature.of}' "
                    f"is of type {field.type}"
                )
        return self
