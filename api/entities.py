"""Takes events of entities, each once, and shows what decisions would read of an entity now."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, status

from api.auth import Reader, Teller, guarded_router
from api.context import Context, Shared
from api.feedback import CLOCKS_APART
from api.json_body import Read, read_json
from api.openapi import takes
from api.schemas.entities import EntityBody, EntityFeatureBody, EventsBody, EventsReceipt, TellBody
from core.entity_features import (
    HOUR_US,
    EntityEvent,
    admit_values,
    features_at,
    history_of,
    is_stale,
    longest_us,
    microseconds,
)
from core.errors import Conflict, InvalidFacts, InvalidRequest, NotFound, RungError
from core.spec import DecisionSpec, RequestSchema
from core.spec.entities import EntityType, EventSpec

router = guarded_router("/v1/entities", subject="entities")


# An id may hold a slash, so it is a path.
@router.post(
    "/{type}/{id:path}/events",
    status_code=status.HTTP_201_CREATED,
    openapi_extra=takes(EventsBody),
)
async def tell(
    type: str,
    id: str,
    caller: Teller,
    context: Shared,
    read: Annotated[Read[EventsBody], Depends(read_json(EventsBody))],
) -> EventsReceipt:
    """All of them or none. The same ids again change nothing."""
    specs = await _declaring(context, caller.tenant_id, type)
    _refuse_id(specs, type, id)
    kinds = _event_kinds(specs, type)
    now = context.clock.now()
    events = [_event(kinds, id, told, now) for told in read.body.events]
    store = context.service.store
    new = await context.run(store.record_events, caller.tenant_id, type, events)
    return EventsReceipt(told=len(events), new=new)


@router.get("/{type}/{id:path}/features")
async def features(type: str, id: str, caller: Reader, context: Shared) -> EntityBody:
    """The features of the entity as of now, for each live decision that reads them."""
    specs = await _declaring(context, caller.tenant_id, type)
    _refuse_id(specs, type, id)
    now = context.clock.now()
    longest = max(longest_us(spec.entities[type]) for spec in specs.values())
    events, newest = await context.run(
        context.service.store.entity_state,
        caller.tenant_id,
        type,
        id,
        at=now,
        within=timedelta(microseconds=longest),
    )
    watermark = microseconds(newest) if newest else None
    shown = [
        body
        for name, spec in specs.items()
        for body in _shown(name, spec.entities[type], events, watermark, now)
    ]
    age = None if watermark is None else (microseconds(now) - watermark) / HOUR_US
    return EntityBody(type=type, at=now, age_hours=age, features=tuple(shown))


def _shown(
    decision: str,
    kind: EntityType,
    events: Sequence[EntityEvent],
    watermark: int | None,
    now: datetime,
) -> list[EntityFeatureBody]:
    values = features_at(kind, history_of(kind, events), watermark, now)
    return [
        EntityFeatureBody(
            decision=decision,
            name=name,
            value=values[name],
            version=feature.version,
            owner=feature.owner,
            meaning=feature.meaning,
            stale=is_stale(kind, watermark, now),
        )
        for name, feature in kind.features.items()
    ]


async def _declaring(context: Context, tenant_id: str, type: str) -> Mapping[str, DecisionSpec]:
    """The live decisions with such an entity. Raises NotFound; Unavailable where one is broken.

    A decision that does not load may be the one: an event must then come again, not be lost.
    """
    specs = {}
    broken: RungError | None = None
    for name in await context.run(context.service.names, tenant_id):
        try:
            spec = await context.service.spec(tenant_id, name)
        except RungError as error:
            broken = error
            continue
        if type in spec.entities:
            specs[name] = spec
    if specs:
        return specs
    if broken is not None:
        raise broken
    raise NotFound(
        "RUNG-ENTITY-UNKNOWN",
        "no live decision has such a type of entity",
        way_out="Declare it under entities in decision.yaml and train the decision.",
    )


def _event_kinds(specs: Mapping[str, DecisionSpec], type: str) -> Mapping[str, EventSpec]:
    """Every kind that any decision declares. Raises Conflict where two mean different events."""
    kinds: dict[str, EventSpec] = {}
    for spec in specs.values():
        for name, event in spec.entities[type].events.items():
            if kinds.setdefault(name, event).fields != event.fields:
                raise Conflict(
                    "RUNG-ENTITY-CONFLICT",
                    f"two live decisions declare different fields of the event '{name}'",
                    way_out="Give the event the same fields in both, and train the other again.",
                )
    return kinds


def _refuse_id(specs: Mapping[str, DecisionSpec], type: str, id: str) -> None:
    """An id that no request could send is a mistake, and its events would never be read."""
    for spec in specs.values():
        key = spec.entities[type].key
        try:
            RequestSchema(fields={key: spec.request.fields[key]}).validate_facts({key: id})
        except InvalidFacts as error:
            raise InvalidRequest(
                "RUNG-ENTITY-ID", f"the entity's id: {error.message}", way_out=error.way_out
            ) from error


def _event(
    kinds: Mapping[str, EventSpec], entity: str, told: TellBody, now: datetime
) -> EntityEvent:
    if told.kind not in kinds:
        raise InvalidRequest(
            "RUNG-EVENT-KIND",
            "this entity has no such kind of event",
            way_out=f"Send one of: {', '.join(sorted(kinds))}.",
        )
    if told.happened_at > now + CLOCKS_APART:
        raise InvalidRequest(
            "RUNG-EVENT-FUTURE",
            "happened_at lies in the future",
            way_out="Send when it happened, with its time zone; late is fine.",
        )
    return EntityEvent(
        entity=entity,
        id=told.id,
        kind=told.kind,
        happened_at=told.happened_at,
        known_at=now,
        values=admit_values(told.kind, kinds[told.kind], told.values),
    )
