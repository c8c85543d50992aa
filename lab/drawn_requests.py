"""Requests and events as a decision's description admits them, edges included, from one seed."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from core.contracts import Json
from core.entity_features import EntityEvent, longest_us
from core.spec import DecisionSpec, FieldSpec
from core.spec.entities import EntityType

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 60
MICROSECOND = timedelta(microseconds=1)
ARRIVALS = 200  # events that become known in one moment, as an hourly feed delivers them
# Whole hours, the odd ones, and those in which the day of the week is another one.
OFFSETS = (0, 0, 0, 60, 120, -480, 345, 840, -720)
EDGE = 0.25  # of the moments: exactly at an event, a window's end, or the turn of a day
UNKNOWN = 0.1
WORDS = (
    "please",
    "my card 4111 1111 1111 1111",
    "write to anna.schmidt@example.com",
    "call +49 30 1234567",
    "DE89 3704 0044 0532 0130 00",
    "straße \u00e9\u0301 \u4f60\u597d \U0001f4b8",
    "the transfer of 12.50",
    "  twice  ",
    "on 2026-01-31",
    "IP 192.168.0.1",
)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Raw requests in the order of their times, and the events of each type as they came in."""

    requests: Sequence[dict[str, Json]]
    events: dict[str, list[EntityEvent]]


def draw(spec: DecisionSpec, *, requests: int, seed: int) -> Drawn:
    """As many requests, and as many events of each type of entity."""
    rng = random.Random(seed)
    pools = {key: _ids(spec.request.fields[key], requests) for key in sorted(spec.entity_keys)}
    events = {
        name: _events(rng, kind, pools[kind.key], requests) for name, kind in spec.entities.items()
    }
    moments = sorted(_moments(rng, spec, events, requests))
    drawn = [_request(rng, spec, pools, moment) for moment in moments]
    return Drawn(requests=drawn, events=events)


def _ids(field: FieldSpec, requests: int) -> list[str]:
    """One in ten requests has an entity of its own; every other id looks like a card's number."""
    ids = [
        f"41111111{n:08d}" if n % 2 and field.max_length >= 16 else f"{n:x}"[: field.max_length]
        for n in range(max(1, requests // 10))
    ]
    return list(dict.fromkeys(ids))


def _events(
    rng: random.Random, kind: EntityType, pool: Sequence[str], count: int
) -> list[EntityEvent]:
    """Most are known within a minute, some days late; those of the last tenth of ids never are."""
    span = timedelta(days=DAYS) + timedelta(microseconds=longest_us(kind))
    grid = span / max(1, count // ARRIVALS)
    told = []
    for number in range(count):
        name = rng.choice(sorted(kind.events))
        happened = START + timedelta(days=DAYS) - span * rng.random()
        late = timedelta(seconds=60 * rng.random())
        if rng.random() < 0.3:
            late = timedelta(days=10 * rng.random() ** 3)
        arrival = math.ceil((happened + late - (START - span)) / grid)
        fields = kind.events[name].fields
        values = {field: value(rng, of) for field, of in fields.items()}
        told.append(
            EntityEvent(
                entity=rng.choice(pool[: max(1, len(pool) * 9 // 10)]),
                id=f"e{number}",
                kind=name,
                happened_at=happened,
                known_at=START - span + arrival * grid,
                values=values,
            )
        )
    return sorted(told, key=lambda event: (event.known_at, event.id))


def _moments(
    rng: random.Random, spec: DecisionSpec, events: dict[str, list[EntityEvent]], count: int
) -> list[datetime]:
    """An edge is where a mistake of one microsecond, or of `<` for `<=`, would show."""
    edges = [START + timedelta(days=day) for day in range(DAYS)]
    for name, kind in spec.entities.items():
        windows = [timedelta(days=feature.days) for feature in kind.features.values()]
        for event in rng.sample(events[name], min(len(events[name]), count // 4)):
            edges += [event.happened_at, event.known_at, event.happened_at + rng.choice(windows)]
    return [
        rng.choice(edges) + rng.choice((-MICROSECOND, timedelta(0), MICROSECOND))
        if rng.random() < EDGE
        else START + timedelta(days=DAYS * rng.random())
        for _ in range(count)
    ]


def _request(
    rng: random.Random, spec: DecisionSpec, pools: dict[str, list[str]], moment: datetime
) -> dict[str, Json]:
    content: dict[str, Json] = {}
    for name, field in spec.request.fields.items():
        if not field.available:
            continue
        if name == spec.request.time_field:
            content[name] = zoned(rng, moment)
        elif field.missing == "unknown" and rng.random() < UNKNOWN:
            if rng.random() < 0.5:
                content[name] = None
        elif name in pools:
            content[name] = rng.choice(pools[name])
        else:
            content[name] = value(rng, field)
    return content


def zoned(rng: random.Random, moment: datetime) -> str:
    """The same moment, as a clock somewhere shows it."""
    zone = timezone(timedelta(minutes=rng.choice(OFFSETS)))
    return moment.astimezone(zone).isoformat()


def value(rng: random.Random, field: FieldSpec) -> Json:
    if field.missing == "unknown" and rng.random() < UNKNOWN:
        return None
    if field.type == "boolean":
        return rng.random() < 0.5
    if field.type == "category":
        strange = field.unseen == "unknown" and rng.random() < UNKNOWN
        return "never seen" if strange else rng.choice(field.values)
    if field.type == "time":
        return zoned(rng, START + timedelta(days=DAYS * rng.random()))
    if field.type == "text":
        text = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 5)))
        return text[: field.max_length].strip() or "x"
    return _number(rng, field)


def _number(rng: random.Random, field: FieldSpec) -> float:
    low = -1e6 if field.min is None else field.min
    high = max(low, 1e6) if field.max is None else field.max
    if field.min is None and field.max is not None:
        low = min(low, high)
    drawn = rng.random()
    if field.type == "integer":
        first, last = math.ceil(low), math.floor(high)
        return first if drawn < 0.05 else last if drawn < 0.1 else rng.randint(first, last)
    if drawn < 0.1:
        return rng.choice((low, high))
    return min(high, max(low, low + (high - low) * rng.random()))
