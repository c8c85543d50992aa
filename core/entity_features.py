"""What an entity's events say at a moment: one aggregation, for training and for serving.

An event counts at `at` if it happened within (at - days, at] and was known by then. Both times
matter: what happened before a decision and was told after it would be the future in training.
Times are whole microseconds since 1970, so that no zone and no rounding has a say.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from core.contracts import Json
from core.errors import InvalidFacts, InvalidRequest
from core.intake import admit
from core.spec.entities import EntityFeature, EntityType, EventSpec

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Facts = dict[str, float | None]

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
LARGEST = 1e290  # 10^18 of them still have a sum
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class EntityEvent:
    """`known_at` is when this system was told of it; `id` is the teller's, and tells twice once."""

    entity: str
    id: str
    kind: str
    happened_at: datetime
    known_at: datetime
    values: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True, slots=True)
class KindHistory:
    """The events of one kind and entity, each array (n,), in the order of `in_order`."""

    happened: Times
    known: Times
    values: Mapping[str, Values]  # of the fields that features read; NaN where unknown


History = Mapping[str, KindHistory]  # by the kind of event


def microseconds(moment: datetime) -> int:
    """Since 1970, exactly. Raises TypeError for a time without a zone."""
    return (moment - _EPOCH) // _MICROSECOND


def in_order(
    happened: Times, known: Times, ids: npt.NDArray[Any], *groups: npt.NDArray[Any]
) -> npt.NDArray[np.intp]:
    """Places from the earliest event to the latest, of equals the one known last at the end.

    With `groups`, each of them apart: by the last one first.
    """
    return np.lexsort((ids, known, happened, *groups))


def fields_read(kind: EntityType, event: str) -> list[str]:
    """The fields of that event which features aggregate."""
    read = {f.of for f in kind.features.values() if f.event == event and f.of is not None}
    return sorted(read)


def history_of(kind: EntityType, events: Iterable[EntityEvent]) -> History:
    """The events of one entity, in any order."""
    by_kind: dict[str, list[EntityEvent]] = {}
    for event in events:
        by_kind.setdefault(event.kind, []).append(event)
    return {name: _of_kind(told, fields_read(kind, name)) for name, told in by_kind.items()}


def _of_kind(events: list[EntityEvent], fields: list[str]) -> KindHistory:
    happened = np.array([microseconds(event.happened_at) for event in events], dtype=np.int64)
    known = np.array([microseconds(event.known_at) for event in events], dtype=np.int64)
    order = in_order(happened, known, np.array([event.id for event in events]))
    return KindHistory(
        happened=happened[order],
        known=known[order],
        values={
            name: np.array([_number(event.values.get(name)) for event in events])[order]
            for name in fields
        },
    )


def _number(value: Json) -> float:
    return math.nan if value is None else float(value)  # type: ignore[arg-type]  # admitted


def features_at(
    kind: EntityType, history: History | None, watermark: int | None, at: datetime
) -> Facts:
    """The facts of an entity at `at`; all unknown for nobody (None), or where the feed is stale."""
    if history is None or is_stale(kind, watermark, at):
        return dict.fromkeys(kind.features)
    return aggregate(kind, history, at)


def is_stale(kind: EntityType, watermark: int | None, at: datetime) -> bool:
    """`watermark` is when the newest event of the type was known, of those known by `at`."""
    if kind.fresh_within_hours is None:
        return False
    return watermark is None or (
        microseconds(at) - watermark > round(kind.fresh_within_hours * HOUR_US)
    )


def longest_us(kind: EntityType) -> int:
    """The longest window of its features, in microseconds: older events have no say."""
    return max(_window_us(feature) for feature in kind.features.values())


def _window_us(feature: EntityFeature) -> int:
    return round(feature.days * DAY_US)


def aggregate(kind: EntityType, history: History, at: datetime) -> Facts:
    """Each feature at `at`. `history` may hold more than its window, such as later events.

    Nothing in the window makes a count and a sum 0, and every other aggregate unknown. A value
    that an event left unknown takes no part.
    """
    now = microseconds(at)
    return {
        name: _feature(feature, history.get(feature.event), now)
        for name, feature in kind.features.items()
    }


def _feature(feature: EntityFeature, events: KindHistory | None, now: int) -> float | None:
    if events is None:
        return 0.0 if feature.aggregate in ("count", "sum") else None
    first = int(events.happened.searchsorted(now - _window_us(feature), side="right"))
    end = int(events.happened.searchsorted(now, side="right"))
    seen = events.known[first:end] <= now
    if feature.of is None:
        times = events.happened[first:end][seen]
        if feature.aggregate == "count":
            return float(len(times))
        return (now - int(times[-1])) / DAY_US if len(times) else None
    values = events.values[feature.of][first:end][seen]
    return _AGGREGATES[feature.aggregate](values[~np.isnan(values)].tolist())


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


# fsum is exact, so that the order in which events arrived does not change a sum's last bit.
_AGGREGATES: dict[str, Callable[[list[float]], float | None]] = {
    "sum": math.fsum,
    "mean": _mean,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "last": lambda values: values[-1] if values else None,
}


def admit_values(name: str, event: EventSpec, values: Mapping[str, Any]) -> dict[str, Json]:
    """The values of one event as declared, texts redacted. Raises InvalidRequest."""
    strange = sorted(str(key) for key in values if key not in event.fields)
    if strange:
        shown = strange[0][:40].encode("ascii", "backslashreplace").decode()
        raise InvalidRequest(
            "RUNG-EVENT-VALUES",
            f"the event '{name}' has no field '{shown}'",
            way_out=f"Send only: {', '.join(sorted(event.fields)) or 'no values'}.",
        )
    schema = event.schema_of_values
    if schema is None:
        return {}
    try:
        admitted = admit(schema, values)
    except InvalidFacts as error:
        raise InvalidRequest(
            "RUNG-EVENT-VALUES", f"the event '{name}': {error.message}", way_out=error.way_out
        ) from error
    for field, value in admitted.items():
        if isinstance(value, float) and abs(value) > LARGEST:
            raise InvalidRequest(
                "RUNG-EVENT-VALUES",
                f"the event '{name}': the field '{field}' is too large to be summed",
                way_out=f"Send a number up to {LARGEST:g}.",
            )
    return admitted
