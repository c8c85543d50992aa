"""Do training and serving read a request alike? Both paths over the same drawn requests.

Online: one request after the other is admitted, its entities' features are read from a store, and
its features are computed as a batch of one. Offline: the requests are written as a table, which
becomes a snapshot joined with a table of events, and computed as columns. Every value is compared
by its bytes, every redacted text by its characters.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import SecretStr

from core.contracts import PERSON, Json, Request
from core.features import Matrix, compute, compute_columns
from core.spec import DecisionSpec
from core.store import Store
from lab.drawn_requests import START, Drawn, draw
from lab.point_in_time import read_events
from lab.snapshots import SEQ, SnapshotStore
from router.entity_facts import admitted, ids_of, join

TENANT = "parity"
SECRET = SecretStr("no entity of anybody: every id here is drawn")
SHOWN = 5
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Computed:
    """`values` (requests, names) in float64, NaN where unknown; texts by field, redacted."""

    values: Matrix
    texts: Mapping[str, Sequence[str | None]]


class ReadsRequests(Protocol):
    """One of the two paths. The other must give the same."""

    def __call__(self, spec: DecisionSpec, drawn: Drawn, progress: Progress) -> Computed: ...


def names_of(spec: DecisionSpec) -> list[str]:
    """What is compared beside texts: the model's features, then the facts made of entities."""
    features = [f"risk.features.{name}" for name in (spec.risk.features if spec.risk else ())]
    return features + [f"entities.{name}" for name in spec.entity_features]


def online(spec: DecisionSpec, drawn: Drawn, progress: Progress) -> Computed:
    """As `Runtime.decide` reads a request."""
    with TemporaryDirectory() as folder:
        clock = _At()
        store = Store.open(f"sqlite:///{folder}/parity.db", clock, secret=SECRET)
        try:
            _tell(store, clock, drawn, progress)
            rows = []
            for number, raw in enumerate(drawn.requests, start=1):
                rows.append(_read(spec, raw, store, clock))
                progress("online", number, len(drawn.requests))
        finally:
            store.close()
    return Computed(
        values=np.stack([values for values, _ in rows]),
        texts={name: [facts[name] for _, facts in rows] for name in _texts(spec)},
    )


def _tell(store: Store, clock: "_At", drawn: Drawn, progress: Progress) -> None:
    for name, events in drawn.events.items():
        told = 0
        for known_at, together in groupby(events, key=lambda event: event.known_at):
            clock.moment = known_at
            batch = list(together)
            told += store.record_events(TENANT, name, batch)
            progress(f"events of a {name}", told, len(events))


def _read(
    spec: DecisionSpec, raw: Mapping[str, Json], store: Store, clock: "_At"
) -> tuple[Matrix, Mapping[str, Any]]:
    request = Request(
        id="",
        tenant_id=TENANT,
        decision=spec.name,
        facts=admitted(spec, raw, SECRET, TENANT),
        received_at=clock.now(),
    )
    facts = join(spec, request, ids_of(spec, raw), store).request.facts
    features = spec.risk.features if spec.risk else {}
    row = compute(features, [facts], _categories(spec))[0]
    of_entities = [_number(facts[name]) for name in spec.entity_features]
    return np.concatenate([row, np.array(of_entities, dtype=np.float64)]), facts


def offline(spec: DecisionSpec, drawn: Drawn, progress: Progress) -> Computed:
    """As a training reads its rows: a table and its events become a snapshot, that columns."""
    with TemporaryDirectory() as folder:
        tables = {}
        for name, kind in spec.entities.items():
            progress("offline: events", 0, 1)
            path = Path(folder) / f"{name}.parquet"
            _write_events(path, drawn, name)
            tables[name] = read_events(path, kind)
        asked = _as_asked(spec)
        table = Path(folder) / "requests.parquet"
        _write_requests(table, asked, drawn.requests)
        store = SnapshotStore(Path(folder) / "snapshots", _Afterwards())
        snapshot = store.put(TENANT, asked, table, events=tables, progress=progress)
        progress("offline: features", 0, 1)
        features = spec.risk.features if spec.risk else {}
        sources = {source for feature in features.values() for source in feature.sources}
        wanted = sorted({*sources, *spec.entity_features, *_texts(spec)})
        columns = snapshot.columns(wanted)
    values = compute_columns(features, columns, snapshot.rows, _categories(spec))
    of_entities = [[_number(v) for v in columns[name]] for name in spec.entity_features]
    return Computed(
        values=np.column_stack([values, *of_entities]) if of_entities else values,
        texts={name: columns[name] for name in _texts(spec)},
    )


def _as_asked(spec: DecisionSpec) -> DecisionSpec:
    """The decision with the fields that a request holds, under their own names."""
    plain = {"column": "", "format": "", "known_at": None}
    fields = {
        name: field.model_copy(update=plain)
        for name, field in spec.request.fields.items()
        if field.available
    }
    request = spec.request.model_copy(update={"fields": fields})
    risk = spec.risk.model_copy(update={"column": ""}) if spec.risk else None
    training = spec.training.model_copy(update={"kpi": None})
    return spec.model_copy(update={"request": request, "risk": risk, "training": training})


def _write_requests(path: Path, spec: DecisionSpec, requests: Sequence[Mapping[str, Json]]) -> None:
    """In their order, with labels that nothing is learned from."""
    kinds = {"number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_()}
    columns = {
        name: pa.array([raw.get(name) for raw in requests], kinds.get(field.type, pa.string()))
        for name, field in spec.request.fields.items()
    }
    count = len(requests)
    columns[SEQ] = pa.array(range(count))
    if spec.risk and spec.risk.label:
        columns[spec.risk.label] = pa.array([str(spec.risk.positive)] * count)
    if spec.by_text:
        told = spec.training
        columns[told.intent] = pa.array([next(iter(spec.intents))] * count)
        columns[told.truth] = pa.array([PERSON] * count)
        columns[told.documents] = pa.array([[]] * count, pa.list_(pa.string()))
    pq.write_table(pa.table(columns), path)


def _write_events(path: Path, drawn: Drawn, name: str) -> None:
    rows = [
        {
            "entity": event.entity,
            "id": event.id,
            "kind": event.kind,
            "happened_at": event.happened_at,
            "known_at": event.known_at,
            "values": dict(event.values) or None,
        }
        for event in drawn.events[name]
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)


def compare(
    spec: DecisionSpec,
    *,
    requests: int,
    seed: int,
    online: ReadsRequests = online,
    offline: ReadsRequests = offline,
    progress: Progress = lambda step, done, total: None,
) -> dict[str, Any]:
    """`compared` requests, and how many of their values and texts are `differences`.

    `max_abs_diff` is over pairs of known numbers; a value that one path alone knows is a
    difference without a size. `examples` shows the first five.
    """
    drawn = draw(spec, requests=requests, seed=seed)
    here, there = online(spec, drawn, progress), offline(spec, drawn, progress)
    differences, largest = _differing(here.values, there.values)
    names = names_of(spec)
    found: list[tuple[int, str, float | str | None, float | str | None]] = [
        (row, names[column], _told(here.values[row, column]), _told(there.values[row, column]))
        for row, column in differences
    ]
    for name, texts in here.texts.items():
        pairs = enumerate(zip(texts, there.texts[name], strict=True))
        found += [(row, f"request.{name}", a, b) for row, (a, b) in pairs if a != b]
    found.sort(key=lambda one: one[0])
    return {
        "decision": spec.name,
        "seed": seed,
        "compared": requests,
        "values": [*names, *(f"request.{name}" for name in here.texts)],
        "events": {name: len(events) for name, events in drawn.events.items()},
        "differences": len(found),
        "max_abs_diff": largest,
        "examples": [
            {
                "request": row,
                "value": name,
                "online": a,
                "offline": b,
                "sent": drawn.requests[row],
            }
            for row, name, a, b in found[:SHOWN]
        ],
    }


def _differing(here: Matrix, there: Matrix) -> tuple[list[tuple[int, int]], float]:
    """(row, column) of each pair whose bytes differ, and the largest distance of two numbers."""
    if here.shape != there.shape or here.dtype != there.dtype:
        raise ValueError(f"the paths give {here.shape} {here.dtype}, {there.shape} {there.dtype}")
    bits = [np.ascontiguousarray(part).view(np.uint64) for part in (here, there)]
    unlike = (bits[0] != bits[1]) & ~(np.isnan(here) & np.isnan(there))
    places = [(int(row), int(column)) for row, column in np.argwhere(unlike)]
    known = unlike & np.isfinite(here) & np.isfinite(there)
    return places, float(np.abs(here[known] - there[known]).max(initial=0.0))


class _Afterwards:
    """A clock that stands after every drawn request."""

    def now(self) -> datetime:
        return datetime(9999, 1, 1, tzinfo=UTC)


class _At:
    """A clock that stands where the events' arrivals put it."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment


def _texts(spec: DecisionSpec) -> Iterator[str]:
    """The fields that personal data is taken out of."""
    for name, field in spec.request.fields.items():
        if field.type == "text" and field.available and name not in spec.entity_keys:
            yield name


def _categories(spec: DecisionSpec) -> Mapping[str, Sequence[str]]:
    return {name: field.values for name, field in spec.request.fields.items()}


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _told(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
