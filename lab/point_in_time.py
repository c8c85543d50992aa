"""Features of entities for training rows, each as it was known at the row's own time.

The join is of two times: an event counts if it happened before the row *and* was known by then.
The aggregation is that of serving (core.entity_features); here is only what finds the events.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from core.entity_features import (
    EntityEvent,
    History,
    KindHistory,
    Times,
    features_at,
    fields_read,
    in_order,
    microseconds,
)
from core.errors import InvalidDocument
from core.spec import DecisionSpec
from core.spec.entities import EntityType
from lab.event_files import events_in, refused


class EventLog(Protocol):
    """The store, as far as its events are read here."""

    def entity_log(self, tenant_id: str, entity_type: str) -> Iterable[EntityEvent]: ...


@dataclass(frozen=True, kw_only=True)
class EventTable:
    """The events of one type of entity. `known` holds when each was known, ascending."""

    kind: EntityType
    histories: Mapping[str, History]
    known: Times

    def facts(
        self, entities: Sequence[str | None], at: Sequence[datetime]
    ) -> dict[str, list[float | None]]:
        """A column for each feature, row by row: entity `entities[i]` at the time `at[i]`.

        An entity of which nothing is told has no events; None is nobody, and all is unknown.
        """
        columns: dict[str, list[float | None]] = {name: [] for name in self.kind.features}
        for entity, moment in zip(entities, at, strict=True):
            history = None if entity is None else self.histories.get(entity, {})
            row = features_at(self.kind, history, self._watermark(moment), moment)
            for name, column in columns.items():
                column.append(row[name])
        return columns

    def _watermark(self, at: datetime) -> int | None:
        """When the newest event was known, of those known by `at`."""
        count = int(self.known.searchsorted(microseconds(at), side="right"))
        return int(self.known[count - 1]) if count else None


def told_tables(spec: DecisionSpec, store: EventLog, tenant_id: str) -> dict[str, EventTable]:
    """The events that the API was told, by the type of entity; entities by their pseudonyms."""
    return {
        name: table_of(kind, store.entity_log(tenant_id, name))
        for name, kind in spec.entities.items()
    }


def entity_facts(
    spec: DecisionSpec,
    tables: Mapping[str, EventTable],
    ids: Mapping[str, Sequence[str | None]],
    at: Sequence[datetime],
) -> dict[str, list[float | None]]:
    """Every entity feature of a decision, a column each.

    `tables` are by the type of entity; `ids` by key field, as the events name their entities;
    `at` holds the rows' times. Raises InvalidDocument where a type has no table.
    """
    columns: dict[str, list[float | None]] = {}
    for name, kind in spec.entities.items():
        if name not in tables:
            raise InvalidDocument(
                "RUNG-EVENTS-MISSING",
                f"the features of '{name}' are made of its events, and there are none",
                way_out="Name the file of its events.",
            )
        columns |= tables[name].facts(ids[kind.key], at)
    return columns


def read_events(path: Path, kind: EntityType) -> EventTable:
    """JSON Lines (.jsonl) or Parquet (.parquet) of entity, id, kind, happened_at, known_at, values.

    Raises InvalidDocument that names the row.
    """
    return table_of(kind, events_in(path, kind))


def table_of(kind: EntityType, events: Iterable[EntityEvent]) -> EventTable:
    """Events in any order. One that is told again counts once, from when it was first known.

    Raises InvalidDocument where one id stands for two events.
    """
    columns = _Columns(fields=sorted({f for name in kind.events for f in fields_read(kind, name)}))
    for event in events:
        columns.add(event)
    return EventTable(
        kind=kind,
        histories=_histories(kind, columns),
        known=np.sort(np.array(columns.known, dtype=np.int64)),
    )


class _Columns:
    """Lists, a third of the size of as many events."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.entity: list[str] = []
        self.id: list[str] = []
        self.kind: list[str] = []
        self.happened: list[int] = []
        self.known: list[int] = []
        self.values: dict[str, list[float]] = {name: [] for name in fields}
        self._places: dict[tuple[str, str], int] = {}
        self._contents: list[int] = []

    def add(self, event: EntityEvent) -> None:
        known = microseconds(event.known_at)
        happened = microseconds(event.happened_at)
        # A hash of it all: the values that no feature reads are not kept.
        content = hash((event.kind, happened, tuple(sorted(event.values.items()))))
        place = self._places.setdefault((event.entity, event.id), len(self.entity))
        if place < len(self.entity):
            if self._contents[place] != content:
                raise refused(f"the id '{event.id[:40]}' stands for two different events")
            self.known[place] = min(self.known[place], known)
            return
        self._contents.append(content)
        self.entity.append(event.entity)
        self.id.append(event.id)
        self.kind.append(event.kind)
        self.happened.append(happened)
        self.known.append(known)
        for name, column in self.values.items():
            value = event.values.get(name)
            column.append(float(value) if isinstance(value, int | float) else np.nan)


def _histories(kind: EntityType, columns: _Columns) -> dict[str, History]:
    entities, entity = _codes(columns.entity)
    kinds, event = _codes(columns.kind)
    happened = np.array(columns.happened, dtype=np.int64)
    known = np.array(columns.known, dtype=np.int64)
    order = in_order(happened, known, np.array(columns.id, dtype=str), event, entity)
    entity, event, happened, known = (a[order] for a in (entity, event, happened, known))
    values = {name: np.array(column)[order] for name, column in columns.values.items()}
    changes = np.flatnonzero((np.diff(entity) != 0) | (np.diff(event) != 0)) + 1
    edges = [0, *changes.tolist(), len(order)] if len(order) else [0]
    histories: dict[str, dict[str, KindHistory]] = {}
    for first, end in pairwise(edges):
        name = kinds[event[first]]
        histories.setdefault(entities[entity[first]], {})[name] = KindHistory(
            happened=happened[first:end],
            known=known[first:end],
            values={field: values[field][first:end] for field in fields_read(kind, name)},
        )
    return dict(histories)


def _codes(words: Sequence[str]) -> tuple[list[str], Any]:
    """The different words, and each word's place among them (n,)."""
    encoded = pa.array(words, pa.string()).dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)
